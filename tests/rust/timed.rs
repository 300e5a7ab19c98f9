//! Waits that end by the clock: a limiter, and a queue whose items have times.
// With Python, the leaf lock is the GIL, which no thread holds here.
#![cfg(all(not(loom), not(feature = "python")))]

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::primitives::delay_queue::{self, DelayQueue, GetError};
use _oxthreads::primitives::limiter::{Limiter, Pace};
use _oxthreads::primitives::queue::{Order, Queue};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{AnyOperation, Converted, Operation, Select, drive};

/// So slow that nothing gets through during a test.
const SLOW: f64 = 1e-6;

fn limiter(rate: f64, burst: u64) -> Limiter {
    let per = 1.0;
    Limiter::new(Pace { rate, per, burst })
}

fn wait<O: Operation>(mut operation: O, deadline: Deadline) -> Option<O::Output> {
    loop {
        match drive(&mut operation, deadline, |waiter, deadline| {
            waiter.park(deadline)
        }) {
            Wait::Ready(output) => return Some(output),
            Wait::TimedOut => return None,
            // No signal is sent to these threads; but not every parker can tell.
            Wait::Interrupted => {}
        }
    }
}

fn block<O: Operation>(operation: O) -> O::Output {
    wait(operation, Deadline::NEVER).expect("no deadline")
}

fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn a_limiter_keeps_the_pace_after_a_burst() {
    let (limiter, begun) = (limiter(200.0, 3), Instant::now());
    for _ in 0..9 {
        block(limiter.acquire(1));
    }
    assert!(begun.elapsed() >= Duration::from_millis(30));
    assert!(!limiter.try_acquire(3));
}

#[test]
fn acquisitions_are_made_in_the_order_of_arrival() {
    let limiter = limiter(SLOW, 4);
    assert!(limiter.try_acquire(4));
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (number, amount) in [4, 1, 2, 1].into_iter().enumerate() {
            let (limiter, order) = (&limiter, &order);
            scope.spawn(move || {
                block(limiter.acquire(amount));
                order.lock().unwrap().push(number);
            });
            spin_until(|| limiter.waiting() == number + 1);
        }
        assert!(!limiter.try_acquire(1));
        limiter.set_pace(|pace| pace.rate = 500.0).unwrap();
    });
    let order = order.into_inner().unwrap();
    assert_eq!(order.len(), 4);
    assert_eq!(order[0], 0);
}

#[test]
fn who_gives_up_calls_the_next() {
    let limiter = limiter(20.0, 10);
    assert!(limiter.try_acquire(10));
    thread::scope(|scope| {
        let large = scope.spawn(|| {
            let soon = Deadline::after(Duration::from_millis(60));
            wait(limiter.acquire(10), soon)
        });
        spin_until(|| limiter.waiting() == 1);
        let small = scope.spawn(|| block(limiter.acquire(1)));
        assert_eq!(large.join().unwrap(), None);
        small.join().unwrap();
    });
    assert_eq!(limiter.waiting(), 0);
}

#[test]
fn a_select_is_due_when_its_first_arm_is() {
    type Arm<'a> = Box<dyn AnyOperation<Output = &'static str> + 'a>;
    let (fast, slow, items) = (limiter(100.0, 1), limiter(SLOW, 1), Queue::<i32>::new(0));
    assert!(fast.try_acquire(1));
    assert!(slow.try_acquire(1));
    let arms = || -> Vec<Arm<'_>> {
        vec![
            Box::new(Converted::new(slow.acquire(1), |()| "slow")),
            Box::new(Converted::new(items.get(), |_| "item")),
            Box::new(Converted::new(fast.acquire(1), |()| "fast")),
        ]
    };
    assert_eq!(block(Select::new(arms(), 0)), (2, "fast"));
    let now = Deadline::after(Duration::ZERO);
    assert_eq!(wait(Select::new(arms(), 0), now), None);
    items.try_put(1).unwrap();
    assert_eq!(wait(Select::new(arms(), 0), now), Some((1, "item")));
    assert_eq!((fast.waiting(), slow.waiting()), (0, 0));
}

#[test]
fn items_come_at_their_times() {
    let (queue, begun) = (DelayQueue::new(0), Instant::now());
    let at = |milliseconds: i64| queue.now() + milliseconds * 1_000_000;
    let last = queue.try_put(at(3_600_000), 3).unwrap();
    queue.try_put(at(20), 2).unwrap();
    queue.try_put(at(10), 1).unwrap();
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    let get = || block(delay_queue::Get::new(&queue));
    assert_eq!((get(), get()), (Ok(1), Ok(2)));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    queue.shut_down(false);
    assert_eq!((queue.cancel(last), queue.cancel(last)), (Some(3), None));
    assert_eq!(get(), Err(GetError::ShutDown));
}

#[test]
fn an_earlier_item_wakes_the_getter() {
    let queue = DelayQueue::new(0);
    thread::scope(|scope| {
        let getter = scope.spawn(|| block(delay_queue::Get::new(&queue)));
        queue.try_put(queue.now() + 3_600_000_000_000, 2).unwrap();
        thread::sleep(Duration::from_millis(5));
        queue.try_put(queue.now(), 1).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(1));
    });
}

#[test]
fn a_look_leaves_the_item_in_each_order() {
    for (order, expected) in [(Order::Fifo, 3), (Order::Lifo, 2), (Order::Heap, 1)] {
        let queue = Queue::ordered(order, 0);
        for item in [3, 1, 2] {
            queue.try_put(item).unwrap();
        }
        assert_eq!(queue.try_peek(), Ok(expected));
        assert_eq!(block(queue.peek()), Ok(expected));
        assert_eq!((queue.len(), queue.try_get()), (3, Ok(expected)));
        assert_eq!(queue.clear().unwrap().len(), 2);
        assert_eq!(queue.unfinished(), 1);
    }
}
