//! The primitives, used by threads.
#![cfg(not(loom))]

#[cfg(all(target_os = "linux", not(portable_parker)))]
use std::os::unix::thread::JoinHandleExt;
#[cfg(all(target_os = "linux", not(portable_parker)))]
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::future::{Future, Outcome, Refused, State};
use _oxthreads::primitives::lock::{Lock, NotLocked};
use _oxthreads::primitives::queue::{GetError, PutError, Queue, TaskDoneError};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::{Operation, Parked, Waiter, drive};
use support::{block, block_counting, block_for_ever, sleep, soon, spin_until, until_parked};

mod support;

#[test]
fn a_lock_excludes() {
    let lock = Lock::new();
    let inside = AtomicBool::new(false);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..5_000 {
                    if !lock.try_acquire() {
                        block_for_ever(lock.acquire());
                    }
                    assert!(!inside.swap(true, Ordering::SeqCst));
                    inside.store(false, Ordering::SeqCst);
                    lock.release().unwrap();
                }
            });
        }
    });
    assert!(!lock.is_locked());
    assert_eq!(lock.release(), Err(NotLocked));
}

#[test]
fn a_waiter_that_loses_is_handed_the_lock() {
    let lock = Lock::new();
    let got = AtomicBool::new(false);
    assert!(lock.try_acquire());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_counting(lock.acquire(), &parked);
            got.store(true, Ordering::SeqCst);
            lock.release().unwrap();
        });
        until_parked(&parked, 1);
        // The owner releases the lock and takes it again as fast as it can. Without the limit on barging, the
        // waiter would hardly ever find it free.
        spin_until(|| {
            lock.release().unwrap();
            while !lock.try_acquire() {
                if got.load(Ordering::SeqCst) {
                    return true;
                }
            }
            got.load(Ordering::SeqCst)
        });
    });
    assert!(got.load(Ordering::SeqCst));
}

#[test]
fn a_timed_out_acquire_leaves_no_trace() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    assert_eq!(block(lock.acquire(), soon()), Wait::TimedOut);
    lock.release().unwrap();
    assert!(lock.try_acquire());
    lock.release().unwrap();
}

#[test]
fn a_wake_that_crosses_a_time_out_is_not_lost() {
    // The sleep reports a time-out although the release has come: the waiter must own the lock.
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let outcome = drive(&mut lock.acquire(), Deadline::NEVER, |_, _| {
        lock.release().unwrap();
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::Ready(()));
    assert!(lock.is_locked());
}

/// Where the parker does not report signals, its owner must look for them.
#[cfg(portable_parker)]
#[test]
fn a_sleep_that_nobody_ends_ends_by_itself_now_and_then() {
    assert_eq!(Waiter::new().park(Deadline::NEVER), Parked::Interrupted);
}

/// Where the parker reports signals, its owner need not look for them, however long the sleep.
#[cfg(all(target_os = "linux", not(portable_parker)))]
#[test]
fn a_signal_ends_a_sleep_that_has_no_deadline() {
    extern "C" fn handle(_: libc::c_int) {}
    // SAFETY: all zeros is a valid value of this type. It means no flags, so the sleep is not restarted after
    // the handler, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does nothing, and no other test uses this signal.
    let status = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    assert_eq!(status, 0);
    let sleeper = thread::spawn(|| Waiter::new().park(Deadline::NEVER));
    // Send the signal again and again, because one that comes before the sleep does not end it.
    spin_until(|| {
        // SAFETY: the thread exists until it is joined, if only for its status.
        let status = unsafe { libc::pthread_kill(sleeper.as_pthread_t(), libc::SIGUSR1) };
        assert_eq!(status, 0);
        sleeper.is_finished()
    });
    assert_eq!(sleeper.join().unwrap(), Parked::Interrupted);
}

#[test]
fn an_interrupted_wait_keeps_its_place() {
    let queue = Queue::<u32>::new(0);
    let order = std::sync::Mutex::new(Vec::new());
    let parked = AtomicUsize::new(0);
    let resume = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut get = queue.get();
            let mut interrupted = false;
            let outcome = loop {
                let suspend = |waiter: &_oxthreads::wait::sync::Arc<Waiter>, deadline| {
                    parked.fetch_add(1, Ordering::SeqCst);
                    if interrupted {
                        return sleep(waiter, deadline);
                    }
                    interrupted = true;
                    spin_until(|| resume.load(Ordering::SeqCst));
                    Parked::Interrupted
                };
                match drive(&mut get, Deadline::NEVER, suspend) {
                    Wait::Ready(output) => break output,
                    Wait::Interrupted => {}
                    Wait::TimedOut => unreachable!(),
                }
            };
            order.lock().unwrap().push(("first", outcome));
        });
        until_parked(&parked, 1);
        scope.spawn(|| {
            let outcome = block_counting(queue.get(), &parked);
            order.lock().unwrap().push(("second", outcome));
        });
        until_parked(&parked, 2);
        resume.store(true, Ordering::SeqCst);
        until_parked(&parked, 3);
        queue.try_put(1).unwrap();
        spin_until(|| order.lock().unwrap().len() == 1);
        queue.try_put(2).unwrap();
    });
    assert_eq!(
        *order.lock().unwrap(),
        [("first", Ok(1)), ("second", Ok(2))]
    );
}

#[test]
fn an_event_completes_those_who_wait_even_if_cleared_at_once() {
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(block_counting(event.wait(), &parked), Ok(())));
        }
        until_parked(&parked, 4);
        event.set().unwrap();
        event.clear().unwrap();
    });
    assert!(!event.is_set());
    assert_eq!(block(event.wait(), soon()), Wait::TimedOut);
}

#[test]
fn an_event_that_falls_back_completes_present_waits_and_refuses_new_ones() {
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(block_counting(event.wait(), &parked), Ok(())));
        until_parked(&parked, 1);
        assert_eq!(event.fall_back(), Some(false));
        assert_eq!(event.fall_back(), None);
        assert_eq!(block_for_ever(event.wait()), Err(FellBack));
        assert_eq!(event.set(), Err(FellBack));
        assert_eq!(event.clear(), Err(FellBack));
        assert_eq!(event.state(), Err(FellBack));
        event.complete_former_waits();
    });
    assert!(!event.is_set());
    let set = Event::new();
    set.set().unwrap();
    assert_eq!(set.fall_back(), Some(true));
    assert_eq!(set.state(), Err(FellBack));
}

#[test]
fn an_interrupted_wait_learns_of_a_set_that_was_cleared_meanwhile() {
    let event = Event::new();
    let mut waiting = event.wait();
    let interrupted = drive(&mut waiting, Deadline::NEVER, |_, _| Parked::Interrupted);
    assert_eq!(interrupted, Wait::Interrupted);
    event.set().unwrap();
    event.clear().unwrap();
    assert_eq!(
        drive(&mut waiting, soon(), |waiter, deadline| waiter
            .park(deadline)),
        Wait::Ready(Ok(()))
    );
}

/// Drives the operation to its end, and calls `step` with the number of the sleep instead of sleeping.
fn block_with<O: Operation>(operation: &mut O, mut step: impl FnMut(usize)) -> O::Output {
    let mut waits = 0;
    let outcome = drive(operation, Deadline::NEVER, |_, _| {
        waits += 1;
        step(waits);
        Parked::Unparked
    });
    match outcome {
        Wait::Ready(output) => output,
        _ => unreachable!("no deadline, no signal"),
    }
}

#[test]
fn a_queue_conserves_items_and_the_order_of_each_producer() {
    const PRODUCERS: usize = 4;
    const ITEMS: usize = 3_000;
    let queue = Queue::new(3);
    let barrier = Barrier::new(2 * PRODUCERS);
    let received: Vec<(usize, usize)> = thread::scope(|scope| {
        let (queue, barrier) = (&queue, &barrier);
        for producer in 0..PRODUCERS {
            scope.spawn(move || {
                barrier.wait();
                for item in 0..ITEMS {
                    block_for_ever(queue.put((producer, item))).unwrap();
                    assert!(queue.len() <= 3);
                }
            });
        }
        let consumers: Vec<_> = (0..PRODUCERS)
            .map(|_| {
                scope.spawn(move || {
                    barrier.wait();
                    let mut mine = Vec::new();
                    for _ in 0..ITEMS {
                        mine.push(block_for_ever(queue.get()).unwrap());
                        queue.task_done().unwrap();
                    }
                    let mut last = [None; PRODUCERS];
                    for &(producer, item) in &mine {
                        assert!(last[producer] < Some(item), "out of order");
                        last[producer] = Some(item);
                    }
                    mine
                })
            })
            .collect();
        assert_eq!(block_for_ever(queue.join()), Ok(()));
        consumers
            .into_iter()
            .flat_map(|consumer| consumer.join().unwrap())
            .collect()
    });
    let mut received = received;
    received.sort_unstable();
    let expected: Vec<_> = (0..PRODUCERS)
        .flat_map(|producer| (0..ITEMS).map(move |item| (producer, item)))
        .collect();
    assert_eq!(received, expected);
    assert_eq!(queue.task_done(), Err(TaskDoneError::TooMany));
}

#[test]
fn an_item_that_is_put_while_a_get_waits_may_go_to_another_thread() {
    let queue = Queue::new(0);
    let outcome = block_with(&mut queue.get(), |wait| {
        if wait == 1 {
            queue.try_put('a').unwrap();
            assert_eq!(queue.len(), 1);
            assert_eq!(queue.try_get(), Ok('a'));
        } else {
            queue.try_put('b').unwrap();
        }
    });
    assert_eq!(outcome, Ok('b'));
}

#[test]
fn a_get_that_has_lost_an_item_and_waited_is_handed_the_next() {
    let queue = Queue::new(2);
    let outcome = block_with(&mut queue.get(), |wait| {
        queue.try_put('a').unwrap();
        if wait == 1 {
            assert_eq!(queue.try_get(), Ok('a'));
            thread::sleep(HAND_OFF_AFTER);
        } else {
            assert_eq!((queue.len(), queue.is_empty()), (0, true));
            assert_eq!(queue.try_get(), Err(GetError::Empty));
            assert_eq!(queue.get_fast(), None);
            // There is free room beside the handed item.
            queue.try_put('b').unwrap();
            assert!(queue.is_full());
            assert_eq!(queue.try_put('c'), Err(PutError::Full('c')));
        }
    });
    assert_eq!(outcome, Ok('a'));
    assert_eq!((queue.try_get(), queue.len()), (Ok('b'), 0));
}

#[test]
fn a_get_that_has_abandoned_its_chance_and_waited_is_handed_the_next_item() {
    let queue = Queue::new(0);
    let mut get = queue.get();
    let outcome = drive(&mut get, Deadline::NEVER, |_, _| {
        queue.try_put('a').unwrap();
        assert_eq!(queue.try_get(), Ok('a'));
        thread::sleep(HAND_OFF_AFTER);
        Parked::Raising
    });
    assert!(matches!(outcome, Wait::Interrupted));
    let outcome = block_with(&mut get, |_| {
        queue.try_put('b').unwrap();
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
    assert_eq!(outcome, Ok('b'));
}

#[test]
fn a_put_that_has_abandoned_its_chance_and_waited_is_handed_the_next_room() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let mut put = queue.put(2);
    let outcome = drive(&mut put, Deadline::NEVER, |_, _| {
        assert_eq!(queue.try_get(), Ok(1));
        queue.try_put(1).unwrap();
        thread::sleep(HAND_OFF_AFTER);
        Parked::Raising
    });
    assert!(matches!(outcome, Wait::Interrupted));
    let outcome = block_with(&mut put, |_| {
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    });
    assert_eq!(outcome, Ok(()));
    assert_eq!(queue.try_get(), Ok(2));
}

#[test]
fn a_put_that_has_lost_the_room_and_waited_is_handed_the_next() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let outcome = block_with(&mut queue.put(2), |wait| {
        assert_eq!(queue.try_get(), Ok(1));
        if wait == 1 {
            queue.try_put(1).unwrap();
            thread::sleep(HAND_OFF_AFTER);
        } else {
            assert!(queue.is_full());
            assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
            assert_eq!(queue.put_fast(3), Err(3));
        }
    });
    assert_eq!(outcome, Ok(()));
    assert_eq!((queue.try_get(), queue.len()), (Ok(2), 0));
}

#[test]
fn a_put_wakes_one_waiter_and_the_next_only_once_that_has_looked() {
    let queue = Queue::new(0);
    let waiters = [Waiter::new(), Waiter::new(), Waiter::new()];
    let mut getters = [queue.get(), queue.get(), queue.get()];
    for (getter, waiter) in getters.iter_mut().zip(&waiters) {
        assert_eq!(getter.attempt(waiter), None);
    }
    let woken = || waiters.each_ref().map(|waiter| waiter.is_notified());
    for number in 1..=4 {
        queue.put_fast(number).unwrap();
        assert_eq!(woken(), [true, false, false]);
    }
    assert_eq!(getters[0].leave(Parked::Unparked), Some(Ok(1)));
    assert_eq!(woken(), [true, true, false]);
    // By then two items are gone, and the third getter is needed for the last one.
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(getters[1].leave(Parked::TimedOut), Some(Ok(3)));
    assert_eq!(woken(), [true, true, true]);
    assert_eq!(getters[2].leave(Parked::Interrupted), Some(Ok(4)));
}

#[test]
fn a_get_wakes_one_putter_and_the_next_only_once_that_has_looked() {
    let queue = Queue::new(2);
    assert_eq!((queue.try_put(1), queue.try_put(2)), (Ok(()), Ok(())));
    let waiters = [Waiter::new(), Waiter::new()];
    let mut putters = [queue.put(3), queue.put(4)];
    for (putter, waiter) in putters.iter_mut().zip(&waiters) {
        assert_eq!(putter.attempt(waiter), None);
    }
    let woken = || waiters.each_ref().map(|waiter| waiter.is_notified());
    for number in 1..=2 {
        assert_eq!(queue.get_fast(), Some(number));
        assert_eq!(woken(), [true, false]);
    }
    assert_eq!(putters[0].leave(Parked::Unparked), Some(Ok(())));
    assert_eq!(woken(), [true, true]);
    assert_eq!(putters[1].leave(Parked::Unparked), Some(Ok(())));
    assert_eq!((queue.try_get(), queue.try_get()), (Ok(3), Ok(4)));
}

#[test]
fn a_put_that_times_out_stores_nothing_and_gives_the_item_back() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    assert_eq!(queue.try_put(2), Err(PutError::Full(2)));
    let mut put = queue.put(3);
    assert_eq!(
        drive(&mut put, soon(), |waiter, deadline| waiter.park(deadline)),
        Wait::TimedOut
    );
    assert_eq!(put.into_item(), Some(3));
    assert_eq!(queue.try_get(), Ok(1));
    assert_eq!(queue.try_get(), Err(GetError::Empty));
}

#[test]
fn a_greater_capacity_lets_waiting_putters_in() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| block_counting(queue.put(2), &parked).unwrap());
        until_parked(&parked, 1);
        queue.set_capacity(2).unwrap();
    });
    assert_eq!((queue.try_get(), queue.try_get()), (Ok(1), Ok(2)));
}

#[test]
fn shutdown_wakes_everybody_with_the_right_outcome() {
    let queue = Queue::new(1);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(
                block_counting(queue.get(), &parked),
                Err(GetError::ShutDown)
            );
        });
        until_parked(&parked, 1);
        assert_eq!(queue.shut_down(false), Ok([].into()));
    });
    assert_eq!(queue.try_put(1), Err(PutError::ShutDown(1)));

    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(
                block_counting(queue.put(2), &parked),
                Err(PutError::ShutDown(2))
            );
        });
        scope.spawn(|| assert_eq!(block_counting(queue.join(), &parked), Ok(())));
        until_parked(&parked, 2);
        assert_eq!(queue.shut_down(true), Ok([1].into()));
    });
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn a_shutdown_ends_a_get_if_all_items_are_handed_to_others() {
    let queue = Queue::new(0);
    // The first getter is handed the only item, and does not run until the second one has looked.
    let outcome = block_with(&mut queue.get(), |wait| {
        queue.try_put(1).unwrap();
        if wait == 1 {
            assert_eq!(queue.try_get(), Ok(1));
            thread::sleep(HAND_OFF_AFTER);
            return;
        }
        assert_eq!(queue.shut_down(false), Ok([].into()));
        assert_eq!(
            block(queue.get(), soon()),
            Wait::Ready(Err(GetError::ShutDown))
        );
    });
    assert_eq!(outcome, Ok(1));
}

#[test]
fn a_shutdown_lets_no_waiting_putter_in() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let mut put = queue.put(2);
    let outcome = drive(&mut put, Deadline::NEVER, |_, _| {
        assert_eq!(queue.shut_down(false), Ok([].into()));
        assert_eq!(queue.try_get(), Ok(1));
        Parked::Unparked
    });
    assert_eq!(outcome, Wait::Ready(Err(PutError::ShutDown(2))));
    assert!(queue.is_empty());
}

#[test]
fn a_queue_that_falls_back_takes_no_item_from_a_waiting_putter() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let mut put = queue.put(2);
    let outcome = drive(&mut put, Deadline::NEVER, |_, _| {
        assert_eq!(queue.fall_back(), Some([1].into()));
        assert_eq!(queue.set_capacity(5), Err(FellBack));
        Parked::Unparked
    });
    assert_eq!(outcome, Wait::Ready(Err(PutError::FellBack(2))));
}

#[test]
fn a_queue_that_falls_back_returns_its_items_and_refuses_its_waiters() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(
                block_counting(queue.put(2), &parked),
                Err(PutError::FellBack(2))
            );
        });
        scope.spawn(|| assert_eq!(block_counting(queue.join(), &parked), Err(FellBack)));
        until_parked(&parked, 2);
        assert_eq!(queue.fall_back(), Some([1].into()));
        assert_eq!(queue.fall_back(), None);
    });
    assert_eq!(queue.try_get(), Err(GetError::FellBack));
    assert_eq!(queue.task_done(), Err(TaskDoneError::FellBack));
    assert_eq!(queue.shut_down(true), Err(FellBack));
}

#[test]
fn a_future_is_set_once() {
    let future = Future::<_, ()>::new();
    assert_eq!(future.begin(), Ok(true));
    assert_eq!(future.begin(), Err(Refused::State(State::Running)));
    assert_eq!(future.cancel(), Err(Refused::State(State::Running)));
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            until_parked(&parked, 1);
            assert!(future.finish(Outcome::Value(1)).is_ok());
        });
        assert_eq!(block_counting(future.wait(), &parked), Ok(()));
    });
    assert!(matches!(
        future.finish(Outcome::Error(2)),
        Err((Refused::State(State::Finished), Outcome::Error(2)))
    ));
    assert_eq!(future.with(|record| record.value), Some(1));
}

#[test]
fn a_cancelled_future_cannot_begin_and_reports_its_callbacks_once() {
    let future = Future::<(), _>::new();
    future.with(|record| record.callbacks.push('a'));
    assert_eq!(future.cancel(), Ok(true));
    assert_eq!(future.cancel(), Ok(false));
    assert_eq!(future.with(|record| record.callbacks.clone()), ['a']);
    assert_eq!(block_for_ever(future.wait()), Ok(()));
    assert_eq!(future.begin(), Ok(false));
    assert_eq!(
        future.begin(),
        Err(Refused::State(State::CancelledAndNotified))
    );
}
