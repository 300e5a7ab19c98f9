//! An exception that was raised where none can be.
//!
//! To wake an event loop, code of Python runs, and with it signal handlers may run, in the middle of an operation that must
//! not fail any more: the item is in the queue. What they raise is raised as soon as the operation is over.

use std::ffi::{c_int, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

/// Lets the interpreter raise the exception before the next bytecode: that of a signal handler in the main thread, where
/// all of them run; that which was set for another thread in this thread again, by its class.
pub(super) fn raise_later(py: Python<'_>, error: PyErr, is_main_thread: bool) {
    if is_main_thread {
        let error = Box::into_raw(Box::new(error)).cast::<c_void>();
        // SAFETY: attached, as `py` shows. The function takes the pointer over, once.
        if unsafe { ffi::Py_AddPendingCall(Some(raise_now), error) } == 0 {
            return;
        }
        // SAFETY: the pointer was made by `Box::into_raw` above, and nobody has taken it over.
        let error = unsafe { Box::from_raw(error.cast::<PyErr>()) };
        error.write_unraisable(py, None);
    } else {
        let class = error.get_type(py);
        // SAFETY: attached.
        let thread = unsafe { ffi::PyThread_get_thread_ident() };
        // SAFETY: attached; it is a class of exceptions, of which the interpreter takes a new reference.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread.cast_signed(), class.as_ptr()) };
    }
}

/// Called by the interpreter, attached, in the main thread.
extern "C" fn raise_now(error: *mut c_void) -> c_int {
    // SAFETY: `raise_later` made the pointer of a box, and the interpreter calls this once for it.
    let error = unsafe { Box::from_raw(error.cast::<PyErr>()) };
    Python::attach(|py| error.restore(py));
    -1
}
