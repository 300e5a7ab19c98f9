//! Waiters that are notified one by one, in the order in which they came.
//!
//! The lock that goes with a condition belongs to its user. A waiting thread joins the list, releases the
//! lock, sleeps, and takes the lock again. The notifying thread holds the lock. So its notification comes
//! either before the waiter has joined the list, or finds the waiter there.

use std::ops::Deref;

use super::FellBack;
use crate::wait::observe::{self, Resource};
use crate::wait::sync::{Arc, Flagged, Ordering};
use crate::wait::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// New waits go elsewhere: see [`Condition::fall_back`].
const FELL_BACK: u8 = 1;

/// A condition variable without its lock.
pub struct Condition {
    waiters: Flagged<WaiterList>,
}

impl Condition {
    /// Creates a condition without waiters.
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(WaiterList::new()),
        }
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.waiters.lock().len()
    }

    /// Whether there are no waiters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the first waiter. Returns whether there was one.
    pub fn notify_one(&self) -> bool {
        let first = self.waiters.lock().pop();
        if first.is_none() {
            observe::missed(self);
        }
        first.map(|(waiter, ())| waiter.unpark()).is_some()
    }

    /// Wakes all present waiters.
    #[inline]
    pub fn notify_all(&self) {
        let mut wakes = Wakes::new();
        let mut waiters = self.waiters.lock();
        if waiters.is_empty() {
            drop(waiters);
            observe::missed(self);
        } else {
            waiters.drain(&mut wakes);
        }
    }

    /// Wakes the waiter with this ticket. Returns whether it was still waiting.
    pub fn notify_waiter(&self, ticket: Ticket) -> bool {
        let taken = self.waiters.lock().take(ticket);
        taken.map(|(waiter, ())| waiter.unpark()).is_some()
    }

    /// Whether the waiter with this ticket is waiting.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiters.lock().contains(ticket)
    }

    /// Sends new waits elsewhere. Present waits stay. The returned tickets, in the order of arrival, let the
    /// other implementation notify them one by one. `None` if the condition had fallen back before.
    pub fn fall_back(&self) -> Option<Vec<Ticket>> {
        let waiters = self.waiters.lock();
        let before = self.waiters.flags().fetch_or(FELL_BACK, Ordering::Release);
        (before & FELL_BACK == 0).then(|| waiters.tickets())
    }

    /// Whether [`Condition::fall_back`] was called.
    #[inline]
    pub fn has_fallen_back(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & FELL_BACK != 0
    }

    /// Forgets all waiters: for a forked child.
    pub fn reset(&self) {
        let mut waiters = self.waiters.lock();
        while waiters.pop().is_some() {}
    }

    /// The operation that waits for a notification.
    pub fn wait(&self) -> WaitNotified<&Self> {
        WaitNotified::new(self)
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        observe::gone(self);
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait for a notification.
///
/// `C`: a reference to the condition, or whatever else keeps it alive.
pub struct WaitNotified<C> {
    condition: C,
    ticket: Ticket,
    /// The wait has been in the list. It then stays here even if the condition falls back.
    begun: bool,
    /// It is in the list, or was notified there, although its thread has been woken.
    stays: bool,
}

impl<C> WaitNotified<C> {
    /// The wait that has not begun.
    pub fn new(condition: C) -> Self {
        Self {
            condition,
            ticket: Ticket::next(),
            begun: false,
            stays: false,
        }
    }

    /// The ticket by which [`Condition::fall_back`] and [`Condition::notify_waiter`] know this wait.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl<C: Deref<Target = Condition>> Operation for WaitNotified<C> {
    type Output = Result<(), FellBack>;

    fn resource(&self) -> Resource {
        Resource::new("Condition", &*self.condition)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut waiters = self.condition.waiters.lock();
        if !self.begun && self.condition.has_fallen_back() {
            return Some(Err(FellBack));
        }
        self.begun = true;
        if std::mem::take(&mut self.stays) {
            // Else it was notified since it was woken.
            return (!waiters.contains(self.ticket)).then_some(Ok(()));
        }
        waiters.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        let mut waiters = self.condition.waiters.lock();
        // Woken, but not notified. It attempts again at once, with the same waiter. If it left the list until then, it
        // would miss a notification.
        if parked == Parked::Unparked && waiters.contains(self.ticket) {
            self.stays = true;
            return None;
        }
        match waiters.leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.stays = false;
        if self.leave(Parked::Raising).is_some() {
            self.condition.notify_one();
        }
        None
    }
}
