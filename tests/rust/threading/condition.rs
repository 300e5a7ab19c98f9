use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, drive};

use crate::support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

/// Runs `body` with `count` waiting threads, in order: each one sleeps before the next one comes. Each
/// records when it is notified.
fn with_queue_of_waiters(
    condition: &Condition,
    count: usize,
    body: impl FnOnce(&dyn Fn() -> Vec<usize>),
) {
    let order = Mutex::new(Vec::new());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..count {
            let (order, parked) = (&order, &parked);
            scope.spawn(move || {
                assert_eq!(block_counting(condition.wait(), parked), Ok(()));
                order.lock().unwrap().push(number);
            });
            until_parked(parked, number + 1);
        }
        body(&|| order.lock().unwrap().clone());
    });
    assert_eq!(order.lock().unwrap().len(), count);
}

#[test]
fn a_condition_notifies_in_the_order_of_arrival() {
    let condition = Condition::new();
    with_queue_of_waiters(&condition, 4, |order| {
        for notified in 1..=4 {
            assert_eq!(condition.len(), 5 - notified);
            assert!(condition.notify_one());
            spin_until(|| order().len() == notified);
        }
        assert_eq!(order(), [0, 1, 2, 3]);
    });
    assert!(condition.is_empty());
}

#[test]
fn notify_all_wakes_those_who_wait_now() {
    let condition = Condition::new();
    with_queue_of_waiters(&condition, 4, |order| {
        condition.notify_all();
        assert!(condition.is_empty());
        spin_until(|| order().len() == 4);
    });
    condition.notify_all();
    assert_eq!(block(condition.wait(), soon()), Wait::TimedOut);
}

#[test]
fn a_notification_without_waiters_is_not_remembered() {
    let condition = Condition::new();
    assert!(!condition.notify_one());
    assert_eq!(block(condition.wait(), soon()), Wait::TimedOut);
    // The wait that timed out is not notified either.
    assert!(condition.is_empty() && !condition.notify_one());
}

#[test]
fn a_notification_that_crosses_a_time_out_counts() {
    for parked in [Parked::TimedOut, Parked::Interrupted] {
        let condition = Condition::new();
        let outcome = drive(&mut condition.wait(), Deadline::NEVER, |_, _| {
            assert!(condition.notify_one());
            parked
        });
        assert_eq!(outcome, Wait::Ready(Ok(())));
    }
}

#[test]
fn a_condition_that_falls_back_notifies_its_waiters_by_ticket() {
    let condition = Condition::new();
    with_queue_of_waiters(&condition, 3, |order| {
        let tickets = condition.fall_back().unwrap();
        assert_eq!(condition.fall_back(), None);
        assert!(condition.has_fallen_back());
        assert_eq!(block_for_ever(condition.wait()), Err(FellBack));
        for (turn, number) in [1, 0, 2].into_iter().enumerate() {
            assert!(condition.is_waiting(tickets[number]));
            assert!(condition.notify_waiter(tickets[number]));
            assert!(!condition.notify_waiter(tickets[number]));
            assert!(!condition.is_waiting(tickets[number]));
            spin_until(|| order().len() == turn + 1);
        }
        assert_eq!(order(), [1, 0, 2]);
    });
}

#[test]
fn a_wait_that_was_interrupted_stays_where_it_began() {
    let condition = Condition::new();
    let mut waiting = condition.wait();
    let ticket = waiting.ticket();
    let outcome = drive(&mut waiting, Deadline::NEVER, |_, _| {
        assert_eq!(condition.fall_back(), Some(vec![ticket]));
        Parked::Interrupted
    });
    assert_eq!(outcome, Wait::Interrupted);
    let outcome = drive(&mut waiting, Deadline::NEVER, |waiter, _| {
        assert!(condition.notify_waiter(ticket));
        waiter.park(Deadline::now())
    });
    assert_eq!(outcome, Wait::Ready(Ok(())));
}

#[test]
fn a_buffer_of_one_place_between_conditions_loses_nothing() {
    const ITEMS: usize = 2_000;
    let (lock, not_empty, not_full) = (Lock::new(), Condition::new(), Condition::new());
    let buffer = Mutex::new(VecDeque::new());
    let acquire = || {
        if !lock.try_acquire() {
            block_for_ever(lock.acquire());
        }
    };
    let sleep = |condition: &Condition| {
        let mut held = true;
        let outcome = drive(
            &mut condition.wait(),
            Deadline::NEVER,
            |waiter, deadline| {
                if std::mem::take(&mut held) {
                    lock.release().unwrap();
                }
                crate::support::sleep(waiter, deadline)
            },
        );
        assert_eq!(outcome, Wait::Ready(Ok(())));
        acquire();
    };
    let received = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for item in 0..ITEMS {
                    acquire();
                    while buffer.lock().unwrap().len() == 1 {
                        sleep(&not_full);
                    }
                    buffer.lock().unwrap().push_back(item);
                    not_empty.notify_one();
                    lock.release().unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..ITEMS {
                    acquire();
                    while buffer.lock().unwrap().is_empty() {
                        sleep(&not_empty);
                    }
                    let item = buffer.lock().unwrap().pop_front().unwrap();
                    received.fetch_add(item, Ordering::Relaxed);
                    not_full.notify_one();
                    lock.release().unwrap();
                }
            });
        }
    });
    assert_eq!(received.into_inner(), ITEMS * (ITEMS - 1));
}
