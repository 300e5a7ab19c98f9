//! Has the bindings know which Python they are built for: `cfg(Py_3_15)` and the like.

fn main() {
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
