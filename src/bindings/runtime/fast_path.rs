//! The fast path of methods: few arguments, and nothing to wait for.
//!
//! The cost of such a call is the cost of a lock or a queue. So these methods also exist as functions that take the
//! interpreter's arguments directly, without the wrapper that pyo3 puts around a method. The fast path does
//! everything or nothing. If it does nothing, the slow path runs: the method of the same name that pyo3 made.
//!
//! Where the standard class is written in C (`Lock`, `RLock`, `SimpleQueue`), the fast path is a built-in method,
//! like those that CPython makes ([`install`]). Where the standard class is written in Python, it is a function
//! ([`function`](crate::bindings::function)).

use std::any::Any;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyTuple, PyType};

/// A method that has a fast path.
pub(crate) trait FastPath: 'static {
    /// The native class that has the method.
    type Class: PyClass<Frozen = True> + Sync;

    /// Runs the fast path, with the same result as the method; or does nothing.
    ///
    /// It runs outside of pyo3's wrapper, so a `Py` that is dropped here is not counted down immediately. Use
    /// `Bound` or `Owned` for references that are dropped.
    fn attempt<'py>(this: &Bound<'py, Self::Class>, arguments: Arguments<'_, 'py>) -> Attempt<'py>;
}

/// A fast path of a class whose methods are built-in methods.
pub(crate) trait BuiltIn: FastPath {
    /// The name of the method.
    const NAME: &'static CStr;

    /// Where the slow path of this method is stored.
    fn slow_path() -> &'static PyOnceLock<SlowPath>;
}

/// Makes the type of a method, and implements [`FastPath`] for it by its attempt function.
macro_rules! fast_path {
    ($method:ident, $class:ty, $attempt:path) => {
        struct $method;

        impl $crate::bindings::runtime::fast_path::FastPath for $method {
            type Class = $class;

            #[inline]
            fn attempt<'py>(
                this: &::pyo3::Bound<'py, $class>,
                arguments: $crate::bindings::runtime::fast_path::Arguments<'_, 'py>,
            ) -> $crate::bindings::runtime::fast_path::Attempt<'py> {
                $attempt(this, arguments)
            }
        }
    };
}
pub(crate) use fast_path;

/// Implements [`FastPath`] and [`BuiltIn`] for built-in methods. Each has its name and an attempt function.
macro_rules! fast_built_ins {
    ($($method:ident: $class:ty, $name:literal, $attempt:path;)*) => {$(
        $crate::bindings::runtime::fast_path::fast_path!($method, $class, $attempt);

        impl $crate::bindings::runtime::fast_path::BuiltIn for $method {
            const NAME: &'static ::std::ffi::CStr = $name;

            fn slow_path() -> &'static ::pyo3::sync::PyOnceLock<$crate::bindings::runtime::fast_path::SlowPath> {
                static SLOW_PATH: ::pyo3::sync::PyOnceLock<$crate::bindings::runtime::fast_path::SlowPath> =
                    ::pyo3::sync::PyOnceLock::new();
                &SLOW_PATH
            }
        }
    )*};
}
pub(crate) use fast_built_ins;

/// The result of the fast path; `None` if it did nothing.
pub(crate) type Attempt<'py> = Option<PyResult<Bound<'py, PyAny>>>;

/// The positional arguments of a call without keyword arguments.
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

    /// The argument, if there is exactly one.
    #[inline]
    pub(crate) fn only(self) -> Option<Bound<'py, PyAny>> {
        let [only] = self.given else { return None };
        // SAFETY: attached; the caller of the method holds a reference to it.
        Some(unsafe { Bound::from_borrowed_ptr(self.py, *only) })
    }

    /// The first argument, and a tuple of the others; `None` if there is no argument.
    #[inline]
    pub(crate) fn first_and_others(self) -> Option<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (first, others) = self.given.split_first()?;
        // SAFETY: attached; the caller of the method holds references to them.
        let borrow =
            |argument: &*mut ffi::PyObject| unsafe { Bound::from_borrowed_ptr(self.py, *argument) };
        let others = PyTuple::new(self.py, others.iter().map(borrow)).ok()?;
        Some((borrow(first), others))
    }

    /// The result of a method that returns None.
    #[inline]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "for it is what an attempt returns"
    )]
    pub(crate) fn done(self) -> Attempt<'py> {
        Some(Ok(self.py.None().into_bound(self.py)))
    }

    /// The result of a method that returns a bool.
    #[inline]
    #[expect(
        clippy::unnecessary_wraps,
        reason = "for it is what an attempt returns"
    )]
    pub(crate) fn answer(self, answer: bool) -> Attempt<'py> {
        Some(Ok(PyBool::new(self.py, answer).to_owned().into_any()))
    }
}

/// The method that pyo3 made, and the definition of the built-in method that replaces it in the class.
pub(crate) struct SlowPath {
    method: Py<PyAny>,
    definition: Definition,
}

struct Definition(&'static ffi::PyMethodDef);

// SAFETY: nothing writes to it, and what it points to lives as long as the process.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

impl SlowPath {
    /// Must be called before the method of the native class is replaced.
    fn of<M: BuiltIn>(py: Python<'_>) -> PyResult<Self> {
        let name = M::NAME.to_string_lossy();
        let method = py.get_type::<M::Class>().getattr(&*name)?;
        let text = |attribute| method.getattr(attribute)?.extract::<Option<String>>();
        let signature = text("__text_signature__")?.unwrap_or_default();
        let doc = text("__doc__")?.unwrap_or_default();
        let doc = CString::new(format!("{name}{signature}\n--\n\n{doc}"))?;
        Ok(Self {
            method: method.unbind(),
            // Leaked: both live as long as the class, that is, as long as the process.
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

/// Puts the fast path into the class, which is the native class or derives from it. It gets the name, the
/// signature and the docstring of the method that it replaces.
pub(crate) fn install<M: BuiltIn>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let slow_path = M::slow_path().get_or_try_init(py, || SlowPath::of::<M>(py))?;
    // SAFETY: attached; the class is a live type object, whose instances are of the native class, and
    // the definition is complete, of the calling convention that its flags say, and never freed.
    let method = unsafe {
        ffi::PyDescr_NewMethod(
            class.as_type_ptr(),
            ptr::from_ref(slow_path.definition.0).cast_mut(),
        )
    };
    // SAFETY: attached; the call above returned a new reference, or null with an exception.
    let method = unsafe { Bound::from_owned_ptr_or_err(py, method) }?;
    class.setattr(&*M::NAME.to_string_lossy(), method)
}

/// The result of a fast path, for the interpreter.
pub(crate) enum Attempted {
    /// The fast path did nothing.
    Not,
    /// The result, or null with an exception set.
    Done(*mut ffi::PyObject),
}

/// Runs the fast path of `M` with the object and the arguments.
///
/// # Safety
/// Attached; the object is live and of the class of `M`; and there are `count` live arguments.
#[inline]
pub(crate) unsafe fn attempt<M: FastPath>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
) -> Attempted {
    // SAFETY: guaranteed by the caller.
    let py = unsafe { Python::assume_attached() };
    let given = if count == 0 {
        &[]
    } else {
        // SAFETY: there are `count` arguments, which stay there during the call.
        unsafe { std::slice::from_raw_parts(arguments, count) }
    };
    // SAFETY: it is a live object, to which the caller of the method holds a reference.
    let this = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, this) };
    // SAFETY: guaranteed by the caller.
    let this = unsafe { this.cast_unchecked::<M::Class>() };
    let attempt = || M::attempt(&this, Arguments { py, given });
    // As pyo3 does. What the attempt has borrowed is built for other threads that see it half-done.
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(None) => Attempted::Not,
        Ok(Some(Ok(result))) => Attempted::Done(result.into_ptr()),
        Ok(Some(Err(error))) => {
            error.restore(py);
            Attempted::Done(ptr::null_mut())
        }
        Err(panic) => {
            panic_error(&*panic).restore(py);
            Attempted::Done(ptr::null_mut())
        }
    }
}

/// The built-in method `M`, as the interpreter calls it.
unsafe extern "C" fn call<M: BuiltIn>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if keywords.is_null() {
        // SAFETY: the interpreter calls this, attached, with `count` arguments; the method descriptor has checked
        // that the object is an instance of the class in which the method was installed.
        match unsafe { attempt::<M>(this, arguments, count.unsigned_abs()) } {
            Attempted::Not => {}
            Attempted::Done(result) => return result,
        }
    }
    // SAFETY: the arguments are passed on unchanged.
    unsafe { call_slow_path::<M>(this, arguments, count, keywords) }
}

/// The exception that pyo3 makes from a panic.
#[cold]
pub(crate) fn panic_error(panic: &(dyn Any + Send)) -> PyErr {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    PanicException::new_err(message.unwrap_or("panic from Rust code").to_owned())
}

/// Calls the method that pyo3 made.
///
/// # Safety
/// Attached; the arguments are those of a method with the flags `METH_FASTCALL | METH_KEYWORDS`.
#[cold]
unsafe fn call_slow_path<M: BuiltIn>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: guaranteed by the caller.
    let py = unsafe { Python::assume_attached() };
    let Some(slow_path) = M::slow_path().get(py) else {
        return ptr::null_mut(); // cannot happen: it was filled before this method could be called
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
        // SAFETY: there are so many arguments, with the values of the keywords after the others.
        all.extend(unsafe { std::slice::from_raw_parts(arguments, positional + named) });
    }
    // SAFETY: attached; the method is a live object, and there are `positional + 1` arguments, followed by those that
    // `keywords` names.
    unsafe {
        ffi::PyObject_Vectorcall(
            slow_path.method.as_ptr(),
            all.as_ptr(),
            positional + 1,
            keywords,
        )
    }
}
