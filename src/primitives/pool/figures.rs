//! What a pool has done, counted by those who do it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The sum and the greatest of some durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Their sum.
    pub total: Duration,
    /// The greatest.
    pub maximum: Duration,
}

impl Durations {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.maximum = self.maximum.max(other.maximum);
    }
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Jobs that have ended.
    pub done: u64,
    /// How long those that were begun had been pending.
    pub queue_wait: Durations,
    /// How long those that have ended took.
    pub run_time: Durations,
}

impl Work {
    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.queue_wait.add(other.queue_wait);
        self.run_time.add(other.run_time);
    }
}

/// What there is, and what has been done since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Workers that have arrived and not ended.
    pub workers: usize,
    /// Those of them that do a job.
    pub busy: usize,
    /// Jobs that wait for a worker.
    pub queued: usize,
    /// The rest.
    pub work: Work,
}

/// Like [`Durations`], in nanoseconds, for one writer and any number of readers.
#[derive(Default)]
struct Nanoseconds {
    total: AtomicU64,
    maximum: AtomicU64,
}

impl Nanoseconds {
    /// Without an atomic read-modify-write, which nobody but the one writer needs.
    fn add(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let total = self.total.load(Relaxed).saturating_add(nanoseconds);
        self.total.store(total, Relaxed);
        if nanoseconds > self.maximum.load(Relaxed) {
            self.maximum.store(nanoseconds, Relaxed);
        }
    }

    fn read(&self) -> Durations {
        Durations {
            total: Duration::from_nanos(self.total.load(Relaxed)),
            maximum: Duration::from_nanos(self.maximum.load(Relaxed)),
        }
    }
}

/// A worker, and what it has done. Only its own thread writes.
#[derive(Default)]
pub struct Worker {
    has_looked: AtomicBool,
    busy: AtomicBool,
    done: AtomicU64,
    queue_wait: Nanoseconds,
    run_time: Nanoseconds,
}

impl Worker {
    /// A job that was submitted at `submitted` begins at `now`; the return value is for
    /// [`Worker::end`].
    #[inline]
    pub fn begin(&self, submitted: Instant, now: Instant) -> Begun {
        self.queue_wait
            .add(now.saturating_duration_since(submitted));
        Begun {
            at: now,
            inside_another: self.busy.swap(true, Relaxed),
        }
    }

    /// It ends at `now`.
    #[inline]
    pub fn end(&self, begun: Begun, now: Instant) {
        self.run_time.add(now.saturating_duration_since(begun.at));
        self.done.store(self.done.load(Relaxed) + 1, Relaxed);
        self.busy.store(begun.inside_another, Relaxed);
    }

    /// It looks for a job. Whether that is for the first time; called under the pool's leaf lock.
    #[inline]
    pub(super) fn begin_to_look(&self) -> bool {
        let is_first = !self.has_looked.load(Relaxed);
        if is_first {
            self.has_looked.store(true, Relaxed);
        }
        is_first
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
    }

    pub(super) fn work(&self) -> Work {
        Work {
            done: self.done.load(Relaxed),
            queue_wait: self.queue_wait.read(),
            run_time: self.run_time.read(),
        }
    }
}

/// A job that a worker has begun.
#[must_use = "what was begun has to end"]
pub struct Begun {
    at: Instant,
    /// Whether the worker does it while another of its jobs waits for that.
    inside_another: bool,
}
