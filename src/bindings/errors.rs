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
    /// The `queue.Empty` that `oxthreads.queue` has; a reloaded `queue` may have another.
    empty, "oxthreads.queue", "Empty");
standard_exception!(
    /// `queue.Full`, likewise.
    full, "oxthreads.queue", "Full");
standard_exception!(
    /// `queue.ShutDown`, or ours where the standard library has none.
    shut_down, "oxthreads.queue", "ShutDown");
standard_exception!(
    /// `concurrent.futures.CancelledError`
    cancelled, "concurrent.futures._base", "CancelledError");

/// Whether the error is a `queue.ShutDown`.
pub(crate) fn is_shut_down(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance(py, &shut_down(py).get_type(py))
}

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

/// While it lives, the exception is the one being handled, as in an `except` block: the context of
/// what is raised.
pub(crate) struct Handling<'py> {
    /// What was being handled: an exception, or None.
    before: Bound<'py, PyAny>,
}

impl<'py> Handling<'py> {
    pub(crate) fn new(exception: &Bound<'py, PyAny>) -> Self {
        let py = exception.py();
        // SAFETY: attached, as `py` shows.
        let before = unsafe { ffi::PyErr_GetHandledException() };
        // SAFETY: attached; the call above returned a new reference, or null.
        let before = unsafe { Bound::from_owned_ptr_or_opt(py, before) };
        // SAFETY: attached; it takes a reference of its own to the live exception.
        unsafe { ffi::PyErr_SetHandledException(exception.as_ptr()) };
        Self {
            before: before.unwrap_or_else(|| py.None().into_bound(py)),
        }
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        // SAFETY: attached; it takes a reference of its own to an exception, or to None, which
        // means that none is handled.
        unsafe { ffi::PyErr_SetHandledException(self.before.as_ptr()) };
    }
}
