//! The standard library's exceptions, imported once, and how a stored exception is raised.

use pyo3::exceptions::{PyAttributeError, PyBaseException, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::argument::Argument;
use super::kept::Kept;
use super::user_code;

macro_rules! standard_exception {
    ($(#[$doc:meta])* $name:ident, $module:literal, $class:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyErr {
            static CLASS: Kept<Py<PyType>> = Kept::new();
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

standard_exception!(
    /// `threading.BrokenBarrierError`
    broken_barrier, "threading", "BrokenBarrierError");

/// Whether the error is a `queue.ShutDown`.
pub(crate) fn is_shut_down(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance(py, &shut_down(py).get_type(py))
}

/// `concurrent.futures.InvalidStateError(message)`
pub(crate) fn invalid_state(py: Python<'_>, message: String) -> PyErr {
    static CLASS: Kept<Py<PyType>> = Kept::new();
    match CLASS.import(py, "concurrent.futures._base", "InvalidStateError") {
        Ok(class) => PyErr::from_type(class.clone(), message),
        Err(error) => error,
    }
}

/// The standard words for a lock that nobody holds.
pub(crate) fn release_unlocked_lock() -> PyErr {
    PyRuntimeError::new_err("release unlocked lock")
}

/// The standard words for an RLock that the caller does not own.
pub(crate) fn release_unacquired_lock() -> PyErr {
    PyRuntimeError::new_err("cannot release un-acquired lock")
}

/// `AttributeError`, as for an attribute that `__init__` would have set.
pub(crate) fn no_attribute(object: &Bound<'_, PyAny>, name: &str) -> PyErr {
    match object.get_type().name() {
        Ok(class) => {
            PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
        }
        Err(error) => error,
    }
}

/// The refusal of an exception class that makes something else.
#[cold]
fn not_an_exception(class: &Bound<'_, PyType>, made: &Bound<'_, PyAny>) -> PyErr {
    let shown = class
        .repr()
        .and_then(|class| Ok((class, made.get_type().repr()?)));
    match shown {
        Ok((class, made)) => PyTypeError::new_err(format!(
            "calling {class} should have returned an instance of BaseException, not {made}"
        )),
        Err(error) => error,
    }
}

/// `raise exception`: with its traceback so far, and with the exception being handled, if any,
/// as its context.
pub(crate) fn raise(exception: &Bound<'_, PyAny>) -> PyErr {
    let py = exception.py();
    let exception = match exception.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<PyBaseException>().unwrap_or(false) => {
            match user_code::call(class, &PyTuple::empty(py), None) {
                Ok(instance) if instance.is_instance_of::<PyBaseException>() => instance,
                Ok(other) => return not_an_exception(class, &other),
                Err(error) => return error,
            }
        }
        _ => exception.clone(),
    };
    if !exception.is_instance_of::<PyBaseException>() {
        return PyTypeError::new_err("exceptions must derive from BaseException");
    }
    // SAFETY: attached; both are live objects, the first an exception class, since it is the
    // type of an instance of BaseException.
    unsafe { ffi::PyErr_SetObject(exception.get_type().as_ptr(), exception.as_ptr()) };
    PyErr::fetch(py)
}

/// Found when the module is made, for when it is needed nothing can be imported.
static FINALIZATION_ERROR: Kept<Py<PyType>> = Kept::new();

/// Has the exceptions at hand that are raised when the interpreter ends.
///
/// # Errors
/// What stands in the way of importing them.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    if py.version_info() >= (3, 13) {
        FINALIZATION_ERROR.import(py, "builtins", "PythonFinalizationError")?;
    }
    Ok(())
}

/// `PythonFinalizationError`, in the words of Python 3.15.
#[cfg(Py_3_13)]
pub(crate) fn finalizing(py: Python<'_>) -> PyErr {
    let words = "cannot acquire lock at interpreter finalization";
    match FINALIZATION_ERROR.get() {
        Some(class) => PyErr::from_type(class.bind(py).clone(), words),
        None => PyRuntimeError::new_err(words), // its base
    }
}

/// Whether that is the error.
pub(crate) fn is_finalizing(error: &PyErr, py: Python<'_>) -> bool {
    FINALIZATION_ERROR
        .get()
        .is_some_and(|class| error.is_instance(py, class.bind(py)))
}

/// The refusal of an `__exit__` that wants all its arguments, as that of the standard locks does
/// since Python 3.15.
pub(crate) fn check_exit_arguments(arguments: [&Argument<'_>; 3]) -> PyResult<()> {
    if cfg!(Py_3_15) {
        let given = arguments
            .iter()
            .filter(|each| matches!(each, Argument::Given(_)));
        let given = given.count();
        if given < 3 {
            return Err(PyTypeError::new_err(format!(
                "__exit__ expected 3 arguments, got {given}"
            )));
        }
    }
    Ok(())
}

/// `later`, raised while `earlier` was on its way: that is its context.
pub(crate) fn after(py: Python<'_>, later: PyErr, earlier: Option<PyErr>) -> PyErr {
    if let Some(earlier) = earlier {
        let value = later.value(py);
        // It may have a context of its own, from the handler that raised it.
        let own = user_code::attribute(value.as_any(), intern!(py, "__context__"));
        if own.is_ok_and(|own| own.is_none()) {
            let earlier = earlier.into_value(py).into_bound(py);
            let _ = user_code::set_attribute(value.as_any(), "__context__", earlier.as_any());
        }
    }
    later
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
