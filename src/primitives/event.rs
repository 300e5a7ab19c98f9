//! A flag that threads wait for.

use super::Retired;
use super::sync::{Arc, Flagged, Ordering};
use super::waiter::{Operation, Ticket, Waiter, WaiterList, Wakes};

const SET: u8 = 1;
/// Waiting goes on elsewhere: see [`Event::retire`].
const RETIRED: u8 = 2;

/// A flag, clear at first.
pub struct Event {
    waiters: Flagged<WaiterList>,
}

impl Event {
    /// Clear.
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(WaiterList::new()),
        }
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & SET != 0
    }

    /// Sets the flag and completes every wait that had begun.
    #[inline]
    pub fn set(&self) {
        let mut waiters = self.waiters.lock();
        self.waiters.flags().fetch_or(SET, Ordering::Release);
        if waiters.is_empty() {
            return;
        }
        let mut wakes = Wakes::new();
        waiters.drain(&mut wakes);
        drop(waiters);
        wakes.wake();
    }

    /// Clears the flag. Waits that were completed stay so.
    #[inline]
    pub fn clear(&self) {
        // Under the leaf lock, so that it falls wholly before or after a `set`.
        let _waiters = self.waiters.lock();
        self.waiters.flags().fetch_and(!SET, Ordering::Release);
    }

    /// Gives up waiting here: present and later waits end as [`Retired`]. The flag remains.
    pub fn retire(&self) {
        let mut wakes = Wakes::new();
        let waiters = self.waiters.lock();
        self.waiters.flags().fetch_or(RETIRED, Ordering::Release);
        waiters.poke(&mut wakes);
        drop(waiters);
        wakes.wake();
    }

    /// Whether [`Event::retire`] was called.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & RETIRED != 0
    }

    /// The wait for the flag.
    pub fn wait(&self) -> WaitSet<'_> {
        WaitSet {
            event: self,
            ticket: Ticket::next(),
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait for the flag.
pub struct WaitSet<'a> {
    event: &'a Event,
    ticket: Ticket,
}

impl Operation for WaitSet<'_> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut waiters = self.event.waiters.lock();
        if self.event.is_set() {
            return Some(Ok(()));
        }
        if self.event.is_retired() {
            return Some(Err(Retired));
        }
        waiters.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self) -> Option<Self::Output> {
        match self.event.waiters.lock().leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }
}
