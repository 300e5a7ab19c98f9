//! An optional observer of all waits: a report of hangs, a profile, a trace.
//!
//! The observer is told when a thread is about to sleep, when it goes on, and which thread woke it. A wait
//! that does not sleep calls no observer. Without an observer, a sleep and a wake cost one more load each.
//!
//! An observer may be told of sleeps only ([`observe_sleeps`]). Then nothing is called, and nothing recorded, by what does
//! not sleep.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::sync::Arc;
pub use super::threads::ThreadNumber;
use super::{Operation, Waiter};

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it waits for, as a report names it: "Lock", "item of a queue".
    pub what: &'static str,
    /// The address of the object, to tell waits for the same object from others. The object may be gone.
    pub address: usize,
    /// Where to ask for the thread that has it, or how many items it has.
    pub owner: Option<Owner>,
}

impl Resource {
    /// An object that no thread owns.
    pub fn new<T>(what: &'static str, object: &T) -> Self {
        Self {
            what,
            address: std::ptr::from_ref(object).addr(),
            owner: None,
        }
    }

    /// An object that a thread may own.
    pub fn owned<T: Owned>(what: &'static str, object: &T) -> Self {
        Self {
            owner: Some(Owner(object)),
            ..Self::new(what, object)
        }
    }
}

/// An object that can be asked for more: one that a thread has, such as a lock or a future that a worker runs; or a queue.
pub trait Owned: Sync + 'static {
    /// The thread that has it now, if there is one and it is known. The caller is attached to the interpreter.
    fn owner(&self) -> Option<ThreadNumber>;

    /// If it is a lock that several threads may have at once: who has it now. The caller is attached to the interpreter.
    fn holders(&self) -> Option<Holders> {
        None
    }

    /// If it is a future whose work has not begun: that work. The caller is attached to the interpreter.
    fn pending(&self) -> Option<PendingWork> {
        None
    }

    /// If it is a queue: how many items it has. The caller is attached to the interpreter, and holds no leaf lock.
    fn length(&self) -> Option<usize> {
        None
    }

    /// If it is a wait for the first of several objects: what it waits for.
    fn arms(&self) -> Vec<Resource> {
        Vec::new()
    }
}

/// Who has a lock that several threads may have at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Whether one thread has it alone.
    pub is_exclusive: bool,
    /// The threads that have it. Empty, too, if not all of them are known.
    pub threads: Vec<ThreadNumber>,
    /// The thread that gets it next.
    pub next: Option<ThreadNumber>,
    /// Whether a coroutine gets it next.
    pub coroutine_is_next: bool,
}

/// Work that no thread has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingWork {
    /// The number of the pool whose workers are to run it.
    pub pool: u64,
    /// What a report calls it.
    pub name: String,
}

/// The object of a wait, to ask it for its owner: the owner may change while a thread waits.
#[derive(Clone, Copy, Debug)]
pub struct Owner(*const dyn Owned);

// SAFETY: it is a shared reference to an object that is `Sync`, in the form of a pointer.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.0, other.0)
    }
}

impl Eq for Owner {}

impl Owner {
    /// The thread that has the object now.
    ///
    /// # Safety
    /// The wait that this was made for has not ended, and does not end during the call. (Its operation keeps the
    /// object alive.) The caller is attached to the interpreter.
    pub unsafe fn thread(&self) -> Option<ThreadNumber> {
        // SAFETY: the caller guarantees that the object is alive.
        unsafe { &*self.0 }.owner()
    }

    /// Who has the lock, if several threads may have it at once.
    ///
    /// # Safety
    /// As for [`Owner::thread`].
    pub unsafe fn holders(&self) -> Option<Holders> {
        // SAFETY: the caller guarantees that the object is alive.
        unsafe { &*self.0 }.holders()
    }

    /// The work of the future, if it has not begun.
    ///
    /// # Safety
    /// As for [`Owner::thread`].
    pub unsafe fn pending(&self) -> Option<PendingWork> {
        // SAFETY: the caller guarantees that the object is alive.
        unsafe { &*self.0 }.pending()
    }

    /// How many items the queue has, if it is one. The caller holds no leaf lock.
    ///
    /// # Safety
    /// As for [`Owner::thread`].
    pub unsafe fn length(&self) -> Option<usize> {
        // SAFETY: the caller guarantees that the object is alive.
        unsafe { &*self.0 }.length()
    }

    /// What the wait is for, if it is for the first of several objects.
    ///
    /// # Safety
    /// As for [`Owner::thread`].
    pub unsafe fn arms(&self) -> Vec<Resource> {
        // SAFETY: the caller guarantees that the object is alive.
        unsafe { &*self.0 }.arms()
    }
}

/// What is known of an object that is waited for.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// See [`Owned::owner`].
    pub owner: Option<ThreadNumber>,
    /// See [`Owned::holders`].
    pub holders: Option<Holders>,
    /// See [`Owned::pending`].
    pub pending: Option<PendingWork>,
    /// See [`Owned::length`].
    pub length: Option<usize>,
    /// See [`Owned::arms`].
    pub arms: Vec<Resource>,
}

impl Facts {
    /// Asks the object that this operation waits for. The caller is attached to the interpreter, and holds no leaf lock.
    pub fn of(operation: &impl Operation) -> Self {
        let Some(Owner(object)) = operation.resource().owner else {
            return Self::default();
        };
        // SAFETY: the operation keeps the object alive, and is borrowed.
        let object = unsafe { &*object };
        Self {
            owner: object.owner(),
            holders: object.holders(),
            pending: object.pending(),
            length: object.length(),
            arms: object.arms(),
        }
    }
}

/// How a thread has acquired a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquisition {
    /// It would not have waited, or not for ever.
    Tried,
    /// By a call, which would have waited for ever.
    Called,
    /// By a `with` statement or inside a call such as `Condition.wait`, which would have waited for ever.
    Entered,
}

/// An observer of waits. The waiting threads call it, without a leaf lock.
pub trait Observer: Sync {
    /// The calling thread is about to sleep.
    fn blocked(&self, waiter: &Arc<Waiter>, resource: Resource, deadline: Deadline);

    /// The calling thread, which is about to sleep, is in a scope whose cancellation ends the wait. It does so at that
    /// moment at the latest, unless something else has.
    fn sleeps_in_scope(&self, _until: Deadline) {}

    /// The calling thread has released the interpreter, and begins to sleep. This may happen more than once in a
    /// wait, if signal handlers run in between.
    fn parks(&self) {}

    /// The calling thread has slept, and has not acquired the interpreter yet. So it may wait here for a thread
    /// that reads what is known of its wait.
    fn unparks(&self) {}

    /// Why the wait of the calling thread must be ended by an error, if it must.
    fn verdict(&self) -> Option<String> {
        None
    }

    /// Signal handlers begin to run in the calling thread, or have run. Its wait is left meanwhile, and goes on
    /// afterwards.
    fn handles_signals(&self, _begins: bool) {}

    /// The calling thread has notified the object with this address, and no thread waited for it.
    fn missed(&self, _address: usize) {}

    /// The object with this address is dropped.
    fn gone(&self, _address: usize) {}

    /// The calling thread goes on after it slept for `slept`. `by` is the thread that woke it; `None` if the
    /// deadline or a signal did.
    fn resumed(&self, resource: Resource, slept: Duration, by: Option<ThreadNumber>);

    /// A number for the place where the calling thread is, which is about to wake another one. Zero: none.
    fn place_of_waker(&self) -> u32 {
        0
    }

    /// The thread that has woken the calling one was at the place with this number. This comes before `resumed`.
    fn woken_from(&self, _place: u32) {}

    /// The wait of the calling thread, which has resumed, is over: it was completed, or it has `timed_out`. Not called
    /// if the thread is about to sleep again in the same wait, or to run signal handlers. The resource is alive.
    fn completed(&self, _resource: Resource, _timed_out: bool) {}

    /// The calling thread has woken what waits by the waiter with this address. It began to do so at that time.
    fn woke(&self, _waiter: usize, _at: Instant) {}

    /// The calling thread has freed the lock with this address, and threads waited for it.
    fn released(&self, _address: usize) {}

    /// The calling thread has acquired this lock, which is followed. It may be attached to the interpreter, and holds no
    /// leaf lock.
    fn acquired(&self, _lock: Resource, _how: Acquisition) {}

    /// The calling thread is about to free the lock with this address, which is followed. The thread that has acquired it
    /// was this one, if that is known.
    fn releases(&self, _address: usize, _owner: Option<ThreadNumber>) {}

    /// The calling thread has entered this lock, which is followed and which several threads may hold: to write or to read.
    fn enters(&self, _lock: Resource, _writes: bool, _how: Acquisition) {}

    /// The calling thread has left such a lock.
    fn leaves(&self, _address: usize) {}

    /// Such a lock is dropped. These threads have not left it.
    fn access_lock_gone(&self, _address: usize, _holders: &[ThreadNumber]) {}

    /// The lock with this address, which is followed, is dropped. If it is locked, the thread that has acquired it was this
    /// one.
    fn lock_gone(&self, _address: usize, _owner: Option<ThreadNumber>) {}
}

/// What the observer is told of: one of these.
static LEVEL: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
const SLEEPS: u8 = 1;
const EVERYTHING: u8 = 2;

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

/// The process has an observer already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied;

/// Sets the observer, which is told of all waits that begin from now on.
///
/// # Errors
/// [`Occupied`] if an observer was set before: a process has one observer for its whole life. That one may
/// pass on what it learns.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), Occupied> {
    OBSERVER.set(observer).map_err(|_| Occupied)?;
    LEVEL.store(EVERYTHING, Ordering::Release);
    Ok(())
}

/// Turns the calls to the observer on or off.
pub fn observe(is_on: bool) {
    let level = if is_on && OBSERVER.get().is_some() {
        EVERYTHING
    } else {
        NOTHING
    };
    LEVEL.store(level, Ordering::Release);
}

/// Turns the calls to this observer on or off for sleeps only, unless an observer is told of everything. It is set if there
/// is none.
pub fn observe_sleeps(observer: &'static dyn Observer, is_on: bool) {
    OBSERVER.get_or_init(|| observer);
    let (from, to) = if is_on {
        (NOTHING, SLEEPS)
    } else {
        (SLEEPS, NOTHING)
    };
    // It fails if it is as wanted already, or more.
    let _ = LEVEL.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
}

/// Whether there is an observer, and it is told of sleeps.
#[inline]
pub fn is_on() -> bool {
    LEVEL.load(Ordering::Relaxed) != NOTHING
}

/// Whether there is an observer, and it is told of everything.
#[inline]
pub fn is_on_for_everything() -> bool {
    LEVEL.load(Ordering::Relaxed) == EVERYTHING
}

/// Runs `park`, in which the calling thread sleeps, and tells the observer, if there is one, before and after.
#[inline]
pub fn parked<R>(park: impl FnOnce() -> R) -> R {
    let observer = if is_on() { OBSERVER.get() } else { None };
    if let Some(observer) = observer {
        observer.parks();
    }
    let result = park();
    if let Some(observer) = observer {
        observer.unparks();
    }
    result
}

/// Tells the observer, if there is one, that the calling thread is about to sleep in a scope; see
/// [`Observer::sleeps_in_scope`].
#[inline]
pub fn sleeps_in_scope(until: Deadline) {
    if is_on_for_everything()
        && let Some(observer) = OBSERVER.get()
    {
        observer.sleeps_in_scope(until);
    }
}

/// Runs signal handlers, for which the calling thread has left its wait, and tells the observer, if there is one, before
/// and after.
#[inline]
pub fn while_handling_signals<R>(handle: impl FnOnce() -> R) -> R {
    let observer = if is_on() { OBSERVER.get() } else { None };
    if let Some(observer) = observer {
        observer.handles_signals(true);
    }
    let result = handle();
    if let Some(observer) = observer {
        observer.handles_signals(false);
    }
    result
}

/// Why the wait of the calling thread must be ended by an error, if an observer says so.
#[inline]
pub fn verdict() -> Option<String> {
    if is_on() {
        OBSERVER.get()?.verdict()
    } else {
        None
    }
}

thread_local! {
    static MUST_SUCCEED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `wait`, whose waits must not be ended by an observer: the caller needs what they wait for to go on.
pub fn that_must_succeed<R>(wait: impl FnOnce() -> R) -> R {
    let before = MUST_SUCCEED.replace(true);
    let result = wait();
    MUST_SUCCEED.set(before);
    result
}

/// Whether the calling thread is in [`that_must_succeed`].
pub fn must_succeed() -> bool {
    MUST_SUCCEED.get()
}

/// Tells the observer, if there is one, that a notification of this object has found nobody. The caller holds no leaf
/// lock.
#[inline]
pub fn missed<T>(object: &T) {
    if is_on_for_everything()
        && let Some(observer) = OBSERVER.get()
    {
        observer.missed(std::ptr::from_ref(object).addr());
    }
}

/// Tells the observer, if there is one, that this object is dropped.
#[inline]
pub fn gone<T>(object: &T) {
    if is_on_for_everything()
        && let Some(observer) = OBSERVER.get()
    {
        observer.gone(std::ptr::from_ref(object).addr());
    }
}

/// Tells the observer, if there is one, that the calling thread has freed the lock with this address, for which threads
/// waited. The caller holds no leaf lock.
#[inline]
pub fn released(address: usize) {
    if is_on_for_everything()
        && let Some(observer) = OBSERVER.get()
    {
        observer.released(address);
    }
}

static FOLLOWS_LOCKS: AtomicBool = AtomicBool::new(false);

/// Turns on or off that the observer is told of each acquisition and release of the locks that are followed: those of which
/// `follow` was called.
pub fn follow_locks(is_on: bool) {
    FOLLOWS_LOCKS.store(is_on, Ordering::Release);
}

/// Whether that is on.
#[inline]
pub fn follows_locks() -> bool {
    FOLLOWS_LOCKS.load(Ordering::Relaxed)
}

/// Tells the observer of something that has happened to a lock that is followed.
pub(crate) fn tell_of_lock(tell: impl FnOnce(&dyn Observer)) {
    if follows_locks()
        && let Some(observer) = OBSERVER.get()
    {
        tell(*observer);
    }
}

/// A number for the place where the calling thread is, which is about to wake another one.
#[cold]
pub(super) fn place_of_waker() -> u32 {
    OBSERVER
        .get()
        .map_or(0, |observer| observer.place_of_waker())
}

/// Tells the observer, if there is one, that a wait of the calling thread which has slept is over.
#[inline]
pub fn completed(resource: impl FnOnce() -> Resource, timed_out: bool) {
    if is_on()
        && let Some(observer) = OBSERVER.get()
    {
        observer.completed(resource(), timed_out);
    }
}

/// Tells the observer, if there is one, that the calling thread has woken what waits by this waiter.
#[cold]
pub(super) fn woke(waiter: &Waiter, at: Instant) {
    if let Some(observer) = OBSERVER.get() {
        observer.woke(std::ptr::from_ref(waiter).addr(), at);
    }
}

/// A sleep that the observer was told of.
pub(super) struct Sleep {
    observer: &'static dyn Observer,
    resource: Resource,
    since: Instant,
}

/// Tells the observer, if there is one, that the calling thread is about to sleep.
#[inline]
pub(super) fn begin_sleep(
    waiter: &Arc<Waiter>,
    resource: impl FnOnce() -> Resource,
    deadline: Deadline,
) -> Option<Sleep> {
    if !is_on() {
        return None;
    }
    let observer = *OBSERVER.get()?;
    let resource = resource();
    observer.blocked(waiter, resource, deadline);
    Some(Sleep {
        observer,
        resource,
        since: Instant::now(),
    })
}

impl Sleep {
    /// Tells the observer that the thread goes on, and where `by` was.
    #[cold]
    pub(super) fn end(self, by: Option<ThreadNumber>, place: u32) {
        if by.is_some() && place != 0 {
            self.observer.woken_from(place);
        }
        (self.observer).resumed(self.resource, self.since.elapsed(), by);
    }
}
