//! Mutual exclusion, released by any thread.
//!
//! Waiters take turns as [`super::turn`] tells.

use super::sync::{Arc, Flagged, Ordering};
use super::turn::Turn;
use super::waiter::{Operation, Parked, Waiter, WaiterList};

/// Somebody owns the lock.
const LOCKED: u8 = 1;
/// The list may hold waiters. Changed only under the leaf lock.
const CONTENDED: u8 = 2;

/// A lock without data.
pub struct Lock {
    /// The payload says whether the lock is to be handed over to this waiter.
    waiters: Flagged<WaiterList<bool>>,
}

/// The lock was not locked.
#[derive(Debug, PartialEq, Eq)]
pub struct NotLocked;

impl Lock {
    /// Unlocked.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            waiters: Flagged::new(WaiterList::new()),
        }
    }

    /// Unlocked.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(WaiterList::new()),
        }
    }

    /// Whether somebody owns it.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.waiters.flags().load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Takes it if it is free.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        let flags = self.waiters.flags();
        if flags
            .compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            return true;
        }
        self.try_acquire_contended()
    }

    #[cold]
    fn try_acquire_contended(&self) -> bool {
        let flags = self.waiters.flags();
        let mut seen = flags.load(Ordering::Relaxed);
        while seen & LOCKED == 0 {
            match flags.compare_exchange_weak(
                seen,
                seen | LOCKED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// The blocking acquisition.
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire {
            lock: self,
            turn: Turn::new(),
        }
    }

    /// Frees it, whoever locked it.
    ///
    /// # Errors
    /// [`NotLocked`] if nobody had.
    #[inline]
    pub fn release(&self) -> Result<(), NotLocked> {
        if self
            .waiters
            .flags()
            .compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            return Ok(());
        }
        self.release_contended()
    }

    #[cold]
    fn release_contended(&self) -> Result<(), NotLocked> {
        let mut waiters = self.waiters.lock();
        let flags = self.waiters.flags();
        loop {
            let seen = flags.load(Ordering::Relaxed);
            if seen & LOCKED == 0 {
                return Err(NotLocked);
            }
            if seen & CONTENDED != 0 {
                // Both together change only under the leaf lock: no compare-and-swap is needed.
                break;
            }
            // The waiter has gone meanwhile. Another thread may release at the same moment, if only
            // by mistake, and a third one own the lock by the time this one would free it.
            if flags
                .compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(());
            }
        }
        let next = waiters.pop();
        let contended = if waiters.is_empty() { 0 } else { CONTENDED };
        let owned = match next {
            Some((_, true)) => LOCKED,
            _ => 0,
        };
        flags.store(owned | contended, Ordering::Release);
        drop(waiters);
        if let Some((waiter, _)) = next {
            waiter.unpark();
        }
        Ok(())
    }

    /// Unlocked and without waiters, as it was made: for a forked child.
    pub fn reset(&self) {
        let mut waiters = self.waiters.lock();
        while waiters.pop().is_some() {}
        self.waiters.flags().store(0, Ordering::Release);
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's way to the lock.
pub struct Acquire<'a> {
    lock: &'a Lock,
    turn: Turn,
}

impl Operation for Acquire<'_> {
    type Output = ();

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut waiters = self.lock.waiters.lock();
        let flags = self.lock.waiters.flags();
        let mut seen = flags.load(Ordering::Relaxed);
        loop {
            let wanted = if seen & LOCKED == 0 {
                seen | LOCKED
            } else {
                // From here on a release takes the slow path, and finds this waiter.
                seen | CONTENDED
            };
            match flags.compare_exchange_weak(seen, wanted, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if seen & LOCKED == 0 => return Some(()),
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        waiters.join(self.turn.ticket(), waiter, self.turn.join());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        let mut waiters = self.lock.waiters.lock();
        if waiters.leave(self.turn.ticket()).is_some() {
            if waiters.is_empty() {
                self.lock
                    .waiters
                    .flags()
                    .fetch_and(!CONTENDED, Ordering::Relaxed);
            }
            return None;
        }
        drop(waiters);
        // A release took this waiter out, and wakes no other: whatever ended the sleep, the
        // lock must be taken here, or found in the hands of somebody who will release it.
        if self.turn.is_handed() || self.lock.try_acquire() {
            return Some(());
        }
        self.turn.lose();
        None
    }

    fn undo(&mut self, (): ()) {
        let _ = self.lock.release();
    }
}
