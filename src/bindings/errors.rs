//! The standard library's exceptions, imported once, and how a stored exception is raised.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

macro_rules! standard_exception {
    ($(#[$doc:meta])* $name:ident, $module:literal, $class:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyErr {
            static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            match CLASS.import(py, $module, $class) {
                Ok(class) => PyErr::from_type(class.clone(), ()),
                Err(error) => error,
            }
        }
    };
}

standard_exception!(
    /// `queue.Empty`
    empty, "queue", "Empty");
standard_exception!(
    /// `queue.Full`
    full, "queue", "Full");
standard_exception!(
    /// `queue.ShutDown`, or ours where the standard library has none.
    shut_down, "oxthreads.queue", "ShutDown");
standard_exception!(
    /// `concurrent.futures.CancelledError`
    cancelled, "concurrent.futures._base", "CancelledError");

/// `concurrent.futures.InvalidStateError(message)`
pub(crate) fn invalid_state(py: Python<'_>, message: String) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "concurrent.futures._base", "InvalidStateError") {
        Ok(class) => PyErr::from_type(class.clone(), message),
        Err(error) => error,
    }
}

/// The standard words for a lock that nobody holds.
pub(crate) fn release_unlocked_lock() -> PyErr {
    PyRuntimeError::new_err("release unlocked lock")
}

/// `raise exception`: with its traceback so far, and with the exception being handled, if any,
/// as its context.
pub(crate) fn raise(exception: &Bound<'_, PyAny>) -> PyErr {
    let py = exception.py();
    let exception = match exception.cast::<PyType>() {
        Ok(class) => match class.call0() {
            Ok(instance) => instance,
            Err(error) => return error,
        },
        Err(_) => exception.clone(),
    };
    if !exception.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        return PyTypeError::new_err("exceptions must derive from BaseException");
    }
    // SAFETY: attached; both are live objects, the first an exception class, since it is the
    // type of an instance of BaseException.
    unsafe { ffi::PyErr_SetObject(exception.get_type().as_ptr(), exception.as_ptr()) };
    PyErr::fetch(py)
}
