//! The parker in the models: loom's mutex and condition variable.

use super::super::Parked;
use super::super::deadline::Deadline;
use super::super::sync::{Condvar, Mutex};
use super::Park;

pub(in crate::wait) struct Parker {
    notified: Mutex<bool>,
    changed: Condvar,
}

impl Park for Parker {
    const REPORTS_SIGNALS: bool = false;
    const NAME: &'static str = "loom";

    fn new() -> Self {
        Self {
            notified: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    fn park(&self, deadline: Deadline) -> Parked {
        // loom has no clock. A wait with a deadline may end at any point, so it ends immediately.
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

    fn is_notified(&self) -> bool {
        *self.notified.lock()
    }

    fn unpark(&self) {
        let mut notified = self.notified.lock();
        *notified = true;
        // Notify while the mutex is held. The parker cannot be gone by then, because the waker has an `Arc`
        // of the waiter.
        self.changed.notify_one();
    }
}
