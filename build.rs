//! Finds out whether the interpreter that this is built for has a global lock: `src/primitives/leaf.rs`.

fn main() {
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
