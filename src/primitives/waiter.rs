//! The wait engine: every blocking operation is *try*, else *join a list of waiters*, *park*
//! until somebody completes the waiter, the deadline passes or a signal arrives, and *leave*.
//!
//! That sequence is [`wait`]; what "try" and "complete" mean is the [`Operation`]'s.
//! The protocol is told in `README.md` beside this file.

#[cfg(unix)]
use std::cell::Cell;
use std::collections::VecDeque;
#[cfg(unix)]
use std::ptr;
use std::sync::atomic::{AtomicU32 as StdAtomicU32, AtomicU64 as StdAtomicU64, Ordering as Order};

use super::deadline::{Deadline, Wait};
use super::sync::Arc;

/// Counts the forks that lead to this process. A waiter of another generation is a thread of the
/// parent, which does not exist here.
static GENERATION: StdAtomicU32 = StdAtomicU32::new(0);

/// The generation of this process.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Order::Relaxed)
}

/// Has each later `fork()` begin a new generation in the child, before any other code runs there.
#[cfg(unix)]
pub fn follow_forks() {
    extern "C" fn begin_generation() {
        let generation = GENERATION.fetch_add(1, Order::Relaxed).wrapping_add(1);
        // The thread that forks is the one that exists here: its waiters are of this process.
        let mut frame = STAYING.get();
        // SAFETY: null, or a frame of `staying` further down this thread's own stack, which the child
        // has at the same address. `Staying::drop` takes it out of the chain before it goes.
        while let Some(staying) = unsafe { frame.as_ref() } {
            // SAFETY: `staying` borrows the waiter for as long as its frame is in the chain.
            let waiter = unsafe { &*staying.waiter };
            waiter.generation.store(generation, Order::Relaxed);
            frame = staying.outer;
        }
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler lives as long as the program, from which an extension module is never
        // unloaded. It takes no lock: it uses atomics and a thread-local cell without a destructor.
        // For that cell the C library may allocate when a thread first asks for it, which it can: it
        // runs these handlers after it has put its allocator in order (`__libc_fork` in glibc).
        let status = unsafe { libc::pthread_atfork(None, None, Some(begin_generation)) };
        assert_eq!(status, 0, "pthread_atfork: out of memory");
    });
}

#[cfg(unix)]
thread_local! {
    /// The innermost wait of this thread that stays in its list while foreign code runs.
    static STAYING: Cell<*const Staying> = const { Cell::new(ptr::null()) };
}

/// A waiter that is in a list while its own thread does something else.
#[cfg(unix)]
struct Staying {
    waiter: *const Waiter,
    outer: *const Staying,
}

#[cfg(unix)]
impl Drop for Staying {
    fn drop(&mut self) {
        STAYING.set(self.outer);
    }
}

/// Runs foreign code (signal handlers) while the waiter of this thread stays in its list. If the code
/// forks, the waiter is one of the child's as well as of the parent's.
#[cfg(unix)]
pub fn staying<R>(waiter: &Waiter, code: impl FnOnce() -> R) -> R {
    let staying = Staying {
        waiter: ptr::from_ref(waiter),
        outer: STAYING.get(),
    };
    STAYING.set(&raw const staying);
    code()
}

/// There is no `fork()` here.
#[cfg(not(unix))]
pub fn follow_forks() {}

/// Runs foreign code (signal handlers) while the waiter of this thread stays in its list.
#[cfg(not(unix))]
pub fn staying<R>(_waiter: &Waiter, code: impl FnOnce() -> R) -> R {
    code()
}

/// A waiter's place in the order of arrival, unique in the process: earlier means smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// The next place. A waiter keeps it while it comes and goes, so that an interruption does
    /// not cost its turn.
    pub fn next() -> Self {
        static NEXT: StdAtomicU64 = StdAtomicU64::new(0);
        Self(NEXT.fetch_add(1, Order::Relaxed))
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
    /// A signal arrived, or may have: where the platform cannot tell, now and then.
    Interrupted,
}

/// One thread's wait: what a waker needs to know of it.
pub struct Waiter {
    parker: Parker,
    /// Of which process it is: that of its thread.
    generation: StdAtomicU32,
}

impl Waiter {
    /// A waiter of this process, not parked.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            parker: Parker::new(),
            generation: StdAtomicU32::new(generation()),
        })
    }

    /// Sleeps until [`Waiter::unpark`], which may have come before, or another reason to go on.
    pub fn park(&self, deadline: Deadline) -> Parked {
        self.parker.park(deadline)
    }

    /// Whether the next [`Waiter::park`] would return at once. Only the waiter's own thread may ask.
    pub fn is_notified(&self) -> bool {
        self.parker.is_notified()
    }

    /// Ends the present [`Waiter::park`], or the next.
    ///
    /// Not of a thread that a fork has left behind, whose parker may have been in use at the fork: a
    /// mutex that was locked then is never unlocked here.
    pub fn unpark(&self) {
        if self.is_of_this_process() {
            self.parker.unpark();
        }
    }

    fn is_of_this_process(&self) -> bool {
        self.generation.load(Order::Relaxed) == generation()
    }
}

/// Waiters in the order of their tickets, each with what it brought along.
///
/// Without waiters it is one null pointer.
pub struct WaiterList<P = ()> {
    #[expect(
        clippy::box_collection,
        reason = "eight bytes when empty, in each object"
    )]
    entries: Option<Box<VecDeque<Entry<P>>>>,
}

struct Entry<P> {
    ticket: Ticket,
    waiter: Arc<Waiter>,
    payload: P,
}

impl<P> WaiterList<P> {
    /// No waiters.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Whether nobody waits. Waiters left behind by a fork count until they are passed over.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// Adds a waiter at the place that its ticket says.
    pub fn join(&mut self, ticket: Ticket, waiter: &Arc<Waiter>, payload: P) {
        let entries = self.entries.get_or_insert_default();
        let entry = Entry {
            ticket,
            waiter: Arc::clone(waiter),
            payload,
        };
        match entries.back() {
            Some(last) if last.ticket > ticket => {
                let place = entries.partition_point(|other| other.ticket < ticket);
                entries.insert(place, entry);
            }
            _ => entries.push_back(entry),
        }
    }

    /// Removes the waiter; `None` means that somebody has taken it out before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<P> {
        self.take(ticket).map(|(_, payload)| payload)
    }

    /// Takes out the waiter with this ticket, if it is in the list, for somebody else to wake.
    pub fn take(&mut self, ticket: Ticket) -> Option<(Arc<Waiter>, P)> {
        let entries = self.entries.as_mut()?;
        let place = entries
            .binary_search_by_key(&ticket, |entry| entry.ticket)
            .ok()?;
        let entry = entries.remove(place)?;
        self.release_if_empty();
        Some((entry.waiter, entry.payload))
    }

    /// Takes out the waiter that came first.
    pub fn pop(&mut self) -> Option<(Arc<Waiter>, P)> {
        loop {
            let entry = self.entries.as_mut()?.pop_front()?;
            self.release_if_empty();
            if entry.waiter.is_of_this_process() {
                return Some((entry.waiter, entry.payload));
            }
            // A thread of the parent brought it, whose frames are never unwound here either:
            // to drop the payload would be to run a destructor under a leaf lock.
            std::mem::forget(entry.payload);
        }
    }

    /// Takes out the waiter that came last.
    pub fn pop_last(&mut self) -> Option<(Arc<Waiter>, P)> {
        loop {
            let entry = self.entries.as_mut()?.pop_back()?;
            self.release_if_empty();
            if entry.waiter.is_of_this_process() {
                return Some((entry.waiter, entry.payload));
            }
            std::mem::forget(entry.payload); // as in `pop`
        }
    }

    /// Takes out the first waiter whose payload is wanted.
    pub fn take_first(&mut self, wanted: impl Fn(&P) -> bool) -> Option<(Arc<Waiter>, P)> {
        let ticket = self
            .of_this_process()
            .find(|entry| wanted(&entry.payload))
            .map(|entry| entry.ticket)?;
        self.take(ticket)
    }

    /// Drops the waiters that a fork has left behind; what they brought along stays in the parent.
    pub fn forget_other_processes(&mut self) {
        let Some(entries) = self.entries.as_mut() else {
            return;
        };
        for _ in 0..entries.len() {
            if let Some(entry) = entries.pop_front() {
                if entry.waiter.is_of_this_process() {
                    entries.push_back(entry);
                } else {
                    std::mem::forget(entry.payload); // as in `pop`
                }
            }
        }
        self.release_if_empty();
    }

    /// Takes out all waiters.
    pub fn drain(&mut self, into: &mut Wakes) {
        while let Some((waiter, _)) = self.pop() {
            into.push(waiter);
        }
    }

    /// Wakes all waiters but leaves them in the list: they are to look again.
    pub fn poke(&self, into: &mut Wakes) {
        for entry in self.entries.iter().flat_map(|entries| entries.iter()) {
            into.push(Arc::clone(&entry.waiter));
        }
    }

    /// How many wait. Waiters left behind by a fork do not count.
    pub fn len(&self) -> usize {
        self.of_this_process().count()
    }

    /// The waiters' tickets, in their order.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.of_this_process().map(|entry| entry.ticket).collect()
    }

    /// Whether the waiter with this ticket is in the list.
    pub fn contains(&self, ticket: Ticket) -> bool {
        self.of_this_process().any(|entry| entry.ticket == ticket)
    }

    fn of_this_process(&self) -> impl Iterator<Item = &Entry<P>> {
        self.entries
            .iter()
            .flat_map(|entries| entries.iter())
            .filter(|entry| entry.waiter.is_of_this_process())
    }

    /// What the waiters brought along.
    pub fn payloads(&self) -> impl Iterator<Item = &P> {
        self.entries
            .iter()
            .flat_map(|entries| entries.iter())
            .map(|entry| &entry.payload)
    }

    /// How many bytes the list takes, beside the list itself.
    pub fn allocated(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| {
            size_of::<VecDeque<Entry<P>>>() + entries.capacity() * size_of::<Entry<P>>()
        })
    }

    fn release_if_empty(&mut self) {
        if self
            .entries
            .as_ref()
            .is_some_and(|entries| entries.is_empty())
        {
            self.entries = None;
        }
    }
}

impl<P> Default for WaiterList<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Waiters to be woken once the leaf lock is released.
#[derive(Default)]
#[must_use = "waiters taken out of a list sleep until they are woken"]
pub struct Wakes(Vec<Arc<Waiter>>);

impl Wakes {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn push(&mut self, waiter: Arc<Waiter>) {
        self.0.push(waiter);
    }

    /// Wakes them, in the order they were added. Call it without a leaf lock.
    pub fn wake(self) {
        for waiter in self.0 {
            waiter.unpark();
        }
    }
}

/// A blocking operation, as [`wait`] drives it. Dropped between calls, it must not be in a list.
pub trait Operation {
    /// What it yields once completed.
    type Output;

    /// Does it now, or joins a list with `waiter` (`None`), in one leaf section, so that a wake
    /// cannot fall between the look and the join.
    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output>;

    /// Leaves the list, after a sleep that ended as `parked` says. `Some` means that it was
    /// completed before it could leave.
    fn leave(&mut self, parked: Parked) -> Option<Self::Output>;

    /// Gives back what it was given, for a panic goes on, and nobody will use it.
    #[cold]
    fn undo(&mut self, output: Self::Output) {
        drop(output);
    }
}

/// An operation that is in a list. It leaves it when a panic drops this, or else what is meant for the
/// waiters of the object would go to one that is gone.
struct Joined<'a, O: Operation>(&'a mut O);

impl<O: Operation> Drop for Joined<'_, O> {
    #[cold]
    fn drop(&mut self) {
        if let Some(output) = self.0.leave(Parked::Interrupted) {
            self.0.undo(output);
        }
    }
}

/// Drives `operation` to its end, the deadline or a signal.
///
/// `suspend` parks the waiter; whoever has to let go of something while the thread sleeps
/// (Python's lock) does so there. It must return, or never: it must not unwind.
pub fn wait<O: Operation>(
    operation: &mut O,
    deadline: Deadline,
    mut suspend: impl FnMut(&Waiter, Deadline) -> Parked,
) -> Wait<O::Output> {
    let waiter = Waiter::new();
    loop {
        if let Some(output) = operation.attempt(&waiter) {
            return Wait::Ready(output);
        }
        let joined = Joined(operation);
        let parked = suspend(&waiter, deadline);
        // Leaving comes first, whatever ended the sleep: the truth about completion is the list,
        // and a wake that crossed a time-out or a signal must not be lost.
        let left = joined.0.leave(parked);
        std::mem::forget(joined);
        if let Some(output) = left {
            return Wait::Ready(output);
        }
        match parked {
            Parked::Unparked => {}
            Parked::TimedOut => return Wait::TimedOut,
            Parked::Interrupted => return Wait::Interrupted,
        }
    }
}

use parker::Parker;
pub use parker::TELLS_OF_SIGNALS;

// With `--cfg portable_parker` the parker of other platforms is built, and so can be tested, on Linux.
#[cfg(all(target_os = "linux", not(any(loom, portable_parker))))]
#[path = "parker_futex.rs"]
mod parker;
#[cfg(not(all(target_os = "linux", not(any(loom, portable_parker)))))]
#[path = "parker_portable.rs"]
mod parker;
