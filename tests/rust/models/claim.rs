//! Waits for two objects that other threads complete at the same time.

use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::queue::Queue;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, drive};
use loom::sync::Arc;

use crate::spawn;
use crate::support::either::{Either, either, either_of};
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

fn get_either([first, second]: &[Queue<i32>; 2]) -> i32 {
    match either(first.get(), second.get(), Deadline::NEVER) {
        Some(Either::First(item) | Either::Second(item)) => item.unwrap(),
        None => unreachable!("no deadline"),
    }
}

#[test]
fn two_waits_for_the_same_two_queues_take_an_item_each() {
    model(|| {
        let queues = Arc::new([Queue::new(0), Queue::new(0)]);
        let takers = [spawn(&queues, get_either), spawn(&queues, get_either)];
        queues[0].try_put(1).unwrap();
        queues[1].try_put(2).unwrap();
        let mut taken = takers.map(|taker| taker.join().unwrap());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert!(queues.iter().all(Queue::is_empty));
    });
}

#[test]
fn a_plain_wait_beside_it_is_served() {
    model(|| {
        let queues = Arc::new([Queue::new(0), Queue::new(0)]);
        let taker = spawn(&queues, get_either);
        let plain = spawn(&queues, |[first, _]| block_for_ever(first.get()).unwrap());
        queues[0].try_put(1).unwrap();
        queues[1].try_put(2).unwrap();
        let taken = taker.join().unwrap();
        if taken == 1 {
            queues[0].try_put(3).unwrap();
        }
        assert_eq!(plain.join().unwrap(), if taken == 1 { 3 } else { 1 });
        assert_eq!(queues[1].is_empty(), taken == 2);
    });
}

#[test]
fn what_an_exception_ends_leaves_the_items_to_others() {
    model(|| {
        let queues = Arc::new([Queue::new(0), Queue::new(0)]);
        let taker = spawn(&queues, |[first, second]| {
            let mut select = either_of(first.get(), second.get());
            match drive(&mut select, Deadline::NEVER, |_, _| Parked::Raising) {
                Wait::Ready((_, Either::First(item))) => Some(item.unwrap()),
                Wait::Ready((_, Either::Second(_))) => unreachable!("it stays empty"),
                Wait::TimedOut | Wait::Interrupted => None,
            }
        });
        let plain = spawn(&queues, |[first, _]| block_for_ever(first.get()).unwrap());
        queues[0].try_put(1).unwrap();
        let taken = taker.join().unwrap();
        if taken.is_some() {
            queues[0].try_put(2).unwrap();
        }
        assert_eq!(plain.join().unwrap(), if taken.is_some() { 2 } else { 1 });
    });
}

#[test]
fn a_put_and_a_get_of_one_queue_are_never_paired() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_put(0).unwrap();
        // Either the item is taken, or another thread has taken it and there is room.
        let both = spawn(&queue, |queue| {
            match either(queue.put(1), queue.get(), Deadline::NEVER) {
                Some(Either::First(put)) => {
                    put.unwrap();
                    None
                }
                Some(Either::Second(item)) => Some(item.unwrap()),
                None => unreachable!("no deadline"),
            }
        });
        let taken = queue.try_get().ok();
        let got = both.join().unwrap();
        let left = queue.try_get().ok();
        match got {
            // It took what was there; the main thread found nothing.
            Some(item) => assert_eq!((item, taken, left), (0, None, None)),
            None => assert_eq!((taken, left), (Some(0), Some(1))),
        }
    });
}

#[test]
fn of_two_queues_one_item_is_taken() {
    model(|| {
        let queues = Arc::new([Queue::new(0), Queue::new(0)]);
        let taker = spawn(&queues, get_either);
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
