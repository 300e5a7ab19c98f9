//! A flag that threads wait for.

use super::Retired;
use super::sync::{Arc, Flagged, FlaggedGuard, Ordering};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

const SET: u8 = 1;
/// Waiting goes on elsewhere: see [`Event::retire`].
const RETIRED: u8 = 2;

/// See [`Event::set_far_off`].
const FAR_OFF: u8 = 4;

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
    ///
    /// # Errors
    /// [`Retired`], and nothing is changed: those who wait elsewhere have to hear of it too.
    #[inline]
    pub fn set(&self) -> Result<(), Retired> {
        let waiters = self.waiters.lock();
        if self.is_retired() {
            return Err(Retired);
        }
        self.set_flag(waiters);
        Ok(())
    }

    /// Clears the flag. Waits that were completed stay so.
    ///
    /// # Errors
    /// [`Retired`], and nothing is changed.
    #[inline]
    pub fn clear(&self) -> Result<(), Retired> {
        // Under the leaf lock, so that it falls wholly before or after a `set`.
        let _waiters = self.waiters.lock();
        if self.is_retired() {
            return Err(Retired);
        }
        self.waiters.flags().fetch_and(!SET, Ordering::Release);
        Ok(())
    }

    /// Sets or clears the flag, retired or not: for the implementation that has taken over.
    pub fn overwrite(&self, set: bool) {
        let waiters = self.waiters.lock();
        if set {
            self.set_flag(waiters);
        } else {
            self.waiters.flags().fetch_and(!SET, Ordering::Release);
        }
    }

    #[inline]
    fn set_flag(&self, mut waiters: FlaggedGuard<'_, Waiters>) {
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

    /// Gives up waiting here: later operations end as [`Retired`]. The flag remains, and
    /// overwriting it still completes the waits that had begun: a `set` that is cleared at once
    /// would be lost on them if they moved elsewhere. `false` if that was done before.
    pub fn retire(&self) -> bool {
        let _waiters = self.waiters.lock();
        self.waiters.flags().fetch_or(RETIRED, Ordering::Release) & RETIRED == 0
    }

    /// Whether [`Event::retire`] was called.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & RETIRED != 0
    }

    /// Tells that the flag will be set later than a thread had better wait for without sleeping.
    pub fn set_far_off(&self) {
        self.waiters.flags().fetch_or(FAR_OFF, Ordering::Relaxed);
    }

    /// Whether [`Event::set_far_off`] was called.
    pub fn is_far_off(&self) -> bool {
        self.waiters.flags().load(Ordering::Relaxed) & FAR_OFF != 0
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
