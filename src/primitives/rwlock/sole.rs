//! The state of a lock that one thread holds, or none, and that nobody waits for.
//!
//! It is one word, which is changed without the leaf lock: an acquisition or a release that meets nobody costs as much as
//! that of a `Lock`. As soon as a second thread comes, the state is moved under the leaf lock. It stays there until the
//! lock is free and nobody waits.

use super::{Access, HoldsForReading, NotHeld};
use crate::primitives::holder::Holder;
use crate::wait::sync::{AtomicU64, Ordering};

/// The state is under the leaf lock.
const SHARED: u64 = 1 << 63;
/// The holder writes.
const WRITES: u64 = 1 << 62;
/// The unit of the number of acquisitions.
const ONE: u64 = 1 << 32;
const ACQUISITIONS: u64 = WRITES - ONE;
const HOLDER: u64 = ONE - 1;

/// Zero: nobody holds the lock.
pub(super) struct Sole(AtomicU64);

/// What the only holder of a lock has.
pub(super) struct Hold {
    pub(super) holder: Holder,
    pub(super) access: Access,
    pub(super) acquisitions: u64,
}

impl Sole {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Replaces the word, if it is still `from`.
    #[inline]
    fn replace(&self, from: u64, to: u64, success: Ordering) -> bool {
        // With a GIL, whoever is here has it, as for `GilMutex`. So nobody changes the word in between.
        #[cfg(all(feature = "python", not(Py_GIL_DISABLED), not(loom)))]
        {
            let _ = success;
            let is_same = self.0.load(Ordering::Relaxed) == from;
            if is_same {
                self.0.store(to, Ordering::Relaxed);
            }
            is_same
        }
        #[cfg(not(all(feature = "python", not(Py_GIL_DISABLED), not(loom))))]
        (self.0)
            .compare_exchange(from, to, success, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the lock, if the word alone can tell that the holder may have it. `None`: the leaf lock is needed.
    #[inline]
    pub(super) fn acquire(
        &self,
        access: Access,
        holder: Holder,
    ) -> Option<Result<(), HoldsForReading>> {
        if holder > HOLDER {
            return None;
        }
        let mode = mode(access);
        let seen = self.0.load(Ordering::Relaxed);
        let taken = if seen == 0 {
            holder | mode | ONE
        } else if seen & !ACQUISITIONS == holder | mode && seen & ACQUISITIONS != ACQUISITIONS {
            seen + ONE
        } else if seen & !ACQUISITIONS == holder && access == Access::Write {
            return Some(Err(HoldsForReading));
        } else {
            return None;
        };
        self.replace(seen, taken, Ordering::Acquire)
            .then_some(Ok(()))
    }

    /// Undoes one acquisition. `None`: the leaf lock is needed.
    #[inline]
    pub(super) fn release(&self, access: Access, holder: Holder) -> Option<Result<(), NotHeld>> {
        let seen = self.0.load(Ordering::Relaxed);
        if seen & SHARED != 0 {
            return None;
        }
        if seen & !ACQUISITIONS != holder | mode(access) {
            return Some(Err(NotHeld));
        }
        let left = if seen & ACQUISITIONS == ONE {
            0
        } else {
            seen - ONE
        };
        self.replace(seen, left, Ordering::Release)
            .then_some(Ok(()))
    }

    /// Whether the holder has the lock in this way. `None`: the leaf lock is needed.
    #[inline]
    pub(super) fn is_held(&self, access: Access, holder: Holder) -> Option<bool> {
        let seen = self.0.load(Ordering::Relaxed);
        (seen & SHARED == 0).then_some(seen & !ACQUISITIONS == holder | mode(access))
    }

    /// Makes the one acquisition of a writer one for reading. Returns whether it did.
    #[inline]
    pub(super) fn downgrade(&self, holder: Holder) -> bool {
        let writes = holder | WRITES | ONE;
        holder <= HOLDER && self.replace(writes, holder | ONE, Ordering::Release)
    }

    /// Moves the state under the leaf lock, which the caller has. Returns who held the lock until now, if it was not moved
    /// before and somebody did.
    pub(super) fn share(&self) -> Option<Hold> {
        loop {
            let seen = self.0.load(Ordering::Relaxed);
            if seen == SHARED {
                return None;
            }
            if self.replace(seen, SHARED, Ordering::AcqRel) {
                return (seen != 0).then_some(Hold {
                    holder: seen & HOLDER,
                    access: if seen & WRITES == 0 {
                        Access::Read
                    } else {
                        Access::Write
                    },
                    acquisitions: (seen & ACQUISITIONS) / ONE,
                });
            }
        }
    }

    /// Moves the state of a free lock back into the word. The caller has the leaf lock.
    pub(super) fn unshare(&self) {
        self.0.store(0, Ordering::Release);
    }
}

#[inline]
fn mode(access: Access) -> u64 {
    match access {
        Access::Read => 0,
        Access::Write => WRITES,
    }
}
