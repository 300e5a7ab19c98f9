//! The family, a line each:
//!
//! * [`deadline`]: until when a wait may last, and how it ended.
//! * [`waiter`]: the wait engine: a waiter, its parker, the ordered list of waiters.
//! * [`leaf`]: the leaf lock of queues, futures and pools, which may be the interpreter's lock.
//! * [`lock`]: mutual exclusion, released by any thread.
//! * [`rlock`]: mutual exclusion that its owner may take again.
//! * [`turn`]: who comes next where others may pass by.
//! * [`condition`]: waiters that are woken one by one.
//! * [`semaphore`]: permits, taken one at a time.
//! * [`event`]: a flag that threads wait for.
//! * [`barrier`]: a rendezvous of a number of threads.
//! * [`queue`]: bounded first-in first-out hand-over, with unfinished count and shutdown.
//! * [`future`]: a result that is set once.
//! * [`completion`]: one thread's wait for many futures.
//! * [`progress`]: how many calls have ended, and who reports it when.
//! * [`pool`]: pending jobs and the workers that wait for them.
//! * [`spin`]: a short wait on the processor before the sleep in the kernel.
//! * [`inject`]: panics for tests.
//! * [`sync`]: the one place that names the locks and atomics underneath.
//!
//! # The locking rules
//!
//! The mutex inside a primitive is a *leaf lock*: it covers a few instructions, and under it
//! nothing blocks, no other lock is taken, no foreign code runs and no item is dropped (its
//! destructor may come back to the same object). What is to be woken or dropped is collected,
//! the lock is released, and only then is it woken or dropped. Hence no thread can be found
//! inside a leaf lock at a `fork()` made by a thread that holds Python's lock, and a re-entrant
//! call from a destructor or a signal handler finds the lock free.
//!
//! How a wait and a wake meet is told in `README.md` beside this file.

pub mod barrier;
pub mod completion;
pub mod condition;
pub mod deadline;
pub mod event;
pub mod future;
pub mod inject;
pub mod leaf;
pub mod lock;
pub mod pool;
pub mod progress;
pub mod queue;
pub mod rlock;
pub mod semaphore;
pub mod spin;
pub mod sync;
pub mod turn;
pub mod waiter;

/// The primitive was retired: its owner has given it up for another implementation, to which the
/// caller must turn. Whoever waited is woken to hear it, but for an event's waiters, who stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired;
