//! The standard library's exceptions, and how a stored exception is raised.

use std::sync::OnceLock;

use pyo3::exceptions::{PyAttributeError, PyBaseException, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::{Imports, Lazy, LazyImport, lazy_imports};

/// A name that the standard classes look up in their module each time they need it. If a program has put something
/// else there, the standard classes use it, and so do ours.
pub(crate) struct Name {
    name: &'static str,
    /// The object that the name had when the mirror was made.
    first: LazyImport,
    /// The dictionary of the standard module.
    names: LazyImport<PyDict>,
}

impl Name {
    /// `mirror` is a module of this package whose `_NAMES` is the dictionary of the standard module. `module` is
    /// where the name is found when the mirror is made.
    const fn new(mirror: &'static str, module: &'static str, name: &'static str) -> Self {
        Self {
            name,
            first: LazyImport::new((module, name)),
            names: LazyImport::new((mirror, "_NAMES")),
        }
    }

    /// The first object of the name, and the present one if it is another. An interpreter that is ending sets
    /// names to None; that does not count.
    fn look_up<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(&Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
        let first = self.first.get(py)?;
        let names = self.names.get(py)?;
        let now = names.get_item(self.name)?;
        Ok((first, now.filter(|now| !now.is(first) && !now.is_none())))
    }

    /// The present object of the name.
    ///
    /// # Errors
    /// What the import raised, if the mirror was not made yet.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (first, now) = self.look_up(py)?;
        Ok(now.unwrap_or_else(|| first.clone()))
    }

    fn raise(&self, py: Python<'_>, how: How) -> PyErr {
        match self.look_up(py) {
            Ok((first, None)) => match (first.cast::<PyType>(), how) {
                (Ok(class), How::WithMessage(message)) => PyErr::from_type(class.clone(), message),
                (Ok(class), _) => PyErr::from_type(class.clone(), ()),
                (Err(_), how) => raise_replacement(first, how),
            },
            Ok((_, Some(now))) => raise_replacement(&now, how),
            Err(error) => error,
        }
    }
}

/// How the standard library raises an exception. It matters if a program has replaced the exception class.
enum How {
    /// `raise NAME`
    Class,
    /// `raise NAME()`
    Instance,
    /// `raise NAME(message)`
    WithMessage(String),
}

/// The modules in which the names of futures are looked up.
const FUTURES: &str = "oxthreads.concurrent.futures";
const BASE: &str = "concurrent.futures._base";

/// What a [`Name`] looks up, from the arguments of `Name::new`.
macro_rules! imports_of_name {
    ($mirror:expr, $module:expr, $name:literal) => {
        Imports {
            own: &[($module, $name), ($mirror, "_NAMES")],
            others: &[],
        }
    };
}

/// What [`logger`] looks up.
pub(crate) const LOGGER: Imports = imports_of_name!(FUTURES, BASE, "LOGGER");

/// The logger of the futures.
///
/// # Errors
/// What the import raised.
pub(crate) fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static NAME: Name = Name::new(FUTURES, BASE, "LOGGER");
    NAME.get(py)
}

/// Raises the object by which a program has replaced an exception class.
#[cold]
fn raise_replacement(other: &Bound<'_, PyAny>, how: How) -> PyErr {
    let py = other.py();
    let arguments = match how {
        How::Class => return raise(other),
        How::Instance => Ok(PyTuple::empty(py)),
        How::WithMessage(message) => PyTuple::new(py, [message]),
    };
    match arguments.and_then(|arguments| foreign::call(other, &arguments, None)) {
        Ok(made) => raise(&made),
        Err(error) => error,
    }
}

macro_rules! standard_exception {
    ($(#[$doc:meta])* $name:ident, $imports:ident, $mirror:expr, $module:expr, $class:literal, $how:expr) => {
        /// What the function of that name looks up.
        pub(crate) const $imports: Imports = imports_of_name!($mirror, $module, $class);

        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyErr {
            static NAME: Name = Name::new($mirror, $module, $class);
            NAME.raise(py, $how)
        }
    };
}

standard_exception!(
    /// `queue.Empty`
    empty, EMPTY, "oxthreads.queue", "oxthreads.queue", "Empty", How::Class);
standard_exception!(
    /// `queue.Full`
    full, FULL, "oxthreads.queue", "oxthreads.queue", "Full", How::Class);
standard_exception!(
    /// `queue.ShutDown`; our own where the standard library has none.
    shut_down, SHUT_DOWN, "oxthreads.queue", "oxthreads.queue", "ShutDown", How::Class);
standard_exception!(
    /// `concurrent.futures.CancelledError`
    cancelled, CANCELLED, FUTURES, BASE, "CancelledError", How::Instance);
standard_exception!(
    /// `concurrent.futures.TimeoutError`
    timed_out, TIMED_OUT, FUTURES, BASE, "TimeoutError", How::Instance);
standard_exception!(
    /// `threading.BrokenBarrierError`
    broken_barrier, BROKEN_BARRIER, "oxthreads.threading", "threading", "BrokenBarrierError", How::Class);

lazy_imports! {
    /// What [`empty_of_c`] looks up.
    pub(crate) EMPTY_OF_C;
    CLASS_OF_C: PyType = "_queue", "Empty";
}

/// `queue.Empty` as the standard library's C module raises it: always the original class.
pub(crate) fn empty_of_c(py: Python<'_>) -> PyErr {
    match CLASS_OF_C.get(py) {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}

/// Whether the error is a `queue.ShutDown`.
pub(crate) fn is_shut_down(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance(py, &shut_down(py).get_type(py))
}

/// What [`invalid_state`] looks up.
pub(crate) const INVALID_STATE: Imports = imports_of_name!(FUTURES, BASE, "InvalidStateError");

/// `concurrent.futures.InvalidStateError(message)`
pub(crate) fn invalid_state(py: Python<'_>, message: String) -> PyErr {
    static NAME: Name = Name::new(FUTURES, BASE, "InvalidStateError");
    NAME.raise(py, How::WithMessage(message))
}

/// The standard error for the release of a lock that is not locked.
pub(crate) fn release_unlocked_lock() -> PyErr {
    PyRuntimeError::new_err("release unlocked lock")
}

/// The standard error for the release of an RLock that the caller does not own.
pub(crate) fn release_unacquired_lock() -> PyErr {
    PyRuntimeError::new_err("cannot release un-acquired lock")
}

/// `AttributeError`, for an attribute that `__init__` would have set.
pub(crate) fn no_attribute(object: &Bound<'_, PyAny>, name: &str) -> PyErr {
    match object.get_type().name() {
        Ok(class) => {
            PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
        }
        Err(error) => error,
    }
}

/// The error for an exception class whose call returns something that is not an exception.
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

/// `raise exception`. The exception keeps its traceback; the exception that is being handled, if any, becomes its
/// context.
pub(crate) fn raise(exception: &Bound<'_, PyAny>) -> PyErr {
    let py = exception.py();
    let exception = match exception.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<PyBaseException>().unwrap_or(false) => {
            match foreign::call(class, &PyTuple::empty(py), None) {
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

/// Imported when the module is made: when it is needed, nothing can be imported.
static FINALIZATION_ERROR: Lazy<Py<PyType>> = Lazy::new();

/// Imports the exceptions that are raised while the interpreter is ending.
///
/// # Errors
/// What the import raised.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    if py.version_info() >= (3, 13) {
        FINALIZATION_ERROR.get_or_make(|| {
            let class = py.import("builtins")?.getattr("PythonFinalizationError")?;
            Ok(class.cast_into()?.unbind())
        })?;
    }
    Ok(())
}

/// `PythonFinalizationError`, with the message of Python 3.15.
#[cfg(Py_3_13)]
pub(crate) fn finalizing(py: Python<'_>) -> PyErr {
    let message = "cannot acquire lock at interpreter finalization";
    match FINALIZATION_ERROR.get() {
        Some(class) => PyErr::from_type(class.bind(py).clone(), message),
        None => PyRuntimeError::new_err(message), // its base
    }
}

/// `oxthreads.diagnose.DeadlockError`.
static DEADLOCK_ERROR: OnceLock<Py<PyType>> = OnceLock::new();

/// Sets the class of [`deadlock`].
pub(crate) fn set_deadlock_error(class: Py<PyType>) {
    // Only the first counts: a class that is set twice is the same.
    drop(DEADLOCK_ERROR.set(class));
}

/// The error of a wait that must end because it is part of a deadlock.
#[cold]
pub(crate) fn deadlock(py: Python<'_>, reason: String) -> PyErr {
    match DEADLOCK_ERROR.get() {
        Some(class) => PyErr::from_type(class.bind(py).clone(), reason),
        None => PyRuntimeError::new_err(reason), // its base
    }
}

/// Whether the error is a `PythonFinalizationError`.
pub(crate) fn is_finalizing(error: &PyErr, py: Python<'_>) -> bool {
    FINALIZATION_ERROR
        .get()
        .is_some_and(|class| error.is_instance(py, class.bind(py)))
}

/// Checks that `__exit__` was called with all its arguments. The standard locks check that since Python 3.15.
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

/// Returns `later`, with `earlier` as its context: `later` was raised while `earlier` was propagating.
pub(crate) fn after(py: Python<'_>, later: PyErr, earlier: Option<PyErr>) -> PyErr {
    if let Some(earlier) = earlier {
        let value = later.value(py);
        // `later` may have a context already, from the handler that raised it.
        let own = foreign::attribute(value.as_any(), intern!(py, "__context__"));
        if own.is_ok_and(|own| own.is_none()) {
            let earlier = earlier.into_value(py).into_bound(py);
            let _ = foreign::set_attribute(value.as_any(), "__context__", earlier.as_any());
        }
    }
    later
}

/// The exception that the calling thread handles, if any.
pub(crate) fn handled(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached, as `py` shows.
    let handled = unsafe { ffi::PyErr_GetHandledException() };
    // SAFETY: attached; the call above returned a new reference, or null.
    unsafe { Bound::from_owned_ptr_or_opt(py, handled) }
}

/// While this value lives, the exception counts as being handled, as in an `except` block. It becomes the context of
/// exceptions that are raised.
pub(crate) struct Handling<'py> {
    /// The exception that was being handled before, or None.
    before: Bound<'py, PyAny>,
}

impl<'py> Handling<'py> {
    pub(crate) fn new(exception: &Bound<'py, PyAny>) -> Self {
        let py = exception.py();
        let before = handled(py);
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

/// The standard error for an object that cannot be copied or pickled.
#[cold]
pub(crate) fn cannot_pickle(object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(class) => PyTypeError::new_err(format!("cannot pickle '{class}' object")),
        Err(error) => error,
    }
}
