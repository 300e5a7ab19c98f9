//! `put` and `get` as they mostly are: with no argument but the item, and nothing to wait for.
//!
//! A queue is used item by item, so what a call costs is what the queue costs. These two methods
//! are therefore also there as CPython makes its own: as functions that take what the interpreter
//! passes, without the frame that pyo3 puts around the others. They do what can be done at once,
//! or nothing; then the method of the same name that pyo3 made does the whole.

use std::ffi::CString;
use std::ptr;

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;

use super::item::Item;
use crate::primitives::queue::Queue as Primitive;

/// A class that gets the two functions.
pub(super) trait AtOnce: PyClass<Frozen = True> + Sync {
    /// Where its items are.
    fn primitive(&self) -> &Primitive<Item>;

    /// The methods that pyo3 made: `put` and `get`.
    fn whole() -> &'static PyOnceLock<[Py<PyAny>; 2]>;
}

/// Puts the two functions into the class, under the names, signatures and docstrings of the
/// methods that they stand before.
pub(super) fn install<Q: AtOnce>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Q>();
    let [whole_put, whole_get] = Q::whole().get_or_try_init(py, || {
        let method = |name| PyResult::Ok(class.getattr(name)?.unbind());
        PyResult::Ok([method("put")?, method("get")?])
    })?;
    for (name, whole, function) in [
        (c"put", whole_put, put::<Q> as Function),
        (c"get", whole_get, get::<Q> as Function),
    ] {
        let text = |attribute| whole.bind(py).getattr(attribute)?.extract::<String>();
        let (signature, doc) = (text("__text_signature__")?, text("__doc__")?);
        let doc = format!("{}{signature}\n--\n\n{doc}", name.to_string_lossy());
        // Both live as long as the class, that is, as the process.
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: function,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: CString::new(doc)?.into_raw(),
        }));
        // SAFETY: attached; the class is a live type object, and the definition is complete, of
        // the calling convention that its flags say, and never freed.
        let method = unsafe { ffi::PyDescr_NewMethod(class.as_type_ptr(), definition) };
        // SAFETY: attached; the call above returned a new reference, or null with an exception.
        let method = unsafe { Bound::from_owned_ptr_or_err(py, method) }?;
        class.setattr(&*name.to_string_lossy(), method)?;
    }
    Ok(())
}

type Function = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// The primitive of a queue of class `Q`.
///
/// # Safety
/// `queue` must be a live instance of `Q` during `'a`.
#[inline]
unsafe fn primitive_of<'a, Q: AtOnce>(
    py: Python<'a>,
    queue: *mut ffi::PyObject,
) -> &'a Primitive<Item> {
    // SAFETY: it is a live object, as the caller sees to.
    let queue = unsafe { Borrowed::<'a, 'a, PyAny>::from_ptr(py, queue) };
    // SAFETY: it is an instance of `Q`, as the caller sees to.
    unsafe { queue.cast_unchecked::<Q>() }.get().primitive()
}

/// `put(item)`, if there is room.
unsafe extern "C" fn put<Q: AtOnce>(
    queue: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached.
    let py = unsafe { Python::assume_attached() };
    if count == 1 && keywords.is_null() {
        // SAFETY: the method descriptor has checked the class, and holds a reference meanwhile.
        let primitive = unsafe { primitive_of::<Q>(py, queue) };
        // SAFETY: there is one argument.
        let item = unsafe { *arguments };
        // SAFETY: it is a live object, of which this makes a reference of its own.
        let item = unsafe { Bound::from_borrowed_ptr(py, item) };
        if primitive.put_at_once(Item::new(item)).is_ok() {
            return py.None().into_ptr();
        }
    }
    // SAFETY: the arguments are passed on as they came.
    unsafe { call_whole::<Q>(0, queue, arguments, count, keywords) }
}

/// `get()`, if an item is free.
unsafe extern "C" fn get<Q: AtOnce>(
    queue: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this, attached.
    let py = unsafe { Python::assume_attached() };
    if count == 0 && keywords.is_null() {
        // SAFETY: the method descriptor has checked the class, and holds a reference meanwhile.
        let primitive = unsafe { primitive_of::<Q>(py, queue) };
        if let Some(item) = primitive.get_at_once() {
            return item.into_bound(py).into_ptr();
        }
    }
    // SAFETY: the arguments are passed on as they came.
    unsafe { call_whole::<Q>(1, queue, arguments, count, keywords) }
}

/// Calls the method that pyo3 made.
///
/// # Safety
/// Attached, and with the arguments of a method that takes them as `METH_FASTCALL |
/// METH_KEYWORDS` says.
#[cold]
unsafe fn call_whole<Q: AtOnce>(
    which: usize,
    queue: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the caller sees to.
    let py = unsafe { Python::assume_attached() };
    let Some(whole) = Q::whole().get(py) else {
        return ptr::null_mut(); // not so: it was filled before this method could be called
    };
    let positional = count.unsigned_abs();
    let named = if keywords.is_null() {
        0
    } else {
        // SAFETY: it is the tuple of the keywords' names.
        unsafe { ffi::PyTuple_Size(keywords) }.unsigned_abs()
    };
    let mut all = vec![queue];
    if positional + named > 0 {
        // SAFETY: so many are there, the values of the keywords after the others.
        all.extend(unsafe { std::slice::from_raw_parts(arguments, positional + named) });
    }
    // SAFETY: attached; the method is a live object, and there are `positional + 1` arguments,
    // with those that `keywords` names after them.
    unsafe {
        ffi::PyObject_Vectorcall(
            whole[which].as_ptr(),
            all.as_ptr(),
            positional + 1,
            keywords,
        )
    }
}
