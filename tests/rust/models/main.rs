//! Every interleaving of small programs: `RUSTFLAGS="--cfg loom" cargo test --release
//! --no-default-features --test models`. A file for each primitive.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

mod barrier;
mod completion;
mod condition;
mod event;
mod future;
mod lock;
mod pool;
mod progress;
mod queue;
mod rlock;
mod semaphore;
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
    // SAFETY: the caller excludes all others, which is what loom checks here.
    count.with_mut(|count| unsafe { *count += 1 });
}
