//! The parker of platforms without `futex`: a mutex and a condition variable of the waiter's own.
//!
//! They do not report signals, so a sleep is cut into slices. The owner can look for signals after each.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::super::Parked;
use super::super::deadline::Deadline;
use super::Park;

/// The longest that a signal can stay unnoticed.
const SLICE: Duration = Duration::from_millis(100);

pub(in crate::wait) struct Parker {
    notified: Mutex<bool>,
    changed: Condvar,
}

impl Park for Parker {
    const REPORTS_SIGNALS: bool = false;
    const NAME: &'static str = "portable";

    fn new() -> Self {
        Self {
            notified: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    fn park(&self, deadline: Deadline) -> Parked {
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

    /// While another thread holds the mutex, the answer is not known. Then `false` does no harm.
    fn is_notified(&self) -> bool {
        self.notified.try_lock().is_ok_and(|notified| *notified)
    }

    fn unpark(&self) {
        let mut notified = self.notified.lock().unwrap_or_else(PoisonError::into_inner);
        *notified = true;
        // Notify while the mutex is held. The parker cannot be gone by then, because the waker has an `Arc`
        // of the waiter.
        self.changed.notify_one();
    }
}
