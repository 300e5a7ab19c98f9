//! Permits, taken one at a time and given back by anybody.
//!
//! Waiters take turns as [`super::turn`] tells.

use super::Retired;
use super::sync::{Arc, Mutex};
use super::turn::Turn;
use super::waiter::{Operation, Parked, Waiter, WaiterList, Wakes};

/// A number of permits.
pub struct Semaphore {
    state: Mutex<State>,
}

struct State {
    permits: i64,
    /// Never more permits than this.
    bound: i64,
    retired: bool,
    /// The payload says whether a permit is to be handed to this waiter.
    waiters: WaiterList<bool>,
}

/// Why no permit was taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// There is none.
    NoPermit,
    /// See [`super::Retired`].
    Retired,
}

/// Why permits were not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseError {
    /// There would be more than the bound.
    AboveBound,
    /// See [`super::Retired`].
    Retired,
}

impl Semaphore {
    /// So many permits, without a bound.
    pub fn new(permits: i64) -> Self {
        Self {
            state: Mutex::new(State {
                permits,
                bound: i64::MAX,
                retired: false,
                waiters: WaiterList::new(),
            }),
        }
    }

    /// How many permits there are; none for another implementation's.
    #[inline]
    pub fn permits(&self) -> i64 {
        self.state.lock().permits
    }

    /// Has so many permits from now on.
    ///
    /// # Errors
    /// [`Retired`].
    pub fn set_permits(&self, permits: i64) -> Result<(), Retired> {
        let mut wakes = Wakes::new();
        let mut state = self.state.lock();
        if state.retired {
            return Err(Retired);
        }
        state.permits = 0;
        state.add(permits, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// The bound; `i64::MAX` means none.
    pub fn bound(&self) -> i64 {
        self.state.lock().bound
    }

    /// Has that bound from now on, however many permits there are.
    pub fn set_bound(&self, bound: i64) {
        self.state.lock().bound = bound;
    }

    /// Takes a permit, if there is one.
    ///
    /// # Errors
    /// The [`AcquireError`] that applies.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), AcquireError> {
        let mut state = self.state.lock();
        if state.take() {
            Ok(())
        } else if state.retired {
            Err(AcquireError::Retired)
        } else {
            Err(AcquireError::NoPermit)
        }
    }

    /// The blocking acquisition.
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire {
            semaphore: self,
            turn: Turn::new(),
        }
    }

    /// Gives back `permits`, one or more: all of them, or none.
    ///
    /// # Errors
    /// The [`ReleaseError`] that applies.
    #[inline]
    pub fn release(&self, permits: i64) -> Result<(), ReleaseError> {
        let mut wakes = Wakes::new();
        let mut state = self.state.lock();
        if state.retired {
            return Err(ReleaseError::Retired);
        }
        match state.permits.checked_add(permits) {
            Some(sum) if sum <= state.bound => {}
            _ => return Err(ReleaseError::AboveBound),
        }
        state.add(permits, &mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// Gives the semaphore up to another implementation: operations, also those that wait, end as
    /// retired. The permits come out. `None` if that was done before.
    pub fn retire(&self) -> Option<i64> {
        let mut wakes = Wakes::new();
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.retired, true) {
            return None;
        }
        let permits = std::mem::take(&mut state.permits);
        state.waiters.poke(&mut wakes);
        drop(state);
        wakes.wake();
        Some(permits)
    }

    /// Whether [`Semaphore::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.state.lock().retired
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

    /// Adds the permits, and takes out as many waiters.
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

/// A thread's way to a permit.
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    turn: Turn,
}

impl Operation for Acquire<'_> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.semaphore.state.lock();
        if state.retired {
            return Some(Err(Retired));
        }
        if state.take() {
            return Some(Ok(()));
        }
        state
            .waiters
            .join(self.turn.ticket(), waiter, self.turn.join());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.semaphore.state.lock();
        if state.waiters.leave(self.turn.ticket()).is_some() {
            return None;
        }
        // A release took this waiter out, and wakes no other for that permit: whatever ended the
        // sleep, it must be taken here, or found in the hands of somebody who will give it back.
        if self.turn.is_handed() || state.take() {
            return Some(Ok(()));
        }
        self.turn.lose();
        None
    }

    fn undo(&mut self, output: Self::Output) {
        if output.is_ok() {
            let _ = self.semaphore.release(1);
        }
    }
}
