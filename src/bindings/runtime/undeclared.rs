//! Functions of the interpreter that pyo3 does not declare.
//!
//! On Windows a function is linked by the name of the library that has it, which is another one for each version. pyo3
//! does the same for those that it declares.

use pyo3::ffi;

#[cfg_attr(
    all(windows, not(Py_3_12)),
    link(name = "python311", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_12, not(Py_3_13)),
    link(name = "python312", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_13, not(Py_3_14), not(Py_GIL_DISABLED)),
    link(name = "python313", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_13, not(Py_3_14), Py_GIL_DISABLED),
    link(name = "python313t", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_14, not(Py_3_15), not(Py_GIL_DISABLED)),
    link(name = "python314", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_14, not(Py_3_15), Py_GIL_DISABLED),
    link(name = "python314t", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_15, not(Py_GIL_DISABLED)),
    link(name = "python315", kind = "raw-dylib")
)]
#[cfg_attr(
    all(windows, Py_3_15, Py_GIL_DISABLED),
    link(name = "python315t", kind = "raw-dylib")
)]
// SAFETY: the functions have these types in the headers of every version.
unsafe extern "C" {
    /// A bound method; null with an exception set if there is no memory. The arguments must be live objects.
    pub(crate) fn PyMethod_New(
        function: *mut ffi::PyObject,
        instance: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;

    /// Deletes the state of the calling thread, which is attached and has cleared the state; it is detached after that.
    pub(crate) fn PyThreadState_DeleteCurrent();

    /// The size in bytes of the stacks of new threads; zero: that of the system. The caller is attached.
    pub(crate) fn PyThread_get_stacksize() -> usize;

    /// Makes the references to an object of this thread deferred ones: they are counted only when garbage is
    /// collected.
    #[cfg(all(Py_3_14, Py_GIL_DISABLED))]
    pub(crate) fn PyUnstable_Object_EnableDeferredRefcount(
        object: *mut ffi::PyObject,
    ) -> std::ffi::c_int;
}
