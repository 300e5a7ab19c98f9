//! State under a leaf lock that begins anew in a forked child.

use std::ops::{Deref, DerefMut};

use super::fork::generation;
use super::gil_mutex::{GilMutex, GilMutexGuard};
use super::list::Wakes;

/// The state that a [`Monitor`] guards.
pub trait State {
    /// The generation of the process that the state belongs to. (The state stores it, because there it fits
    /// into padding.)
    fn generation(&mut self) -> &mut u32;

    /// Called in the child of a fork: removes what belongs to the parent's other threads.
    fn begin_anew(&mut self);
}

/// State under a leaf lock.
///
/// After a fork, the first thread that enters in the child makes the state begin anew, so every thread finds
/// state of its own process. The waiters that a section collects are woken after the lock is released.
pub struct Monitor<S> {
    state: GilMutex<S>,
}

impl<S: State> Monitor<S> {
    /// Creates a monitor whose state belongs to this process.
    pub fn new(mut state: S) -> Self {
        *state.generation() = generation();
        Self {
            state: GilMutex::new(state),
        }
    }

    /// Takes the leaf lock.
    #[inline]
    pub fn enter(&self) -> Entered<'_, S> {
        Entered::new(self.state.lock())
    }

    /// Takes the leaf lock without the check for a fork. This is for callers for whom it does no harm if a
    /// part of the state still belongs to the parent.
    #[inline]
    pub fn enter_unchecked(&self) -> Unchecked<'_, S> {
        Unchecked {
            guard: self.state.lock(),
        }
    }
}

/// Exclusive access to the state of a [`Monitor`]. Dropping it releases the leaf lock and then wakes the
/// waiters that were collected.
pub struct Entered<'a, S> {
    // The order matters: fields are dropped in the order of their declaration.
    guard: GilMutexGuard<'a, S>,
    wakes: Wakes,
}

impl<'a, S: State> Entered<'a, S> {
    #[inline]
    fn new(mut guard: GilMutexGuard<'a, S>) -> Self {
        if *guard.generation() != generation() {
            *guard.generation() = generation();
            guard.begin_anew();
        }
        Self {
            guard,
            wakes: Wakes::new(),
        }
    }
}

impl<S> Entered<'_, S> {
    /// Returns the state, and the place for the waiters to wake.
    #[inline]
    pub fn parts(&mut self) -> (&mut S, &mut Wakes) {
        (&mut self.guard, &mut self.wakes)
    }
}

impl<S> Deref for Entered<'_, S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard
    }
}

impl<S> DerefMut for Entered<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard
    }
}

/// Access without the check for a fork; see [`Monitor::enter_unchecked`].
pub struct Unchecked<'a, S> {
    guard: GilMutexGuard<'a, S>,
}

impl<'a, S: State> Unchecked<'a, S> {
    /// Checks for a fork now, as [`Monitor::enter`] does.
    #[inline]
    pub fn check(self) -> Entered<'a, S> {
        Entered::new(self.guard)
    }
}

impl<S> Deref for Unchecked<'_, S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard
    }
}

impl<S> DerefMut for Unchecked<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard
    }
}
