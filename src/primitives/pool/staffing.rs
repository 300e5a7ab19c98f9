//! Which workers come for a job, and whether there is room for it.

use super::{Job, State};
use crate::primitives::waiter::Wakes;

/// What has to follow a job's entry into the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staffing {
    /// Nothing: a worker is there for it, or will come by.
    Enough,
    /// The caller has to start a worker, whose place is already taken.
    Start,
}

impl<J: Job> State<J> {
    /// Whether a job may come in, before those that wait to. One that brings a worker along does not wait
    /// for one; and if none could be started before, it may be what gets the others going.
    pub(super) fn has_room(&self) -> bool {
        self.backlog == usize::MAX
            || (self.submitters.is_empty() && self.jobs.pending() < self.backlog)
            || self.has_worker_to_spare()
    }

    /// Whether a worker is there that will not be needed for what is pending, or can be started.
    pub(super) fn has_worker_to_spare(&self) -> bool {
        self.jobs.pending() < self.unemployed()
            || self.workers.len() + self.expected < self.capacity
    }

    /// How many workers will come for a job without having to end another first. Those that are only being
    /// started count: the jobs that they were started for may have been taken by others.
    pub(super) fn unemployed(&self) -> usize {
        self.idle.len() + self.searching + self.expected + self.newcomers
    }

    /// A worker is gone, or has not come: a submission that waits for room has another one started, for
    /// without workers there would never be room.
    pub(super) fn replace_worker(&mut self, wakes: &mut Wakes) {
        if !self.closed
            && self.has_worker_to_spare()
            && let Some((submitter, (job, priority))) = self.submitters.pop()
        {
            // It is never refused.
            let _ = self.jobs.push(job, priority);
            wakes.push(submitter);
        }
    }

    /// Sees to it that somebody comes for a job that has just come in: a worker that has been woken and has
    /// yet to look, or one that is woken now, or is to be started.
    pub(super) fn staff(&mut self, wakes: &mut Wakes) -> Staffing {
        let pending = self.jobs.pending();
        let is_awaited = pending <= self.searching
            || if self.searching < self.searching_at_most {
                self.wake_worker(wakes)
            } else {
                pending <= self.searching + self.idle.len()
            };
        if is_awaited {
            Staffing::Enough
        } else {
            self.start_worker()
        }
    }

    /// Takes a place for a worker, if there is one.
    pub(super) fn start_worker(&mut self) -> Staffing {
        if self.workers.len() + self.expected >= self.capacity {
            return Staffing::Enough;
        }
        self.expected += 1;
        self.starting += 1;
        Staffing::Start
    }

    /// Has an idle worker look for a job, if there is one.
    fn wake_worker(&mut self, wakes: &mut Wakes) -> bool {
        // The worker that has been idle for the shortest time: its caches are warm, and those that are
        // not needed can go.
        let Some((worker, ())) = self.idle.pop_last() else {
            return false;
        };
        self.searching += 1;
        wakes.push(worker);
        true
    }

    /// A worker that was woken has looked for a job, or will not.
    pub(super) fn end_search(&mut self, wakes: &mut Wakes) {
        self.searching = self.searching.saturating_sub(1);
        if self.searching < self.searching_at_most && self.searching < self.jobs.pending() {
            self.wake_worker(wakes);
        }
    }

    /// Moves jobs whose submission waits for room into it.
    pub(super) fn admit(&mut self, wakes: &mut Wakes) {
        // Those that a closed pool has woken find out by themselves.
        while !self.closed
            && (self.jobs.pending() < self.backlog || self.jobs.pending() < self.unemployed())
            && let Some((submitter, (job, priority))) = self.submitters.pop()
        {
            // It is never refused.
            let _ = self.jobs.push(job, priority);
            wakes.push(submitter);
        }
    }
}
