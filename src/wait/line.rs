//! Waiters that nobody completes: each acts by itself when its time has come, one after the other.
//!
//! The first waiter in line knows when its time comes ([`Operation::due`](super::Operation::due)), sleeps until then, and
//! attempts again. The others sleep until it calls the next one ([`Line::call_next`]), which it does when it has got what
//! it wanted, and when it gives up. So there is one timer for the whole line, and no thread that runs it. (The idea is that
//! of the leader and its followers in Java's `DelayQueue`.)
//!
//! A waiter that looks again keeps its place in the list meanwhile: otherwise each look of the first one would call the
//! second, and that one the third.
//!
//! **Waiters that are no threads may be late**, because their event loop is busy: it may even wait for a thread that stands
//! behind them. So a thread passes them over if they have not come within [`PATIENCE`] after their time. For that, it
//! sleeps until then, by itself; whoever calls a waiter that is no thread also calls the first thread behind it. A closed
//! loop ends its waits when it is called, and so they leave the line.
//!
//! Waiters that are no threads do not pass each other over. If the loop of the first one is blocked, those of other loops
//! wait until it goes on.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::sync::Arc;
use super::{Ticket, Waiter, WaiterList, Wakes};

/// How long threads wait for a waiter that is no thread, after its time has come.
pub const PATIENCE: Duration = Duration::from_millis(50);

struct Place<P> {
    ticket: Ticket,
    is_thread: bool,
    payload: P,
}

/// A line of waiters, each with what it wants.
pub struct Line<P> {
    waiters: WaiterList<Place<P>>,
    /// The waiter that was called last, and when; or that joined an empty line.
    called: Option<(Ticket, Instant)>,
    /// A waiter that was late. Nobody waits for it any more.
    late: Cell<Option<Ticket>>,
}

/// Whether it is a waiter's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No other one comes before it.
    Mine,
    /// It is called when its turn comes.
    Behind,
    /// Those before it are late at that moment.
    MineAt(Instant),
}

impl<P> Line<P> {
    /// Creates an empty line.
    pub const fn new() -> Self {
        Self {
            waiters: WaiterList::new(),
            called: None,
            late: Cell::new(None),
        }
    }

    /// Whether nobody is in line. Waiters from before a fork may count.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whose turn it is. `ticket`: that of the waiter who asks; `None`: it comes last. `due`: when the time of a waiter
    /// comes.
    pub fn turn(
        &self,
        ticket: Option<Ticket>,
        is_thread: bool,
        now: Instant,
        due: impl Fn(&P) -> Option<Instant>,
    ) -> Turn {
        let is_before = |place: &&Place<P>| ticket.is_none_or(|ticket| place.ticket < ticket);
        let mut before = self.waiters.present_payloads().take_while(is_before);
        let Some(first) = before.next() else {
            return Turn::Mine;
        };
        if first.is_thread || !is_thread || before.any(|place| place.is_thread) {
            return Turn::Behind;
        }
        if self.late.get() == Some(first.ticket) {
            return Turn::Mine;
        }
        let Some(due) = due(&first.payload) else {
            return Turn::Behind;
        };
        let since = (self.called).map_or(due, |(_, called)| called.max(due));
        match since.checked_add(PATIENCE) {
            Some(late) if now >= late => {
                self.late.set(Some(first.ticket));
                Turn::Mine
            }
            Some(late) => Turn::MineAt(late),
            None => Turn::Behind,
        }
    }

    /// Joins the line, or keeps the place in it.
    pub fn join(&mut self, ticket: Ticket, waiter: &Arc<Waiter>, payload: P, now: Instant) {
        if self.waiters.contains(ticket) {
            return;
        }
        if self.waiters.is_empty() {
            self.called = Some((ticket, now));
        }
        let place = Place {
            ticket,
            is_thread: waiter.is_thread(),
            payload,
        };
        self.waiters.join(ticket, waiter, place);
    }

    /// Leaves the line. Returns whether the waiter was in it. The caller must call the next one.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        self.waiters.leave(ticket).is_some()
    }

    /// The first waiter looks again.
    pub fn call_next(&mut self, wakes: &mut Wakes) {
        if self.waiters.is_empty() {
            return;
        }
        let Some(first) = self.waiters.present_payloads().next() else {
            return;
        };
        let (ticket, is_thread) = (first.ticket, first.is_thread);
        if self.called.is_none_or(|(called, _)| called != ticket) {
            self.called = Some((ticket, Instant::now()));
        }
        self.waiters.wake_in_place_where(wakes, true, |_| true);
        if !is_thread {
            (self.waiters).wake_in_place_where(wakes, true, |place| place.is_thread);
        }
    }

    /// All waiters look again.
    pub fn call_all(&mut self, wakes: &mut Wakes) {
        self.waiters.wake_in_place(wakes);
    }

    /// What the waiters want, in their order.
    pub fn wants(&self) -> impl Iterator<Item = &P> {
        self.waiters.present_payloads().map(|place| &place.payload)
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }
}

impl<P> Default for Line<P> {
    fn default() -> Self {
        Self::new()
    }
}
