//! The native halves of `oxthreads.threading`.

mod any_lock;
mod barrier;
mod condition;
mod condition_wait;
mod condition_waiter;
mod event;
mod held;
mod lock;
mod rlock;
mod semaphore;
mod standard_name;

pub(crate) use barrier::Barrier;
pub(crate) use condition::Condition;
pub(crate) use condition_waiter::ConditionWaiter;
pub(crate) use event::Event;
pub(crate) use lock::{Lock, allocate_lock};
pub(crate) use rlock::RLock;
pub(crate) use semaphore::Semaphore;
