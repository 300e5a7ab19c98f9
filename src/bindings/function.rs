//! Methods of our classes that look like Python functions and cost as little as built-in methods.
//!
//! The methods of the standard classes are Python functions, and programs rely on that: they store a bound method
//! in a `weakref.WeakMethod`, read its `__func__`, or ask `inspect` for its signature or its source. A
//! [`Function`] takes the place of such a method in our classes.
//!
//! * The interpreter calls it without making a bound method (`Py_TPFLAGS_METHOD_DESCRIPTOR`) and without packing the
//!   arguments (vectorcall).
//! * Its `__get__` returns a real bound method, whose `__func__` it is.
//! * All attributes that it does not have come from the function of the standard class; for a method that only our
//!   class has, from a Python function that was written for this purpose.
//!
//! Every call first checks whether objects of the type run natively (see [`TypeQuestion`]). If a program has put
//! hooks into the class since the object was made, the object falls back to the standard library at that point.

use std::hint::black_box;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::bindings::fallback::{HasFallback, follow_class};
use crate::bindings::hooks;
use crate::bindings::runtime::collector;
use crate::bindings::runtime::fast_path::{Attempted, FastPath, attempt};
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::{HasImports, Lazy, lazy_imports};
use crate::bindings::runtime::type_question::TypeQuestion;
#[cfg(all(Py_3_14, Py_GIL_DISABLED))]
use crate::bindings::runtime::undeclared;
pub(crate) use crate::bindings::runtime::vectorcall::Vectorcall;
use crate::bindings::runtime::vectorcall::{self, VectorcallPointer, bind};

// A method of one of our classes. (A doc comment would be the `__doc__` of each function.)
#[pyclass(
    frozen,
    weakref,
    dict,
    name = "function",
    module = "oxthreads._oxthreads"
)]
pub(crate) struct Function {
    vectorcall: VectorcallPointer,
    /// The value of `vectorcall`, unless a program has given the function other code.
    fast: Vectorcall,
    /// The method that pyo3 made.
    native: Py<PyAny>,
    /// The function of the standard class.
    standard: Py<PyAny>,
    /// The class for which it was made.
    owner: Py<PyType>,
    name: Py<PyString>,
    /// See [`Function::stand_in`].
    stand_in: Lazy<StandIn>,
}

/// A function written in Python that calls the method, and the code object that it had at first.
struct StandIn {
    function: Py<PyAny>,
    code: Py<PyAny>,
}

/// The attributes of a function that must agree with its code.
const OF_CODE: [&str; 6] = [
    "__code__",
    "__globals__",
    "__closure__",
    "__defaults__",
    "__kwdefaults__",
    "__builtins__",
];

lazy_imports! {
    /// What functions look up.
    pub(crate) IMPORTS;
    FUNCTION_TYPE: PyType = "types", "FunctionType";
    GETATTR: PyAny = "builtins", "getattr";
    STAND_IN: PyAny = "oxthreads._fallback", "stand_in";
}

#[pymethods]
impl Function {
    /// Bind the function to the object, as Python functions are bound. (The interpreter calls `bind` directly.)
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = owner;
        let instance = instance.map_or(ptr::null_mut(), Bound::as_ptr);
        // SAFETY: attached, as the lifetimes show; they are live objects, or null for none.
        let bound = unsafe { bind(slf.as_ptr(), instance, ptr::null_mut()) };
        // SAFETY: attached; that returned a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(slf.py(), bound) }
    }

    /// Call the function. (The interpreter calls it by vectorcall.)
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        foreign::call(slf.as_any(), args, kwargs)
    }

    /// Read an attribute of a Python function, from the function of the standard class.
    fn __getattr__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let standard = this.standard.bind(slf.py());
        let text = name.to_str()?;
        if text == "__wrapped__" {
            // With `__wrapped__`, `inspect` finds the signature and the source of the running version.
            return Ok(standard.clone());
        }
        if OF_CODE.contains(&text) {
            return this
                .stand_in(slf.py())?
                .function
                .bind(slf.py())
                .getattr(name);
        }
        foreign::attribute(standard, name)
    }

    /// Tracers wrap a function by giving it other code; so they also reach callers that already hold the function.
    /// From then on that code is called, until the function gets its own code back.
    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (this, py) = (slf.get(), slf.py());
        let text = name.to_str()?;
        if !OF_CODE.contains(&text) {
            return foreign::set_attribute_generically(slf.as_any(), name, Some(value));
        }
        let stand_in = this.stand_in(py)?;
        stand_in.function.bind(py).setattr(name, value)?;
        if text == "__code__" {
            let call = if value.is(&stand_in.code) {
                this.fast
            } else {
                call_stand_in
            };
            this.vectorcall.set(call);
        }
        Ok(())
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        foreign::set_attribute_generically(slf.as_any(), name, None)
    }

    /// The type of Python functions, for `isinstance` and `inspect.isfunction`. type() gives the real one.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyType>> {
        FUNCTION_TYPE.get(slf.py()).cloned()
    }

    #[getter(__module__)]
    fn module<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().standard.bind(slf.py()).getattr("__module__")
    }

    #[getter(__doc__)]
    fn doc<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().native.bind(slf.py()).getattr("__doc__")
    }

    #[getter(__text_signature__)]
    fn text_signature<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get()
            .native
            .bind(slf.py())
            .getattr("__text_signature__")
    }

    /// To copy or unpickle it, look it up again.
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (this, py) = (slf.get(), slf.py());
        let getattr = GETATTR.get(py)?.clone();
        Ok((getattr, (&this.owner, &this.name).into_pyobject(py)?))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get().standard.bind(slf.py()).getattr("__qualname__")?;
        Ok(format!("<function {name} at {:p}>", slf.as_ptr()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.native)?;
        visit.call(&self.standard)?;
        if let Some(stand_in) = self.stand_in.get() {
            visit.call(&stand_in.function)?;
        }
        visit.call(&self.owner)
    }
}

impl Function {
    /// Makes the interpreter call objects of this type as it calls Python functions.
    ///
    /// # Errors
    /// MemoryError.
    pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
        static PREPARED: PyOnceLock<()> = PyOnceLock::new();
        PREPARED
            .get_or_try_init(py, || {
                // A sample, only to measure the offset.
                let sample = Self {
                    vectorcall: VectorcallPointer::new(call_native),
                    fast: call_native,
                    stand_in: Lazy::new(),
                    native: py.None(),
                    standard: py.None(),
                    owner: py.get_type::<Self>().unbind(),
                    name: PyString::new(py, "sample").unbind(),
                };
                let sample = sample.into_object(py)?;
                vectorcall::prepare(&sample, &sample.get().vectorcall);
                Ok(())
            })
            .copied()
    }

    /// Makes the Python object. Before Python 3.12 the interpreter makes the object's dictionary first, before it
    /// writes the fields; the collector knows the object by then.
    ///
    /// # Errors
    /// MemoryError.
    fn into_object(self, py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        collector::paused(py, || Bound::new(py, self))
    }

    /// A function written in Python that does what this one does. For programs that copy or replace the code.
    ///
    /// # Errors
    /// MemoryError.
    fn stand_in(&self, py: Python<'_>) -> PyResult<&StandIn> {
        self.stand_in.get_or_make(|| {
            let function = STAND_IN.get(py)?.call1((&self.native, &self.standard))?;
            Ok(StandIn {
                code: function.getattr("__code__")?.unbind(),
                function: function.unbind(),
            })
        })
    }

    /// Makes the function with that name for the class. The interpreter calls it by `vectorcall`.
    ///
    /// # Errors
    /// MemoryError.
    fn make<'py>(
        owner: &Bound<'py, PyType>,
        name: &Bound<'py, PyString>,
        native: Bound<'py, PyAny>,
        standard: Bound<'py, PyAny>,
        vectorcall: Vectorcall,
    ) -> PyResult<Bound<'py, Self>> {
        let function = Self {
            vectorcall: VectorcallPointer::new(vectorcall),
            fast: vectorcall,
            stand_in: Lazy::new(),
            native: native.unbind(),
            standard: standard.unbind(),
            owner: owner.clone().unbind(),
            name: name.clone().unbind(),
        };
        let function = function.into_object(owner.py())?;
        #[cfg(all(Py_3_14, Py_GIL_DISABLED))]
        {
            // With deferred counting, threads that call the function at the same time do not contend for its
            // reference count.
            // SAFETY: attached; it is a live object, which no other thread has seen.
            unsafe { undeclared::PyUnstable_Object_EnableDeferredRefcount(function.as_ptr()) };
        }
        Ok(function)
    }
}

/// A fast path of a class whose methods are functions.
pub(crate) trait AsFunction: FastPath {
    /// The question about a type whose answer must be yes for the fast path to be tried.
    fn question() -> &'static TypeQuestion;
}

/// Implements [`FastPath`] and [`AsFunction`] for methods that are functions. Each has an attempt function, and
/// optionally another question than whether objects of the type run natively.
macro_rules! fast_methods {
    ($($method:ident: $class:ty, $attempt:path $(, if $question:path)?;)*) => {$(
        $crate::bindings::runtime::fast_path::fast_path!($method, $class, $attempt);

        impl $crate::bindings::function::AsFunction for $method {
            #[inline]
            fn question() -> &'static $crate::bindings::runtime::type_question::TypeQuestion {
                #[allow(unused_variables)]
                let question =
                    <$class as $crate::bindings::fallback::HasFallback>::runs_natively();
                $(let question = &$question;)?
                question
            }
        }
    )*};
}
pub(crate) use fast_methods;

/// A native class whose methods are [`Function`]s.
pub(crate) trait HasFunctions: HasFallback + HasImports {
    /// The methods that have a fast path.
    fn fast_calls() -> Vec<(&'static str, Vectorcall)>;

    /// Puts `__enter__` and `__exit__` into the class, as built-in methods. Before Python 3.14 the `with`
    /// statement makes a bound method of each, and that takes longer for functions.
    ///
    /// # Errors
    /// MemoryError.
    fn install_context(_derived: &Bound<'_, PyType>) -> PyResult<()> {
        Ok(())
    }

    /// Other questions about types, by the names under which `set_questions` sets their answers.
    fn other_questions() -> Vec<(&'static str, &'static TypeQuestion)> {
        Vec::new()
    }
}

/// Puts a [`Function`] into the class for each method of the native class, from which the class derives. Each gets
/// the function of that name from the first of the standard classes that has one.
///
/// # Errors
/// What the interpreter raised.
pub(crate) fn install_functions<C: HasFunctions>(
    derived: &Bound<'_, PyType>,
    standard: &[Bound<'_, PyType>],
) -> PyResult<()> {
    let py = derived.py();
    Function::prepare(py)?;
    let fast = C::fast_calls();
    let native = py.get_type::<C>();
    // A class that derives from another of our classes gets only the methods of its own standard class.
    let is_first = derived.getattr("__bases__")?.contains(&native)?;
    for (name, method) in native
        .getattr("__dict__")?
        .call_method0("copy")?
        .cast_into::<PyDict>()?
    {
        let name = name.cast_into::<PyString>()?;
        let text = name.to_str()?;
        if text.starts_with("__") || text.starts_with(hooks::PREFIX) {
            continue;
        }
        if !method.get_type().name()?.eq("method_descriptor") {
            continue; // a data attribute
        }
        if !is_first && !standard[0].getattr("__dict__")?.contains(&name)? {
            continue;
        }
        let found = standard
            .iter()
            .find_map(|class| class.getattr_opt(&name).transpose());
        let Some(found) = found.transpose()? else {
            if text.starts_with('_') {
                continue;
            }
            let message = format!("no standard class has a function {text}");
            return Err(PyTypeError::new_err(message));
        };
        let vectorcall = fast
            .iter()
            .find(|(fast, _)| *fast == text)
            .map_or(call_checked::<C> as Vectorcall, |(_, vectorcall)| {
                *vectorcall
            });
        let function = Function::make(derived, &name, method, found, vectorcall)?;
        derived.setattr(&name, function)?;
    }
    C::install_context(derived)
}

/// Runs the fast path of `M`; if it does nothing, calls the method that pyo3 made.
pub(crate) unsafe extern "C" fn call<M>(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    M: AsFunction,
    M::Class: HasFunctions,
{
    let given = count & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    if given > 0 && keywords.is_null() {
        // SAFETY: there is a first argument.
        let this = unsafe { *arguments };
        // SAFETY: attached, and it is a live object, to which the caller has a reference.
        if unsafe { M::question().is_known_for(this) } {
            // SAFETY: there are `given` of them, which is at least one.
            let others = unsafe { arguments.add(1) };
            // SAFETY: types for which the answer is yes derive from the native class; and `given - 1` arguments
            // follow the first.
            match unsafe { attempt::<M>(this, others, given - 1) } {
                Attempted::Not => {}
                Attempted::Done(result) => return result,
            }
        }
    }
    // SAFETY: the arguments are passed on unchanged.
    unsafe { call_checked::<M::Class>(function, arguments, count, keywords) }
}

/// Calls the method that pyo3 made. An object whose class has changed first falls back to the standard library. If
/// the object is not one of ours, calls the standard function.
unsafe extern "C" fn call_checked<C: HasFunctions>(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached.
    let py = unsafe { Python::assume_attached() };
    if count & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET == 0 {
        // SAFETY: the arguments are passed on unchanged.
        return unsafe { call_standard(function, arguments, count, keywords) };
    }
    // SAFETY: there is a first argument.
    let this = unsafe { *arguments };
    // SAFETY: it is a live object, to which the caller has a reference.
    let this = unsafe { Borrowed::<'_, '_, PyAny>::from_ptr(py, this) };
    let Ok(this) = this.cast::<C>() else {
        // SAFETY: as above.
        return unsafe { call_standard(function, arguments, count, keywords) };
    };
    if let Err(error) = follow_class(&this) {
        error.restore(py);
        return ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { call_native(function, arguments, count, keywords) }
}

/// The [`Function`] that is called.
///
/// # Safety
/// Attached; it is a live [`Function`], and lives as long as the result is used.
unsafe fn called<'a>(function: *mut ffi::PyObject) -> (Python<'a>, &'a Function) {
    // SAFETY: guaranteed by the caller.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: guaranteed by the caller.
    let this = unsafe { Borrowed::<'a, 'a, PyAny>::from_ptr(py, function) };
    // SAFETY: guaranteed by the caller; nobody writes to it, for the class is frozen.
    let this = unsafe { this.cast_unchecked::<Function>() };
    // SAFETY: guaranteed by the caller, for that long.
    (py, unsafe { &*ptr::from_ref(this.get()) })
}

/// Calls the method that pyo3 made.
unsafe extern "C" fn call_native(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached, with an object of that type.
    let (_, this) = unsafe { called(function) };
    // SAFETY: attached; the arguments are passed on unchanged, to a live object.
    unsafe { ffi::PyObject_Vectorcall(this.native.as_ptr(), arguments, count, keywords) }
}

/// Calls the standard function with no object, or with one that is not ours. The standard function then raises the
/// right error, or works.
#[cold]
unsafe fn call_standard(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_native`.
    let (_, this) = unsafe { called(function) };
    // SAFETY: the arguments are passed on unchanged.
    unsafe { call_python(this.standard.as_ptr(), arguments, count, keywords) }
}

/// Calls the Python function that stands in for this one.
unsafe extern "C" fn call_stand_in(
    function: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_native`.
    let (py, this) = unsafe { called(function) };
    match this.stand_in(py) {
        // SAFETY: the arguments are passed on unchanged.
        Ok(stand_in) => unsafe {
            call_python(stand_in.function.as_ptr(), arguments, count, keywords)
        },
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}

type Call = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type UnwindingCall = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Calls a function written in Python, maybe by a program; see [`foreign`].
///
/// # Safety
/// Attached; it is a live object, and the arguments are those of a vectorcall.
unsafe fn call_python(
    callee: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `foreign::call`.
    let unwinding: UnwindingCall = unsafe {
        std::mem::transmute::<Call, UnwindingCall>(black_box(ffi::PyObject_Vectorcall as Call))
    };
    let guard = foreign::SleepOnUnwind;
    // SAFETY: guaranteed by the caller.
    let result = unsafe { unwinding(callee, arguments, count, keywords) };
    std::mem::forget(guard);
    result
}
