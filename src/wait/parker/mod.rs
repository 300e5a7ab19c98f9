//! How a thread sleeps until it is woken.

use std::io;

use super::Parked;
use super::deadline::Deadline;

/// The place where one thread sleeps. Every thread that has the waiter can wake it.
pub(super) trait Park {
    /// Whether a signal ends a sleep immediately. If not, a sleep ends now and then, so that its owner can
    /// look for signals.
    const REPORTS_SIGNALS: bool;

    /// Its name, for people.
    const NAME: &'static str;

    /// Whether threads can sleep here. If not, the error of the operating system.
    fn check() -> io::Result<()> {
        Ok(())
    }

    /// Creates a parker whose owner does not sleep, with no `unpark` pending.
    fn new() -> Self;

    /// Sleeps until [`Park::unpark`] or another reason to go on. If `unpark` came before, returns
    /// immediately.
    fn park(&self, deadline: Deadline) -> Parked;

    /// Whether the next `park` would return immediately. Only the owner may ask.
    fn is_notified(&self) -> bool;

    /// Ends the present `park`, or the next.
    fn unpark(&self);
}

// `--cfg portable_parker` builds the parker of the other platforms on Linux, so that it can be tested there.
#[cfg(all(target_os = "linux", not(any(loom, portable_parker))))]
mod futex;
#[cfg(all(target_os = "linux", not(any(loom, portable_parker))))]
pub(super) use futex::Parker;

#[cfg(all(not(all(target_os = "linux", not(portable_parker))), not(loom)))]
mod portable;
#[cfg(all(not(all(target_os = "linux", not(portable_parker))), not(loom)))]
pub(super) use portable::Parker;

#[cfg(loom)]
mod loom;
#[cfg(loom)]
pub(super) use self::loom::Parker;

/// Whether a signal ends a sleep immediately. If not, a sleep ends now and then, so that its owner can look
/// for signals.
pub const REPORTS_SIGNALS: bool = <Parker as Park>::REPORTS_SIGNALS;

/// The name of the parker, for people.
pub const PARKER: &str = <Parker as Park>::NAME;

/// Whether threads can sleep here. A sandbox may forbid the system call for that.
///
/// # Errors
/// What the operating system says if they cannot.
pub fn can_sleep() -> io::Result<()> {
    <Parker as Park>::check()
}
