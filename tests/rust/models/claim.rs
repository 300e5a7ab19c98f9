//! Waits for two objects that other threads complete at the same time.

use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::queue::Queue;
use _oxthreads::wait::deadline::Deadline;
use loom::sync::Arc;

use crate::spawn;
use crate::support::either::{Either, either};
use crate::support::{block_for_ever, model};

struct Two {
    locks: [Lock; 2],
}

fn locked() -> Arc<Two> {
    let two = Two {
        locks: [Lock::new(), Lock::new()],
    };
    assert!(two.locks.iter().all(Lock::try_acquire));
    Arc::new(two)
}

fn take_either(two: &Two) -> usize {
    let [first, second] = &two.locks;
    match either(first.acquire(), second.acquire(), Deadline::NEVER) {
        Some(Either::First(())) => 0,
        Some(Either::Second(())) => 1,
        None => unreachable!("no deadline"),
    }
}

#[test]
fn of_two_locks_that_are_released_at_once_one_is_taken() {
    model(|| {
        let two = locked();
        let taker = spawn(&two, take_either);
        let releaser = spawn(&two, |two| two.locks[0].release().unwrap());
        two.locks[1].release().unwrap();
        releaser.join().unwrap();
        let taken = taker.join().unwrap();
        assert!(two.locks[taken].is_locked());
        assert!(!two.locks[1 - taken].is_locked());
    });
}

#[test]
fn a_wait_for_one_of_them_is_woken_all_the_same() {
    model(|| {
        let two = locked();
        let taker = spawn(&two, |two| {
            let taken = take_either(two);
            two.locks[taken].release().unwrap();
        });
        let plain = spawn(&two, |two| block_for_ever(two.locks[0].acquire()));
        two.locks[0].release().unwrap();
        plain.join().unwrap();
        two.locks[0].release().unwrap();
        taker.join().unwrap();
    });
}

#[test]
fn of_two_queues_one_item_is_taken() {
    model(|| {
        let queues = Arc::new([Queue::new(0), Queue::new(0)]);
        let taker = spawn(&queues, |[first, second]| {
            match either(first.get(), second.get(), Deadline::NEVER) {
                Some(Either::First(item) | Either::Second(item)) => item.unwrap(),
                None => unreachable!("no deadline"),
            }
        });
        let putter = spawn(&queues, |[first, _]| first.try_put(1).unwrap());
        queues[1].try_put(2).unwrap();
        putter.join().unwrap();
        let taken = taker.join().unwrap();
        let left: Vec<i32> = queues
            .iter()
            .filter_map(|queue| queue.try_get().ok())
            .collect();
        assert_eq!(left, [3 - taken]);
    });
}

#[test]
fn a_wait_for_two_whose_time_is_over_has_taken_nothing() {
    model(|| {
        let two = locked();
        let taker = spawn(&two, |two| {
            let [first, second] = &two.locks;
            either(first.acquire(), second.acquire(), Deadline::now()).map(|taken| {
                let taken = usize::from(taken == Either::Second(()));
                two.locks[taken].release().unwrap();
            })
        });
        two.locks[0].release().unwrap();
        two.locks[1].release().unwrap();
        taker.join().unwrap();
        assert!(two.locks.iter().all(Lock::try_acquire));
    });
}
