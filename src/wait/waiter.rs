//! One wait, as a waker sees it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::claim::Arm;
use super::deadline::Deadline;
use super::fork::generation;
use super::observe::{self, ThreadNumber};
use super::parker::{Park, Parker};
use super::sync::{self, Arc};

/// A waiter's place in the order of arrival, unique in the process: earlier means smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Takes the next place. A waiter keeps it when it leaves the list and joins again, so an interruption
    /// does not cost its place.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A place after all that [`Ticket::next`] gives: for a waiter that is told of changes, and takes nothing.
    pub fn last() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(u64::MAX);
        Self(LAST.fetch_sub(1, Ordering::Relaxed))
    }

    /// The place as a number, unique in the process.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Why a parked thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Somebody called `unpark`.
    Unparked,
    /// The deadline passed.
    TimedOut,
    /// A signal arrived, or may have: where the platform does not report signals, this comes now and then.
    Interrupted,
    /// An exception is about to be raised in this thread, so it will not use what it was given. No parker
    /// returns this; the code that checks for exceptions after the sleep does.
    Raising,
}

/// The target of a wake that is not a sleeping thread: an arm of a wait for several objects, or a coroutine.
pub trait Wake: Send + Sync {
    /// Called under the leaf lock of an object by a thread that is about to complete the wait. Returns
    /// whether the wait can be completed. After `true`, it must not return `true` again before its owner has left
    /// all lists. The caller takes the waiter out of the list, and completes the wait or resets the object.
    fn claim(&self) -> bool;

    /// The wait was completed, or must look again. The caller holds no leaf lock, and is any thread that is
    /// attached to the interpreter.
    fn wake(&self);

    /// See [`Waiter::is_thread`].
    fn is_thread(&self) -> bool {
        false
    }

    /// For a waiter that is never completed, but is told whether the object is ready: see `README.md`. The caller holds
    /// the leaf lock of the object.
    fn tell(&self, _ready: bool) {}
}

/// Whom a wake goes to.
enum Target {
    Thread(Parker),
    Arm(Arm),
    Other(Box<dyn Wake>),
}

/// One wait: what a waker needs to know of it.
pub struct Waiter {
    target: Target,
    /// The generation of the process that its thread belongs to.
    generation: AtomicU32,
    /// The number of the thread that woke it last, while there is an observer; zero: none.
    waker: sync::AtomicU32,
    /// Where that was, as a number of the observer; zero: not known.
    waker_place: AtomicU32,
}

impl Waiter {
    /// Creates a waiter for a thread of this process.
    pub fn new() -> Arc<Self> {
        Self::with_target(Target::Thread(Parker::new()))
    }

    /// Creates a waiter of this process that wakes `wake` instead of a thread.
    pub fn of(wake: impl Wake + 'static) -> Arc<Self> {
        Self::with_target(Target::Other(Box::new(wake)))
    }

    /// Creates a waiter for an arm of a wait for several objects.
    pub fn arm(arm: Arm) -> Arc<Self> {
        Self::with_target(Target::Arm(arm))
    }

    fn with_target(target: Target) -> Arc<Self> {
        Arc::new(Self {
            target,
            generation: AtomicU32::new(generation()),
            waker: sync::AtomicU32::new(0),
            waker_place: AtomicU32::new(0),
        })
    }

    /// Claims the wait: returns whether the caller may complete it. The caller holds the leaf lock of the
    /// list that this waiter is in.
    #[inline]
    pub(super) fn claim(&self) -> bool {
        match &self.target {
            Target::Thread(_) => true,
            Target::Arm(arm) => arm.claim(),
            Target::Other(wake) => wake.claim(),
        }
    }

    /// Claims the wait for its own thread, which is about to complete it for good in an attempt. `false`: another arm of
    /// the same wait has been claimed.
    pub(crate) fn claim_own(&self) -> bool {
        match &self.target {
            Target::Arm(arm) => arm.claim_own(),
            Target::Thread(_) | Target::Other(_) => true,
        }
    }

    /// Whether both are arms of one wait for several objects.
    pub(super) fn is_of_same_wait(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Target::Arm(arm), Target::Arm(other)) => arm.is_of_same_wait(other),
            _ => false,
        }
    }

    /// Tells it whether the object is ready. The caller holds the leaf lock of the list that this waiter is in.
    pub(crate) fn tell(&self, ready: bool) {
        if let Target::Other(wake) = &self.target {
            wake.tell(ready);
        }
    }

    /// Whether it wakes a thread. Anything else may take any time until it looks: an event loop may be busy.
    #[inline]
    pub(crate) fn is_thread(&self) -> bool {
        match &self.target {
            Target::Thread(_) => true,
            Target::Arm(arm) => arm.is_thread(),
            Target::Other(wake) => wake.is_thread(),
        }
    }

    /// Sleeps until [`Waiter::unpark`] or another reason to go on. If `unpark` came before, returns
    /// immediately.
    ///
    /// # Panics
    /// If this waiter does not belong to a thread.
    pub fn park(&self, deadline: Deadline) -> Parked {
        match &self.target {
            Target::Thread(parker) => parker.park(deadline),
            Target::Arm(_) | Target::Other(_) => unreachable!("it is not a thread that sleeps"),
        }
    }

    /// Whether the next [`Waiter::park`] would return immediately. Only the waiter's own thread may ask.
    pub fn is_notified(&self) -> bool {
        match &self.target {
            Target::Thread(parker) => parker.is_notified(),
            Target::Arm(_) | Target::Other(_) => false,
        }
    }

    /// Ends the present [`Waiter::park`], or the next.
    ///
    /// Does nothing for a thread of the parent of a fork. Its parker may have been in use at the fork, and a
    /// mutex that was locked then is never unlocked here.
    pub fn unpark(&self) {
        self.unpark_from(&mut None);
    }

    /// As [`Waiter::unpark`]. The place of the waker is the number in `place`; if that is `None`, the observer is asked
    /// for it, if there is one, and it is stored there.
    pub(super) fn unpark_from(&self, place: &mut Option<u32>) {
        if self.is_of_this_process() {
            let begun = observe::is_on().then(|| {
                let place = *place.get_or_insert_with(observe::place_of_waker);
                self.waker_place.store(place, Ordering::Relaxed);
                self.waker
                    .store(ThreadNumber::current_or_zero(), Ordering::Relaxed);
                Instant::now()
            });
            match &self.target {
                Target::Thread(parker) => parker.unpark(),
                Target::Arm(arm) => arm.wake(),
                Target::Other(wake) => wake.wake(),
            }
            // Afterwards, so that the wake is not late.
            if let Some(begun) = begun {
                observe::woke(self, begun);
            }
        }
    }

    /// The thread that has woken it since the last call, if an observer was there at the time.
    pub(super) fn take_waker(&self) -> Option<ThreadNumber> {
        ThreadNumber::from_number(self.waker.swap(0, Ordering::Relaxed))
    }

    /// As [`Waiter::unpark`], for a wake whose place the observer learns in another way.
    pub fn unpark_from_known_place(&self) {
        self.unpark_from(&mut Some(0));
    }

    /// Where the thread that [`Waiter::take_waker`] returned was when it woke this, as a number of the observer.
    pub(super) fn waker_place(&self) -> u32 {
        self.waker_place.load(Ordering::Relaxed)
    }

    /// Whether a thread has woken it since [`Waiter::take_waker`] was called last, if an observer was there at the
    /// time. Any thread may ask.
    pub fn was_woken(&self) -> bool {
        self.waker.load(Ordering::Relaxed) != 0
    }

    /// Makes the waiter belong to the process of this generation.
    #[cfg(unix)]
    pub(super) fn belong_to(&self, generation: u32) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Whether its thread exists in this process.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation.load(Ordering::Relaxed) == generation()
    }
}
