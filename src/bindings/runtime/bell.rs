//! A descriptor that is readable or not, as this process decides.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::raw::c_int;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// The OSError, with its number.
pub(crate) fn os_error(error: &io::Error) -> PyErr {
    let number = error.raw_os_error().unwrap_or_default();
    let message = error.to_string();
    let suffix = format!(" (os error {number})");
    let message = message.strip_suffix(&suffix).unwrap_or(&message);
    PyOSError::new_err((number, message.to_owned()))
}

/// Readable after [`Bell::ring`], until [`Bell::silence`].
pub(crate) struct Bell {
    /// What is polled.
    listened: OwnedFd,
    /// What is written to; `None`: the same.
    rung: Option<OwnedFd>,
}

impl Bell {
    /// # Errors
    /// OSError, if the system has no more descriptors.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> PyResult<Self> {
        // SAFETY: it has no precondition.
        let number = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if number < 0 {
            return Err(os_error(&io::Error::last_os_error()));
        }
        // SAFETY: the call has opened it, and nobody else has it.
        let listened = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Self {
            listened,
            rung: None,
        })
    }

    /// # Errors
    /// OSError, if the system has no more descriptors.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> PyResult<Self> {
        let mut ends = [0; 2];
        // SAFETY: it is an array of two numbers, which the function sets.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
            return Err(os_error(&io::Error::last_os_error()));
        }
        // SAFETY: the call has opened both, and nobody else has them.
        let [listened, rung] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        for end in [&listened, &rung] {
            for (command, flag) in [
                (libc::F_SETFL, libc::O_NONBLOCK),
                (libc::F_SETFD, libc::FD_CLOEXEC),
            ] {
                // SAFETY: it is an open file, and the flag is one of those that the command sets.
                if unsafe { libc::fcntl(end.as_raw_fd(), command, flag) } != 0 {
                    return Err(os_error(&io::Error::last_os_error()));
                }
            }
        }
        Ok(Self {
            listened,
            rung: Some(rung),
        })
    }

    /// The descriptor to poll.
    pub(crate) fn number(&self) -> c_int {
        self.listened.as_raw_fd()
    }

    /// Makes it readable. It does not block.
    pub(crate) fn ring(&self) {
        // What an eventfd adds to its counter, and what is as good as any other byte in a pipe.
        let one = 1_u64.to_ne_bytes();
        let end = self.rung.as_ref().unwrap_or(&self.listened);
        // It can fail only if it is readable already: the counter or the pipe is full.
        // SAFETY: it is an open file, and so many bytes that are alive.
        unsafe { libc::write(end.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it not readable. It does not block.
    pub(crate) fn silence(&self) {
        let mut bytes = [0_u8; 64];
        loop {
            // SAFETY: it is an open file, and so many bytes that nothing else uses.
            let read = unsafe { libc::read(self.number(), bytes.as_mut_ptr().cast(), bytes.len()) };
            // An eventfd is empty after one read of its eight bytes.
            if usize::try_from(read).is_ok_and(|read| read < bytes.len()) || read < 0 {
                return;
            }
        }
    }
}
