//! Workers that wait for other jobs of their own pool, and what keeps them from waiting for ever.
//!
//! A job may submit another job to its own pool and wait for it. Once every worker does this, no worker is
//! left to run what they all wait for. Then the pool is *stalled*. If it was [told to](Pool::set_helping), it
//! chooses one of the workers that wait for a pending job, and that worker runs the job itself, inside its
//! own job. Nothing else changes: as long as one worker is not blocked, it will take the pending job, as in
//! any other pool.
//!
//! A worker counts as blocked only if it waits without a deadline, and only for unfinished jobs of this pool,
//! pending or running in its workers. Anything else that it waits for may come from a thread that is not
//! stuck. The caller of [`AsWorker`] must check this. It stays true while the worker waits: a pending job
//! becomes a running one, and that ends. Only a job that is taken out and runs elsewhere is different; in
//! that case [`Pool::set_helping`] turns all help off.

use super::{Job, Pool, State};
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{Operation, Parked, Ticket, Waiter, Wakes};

impl<J: Job> State<J> {
    /// Whether no worker will come for the pending jobs.
    fn is_stalled(&self) -> bool {
        self.helping && self.expected == 0 && self.blocked.len() >= self.workers.len()
    }

    /// If the pool is stalled, chooses a blocked worker that can help, and wakes it.
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
    /// Notes that a worker is about to sleep. `true`: it has been chosen to help, and must not sleep.
    /// `false`: it is in the list, and may be chosen later.
    fn block(&self, ticket: Ticket, waiter: &Arc<Waiter>, can_help: bool) -> bool {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.blocked.join(ticket, waiter, can_help);
        let mut chosen = false;
        if state.is_stalled() {
            if can_help {
                state.blocked.leave(ticket);
                chosen = true;
            } else {
                state.resolve_stall(wakes);
            }
        }
        chosen
    }

    /// Notes that a worker sleeps no more. `true`: it had been chosen to help.
    fn unblock(&self, ticket: Ticket) -> bool {
        self.state().blocked.leave(ticket).is_none()
    }
}

/// How a worker's wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Awaited<T> {
    /// The operation ended like this.
    Done(T),
    /// The pool is stalled. The worker must run the job that it waits for itself, unless that has begun in
    /// the meantime. Afterwards it may continue to wait.
    Help,
}

/// A worker's wait, by any operation, for unfinished jobs of its own pool and for nothing else.
pub struct AsWorker<'a, J: Job, O, H> {
    pool: &'a Pool<J>,
    ticket: Ticket,
    operation: &'a mut O,
    can_help: H,
}

impl<'a, J: Job, O, H> AsWorker<'a, J, O, H> {
    /// `can_help` says whether the operation waits for at least one pending job of the pool.
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

    const IS_CANCELLATION_POINT: bool = O::IS_CANCELLATION_POINT;

    const KEEPS: bool = O::KEEPS;

    fn resource(&self) -> Resource {
        self.operation.resource()
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        if let Some(output) = self.operation.attempt(waiter) {
            return Some(Awaited::Done(output));
        }
        // The operation may be completed between the two joins. The waiter then remembers the wake, and the
        // worker checks again immediately.
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
        // A worker that is completed and chosen at the same time need not pass the choice on: it is not
        // blocked any more, so the pool is not stalled.
        match self.operation.leave(parked) {
            Some(output) => Some(Awaited::Done(output)),
            None if chosen => Some(Awaited::Help),
            None => None,
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // If it was chosen, it need not pass the choice on: it is not blocked any more.
        self.pool.unblock(self.ticket);
        self.operation.abandon().map(Awaited::Done)
    }
}
