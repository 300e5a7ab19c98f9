//! A mutex that its owner may take again.

use std::ops::Deref;

use super::lock::{self, Lock};
use crate::wait::observe::{Acquisition, Owned, Resource, ThreadNumber};
use crate::wait::sync::{Arc, AtomicU64, AtomicUsize, Ordering};
use crate::wait::{Operation, Parked, Waiter};

/// Identifies a thread; zero means no thread.
pub type Owner = u64;

/// A mutex that remembers its owner and how often the owner took it.
// The lock is first, so that both have the same address for an observer.
#[repr(C)]
pub struct RLock {
    lock: Lock,
    /// Only the owner writes this. So a thread that reads its own number here owns the lock.
    owner: AtomicU64,
    /// Only the owner uses this, as if it were inside the lock.
    count: AtomicUsize,
}

/// The caller does not own the lock.
#[derive(Debug, PartialEq, Eq)]
pub struct NotOwned;

/// The lock has been taken as often as can be counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow;

/// How often the lock was taken, and by which thread; see [`RLock::release_all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How often the owner took the lock.
    pub count: usize,
    /// The owner.
    pub owner: Owner,
}

impl Hold {
    /// The hold of an owner that took the lock once.
    pub fn once(owner: Owner) -> Self {
        Self { count: 1, owner }
    }
}

impl RLock {
    /// Creates an unlocked lock.
    pub fn new() -> Self {
        Self {
            lock: Lock::new(),
            owner: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        }
    }

    /// Whether a thread owns the lock.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether `thread` owns the lock. The answer can change at any moment, except for the calling thread
    /// itself.
    #[inline]
    pub fn is_owned_by(&self, thread: Owner) -> bool {
        self.owner.load(Ordering::Relaxed) == thread
    }

    /// Who owns the lock and how often, all zero if no thread does. Another thread sees only a snapshot.
    pub fn hold(&self) -> Hold {
        if !self.is_locked() {
            return Hold { count: 0, owner: 0 };
        }
        Hold {
            count: self.count.load(Ordering::Relaxed),
            owner: self.owner.load(Ordering::Relaxed),
        }
    }

    /// Takes the lock if it is free or the caller owns it. Returns whether it did.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn try_acquire(&self, caller: Owner) -> Result<bool, Overflow> {
        self.begin_acquire(caller, || Acquisition::Tried)
    }

    /// The same. `how`: what the acquisition would do if another thread owned the lock.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn begin_acquire(
        &self,
        caller: Owner,
        how: impl FnOnce() -> Acquisition,
    ) -> Result<bool, Overflow> {
        if self.is_owned_by(caller) {
            let count = self.count.load(Ordering::Relaxed);
            self.count
                .store(count.checked_add(1).ok_or(Overflow)?, Ordering::Relaxed);
            return Ok(true);
        }
        if self.lock.take_uncontended() {
            self.own(Hold::once(caller));
            return Ok(true);
        }
        Ok(self.begin_acquire_contended(caller, how))
    }

    #[cold]
    #[inline(never)]
    fn begin_acquire_contended(&self, caller: Owner, how: impl FnOnce() -> Acquisition) -> bool {
        let acquired = self.lock.take_contended();
        if acquired {
            self.own(Hold::once(caller));
            self.acquired(how);
        }
        acquired
    }

    /// Tells the observer, if the lock is followed, that the calling thread has acquired it and did not own it before.
    /// [`Acquire`] does not: its caller does.
    #[inline]
    pub fn acquired(&self, how: impl FnOnce() -> Acquisition) {
        if self.lock.is_followed() {
            self.lock
                .tell_acquired(Resource::owned("RLock", self), how());
        }
    }

    /// See [`Lock::follow`].
    pub fn follow(&self) {
        self.lock.follow();
    }

    /// The operation that waits for the lock. The caller must not own it; afterwards it is held as `hold`
    /// says.
    pub fn acquire(&self, hold: Hold) -> Acquire<&Self> {
        Acquire::new(self, hold)
    }

    /// Undoes one acquisition. The last release frees the lock.
    ///
    /// # Errors
    /// [`NotOwned`].
    #[inline]
    pub fn release(&self, caller: Owner) -> Result<(), NotOwned> {
        if !self.is_owned_by(caller) {
            return Err(NotOwned);
        }
        let count = self.count.load(Ordering::Relaxed);
        if count > 1 {
            self.count.store(count - 1, Ordering::Relaxed);
        } else {
            self.free();
        }
        Ok(())
    }

    /// Frees the lock, however often it was taken. Returns the hold for a later [`RLock::acquire`].
    ///
    /// # Errors
    /// [`NotOwned`].
    pub fn release_all(&self, caller: Owner) -> Result<Hold, NotOwned> {
        if !self.is_owned_by(caller) {
            return Err(NotOwned);
        }
        let hold = self.hold();
        self.free();
        Ok(hold)
    }

    /// Makes the lock unlocked and without waiters, as if it were new: for a forked child.
    pub fn reset(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        self.lock.reset();
    }

    fn own(&self, hold: Hold) {
        self.count.store(hold.count, Ordering::Relaxed);
        self.owner.store(hold.owner, Ordering::Relaxed);
    }

    fn free(&self) {
        self.own(Hold { count: 0, owner: 0 });
        // This cannot fail: the caller owned the lock, and no other thread may free it.
        let _ = self.lock.release_as(std::ptr::from_ref(self).addr());
    }
}

impl Owned for RLock {
    fn owner(&self) -> Option<ThreadNumber> {
        self.lock.owner()
    }
}

impl Default for RLock {
    fn default() -> Self {
        Self::new()
    }
}

/// The lock inside a reentrant lock. It keeps alive whatever `L` keeps alive.
struct Inside<L>(L);

impl<L: Deref<Target = RLock>> Deref for Inside<L> {
    type Target = Lock;

    fn deref(&self) -> &Lock {
        &self.0.lock
    }
}

/// A thread's wait for the lock.
///
/// `L`: a reference to the lock, or whatever else keeps it alive.
pub struct Acquire<L> {
    hold: Hold,
    inner: lock::Acquire<Inside<L>>,
}

impl<L> Acquire<L> {
    /// The wait that has not begun. Afterwards the lock is held as `hold` says.
    pub fn new(rlock: L, hold: Hold) -> Self {
        Self {
            hold,
            inner: lock::Acquire::new(Inside(rlock)),
        }
    }
}

impl<L: Deref<Target = RLock>> Acquire<L> {
    fn rlock(&self) -> &RLock {
        &self.inner.lock().0
    }
}

impl<L: Deref<Target = RLock>> Operation for Acquire<L> {
    type Output = ();

    const IS_CANCELLATION_POINT: bool = false;

    fn resource(&self) -> Resource {
        Resource::owned("RLock", self.rlock())
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        self.inner.attempt(waiter)?;
        self.rlock().own(self.hold);
        Some(())
    }

    fn leave(&mut self, parked: Parked) -> Option<()> {
        self.inner.leave(parked)?;
        self.rlock().own(self.hold);
        Some(())
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        self.inner.abandon()
    }
}
