//! A waiter's turn at what others may take first.
//!
//! A release frees a lock or a permit and wakes the waiter that came first, which competes for it
//! with whoever passes by: that keeps throughput, where handing it over would put a context switch
//! between any two owners. A waiter that has lost such a race and has waited for [`PATIENCE`] is
//! handed what the next release frees, so nobody starves (the idea is WebKit's "eventual fairness",
//! 2016, as in parking_lot).

use std::time::{Duration, Instant};

use super::waiter::Ticket;

/// How long a waiter competes before it is handed what it waits for.
pub const PATIENCE: Duration = Duration::from_millis(1);

/// When the waiter came, and how it fared since.
pub(super) struct Turn {
    ticket: Ticket,
    since: Instant,
    /// It was woken, and somebody else had been faster.
    lost: bool,
    handed: bool,
}

impl Turn {
    /// The last in the order of arrival.
    pub(super) fn new() -> Self {
        Self {
            ticket: Ticket::next(),
            since: Instant::now(),
            lost: false,
            handed: false,
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether the waiter, which is about to join the list, is to be handed what is freed.
    pub(super) fn join(&mut self) -> bool {
        self.handed = self.lost && (cfg!(loom) || self.since.elapsed() >= PATIENCE);
        self.handed
    }

    /// Whether being taken out of the list means to own it, and not just to have a chance.
    pub(super) fn is_handed(&self) -> bool {
        self.handed
    }

    /// The chance was not enough.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }
}
