//! Pending jobs: lower priorities first, equal ones in the order they came.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The priority of a job that was given none.
pub const ORDINARY: i64 = 0;

/// What a pool is for.
pub trait Job {
    /// Whether somebody does it, or has done it, who has not taken it out of the pool. Once that is so
    /// it remains so. It is asked for under the pool's leaf lock, and may take no other.
    fn is_done_elsewhere(&self) -> bool {
        false
    }
}

/// A job that is nothing but its number, as it does for tests.
impl Job for i32 {}

/// Leftovers are cleared away when there are so many, and they are most of what is there.
const MANY: isize = 32;

/// Jobs, in their order; among them leftovers: those that are done elsewhere.
pub(super) struct Jobs<J> {
    /// Those of [`ORDINARY`] priority. The channel is only ever tried, never waited for.
    ordinary: (Sender<J>, Receiver<J>),
    /// The others.
    ranked: BinaryHeap<Ranked<J>>,
    /// How many of those have ever come.
    arrivals: u64,
    /// How many leftovers there are. For an instant it may be one less: a leftover is counted after it
    /// has become one.
    leftovers: isize,
}

impl<J: Job> Jobs<J> {
    pub(super) fn new() -> Self {
        Self {
            ordinary: unbounded(),
            ranked: BinaryHeap::new(),
            arrivals: 0,
            leftovers: 0,
        }
    }

    /// Takes a job in. It comes back if that cannot be, which never happens: the channel's receiver
    /// lives beside its sender.
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

    /// The job whose turn it is. Leftovers come out with it, for the caller to drop without the leaf lock.
    #[inline]
    pub(super) fn pop(&mut self, dropped: &mut Vec<J>) -> Option<J> {
        loop {
            let job = self.pop_any()?;
            if !job.is_done_elsewhere() {
                return Some(job);
            }
            self.leftovers -= 1;
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

    /// How many are pending.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        self.len().saturating_add_signed(-self.leftovers)
    }

    /// A job that was here when somebody began to do it elsewhere is a leftover now; or it came out
    /// just before, and [`Jobs::forget_leftover`] will hear of it.
    pub(super) fn count_leftover(&mut self, dropped: &mut Vec<J>) {
        self.leftovers += 1;
        if self.leftovers > MANY && self.leftovers.unsigned_abs() > self.len() / 2 {
            self.clear_away(dropped);
        }
    }

    /// A job that was no leftover when it came out has turned out to be one.
    pub(super) fn forget_leftover(&mut self) {
        self.leftovers -= 1;
    }

    fn clear_away(&mut self, dropped: &mut Vec<J>) {
        for _ in 0..self.ordinary.1.len() {
            let Ok(job) = self.ordinary.1.try_recv() else {
                break;
            };
            if job.is_done_elsewhere() {
                self.leftovers -= 1;
                dropped.push(job);
            } else if let Err(refused) = self.ordinary.0.send(job) {
                dropped.push(refused.into_inner()); // as in `push`, this never happens
            }
        }
        for ranked in std::mem::take(&mut self.ranked) {
            if ranked.job.is_done_elsewhere() {
                self.leftovers -= 1;
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
        // The heap of the standard library has the greatest first.
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
