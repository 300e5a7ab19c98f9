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
    use crate::bindings::runtime::bell::{Bell, os_error};
    use crate::bindings::runtime::block;
    use crate::bindings::waiting::source::Outcome;
    use crate::wait::deadline::Deadline;
    use crate::wait::observe::Resource;
    use crate::wait::sync::{Arc, Mutex};
    use crate::wait::{Parked, Waiter, Wake, generation};

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
            Resource {
                address: usize::try_from(self.0).unwrap_or_default(),
                ..Resource::new("file", self)
            }
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

    /// The bell of a sleeping thread. In a forked child it is another one, because both would hear the same.
    struct OwnBell(Mutex<(u32, Arc<Bell>)>);

    impl OwnBell {
        fn new() -> PyResult<Self> {
            Ok(Self(Mutex::new((generation(), Arc::new(Bell::new()?)))))
        }

        fn present(&self) -> Arc<Bell> {
            let mut own = self.0.lock();
            if own.0 != generation()
                && let Ok(bell) = Bell::new()
            {
                *own = (generation(), Arc::new(bell));
            }
            Arc::clone(&own.1)
        }
    }

    /// A waiter whose thread polls.
    struct Ringing(Arc<Bell>);

    impl Wake for Ringing {
        fn claim(&self) -> bool {
            true
        }

        fn wake(&self) {
            self.0.ring();
        }

        fn is_thread(&self) -> bool {
            true
        }
    }

    /// How the thread sleeps: in `poll`, if there are files.
    pub(crate) struct Sleep {
        polled: Option<Polled>,
    }

    struct Polled {
        bell: Arc<OwnBell>,
        /// The files, and the bell as the last one.
        files: Vec<libc::pollfd>,
        /// Why the files could not be polled.
        error: Option<io::Error>,
    }

    impl Sleep {
        /// # Errors
        /// OSError, if the system has no more descriptors.
        pub(crate) fn new(files: impl Iterator<Item = c_int>) -> PyResult<Self> {
            let mut files: Vec<_> = files.map(entry).collect();
            if files.is_empty() {
                return Ok(Self { polled: None });
            }
            files.push(entry(-1));
            Ok(Self {
                polled: Some(Polled {
                    bell: Arc::new(OwnBell::new()?),
                    files,
                    error: None,
                }),
            })
        }

        /// What makes the waiter of the thread, if it does not sleep as usual.
        pub(crate) fn waiter(&self) -> Option<impl Fn() -> Arc<Waiter> + Send + Sync + 'static> {
            let bell = Arc::clone(&self.polled.as_ref()?.bell);
            Some(move || Waiter::of(Ringing(bell.present())))
        }

        /// # Errors
        /// OSError, if the last sleep ended because the files could not be polled.
        pub(crate) fn check(&mut self) -> PyResult<()> {
            let error = self.polled.as_mut().and_then(|polled| polled.error.take());
            error.map_or(Ok(()), |error| Err(os_error(&error)))
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
            let bell = polled.bell.present();
            if let Some(last) = polled.files.last_mut() {
                last.fd = bell.number();
            }
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
                    bell.silence();
                    Parked::Unparked
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Parked::Interrupted,
                Err(error) => {
                    polled.error = Some(error);
                    Parked::TimedOut
                }
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

        pub(crate) fn waiter(&self) -> Option<fn() -> Arc<Waiter>> {
            None
        }

        pub(crate) fn check(&mut self) -> PyResult<()> {
            Ok(())
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
