//! How the Rust tests and the models drive an operation.

use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, Parked, Waiter, drive};

#[cfg(loom)]
pub(crate) mod either;

#[cfg(not(loom))]
pub(crate) use threads::*;

#[cfg(loom)]
pub(crate) use models::*;

/// Drives `operation` until it is completed or the deadline passes.
pub(crate) fn block<O: Operation>(mut operation: O, deadline: Deadline) -> Wait<O::Output> {
    drive(&mut operation, deadline, sleep)
}

/// Parks, and sleeps on when the parker only lets its owner look for signals. There are none here.
pub(crate) fn sleep(waiter: &_oxthreads::wait::sync::Arc<Waiter>, deadline: Deadline) -> Parked {
    loop {
        match waiter.park(deadline) {
            Parked::Interrupted => {}
            parked => return parked,
        }
    }
}

/// Drives `operation` until it is completed.
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

    use super::{Deadline, Operation, Wait, Waiter, drive, sleep};

    /// A deadline that is short because the test expects it to pass.
    pub(crate) fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(5))
    }

    /// Drives `operation`, and counts in `parked` how often it is in its list and about to sleep.
    pub(crate) fn block_counting<O: Operation>(
        mut operation: O,
        parked: &AtomicUsize,
    ) -> O::Output {
        let suspend = |waiter: &_oxthreads::wait::sync::Arc<Waiter>, deadline| {
            parked.fetch_add(1, Ordering::SeqCst);
            sleep(waiter, deadline)
        };
        match drive(&mut operation, Deadline::NEVER, suspend) {
            Wait::Ready(output) => output,
            _ => unreachable!("no deadline, and no signal on these threads"),
        }
    }

    /// Returns once `parked` has reached `count`; see [`block_counting`].
    pub(crate) fn until_parked(parked: &AtomicUsize, count: usize) {
        spin_until(|| parked.load(Ordering::SeqCst) >= count);
    }

    /// Spins until `condition` is true, which must be soon.
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

    /// Runs `program` in every interleaving with this bound on preemptions.
    pub(crate) fn model(program: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(program);
    }

    /// Runs a wait that times out as soon as it would sleep.
    pub(crate) fn give_up<O: Operation>(operation: O) -> Option<O::Output> {
        match block(operation, Deadline::now()) {
            Wait::Ready(output) => Some(output),
            _ => None,
        }
    }
}
