//! The parker on Linux: one word and the `futex` system call. It uses the raw call because that reports a
//! signal (`EINTR`) immediately; parking_lot and `std` hide the signal and wait again.

use std::ffi::c_long;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

use super::super::Parked;
use super::super::deadline::Deadline;
use super::Park;

/// The owner does not sleep, and no `unpark` is pending.
const EMPTY: u32 = 0;
/// The owner sleeps, or is about to.
const PARKED: u32 = 1;
/// An `unpark` has come that no `park` has seen yet.
const NOTIFIED: u32 = 2;

/// Where the kernel refuses the system call: how often a thread looks at its word, and how long a signal can stay
/// unnoticed.
const LOOK: Duration = Duration::from_millis(1);
const SLICE: Duration = Duration::from_millis(100);

pub(in crate::wait) struct Parker {
    word: AtomicU32,
}

impl Park for Parker {
    const REPORTS_SIGNALS: bool = true;
    const NAME: &'static str = "futex";

    fn check() -> io::Result<()> {
        let word = AtomicU32::new(EMPTY);
        wake(&word)?;
        match wait(&word, PARKED, Some(Duration::ZERO)) {
            // The word has another value than a sleep would need.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(()),
            outcome => outcome,
        }
    }

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
            // An error means that nobody can sleep there: see `look`.
            let _ = wake(&self.word);
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

/// One sleep. `None`: it was woken, the word had changed, or the wake was spurious.
fn sleep(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Option<Parked> {
    match wait(word, expected, timeout).err()?.raw_os_error() {
        Some(libc::EAGAIN) => None,
        Some(libc::ETIMEDOUT) => Some(Parked::TimedOut),
        Some(libc::EINTR) => Some(Parked::Interrupted),
        _ => look(word, expected, timeout),
    }
}

/// A sleep without the system call. The kernel refuses it if the process has entered a sandbox since
/// [`Park::check`].
#[cold]
fn look(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Option<Parked> {
    let slice = timeout.map_or(SLICE, |left| left.min(SLICE));
    let begin = Instant::now();
    while word.load(Ordering::Relaxed) == expected {
        let Some(left) = slice
            .checked_sub(begin.elapsed())
            .filter(|left| !left.is_zero())
        else {
            let is_over = timeout.is_some_and(|left| left <= SLICE);
            return Some(if is_over {
                Parked::TimedOut
            } else {
                Parked::Interrupted
            });
        };
        thread::sleep(left.min(LOOK));
    }
    None
}

/// One FUTEX_WAIT.
fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|left| KernelTimespec {
        _seconds: c_long::try_from(left.as_secs()).unwrap_or(c_long::MAX),
        _nanoseconds: left.subsec_nanos().cast_signed().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word outlives the call, because it is borrowed, and `timeout` is null or points to two
    // longs that live until the end of this function. FUTEX_WAIT reads both, and writes neither.
    result(unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
        )
    })
}

/// One FUTEX_WAKE.
fn wake(word: &AtomicU32) -> io::Result<()> {
    // SAFETY: FUTEX_WAKE takes the word's address as a name, reads nothing there, and wakes no thread if none
    // sleeps.
    result(unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    })
}

/// What a system call has returned, and its error.
fn result(returned: c_long) -> io::Result<()> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
