//! Every interleaving of small programs, one file for each primitive. Run with `RUSTFLAGS="--cfg loom" cargo
//! test --release --no-default-features --test models`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

mod abandon;
mod barrier;
mod channel;
mod claim;
mod completion;
mod condition;
mod event;
mod future;
mod lock;
mod pool;
mod progress;
mod queue;
mod rlock;
mod rwlock;
mod scope;
mod semaphore;
mod single_run;
#[path = "../support/mod.rs"]
mod support;

pub(crate) fn spawn<S: 'static, T: 'static>(
    shared: &Arc<S>,
    work: impl FnOnce(&S) -> T + 'static,
) -> thread::JoinHandle<T> {
    let shared = Arc::clone(shared);
    thread::spawn(move || work(&shared))
}

pub(crate) fn increment(count: &UnsafeCell<usize>) {
    // SAFETY: the caller excludes all other threads, and loom checks that here.
    count.with_mut(|count| unsafe { *count += 1 });
}
