//! Waiters that are woken one by one, in the order they came.
//!
//! The lock that goes with a condition is its user's: who waits joins the list, gives up the lock,
//! sleeps, and takes the lock again. Whoever notifies holds the lock, so it comes either before the
//! waiter has joined, or finds it.

use super::Retired;
use super::sync::{Arc, Flagged, Ordering};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// New waits go elsewhere: see [`Condition::retire`].
const RETIRED: u8 = 1;

/// The waiters.
pub struct Condition {
    waiters: Flagged<WaiterList>,
}

impl Condition {
    /// Nobody waits.
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(WaiterList::new()),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.lock().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the waiter that came first, if there is one; whether there was.
    pub fn notify_one(&self) -> bool {
        let first = self.waiters.lock().pop();
        first.map(|(waiter, ())| waiter.unpark()).is_some()
    }

    /// Wakes all that wait now.
    #[inline]
    pub fn notify_all(&self) {
        let mut waiters = self.waiters.lock();
        if waiters.is_empty() {
            return;
        }
        let mut wakes = Wakes::new();
        waiters.drain(&mut wakes);
        drop(waiters);
        wakes.wake();
    }

    /// Wakes the one with this ticket; whether it was still waiting.
    pub fn notify_waiter(&self, ticket: Ticket) -> bool {
        let taken = self.waiters.lock().take(ticket);
        taken.map(|(waiter, ())| waiter.unpark()).is_some()
    }

    /// Whether this waiter is waiting.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiters.lock().contains(ticket)
    }

    /// Sends new waits elsewhere. Those that have begun stay, and can be notified one by one by the
    /// tickets that come out, in the order they came. `None` if that was done before.
    pub fn retire(&self) -> Option<Vec<Ticket>> {
        let waiters = self.waiters.lock();
        let before = self.waiters.flags().fetch_or(RETIRED, Ordering::Release);
        (before & RETIRED == 0).then(|| waiters.tickets())
    }

    /// Whether [`Condition::retire`] was called.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & RETIRED != 0
    }

    /// Nobody waits any more: for a forked child.
    pub fn reset(&self) {
        let mut waiters = self.waiters.lock();
        while waiters.pop().is_some() {}
    }

    /// The wait for a notification.
    pub fn wait(&self) -> WaitNotified<'_> {
        WaitNotified {
            condition: self,
            ticket: Ticket::next(),
            begun: false,
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait for a notification.
pub struct WaitNotified<'a> {
    condition: &'a Condition,
    ticket: Ticket,
    /// It has been in the list, and so is served here, whatever happens to the condition.
    begun: bool,
}

impl WaitNotified<'_> {
    /// What [`Condition::retire`] and [`Condition::notify_waiter`] know it by.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Operation for WaitNotified<'_> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut waiters = self.condition.waiters.lock();
        if !self.begun && self.condition.is_retired() {
            return Some(Err(Retired));
        }
        self.begun = true;
        waiters.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        match self.condition.waiters.lock().leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }
}
