//! Pending jobs, and the workers that wait for them.
//!
//! Ordinary jobs travel in a crossbeam channel. The pool only tries the channel and never blocks on it: an
//! idle worker parks on its own waiter, so a `fork()` leaves nothing behind in the channel's wait lists. A
//! pool that a child inherits through a fork begins anew, without workers and without the parent's jobs.

mod blocked;
mod jobs;
pub mod ledger;
mod scaling;
mod stats;
mod waits;

pub use blocked::{AsWorker, Awaited};
pub use jobs::{Job, ORDINARY};
pub use scaling::Scaling;
pub use stats::{Begun, Durations, Statistics, Work, Worker};
pub use waits::{Next, SubmitWhenRoom, Take, WaitForStarts};

use self::jobs::Jobs;
use crate::wait::sync::Arc;
use crate::wait::{self, Entered, Monitor, Ticket, WaiterList, Wakes, generation};

/// Why a job was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The pool was closed.
    Closed,
    /// See [`super::FellBack`].
    FellBack,
    /// As many jobs are pending as the backlog allows.
    Full,
}

/// Jobs of type `J`, and places for workers.
pub struct Pool<J: Job> {
    state: Monitor<State<J>>,
    number: u64,
}

/// What to drop and whom to wake after the leaf lock is released.
struct Deferred<J> {
    jobs: Vec<J>,
    wakes: Wakes,
}

impl<J> Default for Deferred<J> {
    fn default() -> Self {
        Self {
            jobs: Vec::new(),
            wakes: Wakes::new(),
        }
    }
}

impl<J> Deferred<J> {
    /// Wakes first: a destructor may wait for one of the woken threads.
    fn run(self) {
        self.wakes.wake();
        drop(self.jobs);
    }
}

/// Who waits for a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// A worker. It ends when the pool is closed.
    AsWorker,
    /// Another thread. It waits for a mark, too, and goes on to wait when the pool is closed.
    ForMark,
}

struct State<J> {
    jobs: Jobs<J>,
    /// At most this many jobs may be pending.
    backlog: usize,
    /// Submissions that wait for room, each with its job and priority.
    submitters: WaiterList<(J, i64)>,
    /// Workers that wait for a job, and other threads that do. The payload says which.
    idle: WaiterList<Waits>,
    /// The number of workers that were taken out of `idle` and have not looked for a job since.
    searching: usize,
    /// The limit of `searching`; see [`Pool::waking_one_by_one`].
    searching_at_most: usize,
    /// See [`Pool::set_helping`].
    helping: bool,
    /// Workers that wait only for jobs of this pool. The payload says whether one of these is a job that the
    /// worker could run itself.
    blocked: WaiterList<bool>,
    /// See [`Pool::mark`].
    marks: usize,
    /// Threads that wait until no worker is being started.
    awaiting_starts: WaiterList,
    /// Workers that have arrived.
    workers: Vec<Arc<Worker>>,
    /// What the workers that have ended have done.
    ended_work: Work,
    /// Places of workers that have not arrived yet.
    expected: usize,
    /// Workers that have arrived but have not looked for a job yet: an initializer may take long.
    newcomers: usize,
    /// Calls of `submit` that must start a worker and have not reported the result yet.
    starting: usize,
    capacity: usize,
    closed: bool,
    fallen_back: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

impl<J: Job> Pool<J> {
    /// Creates a pool without jobs and workers, for at most `capacity` workers.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Monitor::new(State {
                jobs: Jobs::new(),
                backlog: usize::MAX,
                submitters: WaiterList::new(),
                idle: WaiterList::new(),
                searching: 0,
                searching_at_most: usize::MAX,
                helping: false,
                blocked: WaiterList::new(),
                marks: 0,
                awaiting_starts: WaiterList::new(),
                workers: Vec::new(),
                ended_work: Work::default(),
                expected: 0,
                newcomers: 0,
                starting: 0,
                capacity,
                closed: false,
                fallen_back: false,
                generation: generation(),
            }),
            number: Ticket::next().number(),
        }
    }

    /// Makes workers wake each other: a worker that takes a job wakes the next one if more jobs are pending,
    /// and a submission wakes a worker only if none is on its way.
    ///
    /// This is for workers that run side by side as soon as they are woken. There, to wake a worker for each
    /// job costs more than most jobs, and most of the woken workers find nothing left. It is not for workers
    /// that need a common lock (the GIL) before they can look for a job: it is better that these wait for
    /// that lock together.
    #[must_use]
    pub fn waking_one_by_one(self) -> Self {
        self.state.enter().searching_at_most = 1;
        self
    }

    /// The number of this pool, unique in the process.
    pub fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    fn state(&self) -> Entered<'_, State<J>> {
        self.state.enter()
    }

    /// Adds a job. An idle worker is woken for it; otherwise the caller must start one; otherwise a busy
    /// worker will take it later.
    ///
    /// # Errors
    /// The [`SubmitError`] that applies, with the job.
    #[inline]
    pub fn submit(&self, job: J, priority: i64) -> Result<Scaling, (SubmitError, J)> {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        if let Some(refusal) = state.refusal() {
            return Err((refusal, job));
        }
        if !state.has_room() {
            return Err((SubmitError::Full, job));
        }
        if let Err(job) = state.jobs.push(job, priority) {
            return Err((SubmitError::Closed, job));
        }
        let scaling = state.scale(wakes);
        Ok(scaling)
    }

    /// Adds a job even if the pool is closed, has fallen back or is full. An idle worker is woken for it, or
    /// a busy one will take it later. If there is neither, call [`Pool::scale_for_pending`].
    ///
    /// # Errors
    /// The job; but this never happens.
    pub fn put(&self, job: J) -> Result<(), J> {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.jobs.push(job, ORDINARY)?;
        if state.jobs.pending() > state.searching {
            state.wake_worker(wakes);
        }
        Ok(())
    }

    /// Whether the caller must start a worker for the pending jobs. It must report the result with
    /// [`Pool::end_start`], as after a submission.
    pub fn scale_for_pending(&self) -> Scaling {
        let mut state = self.state();
        if state.jobs.pending() > state.available_workers() {
            state.start_worker()
        } else {
            Scaling::Enough
        }
    }

    /// Puts a mark into the pool and makes the idle workers look again. A worker that finds nothing to do
    /// removes the marks, unless the pool was closed.
    pub fn mark(&self) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.marks += 1;
        state.idle.wake_in_place(wakes);
    }

    /// Takes a mark out. Returns whether there was one.
    pub fn take_mark(&self) -> bool {
        let mut state = self.state();
        let is_there = state.marks > 0;
        state.marks -= usize::from(is_there);
        is_there
    }

    /// Sets whether workers run pending jobs themselves if all of them wait only for jobs of this pool.
    pub fn set_helping(&self, helping: bool) {
        self.state().helping = helping;
    }

    /// Whether workers help; see [`Pool::set_helping`].
    pub fn is_helping(&self) -> bool {
        self.state().helping
    }

    /// Whether one of the workers runs the job with this number; see [`Worker::take_up`].
    pub fn does(&self, job: usize) -> bool {
        let workers = self.state().workers.clone();
        workers.iter().any(|worker| worker.does(job))
    }

    /// The operation that submits a job and waits while the pool is full.
    pub fn submit_when_room(&self, job: J, priority: i64) -> SubmitWhenRoom<&Self, J> {
        SubmitWhenRoom::new(self, job, priority)
    }

    /// Checks whether the pool accepts jobs.
    ///
    /// # Errors
    /// The [`SubmitError`] that applies; never [`SubmitError::Full`].
    pub fn check(&self) -> Result<(), SubmitError> {
        self.state().refusal().map_or(Ok(()), Err)
    }

    /// Takes a job if one is pending.
    #[inline]
    pub fn try_take(&self) -> Option<J> {
        let mut deferred = Deferred::default();
        let mut state = self.state();
        let job = state.pop_job(&mut deferred);
        drop(state);
        deferred.run();
        job
    }

    /// As [`Pool::try_take`], for a worker. A worker's first look for a job must be this call.
    #[inline]
    pub fn try_take_as(&self, worker: &Worker) -> Option<J> {
        let mut deferred = Deferred::default();
        let mut state = self.state();
        if worker.begin_to_look() {
            state.newcomers = state.newcomers.saturating_sub(1);
        }
        let job = state.pop_job(&mut deferred);
        drop(state);
        deferred.run();
        job
    }

    /// The operation by which a worker waits for a job.
    pub fn take(&self) -> Take<&Self, J> {
        Take::new(self)
    }

    /// Counts a job as stale: a thread runs it without having taken it out. [`Job::is_done_elsewhere`] must
    /// already say so.
    pub fn count_stale(&self) {
        let mut deferred = Deferred::default();
        let mut state = self.state();
        state.jobs.count_stale(&mut deferred.jobs);
        state.admit(&mut deferred.wakes);
        drop(state);
        deferred.run();
    }

    /// Uncounts a stale job that had just been taken out of the pool when it began elsewhere.
    pub fn forget_stale(&self) {
        self.state().jobs.forget_stale();
    }

    /// A started worker takes its place, or any other free place: its own may have been given up although the
    /// worker was started. `None`: no place is free, and the worker must end.
    pub fn arrive(&self) -> Option<Arc<Worker>> {
        let worker = Arc::new(Worker::new());
        let mut state = self.state();
        if state.expected == 0 && state.workers.len() >= state.capacity {
            return None;
        }
        state.expected = state.expected.saturating_sub(1);
        state.newcomers += 1;
        state.workers.push(Arc::clone(&worker));
        drop(state);
        Some(worker)
    }

    /// A worker that has arrived ends.
    pub fn leave(&self, worker: &Arc<Worker>) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.remove(worker, wakes);
    }

    /// A worker that has [left](Pool::leave) takes a place again, if jobs are pending that no other worker
    /// will take. Such jobs may have come in since it last looked, when submissions still counted on it.
    pub fn stay(&self) -> Option<Arc<Worker>> {
        let mut state = self.state();
        if state.jobs.pending() <= state.available_workers()
            || state.workers.len() + state.expected >= state.capacity
        {
            return None;
        }
        let worker = Arc::new(Worker::new());
        state.newcomers += 1;
        state.workers.push(Arc::clone(&worker));
        drop(state);
        Some(worker)
    }

    /// Reports the result of [`Scaling::Start`]. If the worker was not started, as far as the caller knows,
    /// its place is given up.
    pub fn end_start(&self, started: bool) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.starting = state.starting.saturating_sub(1);
        if !started {
            state.expected = state.expected.saturating_sub(1);
            state.resolve_stall(wakes);
            state.replace_worker(wakes);
        }
        if state.starting == 0 {
            state.awaiting_starts.drain(wakes);
        }
    }

    /// Called after a failed start. Returns whether the caller should try once more, because other jobs have
    /// counted on that worker. It must report the result of the new start, too.
    pub fn scale_again(&self) -> Scaling {
        let mut state = self.state();
        // One of the pending jobs is that of the failed start.
        if state.jobs.pending() > 1 && state.jobs.pending() > state.available_workers() {
            state.start_worker()
        } else {
            Scaling::Enough
        }
    }

    /// The operation that waits until no worker is being started.
    pub fn wait_for_starts(&self) -> WaitForStarts<&Self> {
        WaitForStarts::new(self)
    }

    /// Closes the pool to new jobs. Workers end once no job is pending.
    pub fn close(&self) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.close(wakes);
    }

    /// Makes the pool fall back: jobs are submitted elsewhere from now on. Jobs that are pending here still
    /// run, and the workers then end. Returns how many workers were idle; these do nothing more here.
    pub fn fall_back(&self) -> usize {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.fallen_back = true;
        state.helping = false;
        let idle = state.idle.len();
        state.close(wakes);
        idle
    }

    /// Opens the pool for jobs, even after it has been closed or has fallen back.
    pub fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        state.fallen_back = false;
    }

    /// Opens a new pool that may have so many workers.
    pub fn open_with(&self, capacity: usize) {
        let mut state = self.state();
        state.capacity = capacity;
        state.closed = false;
        state.fallen_back = false;
    }

    /// Closes the pool and puts a mark into it; see [`Pool::close`] and [`Pool::mark`].
    pub fn close_with_mark(&self) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.marks += 1;
        state.close(wakes);
        (state.idle).wake_in_place_where(wakes, false, |waits| *waits == Waits::ForMark);
    }

    /// Opens the pool for jobs again after [`Pool::close`].
    pub fn reopen(&self) {
        let mut state = self.state();
        state.closed = state.fallen_back;
    }

    /// Whether [`Pool::fall_back`] was called, and [`Pool::open`] has not been called since.
    pub fn has_fallen_back(&self) -> bool {
        self.state().fallen_back
    }

    /// The greatest number of workers.
    pub fn capacity(&self) -> usize {
        self.state().capacity
    }

    /// Changes the capacity. A greater one lets more workers start as jobs come in; a smaller one ends none.
    /// Submissions that wait for room go on if a worker can now be started for them.
    pub fn set_capacity(&self, capacity: usize) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.capacity = capacity;
        for _ in state.workers.len() + state.expected..capacity {
            if state.submitters.is_empty() {
                break;
            }
            state.replace_worker(wakes);
        }
    }

    /// Sets the greatest number of pending jobs.
    pub fn set_backlog(&self, jobs: usize) {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        state.backlog = jobs;
        state.admit(wakes);
    }

    /// The number of pending jobs.
    pub fn pending(&self) -> usize {
        self.state().jobs.pending()
    }

    /// The number of pending jobs and marks.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.jobs.pending() + state.marks
    }

    /// Whether there are neither jobs nor marks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of idle workers.
    pub fn idle(&self) -> usize {
        self.state().idle.len()
    }

    /// The present state of the pool, and what its workers have done. What happens during the call may be
    /// missing.
    pub fn statistics(&self) -> Statistics {
        let state = self.state();
        let mut statistics = Statistics {
            workers: state.workers.len(),
            busy: 0,
            queued: state.jobs.pending(),
            work: state.ended_work,
        };
        for worker in &state.workers {
            statistics.busy += usize::from(worker.is_busy());
            statistics.work.add(worker.work());
        }
        statistics
    }

    /// Whether it has no place for another worker.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.expected == 0 && state.workers.len() >= state.capacity
    }

    /// The workers that have arrived: the number of the thread, how many jobs it has ended, and whether it runs one now.
    pub fn workers(&self) -> Vec<(u32, u64, bool)> {
        let workers = self.state().workers.clone();
        let described = workers
            .iter()
            .map(|worker| (worker.thread(), worker.work().done, worker.is_busy()));
        described.collect()
    }

    /// Whether jobs are submitted to it, and its workers run them.
    pub fn is_in_use(&self) -> bool {
        !self.state().fallen_back
    }

    /// Adds what another thread than a worker has done for the pool.
    pub fn add_work(&self, work: &Worker) {
        self.state().ended_work.add(work.work());
    }
}

impl<J: Job> Drop for Pool<J> {
    /// What it has done goes on to count in the metrics.
    fn drop(&mut self) {
        ledger::ends(self);
    }
}

impl<J: Job> wait::State for State<J> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.workers = Vec::new();
        self.ended_work = Work::default();
        self.expected = 0;
        self.newcomers = 0;
        self.starting = 0;
        self.idle = WaiterList::new();
        self.searching = 0;
        self.blocked = WaiterList::new();
        self.marks = 0;
        self.awaiting_starts = WaiterList::new();
        // The parent runs these jobs. To drop them here would run destructors under the leaf lock, and in a
        // process where the jobs were never used.
        std::mem::forget(std::mem::replace(&mut self.jobs, Jobs::new()));
        std::mem::forget(std::mem::take(&mut self.submitters));
    }
}

impl<J: Job> State<J> {
    /// Wakes the first idle worker. Each worker that leaves the list of a closed pool wakes the next, so they end one
    /// after the other. If all of them ended at the same time, each would hinder the others: with a GIL they would wait
    /// for it, and without one for the memory that they give back.
    fn close(&mut self, wakes: &mut Wakes) {
        self.closed = true;
        self.wake_worker_to_end(wakes);
        self.submitters.wake_in_place(wakes);
    }

    /// Only workers take part: they leave the list for good. Two other threads would wake each other for ever.
    fn wake_worker_to_end(&self, wakes: &mut Wakes) {
        (self.idle).wake_in_place_where(wakes, true, |waits| *waits == Waits::AsWorker);
    }

    /// Why no job is accepted, if none is.
    fn refusal(&self) -> Option<SubmitError> {
        if self.fallen_back {
            Some(SubmitError::FellBack)
        } else if self.closed {
            Some(SubmitError::Closed)
        } else {
            None
        }
    }

    #[inline]
    fn pop_job(&mut self, deferred: &mut Deferred<J>) -> Option<J> {
        let job = self.jobs.pop(&mut deferred.jobs);
        if !self.submitters.is_empty() {
            self.admit(&mut deferred.wakes);
        }
        job
    }

    fn remove(&mut self, worker: &Arc<Worker>, wakes: &mut Wakes) {
        self.dismiss(worker);
        self.replace_worker(wakes);
        self.resolve_stall(wakes);
    }

    fn dismiss(&mut self, worker: &Arc<Worker>) {
        let place = (self.workers.iter()).position(|other| Arc::ptr_eq(other, worker));
        if let Some(place) = place {
            self.workers.swap_remove(place);
            if worker.begin_to_look() {
                self.newcomers = self.newcomers.saturating_sub(1);
            }
            self.ended_work.add(worker.work());
        }
    }
}
