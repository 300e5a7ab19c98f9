//! Pending jobs, and the workers that wait for them.
//!
//! Ordinary jobs travel in a crossbeam channel, which is only ever tried: an idle worker parks on its
//! own waiter, so that a `fork()` leaves nothing behind in the channel's wait lists. A pool that
//! was inherited through a fork starts anew: no workers, and none of the parent's jobs.

mod blocked;
mod figures;
mod jobs;
mod staffing;
mod waits;

pub use blocked::{AsWorker, Awaited};
pub use figures::{Begun, Durations, Statistics, Work, Worker};
pub use jobs::{Job, ORDINARY};
pub use staffing::Staffing;
pub use waits::{Next, SubmitWhenRoom, Take, WaitForStarts};

use self::jobs::Jobs;
use super::leaf::{Leaf, LeafGuard};
use super::sync::Arc;
use super::waiter::{Ticket, WaiterList, Wakes, generation};

/// Why a job was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The pool was closed.
    Closed,
    /// See [`super::Retired`].
    Retired,
    /// As many are pending as may be.
    Full,
}

/// Jobs of type `J` and places for workers.
pub struct Pool<J> {
    state: Leaf<State<J>>,
    number: u64,
}

/// What is to be dropped and woken once the leaf lock is released.
struct Leaving<J> {
    jobs: Vec<J>,
    wakes: Wakes,
}

impl<J> Default for Leaving<J> {
    fn default() -> Self {
        Self {
            jobs: Vec::new(),
            wakes: Wakes::new(),
        }
    }
}

impl<J> Leaving<J> {
    /// In this order: what is dropped may wait for those who are woken.
    fn leave(self) {
        self.wakes.wake();
        drop(self.jobs);
    }
}

struct State<J> {
    jobs: Jobs<J>,
    /// At most so many jobs may be pending.
    backlog: usize,
    /// Submissions that wait for room, with the job and its priority.
    submitters: WaiterList<(J, i64)>,
    /// Workers that have found nothing to do.
    idle: WaiterList,
    /// Workers that were taken out of `idle` and have not looked for a job since.
    searching: usize,
    /// See [`Pool::waking_one_by_one`].
    searching_at_most: usize,
    /// Workers that wait for other jobs; and whether for one that they could do themselves.
    blocked: WaiterList<bool>,
    /// Those who wait until no worker is being started.
    awaiting_starts: WaiterList,
    /// Workers that have arrived.
    workers: Vec<Arc<Worker>>,
    /// What those have done that have ended.
    former: Work,
    /// Places of workers that have not arrived yet.
    expected: usize,
    /// Workers that have arrived, and have not looked for a job yet: an initializer may take long.
    newcomers: usize,
    /// Calls of `submit` that have to start a worker, and have not said what came of it.
    starting: usize,
    capacity: usize,
    closed: bool,
    retired: bool,
    /// The process that the workers live in.
    generation: u32,
}

impl<J: Job> Pool<J> {
    /// Without jobs or workers; at most `capacity` workers.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Leaf::new(State {
                jobs: Jobs::new(),
                backlog: usize::MAX,
                submitters: WaiterList::new(),
                idle: WaiterList::new(),
                searching: 0,
                searching_at_most: usize::MAX,
                blocked: WaiterList::new(),
                awaiting_starts: WaiterList::new(),
                workers: Vec::new(),
                former: Work::default(),
                expected: 0,
                newcomers: 0,
                starting: 0,
                capacity,
                closed: false,
                retired: false,
                generation: generation(),
            }),
            number: Ticket::next().number(),
        }
    }

    /// The same, but a worker that takes a job wakes the next one if more are pending, and submission does
    /// so only where none is on its way.
    ///
    /// To wake a worker for each job costs more than most jobs, and most find nothing left when they come,
    /// where workers run at once and side by side. Not so where they have to wait for each other's lock
    /// before they can look: there they had better wait together.
    #[must_use]
    pub fn waking_one_by_one(self) -> Self {
        self.state.lock().searching_at_most = 1;
        self
    }

    /// The number of this pool, which no other of the process has.
    pub fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    fn state(&self) -> LeafGuard<'_, State<J>> {
        let mut state = self.state.lock();
        if state.generation != generation() {
            state.begin_anew();
        }
        state
    }

    /// Takes a job in: an idle worker is woken, or else one is to be started, or else a busy one
    /// will come for it.
    ///
    /// # Errors
    /// The [`SubmitError`] that applies, with the job.
    #[inline]
    pub fn submit(&self, job: J, priority: i64) -> Result<Staffing, (SubmitError, J)> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if let Some(refusal) = state.refusal() {
            return Err((refusal, job));
        }
        if !state.has_room() {
            return Err((SubmitError::Full, job));
        }
        if let Err(job) = state.jobs.push(job, priority) {
            return Err((SubmitError::Closed, job));
        }
        let staffing = state.staff(&mut wakes);
        drop(state);
        wakes.wake();
        Ok(staffing)
    }

    /// As [`Pool::submit`], waiting as long as the pool is full.
    pub fn submit_when_room(&self, job: J, priority: i64) -> SubmitWhenRoom<'_, J> {
        SubmitWhenRoom::new(self, job, priority)
    }

    /// Whether it takes jobs.
    ///
    /// # Errors
    /// The [`SubmitError`] that applies; never [`SubmitError::Full`].
    pub fn check(&self) -> Result<(), SubmitError> {
        self.state().refusal().map_or(Ok(()), Err)
    }

    /// A job, if one is pending.
    #[inline]
    pub fn try_take(&self) -> Option<J> {
        let mut leaving = Leaving::default();
        let mut state = self.state();
        let job = state.pop_job(&mut leaving);
        drop(state);
        leaving.leave();
        job
    }

    /// As [`Pool::try_take`], by a worker. Its first look for a job has to be this one.
    #[inline]
    pub fn try_take_as(&self, worker: &Worker) -> Option<J> {
        let mut leaving = Leaving::default();
        let mut state = self.state();
        if worker.begin_to_look() {
            state.newcomers = state.newcomers.saturating_sub(1);
        }
        let job = state.pop_job(&mut leaving);
        drop(state);
        leaving.leave();
        job
    }

    /// A worker's wait for a job.
    pub fn take(&self) -> Take<'_, J> {
        Take::new(self)
    }

    /// Somebody does a job that is still in here, as [`Job::is_done_elsewhere`] already says.
    pub fn count_leftover(&self) {
        let mut leaving = Leaving::default();
        let mut state = self.state();
        state.jobs.count_leftover(&mut leaving.jobs);
        state.admit(&mut leaving.wakes);
        drop(state);
        leaving.leave();
    }

    /// A job that was taken out was already being done by somebody else when it was to be begun.
    pub fn forget_leftover(&self) {
        self.state().jobs.forget_leftover();
    }

    /// A worker takes its place, or any other that is free: its own may have been given up although it was
    /// started. `None`: there is none, so the worker is to end.
    pub fn arrive(&self) -> Option<Arc<Worker>> {
        let worker = Arc::new(Worker::default());
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
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.dismiss(worker);
        state.replace_worker(&mut wakes);
        state.resolve_stall(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// What came of [`Staffing::Start`]: unless the worker was started, as far as anybody knows,
    /// its place is given up.
    pub fn end_start(&self, started: bool) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.starting = state.starting.saturating_sub(1);
        if !started {
            state.expected = state.expected.saturating_sub(1);
            state.resolve_stall(&mut wakes);
            state.replace_worker(&mut wakes);
        }
        if state.starting == 0 {
            state.awaiting_starts.drain(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }

    /// After a start that failed: whether others have counted on its worker, so that it had better be tried
    /// once more. What comes of that has to be said again.
    pub fn staff_again(&self) -> Staffing {
        let mut state = self.state();
        // One of those that are pending is the job of the start that failed.
        if state.jobs.pending() > 1 && state.jobs.pending() > state.unemployed() {
            state.start_worker()
        } else {
            Staffing::Enough
        }
    }

    /// The wait until no worker is being started.
    pub fn wait_for_starts(&self) -> WaitForStarts<'_, J> {
        WaitForStarts::new(self)
    }

    /// Wakes the idle workers to look again.
    pub fn poke(&self) {
        let mut wakes = Wakes::new();
        self.state().idle.poke(&mut wakes);
        wakes.wake();
    }

    /// No more jobs: workers leave once none is pending.
    pub fn close(&self) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.closed = true;
        state.idle.poke(&mut wakes);
        state.submitters.poke(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Submission goes on elsewhere; what is pending here is still done, and workers then leave.
    pub fn retire(&self) {
        self.state().retired = true;
        self.close();
    }

    /// Takes jobs, whatever it was told before.
    pub fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        state.retired = false;
    }

    /// Whether [`Pool::retire`] was called, and [`Pool::open`] not since.
    pub fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// At most this many workers.
    pub fn capacity(&self) -> usize {
        self.state().capacity
    }

    /// Changes the capacity: more workers are started as jobs come in, none is ended. Submissions that wait
    /// for room come in if a worker can now be started for them.
    pub fn set_capacity(&self, capacity: usize) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.capacity = capacity;
        for _ in state.workers.len() + state.expected..capacity {
            if state.submitters.is_empty() {
                break;
            }
            state.replace_worker(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }

    /// At most so many jobs may be pending from now on.
    pub fn set_backlog(&self, jobs: usize) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.backlog = jobs;
        state.admit(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// How many jobs are pending.
    pub fn pending(&self) -> usize {
        self.state().jobs.pending()
    }

    /// How many workers are idle.
    pub fn idle(&self) -> usize {
        self.state().idle.len()
    }

    /// What there is, and what has been done. What happens meanwhile may be missing.
    pub fn statistics(&self) -> Statistics {
        let state = self.state();
        let mut statistics = Statistics {
            workers: state.workers.len(),
            busy: 0,
            queued: state.jobs.pending(),
            work: state.former,
        };
        for worker in &state.workers {
            statistics.busy += usize::from(worker.is_busy());
            statistics.work.add(worker.work());
        }
        statistics
    }

    /// What somebody else than a worker has done for the pool.
    pub fn add_work(&self, work: &Worker) {
        self.state().former.add(work.work());
    }
}

impl<J: Job> State<J> {
    fn begin_anew(&mut self) {
        self.generation = generation();
        self.workers = Vec::new();
        self.former = Work::default();
        self.expected = 0;
        self.newcomers = 0;
        self.starting = 0;
        self.idle = WaiterList::new();
        self.searching = 0;
        self.blocked = WaiterList::new();
        self.awaiting_starts = WaiterList::new();
        // The parent runs these jobs. Dropping them here would run destructors under the leaf
        // lock, and in a process that never had them.
        std::mem::forget(std::mem::replace(&mut self.jobs, Jobs::new()));
        std::mem::forget(std::mem::take(&mut self.submitters));
    }

    /// Why no job is taken in, if none is.
    fn refusal(&self) -> Option<SubmitError> {
        if self.retired {
            Some(SubmitError::Retired)
        } else if self.closed {
            Some(SubmitError::Closed)
        } else {
            None
        }
    }

    #[inline]
    fn pop_job(&mut self, leaving: &mut Leaving<J>) -> Option<J> {
        let job = self.jobs.pop(&mut leaving.jobs);
        if !self.submitters.is_empty() {
            self.admit(&mut leaving.wakes);
        }
        job
    }

    fn dismiss(&mut self, worker: &Arc<Worker>) {
        let place = (self.workers.iter()).position(|other| Arc::ptr_eq(other, worker));
        if let Some(place) = place {
            self.workers.swap_remove(place);
            if worker.begin_to_look() {
                self.newcomers = self.newcomers.saturating_sub(1);
            }
            self.former.add(worker.work());
        }
    }
}
