//! Which interpreter of the process uses the module.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// No interpreter has this number.
const NONE: i64 = -1;

/// The number of the first interpreter that imported the module.
static FIRST: AtomicI64 = AtomicI64::new(NONE);

/// Rejects every interpreter but the first. The objects of [lazy imports](super::lazy), and the list of pools that
/// the exit closes, belong to that one. Python itself rejects only interpreters with a GIL of their own.
///
/// # Errors
/// ImportError.
pub(crate) fn claim(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached, as `_py` shows, so there is a current interpreter.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: it is the current interpreter, and lives as long as this thread is attached to it.
    let this = unsafe { ffi::PyInterpreterState_GetID(interpreter) };
    match FIRST.compare_exchange(NONE, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != this => Err(PyImportError::new_err(
            "oxthreads serves one interpreter of a process only, which has imported it before",
        )),
        _ => Ok(()),
    }
}

/// Attaches once, early. At the first attachment, for example when an exception is examined for the first time,
/// pyo3 asks whether the interpreter is initialized, and panics if it is not. It is not initialized any more while
/// it is ending. In Python 3.15 it is not initialized yet while it reads start-up files, one of which may import
/// the module.
pub(crate) fn attach_once(py: Python<'_>) {
    // SAFETY: it may be called at any time.
    if unsafe { ffi::Py_IsInitialized() } != 0 {
        py.detach(|| Python::attach(|_| ()));
    }
}
