//! What the Rust tests and the models share: how an operation is driven.

use _oxthreads::primitives::deadline::{Deadline, Wait};
use _oxthreads::primitives::waiter::{Operation, Parked, Waiter, wait};

#[cfg(not(loom))]
pub(crate) use threads::*;

#[cfg(loom)]
pub(crate) use models::*;

/// Drives `operation` to its end or the deadline.
pub(crate) fn block<O: Operation>(mut operation: O, deadline: Deadline) -> Wait<O::Output> {
    wait(&mut operation, deadline, sleep)
}

/// Sleeps on where the parker only lets its owner look for signals, of which there are none here.
pub(crate) fn sleep(waiter: &Waiter, deadline: Deadline) -> Parked {
    loop {
        match waiter.park(deadline) {
            Parked::Interrupted => {}
            parked => return parked,
        }
    }
}

/// Drives `operation` to its end.
pub(crate) fn block_for_ever<O: Operation>(operation: O) -> O::Output {
    match block(operation, Deadline::NEVER) {
        Wait::Ready(output) => output,
        _ => unreachable!("no deadline, and no signal on these threads"),
    }
}

#[cfg(not(loom))]
mod threads {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Deadline, Operation, Wait, Waiter, sleep, wait};

    /// A deadline that is there to pass.
    pub(crate) fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(5))
    }

    /// Drives `operation` and counts in `parked` how often it is about to sleep, in the list.
    pub(crate) fn block_counting<O: Operation>(
        mut operation: O,
        parked: &AtomicUsize,
    ) -> O::Output {
        let suspend = |waiter: &Waiter, deadline| {
            parked.fetch_add(1, Ordering::SeqCst);
            sleep(waiter, deadline)
        };
        match wait(&mut operation, Deadline::NEVER, suspend) {
            Wait::Ready(output) => output,
            _ => unreachable!("no deadline, and no signal on these threads"),
        }
    }

    /// Returns once so many threads are in [`block_counting`]'s sleep, or have been.
    pub(crate) fn until_parked(parked: &AtomicUsize, count: usize) {
        spin_until(|| parked.load(Ordering::SeqCst) >= count);
    }

    /// Returns once `condition` is true, which must be soon.
    pub(crate) fn spin_until(condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < Duration::from_secs(30), "stuck");
            thread::yield_now();
        }
    }
}

#[cfg(loom)]
mod models {
    use super::{Deadline, Operation, Wait, block};

    /// Runs `program` in every interleaving of so few preemptions.
    pub(crate) fn model(program: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(program);
    }

    /// A wait that times out as soon as it would sleep.
    pub(crate) fn give_up<O: Operation>(operation: O) -> Option<O::Output> {
        match block(operation, Deadline::now()) {
            Wait::Ready(output) => Some(output),
            _ => None,
        }
    }
}
