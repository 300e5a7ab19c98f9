//! What cannot be done where it is found out: an exception that was raised where none can be, and a loop that cannot be
//! asked because the recursion is too deep.
//!
//! To wake an event loop, code of Python runs, and with it signal handlers may run, in the middle of an operation that must
//! not fail any more: the item is in the queue. What they raise is raised soon after the operation.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;

use super::inbox::Inbox;

/// Lets the interpreter raise the exception before one of the next bytecodes: that of a signal handler in the main thread, where
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

/// Lets the main thread ask the loop, before one of its next bytecodes. Returns whether it will.
pub(super) fn ask_later(_attached: Python<'_>, inbox: &Arc<Inbox>) -> bool {
    let inbox = Arc::into_raw(Arc::clone(inbox)).cast_mut().cast::<c_void>();
    // SAFETY: attached, as the token shows. The function takes the pointer over, once.
    let is_accepted = unsafe { ffi::Py_AddPendingCall(Some(ask_now), inbox) } == 0;
    if !is_accepted {
        // SAFETY: the pointer was made by `Arc::into_raw` above, and nobody has taken it over.
        drop(unsafe { Arc::from_raw(inbox.cast::<Inbox>()) });
    }
    is_accepted
}

/// Called by the interpreter, attached, in the main thread.
extern "C" fn ask_now(inbox: *mut c_void) -> c_int {
    // SAFETY: `ask_later` made the pointer of an `Arc`, and the interpreter calls this once for it.
    let inbox = unsafe { Arc::from_raw(inbox.cast::<Inbox>()) };
    Python::attach(|py| inbox.ask(py));
    0
}
