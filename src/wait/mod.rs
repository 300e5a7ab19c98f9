//! The wait engine. Every blocking operation of every object goes through it. It knows neither the objects
//! nor Python.
//!
//! A blocking operation *attempts* its work. If it cannot succeed yet, it *joins* the list of waiters of its
//! object, *parks* until another thread completes it, the deadline passes or a signal arrives, and *leaves*
//! the list. [`drive`] is that loop; an [`Operation`] says what "attempt" and "leave" mean for its object.
//! `README.md` in this folder explains the protocol.
//!
//! * [`deadline`]: how long a wait may last, and how it ended.
//! * `waiter`: one wait: whom to wake, its ticket, the process that it belongs to.
//! * `list`: the ordered list of waiters of an object, and the waiters to wake after the leaf lock is
//!   released.
//! * [`line`]: waiters that act by themselves when their time has come.
//! * `operation`: the operation, and the loop that drives it.
//! * `claim`: a wait for several objects, completed by exactly one of them.
//! * [`scope`]: parts of a program whose waits end together.
//! * `monitor`: state under a leaf lock that begins anew in a forked child.
//! * `fork`: the generation of a process, and waiters that stay queued while foreign code runs.
//! * `observe`: an optional observer of all waits (for reports of hangs, profiles).
//! * [`threads`]: the numbers of threads, and which threads are alive.
//! * `pending`: a wait that no thread sleeps in.
//! * `parker`: how a thread sleeps: by `futex` on Linux, by a condition variable elsewhere and under loom.
//! * [`gil_mutex`]: a leaf lock that is the GIL where there is one.
//! * [`hand_off`]: when a waiter is handed what other threads could otherwise take first.
//! * [`spin`]: a short spin before the sleep in the kernel.
//! * [`inject`]: panics for tests.
//! * [`sync`]: the locks and atomics underneath, or loom's in their place.
//!
//! # The locking rules
//!
//! The mutex inside a primitive is a *leaf lock*. It covers a few instructions. Under it, nothing blocks, no
//! other lock is taken, no foreign code runs and no item is dropped (its destructor may come back to the same
//! object). Code collects what it must wake or drop, releases the lock, and only then wakes or drops it.
//!
//! This has two results. When a thread that holds Python's lock calls `fork()`, no other thread is inside a
//! leaf section. And a re-entrant call, from a destructor or a signal handler, finds the lock free.

mod claim;
pub mod deadline;
mod fork;
pub mod gil_mutex;
pub mod hand_off;
pub mod inject;
pub mod line;
mod list;
mod monitor;
pub mod observe;
mod operation;
mod parker;
mod pending;
pub mod scope;
mod select;
pub mod spin;
pub mod sync;
pub mod threads;
mod waiter;

pub use claim::{Arm, Claim, Slot};
pub use fork::{PerProcess, follow_forks, generation, while_queued};
pub use list::{WaiterList, Wakes};
pub use monitor::{Entered, Monitor, State, Unchecked};
pub use operation::{Operation, drive};
pub use parker::{PARKER, REPORTS_SIGNALS, can_sleep};
pub use pending::Pending;
pub use select::{AnyOperation, Converted, Select};
pub use waiter::{Parked, Ticket, Waiter, Wake};
