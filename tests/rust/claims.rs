//! Waits for two objects by several threads at once.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::lock::{self, Lock};
use _oxthreads::primitives::queue::{Get, Queue};
use _oxthreads::primitives::semaphore::Semaphore;
use _oxthreads::wait::deadline::Deadline;
use _oxthreads::wait::{Arm, Claim, Pending, Slot, Ticket, Waiter, WaiterList, Wake};

#[path = "support/either.rs"]
mod either;
mod support;

use either::{Either, either};
use support::{block_counting, block_for_ever, sleep, soon, spin_until, until_parked};

const ITEMS: usize = 2_000;

#[test]
fn each_item_of_two_queues_is_taken_once() {
    let queues = Arc::new([Queue::new(0), Queue::new(3)]);
    let takers: Vec<_> = (0..3)
        .map(|_| {
            let queues = Arc::clone(&queues);
            thread::spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let [first, second] = &*queues;
                    let found = either(first.get(), second.get(), Deadline::NEVER);
                    let Some(Either::First(item) | Either::Second(item)) = found else {
                        unreachable!("no deadline")
                    };
                    match item.unwrap() {
                        usize::MAX => return taken,
                        item => taken.push(item),
                    }
                }
            })
        })
        .collect();
    let putters: Vec<_> = (0..2)
        .map(|number| {
            let queues = Arc::clone(&queues);
            thread::spawn(move || {
                for item in (number..ITEMS).step_by(2) {
                    block_for_ever(queues[number].put(item)).unwrap();
                }
            })
        })
        .collect();
    for putter in putters {
        putter.join().unwrap();
    }
    for _ in &takers {
        block_for_ever(queues[0].put(usize::MAX)).unwrap();
    }
    let mut taken: Vec<usize> = Vec::new();
    for taker in takers {
        taken.extend(taker.join().unwrap());
    }
    // What a taker left for those that had ended before.
    taken.extend(std::iter::from_fn(|| queues[1].try_get().ok()));
    taken.sort_unstable();
    assert_eq!(taken, (0..ITEMS).collect::<Vec<_>>());
    assert!(queues.iter().all(Queue::is_empty));
}

#[test]
fn a_wait_for_two_that_times_out_takes_no_permit() {
    let semaphores = [Semaphore::new(0), Semaphore::new(0)];
    assert!(either(semaphores[0].acquire(), semaphores[1].acquire(), soon()).is_none());
    for semaphore in &semaphores {
        semaphore.release(1).unwrap();
        assert_eq!(semaphore.permits(), 1);
    }
}

#[test]
fn an_arm_that_cannot_be_claimed_is_passed_over_and_stays() {
    let waiter = Waiter::new();
    let claim = _oxthreads::wait::sync::Arc::new(Claim::new());
    let arm = Waiter::of(Arm::new(&claim, Slot(0), &waiter));
    let mut list = WaiterList::new();
    let tickets = [Ticket::next(), Ticket::next()];
    list.join(tickets[0], &arm, "arm");
    list.join(tickets[1], &waiter, "thread");
    assert_eq!(claim.close(), None);
    assert_eq!(list.take(tickets[0]).map(|(_, name)| name), None);
    assert_eq!(list.pop().map(|(_, name)| name), Some("thread"));
    assert!(list.pop().is_none());
    assert!(list.pop_last().is_none());
    assert!(list.take_first(|_| true).is_none());
    assert_eq!(list.len(), 1);
    // Another time.
    claim.reopen();
    assert_eq!(list.pop_last().map(|(_, name)| name), Some("arm"));
    assert_eq!(claim.taken(), Some(Slot(0)));
    assert!(!claim.take(Slot(1)));
    assert!(list.is_empty());
}

/// Counts how often it was called.
struct Counting(Arc<AtomicUsize>);

impl Wake for Counting {
    fn claim(&self) -> bool {
        true
    }

    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_wait_without_a_thread_is_polled_when_it_was_woken() {
    let calls = Arc::new(AtomicUsize::new(0));
    let queue = Arc::new(Queue::new(0));
    let mut pending = Pending::new(Get::new(Arc::clone(&queue)), Counting(Arc::clone(&calls)));
    assert_eq!(pending.poll(), None);
    assert_eq!(pending.poll(), None);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    // In another thread, to which it was moved.
    let waiting = thread::spawn(move || {
        spin_until(|| calls.load(Ordering::SeqCst) == 1);
        pending.poll()
    });
    queue.try_put(1).unwrap();
    assert_eq!(waiting.join().unwrap(), Some(Ok(1)));
}

#[test]
fn a_wait_that_is_dropped_gives_back_what_it_was_given() {
    let queue = Arc::new(Queue::new(0));
    let lock = Arc::new(Lock::new());
    assert!(lock.try_acquire());
    let calls = Arc::new(AtomicUsize::new(0));
    let mut get = Pending::new(Get::new(Arc::clone(&queue)), Counting(Arc::clone(&calls)));
    let mut acquire = Pending::new(lock::Acquire::new(Arc::clone(&lock)), Counting(calls));
    assert!(get.poll().is_none());
    assert!(acquire.poll().is_none());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let next = scope.spawn(|| {
            block_counting(queue.get(), &parked).unwrap();
            block_counting(lock.acquire(), &parked);
        });
        until_parked(&parked, 1);
        queue.try_put(1).unwrap();
        drop(get);
        until_parked(&parked, 2);
        lock.release().unwrap();
        drop(acquire);
        next.join().unwrap();
    });
    assert!(lock.is_locked());
    assert!(queue.is_empty());
}

#[test]
fn a_wait_whose_time_is_over_has_its_output_or_nothing() {
    let queue = Arc::new(Queue::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    let pending = || {
        let mut pending = Pending::new(Get::new(Arc::clone(&queue)), Counting(Arc::clone(&calls)));
        assert!(pending.poll().is_none());
        pending
    };
    assert_eq!(pending().expire(), None);
    let late = pending();
    queue.try_put(1).unwrap();
    assert_eq!(late.expire(), Some(Ok(1)));
}
