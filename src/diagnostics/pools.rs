//! The calls of pools, and what the workers do: a part of a profile.
//!
//! A call is counted when it begins in a thread, by its function. It has waited in the pool since it was submitted, and it
//! runs until it returns or raises. A call that begins another one inside (because it waits for that, say) includes it.
//!
//! A worker is idle while it sleeps for want of a call. The rest of its time it waits for something else, as far as these
//! are waits of this library, or it works.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::place::Frame;
use super::{group_names, profile};
use crate::wait::observe::ThreadNumber;

/// The most pools. What happens in later ones is added to a pool without a number.
pub const MOST_POOLS: usize = 1_000;

/// The most functions of all pools. Calls of others are added to those of one row without a function, in each pool.
pub const MOST_FUNCTIONS: usize = 2_000;

/// The number of the pool that stands for those for which there was no room. Numbers begin at zero.
pub const OTHER_POOLS: u64 = u64::MAX;

/// The pools that belong to a group of tasks count as one for each name. This is the number of those without a name. The
/// others follow in the order of the numbers of their [names](group_names).
pub const POOLS_OF_GROUPS: u64 = 1 << 63;

/// The number under which what happens in the pool with this number is counted, if there is room for it.
pub fn counted_as(pool: u64) -> u64 {
    group_names::of_pool(pool).map_or(pool, |name| POOLS_OF_GROUPS + name as u64)
}

/// A function that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// The file of its code; empty: it is not written in Python.
    pub file: Arc<str>,
    /// The first line of its code; zero if it has none.
    pub line: u32,
    /// What it is called.
    pub name: Arc<str>,
}

/// Durations of one kind.
#[derive(Default)]
pub struct Times {
    /// How many, by how long they were.
    pub histogram: Histogram,
    /// Their sum.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Times {
    fn add(&mut self, duration: Duration) {
        self.histogram.add(duration);
        self.total += duration;
        self.longest = self.longest.max(duration);
    }
}

/// The calls of one function in one pool.
pub struct Calls {
    /// The number of the pool.
    pub pool: u64,
    /// `None`: those for which there was no room.
    pub function: Option<Function>,
    /// From the submission to the beginning, of each call that has begun.
    pub wait: Times,
    /// From the beginning to the end, or to the end of the profile.
    pub run: Times,
    /// How many have raised.
    pub failed: u64,
    /// How many had not ended.
    pub running: u64,
    /// How many were cancelled, or taken out of the pool, before they began.
    pub cancelled: u64,
}

impl Calls {
    fn new(pool: u64, function: Option<Function>) -> Self {
        Self {
            pool,
            function,
            wait: Times::default(),
            run: Times::default(),
            failed: 0,
            running: 0,
            cancelled: 0,
        }
    }
}

/// One pool.
#[derive(Default)]
pub struct Pool {
    /// The address that waits for it have; zero if it stands for several.
    pub address: usize,
    /// How many objects had this address before, as far as is known.
    pub generation: u32,
    /// How many workers there were.
    pub workers: u64,
    /// How long these were there, together.
    pub alive: Duration,
    /// How long they have slept for want of a call.
    pub idle: Duration,
    /// How long they have slept for something else.
    pub waited: Duration,
}

struct Worker {
    pool: u64,
    since: Instant,
}

struct Running {
    /// The index of its row.
    calls: usize,
    since: Instant,
}

/// The pools of a profile.
#[derive(Default)]
pub struct Pools {
    /// By their numbers.
    pub pools: HashMap<u64, Pool>,
    /// The rows of all functions.
    pub calls: Vec<Calls>,
    by_function: HashMap<(u64, Option<Function>), usize>,
    workers: HashMap<ThreadNumber, Worker>,
    running: HashMap<ThreadNumber, Vec<Running>>,
}

impl Pools {
    /// The number under which what happens in this pool is counted.
    fn counted_as(&mut self, number: u64) -> u64 {
        let number = counted_as(number);
        if self.pools.contains_key(&number) {
            return number;
        }
        let number = if self.pools.len() < MOST_POOLS {
            number
        } else {
            OTHER_POOLS
        };
        self.pools.entry(number).or_default();
        number
    }

    fn pool(&mut self, number: u64) -> &mut Pool {
        let number = self.counted_as(number);
        self.pools.entry(number).or_default()
    }

    /// The index of the row for this function.
    fn row(&mut self, pool: u64, function: Function) -> usize {
        let mut key = (self.counted_as(pool), Some(function));
        if let Some(row) = self.by_function.get(&key) {
            return *row;
        }
        if self.calls.len() >= MOST_FUNCTIONS {
            key.1 = None;
            if let Some(row) = self.by_function.get(&key) {
                return *row;
            }
        }
        self.calls.push(Calls::new(key.0, key.1.clone()));
        self.by_function.insert(key, self.calls.len() - 1);
        self.calls.len() - 1
    }

    fn arrives(&mut self, thread: ThreadNumber, pool: u64, now: Instant) {
        if !self.workers.contains_key(&thread) {
            let pool = self.counted_as(pool);
            self.pool(pool).workers += 1;
            self.workers.insert(thread, Worker { pool, since: now });
        }
    }

    pub(super) fn leaves(&mut self, thread: ThreadNumber, now: Instant) {
        if let Some(worker) = self.workers.remove(&thread) {
            self.pool(worker.pool).alive += now.saturating_duration_since(worker.since);
        }
    }

    /// The thread has slept for this long, for want of a call or for something else.
    pub(super) fn slept(&mut self, thread: ThreadNumber, is_idle: bool, slept: Duration) {
        if let Some(worker) = self.workers.get(&thread) {
            let number = worker.pool;
            let pool = self.pool(number);
            if is_idle {
                pool.idle += slept;
            } else {
                pool.waited += slept;
            }
        }
    }

    fn begins(
        &mut self,
        thread: ThreadNumber,
        pool: u64,
        function: Function,
        submitted: Instant,
        now: Instant,
    ) {
        let calls = self.row(pool, function);
        let wait = now.saturating_duration_since(submitted);
        self.calls[calls].wait.add(wait);
        let running = self.running.entry(thread).or_default();
        running.push(Running { calls, since: now });
    }

    /// Ends the innermost call of the thread, if it began in this profile.
    fn ends(&mut self, thread: ThreadNumber, has_failed: bool, now: Instant) {
        let Some(running) = self.running.get_mut(&thread) else {
            return;
        };
        if let Some(ended) = running.pop() {
            let calls = &mut self.calls[ended.calls];
            calls.run.add(now.saturating_duration_since(ended.since));
            calls.failed += u64::from(has_failed);
        }
    }

    /// Counts what has not ended, up to now.
    pub(super) fn close(&mut self, now: Instant) {
        for running in std::mem::take(&mut self.running).into_values().flatten() {
            let calls = &mut self.calls[running.calls];
            calls.run.add(now.saturating_duration_since(running.since));
            calls.running += 1;
        }
        for worker in std::mem::take(&mut self.workers).into_values() {
            self.pool(worker.pool).alive += now.saturating_duration_since(worker.since);
        }
    }
}

thread_local! {
    /// The function of the call that has ended, and whose end the thread is about to tell others.
    static ENDED: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

/// The function of the call that has ended in the calling thread, which is about to tell others that it has.
pub(super) fn ended_call() -> Option<Frame> {
    ENDED
        .try_with(|ended| ended.borrow().clone())
        .ok()
        .flatten()
}

/// While this lives, whoever the thread wakes was woken by the end of a call.
pub struct EndedCall(());

impl Drop for EndedCall {
    fn drop(&mut self) {
        ENDED.set(None);
    }
}

/// A call that runs. When it is dropped without [`CallInProgress::end`], it has failed.
#[must_use = "what was begun has to end"]
pub struct CallInProgress {
    function: Function,
    /// The profile in which it began.
    profile: u64,
    has_failed: bool,
}

impl CallInProgress {
    /// The call has ended.
    #[must_use = "it tells who is woken by the end of the call"]
    pub fn end(mut self, has_failed: bool) -> EndedCall {
        self.has_failed = has_failed;
        let Function { file, line, name } = &self.function;
        if !file.is_empty() {
            ENDED.set(Some(Frame {
                file: Arc::clone(file),
                function: Arc::clone(name),
                line: *line,
            }));
        }
        EndedCall(())
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        let now = Instant::now();
        profile::with(|profile| {
            if profile.number == self.profile
                && let Some(thread) = ThreadNumber::current()
            {
                profile.pools.ends(thread, self.has_failed, now);
            }
        });
    }
}

/// A call that was submitted to the pool with this number begins in the calling thread. `None`: no profile runs.
#[cold]
pub fn begin(pool: u64, function: Function, submitted: Instant) -> Option<CallInProgress> {
    let now = Instant::now();
    let thread = ThreadNumber::current()?;
    profile::with(|profile| {
        let begun = function.clone();
        profile.pools.begins(thread, pool, begun, submitted, now);
        CallInProgress {
            function,
            profile: profile.number,
            has_failed: true,
        }
    })
}

/// A call that was submitted to the pool with this number will not begin.
pub fn cancelled(pool: u64, function: Function) {
    profile::with(|profile| {
        let row = profile.pools.row(pool, function);
        profile.pools.calls[row].cancelled += 1;
    });
}

/// The pool with this number has this address.
pub fn locate(pool: u64, address: usize) {
    profile::with(|profile| {
        let generation = profile.generation(address);
        let number = profile.pools.counted_as(pool);
        let pool = profile.pools.pool(number);
        if pool.address == 0 && number < POOLS_OF_GROUPS {
            (pool.address, pool.generation) = (address, generation);
        }
    });
}

/// The thread becomes a worker of the pool with this number.
pub fn arrives(pool: u64, thread: ThreadNumber) {
    let now = Instant::now();
    profile::with(|profile| profile.pools.arrives(thread, pool, now));
}

/// The thread was a worker of the pool with this number when the profile began.
pub fn is_there(pool: u64, thread: ThreadNumber) {
    profile::with(|profile| {
        let since = profile.since;
        profile.pools.arrives(thread, pool, since);
    });
}

/// The calling thread is a worker no longer.
pub fn leaves() {
    let now = Instant::now();
    if let Some(thread) = ThreadNumber::current() {
        profile::with(|profile| profile.pools.leaves(thread, now));
    }
}
