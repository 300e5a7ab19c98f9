//! The parker on Linux: one word and the `futex` system call. It uses the raw call because that reports a
//! signal (`EINTR`) immediately; parking_lot and `std` hide the signal and wait again.

use std::ffi::c_long;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::Parked;
use super::super::deadline::Deadline;
use super::Park;

/// The owner does not sleep, and no `unpark` is pending.
const EMPTY: u32 = 0;
/// The owner sleeps, or is about to.
const PARKED: u32 = 1;
/// An `unpark` has come that no `park` has seen yet.
const NOTIFIED: u32 = 2;

pub(in crate::wait) struct Parker {
    word: AtomicU32,
}

impl Park for Parker {
    const REPORTS_SIGNALS: bool = true;

    fn new() -> Self {
        Self {
            word: AtomicU32::new(EMPTY),
        }
    }

    fn park(&self, deadline: Deadline) -> Parked {
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
            // An `unpark` may come between the load above and this exchange: then it wins.
            return match self.exchange(PARKED, EMPTY) {
                Ok(_) => reason,
                Err(_) => {
                    self.word.store(EMPTY, Ordering::Relaxed);
                    Parked::Unparked
                }
            };
        }
    }

    fn is_notified(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NOTIFIED
    }

    fn unpark(&self) {
        if self.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            // SAFETY: FUTEX_WAKE takes the word's address as a name, reads nothing there, and wakes no thread
            // if none sleeps.
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
}

impl Parker {
    fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.word
            .compare_exchange(from, to, Ordering::Acquire, Ordering::Acquire)
    }
}

/// A time as `SYS_futex` takes it: two longs, whatever size the C library's `time_t` has.
#[repr(C)]
struct KernelTimespec {
    _seconds: c_long,
    _nanoseconds: c_long,
}

/// One FUTEX_WAIT. `None`: it was woken, the word had changed, or the wake was spurious.
fn sleep(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Option<Parked> {
    let timeout = timeout.map(|left| KernelTimespec {
        _seconds: c_long::try_from(left.as_secs()).unwrap_or(c_long::MAX),
        _nanoseconds: left.subsec_nanos().cast_signed().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word outlives the call, because it is borrowed, and `timeout` is null or points to two
    // longs that live until the end of this function. FUTEX_WAIT reads both, and writes neither.
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
