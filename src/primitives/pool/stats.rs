//! Statistics of a pool. Each worker counts its own work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::wait::generation;
use crate::wait::observe::ThreadNumber;
use crate::wait::sync::Mutex;

/// The total and the maximum of some durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// The sum of all durations.
    pub total: Duration,
    /// The longest one.
    pub maximum: Duration,
}

impl Durations {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.maximum = self.maximum.max(other.maximum);
    }
}

/// The work that has been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The number of jobs that have ended.
    pub done: u64,
    /// The number of those that have failed.
    pub failed: u64,
    /// How long jobs were pending before they began.
    pub queue_wait: Durations,
    /// How long the jobs that have ended ran.
    pub run_time: Durations,
}

impl Work {
    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.queue_wait.add(other.queue_wait);
        self.run_time.add(other.run_time);
    }
}

/// The present state of a pool, and the work since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Workers that have arrived and have not ended.
    pub workers: usize,
    /// Workers that run a job.
    pub busy: usize,
    /// Pending jobs.
    pub queued: usize,
    /// The work since the creation of the pool.
    pub work: Work,
}

/// Like [`Durations`], in nanoseconds, for one writing thread and any number of readers.
#[derive(Default)]
struct Nanoseconds {
    total: AtomicU64,
    maximum: AtomicU64,
}

impl Nanoseconds {
    /// Adds a duration. This needs no atomic read-modify-write, because there is only one writer.
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
pub struct Worker {
    /// The generation of the process that it lives in.
    generation: u32,
    /// The numbers of the jobs that it runs, as far as it has [said so](Worker::take_up).
    jobs: Mutex<Vec<usize>>,
    /// The number of its thread.
    thread: u32,
    has_looked: AtomicBool,
    busy: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
    queue_wait: Nanoseconds,
    run_time: Nanoseconds,
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

impl Worker {
    /// Makes the calling thread a worker that has done nothing.
    pub fn new() -> Self {
        Self {
            generation: generation(),
            jobs: Mutex::new(Vec::new()),
            thread: ThreadNumber::current_or_zero(),
            has_looked: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            queue_wait: Nanoseconds::default(),
            run_time: Nanoseconds::default(),
        }
    }

    /// Whether it is a worker of this process, and not of a parent of this process.
    pub fn is_here(&self) -> bool {
        self.generation == generation()
    }

    /// Notes that the worker is about to begin the job with this number, which no other job has. Call this
    /// before other threads can see the job begun. Then at any time each job of the pool is pending, is
    /// running in a worker, or has ended.
    pub fn take_up(&self, job: usize) {
        self.jobs.lock().push(job);
    }

    /// Notes that the job it took up last has ended, or was not begun.
    pub fn put_down(&self) {
        self.jobs.lock().pop();
    }

    /// Whether it has taken up the job with this number.
    pub(super) fn does(&self, job: usize) -> bool {
        self.jobs.lock().contains(&job)
    }

    /// Counts a job that was submitted at `submitted` and begins at `now`. Pass the result to
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

    /// Counts that the job ends at `now`.
    #[inline]
    pub fn end(&self, begun: Begun, now: Instant) {
        self.run_time.add(now.saturating_duration_since(begun.at));
        self.done.store(self.done.load(Relaxed) + 1, Relaxed);
        self.busy.store(begun.inside_another, Relaxed);
    }

    /// Counts that the job which it has begun fails. Call this before [`Worker::end`].
    #[cold]
    pub fn fail(&self) {
        self.failed.store(self.failed.load(Relaxed) + 1, Relaxed);
    }

    /// Notes that the worker looks for a job. Returns whether it is the first time. Called under the pool's
    /// leaf lock.
    #[inline]
    pub(super) fn begin_to_look(&self) -> bool {
        let is_first = !self.has_looked.load(Relaxed);
        if is_first {
            self.has_looked.store(true, Relaxed);
        }
        is_first
    }

    /// The number of its thread; zero if it has none.
    pub(super) fn thread(&self) -> u32 {
        self.thread
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
    }

    pub(super) fn work(&self) -> Work {
        let done = self.done.load(Relaxed);
        Work {
            done,
            // The last one that has failed may not have ended.
            failed: self.failed.load(Relaxed).min(done),
            queue_wait: self.queue_wait.read(),
            run_time: self.run_time.read(),
        }
    }
}

/// A job that a worker has begun.
#[must_use = "what was begun has to end"]
pub struct Begun {
    at: Instant,
    /// Whether the worker runs it inside another of its jobs, which waits for it.
    inside_another: bool,
}
