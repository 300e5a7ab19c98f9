//! Calls of Python code that may never return.
//!
//! Before Python 3.14 (3.13.8), a daemon thread that requests the interpreter while it is being finalized is ended by
//! `pthread_exit`, which unwinds the thread's stack. If there is a Rust frame below the Python code, that aborts the
//! whole process. So the functions here stop the unwinding at the boundary: the thread sleeps there until the process
//! has ended.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::ptr;
use std::time::Duration;

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyTuple};

use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::stack;

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

/// Sleeps forever if unwinding drops it.
pub(crate) struct SleepOnUnwind;

impl Drop for SleepOnUnwind {
    fn drop(&mut self) {
        loop {
            std::thread::sleep(Duration::MAX);
        }
    }
}

/// Counts the recursion depth while it lives, and checks the stack.
///
/// A chain of calls may lead from here through C code back to here, without Python code in between: a done
/// callback may be the `set_result` of another future. Our frames are large. CPython's own count alone allows too
/// many of them for a stack of 8 MiB.
struct Recursion<'py>(Python<'py>);

impl<'py> Recursion<'py> {
    /// # Errors
    /// RecursionError.
    fn enter(py: Python<'py>) -> PyResult<Self> {
        if !stack::has_room() {
            let message = "maximum recursion depth exceeded while calling a Python object";
            return Err(PyRecursionError::new_err(message));
        }
        // SAFETY: attached, as `py` shows; the message is a C string.
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

/// Calls `callable(*arguments, **keywords)`.
///
/// # Errors
/// What it raised.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the two types differ only in that the second may unwind. C code that was compiled with unwind
    // tables, as CPython's is, does unwind when its thread is ended. `black_box` keeps the compiler from seeing
    // that this is the function that is declared not to unwind.
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

/// Reads `object.name`, which may be a property, or what the object's `__getattr__` returns.
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

type Set =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;
type UnwindingSet = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> c_int;

/// Does what `object.__setattr__` does for `object.name = value`, and without a value what `object.__delattr__`
/// does. It calls a property of the class, or changes the object's dictionary, which may drop the old value.
///
/// # Errors
/// What it raised.
pub(crate) fn set_attribute_generically(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    // SAFETY: as in `call`.
    let unwinding: UnwindingSet = unsafe {
        std::mem::transmute::<Set, UnwindingSet>(black_box(ffi::PyObject_GenericSetAttr as Set))
    };
    let value = value.map_or(ptr::null_mut(), Bound::as_ptr);
    let guard = SleepOnUnwind;
    // SAFETY: attached, as the lifetimes show; all are live objects, the name a string, and for the
    // value null means to delete.
    let result = unsafe { unwinding(object.as_ptr(), name.as_ptr(), value) };
    std::mem::forget(guard);
    match result {
        0 => Ok(()),
        _ => Err(PyErr::fetch(object.py())),
    }
}

type CheckSignals = unsafe extern "C" fn() -> c_int;
type UnwindingCheckSignals = unsafe extern "C-unwind" fn() -> c_int;

/// In the main thread, runs the handlers of the signals that have arrived. From Python 3.12 on, it also runs a
/// garbage collection that is due, in any thread, and with it any `__del__` method of a program.
///
/// # Errors
/// What a handler raised.
pub(crate) fn check_signals(py: Python<'_>) -> PyResult<()> {
    // SAFETY: as in `call`.
    let unwinding: UnwindingCheckSignals = unsafe {
        std::mem::transmute::<CheckSignals, UnwindingCheckSignals>(black_box(
            ffi::PyErr_CheckSignals as CheckSignals,
        ))
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

/// Drops a reference. If it is the last one, that calls the object's `__del__`.
#[inline]
pub(crate) fn release(object: Bound<'_, PyAny>) {
    // Without a GIL, other threads may drop their references in the meantime; but such a Python does not end
    // threads by unwinding, and it measures the stack itself.
    // SAFETY: attached, as the lifetime shows; the object is alive.
    if unsafe { ffi::Py_REFCNT(object.as_ptr()) } > 1 {
        drop(object);
    } else {
        release_last(object);
    }
}

thread_local! {
    /// How many calls of `release_last` this thread is in.
    static RELEASING: Cell<usize> = const { Cell::new(0) };
    /// The objects that the outermost of these calls must release, because the stack had no room for them.
    static DEFERRED: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
}

/// Drops the last reference to an object. That object may have the last reference to another one, and so on
/// (futures, by their callbacks). If the stack has no room for the next object, the outermost call releases it later.
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

/// A reference that [`release`] drops. Only attached threads may use it.
///
/// It is counted down immediately; a `Py` would first check whether the thread is attached.
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

    /// A new reference to the object.
    #[inline]
    pub(crate) fn share(&self) -> Self {
        self.0.clone_ref(self.attached()).into()
    }

    /// The interpreter. The thread that uses this value is attached to it.
    #[inline]
    pub(crate) fn attached(&self) -> Python<'_> {
        // SAFETY: the primitives use the objects that they hold only inside an operation. Only the methods of the
        // Python classes begin an operation or drop a primitive, and all methods run attached. While
        // `block::sleep` releases the interpreter, it drops nothing, and uses nothing but the waiter and the clock.
        unsafe { Python::assume_attached() }
    }
}

lazy_imports! {
    /// What [`operate`] and [`compare`] look up.
    pub(crate) OPERATORS;
    ADD: PyAny = "operator", "add";
    SUBTRACT: PyAny = "operator", "sub";
    EQUAL: PyAny = "operator", "eq";
    GREATER: PyAny = "operator", "gt";
    LESS: PyAny = "operator", "lt";
    LESS_OR_EQUAL: PyAny = "operator", "le";
}

/// A function of the module `operator`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Equal,
    Greater,
    Less,
    LessOrEqual,
}

/// Calls the function of `operator` with the operands. For operands whose class a program may have written.
///
/// # Errors
/// What it raised.
pub(crate) fn operate<'py>(
    operator: Operator,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = left.py();
    let function = match operator {
        Operator::Add => ADD.get(py)?,
        Operator::Subtract => SUBTRACT.get(py)?,
        Operator::Equal => EQUAL.get(py)?,
        Operator::Greater => GREATER.get(py)?,
        Operator::Less => LESS.get(py)?,
        Operator::LessOrEqual => LESS_OR_EQUAL.get(py)?,
    };
    call(function, &PyTuple::new(py, [left, right])?, None)
}

/// Like [`operate`], for comparisons with an int on the right. Returns whether the comparison is true.
///
/// # Errors
/// What it raised.
pub(crate) fn compare(operator: Operator, left: &Bound<'_, PyAny>, right: i64) -> PyResult<bool> {
    let right = right.into_pyobject(left.py())?;
    is_true(operate(operator, left, &right)?)
}

/// The truth value of an object whose class a program may have written.
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

/// Like [`truth`], and releases the object.
///
/// # Errors
/// What its `__bool__` raised.
pub(crate) fn is_true(object: Bound<'_, PyAny>) -> PyResult<bool> {
    let truth = truth(&object);
    release(object);
    truth
}

/// `str(object)`, for an object whose class a program may have written.
///
/// # Errors
/// What its `__str__` or `__repr__` raised.
pub(crate) fn display(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = object.py();
    let text = py.get_type::<PyString>();
    call(&text, &PyTuple::new(py, [object])?, None)?.extract()
}

/// `object.name = value`, by the `__setattr__` of its class.
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

/// Calls `object.method(*arguments, **keywords)`.
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
