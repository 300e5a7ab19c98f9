//! A flag that threads wait for.

use super::Retired;
use super::sync::{Arc, Flagged, Ordering};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

const SET: u8 = 1;
/// Waiting goes on elsewhere: see [`Event::retire`].
const RETIRED: u8 = 2;

/// A flag, clear at first.
pub struct Event {
    waiters: Flagged<Waiters>,
}

struct Waiters {
    list: WaiterList,
    /// Counts the calls of `set`, so that a waiter which was interrupted learns of one that came and
    /// was cleared again while it was in no list.
    sets: u32,
}

impl Event {
    /// Clear.
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(Waiters {
                list: WaiterList::new(),
                sets: 0,
            }),
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
        waiters.sets = waiters.sets.wrapping_add(1);
        if waiters.list.is_empty() {
            return;
        }
        let mut wakes = Wakes::new();
        waiters.list.drain(&mut wakes);
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

    /// Gives up waiting here: later waits end as [`Retired`]. The flag remains, and setting it
    /// still completes the waits that had begun: a `set` that is cleared at once would be lost on
    /// them if they moved elsewhere.
    pub fn retire(&self) {
        let _waiters = self.waiters.lock();
        self.waiters.flags().fetch_or(RETIRED, Ordering::Release);
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
            sets: None,
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
    /// How often the event had been set when the wait began.
    sets: Option<u32>,
}

impl Operation for WaitSet<'_> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut waiters = self.event.waiters.lock();
        if self.event.is_set() || self.sets.is_some_and(|sets| sets != waiters.sets) {
            return Some(Ok(()));
        }
        if self.sets.is_none() && self.event.is_retired() {
            return Some(Err(Retired));
        }
        self.sets = Some(waiters.sets);
        waiters.list.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        match self.event.waiters.lock().list.leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }
}
