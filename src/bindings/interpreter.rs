//! Which interpreter of the process has the module.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// No interpreter has this number.
const NONE: i64 = -1;

/// The number of the one that was the first to import the module.
static FIRST: AtomicI64 = AtomicI64::new(NONE);

/// Refuses the module to every interpreter but the first: what is [kept](super::kept), and the list of pools
/// that its exit closes, belong to that. Python refuses it only to those with a GIL of their own.
///
/// # Errors
/// ImportError.
pub(super) fn claim(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached, as `_py` shows, so that there is a present interpreter.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: it is the present one, and lives as long as this thread is attached to it.
    let this = unsafe { ffi::PyInterpreterState_GetID(interpreter) };
    match FIRST.compare_exchange(NONE, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != this => Err(PyImportError::new_err(
            "oxthreads serves one interpreter of a process only, which has imported it before",
        )),
        _ => Ok(()),
    }
}

/// Attaches once. On the first attachment, as when an exception is first looked at, pyo3 asks whether the
/// interpreter is initialized, and panics if not. While it ends it is not so any more; nor, in 3.15, while it
/// reads start-up files, one of which may be what imports the module.
pub(super) fn attach_once(py: Python<'_>) {
    // SAFETY: it may be called at any time.
    if unsafe { ffi::Py_IsInitialized() } != 0 {
        py.detach(|| Python::attach(|_| ()));
    }
}
