//! The waits of a pool: for a job, for room, for workers to be started.

use super::{Job, Leaving, Pool, Staffing, SubmitError, Worker};
use crate::primitives::sync::Arc;
use crate::primitives::waiter::{Operation, Parked, Ticket, Waiter, Wakes};

/// What a worker finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<J> {
    /// This job is to be done.
    Job(J),
    /// There is nothing left to do, for good.
    Closed,
    /// It has been idle for as long as it may, and has lost its place.
    Dismissed,
    /// It is to look again.
    Again,
}

/// A worker's wait for a job.
///
/// If its deadline passes, the worker is dismissed: in the same leaf section in which it leaves the
/// list, so that no submission counts on it.
pub struct Take<'a, J: Job> {
    pool: &'a Pool<J>,
    ticket: Ticket,
    worker: Option<&'a Arc<Worker>>,
    /// Whether it was taken out of the list, and has not looked since.
    is_searching: bool,
}

impl<'a, J: Job> Take<'a, J> {
    pub(super) fn new(pool: &'a Pool<J>) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
            worker: None,
            is_searching: false,
        }
    }

    /// It loses its place if the deadline passes.
    pub fn or_leave(mut self, worker: &'a Arc<Worker>) -> Self {
        self.worker = Some(worker);
        self
    }
}

impl<J: Job> Operation for Take<'_, J> {
    type Output = Next<J>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut leaving = Leaving::default();
        let mut state = self.pool.state();
        let job = state.pop_job(&mut leaving);
        if std::mem::take(&mut self.is_searching) {
            state.end_search(&mut leaving.wakes);
        }
        let next = match job {
            Some(job) => Some(Next::Job(job)),
            None if state.closed => Some(Next::Closed),
            None => {
                state.idle.join(self.ticket, waiter, ());
                None
            }
        };
        drop(state);
        leaving.leave();
        next
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        let mut wakes = Wakes::new();
        let mut state = self.pool.state();
        let was_idle = state.idle.leave(self.ticket).is_some();
        self.is_searching = !was_idle;
        if parked != Parked::TimedOut {
            // Taken out means only to look again: a busy worker may have been quicker.
            return None;
        }
        let next = match self.worker {
            // With jobs that nobody is on the way for, a submission has counted on it.
            Some(worker) if was_idle && state.jobs.pending() <= state.searching => {
                state.dismiss(worker);
                state.resolve_stall(&mut wakes);
                Next::Dismissed
            }
            _ => Next::Again,
        };
        drop(state);
        wakes.wake();
        Some(next)
    }
}

impl<J: Job> Drop for Take<'_, J> {
    /// It was woken, but is not going to look.
    fn drop(&mut self) {
        if self.is_searching {
            let mut wakes = Wakes::new();
            self.pool.state().end_search(&mut wakes);
            wakes.wake();
        }
    }
}

/// A submission that waits for room.
pub struct SubmitWhenRoom<'a, J> {
    pool: &'a Pool<J>,
    ticket: Ticket,
    /// The job and its priority, unless it is in a list or in the pool.
    job: Option<(J, i64)>,
}

impl<'a, J> SubmitWhenRoom<'a, J> {
    /// The job, unless it was taken in or came back.
    pub fn into_job(self) -> Option<J> {
        self.job.map(|(job, _)| job)
    }

    pub(super) fn new(pool: &'a Pool<J>, job: J, priority: i64) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
            job: Some((job, priority)),
        }
    }
}

impl<J: Job> Operation for SubmitWhenRoom<'_, J> {
    type Output = Result<Staffing, (SubmitError, J)>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let (job, priority) = self.job.take()?;
        let mut wakes = Wakes::new();
        let mut state = self.pool.state();
        let outcome = match state.refusal() {
            Some(refusal) => Some(Err((refusal, job))),
            None if state.has_room() => Some(match state.jobs.push(job, priority) {
                Ok(()) => Ok(state.staff(&mut wakes)),
                Err(job) => Err((SubmitError::Closed, job)),
            }),
            None => {
                state.submitters.join(self.ticket, waiter, (job, priority));
                None
            }
        };
        drop(state);
        wakes.wake();
        outcome
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut wakes = Wakes::new();
        let mut state = self.pool.state();
        if let Some(job) = state.submitters.leave(self.ticket) {
            self.job = Some(job);
            return None;
        }
        // Whoever moved it in had taken out another job. If that was no worker, or one was missing, one may
        // be needed.
        let staffing = if state.jobs.pending() > 0 {
            state.staff(&mut wakes)
        } else {
            Staffing::Enough
        };
        drop(state);
        wakes.wake();
        Some(Ok(staffing))
    }

    fn undo(&mut self, output: Self::Output) {
        // The job stays in the pool, but nobody starts a worker for it.
        if matches!(output, Ok(Staffing::Start)) {
            self.pool.end_start(false);
        }
    }
}

/// A wait until no worker is being started.
pub struct WaitForStarts<'a, J> {
    pool: &'a Pool<J>,
    ticket: Ticket,
}

impl<'a, J> WaitForStarts<'a, J> {
    pub(super) fn new(pool: &'a Pool<J>) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
        }
    }
}

impl<J: Job> Operation for WaitForStarts<'_, J> {
    type Output = ();

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut state = self.pool.state();
        if state.starting == 0 {
            return Some(());
        }
        state.awaiting_starts.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        match self.pool.state().awaiting_starts.leave(self.ticket) {
            Some(()) => None,
            None => Some(()),
        }
    }
}
