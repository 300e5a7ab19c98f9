//! The standard names of locks, for those of ours that stand in for them.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Whether the patch has put ours, `name` in `oxthreads.threading`, in the place of the standard one.
/// Then `__module__` says so, as of all that is patched.
pub(super) fn stands_in(py: Python<'_>, name: &str) -> bool {
    let find = || -> PyResult<bool> {
        let ours = py.import("oxthreads.threading")?.getattr(name)?;
        ours.getattr("__module__")?.eq("threading")
    };
    // While the interpreter ends there may be no module.
    find().unwrap_or(false)
}

/// `object.__reduce_ex__(protocol)`, which refuses a lock; in the words for the standard one, if it is
/// named `standard`.
pub(super) fn reduce<'py>(
    lock: &Bound<'py, PyAny>,
    protocol: &Bound<'py, PyAny>,
    standard: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(standard) = standard
        && protocol.ge(2)?
    {
        let words = format!("cannot pickle '{standard}' object");
        return Err(PyTypeError::new_err(words));
    }
    let object = lock.py().get_type::<PyAny>();
    object.call_method1("__reduce_ex__", (lock, protocol))
}
