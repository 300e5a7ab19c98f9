//! Pending jobs: lower priorities first, equal ones in the order they came.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The priority of a job that was given none.
pub const ORDINARY: i64 = 0;

/// Jobs that nobody has taken.
pub(super) struct Jobs<J> {
    /// Those of [`ORDINARY`] priority. The channel is only ever tried, never waited for.
    ordinary: (Sender<J>, Receiver<J>),
    /// The others.
    ranked: BinaryHeap<Ranked<J>>,
    /// How many of those have ever come.
    arrivals: u64,
    /// How many of the jobs have been done by somebody who has not taken them out.
    done_elsewhere: usize,
}

impl<J> Jobs<J> {
    pub(super) fn new() -> Self {
        Self {
            ordinary: unbounded(),
            ranked: BinaryHeap::new(),
            arrivals: 0,
            done_elsewhere: 0,
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

    /// The job whose turn it is.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<J> {
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

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.ordinary.1.len() + self.ranked.len()
    }

    /// How many are here that have not been done elsewhere.
    pub(super) fn pending(&self) -> usize {
        self.len().saturating_sub(self.done_elsewhere)
    }

    /// Somebody does a job that is still here.
    pub(super) fn count_as_done(&mut self) {
        self.done_elsewhere += 1;
    }

    /// A job that came out was one of those.
    pub(super) fn forget_as_done(&mut self) {
        self.done_elsewhere = self.done_elsewhere.saturating_sub(1);
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
