//! The parker elsewhere, and under loom: a mutex and a condition variable of the waiter's own.
//!
//! They do not tell of signals, so a sleep is cut into slices, at whose ends the owner may look.

#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, PoisonError};
#[cfg(not(loom))]
use std::time::Duration;

#[cfg(loom)]
use super::super::sync::{Condvar, Mutex};

use super::super::deadline::Deadline;
use super::Parked;

/// Whether a signal ends a sleep at once; otherwise a sleep ends now and then, for its owner to look.
pub const TELLS_OF_SIGNALS: bool = false;

/// The longest that a signal can go unnoticed.
#[cfg(not(loom))]
const SLICE: Duration = Duration::from_millis(100);

pub(super) struct Parker {
    notified: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    pub(super) fn new() -> Self {
        Self {
            notified: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    #[cfg(not(loom))]
    pub(super) fn park(&self, deadline: Deadline) -> Parked {
        let remaining = deadline.remaining();
        let slice = remaining.map_or(SLICE, |left| left.min(SLICE));
        let notified = self.notified.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut notified, _) = self
            .changed
            .wait_timeout_while(notified, slice, |notified| !*notified)
            .unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *notified) {
            Parked::Unparked
        } else if remaining.is_some_and(|left| left <= slice) {
            Parked::TimedOut
        } else {
            Parked::Interrupted
        }
    }

    #[cfg(loom)]
    pub(super) fn park(&self, deadline: Deadline) -> Parked {
        // loom has no clock: a wait with a deadline may end at any point, so it ends at once.
        let mut notified = self.notified.lock();
        while !*notified {
            if deadline != Deadline::NEVER {
                return Parked::TimedOut;
            }
            notified = self.changed.wait(notified).expect("poisoned in a model");
        }
        *notified = false;
        Parked::Unparked
    }

    /// While somebody else has the mutex it is not known, and "no" does no harm.
    #[cfg(not(loom))]
    pub(super) fn is_notified(&self) -> bool {
        self.notified.try_lock().is_ok_and(|notified| *notified)
    }

    #[cfg(loom)]
    pub(super) fn is_notified(&self) -> bool {
        *self.notified.lock()
    }

    pub(super) fn unpark(&self) {
        #[cfg(not(loom))]
        let mut notified = self.notified.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(loom)]
        let mut notified = self.notified.lock();
        *notified = true;
        // While the mutex is held: the waker has an `Arc` of the waiter, so it cannot be gone.
        self.changed.notify_one();
    }
}
