//! Two threads, and how long they need together.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Runs `other` in a thread of its own and `own` in this one, and returns the time from when both
/// are ready until both have ended.
pub(crate) fn elapsed(own: impl FnOnce(), other: impl FnOnce() + Send) -> Duration {
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ready.wait();
            other();
        });
        ready.wait();
        let begin = Instant::now();
        own();
        thread.join().expect("the other thread panicked");
        begin.elapsed()
    })
}
