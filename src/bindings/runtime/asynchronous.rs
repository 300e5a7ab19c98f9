//! Exceptions that another thread has set for this one (`PyThreadState_SetAsyncExc`), and signals whose handlers have
//! not run yet.
//!
//! The interpreter raises such an exception, and calls the handlers, between two bytecodes. A wait executes no
//! bytecode. So a wait checks both after its sleep, before it takes what it was woken for. The C API has no
//! function that tells whether an asynchronous exception is set: this module reads it from the thread's state.

#[cfg(not(Py_3_13))]
use std::ffi::c_int;
use std::ffi::c_void;
#[cfg(Py_3_13)]
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::Lazy;

/// The beginning of `PyThreadState` (`Include/cpython/pystate.h`), from Python 3.13 on.
#[cfg(Py_3_13)]
#[repr(C)]
struct ThreadState {
    _neighbours: [*mut c_void; 2],
    _interpreter: *mut c_void,
    /// One bit for each thing that the thread must do before its next bytecode.
    eval_breaker: AtomicUsize,
}

/// Bits of `eval_breaker` (`Include/internal/pycore_ceval.h`).
#[cfg(Py_3_13)]
const SIGNALS_PENDING: usize = 1 << 1;
#[cfg(Py_3_13)]
const ASYNC_EXCEPTION: usize = 1 << 3;
#[cfg(Py_3_14)]
const PLEASE_STOP: usize = 1 << 5;

/// The beginning of `PyThreadState` (`Include/cpython/pystate.h`), in Python 3.11 and 3.12.
#[cfg(not(Py_3_13))]
#[repr(C)]
struct ThreadState {
    _neighbours: [*mut c_void; 2],
    _interpreter: *mut c_void,
    /// In Python 3.12 the first of them is a word of bits.
    _flags_and_counts: [c_int; 7],
    _frame: *mut c_void,
    _profile_and_trace: [*mut c_void; 4],
    /// Type, value and traceback; in Python 3.12 only the value.
    #[cfg(Py_3_12)]
    _current_exception: *mut c_void,
    #[cfg(not(Py_3_12))]
    _current_exception: [*mut c_void; 3],
    _exception_info: *mut c_void,
    _dictionary: *mut c_void,
    _gilstate_counter: c_int,
    /// The exception that the interpreter will raise, or null.
    async_exc: *mut c_void,
}

#[cfg(all(target_pointer_width = "64", Py_3_13))]
const _: () = assert!(std::mem::offset_of!(ThreadState, eval_breaker) == 24);
#[cfg(all(target_pointer_width = "64", Py_3_12, not(Py_3_13)))]
const _: () = assert!(std::mem::offset_of!(ThreadState, async_exc) == 128);
#[cfg(all(target_pointer_width = "64", not(Py_3_12)))]
const _: () = assert!(std::mem::offset_of!(ThreadState, async_exc) == 144);

/// What the thread must do before its next bytecode.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    /// Another thread has set an exception for this one.
    pub(crate) exception: bool,
    /// Whether signal handlers must be called. `None`: unknown; [`foreign::check_signals`] finds out.
    pub(crate) signals: Option<bool>,
    /// Whether there may be code that another process has sent by `sys.remote_exec`. [`foreign::check_signals`] runs it.
    pub(crate) remote: bool,
}

/// The calling thread, as long as this stack frame exists. For code that checks often: it saves the lookup of the
/// state.
#[derive(Clone, Copy)]
pub(crate) struct ThisThread<'py> {
    state: *const ThreadState,
    attached: Python<'py>,
}

impl<'py> ThisThread<'py> {
    #[inline]
    pub(crate) fn new(py: Python<'py>) -> Self {
        // SAFETY: attached, so it is not null.
        let state = unsafe { ffi::PyThreadState_Get() };
        Self {
            state: state.cast::<ThreadState>().cast_const(),
            attached: py,
        }
    }

    /// What the thread must do before its next bytecode.
    #[cfg(Py_3_13)]
    #[inline]
    pub(crate) fn pending(self) -> Pending {
        // SAFETY: the state of a thread lives as long as the thread is attached, or will be attached again in a frame
        // below, and `Python` cannot be sent to another thread. The state begins as `ThreadState` says: its layout is
        // fixed within a minor version, these fields are the same in all versions from 3.13 on, and
        // `tests/process/test_asynchronous.py` fails if they differ. CPython, too, uses the field as an atomic.
        let breaker = unsafe { &(*self.state).eval_breaker };
        let bits = breaker.load(Ordering::Relaxed);
        Pending {
            exception: bits & ASYNC_EXCEPTION != 0,
            signals: Some(bits & SIGNALS_PENDING != 0),
            #[cfg(Py_3_14)]
            remote: bits & PLEASE_STOP != 0,
            #[cfg(not(Py_3_14))]
            remote: false,
        }
    }

    /// What the thread must do before its next bytecode.
    #[cfg(not(Py_3_13))]
    #[inline]
    pub(crate) fn pending(self) -> Pending {
        // SAFETY: the state of a thread lives as long as the thread is attached, or will be attached again in a frame
        // below, and `Python` cannot be sent to another thread. The state begins as `ThreadState` says: its layout is
        // fixed within a minor version, and `tests/process/test_asynchronous.py` fails if it differs. Other threads
        // write the field only while they hold the GIL, which this thread holds now.
        let exception = unsafe { (*self.state).async_exc };
        Pending {
            exception: !exception.is_null(),
            signals: None,
            remote: false,
        }
    }

    /// Whether another thread has set an exception for this one.
    #[inline]
    pub(crate) fn has_exception(self) -> bool {
        self.pending().exception
    }

    /// The interpreter that the thread is attached to.
    #[inline]
    pub(crate) fn py(self) -> Python<'py> {
        self.attached
    }
}

/// What this thread must do before its next bytecode.
#[inline]
pub(crate) fn pending(py: Python<'_>) -> Pending {
    ThisThread::new(py).pending()
}

/// A Python function that does nothing. When it is called, the interpreter first raises a pending exception.
static NOTHING: Lazy<Py<PyAny>> = Lazy::new();

/// Makes the function above in advance, because nothing can be made while the interpreter is ending.
///
/// # Errors
/// MemoryError.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    NOTHING
        .get_or_make(|| {
            let nothing = py.eval(c"lambda: None", Some(&PyDict::new(py)), None)?;
            Ok(nothing.unbind())
        })
        .map(drop)
}

/// Lets the interpreter raise the exception that another thread has set for this one, if there is one.
///
/// # Errors
/// That exception, or another one that the interpreter raises there.
#[cold]
pub(crate) fn raise(py: Python<'_>) -> PyResult<()> {
    let Some(nothing) = NOTHING.get() else {
        return Ok(());
    };
    match foreign::call(nothing.bind(py), &PyTuple::empty(py), None) {
        Ok(_) => Ok(()),
        Err(error) => {
            // Remove the frame of that function: it is of no use to a reader.
            if let Some(traceback) = error.traceback(py) {
                let rest = traceback.getattr("tb_next").ok();
                error.set_traceback(py, rest.and_then(|rest| rest.cast_into().ok()));
            }
            Err(error)
        }
    }
}

/// Calls the handlers of the signals that have arrived, and raises the exception that another thread has set.
///
/// # Errors
/// What is raised.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    foreign::check_signals(py)?;
    let pending = pending(py);
    // The sign of remote code is also that of a thread that wants to stop all others, and may be left from that. To
    // run bytecode removes it.
    if pending.exception || pending.remote {
        raise(py)
    } else {
        Ok(())
    }
}
