//! `Lock` and `RLock`, and the native halves of the other classes of `oxthreads.threading`; and what `oxthreads.locks` has.
//!
//! * `fast_lock`: the fast paths that all classes with `acquire` and `release` share.
//! * `holder`: the calling thread, as the primitives know it.
//! * `any_lock`: the lock of a condition, if it is a native one.
//! * `reused`: threads in operating system threads that are used again.
//! * `standard_name`: the names that locks show while they replace the standard ones.

mod any_lock;
mod barrier;
mod condition;
mod condition_wait;
mod condition_waiter;
mod event;
mod fast_lock;
mod flight_table;
mod holder;
mod limiter;
mod lock;
mod once;
mod reused;
mod rlock;
mod rwlock;
mod semaphore;
mod single_flight;
mod standard_name;

pub(crate) use barrier::Barrier;
pub(crate) use condition::Condition;
pub(crate) use condition_waiter::ConditionWaiter;
pub(crate) use event::Event;
pub(crate) use flight_table::FlightTable;
pub(crate) use limiter::Limiter;
pub(crate) use lock::{Lock, allocate_lock};
pub(crate) use once::{Once, call_once, exchange_item};
pub(crate) use reused::{
    ThreadHandle, close_kept_threads, hold_kept_threads, kept_threads_now, release_kept_threads,
    set_local_keys, stack_size_now, start_reused,
};
pub(crate) use rlock::{RLock, caller};
pub(crate) use rwlock::{RWLock, ReadHold, WriteHold};
pub(crate) use semaphore::Semaphore;
pub(crate) use single_flight::Flights;
