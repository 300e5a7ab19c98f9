//! A barrier: no thread goes on before all have arrived.

use std::ops::Deref;

use super::FellBack;
use crate::wait::observe::Resource;
use crate::wait::sync::{Arc, AtomicU8, Ordering};
use crate::wait::{
    self, Entered, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// A meeting point for a fixed number of threads. It can be used again and again.
pub struct Barrier {
    state: Monitor<State>,
}

struct State {
    /// The number of threads that meet: at least one.
    parties: u32,
    /// The number of threads that have arrived and wait.
    arrived: u32,
    broken: bool,
    fallen_back: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
    /// The payload is the cell that receives the [`WaitResult`].
    waiters: WaiterList<Arc<AtomicU8>>,
}

/// The result of a wait: [`PASSED`], [`BROKEN`] or [`FELL_BACK`].
type WaitResult = u8;
const PASSED: WaitResult = 0;
const BROKEN: WaitResult = 1;
const FELL_BACK: WaitResult = 2;

/// How a thread's wait at the barrier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierOutcome {
    /// All threads have arrived. This one had this number in the order of arrival, from zero.
    Passed(u32),
    /// The barrier is broken, or was broken while this thread waited.
    Broken,
    /// See [`super::FellBack`]. With a number, this thread had arrived as that number and continues its wait
    /// elsewhere; with `None`, it had not arrived yet.
    FellBack(Option<u32>),
}

/// The state that a barrier had when it fell back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The number of threads that have arrived and wait.
    pub arrived: u32,
    /// Whether the barrier is broken.
    pub broken: bool,
}

impl Barrier {
    /// Creates a barrier for `parties` threads, at least one.
    pub fn new(parties: u32) -> Self {
        Self {
            state: Monitor::new(State {
                parties,
                arrived: 0,
                broken: false,
                fallen_back: false,
                generation: generation(),
                waiters: WaiterList::new(),
            }),
        }
    }

    fn state(&self) -> Entered<'_, State> {
        self.state.enter()
    }

    /// Changes the number of threads. This is for a barrier that has not been used yet: no thread may be
    /// waiting.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn reset_for(&self, parties: u32) -> Result<(), FellBack> {
        self.reset()?;
        self.state().parties = parties;
        Ok(())
    }

    /// The number of threads that meet.
    pub fn parties(&self) -> u32 {
        self.state().parties
    }

    /// The number of threads that have arrived and wait; zero if the barrier is broken.
    pub fn waiting(&self) -> u32 {
        self.state().arrived
    }

    /// Whether the barrier is broken.
    pub fn is_broken(&self) -> bool {
        self.state().broken
    }

    /// Whether [`Barrier::fall_back`] was called.
    pub fn has_fallen_back(&self) -> bool {
        self.state().fallen_back
    }

    /// The operation that waits for the other threads.
    pub fn wait(&self) -> BarrierWait<&Self> {
        BarrierWait::new(self)
    }

    /// Breaks the barrier: present and later waits end as broken.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn abort(&self) -> Result<(), FellBack> {
        self.end_waits(true)
    }

    /// Makes the barrier usable again, as if it were new. Present waits end as broken.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn reset(&self) -> Result<(), FellBack> {
        self.end_waits(false)
    }

    fn end_waits(&self, broken: bool) -> Result<(), FellBack> {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        if state.fallen_back {
            return Err(FellBack);
        }
        state.broken = broken;
        state.complete(BROKEN, wakes);
        Ok(())
    }

    /// Gives the barrier up to another implementation, where the present waits continue. `None` if it had
    /// fallen back before.
    pub fn fall_back(&self) -> Option<Remains> {
        let mut entered = self.state();
        let (state, wakes) = entered.parts();
        if std::mem::replace(&mut state.fallen_back, true) {
            return None;
        }
        let remains = Remains {
            arrived: state.arrived,
            broken: state.broken,
        };
        state.complete(FELL_BACK, wakes);
        Some(remains)
    }
}

impl wait::State for State {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        // The threads that had arrived exist only in the parent.
        self.waiters.forget_other_processes();
        self.arrived = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
    }
}

impl State {
    /// Ends all waits with this result.
    fn complete(&mut self, result: WaitResult, wakes: &mut Wakes) {
        while let Some((waiter, cell)) = self.waiters.pop() {
            // The reader holds the leaf lock, too, and that orders the accesses.
            cell.store(result, Ordering::Relaxed);
            wakes.push(waiter);
        }
        // Those that could not be claimed leave by themselves.
        self.arrived = u32::try_from(self.waiters.len()).unwrap_or(u32::MAX);
    }
}

/// A thread's wait for the others.
///
/// `B`: a reference to the barrier, or whatever else keeps it alive.
pub struct BarrierWait<B> {
    barrier: B,
    ticket: Ticket,
    index: u32,
    result: Arc<AtomicU8>,
}

impl<B> BarrierWait<B> {
    /// The wait that has not begun.
    pub fn new(barrier: B) -> Self {
        Self {
            barrier,
            ticket: Ticket::next(),
            index: 0,
            // A wait passes only if the last arrival says so.
            result: Arc::new(AtomicU8::new(BROKEN)),
        }
    }
}

impl<B: Deref<Target = Barrier>> Operation for BarrierWait<B> {
    type Output = BarrierOutcome;

    fn resource(&self) -> Resource {
        Resource::new("Barrier", &*self.barrier)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<BarrierOutcome> {
        let mut entered = self.barrier.state();
        let (state, wakes) = entered.parts();
        if state.fallen_back {
            return Some(BarrierOutcome::FellBack(None));
        }
        if state.broken {
            return Some(BarrierOutcome::Broken);
        }
        self.index = state.arrived;
        if self.index + 1 < state.parties {
            state.arrived += 1;
            state
                .waiters
                .join(self.ticket, waiter, Arc::clone(&self.result));
            return None;
        }
        state.complete(PASSED, wakes);
        Some(BarrierOutcome::Passed(self.index))
    }

    fn leave(&mut self, parked: Parked) -> Option<BarrierOutcome> {
        let mut entered = self.barrier.state();
        let (state, wakes) = entered.parts();
        if state.waiters.leave(self.ticket).is_none() {
            return Some(match self.result.load(Ordering::Relaxed) {
                PASSED => BarrierOutcome::Passed(self.index),
                BROKEN => BarrierOutcome::Broken,
                _ => BarrierOutcome::FellBack(Some(self.index)),
            });
        }
        state.arrived -= 1;
        if parked == Parked::TimedOut {
            // The others would wait for this thread for ever.
            state.broken = true;
            state.complete(BROKEN, wakes);
        }
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<BarrierOutcome> {
        // If the wait is complete, the others have passed or have found the barrier broken. This thread's
        // part in that cannot be undone.
        self.leave(Parked::Raising)
    }
}
