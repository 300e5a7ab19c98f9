//! The end of a process with that of its parent.

use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::diagnostics::watcher::block_signals;

/// From now on, this process ends when the other end of the socket or pipe is closed. Returns False where a system
/// cannot wait for that.
///
/// Another thread waits, which needs no GIL: a call that has the GIL does not keep the process from ending.
///
/// Raises:
///     RuntimeError: there is no thread.
#[pyfunction]
pub(crate) fn end_with(descriptor: i32) -> PyResult<bool> {
    if !cfg!(unix) {
        return Ok(false);
    }
    thread::Builder::new()
        .name("oxthreads end".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            block_signals();
            wait_and_exit(descriptor);
        })
        .map(|_| true)
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

#[cfg(unix)]
fn wait_and_exit(descriptor: i32) {
    let mut file = libc::pollfd {
        fd: descriptor,
        // Nothing is sent there. Some systems tell of the end only those who wait for something.
        events: libc::POLLIN | libc::POLLHUP,
        revents: 0,
    };
    loop {
        // SAFETY: it is one element, which lives during the call.
        if unsafe { libc::poll(&raw mut file, 1, -1) } > 0 {
            // SAFETY: it has no precondition. No destructor runs, which the threads that run could not bear.
            unsafe { libc::_exit(1) }
        }
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return;
        }
    }
}

#[cfg(not(unix))]
fn wait_and_exit(_descriptor: i32) {}
