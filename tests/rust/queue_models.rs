//! Every interleaving of small programs with queues. Run with `RUSTFLAGS="--cfg loom" cargo test --release
//! --no-default-features --test queue_models`.
#![cfg(loom)]

use std::collections::VecDeque;
use std::time::Duration;

use _oxthreads::primitives::delay_queue::{self, DelayQueue};
use _oxthreads::primitives::queue::{GetError, Item, Order, PutError, Queue};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, drive};
use loom::sync::Arc;
use loom::thread;

/// A number that only foreign code can compare, so other threads run between the plan and the change.
#[derive(Clone, Debug)]
struct Foreign(u32);

impl Item for Foreign {
    type Error = &'static str;

    fn is_less_fast(&self, _: &Self) -> Option<bool> {
        None
    }

    fn is_less(&self, other: &Self) -> Result<bool, Self::Error> {
        thread::yield_now();
        if self.0 == BAD {
            return Err("bad");
        }
        Ok(self.0 < other.0)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0 // all numbers are different
    }

    fn share(&self) -> Self {
        self.clone()
    }
}

const BAD: u32 = 99;

fn model(program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(program);
}

fn block<O: Operation>(mut operation: O) -> O::Output {
    match drive(&mut operation, Deadline::NEVER, |waiter, deadline| {
        waiter.park(deadline)
    }) {
        Wait::Ready(output) => output,
        _ => unreachable!(),
    }
}

/// Runs a wait that times out as soon as it would sleep.
fn give_up<O: Operation>(mut operation: O) -> Option<O::Output> {
    match drive(
        &mut operation,
        Deadline::after(Duration::ZERO),
        |waiter, deadline| waiter.park(deadline),
    ) {
        Wait::Ready(output) => Some(output),
        _ => None,
    }
}

#[test]
fn a_heap_that_is_compared_by_foreign_code_loses_nothing_and_stays_a_heap() {
    model(|| {
        let queue = Arc::new(Queue::ordered(Order::Heap, 0));
        for number in [4, 2] {
            assert!(queue.try_put(Foreign(number)).is_ok());
        }
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                assert!(queue.try_put(Foreign(1)).is_ok());
            })
        };
        let first = queue.try_get().unwrap().0;
        other.join().unwrap();
        let rest: Vec<_> = (0..2).map(|_| queue.try_get().unwrap().0).collect();
        match first {
            1 => assert_eq!(rest, [2, 4]),
            2 => assert_eq!(rest, [1, 4]),
            _ => panic!("{first} came out first"),
        }
    });
}

#[test]
fn a_heap_of_one_place_lets_each_putter_in() {
    model(|| {
        let queue = Arc::new(Queue::ordered(Order::Heap, 1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                assert!(block(queue.put(Foreign(1))).is_ok());
                assert!(block(queue.put(Foreign(2))).is_ok());
            })
        };
        assert_eq!(block(queue.get()).unwrap().0, 1);
        assert_eq!(block(queue.get()).unwrap().0, 2);
        producer.join().unwrap();
    });
}

#[test]
fn room_that_a_putter_gives_up_is_not_lost() {
    model(|| {
        let queue = Arc::new(Queue::ordered(Order::Heap, 2));
        assert!(queue.try_put(Foreign(1)).is_ok());
        assert!(queue.try_put(Foreign(2)).is_ok());
        let bad = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || match block(queue.put(Foreign(BAD))) {
                Err(PutError::Comparison(_, "bad")) => {}
                other => panic!("{other:?}"),
            })
        };
        let good = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert!(block(queue.put(Foreign(3))).is_ok()))
        };
        assert_eq!(queue.try_get().unwrap().0, 1);
        // The bad putter does not take the room from the good one, whichever came first.
        good.join().unwrap();
        assert_eq!(queue.try_get().unwrap().0, 2);
        bad.join().unwrap();
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn a_putter_that_gives_up_while_it_is_handed_room_has_put_or_has_not() {
    model(|| {
        let queue = Arc::new(Queue::ordered(Order::Heap, 1));
        queue.try_put(1).unwrap();
        let hasty = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || give_up(queue.put(2)).is_some())
        };
        assert_eq!(queue.try_get(), Ok(1));
        let expected = if hasty.join().unwrap() {
            Ok(2)
        } else {
            Err(GetError::Empty)
        };
        assert_eq!(queue.try_get(), expected);
        // No hand-off is left behind.
        queue.try_put(3).unwrap();
    });
}

#[test]
fn a_batch_wakes_as_many_as_it_has_items_for() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block(queue.get()).unwrap())
            })
            .collect();
        queue.try_put_many(&mut [1, 2].into()).unwrap();
        let mut taken: Vec<_> = getters
            .into_iter()
            .map(|getter| getter.join().unwrap())
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn a_batch_that_is_taken_lets_the_putter_in() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                block(queue.put(1)).unwrap();
                block(queue.put(2)).unwrap();
            })
        };
        let mut taken = VecDeque::new();
        while taken.len() < 2 {
            if queue.try_get_many(2, &mut taken).is_err() {
                taken.push_back(block(queue.get()).unwrap());
            }
        }
        assert_eq!(taken, [1, 2]);
        producer.join().unwrap();
    });
}

#[test]
fn a_shutdown_ends_what_waits_and_loses_nothing() {
    for order in [Order::Fifo, Order::Heap] {
        model(move || {
            let queue = Arc::new(Queue::ordered(order, 1));
            queue.try_put(1).unwrap();
            let putter = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block(queue.put(2)))
            };
            let first = queue.try_get();
            queue.shut_down(false).unwrap();
            let mut left: Vec<_> = first.into_iter().collect();
            let put = putter.join().unwrap();
            left.extend(std::iter::from_fn(|| queue.try_get().ok()));
            match put {
                Ok(()) => assert_eq!(left, [1, 2]),
                Err(PutError::ShutDown(2)) => assert_eq!(left, [1]),
                other => panic!("{other:?}"),
            }
        });
    }
}

#[test]
fn a_look_takes_no_wake_from_a_get() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let getter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(queue.get()))
        };
        let looker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(queue.peek()))
        };
        assert!(queue.try_put(1).is_ok());
        // The look may miss the first item, but then it waits for the next.
        assert_eq!(getter.join().unwrap(), Ok(1));
        assert!(queue.try_put(2).is_ok());
        assert!(matches!(looker.join().unwrap(), Ok(1 | 2)));
        assert_eq!(queue.try_get(), Ok(2));
    });
}

#[test]
fn a_queue_that_is_cleared_lets_a_putter_in() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        assert!(queue.try_put(1).is_ok());
        let putter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(queue.put(2)))
        };
        let first = queue.clear().unwrap();
        assert!(putter.join().unwrap().is_ok());
        let second = queue.clear().unwrap();
        assert_eq!(first.into_iter().chain(second).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(queue.unfinished(), 0);
    });
}

/// The time of an item that can always be taken. With other times, an execution would depend on the clock.
const BEFORE: delay_queue::Nanoseconds = -1;

/// The time of an item that never can.
const NEVER: delay_queue::Nanoseconds = delay_queue::Nanoseconds::MAX;

#[test]
fn each_getter_of_a_delay_queue_calls_the_next() {
    model(|| {
        let queue = Arc::new(DelayQueue::new(0));
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block(delay_queue::Get::new(&*queue)))
            })
            .collect();
        assert!(queue.try_put(NEVER, 0).is_ok());
        assert!(queue.try_put(BEFORE, 1).is_ok());
        assert!(queue.try_put(BEFORE, 2).is_ok());
        let mut got: Vec<_> = getters
            .into_iter()
            .map(|getter| getter.join().unwrap().unwrap())
            .collect();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_getter_of_a_delay_queue_that_gives_up_calls_the_next() {
    model(|| {
        let queue = Arc::new(DelayQueue::new(0));
        let impatient = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || give_up(delay_queue::Get::new(&*queue)))
        };
        let patient = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(delay_queue::Get::new(&*queue)))
        };
        assert!(queue.try_put(BEFORE, 1).is_ok());
        if impatient.join().unwrap().is_some() {
            assert!(queue.try_put(BEFORE, 1).is_ok());
        }
        assert_eq!(patient.join().unwrap(), Ok(1));
    });
}

#[test]
fn a_delay_queue_that_ends_tells_all() {
    model(|| {
        let queue = Arc::new(DelayQueue::new(1));
        let key = queue.try_put(NEVER, 1).unwrap();
        let getter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(delay_queue::Get::new(&*queue)))
        };
        let putter = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block(delay_queue::Put::new(&*queue, BEFORE, Some(2))))
        };
        assert!(queue.shut_down(false).is_empty());
        assert_eq!(queue.cancel(key), Some(1));
        assert_eq!(getter.join().unwrap(), Err(delay_queue::GetError::ShutDown));
        assert!(putter.join().unwrap().is_err());
    });
}
