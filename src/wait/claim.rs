//! The claim protocol: a wait for several objects is completed by exactly one of them.
//!
//! Such a wait has an [`Arm`] in the list of each object. To complete an arm, a thread claims the wait for it
//! with one compare-and-swap, under the leaf lock of its object and before it changes anything. So exactly
//! one arm is completed by others, and the other objects lose nothing: their completers pass the arm over. If the
//! waiting thread can do an arm immediately, it closes the claim and abandons the others: one that was claimed just
//! before gives back what it was given. (The protocol is modelled on that of crossbeam-channel's `select`, 2018.)

use super::sync::{Arc, AtomicUsize, Ordering};
use super::{Waiter, Wake};

/// The number of an arm, unique within its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub usize);

/// No arm has been claimed yet.
const OPEN: usize = 0;
/// No arm can be claimed any more.
const CLOSED: usize = 1;
/// The value for slot 0; slot `n` is `FIRST + n`.
const FIRST: usize = 2;

/// Which arm of a wait has been claimed.
pub struct Claim(AtomicUsize);

impl Claim {
    /// Creates a claim that no arm has taken.
    pub fn new() -> Self {
        Self(AtomicUsize::new(OPEN))
    }

    /// Claims the wait for this arm. Returns whether it succeeded.
    pub fn take(&self, slot: Slot) -> bool {
        self.exchange(slot.0 + FIRST)
    }

    /// Closes the claim: no arm can take it from now on. Returns the arm that had taken it before, if any.
    pub fn close(&self) -> Option<Slot> {
        self.exchange(CLOSED);
        self.taken()
    }

    /// Returns the arm that has taken the claim.
    pub fn taken(&self) -> Option<Slot> {
        // Acquire: the waiting thread must see what was done for the arm. (It also takes the leaf lock
        // afterwards.)
        let number = self.0.load(Ordering::Acquire);
        number.checked_sub(FIRST).map(Slot)
    }

    /// Opens the claim again. All arms must have left their lists.
    pub fn reopen(&self) {
        self.0.store(OPEN, Ordering::Release);
    }

    fn exchange(&self, number: usize) -> bool {
        self.0
            .compare_exchange(OPEN, number, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Default for Claim {
    fn default() -> Self {
        Self::new()
    }
}

/// One arm of a wait, as it stands in the list of its object.
pub struct Arm {
    claim: Arc<Claim>,
    slot: Slot,
    waiter: Arc<Waiter>,
}

impl Arm {
    /// Creates the arm `slot` of the wait that owns `claim`. All arms wake the same `waiter`, and only one of
    /// them does.
    pub fn new(claim: &Arc<Claim>, slot: Slot, waiter: &Arc<Waiter>) -> Self {
        Self {
            claim: Arc::clone(claim),
            slot,
            waiter: Arc::clone(waiter),
        }
    }
}

impl Arm {
    /// Claims the wait for this arm. Only the owner of the wait calls this.
    pub(super) fn claim_own(&self) -> bool {
        self.claim.take(self.slot)
    }

    /// Whether both are arms of one wait.
    pub(super) fn is_of_same_wait(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.claim, &other.claim)
    }
}

impl Wake for Arm {
    fn claim(&self) -> bool {
        // Whom it wakes may refuse, too: a closed event loop.
        self.waiter.claim() && self.claim.take(self.slot)
    }

    fn wake(&self) {
        self.waiter.unpark();
    }

    fn is_thread(&self) -> bool {
        self.waiter.is_thread()
    }
}
