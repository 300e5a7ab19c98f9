//! The standard names of the native locks that replace standard ones.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Whether the patch has replaced the standard class by `name` of `oxthreads.threading`. If so, `__module__` of the
/// class is the standard one, as for everything that is patched.
pub(super) fn stands_in(py: Python<'_>, name: &str) -> bool {
    let find = || -> PyResult<bool> {
        let ours = py.import("oxthreads.threading")?.getattr(name)?;
        ours.getattr("__module__")?.eq("threading")
    };
    // While the interpreter is ending, the module may be gone.
    find().unwrap_or(false)
}

/// `object.__reduce_ex__(protocol)`, which rejects a lock. If `standard` is given, the message names that class,
/// as the standard library's message does.
pub(super) fn reduce<'py>(
    lock: &Bound<'py, PyAny>,
    protocol: &Bound<'py, PyAny>,
    standard: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(standard) = standard
        && protocol.ge(2)?
    {
        let message = format!("cannot pickle '{standard}' object");
        return Err(PyTypeError::new_err(message));
    }
    let object = lock.py().get_type::<PyAny>();
    object.call_method1("__reduce_ex__", (lock, protocol))
}
