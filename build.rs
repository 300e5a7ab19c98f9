//! Has the crate know which Python it is built for: `cfg(Py_3_15)` and the like, and whether that one
//! has a global lock (`src/wait/gil_mutex.rs`).

fn main() {
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
