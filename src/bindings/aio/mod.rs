//! Waits of coroutines: the objects of this package, as `oxthreads.aio` shows them to event loops.
//!
//! * `held.rs`: how an operation owns the object that it waits for.
//! * `operation.rs`: an operation without its type, before it waits and while it waits.
//! * `wait.rs`: the awaitable that the methods of the views return.
//! * `entry.rs`: what the threads that wake a coroutine know of its wait.
//! * `inbox.rs`: how waits of one event loop are woken from any thread.
//! * `library.rs`: asyncio and trio: which of them runs the present task, and how a task of it is suspended and woken.
//! * `alarm.rs`: how a coroutine is woken at a certain time.
//! * `bell.rs`: how uvloop is woken without a GIL.
//! * `raise_later.rs`: an exception that was raised where none can be.
//! * `watched.rs`: what reports, profiles and traces know of the coroutines that wait.
//! * `select.rs`: the wait for the first of several.
//! * `queue.rs`, `delay_queue.rs`, `lock.rs`, `semaphore.rs`, `limiter.rs`, `event.rs`, `future.rs`, `condition.rs`,
//!   `barrier.rs`, `rwlock.rs`, `channel.rs`, `broadcast.rs`, `watch.rs`: the views.
//!
//! A coroutine waits as a thread does, by an operation of `src/primitives/`; a `Pending` polls it instead of a sleeping
//! thread. What wakes it is an [`entry::Entry`]. This knows the inbox of the event loop, and asks the loop once to look
//! into the inbox, however many waits are woken until it does.

mod alarm;
mod barrier;
mod bell;
mod broadcast;
mod channel;
mod condition;
mod delay_queue;
mod entry;
mod event;
mod future;
mod held;
mod inbox;
mod library;
mod limiter;
mod lock;
mod operation;
mod queue;
mod raise_later;
mod rwlock;
mod select;
mod semaphore;
mod signal;
mod wait;
mod watch;
mod watched;

/// Installs the fast paths of the views; see [`fast_path`](crate::bindings::runtime::fast_path).
pub(crate) fn install_fast_paths(py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
    queue::install_fast_paths(py)?;
    lock::install_fast_paths(py)
}

pub(crate) use barrier::wait_at_barrier;
pub(crate) use broadcast::{AsyncBroadcast, AsyncSubscription};
pub(crate) use channel::AsyncChannel;
pub(crate) use condition::wait_notified;
pub(crate) use delay_queue::AsyncDelayQueue;
pub(crate) use event::AsyncEvent;
pub(crate) use future::AsyncFuture;
pub(crate) use limiter::AsyncLimiter;
pub(crate) use lock::AsyncLock;
pub(crate) use queue::{AsyncQueue, AsyncSimpleQueue};
pub(crate) use rwlock::{AsyncHold, AsyncRWLock};
pub(crate) use select::{refuse_files, select_async};
pub(crate) use semaphore::AsyncSemaphore;
pub(crate) use wait::Wait;
pub(crate) use watch::{AsyncWatch, AsyncWatchReader};
pub(crate) use watched::{show_all, waiting_coroutines};
