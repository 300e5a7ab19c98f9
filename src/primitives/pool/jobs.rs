//! Pending jobs: lower priorities first, equal ones in the order in which they came.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The priority of a job that was given none.
pub const ORDINARY: i64 = 0;

/// What a pool runs.
pub trait Job {
    /// Whether a thread that has not taken the job out of the pool runs it, or has run it. Such a job is
    /// *stale*, and stays so. Called under the pool's leaf lock; it may take no other lock.
    fn is_done_elsewhere(&self) -> bool {
        false
    }
}

/// A job that is only a number, for tests.
impl Job for i32 {}

/// Stale jobs are cleared away once there are more than this, and they are more than half of all jobs.
const CLEAR_AWAY_ABOVE: isize = 32;

/// Jobs in order, with the stale ones among them.
pub(super) struct Jobs<J> {
    /// The jobs of [`ORDINARY`] priority. The pool only tries this channel and never blocks on it.
    ordinary: (Sender<J>, Receiver<J>),
    /// The jobs of other priorities.
    ranked: BinaryHeap<Ranked<J>>,
    /// How many jobs have ever entered `ranked`.
    arrivals: u64,
    /// The number of stale jobs. For an instant it may be one too small, because a job is counted after it
    /// has become stale.
    stale: isize,
}

impl<J: Job> Jobs<J> {
    pub(super) fn new() -> Self {
        Self {
            ordinary: unbounded(),
            ranked: BinaryHeap::new(),
            arrivals: 0,
            stale: 0,
        }
    }

    /// Adds a job. An error brings it back, but that never happens: the channel's receiver lives beside its
    /// sender.
    #[inline]
    pub(super) fn push(&mut self, job: J, priority: i64) -> Result<(), J> {
        if priority == ORDINARY {
            return (self.ordinary.0.send(job)).map_err(|refused| refused.into_inner());
        }
        self.arrivals += 1;
        self.ranked.push(Ranked {
            priority,
            arrival: self.arrivals,
            job,
        });
        Ok(())
    }

    /// Takes out the next job. Stale jobs come out into `dropped`, for the caller to drop without the leaf
    /// lock.
    #[inline]
    pub(super) fn pop(&mut self, dropped: &mut Vec<J>) -> Option<J> {
        loop {
            let job = self.pop_any()?;
            if !job.is_done_elsewhere() {
                return Some(job);
            }
            self.stale -= 1;
            dropped.push(job);
        }
    }

    #[inline]
    fn pop_any(&mut self) -> Option<J> {
        if self
            .ranked
            .peek()
            .is_some_and(|first| first.priority < ORDINARY)
        {
            return self.ranked.pop().map(|first| first.job);
        }
        match self.ordinary.1.try_recv() {
            Ok(job) => Some(job),
            Err(_) => self.ranked.pop().map(|first| first.job),
        }
    }

    fn len(&self) -> usize {
        self.ordinary.1.len() + self.ranked.len()
    }

    /// The number of pending jobs.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        self.len().saturating_add_signed(-self.stale)
    }

    /// Counts a job that began elsewhere as stale. If it came out of the pool just before,
    /// [`Jobs::forget_stale`] will be called for it.
    pub(super) fn count_stale(&mut self, dropped: &mut Vec<J>) {
        self.stale += 1;
        if self.stale > CLEAR_AWAY_ABOVE && self.stale.unsigned_abs() > self.len() / 2 {
            self.clear_away(dropped);
        }
    }

    /// A job was not stale when it came out, but has turned out to be when it was to begin: uncounts it.
    pub(super) fn forget_stale(&mut self) {
        self.stale -= 1;
    }

    fn clear_away(&mut self, dropped: &mut Vec<J>) {
        for _ in 0..self.ordinary.1.len() {
            let Ok(job) = self.ordinary.1.try_recv() else {
                break;
            };
            if job.is_done_elsewhere() {
                self.stale -= 1;
                dropped.push(job);
            } else if let Err(refused) = self.ordinary.0.send(job) {
                dropped.push(refused.into_inner()); // as in `push`, this never happens
            }
        }
        for ranked in std::mem::take(&mut self.ranked) {
            if ranked.job.is_done_elsewhere() {
                self.stale -= 1;
                dropped.push(ranked.job);
            } else {
                self.ranked.push(ranked);
            }
        }
    }
}

/// A job in the heap.
struct Ranked<J> {
    priority: i64,
    arrival: u64,
    job: J,
}

impl<J> Ranked<J> {
    fn rank(&self) -> (i64, u64) {
        (self.priority, self.arrival)
    }
}

impl<J> Ord for Ranked<J> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap of the standard library has the greatest entry first.
        other.rank().cmp(&self.rank())
    }
}

impl<J> PartialOrd for Ranked<J> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<J> PartialEq for Ranked<J> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<J> Eq for Ranked<J> {}
