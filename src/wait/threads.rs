//! The threads of the process: a number for each, and which of them are alive.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::fork::PerProcess;

/// The number of a thread, from one. No other thread of the process ever has the same number.
///
/// It has 32 bits, so that a lock can hold the number of its owner without being larger. A process that has made
/// a billion threads makes the later ones without a number: greater ones are those of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadNumber(NonZeroU32);

/// The last number that was assigned.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The first number of a task, and the last that was assigned to one.
const FIRST_TASK: u32 = 1 << 30;
static LAST_TASK: AtomicU32 = AtomicU32::new(FIRST_TASK);

thread_local! {
    /// The number of this thread; zero: not assigned yet.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    /// Says that this thread has ended, when it is dropped.
    static PRESENCE: Presence = const { Presence };
}

impl ThreadNumber {
    /// The number of the calling thread, if it has one.
    pub fn current() -> Option<Self> {
        Self::from_number(Self::current_or_zero())
    }

    /// The number of the calling thread as an integer; zero if it has none.
    #[inline]
    pub fn current_or_zero() -> u32 {
        NUMBER.with(|number| match number.get() {
            0 => Self::assign(number),
            assigned => assigned,
        })
    }

    #[cold]
    fn assign(number: &Cell<u32>) -> u32 {
        let next = |last: u32| (last < FIRST_TASK).then(|| last + 1);
        if let Ok(last) = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            number.set(last + 1);
            add(Thread::calling(last + 1));
            // It fails in a thread that is ending already; then the thread stays in the list.
            let _ = PRESENCE.try_with(|_| ());
        }
        number.get()
    }

    /// A number for a task of an event loop, which a profile or a trace shows as it shows a thread. Nothing else has the same.
    pub fn for_task() -> Option<Self> {
        let next = |last: u32| last.checked_add(1);
        let last = LAST_TASK.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        Self::from_number(last.ok()? + 1)
    }

    /// Whether it is the number of a task, and not of a thread.
    pub fn is_of_task(self) -> bool {
        self.number() > FIRST_TASK
    }

    /// The number that is stored as this integer; zero stands for no thread.
    pub fn from_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number as an integer.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// A thread that is alive, or was when the list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its number, as an integer.
    pub number: u32,
    /// `pthread_self()`, which Python calls the identifier of the thread; zero where that is not known.
    pub identifier: Identifier,
}

/// See [`Thread::identifier`].
pub type Identifier = u64;

impl Thread {
    fn calling(number: u32) -> Self {
        Self {
            number,
            identifier: identifier(),
        }
    }
}

#[cfg(unix)]
fn identifier() -> Identifier {
    // SAFETY: it has no precondition.
    let thread = unsafe { libc::pthread_self() };
    // A number or a pointer, which depends on the C library.
    #[allow(clippy::unnecessary_cast)]
    {
        thread as Identifier
    }
}

#[cfg(not(unix))]
fn identifier() -> Identifier {
    0
}

/// What is known of the threads of one process.
struct Process {
    threads: Mutex<Vec<Thread>>,
    /// Numbers up to this one were assigned in the parent, before the fork that made this process.
    of_parent: u32,
}

/// The thread that forked this process: its number, and its identifier.
static FORKED_BY: (AtomicU32, AtomicU64) = (AtomicU32::new(0), AtomicU64::new(0));

/// The last number that was assigned before the fork.
static OF_PARENT: AtomicU32 = AtomicU32::new(0);

fn process() -> &'static Process {
    static PROCESS: PerProcess<Process> = PerProcess::new();
    PROCESS.get(|| {
        let forked_by = FORKED_BY.0.load(Ordering::Relaxed);
        let forker = (forked_by != 0).then(|| Thread {
            number: forked_by,
            identifier: FORKED_BY.1.load(Ordering::Relaxed),
        });
        Process {
            threads: Mutex::new(forker.into_iter().collect()),
            of_parent: OF_PARENT.load(Ordering::Relaxed),
        }
    })
}

fn threads() -> std::sync::MutexGuard<'static, Vec<Thread>> {
    let threads = process().threads.lock();
    threads.unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn add(thread: Thread) {
    threads().push(thread);
}

/// Takes the number from the calling thread, as its end does. It gets another one when it needs one.
pub fn end_number() {
    let number = NUMBER.replace(0);
    if number != 0 {
        threads().retain(|thread| thread.number != number);
    }
}

/// Removes its thread from the list when the thread ends.
struct Presence;

impl Drop for Presence {
    fn drop(&mut self) {
        let number = NUMBER.try_with(Cell::get).unwrap_or_default();
        threads().retain(|thread| thread.number != number);
    }
}

/// The threads of this process that have a number and are alive.
pub fn alive() -> Vec<Thread> {
    threads().clone()
}

/// Whether the thread with this number belongs to the parent of the fork that made this process, and not to this
/// process.
pub fn is_of_parent(number: ThreadNumber) -> bool {
    let process = process();
    number.number() <= process.of_parent && number.number() != FORKED_BY.0.load(Ordering::Relaxed)
}

/// Notes what the list of the child begins with. Called in the child of a fork, before any other code runs there. It allocates nothing.
#[cfg(unix)]
pub(super) fn begin_anew() {
    FORKED_BY.0.store(NUMBER.get(), Ordering::Relaxed);
    FORKED_BY.1.store(identifier(), Ordering::Relaxed);
    OF_PARENT.store(LAST.load(Ordering::Relaxed), Ordering::Relaxed);
}
