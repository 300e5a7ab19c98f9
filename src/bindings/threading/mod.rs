//! `Lock` and `RLock`, and the native halves of the other classes of `oxthreads.threading`.
//!
//! * `fast_lock`: the fast paths that all classes with `acquire` and `release` share.
//! * `any_lock`: the lock of a condition, if it is a native one.
//! * `standard_name`: the names that locks show while they replace the standard ones.

mod any_lock;
mod barrier;
mod condition;
mod condition_wait;
mod condition_waiter;
mod event;
mod fast_lock;
mod lock;
mod rlock;
mod semaphore;
mod standard_name;

pub(crate) use barrier::Barrier;
pub(crate) use condition::Condition;
pub(crate) use condition_waiter::ConditionWaiter;
pub(crate) use event::Event;
pub(crate) use lock::{Lock, allocate_lock};
pub(crate) use rlock::{RLock, caller};
pub(crate) use semaphore::Semaphore;
