//! The hand-off policy: when a waiter is handed what other threads could otherwise take first.
//!
//! A release frees a lock or a permit and wakes the first waiter, which then competes for it with threads
//! that pass by (*barging*). This keeps throughput high: a hand-off at each release would put a context
//! switch between any two owners. But a waiter that has lost such a race and has waited for
//! [`HAND_OFF_AFTER`] is handed what the next release frees, so no waiter starves. (The idea is WebKit's
//! "eventual fairness", 2016, as in parking_lot.)

use std::time::{Duration, Instant};

use super::{Ticket, Waiter};

/// How long a waiter competes before it is handed what it waits for.
pub const HAND_OFF_AFTER: Duration = Duration::from_millis(1);

/// When a waiter came, and what has happened to it since.
pub(crate) struct HandOff {
    ticket: Ticket,
    since: Instant,
    /// It was woken once, but another thread was faster.
    lost: bool,
    handed: bool,
}

impl HandOff {
    /// Creates the last place in the order of arrival.
    pub(crate) fn new() -> Self {
        Self {
            ticket: Ticket::next(),
            since: Instant::now(),
            lost: false,
            handed: false,
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Called when the waiter is about to join the list. Returns whether the next thing that is freed goes to
    /// it by hand-off. Not if it is no thread: an event loop may wait for that very thing before it takes what it was
    /// handed, and then it would wait for ever.
    pub(crate) fn join(&mut self, waiter: &Waiter) -> bool {
        let has_waited = || cfg!(loom) || self.since.elapsed() >= HAND_OFF_AFTER;
        self.handed = self.lost && has_waited() && waiter.is_thread();
        self.handed
    }

    /// Whether the waiter owns the thing once it is taken out of the list. Otherwise it has only a chance.
    pub(crate) fn is_handed(&self) -> bool {
        self.handed
    }

    /// Notes that the waiter used its chance and lost the race.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }
}
