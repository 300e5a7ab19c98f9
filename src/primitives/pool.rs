//! Pending jobs, and the workers that wait for them.
//!
//! The jobs travel in a crossbeam channel, which is only ever tried: an idle worker parks on its
//! own waiter, so that a `fork()` leaves nothing behind in the channel's wait lists. A pool that
//! was inherited through a fork starts anew: no workers, and none of the parent's jobs.

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::sync::{Arc, Mutex, MutexGuard};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation};

/// What has to follow a job's entry into the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staffing {
    /// Nothing: a worker is there for it, or will come by.
    Enough,
    /// The caller has to start a worker, whose place is already taken.
    Start,
}

/// Why a job was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The pool was closed.
    Closed,
    /// See [`super::Retired`].
    Retired,
}

/// Jobs of type `J` and places for workers.
pub struct Pool<J> {
    state: Mutex<State<J>>,
}

struct State<J> {
    jobs: (Sender<J>, Receiver<J>),
    /// Workers that have found nothing to do.
    idle: WaiterList,
    /// Those who wait until no worker is being started.
    awaiting_starts: WaiterList,
    /// Places of workers that run.
    running: usize,
    /// Places of workers that have not arrived yet.
    expected: usize,
    /// Calls of `submit` that have to start a worker, and have not said what came of it.
    starting: usize,
    capacity: usize,
    closed: bool,
    retired: bool,
    /// The process that the workers live in.
    generation: u32,
}

impl<J> Pool<J> {
    /// Without jobs or workers; at most `capacity` workers.
    pub fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: unbounded(),
                idle: WaiterList::new(),
                awaiting_starts: WaiterList::new(),
                running: 0,
                expected: 0,
                starting: 0,
                capacity,
                closed: false,
                retired: false,
                generation: generation(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
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
    pub fn submit(&self, job: J) -> Result<Staffing, (SubmitError, J)> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if state.retired {
            return Err((SubmitError::Retired, job));
        }
        if state.closed {
            return Err((SubmitError::Closed, job));
        }
        if let Err(refused) = state.jobs.0.send(job) {
            // Cannot be: the receiver lives beside the sender.
            return Err((SubmitError::Closed, refused.into_inner()));
        }
        let mut staffing = Staffing::Enough;
        if let Some((worker, ())) = state.idle.pop() {
            wakes.push(worker);
        } else if state.running + state.expected < state.capacity {
            state.expected += 1;
            state.starting += 1;
            staffing = Staffing::Start;
        }
        drop(state);
        wakes.wake();
        Ok(staffing)
    }

    /// A job, if one is pending.
    #[inline]
    pub fn try_take(&self) -> Option<J> {
        self.state().jobs.1.try_recv().ok()
    }

    /// A worker's wait for a job.
    pub fn take(&self) -> Take<'_, J> {
        Take {
            pool: self,
            ticket: Ticket::next(),
        }
    }

    /// A worker takes its place. `false`: it was given up meanwhile, so the worker is to end.
    pub fn arrive(&self) -> bool {
        let mut state = self.state();
        let expected = state.expected > 0;
        if expected {
            state.expected -= 1;
            state.running += 1;
        }
        expected
    }

    /// A worker that has arrived ends.
    pub fn leave(&self) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
    }

    /// What came of [`Staffing::Start`]: unless the worker was started, as far as anybody knows,
    /// its place is given up.
    pub fn end_start(&self, started: bool) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.starting = state.starting.saturating_sub(1);
        if !started {
            state.expected = state.expected.saturating_sub(1);
        }
        if state.starting == 0 {
            state.awaiting_starts.drain(&mut wakes);
        }
        drop(state);
        wakes.wake();
    }

    /// The wait until no worker is being started.
    pub fn wait_for_starts(&self) -> WaitForStarts<'_, J> {
        WaitForStarts {
            pool: self,
            ticket: Ticket::next(),
        }
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
        drop(state);
        wakes.wake();
    }

    /// Submission goes on elsewhere; what is pending here is still done, and workers then leave.
    pub fn retire(&self) {
        self.state().retired = true;
        self.close();
    }

    /// Whether [`Pool::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// At most this many workers.
    pub fn capacity(&self) -> usize {
        self.state().capacity
    }

    /// Changes the capacity: more workers are started as jobs come in, none is ended.
    pub fn set_capacity(&self, capacity: usize) {
        self.state().capacity = capacity;
    }

    /// How many jobs are pending.
    pub fn pending(&self) -> usize {
        self.state().jobs.1.len()
    }
}

impl<J> State<J> {
    fn begin_anew(&mut self) {
        self.generation = generation();
        self.running = 0;
        self.expected = 0;
        self.starting = 0;
        self.idle = WaiterList::new();
        self.awaiting_starts = WaiterList::new();
        // The parent runs these jobs. Dropping them here would run destructors under the leaf
        // lock, and in a process that never had them.
        std::mem::forget(std::mem::replace(&mut self.jobs, unbounded()));
    }
}

/// A worker's wait for a job.
pub struct Take<'a, J> {
    pool: &'a Pool<J>,
    ticket: Ticket,
}

impl<J> Operation for Take<'_, J> {
    /// `None`: there is nothing left to do, for good.
    type Output = Option<J>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.pool.state();
        if let Ok(job) = state.jobs.1.try_recv() {
            return Some(Some(job));
        }
        if state.closed {
            return Some(None);
        }
        state.idle.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        // Taken out means only to look again: a busy worker may have been quicker.
        self.pool.state().idle.leave(self.ticket);
        None
    }
}

/// A wait until no worker is being started.
pub struct WaitForStarts<'a, J> {
    pool: &'a Pool<J>,
    ticket: Ticket,
}

impl<J> Operation for WaitForStarts<'_, J> {
    type Output = ();

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut state = self.pool.state();
        if state.starting == 0 {
            return Some(());
        }
        state.awaiting_starts.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        match self.pool.state().awaiting_starts.leave(self.ticket) {
            Some(()) => None,
            None => Some(()),
        }
    }
}
