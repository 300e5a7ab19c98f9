//! Work that one thread does for all who ask for it.
//!
//! The first to ask does it, and the others wait until it is done. A thread that cannot do it after all gives its turn to
//! the next that waits.

use std::ops::Deref;

use super::holder::{self, Holder};
use crate::wait::observe::{Owned, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{
    self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// What a caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The work, and to say so by one of [`SingleRun::finish`], [`SingleRun::pass_on`] and [`SingleRun::close`].
    Mine,
    /// Nothing: it is done.
    Done,
    /// To ask elsewhere: nobody will do it here.
    Closed,
}

/// The caller is doing the work already, and would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reentrant;

/// Work that is done once at most.
pub struct SingleRun {
    /// What a report calls a wait for it.
    what: &'static str,
    /// The address that waits for it have; zero: its own.
    address: usize,
    state: Monitor<State>,
}

struct State {
    stage: Stage,
    /// The payload is the thread that waits.
    waiters: WaiterList<Holder>,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

#[derive(Clone, Copy)]
enum Stage {
    Idle,
    Running(Holder),
    Done,
    Closed,
}

impl SingleRun {
    /// Work that nobody has begun. `what`: what a report calls a wait for it.
    pub fn new(what: &'static str) -> Self {
        Self::in_place_of(what, 0)
    }

    /// The same, where waits for it have the address of another object, by which a report finds a name.
    pub fn in_place_of(what: &'static str, address: usize) -> Self {
        Self {
            what,
            address,
            state: Monitor::new(State {
                stage: Stage::Idle,
                waiters: WaiterList::new(),
                generation: generation(),
            }),
        }
    }

    /// Takes the turn if nobody has it. `None`: another thread is doing the work.
    ///
    /// # Errors
    /// [`Reentrant`].
    pub fn try_begin(&self, caller: Holder) -> Result<Option<Turn>, Reentrant> {
        self.state.enter().try_begin(caller)
    }

    /// The operation that waits until the work is done, or until it is the caller's turn.
    pub fn begin(&self, caller: Holder) -> Begin<&Self> {
        Begin::new(self, caller)
    }

    /// The work is done: all who wait go on. The caller had the turn.
    pub fn finish(&self) {
        self.end(Stage::Done);
    }

    /// Nobody will do the work here: all who wait go on, and ask elsewhere. The caller had the turn.
    pub fn close(&self) {
        self.end(Stage::Closed);
    }

    fn end(&self, stage: Stage) {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        state.stage = stage;
        state.waiters.drain(wakes);
    }

    /// The caller, who had the turn, has not done the work. The next that waits has the turn. Returns whether there is one.
    pub fn pass_on(&self) -> bool {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        state.pass_on(wakes)
    }

    /// Like [`SingleRun::pass_on`], but if nobody waits, the caller still has the turn.
    pub fn pass_on_to_waiter(&self) -> bool {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        let before = state.stage;
        let passed = state.pass_on(wakes);
        if !passed {
            state.stage = before;
        }
        passed
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.enter().waiters.len()
    }
}

impl Owned for SingleRun {
    fn owner(&self) -> Option<ThreadNumber> {
        match self.state.enter().stage {
            Stage::Running(runner) => holder::thread_of(runner),
            _ => None,
        }
    }
}

impl wait::State for State {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.waiters.forget_other_processes();
        // The thread that was doing it does not exist here. The next that asks does it.
        if let Stage::Running(runner) = self.stage
            && holder::is_of_parent(runner)
        {
            self.stage = Stage::Idle;
        }
    }
}

impl State {
    fn try_begin(&mut self, caller: Holder) -> Result<Option<Turn>, Reentrant> {
        match self.stage {
            Stage::Idle => {
                self.stage = Stage::Running(caller);
                Ok(Some(Turn::Mine))
            }
            Stage::Running(runner) if runner == caller => Err(Reentrant),
            Stage::Running(_) => Ok(None),
            Stage::Done => Ok(Some(Turn::Done)),
            Stage::Closed => Ok(Some(Turn::Closed)),
        }
    }

    fn pass_on(&mut self, wakes: &mut Wakes) -> bool {
        match self.waiters.pop() {
            Some((waiter, next)) => {
                self.stage = Stage::Running(next);
                wakes.push(waiter);
                true
            }
            None => {
                self.stage = Stage::Idle;
                false
            }
        }
    }
}

/// A thread's wait until the work is done, or until it is its turn.
///
/// `S`: a reference to the work, or whatever else keeps it alive.
pub struct Begin<S> {
    run: S,
    caller: Holder,
    ticket: Ticket,
}

impl<S> Begin<S> {
    /// The wait that has not begun.
    pub fn new(run: S, caller: Holder) -> Self {
        Self {
            run,
            caller,
            ticket: Ticket::next(),
        }
    }
}

impl<S: Deref<Target = SingleRun>> Operation for Begin<S> {
    type Output = Result<Turn, Reentrant>;

    fn resource(&self) -> Resource {
        let own = Resource::owned(self.run.what, &*self.run);
        match self.run.address {
            0 => own,
            address => Resource { address, ..own },
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.run.state.enter();
        match state.try_begin(self.caller) {
            Ok(Some(turn)) => Some(Ok(turn)),
            Ok(None) => {
                state.waiters.join(self.ticket, waiter, self.caller);
                None
            }
            // A signal handler that ran in this wait has begun the work and has not ended it.
            Err(reentrant) => Some(Err(reentrant)),
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.run.state.enter();
        if state.waiters.leave(self.ticket).is_some() {
            return None;
        }
        Some(Ok(match state.stage {
            Stage::Done => Turn::Done,
            Stage::Closed => Turn::Closed,
            // It was taken out of the list to have the turn.
            Stage::Idle | Stage::Running(_) => Turn::Mine,
        }))
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        match self.leave(Parked::Raising)? {
            Ok(Turn::Mine) => {
                self.run.pass_on();
                None
            }
            // Who asks again is told the same.
            _ => None,
        }
    }
}
