//! Which worker takes a job, and whether there is room for a job.

use super::{Job, State};
use crate::wait::Wakes;

/// What the caller must do after a job has entered the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Nothing: there is a worker for the job, or one will come.
    Enough,
    /// Start a worker. Its place is already reserved.
    Start,
}

impl<J: Job> State<J> {
    /// Whether a job may enter now, ahead of waiting submissions. This is true also if a worker is free or
    /// can be started for the job. Then the job need not wait for room; and if no worker could be started
    /// before, this one may get the waiting submissions going.
    pub(super) fn has_room(&self) -> bool {
        self.backlog == usize::MAX
            || (self.submitters.is_empty() && self.jobs.pending() < self.backlog)
            || self.has_worker_to_spare()
    }

    /// Whether some worker is not needed for the pending jobs, or another one can be started.
    pub(super) fn has_worker_to_spare(&self) -> bool {
        self.jobs.pending() < self.available_workers()
            || self.workers.len() + self.expected < self.capacity
    }

    /// The number of workers that will look for a job without having to end another first. Workers that are
    /// being started count, because other workers may have taken the jobs that they were started for.
    pub(super) fn available_workers(&self) -> usize {
        self.idle.len() + self.searching + self.expected + self.newcomers
    }

    /// A worker has ended, or has not arrived. Lets a submission that waits for room start another one:
    /// without workers there would never be room.
    pub(super) fn replace_worker(&mut self, wakes: &mut Wakes) {
        if !self.closed
            && self.has_worker_to_spare()
            && let Some((submitter, (job, priority))) = self.submitters.pop()
        {
            // A push never fails.
            let _ = self.jobs.push(job, priority);
            wakes.push(submitter);
        }
    }

    /// Makes sure that a worker comes for a job that has just entered: one that has been woken and has not
    /// looked yet, one that is woken now, or one that must be started.
    pub(super) fn scale(&mut self, wakes: &mut Wakes) -> Scaling {
        let pending = self.jobs.pending();
        let is_awaited = pending <= self.searching
            || if self.searching < self.searching_at_most {
                self.wake_worker(wakes)
            } else {
                pending <= self.searching + self.idle.len()
            };
        if is_awaited {
            Scaling::Enough
        } else {
            self.start_worker()
        }
    }

    /// Reserves a place for a new worker, if there is one.
    pub(super) fn start_worker(&mut self) -> Scaling {
        if self.workers.len() + self.expected >= self.capacity {
            return Scaling::Enough;
        }
        self.expected += 1;
        self.starting += 1;
        Scaling::Start
    }

    /// Wakes an idle worker, if there is one, to look for a job.
    pub(super) fn wake_worker(&mut self, wakes: &mut Wakes) -> bool {
        // Choose the worker that has been idle for the shortest time. Its caches are warm, and workers that
        // are not needed can end.
        let Some((worker, _)) = self.idle.pop_last() else {
            return false;
        };
        self.searching += 1;
        wakes.push(worker);
        true
    }

    /// A worker that was woken has looked for a job, or will not look.
    pub(super) fn end_search(&mut self, wakes: &mut Wakes) {
        self.searching = self.searching.saturating_sub(1);
        if self.searching < self.searching_at_most && self.searching < self.jobs.pending() {
            self.wake_worker(wakes);
        }
    }

    /// Moves the jobs of submissions that wait for room into the pool, as far as there is room.
    pub(super) fn admit(&mut self, wakes: &mut Wakes) {
        // If the pool is closed, its waiting submissions have been woken and see that for themselves.
        while !self.closed
            && (self.jobs.pending() < self.backlog
                || self.jobs.pending() < self.available_workers())
            && let Some((submitter, (job, priority))) = self.submitters.pop()
        {
            // A push never fails.
            let _ = self.jobs.push(job, priority);
            wakes.push(submitter);
        }
    }
}
