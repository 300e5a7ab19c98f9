//! The native locks that a condition can use without calling Python.

use pyo3::prelude::*;

use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::Blocking;
use crate::bindings::runtime::{block, errors};
use crate::bindings::threading::{Lock, RLock, rlock};
use crate::primitives::rlock::{Hold, NotOwned};
use crate::wait::observe::Acquisition;

/// A native lock: exactly `Lock` or `RLock`, not a subclass.
pub(super) enum AnyLock {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
}

impl AnyLock {
    pub(super) fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(lock) = object.cast_exact::<Lock>() {
            Some(Self::Lock(lock.clone().unbind()))
        } else if let Ok(rlock) = object.cast_exact::<RLock>() {
            Some(Self::RLock(rlock.clone().unbind()))
        } else {
            None
        }
    }

    pub(super) fn object(&self) -> &Py<PyAny> {
        match self {
            Self::Lock(lock) => lock.as_any(),
            Self::RLock(rlock) => rlock.as_any(),
        }
    }

    #[inline]
    pub(super) fn acquire(
        &self,
        py: Python<'_>,
        blocking: Blocking,
        forever: Acquisition,
    ) -> PyResult<bool> {
        match self {
            Self::Lock(lock) => lock.get().acquire_with(py, blocking, forever),
            Self::RLock(rlock) => rlock.get().acquire_with(py, blocking, forever),
        }
    }

    /// Takes the lock if it is free. Returns whether it was taken. Otherwise the caller waits for ever.
    #[inline]
    pub(super) fn begin_acquire(&self, py: Python<'_>, how: Acquisition) -> bool {
        match self {
            Self::Lock(lock) => lock.get().primitive().begin_acquire(|| how),
            Self::RLock(rlock) => {
                let caller = rlock::caller(py);
                rlock.get().primitive().begin_acquire(caller, || how) == Ok(true)
            }
        }
    }

    /// Releases the lock if the caller may release it. Returns whether it was released.
    #[inline]
    pub(super) fn try_release(&self, py: Python<'_>) -> bool {
        match self {
            Self::Lock(lock) => lock.get().primitive().release().is_ok(),
            Self::RLock(rlock) => {
                let caller = rlock::caller(py);
                rlock.get().primitive().release(caller).is_ok()
            }
        }
    }

    #[inline]
    pub(super) fn release(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Lock(lock) => lock.get().release_held(),
            Self::RLock(rlock) => rlock.get().release_held(py),
        }
    }

    /// For an `RLock`: whether the caller owns it. For a `Lock`: whether any thread holds it.
    #[inline]
    pub(super) fn is_owned(&self, py: Python<'_>) -> bool {
        match self {
            Self::Lock(lock) => lock.get().primitive().is_locked(),
            Self::RLock(rlock) => rlock.get().primitive().is_owned_by(rlock::caller(py)),
        }
    }

    /// Releases the lock completely. Returns the owner and the recursion count, for [`reacquire`](Self::reacquire).
    pub(super) fn release_all(&self, py: Python<'_>) -> PyResult<Hold> {
        let caller = rlock::caller(py);
        match self {
            Self::Lock(lock) => lock.get().release_held().map(|()| Hold::once(caller)),
            Self::RLock(rlock) => rlock
                .get()
                .primitive()
                .release_all(caller)
                .map_err(|NotOwned| errors::release_unacquired_lock()),
        }
    }

    /// Takes the lock again with the owner and the recursion count it had. Returns whether it was taken.
    pub(super) fn reacquire(&self, py: Python<'_>, hold: Hold, raised: &mut Option<PyErr>) -> bool {
        match self {
            Self::Lock(lock) => {
                let lock = lock.get().primitive();
                let owned = block::reacquire(py, || lock.acquire(), raised);
                if owned {
                    lock.acquired(|| Acquisition::Entered);
                }
                owned
            }
            Self::RLock(rlock) => {
                let rlock = rlock.get().primitive();
                let owned = block::reacquire(py, || rlock.acquire(hold), raised);
                if owned {
                    rlock.acquired(|| Acquisition::Entered);
                }
                owned
            }
        }
    }
}
