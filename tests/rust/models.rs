//! Every interleaving of small programs: `RUSTFLAGS="--cfg loom" cargo test --release
//! --no-default-features --test models`.
#![cfg(loom)]

use _oxthreads::primitives::deadline::{Deadline, Wait};
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::future::{Future, Outcome};
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::queue::Queue;
use _oxthreads::primitives::waiter::{Operation, Waiter, wait};
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

fn model(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(program);
}

fn block<O: Operation>(mut operation: O) -> O::Output {
    match wait(&mut operation, Deadline::NEVER, Waiter::park) {
        Wait::Ready(output) => output,
        _ => unreachable!(),
    }
}

/// A wait that times out as soon as it would sleep.
fn give_up<O: Operation>(mut operation: O) -> Option<O::Output> {
    match wait(
        &mut operation,
        Deadline::after(Duration::ZERO),
        Waiter::park,
    ) {
        Wait::Ready(output) => Some(output),
        _ => None,
    }
}

#[test]
fn a_lock_has_one_owner_and_no_lost_wake_up() {
    model(|| {
        let shared = Arc::new((Lock::new(), loom::cell::UnsafeCell::new(0)));
        let work = |shared: &(Lock, loom::cell::UnsafeCell<i32>)| {
            if !shared.0.try_acquire() {
                block(shared.0.acquire());
            }
            // SAFETY: the lock is held, which is what loom checks here.
            shared.1.with_mut(|count| unsafe { *count += 1 });
            shared.0.release().unwrap();
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || work(&shared))
            })
            .collect();
        work(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn an_acquire_that_gives_up_passes_the_wake_on() {
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let hasty = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                if give_up(lock.acquire()).is_some() {
                    lock.release().unwrap();
                }
            })
        };
        let patient = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                block(lock.acquire());
                lock.release().unwrap();
            })
        };
        lock.release().unwrap();
        hasty.join().unwrap();
        patient.join().unwrap();
        assert!(lock.try_acquire());
    });
}

#[test]
fn an_event_wakes_all() {
    model(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let event = Arc::clone(&event);
                thread::spawn(move || assert_eq!(block(event.wait()), Ok(())))
            })
            .collect();
        event.set().unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn an_event_that_is_set_while_it_is_retired_is_not_waited_for_elsewhere_in_vain() {
    model(|| {
        let event = Arc::new(Event::new());
        let setter = {
            let event = Arc::clone(&event);
            thread::spawn(move || event.set())
        };
        event.retire();
        // Those who come now wait elsewhere, if they have to: the setter wakes them there.
        let has_to_wait = !event.is_set();
        assert_eq!(has_to_wait, setter.join().unwrap().is_err());
    });
}

#[test]
fn a_queue_of_one_place_loses_nothing() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                block(queue.put(1)).unwrap();
                block(queue.put(2)).unwrap();
            })
        };
        assert_eq!(block(queue.get()), Ok(1));
        assert_eq!(block(queue.get()), Ok(2));
        producer.join().unwrap();
    });
}

#[test]
fn a_get_that_gives_up_takes_nothing_from_another() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let hasty = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || give_up(queue.get()))
        };
        queue.try_put(1).unwrap();
        let first = hasty.join().unwrap();
        match first {
            Some(item) => assert_eq!(item, Ok(1)),
            None => assert_eq!(queue.try_get(), Ok(1)),
        }
        assert!(queue.try_get().is_err());
    });
}

#[test]
fn a_future_is_cancelled_or_begun() {
    model(|| {
        let future = Arc::new(Future::<i32, ()>::new());
        let worker = {
            let future = Arc::clone(&future);
            thread::spawn(move || {
                let begun = future.begin().unwrap();
                if begun {
                    assert!(future.finish(Outcome::Value(1)).is_ok());
                }
                begun
            })
        };
        let cancelled = future.cancel().is_ok();
        assert_eq!(block(future.wait()), Ok(()));
        assert_eq!(worker.join().unwrap(), !cancelled);
    });
}
