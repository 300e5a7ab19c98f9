//! Mutual exclusion that its owner may take again.

use super::lock::{self, Lock};
use super::sync::{Arc, AtomicU64, AtomicUsize, Ordering};
use super::waiter::{Operation, Parked, Waiter};

/// Identifies a thread; zero is nobody.
pub type Owner = u64;

/// A lock that remembers its owner and how often it was taken.
pub struct RLock {
    lock: Lock,
    /// Written by the owner alone, so a thread that reads its own name here owns the lock.
    owner: AtomicU64,
    /// Belongs to the owner, as if it stood inside the lock.
    count: AtomicUsize,
}

/// The caller does not own the lock.
#[derive(Debug, PartialEq, Eq)]
pub struct NotOwned;

/// The lock was taken as often as can be counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow;

/// How often the lock was taken, and by whom: what [`RLock::release_all`] gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How often.
    pub count: usize,
    /// By whom.
    pub owner: Owner,
}

impl Hold {
    /// Taken for the first time.
    pub fn once(owner: Owner) -> Self {
        Self { count: 1, owner }
    }
}

impl RLock {
    /// Unlocked.
    pub fn new() -> Self {
        Self {
            lock: Lock::new(),
            owner: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        }
    }

    /// Whether somebody owns it.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    /// Whether `thread` owns it. True or false for good only for the calling thread.
    #[inline]
    pub fn is_owned_by(&self, thread: Owner) -> bool {
        self.owner.load(Ordering::Relaxed) == thread
    }

    /// Who owns it and how often it was taken, as a glance from outside: all zero if nobody does.
    pub fn hold(&self) -> Hold {
        if !self.is_locked() {
            return Hold { count: 0, owner: 0 };
        }
        Hold {
            count: self.count.load(Ordering::Relaxed),
            owner: self.owner.load(Ordering::Relaxed),
        }
    }

    /// Takes it if it is free or the caller's; whether it did.
    ///
    /// # Errors
    /// [`Overflow`].
    #[inline]
    pub fn try_acquire(&self, caller: Owner) -> Result<bool, Overflow> {
        if self.is_owned_by(caller) {
            let count = self.count.load(Ordering::Relaxed);
            self.count
                .store(count.checked_add(1).ok_or(Overflow)?, Ordering::Relaxed);
            return Ok(true);
        }
        let acquired = self.lock.try_acquire();
        if acquired {
            self.own(Hold::once(caller));
        }
        Ok(acquired)
    }

    /// The blocking acquisition, by one who does not own it: afterwards it is held so.
    pub fn acquire(&self, hold: Hold) -> Acquire<'_> {
        Acquire {
            rlock: self,
            hold,
            inner: self.lock.acquire(),
        }
    }

    /// Undoes one acquisition; the last one frees it.
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

    /// Frees it however often it was taken.
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

    /// Unlocked and without waiters, as it was made: for a forked child.
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
        // It was locked, by the caller: nobody else may free it.
        let _ = self.lock.release();
    }
}

impl Default for RLock {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's way to the lock.
pub struct Acquire<'a> {
    rlock: &'a RLock,
    hold: Hold,
    inner: lock::Acquire<'a>,
}

impl Operation for Acquire<'_> {
    type Output = ();

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        self.inner.attempt(waiter)?;
        self.rlock.own(self.hold);
        Some(())
    }

    fn leave(&mut self, parked: Parked) -> Option<()> {
        self.inner.leave(parked)?;
        self.rlock.own(self.hold);
        Some(())
    }

    fn undo(&mut self, (): ()) {
        self.rlock.free();
    }
}
