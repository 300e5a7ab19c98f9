//! Calls of Python code that may never come back.
//!
//! Before 3.14 (3.13.8) a daemon thread that asks for the interpreter while it is being finalized
//! is ended by `pthread_exit`, which unwinds its stack. If a Rust frame lies below the Python
//! code, that is an abort of the whole process. So the unwinding is stopped at the boundary:
//! the thread sleeps there until the process is gone.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::ptr;
use std::time::Duration;

use pyo3::exceptions::{PyAttributeError, PyRecursionError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyTuple};

use super::kept::look_up;
use super::stack;

type Call = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type UnwindingCall = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Sleeps for ever when it is dropped by unwinding.
struct SleepOnUnwind;

impl Drop for SleepOnUnwind {
    fn drop(&mut self) {
        loop {
            std::thread::sleep(Duration::MAX);
        }
    }
}

/// Counts the frames below on the C stack as long as it lives.
///
/// A chain of calls may lead from here through C code only back to here (a done callback may be the
/// `set_result` of another future): ours are large frames, of which C Python's own count allows too
/// many for a stack of 8 MiB.
struct Recursion<'py>(Python<'py>);

impl<'py> Recursion<'py> {
    /// # Errors
    /// RecursionError.
    fn enter(py: Python<'py>) -> PyResult<Self> {
        if !stack::has_room() {
            let words = "maximum recursion depth exceeded while calling a Python object";
            return Err(PyRecursionError::new_err(words));
        }
        // SAFETY: attached, as `py` shows; the words are a C string.
        match unsafe { ffi::Py_EnterRecursiveCall(c" while calling a Python object".as_ptr()) } {
            0 => Ok(Self(py)),
            _ => Err(PyErr::fetch(py)),
        }
    }
}

impl Drop for Recursion<'_> {
    fn drop(&mut self) {
        // SAFETY: attached, as the lifetime shows; it was entered, in this thread.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}

/// `callable(*arguments, **keywords)`.
///
/// # Errors
/// What it raised.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the two types differ in that the second may unwind, which C code compiled with
    // unwind tables, as CPython's is, does when its thread is ended. `black_box` keeps the
    // compiler from seeing that it is the function declared not to unwind.
    let unwinding: UnwindingCall = unsafe {
        std::mem::transmute::<Call, UnwindingCall>(black_box(ffi::PyObject_Call as Call))
    };
    let keywords = keywords.map_or(ptr::null_mut(), Bound::as_ptr);
    let _recursion = Recursion::enter(callable.py())?;
    let guard = SleepOnUnwind;
    // SAFETY: attached, as the arguments' lifetime shows; all are live objects of the types that
    // PyObject_Call asks for, and `keywords` may be null.
    let result = unsafe { unwinding(callable.as_ptr(), arguments.as_ptr(), keywords) };
    std::mem::forget(guard);
    // SAFETY: attached; PyObject_Call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

type Get = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type UnwindingGet =
    unsafe extern "C-unwind" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// `object.name`, which may be a property, or what the object's `__getattr__` finds.
///
/// # Errors
/// What it raised.
pub(crate) fn attribute<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: as in `call`.
    let unwinding: UnwindingGet = unsafe {
        std::mem::transmute::<Get, UnwindingGet>(black_box(ffi::PyObject_GetAttr as Get))
    };
    let guard = SleepOnUnwind;
    // SAFETY: attached, as the arguments' lifetime shows; both are live objects, the second a string.
    let result = unsafe { unwinding(object.as_ptr(), name.as_ptr()) };
    std::mem::forget(guard);
    // SAFETY: attached; PyObject_GetAttr returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), result) }
}

/// As [`attribute`]; `None` where there is none.
///
/// # Errors
/// What it raised, but for AttributeError.
pub(crate) fn attribute_or_none<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match attribute(object, name) {
        Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => Ok(None),
        found => found.map(Some),
    }
}

type Look = unsafe extern "C" fn() -> c_int;
type UnwindingLook = unsafe extern "C-unwind" fn() -> c_int;

/// Runs the handlers of the signals that have come, in the main thread; from Python 3.12 on also a collection
/// that is due, in any thread, and with it whatever `__del__` a program has.
///
/// # Errors
/// What a handler raised.
pub(crate) fn check_signals(py: Python<'_>) -> PyResult<()> {
    // SAFETY: as in `call`.
    let unwinding: UnwindingLook = unsafe {
        std::mem::transmute::<Look, UnwindingLook>(black_box(ffi::PyErr_CheckSignals as Look))
    };
    let guard = SleepOnUnwind;
    // SAFETY: attached, as `py` shows.
    let result = unsafe { unwinding() };
    std::mem::forget(guard);
    match result {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}

type Release = unsafe extern "C" fn(*mut ffi::PyObject);
type UnwindingRelease = unsafe extern "C-unwind" fn(*mut ffi::PyObject);

/// Drops a reference, which may be the last one, and then calls the object's `__del__`.
#[inline]
pub(crate) fn release(object: Bound<'_, PyAny>) {
    // Where there is no GIL, others may drop theirs meanwhile; but such a Python ends no thread by
    // unwinding, and measures the stack itself.
    // SAFETY: attached, as the lifetime shows; the object is alive.
    if unsafe { ffi::Py_REFCNT(object.as_ptr()) } > 1 {
        drop(object);
    } else {
        release_last(object);
    }
}

thread_local! {
    /// How many calls of `release_last` are under way in this thread.
    static RELEASING: Cell<usize> = const { Cell::new(0) };
    /// What the outermost of them has to release, since the stack had no room for it.
    static DEFERRED: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
}

/// An object that goes may have the last reference to another, and so on (futures, by their callbacks).
/// Where the stack has no room for that, what is still to go is left to the outermost call.
#[cold]
fn release_last(object: Bound<'_, PyAny>) {
    let py = object.py();
    let depth = RELEASING.get();
    if depth > 0 && !stack::has_room() {
        DEFERRED.with_borrow_mut(|deferred| deferred.push(object.unbind()));
        return;
    }
    RELEASING.set(depth + 1);
    count_down(object);
    if depth == 0 {
        while let Some(object) = DEFERRED.with_borrow_mut(Vec::pop) {
            count_down(object.into_bound(py));
        }
    }
    RELEASING.set(depth);
}

fn count_down(object: Bound<'_, PyAny>) {
    // SAFETY: as in `call`.
    let unwinding: UnwindingRelease = unsafe {
        std::mem::transmute::<Release, UnwindingRelease>(black_box(ffi::Py_DecRef as Release))
    };
    let guard = SleepOnUnwind;
    // SAFETY: attached; the reference is given up here, and nowhere else.
    unsafe { unwinding(object.into_ptr()) };
    std::mem::forget(guard);
}

/// A reference that is given up by [`release`]. It is handled by attached threads only.
///
/// It is counted down at once, where `Py` would first ask whether it may.
pub(crate) struct Owned(ManuallyDrop<Py<PyAny>>);

impl Drop for Owned {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: nobody uses it after this.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        release(object.into_bound(self.attached()));
    }
}

impl From<Py<PyAny>> for Owned {
    #[inline]
    fn from(object: Py<PyAny>) -> Self {
        Self(ManuallyDrop::new(object))
    }
}

impl From<Bound<'_, PyAny>> for Owned {
    #[inline]
    fn from(object: Bound<'_, PyAny>) -> Self {
        object.unbind().into()
    }
}

impl Owned {
    #[inline]
    pub(crate) fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, nor used after this.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_bound(py)
    }

    #[inline]
    pub(crate) fn object(&self) -> &Py<PyAny> {
        &self.0
    }

    /// Another reference to the object.
    #[inline]
    pub(crate) fn share(&self) -> Self {
        self.0.clone_ref(self.attached()).into()
    }

    /// The interpreter, which whoever handles it is attached to.
    #[inline]
    pub(crate) fn attached(&self) -> Python<'_> {
        // SAFETY: the primitives handle what they hold only inside an operation, and the methods of
        // the Python classes, attached as all methods are, are the only ones to begin one, or to drop
        // a primitive. While `detach::sleep` lets go of the interpreter it drops nothing, and handles
        // nothing but the waiter and the clock.
        unsafe { Python::assume_attached() }
    }
}

/// `operator.name(left, right)`, for operands that a program may have made itself.
///
/// # Errors
/// What it raised.
pub(crate) fn operate<'py>(
    name: &str,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = left.py();
    let operator = look_up(py, "operator", name)?;
    call(&operator, &PyTuple::new(py, [left, right])?, None)
}

/// As [`operate`], with an int on the right, and whether it is so.
///
/// # Errors
/// What it raised.
pub(crate) fn holds(name: &str, left: &Bound<'_, PyAny>, right: i64) -> PyResult<bool> {
    let right = right.into_pyobject(left.py())?;
    is_true(operate(name, left, &right)?)
}

/// The truth value of an object that a program may have made itself.
///
/// # Errors
/// What its `__bool__` raised.
pub(crate) fn truth(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_exact_instance_of::<PyBool>() || object.is_exact_instance_of::<PyInt>() {
        return object.is_truthy();
    }
    let py = object.py();
    let boolean = py.get_type::<PyBool>();
    call(&boolean, &PyTuple::new(py, [object])?, None)?.is_truthy()
}

/// As [`truth`], of one that is let go.
///
/// # Errors
/// What its `__bool__` raised.
pub(crate) fn is_true(object: Bound<'_, PyAny>) -> PyResult<bool> {
    let truth = truth(&object);
    release(object);
    truth
}

/// `str(object)`, of one that a program may have made itself.
///
/// # Errors
/// What its `__str__` or `__repr__` raised.
pub(crate) fn shown(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = object.py();
    let text = py.get_type::<PyString>();
    call(&text, &PyTuple::new(py, [object])?, None)?.extract()
}

/// `object.name = value`, by what its class may have made of that.
///
/// # Errors
/// What it raised.
pub(crate) fn set_attribute(
    object: &Bound<'_, PyAny>,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    call_method(object, "__setattr__", (name, value), None).map(release)
}

/// `object.method(*arguments, **keywords)`.
///
/// # Errors
/// What it raised.
pub(crate) fn call_method<'py, A>(
    object: &Bound<'py, PyAny>,
    method: &str,
    arguments: A,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
{
    let arguments = arguments.into_pyobject(object.py()).map_err(Into::into)?;
    let method = attribute(object, &PyString::new(object.py(), method))?;
    call(&method, &arguments, keywords)
}
