//! Methods as they are mostly called: with few arguments, and nothing to wait for.
//!
//! What such a call costs is what a lock or a queue costs. So these methods are also there as CPython
//! makes its own: as functions that take what the interpreter passes, without the frame that pyo3 puts
//! around the others. They do what can be done at once, or nothing; then the method of the same name
//! that pyo3 made does the whole.
//!
//! The interpreter calls a method without a detour only where its class is exactly the object's. So the
//! classes that Python code derives from the native ones get methods of their own ([`install_in`]).

use std::any::Any;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::PyClass;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyTuple, PyType};

use super::executor::ThreadPoolExecutor;
use super::future::Future;
use super::queue::{Queue, SimpleQueue};
use super::threading::{Condition, Event, Lock, RLock, Semaphore};

/// A method that can often be done at once.
pub(crate) trait AtOnce: 'static {
    /// The native class that has it.
    type Class: PyClass<Frozen = True> + Sync;

    /// What it is called.
    const NAME: &'static CStr;

    /// Does it, and comes to what the method comes to; or does nothing.
    ///
    /// This is not a frame of pyo3, where a `Py` that is dropped is counted down at once: that is left to
    /// `Bound` and `Owned`.
    fn attempt<'py>(this: &Bound<'py, Self::Class>, arguments: Arguments<'_, 'py>) -> Attempt<'py>;

    /// Where the rest is kept.
    fn whole() -> &'static PyOnceLock<Whole>;
}

/// Implements [`AtOnce`] for a method, with a function that is its attempt.
macro_rules! at_once {
    ($($method:ident: $class:ty, $name:literal, $attempt:path;)*) => {$(
        struct $method;

        impl $crate::bindings::at_once::AtOnce for $method {
            type Class = $class;

            const NAME: &'static ::std::ffi::CStr = $name;

            #[inline]
            fn attempt<'py>(
                this: &::pyo3::Bound<'py, $class>,
                arguments: $crate::bindings::at_once::Arguments<'_, 'py>,
            ) -> $crate::bindings::at_once::Attempt<'py> {
                $attempt(this, arguments)
            }

            fn whole() -> &'static ::pyo3::sync::PyOnceLock<$crate::bindings::at_once::Whole> {
                static WHOLE: ::pyo3::sync::PyOnceLock<$crate::bindings::at_once::Whole> =
                    ::pyo3::sync::PyOnceLock::new();
                &WHOLE
            }
        }
    )*};
}
pub(crate) use at_once;

/// What an attempt came to, if anything was done.
pub(crate) type Attempt<'py> = Option<PyResult<Bound<'py, PyAny>>>;

/// The positional arguments of a call that has no others.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    given: &'a [*mut ffi::PyObject],
}

impl<'py> Arguments<'_, 'py> {
    #[inline]
    pub(crate) fn py(self) -> Python<'py> {
        self.py
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.given.len()
    }

    #[inline]
    pub(crate) fn are_none(self) -> bool {
        self.given.is_empty()
    }

    /// The argument, if it is the only one.
    #[inline]
    pub(crate) fn only(self) -> Option<Bound<'py, PyAny>> {
        let [only] = self.given else { return None };
        // SAFETY: attached; the caller of the method holds a reference to it.
        Some(unsafe { Bound::from_borrowed_ptr(self.py, *only) })
    }

    /// The first argument, and a tuple of the others, if there is a first.
    #[inline]
    pub(crate) fn first_and_others(self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (first, others) = self.given.split_first()?;
        // SAFETY: attached; the caller of the method holds references to them.
        let borrow =
            |argument: &*mut ffi::PyObject| unsafe { Bound::from_borrowed_ptr(self.py, *argument) };
        let others = PyTuple::new(self.py, others.iter().map(borrow)).ok()?;
        Some((borrow(first), others))
    }

    /// What a method without a result returns.
    #[inline]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "for it is what an attempt returns"
    )]
    pub(crate) fn done(self) -> Attempt<'py> {
        Some(Ok(self.py.None().into_bound(self.py)))
    }

    /// What a method that answers a question returns.
    #[inline]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "for it is what an attempt returns"
    )]
    pub(crate) fn answer(self, answer: bool) -> Attempt<'py> {
        Some(Ok(PyBool::new(self.py, answer).to_owned().into_any()))
    }
}

/// The method that pyo3 made, and the definition of the one that stands before it.
pub(crate) struct Whole {
    method: Py<PyAny>,
    definition: Definition,
}

struct Definition(&'static ffi::PyMethodDef);

// SAFETY: it is never written to, and what it points to lives as long as the process.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

impl Whole {
    /// To be called before the method of the native class is replaced.
    fn of<M: AtOnce>(py: Python<'_>) -> PyResult<Self> {
        let name = M::NAME.to_string_lossy();
        let method = py.get_type::<M::Class>().getattr(&*name)?;
        let text = |attribute| method.getattr(attribute)?.extract::<Option<String>>();
        let signature = text("__text_signature__")?.unwrap_or_default();
        let doc = text("__doc__")?.unwrap_or_default();
        let doc = CString::new(format!("{name}{signature}\n--\n\n{doc}"))?;
        Ok(Self {
            method: method.unbind(),
            // Both live as long as the class, that is, as the process.
            definition: Definition(Box::leak(Box::new(ffi::PyMethodDef {
                ml_name: M::NAME.as_ptr(),
                ml_meth: ffi::PyMethodDefPointer {
                    PyCFunctionFastWithKeywords: call::<M>,
                },
                ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
                ml_doc: doc.into_raw(),
            }))),
        })
    }
}

/// Puts the method into the class, which is the native one or derives from it, under the name, signature
/// and docstring of the method that it stands before.
pub(crate) fn install<M: AtOnce>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let whole = M::whole().get_or_try_init(py, || Whole::of::<M>(py))?;
    // SAFETY: attached; the class is a live type object, whose instances are of the native class, and
    // the definition is complete, of the calling convention that its flags say, and never freed.
    let method = unsafe {
        ffi::PyDescr_NewMethod(
            class.as_type_ptr(),
            ptr::from_ref(whole.definition.0).cast_mut(),
        )
    };
    // SAFETY: attached; the call above returned a new reference, or null with an exception.
    let method = unsafe { Bound::from_owned_ptr_or_err(py, method) }?;
    class.setattr(&*M::NAME.to_string_lossy(), method)
}

/// Puts the methods into the native classes that are used as they are. To be called once, when the
/// module is made.
pub(crate) fn install_all(py: Python<'_>) -> PyResult<()> {
    // The classes are the process's, and the methods must be so too: another interpreter in it that
    // imports this may end long before.
    static INSTALLED: PyOnceLock<()> = PyOnceLock::new();
    INSTALLED
        .get_or_try_init(py, || {
            Lock::install_at_once(&py.get_type::<Lock>())?;
            RLock::install_at_once(&py.get_type::<RLock>())?;
            Queue::install_at_once(&py.get_type::<Queue>())?;
            SimpleQueue::install_at_once(&py.get_type::<SimpleQueue>())
        })
        .copied()
}

/// Give the class, which derives from a native one, methods of its own that the interpreter can call
/// without a detour.
///
/// A class decorator. Raises TypeError for other classes.
#[pyfunction]
#[pyo3(signature = (derived, /))]
pub(crate) fn install_in(derived: Bound<'_, PyType>) -> PyResult<Bound<'_, PyType>> {
    if derived.is_subclass_of::<Event>()? {
        Event::install_at_once(&derived)?;
    } else if derived.is_subclass_of::<Condition>()? {
        Condition::install_at_once(&derived)?;
    } else if derived.is_subclass_of::<Semaphore>()? {
        Semaphore::install_at_once(&derived)?;
    } else if derived.is_subclass_of::<Queue>()? {
        Queue::install_at_once(&derived)?;
    } else if derived.is_subclass_of::<Future>()? {
        Future::install_at_once(&derived)?;
    } else if derived.is_subclass_of::<ThreadPoolExecutor>()? {
        ThreadPoolExecutor::install_at_once(&derived)?;
    } else {
        return Err(PyTypeError::new_err("not derived from a native class"));
    }
    Ok(derived)
}

/// The method `M`.
unsafe extern "C" fn call<M: AtOnce>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached.
    let py = unsafe { Python::assume_attached() };
    if keywords.is_null() {
        let given = if count == 0 {
            &[]
        } else {
            // SAFETY: there are so many arguments, which stay there during the call.
            unsafe { std::slice::from_raw_parts(arguments, count.unsigned_abs()) }
        };
        // SAFETY: it is a live object, to which the caller of the method holds a reference.
        let this = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, this) };
        // SAFETY: the method descriptor has checked that it is an instance of the class that the method
        // was installed in, and so of the native class.
        let this = unsafe { this.cast_unchecked::<M::Class>() };
        let attempt = || M::attempt(&this, Arguments { py, given });
        // As pyo3 does; what the attempt has borrowed is made for other threads to see half-done.
        match catch_unwind(AssertUnwindSafe(attempt)) {
            Ok(None) => {}
            Ok(Some(Ok(result))) => return result.into_ptr(),
            Ok(Some(Err(error))) => {
                error.restore(py);
                return ptr::null_mut();
            }
            Err(panic) => {
                panicked(&*panic).restore(py);
                return ptr::null_mut();
            }
        }
    }
    // SAFETY: the arguments are passed on as they came.
    unsafe { call_whole::<M>(this, arguments, count, keywords) }
}

/// The exception that pyo3 makes of a panic.
#[cold]
fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    PanicException::new_err(words.unwrap_or("panic from Rust code").to_owned())
}

/// Calls the method that pyo3 made.
///
/// # Safety
/// Attached, and with the arguments of a method that takes them as `METH_FASTCALL |
/// METH_KEYWORDS` says.
#[cold]
unsafe fn call_whole<M: AtOnce>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the caller sees to.
    let py = unsafe { Python::assume_attached() };
    let Some(whole) = M::whole().get(py) else {
        return ptr::null_mut(); // not so: it was filled before this method could be called
    };
    let positional = count.unsigned_abs();
    let named = if keywords.is_null() {
        0
    } else {
        // SAFETY: it is the tuple of the keywords' names.
        unsafe { ffi::PyTuple_Size(keywords) }.unsigned_abs()
    };
    let mut all = vec![this];
    if positional + named > 0 {
        // SAFETY: so many are there, the values of the keywords after the others.
        all.extend(unsafe { std::slice::from_raw_parts(arguments, positional + named) });
    }
    // SAFETY: attached; the method is a live object, and there are `positional + 1` arguments,
    // with those that `keywords` names after them.
    unsafe {
        ffi::PyObject_Vectorcall(
            whole.method.as_ptr(),
            all.as_ptr(),
            positional + 1,
            keywords,
        )
    }
}
