//! Workers that wait for the outcome of other jobs, and what keeps them from waiting for ever.
//!
//! A job may submit another to its own pool and wait for it. Once every worker does so, nobody is
//! left to do what they wait for. Then the pool is *stalled*, and one of them that waits for a
//! pending job is chosen to do that job itself, inside its own. Nothing else changes: as long
//! as one worker is not blocked, a pending job will be taken by it, as in any other pool.

use super::{Job, Pool, State};
use crate::primitives::sync::Arc;
use crate::primitives::waiter::{Operation, Parked, Ticket, Waiter, Wakes};

impl<J: Job> State<J> {
    /// Whether no worker will come by for what is pending.
    fn is_stalled(&self) -> bool {
        self.expected == 0 && self.blocked.len() >= self.workers.len()
    }

    /// Chooses a blocked worker to go on, if nobody else will, and one is there that can.
    pub(super) fn resolve_stall(&mut self, wakes: &mut Wakes) {
        if !self.blocked.is_empty()
            && self.is_stalled()
            && let Some((waiter, _)) = self.blocked.take_first(|can_help| *can_help)
        {
            wakes.push(waiter);
        }
    }
}

impl<J: Job> Pool<J> {
    /// A worker is about to sleep. `true`: it has been chosen, and is not to sleep; or else it is
    /// in the list, where it may be chosen later.
    fn block(&self, ticket: Ticket, waiter: &Arc<Waiter>, can_help: bool) -> bool {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.blocked.join(ticket, waiter, can_help);
        let mut chosen = false;
        if state.is_stalled() {
            if can_help {
                state.blocked.leave(ticket);
                chosen = true;
            } else {
                state.resolve_stall(&mut wakes);
            }
        }
        drop(state);
        wakes.wake();
        chosen
    }

    /// It sleeps no more. `true`: it had been chosen.
    fn unblock(&self, ticket: Ticket) -> bool {
        self.state().blocked.leave(ticket).is_none()
    }
}

/// How a worker's wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Awaited<T> {
    /// As the operation did.
    Done(T),
    /// The pool is stalled, and the worker is to do the job itself that it waits for, unless
    /// somebody has begun it meanwhile. Then it may wait on.
    Help,
}

/// A wait of a worker of the pool, by any operation.
pub struct AsWorker<'a, J, O, H> {
    pool: &'a Pool<J>,
    ticket: Ticket,
    operation: &'a mut O,
    can_help: H,
}

impl<'a, J, O, H> AsWorker<'a, J, O, H> {
    /// `can_help` says whether something that the operation waits for is a pending job of the pool.
    pub fn new(pool: &'a Pool<J>, operation: &'a mut O, can_help: H) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
            operation,
            can_help,
        }
    }
}

impl<J: Job, O: Operation, H: FnMut() -> bool> Operation for AsWorker<'_, J, O, H> {
    type Output = Awaited<O::Output>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        if let Some(output) = self.operation.attempt(waiter) {
            return Some(Awaited::Done(output));
        }
        // Between the two lists the operation may be completed: its wake is then remembered by
        // the waiter, and the worker looks again at once.
        if !self.pool.block(self.ticket, waiter, (self.can_help)()) {
            return None;
        }
        Some(match self.operation.leave(Parked::Interrupted) {
            Some(output) => Awaited::Done(output),
            None => Awaited::Help,
        })
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        let chosen = self.pool.unblock(self.ticket);
        // Completed and chosen at once, it need not hand the choice on: it is not blocked any more.
        match self.operation.leave(parked) {
            Some(output) => Some(Awaited::Done(output)),
            None if chosen => Some(Awaited::Help),
            None => None,
        }
    }

    fn undo(&mut self, output: Self::Output) {
        if let Awaited::Done(output) = output {
            self.operation.undo(output);
        }
    }
}
