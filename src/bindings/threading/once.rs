//! Functions that are called once: `oxthreads.locks.once`, which uses `primitives/single_run.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyWeakrefReference};

use crate::bindings::runtime::fast_path::panic_error;
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::lazy::Lazy;
use crate::bindings::runtime::observed::Observed;
#[cfg(all(Py_3_14, Py_GIL_DISABLED))]
use crate::bindings::runtime::undeclared;
use crate::bindings::runtime::vectorcall::{self, VectorcallPointer};
use crate::bindings::runtime::{block, collector};
use crate::bindings::threading::holder::holder;
use crate::primitives::single_run::{Reentrant, SingleRun, Turn};
use crate::wait::deadline::Deadline;

/// The turn of the calling thread, which it passes on unless it has done the work.
pub(super) struct MyTurn<'a>(&'a SingleRun);

impl<'a> MyTurn<'a> {
    pub(super) fn new(run: &'a SingleRun) -> Self {
        Self(run)
    }

    /// The caller ends the turn itself.
    pub(super) fn end(self) -> &'a SingleRun {
        let run = self.0;
        std::mem::forget(self);
        run
    }
}

impl Drop for MyTurn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// What a call returned, once one has.
struct StoredResult {
    run: SingleRun,
    /// A list of one item, because the garbage collector can clear a list.
    result: OnceLock<Owned>,
}

impl StoredResult {
    fn new() -> Self {
        Self {
            run: SingleRun::new("once"),
            result: OnceLock::new(),
        }
    }

    #[inline]
    fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        // The collector has cleared the list only if nobody can ask any more, but a `__del__` method.
        let list = self.result.get()?.object().bind(py);
        list.cast_exact::<PyList>().ok()?.get_item(0).ok()
    }

    /// The result, after `call` was called, or after another thread has called it.
    fn get_or_call<'py>(
        &self,
        py: Python<'py>,
        function: &Bound<'py, PyAny>,
        call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let caller = holder(py);
        let reentrant = |Reentrant| reentrant(function);
        let turn = match self.run.try_begin(caller).map_err(reentrant)? {
            Some(turn) => turn,
            None => match block::wait(py, &mut self.run.begin(caller), Deadline::NEVER)? {
                Some(turn) => turn.map_err(reentrant)?,
                None => Turn::Closed, // cannot happen: there is no deadline
            },
        };
        if turn == Turn::Mine {
            let turn = MyTurn::new(&self.run);
            let result = call()?;
            let stored = PyList::new(py, [&result])?;
            // It was empty: only who has the turn sets it.
            let _ = self.result.set(stored.into_any().into());
            turn.end().finish();
            return Ok(result);
        }
        self.get(py)
            .ok_or_else(|| PyRuntimeError::new_err("the result has been cleared"))
    }
}

/// The error of a call inside the call that it would wait for.
#[cold]
pub(super) fn reentrant(function: &Bound<'_, PyAny>) -> PyErr {
    let name = name_of(function);
    PyRuntimeError::new_err(format!(
        "{name}() is called by itself, in the same thread: it would wait for its own result"
    ))
}

/// What errors call the function.
pub(super) fn name_of(function: &Bound<'_, PyAny>) -> String {
    let name = foreign::attribute(function, intern!(function.py(), "__qualname__"));
    match name.and_then(|name| foreign::display(&name)) {
        Ok(name) => name,
        Err(_) => "the function".to_owned(),
    }
}

// What `once` makes of a function that is no coroutine function. (A doc comment would be the `__doc__` of each.)
#[pyclass(frozen, weakref, dict, module = "oxthreads._oxthreads")]
pub(crate) struct Once {
    vectorcall: VectorcallPointer,
    function: Owned,
    /// Of the call without an object.
    result: StoredResult,
    /// Under what name an object has its result.
    key: Lazy<Py<PyString>>,
}

impl Once {
    /// Makes the interpreter call objects of this type as it calls Python functions. Must be called before the first is
    /// made.
    pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
        let sample = Self::make(&py.None().into_bound(py))?;
        vectorcall::prepare(&sample, &sample.get().vectorcall);
        Ok(())
    }

    fn make<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let once = Self {
            vectorcall: VectorcallPointer::new(call),
            function: function.clone().into(),
            result: StoredResult::new(),
            key: Lazy::new(),
        };
        let py = function.py();
        // As for a `Function`.
        collector::paused(py, || Bound::new(py, once))
    }

    /// What the object has as the result of its call.
    fn of_object<'py>(
        slf: &Bound<'py, Self>,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, OnceOfObject>> {
        let (py, this) = (slf.py(), slf.get());
        let function = this.function.object().bind(py);
        let dictionary = foreign::attribute(object, intern!(py, "__dict__")).ok();
        let Some(dictionary) = dictionary.and_then(|found| found.cast_into_exact::<PyDict>().ok())
        else {
            return Err(PyTypeError::new_err(format!(
                "{}() is called once for each object, and {} has no __dict__ to keep the result in",
                name_of(function),
                object.get_type().repr()?
            )));
        };
        // Nobody may wait for another thread here: that would be with the GIL, which the other one may need.
        let key = this.key.get_or_make(|| {
            // Another function of the same name may be once for the same object, in a base class.
            let key = format!("{} (once {:x})", name_of(function), slf.as_ptr().addr());
            Ok(PyString::new(py, &key).unbind())
        })?;
        let key = key.bind(py);
        // Dropped after the section: a result may be the last reference to an object with a `__del__` method.
        let mut former = None;
        let found = with_critical_section(&dictionary, || {
            former = dictionary.get_item(key)?;
            // A copy of an object has the dictionary of that one. It begins anew.
            if let Some(known) = &former
                && let Ok(known) = known.cast_exact::<OnceOfObject>()
                && known.get().once.is(slf)
                && known.get().owner.is(object)
            {
                return Ok(known.clone());
            }
            let result = OnceOfObject {
                result: StoredResult::new(),
                owner: Owner::new(object)?,
                once: slf.clone().unbind(),
            };
            let made = Bound::new(py, result)?;
            dictionary.set_item(key, &made)?;
            Ok(made)
        });
        if let Some(former) = former {
            foreign::release(former);
        }
        found
    }

    #[inline(never)]
    fn call_without_object<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let function = this.function.object().bind(py);
        let call = || foreign::call(function, &PyTuple::empty(py), None);
        this.result.get_or_call(py, function, call)
    }

    fn call_for<'py>(
        slf: &Bound<'py, Self>,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, function) = (slf.py(), slf.get().function.object().bind(slf.py()));
        let of_object = Self::of_object(slf, object)?;
        let result = &of_object.get().result;
        if let Some(result) = result.get(py) {
            return Ok(result);
        }
        let call = || foreign::call(function, &PyTuple::new(py, [object])?, None);
        result.get_or_call(py, function, call)
    }
}

impl Observed for Once {
    type Primitive = SingleRun;

    fn primitive(&self) -> &Self::Primitive {
        &self.result.run
    }
}

/// Calls the function, or returns what it has returned. The interpreter calls this.
unsafe extern "C" fn call(
    once: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: it is a live object, to which the caller has a reference.
    let once = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, once) };
    // SAFETY: only objects of this class have this pointer.
    let once = unsafe { once.cast_unchecked::<Once>() };
    let given = count & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    let attempt = || match given {
        0 if keywords.is_null() => match once.get().result.get(py) {
            Some(result) => Ok(result),
            None => Once::call_without_object(&once),
        },
        1 if keywords.is_null() => {
            // SAFETY: there is one argument.
            let object = unsafe { *arguments };
            // SAFETY: it is a live object, to which the caller has a reference.
            let object = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, object) };
            Once::call_for(&once, &object)
        }
        _ => Err(PyTypeError::new_err(format!(
            "{}() is called once, so it takes no arguments (but self)",
            name_of(once.get().function.object().bind(py))
        ))),
    };
    // As pyo3 does.
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(Ok(result)) => result.into_ptr(),
        Ok(Err(error)) => {
            error.restore(py);
            ptr::null_mut()
        }
        Err(panic) => {
            panic_error(&*panic).restore(py);
            ptr::null_mut()
        }
    }
}

/// Return an object that calls the function once.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub(crate) fn call_once<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Once>> {
    let once = Once::make(function)?;
    #[cfg(all(Py_3_14, Py_GIL_DISABLED))]
    {
        // As for a `Function`.
        // SAFETY: attached; it is a live object, which no other thread has seen.
        unsafe { undeclared::PyUnstable_Object_EnableDeferredRefcount(once.as_ptr()) };
    }
    Ok(once)
}

#[pymethods]
impl Once {
    /// Call the function. (The interpreter calls it by vectorcall.)
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        foreign::call(slf.as_any(), args, kwargs)
    }

    /// Bind the function to the object, as Python functions are bound. (The interpreter calls `bind` directly.)
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = owner;
        let instance = instance.map_or(ptr::null_mut(), Bound::as_ptr);
        // SAFETY: attached, as the lifetimes show; they are live objects, or null for none.
        let bound = unsafe { vectorcall::bind(slf.as_ptr(), instance, ptr::null_mut()) };
        // SAFETY: attached; that returned a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(slf.py(), bound) }
    }

    /// To copy or unpickle it, look it up by its name, as for a function.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        foreign::attribute(
            slf.get().function.object().bind(slf.py()),
            intern!(slf.py(), "__qualname__"),
        )
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let name = name_of(slf.get().function.object().bind(slf.py()));
        format!("<once function {name} at {:p}>", slf.as_ptr())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())?;
        visit.call(self.result.result.get().map(Owned::object))
    }
}

/// The result of the call for one object, in the dictionary of that object.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct OnceOfObject {
    result: StoredResult,
    owner: Owner,
    once: Py<Once>,
}

/// The object that a result belongs to. Its copies have the same dictionary entries, and are other objects.
enum Owner {
    /// It is at this address until it is gone. The weak reference tells when.
    Weak(usize, Py<PyWeakrefReference>, Py<Gone>),
    /// It cannot be referred to weakly.
    Strong(Owned),
}

impl Owner {
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let gone = Bound::new(py, Gone(AtomicBool::new(false)))?;
        match PyWeakrefReference::new_with(object, &gone) {
            Ok(weak) => {
                let address = object.as_ptr().addr();
                Ok(Self::Weak(address, weak.unbind(), gone.unbind()))
            }
            Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                Ok(Self::Strong(object.clone().into()))
            }
            Err(error) => Err(error),
        }
    }

    /// Not by the weak reference itself: in the `__del__` methods of a cycle it is dead already, and the result must
    /// be there. Then the collector has not called `Gone`, since the weak reference was part of that cycle.
    fn is(&self, object: &Bound<'_, PyAny>) -> bool {
        match self {
            Self::Weak(address, _, gone) => {
                *address == object.as_ptr().addr() && !gone.get().0.load(Ordering::Acquire)
            }
            Self::Strong(owner) => owner.object().is(object),
        }
    }
}

/// What a weak reference calls when its object is gone: another object may have the address from then on.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
struct Gone(AtomicBool);

#[pymethods]
impl Gone {
    #[pyo3(signature = (reference, /))]
    fn __call__(&self, reference: &Bound<'_, PyAny>) {
        let _ = reference;
        self.0.store(true, Ordering::Release);
    }
}

/// Store `made` in the dictionary if it has `known` under that key, in one step for all other threads. Return what it has
/// then.
///
/// Args:
///     dictionary (dict): the dictionary.
///     key (str): the key.
///     known: what it is expected to have; None for nothing.
///     made: what it shall have.
#[pyfunction]
#[pyo3(signature = (dictionary, key, known, made, /))]
pub(crate) fn exchange_item<'py>(
    dictionary: &Bound<'py, PyDict>,
    key: &Bound<'py, PyString>,
    known: &Bound<'py, PyAny>,
    made: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut found = known.clone();
    with_critical_section(dictionary, || {
        if let Some(present) = dictionary.get_item(key)? {
            found = present;
        }
        if found.is(known) {
            dictionary.set_item(key, made)?;
            found = made.clone();
        }
        Ok(found)
    })
}

#[pymethods]
impl OnceOfObject {
    /// A copy or a pickle of the object begins anew, so it has None instead.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, Bound<'py, PyTuple>) {
        let py = slf.py();
        let none = py.None().into_bound(py).get_type().into_any();
        (none, PyTuple::empty(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.once)?;
        match &self.owner {
            Owner::Weak(_, weak, gone) => {
                visit.call(weak)?;
                visit.call(gone)?;
            }
            Owner::Strong(owner) => visit.call(owner.object())?,
        }
        visit.call(self.result.result.get().map(Owned::object))
    }
}
