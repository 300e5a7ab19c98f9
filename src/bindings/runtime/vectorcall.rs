//! Objects that the interpreter calls without packing the arguments, and binds as it binds Python functions.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::bindings::runtime::undeclared;

/// A function that the interpreter calls by the vectorcall protocol.
pub(crate) type Vectorcall = ffi::vectorcallfunc;

/// The pointer that the interpreter calls, a field of the object. It has a type of its own so that its offset in the object
/// can be measured.
#[repr(transparent)]
pub(crate) struct VectorcallPointer(AtomicPtr<c_void>);

impl VectorcallPointer {
    pub(crate) fn new(function: Vectorcall) -> Self {
        Self(AtomicPtr::new(function as *mut c_void))
    }

    /// Another function is called from now on.
    pub(crate) fn set(&self, function: Vectorcall) {
        self.0.store(function as *mut c_void, Ordering::Release);
    }
}

/// Binds the function to the object, as Python functions are bound.
pub(crate) unsafe extern "C" fn bind(
    function: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    _owner: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as below.
    if instance.is_null() || unsafe { ffi::Py_IsNone(instance) } != 0 {
        // SAFETY: the interpreter calls this, attached, with live objects.
        return unsafe { ffi::Py_NewRef(function) };
    }
    // SAFETY: as above; it returns a new reference, or null with an exception set.
    unsafe { undeclared::PyMethod_New(function, instance) }
}

/// Makes the interpreter call objects of the class of the sample by their pointers, and bind them by [`bind`]. `pointer` is
/// that of the sample. The class must not have been seen by other code yet.
pub(crate) fn prepare<C: PyClass>(sample: &Bound<'_, C>, pointer: &VectorcallPointer) {
    let offset = std::ptr::from_ref(pointer).addr() - sample.as_ptr().addr();
    let class = sample.py().get_type::<C>().as_type_ptr();
    // SAFETY: attached; it is the live type of the sample. No other code has seen the type yet, so nobody reads these
    // fields at the same time. All its objects have a function pointer of that type at the offset, which was measured in
    // one; and `PyVectorcall_Call` calls what is there.
    let fields = unsafe { &mut *class };
    fields.tp_vectorcall_offset = offset.cast_signed();
    fields.tp_call = Some(ffi::PyVectorcall_Call);
    fields.tp_descr_get = Some(bind);
    // CPython looks up methods faster if the type of the descriptor is immutable.
    let flags = ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    #[cfg(not(Py_GIL_DISABLED))]
    {
        fields.tp_flags |= flags;
    }
    #[cfg(Py_GIL_DISABLED)]
    (fields.tp_flags).fetch_or(flags, Ordering::Relaxed);
    // SAFETY: attached; it is a live type.
    unsafe { ffi::PyType_Modified(class) };
}
