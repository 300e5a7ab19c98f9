//! Abandoned waits give back what they were given, while other threads wait for it or barge in.

use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::queue::{Order, Queue};
use _oxthreads::primitives::rlock::{Hold, RLock};
use _oxthreads::primitives::semaphore::Semaphore;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, Parked, drive};
use loom::sync::Arc;

use crate::spawn;
use crate::support::{block_for_ever, model};

/// Runs a wait that is abandoned as soon as it would sleep, because an exception is to be raised.
fn abandon<O: Operation>(mut operation: O) -> Option<O::Output> {
    match drive(&mut operation, Deadline::NEVER, |_, _| Parked::Raising) {
        Wait::Ready(output) => Some(output),
        Wait::Interrupted | Wait::TimedOut => None,
    }
}

#[test]
fn an_item_that_is_given_back_goes_to_the_next() {
    for order in [Order::Fifo, Order::Heap] {
        model(move || {
            let queue = Arc::new(Queue::ordered(order, 0));
            let killed = spawn(&queue, |queue| abandon(queue.get()));
            let next = spawn(&queue, |queue| block_for_ever(queue.get()));
            queue.try_put(1).unwrap();
            let passed_by = queue.try_get();
            if let Ok(item) = passed_by {
                queue.try_put(item).unwrap();
            }
            // The item may have come before it would have slept.
            if let Some(item) = killed.join().unwrap() {
                queue.try_put(item.unwrap()).unwrap();
            }
            assert_eq!(next.join().unwrap(), Ok(1));
            assert!(queue.is_empty());
        });
    }
}

#[test]
fn a_put_that_is_given_up_has_put_or_has_not() {
    for order in [Order::Fifo, Order::Heap] {
        model(move || {
            let queue = Arc::new(Queue::ordered(order, 1));
            queue.try_put(1).unwrap();
            let killed = spawn(&queue, |queue| abandon(queue.put(2)).is_some());
            let next = spawn(&queue, |queue| block_for_ever(queue.put(3)).unwrap());
            let mut got = vec![block_for_ever(queue.get()).unwrap()];
            got.push(block_for_ever(queue.get()).unwrap());
            if killed.join().unwrap() {
                got.push(block_for_ever(queue.get()).unwrap());
            }
            next.join().unwrap();
            got.sort_unstable();
            let has_put = got.len() == 3;
            assert_eq!(got, if has_put { vec![1, 2, 3] } else { vec![1, 3] });
            assert!(queue.is_empty());
            assert_eq!(queue.unfinished(), if has_put { 3 } else { 2 });
        });
    }
}

#[test]
fn a_permit_that_is_given_back_goes_to_the_next() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let killed = spawn(&semaphore, |semaphore| abandon(semaphore.acquire()));
        let next = spawn(&semaphore, |semaphore| block_for_ever(semaphore.acquire()));
        semaphore.release(1).unwrap();
        if semaphore.try_acquire().is_ok() {
            semaphore.release(1).unwrap();
        }
        if killed.join().unwrap().is_some() {
            semaphore.release(1).unwrap();
        }
        next.join().unwrap().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn a_lock_that_is_given_back_goes_to_the_next() {
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let killed = spawn(&lock, |lock| {
            if abandon(lock.acquire()).is_some() {
                lock.release().unwrap();
            }
        });
        let next = spawn(&lock, |lock| block_for_ever(lock.acquire()));
        lock.release().unwrap();
        if lock.try_acquire() {
            lock.release().unwrap();
        }
        killed.join().unwrap();
        next.join().unwrap();
        assert!(lock.is_locked());
        lock.release().unwrap();
        assert!(!lock.is_locked());
    });
}

#[test]
fn an_rlock_that_is_given_back_goes_to_the_next() {
    model(|| {
        let rlock = Arc::new(RLock::new());
        assert_eq!(rlock.try_acquire(1), Ok(true));
        let killed = spawn(&rlock, |rlock| {
            if abandon(rlock.acquire(Hold::once(2))).is_some() {
                rlock.release(2).unwrap();
            }
        });
        let next = spawn(&rlock, |rlock| block_for_ever(rlock.acquire(Hold::once(3))));
        rlock.release(1).unwrap();
        killed.join().unwrap();
        next.join().unwrap();
        assert!(rlock.is_owned_by(3));
    });
}

#[test]
fn a_notification_that_is_given_back_goes_to_the_next() {
    model(|| {
        let condition = Arc::new(Condition::new());
        let mut waiting = condition.wait();
        let next = spawn(&condition, |condition| block_for_ever(condition.wait()));
        while condition.is_empty() {
            loom::thread::yield_now();
        }
        // This waiter came first, so the notification is for it.
        let outcome = drive(&mut waiting, Deadline::NEVER, |_, _| {
            assert!(condition.notify_one());
            Parked::Raising
        });
        assert_eq!(outcome, Wait::Interrupted);
        next.join().unwrap().unwrap();
    });
}
