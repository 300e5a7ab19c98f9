//! How uvloop is woken by another thread without a GIL, where its `call_soon_threadsafe` is not safe: by a byte in a pair
//! of sockets, which its own thread reads.

use pyo3::prelude::*;

#[cfg(all(unix, Py_GIL_DISABLED))]
use std::io::{Read, Write};
#[cfg(all(unix, Py_GIL_DISABLED))]
use std::os::fd::AsRawFd;
#[cfg(all(unix, Py_GIL_DISABLED))]
use std::os::unix::net::UnixStream;

/// A pair of sockets that wakes one event loop.
#[cfg(all(unix, Py_GIL_DISABLED))]
pub(super) struct Bell {
    readable: UnixStream,
    writable: UnixStream,
}

#[cfg(all(unix, Py_GIL_DISABLED))]
impl Bell {
    /// One for a loop that needs it.
    ///
    /// # Errors
    /// OSError.
    pub(super) fn for_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let mut classes = event_loop.get_type().mro().iter();
        let is_uvloop = classes.any(|class| {
            let module = class.getattr("__module__");
            module.is_ok_and(|name| {
                name.extract::<String>()
                    .is_ok_and(|name| name.starts_with("uvloop"))
            })
        });
        if !is_uvloop {
            return Ok(None);
        }
        let (readable, writable) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        Ok(Some(Self { readable, writable }))
    }

    /// The file descriptor that the loop must watch.
    pub(super) fn readable(&self) -> i32 {
        self.readable.as_raw_fd()
    }

    /// Wakes the loop.
    pub(super) fn ring(&self) {
        // If it is full, the loop has not looked yet.
        let _ = (&self.writable).write(&[0]);
    }

    /// Takes out what was written.
    pub(super) fn silence(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.readable).read(&mut bytes), Ok(64)) {}
    }
}

/// No loop needs one here.
#[cfg(not(all(unix, Py_GIL_DISABLED)))]
pub(super) enum Bell {}

#[cfg(not(all(unix, Py_GIL_DISABLED)))]
impl Bell {
    #[allow(clippy::unnecessary_wraps, reason = "as on the free-threaded build")]
    pub(super) fn for_loop(_event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        Ok(None)
    }

    pub(super) fn readable(&self) -> i32 {
        match *self {}
    }

    pub(super) fn ring(&self) {
        match *self {}
    }

    pub(super) fn silence(&self) {
        match *self {}
    }
}
