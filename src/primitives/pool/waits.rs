//! The waits of a pool: for a job, for room, for the start of workers.

use std::marker::PhantomData;
use std::ops::Deref;
use std::thread;

use super::{Deferred, Job, Pool, Scaling, SubmitError, Waits, Worker};
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{Operation, Parked, Ticket, Waiter, Wakes};

/// What a worker finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<J> {
    /// A job to run.
    Job(J),
    /// No job is pending, and none will come.
    Closed,
    /// The worker has been idle for as long as it may, and has lost its place.
    Dismissed,
    /// The worker was idle when the pool fell back, and was counted as idle: see [`Pool::fall_back`].
    FellBack,
    /// There was a mark, and this call took it: see [`Pool::mark`].
    Mark,
    /// Nothing yet: the worker must look again.
    Again,
}

/// A worker's wait for a job.
///
/// If its deadline passes, the worker is dismissed. It leaves the list in the same leaf section, so no
/// submission counts on it.
///
/// `P`: a reference to the pool, or whatever else keeps it alive.
pub struct Take<P: Deref<Target = Pool<J>>, J: Job> {
    pool: P,
    ticket: Ticket,
    worker: Option<Arc<Worker>>,
    takes_marks: bool,
    /// It was taken out of the list, and has not looked for a job since.
    is_searching: bool,
    jobs: PhantomData<fn() -> J>,
}

impl<P: Deref<Target = Pool<J>>, J: Job> Take<P, J> {
    /// The wait that has not begun.
    pub fn new(pool: P) -> Self {
        Self {
            pool,
            jobs: PhantomData,
            ticket: Ticket::next(),
            worker: None,
            takes_marks: false,
            is_searching: false,
        }
    }

    /// Takes a mark, too, if there is no job, and continues in a closed pool. This is for a thread that is
    /// not a worker.
    #[must_use]
    pub fn or_mark(mut self) -> Self {
        self.takes_marks = true;
        self
    }

    /// Makes the worker lose its place if the deadline passes.
    pub fn or_leave(mut self, worker: &Arc<Worker>) -> Self {
        self.worker = Some(Arc::clone(worker));
        self
    }
}

impl<P: Deref<Target = Pool<J>>, J: Job> Operation for Take<P, J> {
    type Output = Next<J>;

    const IS_CANCELLATION_POINT: bool = false;

    fn resource(&self) -> Resource {
        Resource::new("call for a worker", &*self.pool)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut deferred = Deferred::default();
        let mut state = self.pool.state();
        let job = state.pop_job(&mut deferred);
        if std::mem::take(&mut self.is_searching) {
            state.end_search(&mut deferred.wakes);
        }
        let next = match job {
            Some(job) => Some(Next::Job(job)),
            None if self.takes_marks && state.marks > 0 => {
                state.marks -= 1;
                Some(Next::Mark)
            }
            None if state.closed && !self.takes_marks => Some(Next::Closed),
            None => {
                if !self.takes_marks {
                    state.marks = 0;
                }
                let waits = if self.takes_marks {
                    Waits::ForMark
                } else {
                    Waits::AsWorker
                };
                state.idle.join(self.ticket, waiter, waits);
                None
            }
        };
        drop(state);
        deferred.run();
        next
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        let mut entered = self.pool.state();
        let (state, wakes) = entered.parts();
        let was_idle = state.idle.leave(self.ticket).is_some();
        self.is_searching = !was_idle;
        if was_idle && state.closed && !self.takes_marks {
            state.wake_worker_to_end(wakes);
        }
        if was_idle && state.fallen_back && !self.takes_marks {
            // Do not look for a job: other threads now count on it where they submit theirs.
            return Some(Next::FellBack);
        }
        if parked != Parked::TimedOut {
            // Being taken out means only to look again: a busy worker may have been faster.
            return None;
        }
        let next = match &self.worker {
            // If more jobs are pending than workers are on their way, a submission has counted on this
            // worker, and it must stay.
            Some(worker) if was_idle && state.jobs.pending() <= state.searching => {
                state.dismiss(worker);
                state.resolve_stall(wakes);
                Next::Dismissed
            }
            _ => Next::Again,
        };
        Some(next)
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // It has no job yet. When it is dropped or looks again, it wakes another worker if needed.
        self.leave(Parked::Raising)
    }
}

impl<P: Deref<Target = Pool<J>>, J: Job> Drop for Take<P, J> {
    /// The worker was woken but will not look for a job, so another one may have to.
    fn drop(&mut self) {
        if self.is_searching {
            let mut wakes = Wakes::new();
            self.pool.state().end_search(&mut wakes);
            wakes.wake();
        }
    }
}

/// A submission that waits for room.
///
/// `P`: a reference to the pool, or whatever else keeps it alive.
pub struct SubmitWhenRoom<P, J> {
    pool: P,
    ticket: Ticket,
    /// The job and its priority, unless it is in the list or in the pool.
    job: Option<(J, i64)>,
}

impl<P, J> SubmitWhenRoom<P, J> {
    /// Returns the job, unless the pool has accepted it or an error has returned it.
    pub fn into_job(self) -> Option<J> {
        self.job.map(|(job, _)| job)
    }

    /// The wait that has not begun.
    pub fn new(pool: P, job: J, priority: i64) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
            job: Some((job, priority)),
        }
    }
}

impl<P: Deref<Target = Pool<J>>, J: Job> Operation for SubmitWhenRoom<P, J> {
    type Output = Result<Scaling, (SubmitError, J)>;

    /// A job that has been moved into the pool counts as submitted.
    const KEEPS: bool = false;

    fn resource(&self) -> Resource {
        Resource::new("room in a pool", &*self.pool)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let (job, priority) = self.job.take()?;
        let mut entered = self.pool.state();
        let (state, wakes) = entered.parts();
        match state.refusal() {
            Some(refusal) => Some(Err((refusal, job))),
            None if state.has_room() => Some(match state.jobs.push(job, priority) {
                Ok(()) => Ok(state.scale(wakes)),
                Err(job) => Err((SubmitError::Closed, job)),
            }),
            None => {
                state.submitters.join(self.ticket, waiter, (job, priority));
                None
            }
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut entered = self.pool.state();
        let (state, wakes) = entered.parts();
        if let Some(job) = state.submitters.leave(self.ticket) {
            self.job = Some(job);
            return None;
        }
        // The thread that moved the job in had taken out another job. If that thread was no worker, or if a
        // worker was missing, a worker may be needed.
        let scaling = if state.jobs.pending() > 0 {
            state.scale(wakes)
        } else {
            Scaling::Enough
        };
        Some(Ok(scaling))
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // A job that has been moved into the pool stays there, and counts as submitted.
        let left = self.leave(Parked::Raising);
        if thread::panicking() && matches!(left, Some(Ok(Scaling::Start))) {
            // No caller is left to start the worker.
            self.pool.end_start(false);
        }
        left
    }
}

/// A wait until no worker is being started.
///
/// `P`: a reference to the pool, or whatever else keeps it alive.
pub struct WaitForStarts<P> {
    pool: P,
    ticket: Ticket,
}

impl<P> WaitForStarts<P> {
    /// The wait that has not begun.
    pub fn new(pool: P) -> Self {
        Self {
            pool,
            ticket: Ticket::next(),
        }
    }
}

impl<P: Deref<Target = Pool<J>>, J: Job> Operation for WaitForStarts<P> {
    type Output = ();

    const IS_CANCELLATION_POINT: bool = false;

    fn resource(&self) -> Resource {
        Resource::new("start of workers", &*self.pool)
    }

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

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
