//! The parker on Linux: one word and the `futex` system call, used raw because it reports a
//! signal (`EINTR`) at once, which parking_lot and `std` hide by waiting again.

use std::ffi::c_long;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::deadline::Deadline;
use super::Parked;

/// Whether a signal ends a sleep at once; otherwise a sleep ends now and then, for its owner to look.
pub const TELLS_OF_SIGNALS: bool = true;

/// Nobody sleeps, nobody has called.
const EMPTY: u32 = 0;
/// The owner sleeps, or is about to.
const PARKED: u32 = 1;
/// An `unpark` has come that no `park` has seen.
const NOTIFIED: u32 = 2;

pub(super) struct Parker {
    word: AtomicU32,
}

impl Parker {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU32::new(EMPTY),
        }
    }

    pub(super) fn park(&self, deadline: Deadline) -> Parked {
        if self.exchange(EMPTY, PARKED).is_err() {
            self.word.store(EMPTY, Ordering::Relaxed);
            return Parked::Unparked;
        }
        loop {
            let reason = sleep(&self.word, PARKED, deadline.remaining());
            if self.word.load(Ordering::Acquire) == NOTIFIED {
                self.word.store(EMPTY, Ordering::Relaxed);
                return Parked::Unparked;
            }
            let Some(reason) = reason else { continue };
            // An unpark may come between the look above and going: then it wins.
            return match self.exchange(PARKED, EMPTY) {
                Ok(_) => reason,
                Err(_) => {
                    self.word.store(EMPTY, Ordering::Relaxed);
                    Parked::Unparked
                }
            };
        }
    }

    pub(super) fn is_notified(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NOTIFIED
    }

    pub(super) fn unpark(&self) {
        if self.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            // SAFETY: FUTEX_WAKE takes the word's address as a name, reads nothing there, and wakes
            // nobody where nobody sleeps.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.word.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                );
            }
        }
    }

    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.word
            .compare_exchange(from, to, Ordering::Acquire, Ordering::Acquire)
    }
}

/// A time as `SYS_futex` takes it: two longs, whatever the C library's `time_t` has grown to.
#[repr(C)]
struct KernelTimespec {
    _seconds: c_long,
    _nanoseconds: c_long,
}

/// One FUTEX_WAIT. `None`: woken, or the word had changed, or for no reason.
fn sleep(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Option<Parked> {
    let timeout = timeout.map(|left| KernelTimespec {
        _seconds: c_long::try_from(left.as_secs()).unwrap_or(c_long::MAX),
        _nanoseconds: left.subsec_nanos().cast_signed().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word outlives the call, being borrowed, and `timeout` is null or points to two
    // longs that live until the end of this function; FUTEX_WAIT reads both, and writes neither.
    let status = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
        )
    };
    if status == 0 {
        return None;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Some(Parked::TimedOut),
        Some(libc::EINTR) => Some(Parked::Interrupted),
        _ => None,
    }
}
