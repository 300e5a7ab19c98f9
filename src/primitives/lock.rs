//! A mutex that any thread may release.
//!
//! [`crate::wait::hand_off`] explains the order in which waiters get it.

use std::ops::Deref;

use crate::wait::hand_off::HandOff;
use crate::wait::observe::{self, Acquisition, Owned, Resource, ThreadNumber};
use crate::wait::sync::{Arc, Flagged, Ordering};
use crate::wait::{Operation, Parked, Waiter, WaiterList};

/// A thread owns the lock.
const LOCKED: u8 = 1;
/// The list may hold waiters. Changed only under the leaf lock.
const CONTENDED: u8 = 2;
/// The observer is told of each acquisition and release. Changed only under the leaf lock. The fast paths find neither the
/// value of a free lock nor that of a lock which only its owner knows, and so they pay nothing for this flag.
const FOLLOWED: u8 = 4;

/// A mutex without data.
pub struct Lock {
    /// The payload says whether the lock goes to this waiter by hand-off.
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

    /// Whether a thread owns the lock.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.waiters.flags().load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Notes that the calling thread has taken the lock.
    #[inline]
    fn own(&self) {
        self.set_owner(ThreadNumber::current_or_zero());
    }

    #[inline]
    fn owner_number(&self) -> u32 {
        self.waiters.number().load(Ordering::Relaxed)
    }

    #[inline]
    fn set_owner(&self, number: u32) {
        self.waiters.number().store(number, Ordering::Relaxed);
    }

    /// Takes the lock if it is free. Returns whether it did.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.begin_acquire(|| Acquisition::Tried)
    }

    /// The same. `how`: what the acquisition would do if the lock were not free.
    #[inline]
    pub fn begin_acquire(&self, how: impl FnOnce() -> Acquisition) -> bool {
        self.take_uncontended() || self.begin_acquire_contended(how)
    }

    /// Tells the observer, if the lock is followed, that the calling thread has acquired it. [`Acquire`] does not: its
    /// caller does.
    #[inline]
    pub fn acquired(&self, how: impl FnOnce() -> Acquisition) {
        if self.is_followed() {
            self.tell_acquired(Resource::owned("Lock", self), how());
        }
    }

    /// Whether the observer is told of acquisitions and releases.
    #[inline]
    pub(super) fn is_followed(&self) -> bool {
        self.waiters.flags().load(Ordering::Relaxed) & FOLLOWED != 0
    }

    #[cold]
    pub(super) fn tell_acquired(&self, lock: Resource, how: Acquisition) {
        observe::tell_of_lock(|observer| observer.acquired(lock, how));
    }

    /// From now on the observer is told of each acquisition and release, until [`observe::follow_locks`] turns that off.
    pub fn follow(&self) {
        let _waiters = self.waiters.lock();
        self.waiters.flags().fetch_or(FOLLOWED, Ordering::Relaxed);
    }

    /// Takes the lock if it is free, nobody waits and it is not followed.
    #[inline]
    pub(super) fn take_uncontended(&self) -> bool {
        let taken = self
            .waiters
            .flags()
            .compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if taken {
            self.own();
        }
        taken
    }

    /// Takes the lock if it is free.
    #[cold]
    pub(super) fn take_contended(&self) -> bool {
        let taken = self.try_acquire_contended();
        if taken {
            self.own();
        }
        taken
    }

    #[cold]
    #[inline(never)]
    fn begin_acquire_contended(&self, how: impl FnOnce() -> Acquisition) -> bool {
        let taken = self.take_contended();
        if taken {
            self.acquired(how);
        }
        taken
    }

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

    /// The operation that waits for the lock.
    pub fn acquire(&self) -> Acquire<&Self> {
        Acquire::new(self)
    }

    /// Frees the lock, whichever thread took it.
    ///
    /// # Errors
    /// [`NotLocked`] if no thread had.
    #[inline]
    pub fn release(&self) -> Result<(), NotLocked> {
        self.release_as(std::ptr::from_ref(self).addr())
    }

    /// Like [`Lock::release`], for a lock inside an object that waits are known to have (their
    /// [`Resource`]) by this address.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub(super) fn release_as(&self, address: usize) -> Result<(), NotLocked> {
        // Without a GIL, the next owner may be seen with the lock before it has noted itself. Until then the
        // lock has no owner, and not the one before.
        #[cfg(Py_GIL_DISABLED)]
        let owner = self.owner_number();
        #[cfg(Py_GIL_DISABLED)]
        self.set_owner(0);
        if self
            .waiters
            .flags()
            .compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            return Ok(());
        }
        #[cfg(not(Py_GIL_DISABLED))]
        let owner = self.owner_number();
        self.release_contended(address, owner)
    }

    #[cold]
    #[inline(never)]
    fn release_contended(&self, address: usize, owner: u32) -> Result<(), NotLocked> {
        let flags = self.waiters.flags();
        if flags.load(Ordering::Relaxed) & (FOLLOWED | LOCKED) == FOLLOWED | LOCKED
            && observe::follows_locks()
        {
            // Before the lock is free: after that, the thread that had it may take it again.
            let owner = ThreadNumber::from_number(owner);
            observe::tell_of_lock(|observer| observer.releases(address, owner));
            // Usually nobody waits, and the leaf lock is not needed.
            if flags
                .compare_exchange(
                    FOLLOWED | LOCKED,
                    FOLLOWED,
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return Ok(());
            }
        }
        let mut waiters = self.waiters.lock();
        loop {
            let seen = flags.load(Ordering::Relaxed);
            if seen & LOCKED == 0 {
                return Err(NotLocked);
            }
            if seen & CONTENDED != 0 {
                // While both flags are set, they change only under the leaf lock, so no compare-and-swap is
                // needed.
                break;
            }
            // The waiter has gone in the meantime. Another thread may release at the same moment, if only by
            // mistake, and a third thread may own the lock by the time that this one would free it. So this
            // needs a compare-and-swap.
            if flags
                .compare_exchange(
                    seen,
                    Self::still_followed(seen),
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return Ok(());
            }
        }
        let followed = Self::still_followed(flags.load(Ordering::Relaxed));
        // Nobody owns it until the next thread has noted itself, also if the lock is handed to that thread now.
        self.set_owner(0);
        let next = waiters.pop();
        let contended = if waiters.is_empty() { 0 } else { CONTENDED };
        let owned = match next {
            Some((_, true)) => LOCKED,
            _ => 0,
        };
        flags.store(owned | contended | followed, Ordering::Release);
        drop(waiters);
        if let Some((waiter, _)) = next {
            // Usually after the wake, which should not be late. Without a GIL, the woken thread could have gone on then,
            // and nobody would know any more that it had waited.
            if cfg!(Py_GIL_DISABLED) {
                observe::released(address);
            }
            // `released` tells where.
            waiter.unpark_from_known_place();
            if !cfg!(Py_GIL_DISABLED) {
                observe::released(address);
            }
        }
        Ok(())
    }

    /// The flag of a lock that goes on to be followed.
    fn still_followed(flags: u8) -> u8 {
        if observe::follows_locks() {
            flags & FOLLOWED
        } else {
            0
        }
    }

    /// Makes the lock unlocked and without waiters, as if it were new: for a forked child.
    pub fn reset(&self) {
        let mut waiters = self.waiters.lock();
        while waiters.pop().is_some() {}
        let seen = self.waiters.flags().load(Ordering::Relaxed);
        let owner = ThreadNumber::from_number(self.owner_number());
        self.set_owner(0);
        self.waiters
            .flags()
            .store(Self::still_followed(seen), Ordering::Release);
        drop(waiters);
        if seen & (FOLLOWED | LOCKED) == FOLLOWED | LOCKED {
            let address = std::ptr::from_ref(self).addr();
            observe::tell_of_lock(|observer| observer.lock_gone(address, owner));
        }
    }
}

impl Owned for Lock {
    /// The thread that took the lock, while it is locked. Another thread may release the lock, as always.
    ///
    /// With a GIL, a caller that holds it sees the truth: a thread takes the lock and notes itself in one step.
    /// Without, the owner is unknown for an instant.
    fn owner(&self) -> Option<ThreadNumber> {
        let owner = ThreadNumber::from_number(self.owner_number());
        owner.filter(|_| self.is_locked())
    }
}

#[cfg(not(loom))]
impl Drop for Lock {
    fn drop(&mut self) {
        let flags = self.waiters.flags().load(Ordering::Relaxed);
        if flags & FOLLOWED != 0 {
            let owner = ThreadNumber::from_number(self.owner_number());
            let owner = owner.filter(|_| flags & LOCKED != 0);
            let address = std::ptr::from_ref(self).addr();
            observe::tell_of_lock(|observer| observer.lock_gone(address, owner));
        }
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait for the lock.
///
/// `L`: a reference to the lock, or whatever else keeps it alive.
pub struct Acquire<L> {
    lock: L,
    hand_off: HandOff,
}

impl<L> Acquire<L> {
    /// The wait that has not begun.
    pub fn new(lock: L) -> Self {
        Self {
            lock,
            hand_off: HandOff::new(),
        }
    }

    /// What the wait was made with.
    pub(super) fn lock(&self) -> &L {
        &self.lock
    }
}

impl<L: Deref<Target = Lock>> Operation for Acquire<L> {
    type Output = ();

    const IS_CANCELLATION_POINT: bool = false;

    fn resource(&self) -> Resource {
        Resource::owned("Lock", &*self.lock)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut waiters = self.lock.waiters.lock();
        let flags = self.lock.waiters.flags();
        let mut seen = flags.load(Ordering::Relaxed);
        loop {
            let wanted = if seen & LOCKED == 0 {
                seen | LOCKED
            } else {
                // From here on, a release takes the slow path and finds this waiter.
                seen | CONTENDED
            };
            match flags.compare_exchange_weak(seen, wanted, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if seen & LOCKED == 0 => {
                    self.lock.own();
                    return Some(());
                }
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        waiters.join(self.hand_off.ticket(), waiter, self.hand_off.join(waiter));
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        let mut waiters = self.lock.waiters.lock();
        if waiters.leave(self.hand_off.ticket()).is_some() {
            if waiters.is_empty() {
                self.lock
                    .waiters
                    .flags()
                    .fetch_and(!CONTENDED, Ordering::Relaxed);
            }
            return None;
        }
        drop(waiters);
        // A release took this waiter out, and has woken no other. So whatever ended the sleep, the lock must
        // be taken here, or another thread must own it, which will release it.
        if self.hand_off.is_handed() {
            self.lock.own();
            return Some(());
        }
        // Its caller tells the observer, with the interpreter and once.
        if self.lock.take_uncontended() || self.lock.take_contended() {
            return Some(());
        }
        self.hand_off.lose();
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        // A chance must be used: take the lock if it is free, and release it, which wakes the next waiter.
        if self.leave(Parked::Raising).is_some() {
            let _ = self.lock.release();
        }
        None
    }
}
