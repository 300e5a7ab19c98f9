//! Permits, taken one at a time. Any thread may give them back.
//!
//! [`crate::wait::hand_off`] explains the order in which waiters get them.

use std::ops::Deref;

use super::FellBack;
use crate::wait::hand_off::HandOff;
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{self, Monitor, Operation, Parked, Waiter, WaiterList, Wakes, generation};

/// A counter of permits.
pub struct Semaphore {
    state: Monitor<State>,
}

struct State {
    permits: i64,
    /// A release never raises the number of permits above this.
    bound: i64,
    fallen_back: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
    /// The payload says whether a permit goes to this waiter by hand-off.
    waiters: WaiterList<bool>,
}

/// Why no permit was taken without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// There is no permit.
    NoPermit,
    /// See [`super::FellBack`].
    FellBack,
}

/// Why permits were not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseError {
    /// The release would raise the number of permits above the bound.
    AboveBound,
    /// See [`super::FellBack`].
    FellBack,
}

impl Semaphore {
    /// Creates a semaphore with this many permits and no bound.
    pub fn new(permits: i64) -> Self {
        Self {
            state: Monitor::new(State {
                permits,
                bound: i64::MAX,
                fallen_back: false,
                generation: generation(),
                waiters: WaiterList::new(),
            }),
        }
    }

    /// The number of permits; zero if the semaphore has fallen back.
    #[inline]
    pub fn permits(&self) -> i64 {
        self.state.enter().permits
    }

    /// Sets the number of permits.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn set_permits(&self, permits: i64) -> Result<(), FellBack> {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        if state.fallen_back {
            return Err(FellBack);
        }
        state.permits = 0;
        state.add(permits, wakes);
        Ok(())
    }

    /// The bound; `i64::MAX` means none.
    pub fn bound(&self) -> i64 {
        self.state.enter().bound
    }

    /// Sets the bound, even if there are more permits.
    pub fn set_bound(&self, bound: i64) {
        self.state.enter().bound = bound;
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// The [`AcquireError`] that applies.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), AcquireError> {
        let mut state = self.state.enter();
        if state.take() {
            Ok(())
        } else if state.fallen_back {
            Err(AcquireError::FellBack)
        } else {
            Err(AcquireError::NoPermit)
        }
    }

    /// The operation that waits for a permit.
    pub fn acquire(&self) -> Acquire<&Self> {
        Acquire::new(self)
    }

    /// Gives back `permits`, at least one: either all of them or none.
    ///
    /// # Errors
    /// The [`ReleaseError`] that applies.
    #[inline]
    pub fn release(&self, permits: i64) -> Result<(), ReleaseError> {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        if state.fallen_back {
            return Err(ReleaseError::FellBack);
        }
        match state.permits.checked_add(permits) {
            Some(sum) if sum <= state.bound => {}
            _ => return Err(ReleaseError::AboveBound),
        }
        state.add(permits, wakes);
        Ok(())
    }

    /// Gives back a permit that was taken and will not be used. The bound does not apply.
    #[cold]
    fn give_back(&self) -> Result<(), FellBack> {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        if state.fallen_back {
            return Err(FellBack);
        }
        state.add(1, wakes);
        Ok(())
    }

    /// Gives the semaphore up to another implementation: present and later operations end as fallen back.
    /// Returns the permits. `None` if the semaphore had fallen back before.
    pub fn fall_back(&self) -> Option<i64> {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        if std::mem::replace(&mut state.fallen_back, true) {
            return None;
        }
        let permits = std::mem::take(&mut state.permits);
        state.waiters.wake_in_place(wakes);
        Some(permits)
    }

    /// Whether [`Semaphore::fall_back`] was called.
    pub fn has_fallen_back(&self) -> bool {
        self.state.enter().fallen_back
    }
}

impl wait::State for State {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        // Permits belong to no thread, and the list passes over waiters of another process.
    }
}

impl State {
    #[inline]
    fn take(&mut self) -> bool {
        let free = self.permits > 0;
        if free {
            self.permits -= 1;
        }
        free
    }

    /// Adds permits, and takes out one waiter for each.
    #[inline]
    fn add(&mut self, permits: i64, wakes: &mut Wakes) {
        self.permits += permits;
        let mut left = permits;
        while left > 0
            && let Some((waiter, handed)) = self.waiters.pop()
        {
            left -= 1;
            if handed {
                self.permits -= 1;
            }
            wakes.push(waiter);
        }
    }
}

/// A thread's wait for a permit.
///
/// `S`: a reference to the semaphore, or whatever else keeps it alive.
pub struct Acquire<S> {
    semaphore: S,
    hand_off: HandOff,
}

impl<S> Acquire<S> {
    /// The wait that has not begun.
    pub fn new(semaphore: S) -> Self {
        Self {
            semaphore,
            hand_off: HandOff::new(),
        }
    }
}

impl<S: Deref<Target = Semaphore>> Operation for Acquire<S> {
    type Output = Result<(), FellBack>;

    fn resource(&self) -> Resource {
        Resource::new("Semaphore", &*self.semaphore)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.semaphore.state.enter();
        if state.fallen_back {
            return Some(Err(FellBack));
        }
        if state.take() {
            return Some(Ok(()));
        }
        state
            .waiters
            .join(self.hand_off.ticket(), waiter, self.hand_off.join(waiter));
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.semaphore.state.enter();
        if state.waiters.leave(self.hand_off.ticket()).is_some() {
            return None;
        }
        // A release took this waiter out, and has woken no other for that permit. So whatever ended the
        // sleep, the permit must be taken here, or another thread must have it, which will give it back.
        if self.hand_off.is_handed() || state.take() {
            return Some(Ok(()));
        }
        self.hand_off.lose();
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // A chance must be used: take a permit if there is one, and give it back, which wakes the next
        // waiter.
        self.leave(Parked::Raising)?.ok()?;
        match self.semaphore.give_back() {
            Ok(()) => None,
            // The other implementation has not taken this permit over, so it cannot be given back: the
            // operation counts as completed.
            Err(FellBack) => Some(Ok(())),
        }
    }
}
