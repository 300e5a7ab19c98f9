//! Waits for sockets and other files, by `poll`.
//!
//! A thread that waits for a file and for other objects does not sleep on the word of its waiter, but in `poll`. Who
//! completes an arm of such a wait wakes it through a descriptor of its own.

use std::os::raw::c_int;

#[cfg(unix)]
pub(crate) use unix::{Readable, Sleep, check, is_readable};

#[cfg(not(unix))]
pub(crate) use elsewhere::{Readable, Sleep, check, is_readable};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::time::Duration;

    use pyo3::prelude::*;

    use super::c_int;
    use crate::bindings::runtime::block;
    use crate::bindings::waiting::bell::{Bell, os_error};
    use crate::bindings::waiting::source::Outcome;
    use crate::wait::deadline::Deadline;
    use crate::wait::observe::Resource;
    use crate::wait::sync::Arc;
    use crate::wait::{Parked, Waiter, Wake};

    /// Every file can be polled here.
    pub(crate) fn check(_object: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(())
    }

    /// Polls for reading. Returns how many files are ready, and which.
    fn poll(files: &mut [libc::pollfd], timeout: c_int) -> io::Result<usize> {
        let count = libc::nfds_t::try_from(files.len()).unwrap_or(libc::nfds_t::MAX);
        // SAFETY: it is an array of so many elements, which nothing else uses.
        let ready = unsafe { libc::poll(files.as_mut_ptr(), count, timeout) };
        usize::try_from(ready).map_err(|_| io::Error::last_os_error())
    }

    fn entry(number: c_int) -> libc::pollfd {
        libc::pollfd {
            fd: number,
            events: libc::POLLIN,
            revents: 0,
        }
    }

    /// Whether a read of the file would not wait: there is something to read, or the end, or an error.
    ///
    /// # Errors
    /// OSError, if it is no open file.
    pub(crate) fn is_readable(number: c_int) -> PyResult<bool> {
        let mut files = [entry(number)];
        loop {
            match poll(&mut files, 0) {
                Ok(0) => return Ok(false),
                Ok(_) if files[0].revents & libc::POLLNVAL != 0 => {
                    return Err(os_error(&io::Error::from_raw_os_error(libc::EBADF)));
                }
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(os_error(&error)),
            }
        }
    }

    /// The wait until a file is readable.
    pub(crate) struct Readable(c_int);

    impl Readable {
        pub(crate) fn new(number: c_int) -> Self {
            Self(number)
        }
    }

    impl crate::wait::Operation for Readable {
        type Output = Outcome;

        fn resource(&self) -> Resource {
            Resource::new("file", self)
        }

        fn attempt(&mut self, _waiter: &Arc<Waiter>) -> Option<Outcome> {
            match is_readable(self.0) {
                Ok(false) => None,
                Ok(true) => Some(Outcome::Done),
                Err(error) => Some(Outcome::Failed(error)),
            }
        }

        fn leave(&mut self, _parked: Parked) -> Option<Outcome> {
            // The next attempt asks again.
            None
        }

        fn abandon(&mut self) -> Option<Outcome> {
            None
        }
    }

    /// Rings the bell when an arm is completed.
    struct Ringing(Arc<Bell>);

    impl Wake for Ringing {
        fn claim(&self) -> bool {
            true
        }

        fn wake(&self) {
            self.0.ring();
        }
    }

    /// How the thread sleeps: in `poll`, if there are files.
    pub(crate) struct Sleep {
        polled: Option<Polled>,
    }

    struct Polled {
        bell: Arc<Bell>,
        files: Vec<libc::pollfd>,
    }

    impl Sleep {
        /// # Errors
        /// OSError, if the system has no more descriptors.
        pub(crate) fn new(files: impl Iterator<Item = c_int>) -> PyResult<Self> {
            let mut files: Vec<_> = files.map(entry).collect();
            if files.is_empty() {
                return Ok(Self { polled: None });
            }
            let bell = Arc::new(Bell::new()?);
            files.push(entry(bell.number()));
            Ok(Self {
                polled: Some(Polled { bell, files }),
            })
        }

        /// Whom the arms wake, if not the waiter of the thread.
        pub(crate) fn target(&self) -> Option<Arc<Waiter>> {
            let polled = self.polled.as_ref()?;
            Some(Waiter::of(Ringing(Arc::clone(&polled.bell))))
        }
    }

    impl block::Sleep for Sleep {
        fn may_spin(&self) -> bool {
            self.polled.is_none()
        }

        fn park(&mut self, waiter: &Waiter, deadline: Deadline) -> Parked {
            let Some(polled) = &mut self.polled else {
                return waiter.park(deadline);
            };
            // Rounded up, so that the deadline has passed afterwards. A longer sleep is cut.
            let timeout = match deadline.remaining() {
                None => -1,
                Some(left) => {
                    let left = left + Duration::from_nanos(999_999);
                    c_int::try_from(left.as_millis()).unwrap_or(c_int::MAX)
                }
            };
            match poll(&mut polled.files, timeout) {
                Ok(0) if deadline.has_passed() => Parked::TimedOut,
                Ok(_) => {
                    polled.bell.silence();
                    Parked::Unparked
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Parked::Interrupted,
                // The next attempt finds out which file it is.
                Err(_) => Parked::Unparked,
            }
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::convert::Infallible;

    use pyo3::exceptions::PyNotImplementedError;
    use pyo3::prelude::*;

    use super::c_int;
    use crate::bindings::runtime::block;
    use crate::bindings::waiting::source::Outcome;
    use crate::wait::deadline::Deadline;
    use crate::wait::observe::Resource;
    use crate::wait::sync::Arc;
    use crate::wait::{Parked, Waiter};

    /// No file can be waited for here.
    ///
    /// # Errors
    /// NotImplementedError.
    pub(crate) fn check(_object: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(
            "select() cannot wait for sockets and files on this platform",
        ))
    }

    /// Never called: see [`check`].
    pub(crate) fn is_readable(_number: c_int) -> PyResult<bool> {
        Ok(false)
    }

    /// Never made: see [`check`].
    pub(crate) struct Readable(Infallible);

    impl Readable {
        pub(crate) fn new(_number: c_int) -> Self {
            unreachable!("`check` refuses files")
        }
    }

    impl crate::wait::Operation for Readable {
        type Output = Outcome;

        fn resource(&self) -> Resource {
            match self.0 {}
        }

        fn attempt(&mut self, _waiter: &Arc<Waiter>) -> Option<Outcome> {
            match self.0 {}
        }

        fn leave(&mut self, _parked: Parked) -> Option<Outcome> {
            match self.0 {}
        }

        fn abandon(&mut self) -> Option<Outcome> {
            match self.0 {}
        }
    }

    /// How the thread sleeps: on its waiter.
    pub(crate) struct Sleep;

    impl Sleep {
        pub(crate) fn new(_files: impl Iterator<Item = c_int>) -> PyResult<Self> {
            Ok(Self)
        }

        pub(crate) fn target(&self) -> Option<Arc<Waiter>> {
            None
        }
    }

    impl block::Sleep for Sleep {
        fn may_spin(&self) -> bool {
            true
        }

        fn park(&mut self, waiter: &Waiter, deadline: Deadline) -> Parked {
            waiter.park(deadline)
        }
    }
}
