//! A rendezvous: nobody goes on before all have come.

use super::Retired;
use super::sync::{Arc, AtomicU8, Mutex, MutexGuard, Ordering};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation};

/// A meeting point for a number of threads, which can be used again and again.
pub struct Barrier {
    state: Mutex<State>,
}

struct State {
    /// So many threads meet: one at least.
    parties: u32,
    /// Those that have come and wait.
    arrived: u32,
    broken: bool,
    retired: bool,
    /// The process that the threads came in.
    generation: u32,
    /// The payload takes the [`Verdict`].
    waiters: WaiterList<Arc<AtomicU8>>,
}

/// What became of a wait: [`PASSED`], [`BROKEN`] or [`MOVED`].
type Verdict = u8;
const PASSED: Verdict = 0;
const BROKEN: Verdict = 1;
const MOVED: Verdict = 2;

/// How a thread came out of the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// All have come; this one as number so many, from zero.
    Passed(u32),
    /// The barrier is broken, or was while this thread waited.
    Broken,
    /// See [`super::Retired`]. `Some`: the number that this thread had, which goes on waiting
    /// elsewhere; `None`: it has not come yet.
    Retired(Option<u32>),
}

/// What a retired barrier leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// How many have come and wait.
    pub arrived: u32,
    /// Whether it is broken.
    pub broken: bool,
}

impl Barrier {
    /// A barrier for so many `parties`, one at least.
    pub fn new(parties: u32) -> Self {
        Self {
            state: Mutex::new(State {
                parties,
                arrived: 0,
                broken: false,
                retired: false,
                generation: generation(),
                waiters: WaiterList::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if state.generation != generation() {
            // Those that had come stayed in the parent.
            state.generation = generation();
            state.waiters.forget_other_processes();
            state.arrived = u32::try_from(state.waiters.len()).unwrap_or(u32::MAX);
        }
        state
    }

    /// Is for so many parties from now on, with nobody waiting: before it is first used.
    ///
    /// # Errors
    /// [`Retired`].
    pub fn reset_for(&self, parties: u32) -> Result<(), Retired> {
        self.reset()?;
        self.state().parties = parties;
        Ok(())
    }

    /// How many threads meet.
    pub fn parties(&self) -> u32 {
        self.state().parties
    }

    /// How many have come and wait; none where the barrier is broken.
    pub fn waiting(&self) -> u32 {
        self.state().arrived
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.state().broken
    }

    /// Whether [`Barrier::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// The wait for the others.
    pub fn wait(&self) -> Meet<'_> {
        Meet {
            barrier: self,
            ticket: Ticket::next(),
            index: 0,
            // Nobody passes without having been let through.
            verdict: Arc::new(AtomicU8::new(BROKEN)),
        }
    }

    /// Breaks it: those that wait, and those that come, find it broken.
    ///
    /// # Errors
    /// [`Retired`].
    pub fn abort(&self) -> Result<(), Retired> {
        self.end_waits(true)
    }

    /// As it was made; those that wait find it broken.
    ///
    /// # Errors
    /// [`Retired`].
    pub fn reset(&self) -> Result<(), Retired> {
        self.end_waits(false)
    }

    fn end_waits(&self, broken: bool) -> Result<(), Retired> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if state.retired {
            return Err(Retired);
        }
        state.broken = broken;
        state.complete(BROKEN, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// Gives the barrier up to another implementation, to which those that wait turn.
    /// `None` if that was done before.
    pub fn retire(&self) -> Option<Remains> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if std::mem::replace(&mut state.retired, true) {
            return None;
        }
        let remains = Remains {
            arrived: state.arrived,
            broken: state.broken,
        };
        state.complete(MOVED, &mut wakes);
        drop(state);
        wakes.wake();
        Some(remains)
    }
}

impl State {
    /// Ends all waits with that verdict.
    fn complete(&mut self, verdict: Verdict, wakes: &mut Wakes) {
        self.arrived = 0;
        while let Some((waiter, cell)) = self.waiters.pop() {
            // Read under the leaf lock, which orders it.
            cell.store(verdict, Ordering::Relaxed);
            wakes.push(waiter);
        }
    }
}

/// A thread's wait for the others.
pub struct Meet<'a> {
    barrier: &'a Barrier,
    ticket: Ticket,
    index: u32,
    verdict: Arc<AtomicU8>,
}

impl Operation for Meet<'_> {
    type Output = Passage;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Passage> {
        let mut wakes = Wakes::new();
        let mut state = self.barrier.state();
        if state.retired {
            return Some(Passage::Retired(None));
        }
        if state.broken {
            return Some(Passage::Broken);
        }
        self.index = state.arrived;
        if self.index + 1 < state.parties {
            state.arrived += 1;
            state
                .waiters
                .join(self.ticket, waiter, Arc::clone(&self.verdict));
            return None;
        }
        state.complete(PASSED, &mut wakes);
        drop(state);
        wakes.wake();
        Some(Passage::Passed(self.index))
    }

    fn leave(&mut self, parked: Parked) -> Option<Passage> {
        let mut wakes = Wakes::new();
        let mut state = self.barrier.state();
        if state.waiters.leave(self.ticket).is_none() {
            return Some(match self.verdict.load(Ordering::Relaxed) {
                PASSED => Passage::Passed(self.index),
                BROKEN => Passage::Broken,
                _ => Passage::Retired(Some(self.index)),
            });
        }
        state.arrived -= 1;
        if parked == Parked::TimedOut {
            // The others would wait in vain for this one.
            state.broken = true;
            state.complete(BROKEN, &mut wakes);
            drop(state);
            wakes.wake();
        }
        None
    }
}
