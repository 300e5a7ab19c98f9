//! Scopes that are cancelled and changed while threads wait inside.

use std::time::Duration;

use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::semaphore::Semaphore;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::scope::{Registration, Scope};
use _oxthreads::wait::{Operation, Parked, drive};
use loom::sync::Arc;
use loom::thread;

/// Waits inside the scope, as the bindings do. `None`: the scope was cancelled. `asleep` is called once, before the sleep.
fn wait_in<O: Operation>(
    scope: &Arc<Scope>,
    mut operation: O,
    asleep: impl FnOnce(),
) -> Option<O::Output> {
    let mut asleep = Some(asleep);
    let waited = drive(&mut operation, Deadline::NEVER, |waiter, deadline| {
        if let Some(asleep) = asleep.take() {
            asleep();
        }
        let registration = Registration::new(scope, waiter);
        if !Scope::look(scope).cancelled.is_empty() {
            return Parked::TimedOut;
        }
        let parked = waiter.park(deadline);
        drop(registration);
        parked
    });
    match waited {
        Wait::Ready(output) => Some(output),
        Wait::TimedOut => None,
        Wait::Interrupted => unreachable!(),
    }
}

fn scope() -> Arc<Scope> {
    Scope::new(Deadline::NEVER, false, Duration::ZERO)
}

/// All interleavings with at most two switches of a thread that could go on.
fn model(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(program);
}

#[test]
fn no_sleep_misses_a_cancellation() {
    model(|| {
        let (scope, event) = (scope(), Event::new());
        let canceller = thread::spawn({
            let scope = Arc::clone(&scope);
            move || scope.cancel()
        });
        assert!(wait_in(&scope, event.wait(), || ()).is_none());
        assert!(canceller.join().unwrap());
    });
}

#[test]
fn threads_that_are_woken_wake_the_others() {
    model(|| {
        let (scope, event) = (scope(), Arc::new(Event::new()));
        let other = thread::spawn({
            let (scope, event) = (Arc::clone(&scope), Arc::clone(&event));
            move || wait_in(&scope, event.wait(), || ()).is_none()
        });
        let canceller = thread::spawn({
            let scope = Arc::clone(&scope);
            move || scope.cancel()
        });
        assert!(wait_in(&scope, event.wait(), || ()).is_none());
        assert!(other.join().unwrap());
        canceller.join().unwrap();
    });
}

#[test]
fn a_permit_that_comes_with_the_cancellation_is_not_lost() {
    model(|| {
        let (scope, semaphore) = (scope(), Arc::new(Semaphore::new(0)));
        let canceller = thread::spawn({
            let scope = Arc::clone(&scope);
            move || scope.cancel()
        });
        let releaser = thread::spawn({
            let semaphore = Arc::clone(&semaphore);
            move || semaphore.release(1).is_ok()
        });
        let acquired = wait_in(&scope, semaphore.acquire(), || ()).is_some();
        canceller.join().unwrap();
        assert!(releaser.join().unwrap());
        assert_ne!(acquired, semaphore.try_acquire().is_ok());
    });
}

#[test]
fn a_thread_that_looks_again_misses_no_notification() {
    model(|| {
        let (scope, condition) = (scope(), Arc::new(Condition::new()));
        let mut others = Vec::new();
        let notified = wait_in(&scope, condition.wait(), || {
            let changed = Arc::clone(&scope);
            others.push(thread::spawn(move || changed.set_shield(true)));
            let condition = Arc::clone(&condition);
            others.push(thread::spawn(move || assert!(condition.notify_one())));
        });
        assert!(matches!(notified, Some(Ok(()))));
        for other in others {
            other.join().unwrap();
        }
    });
}
