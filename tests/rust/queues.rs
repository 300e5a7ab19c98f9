//! Queues in all orders, used by threads, and with comparisons that fail or use the queue.
// With Python, the leaf lock of a queue is the GIL, which no thread holds here.
#![cfg(all(not(loom), not(feature = "python")))]

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::queue::{GetError, Item, Order, PutError, Queue};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::{Operation, Parked, Waiter, drive};

/// What a comparison does before it compares. An error makes the comparison fail.
type Before = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// An item that only foreign code can compare.
#[derive(Clone)]
struct Foreign {
    key: i32,
    identity: Arc<()>,
    before: Before,
}

impl Foreign {
    fn new(key: i32, before: Before) -> Self {
        Self {
            key,
            identity: Arc::new(()),
            before,
        }
    }

    fn calm(key: i32) -> Self {
        Self::new(key, Arc::new(|| Ok(())))
    }
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(formatter)
    }
}

impl Item for Foreign {
    type Error = &'static str;

    fn is_less_fast(&self, _: &Self) -> Option<bool> {
        None
    }

    fn is_less(&self, other: &Self) -> Result<bool, Self::Error> {
        (self.before)()?;
        Ok(self.key < other.key)
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    fn share(&self) -> Self {
        self.clone()
    }
}

fn block_for_ever<O: Operation>(mut operation: O) -> O::Output {
    loop {
        match drive(&mut operation, Deadline::NEVER, |waiter, deadline| {
            waiter.park(deadline)
        }) {
            Wait::Ready(output) => return output,
            // No signal is sent to these threads; but not every parker can tell.
            Wait::Interrupted => {}
            Wait::TimedOut => unreachable!("no deadline"),
        }
    }
}

fn drain<T: Item>(queue: &Queue<T>) -> Vec<T>
where
    T::Error: std::fmt::Debug,
{
    (0..queue.len()).map(|_| queue.try_get().unwrap()).collect()
}

/// A source of pseudo-random numbers that is the same in every run.
fn numbers() -> impl Iterator<Item = u32> {
    let mut state = 12_345_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    })
}

#[test]
fn each_order_gives_out_what_it_should() {
    for (order, expected) in [
        (Order::Fifo, [3, 1, 2]),
        (Order::Lifo, [2, 1, 3]),
        (Order::Heap, [1, 2, 3]),
    ] {
        let queue = Queue::ordered(order, 0);
        for item in [3, 1, 2] {
            queue.try_put(item).unwrap();
        }
        assert_eq!(drain(&queue), expected);
    }
}

#[test]
fn a_heap_gives_out_the_smallest_whatever_was_put() {
    let (queue, foreign) = (
        Queue::ordered(Order::Heap, 0),
        Queue::ordered(Order::Heap, 0),
    );
    let mut model = BinaryHeap::new();
    for (step, number) in numbers().take(4_000).enumerate() {
        let number = i32::try_from(number % 500).unwrap();
        if step % 7 < 4 {
            queue.try_put(number).unwrap();
            foreign.try_put(Foreign::calm(number)).unwrap();
            model.push(Reverse(number));
        } else {
            let expected = model.pop().map(|Reverse(number)| number);
            assert_eq!(queue.try_get().ok(), expected);
            assert_eq!(foreign.try_get().ok().map(|item| item.key), expected);
        }
    }
    // The items that are left form the same heap, place by place. And it is a heap: no item is less than its
    // parent.
    let left = queue.fall_back().unwrap();
    let keys: VecDeque<_> = foreign
        .fall_back()
        .unwrap()
        .iter()
        .map(|item| item.key)
        .collect();
    assert_eq!(left, keys);
    for place in 1..left.len() {
        assert!(left[(place - 1) / 2] <= left[place]);
    }
}

#[test]
fn a_comparison_that_fails_changes_nothing() {
    thread_local!(static FAILS: Cell<bool> = const { Cell::new(false) });
    let before: Before = Arc::new(|| if FAILS.get() { Err("no") } else { Ok(()) });
    let queue = Queue::ordered(Order::Heap, 0);
    for key in [4, 2, 3, 1] {
        queue
            .try_put(Foreign::new(key, Arc::clone(&before)))
            .unwrap();
    }
    FAILS.set(true);
    match queue.try_put(Foreign::new(0, Arc::clone(&before))) {
        Err(PutError::Comparison(item, "no")) => assert_eq!(item.key, 0),
        other => panic!("{other:?}"),
    }
    assert_eq!(queue.try_get().unwrap_err(), GetError::Comparison("no"));
    assert!(queue.get_fast().is_none());
    assert!(
        queue
            .put_fast(Foreign::new(0, Arc::clone(&before)))
            .is_err()
    );
    assert_eq!((queue.len(), queue.unfinished()), (4, 4));
    FAILS.set(false);
    let keys: Vec<_> = drain(&queue).iter().map(|item| item.key).collect();
    assert_eq!(keys, [1, 2, 3, 4]);
}

#[test]
fn an_item_that_a_woken_getter_could_not_compare_goes_to_the_next() {
    thread_local!(static FAILS: Cell<bool> = const { Cell::new(false) });
    let before: Before = Arc::new(|| if FAILS.get() { Err("no") } else { Ok(()) });
    let queue = Queue::ordered(Order::Heap, 0);
    let waiters: Vec<_> = (0..4).map(|_| Waiter::new()).collect();
    let mut getters: Vec<_> = (0..4).map(|_| queue.get()).collect();
    for (getter, waiter) in getters.iter_mut().zip(&waiters) {
        assert!(getter.attempt(waiter).is_none());
    }
    for key in [3, 1, 2] {
        queue
            .try_put(Foreign::new(key, Arc::clone(&before)))
            .unwrap();
    }
    FAILS.set(true);
    let outcome = getters[0].leave(Parked::Unparked).unwrap();
    assert_eq!(outcome.unwrap_err(), GetError::Comparison("no"));
    FAILS.set(false);
    for (getter, waiter) in getters[1..].iter_mut().zip(&waiters[1..]) {
        assert!(waiter.is_notified());
        assert!(getter.leave(Parked::Unparked).unwrap().is_ok());
    }
    assert!(queue.is_empty());
}

#[test]
fn the_room_of_a_putter_whose_comparison_fails_goes_to_the_next() {
    let queue = Queue::ordered(Order::Heap, 2);
    queue.try_put(Foreign::calm(5)).unwrap();
    queue.try_put(Foreign::calm(6)).unwrap();
    let (mut bad, mut good) = (
        queue.put(Foreign::new(1, Arc::new(|| Err("no")))),
        queue.put(Foreign::calm(2)),
    );
    let (first, second) = (Waiter::new(), Waiter::new());
    assert!(bad.attempt(&first).is_none());
    // The bad putter loses the room to another thread, is then handed the next room, and cannot use it.
    assert_eq!(queue.try_get().unwrap().key, 5);
    queue.try_put(Foreign::calm(7)).unwrap();
    thread::sleep(HAND_OFF_AFTER);
    assert!(bad.leave(Parked::Unparked).is_none());
    assert!(bad.attempt(&first).is_none());
    assert!(good.attempt(&second).is_none());
    assert_eq!(queue.try_get().unwrap().key, 6);
    assert!(matches!(
        queue.try_put(Foreign::calm(9)),
        Err(PutError::Full(_))
    ));
    assert!(!second.is_notified());
    assert!(matches!(
        bad.leave(Parked::Unparked),
        Some(Err(PutError::Comparison(_, "no")))
    ));
    // It gives the room up: the next putter is woken and may use it.
    assert!(second.is_notified());
    assert!(matches!(good.leave(Parked::Unparked), Some(Ok(()))));
    assert!(queue.is_full());
}

#[test]
fn a_putter_with_room_that_is_shut_out_has_stored_nothing() {
    let queue = Queue::ordered(Order::Heap, 1);
    queue.try_put(1).unwrap();
    let outcome = drive(&mut queue.put(2), Deadline::NEVER, |_, _| {
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(queue.shut_down(false), Ok([].into()));
        Parked::Unparked
    });
    assert_eq!(outcome, Wait::Ready(Err(PutError::ShutDown(2))));
    assert!(queue.is_empty());

    let queue = Queue::ordered(Order::Heap, 1);
    queue.try_put(1).unwrap();
    let mut put = queue.put(2);
    let mut looks = 0;
    let outcome = drive(&mut put, Deadline::NEVER, |_, _| {
        looks += 1;
        if looks == 1 {
            assert_eq!(queue.try_get(), Ok(1));
            queue.set_capacity(2).unwrap();
            queue.try_put(3).unwrap();
            queue.set_capacity(1).unwrap(); // the room that it was handed is gone
            Parked::Unparked
        } else {
            Parked::TimedOut
        }
    });
    assert_eq!((outcome, looks), (Wait::TimedOut, 2));
    assert_eq!(put.into_item(), Some(2));
    assert_eq!(queue.try_get(), Ok(3));
    queue.try_put(4).unwrap();
}

#[test]
fn a_comparison_may_use_the_queue() {
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
    let queue = Arc::new(Queue::ordered(Order::Heap, 0));
    let fresh = Arc::new(Mutex::new(1_000..));
    let meddle: Arc<Mutex<Option<Before>>> = Arc::default();
    let before: Before = {
        let meddle = Arc::clone(&meddle);
        Arc::new(move || {
            if !INSIDE.replace(true) {
                let meddle = meddle.lock().unwrap().clone();
                meddle.map_or(Ok(()), |meddle| meddle())?;
                INSIDE.set(false);
            }
            Ok(())
        })
    };
    *meddle.lock().unwrap() = Some({
        let (queue, before, fresh) = (Arc::clone(&queue), Arc::clone(&before), Arc::clone(&fresh));
        Arc::new(move || {
            let key = fresh.lock().unwrap().next().unwrap();
            queue
                .try_put(Foreign::new(key, Arc::clone(&before)))
                .map_err(|_| "refused")
        })
    });
    for key in 0..40 {
        queue
            .try_put(Foreign::new(key, Arc::clone(&before)))
            .unwrap();
    }
    let mut keys: Vec<_> = (0..40).map(|_| queue.try_get().unwrap().key).collect();
    INSIDE.set(true);
    keys.extend(drain(&queue).iter().map(|item| item.key));
    keys.sort_unstable();
    let end = fresh.lock().unwrap().next().unwrap();
    let expected: Vec<_> = (0..40).chain(1_000..end).collect();
    assert_eq!(keys, expected);
    *meddle.lock().unwrap() = None; // it holds a reference to the queue
}

#[test]
fn heaps_conserve_items_that_foreign_code_compares() {
    const THREADS: i32 = 4;
    const ITEMS: i32 = 300;
    let queue = Queue::ordered(Order::Heap, 5);
    let before: Before = Arc::new(|| {
        thread::yield_now();
        Ok(())
    });
    let barrier = Barrier::new(2 * THREADS as usize);
    let mut received: Vec<i32> = thread::scope(|scope| {
        let (queue, barrier, before) = (&queue, &barrier, &before);
        for producer in 0..THREADS {
            scope.spawn(move || {
                barrier.wait();
                for item in 0..ITEMS {
                    let item = Foreign::new(producer * ITEMS + item, Arc::clone(before));
                    assert!(block_for_ever(queue.put(item)).is_ok());
                    assert!(queue.len() <= 5);
                }
            });
        }
        let consumers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    barrier.wait();
                    (0..ITEMS)
                        .map(|_| block_for_ever(queue.get()).unwrap().key)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        consumers
            .into_iter()
            .flat_map(|consumer| consumer.join().unwrap())
            .collect()
    });
    received.sort_unstable();
    assert_eq!(received, (0..THREADS * ITEMS).collect::<Vec<_>>());
}

#[test]
fn batches_go_in_and_out_in_order() {
    for (order, expected) in [
        (Order::Fifo, [3, 1, 2, 5]),
        (Order::Lifo, [5, 2, 1, 3]),
        (Order::Heap, [1, 2, 3, 5]),
    ] {
        let queue = Queue::ordered(order, 0);
        queue.try_put_many(&mut [3, 1].into()).unwrap();
        queue.try_put_many(&mut [2, 5].into()).unwrap();
        assert_eq!(queue.unfinished(), 4);
        let mut taken = VecDeque::new();
        queue.try_get_many(3, &mut taken).unwrap();
        queue.try_get_many(3, &mut taken).unwrap();
        assert_eq!(taken, expected);
        assert_eq!(queue.try_get_many(1, &mut taken), Err(GetError::Empty));
        assert_eq!(queue.try_get_many(0, &mut taken), Ok(()));
    }
}

#[test]
fn a_batch_goes_in_as_far_as_there_is_room() {
    for order in [Order::Fifo, Order::Lifo, Order::Heap] {
        let queue = Queue::ordered(order, 3);
        let mut items: VecDeque<_> = (0..6).collect();
        assert_eq!(queue.try_put_many(&mut items), Err(PutError::Full(3)));
        assert_eq!(items, [4, 5]);
        assert_eq!(queue.len(), 3);
        queue.shut_down(false).unwrap();
        assert_eq!(queue.try_put_many(&mut items), Err(PutError::ShutDown(4)));
        queue.fall_back();
        assert_eq!(queue.try_put_many(&mut items), Err(PutError::FellBack(5)));
    }
}

#[test]
fn a_batch_takes_nothing_that_is_handed_out_and_lets_in_those_who_wait() {
    let queue = Queue::new(2);
    let mut waits = 0;
    let outcome = drive(&mut queue.get(), Deadline::NEVER, |_, _| {
        waits += 1;
        queue.try_put_many(&mut [1, 2].into()).unwrap();
        let mut taken = VecDeque::new();
        queue.try_get_many(9, &mut taken).unwrap();
        if waits == 1 {
            assert_eq!(taken, [1, 2]);
            thread::sleep(HAND_OFF_AFTER);
        } else {
            assert_eq!(taken, [1]);
        }
        Parked::Unparked
    });
    assert_eq!((outcome, waits), (Wait::Ready(Ok(2)), 2));
    queue.try_put_many(&mut [1, 2].into()).unwrap();
    let outcome = drive(&mut queue.put(3), Deadline::NEVER, |_, _| {
        let mut taken = VecDeque::new();
        queue.try_get_many(9, &mut taken).unwrap();
        assert_eq!(taken, [1, 2]);
        Parked::Unparked
    });
    assert_eq!(outcome, Wait::Ready(Ok(())));
    assert_eq!(queue.try_get(), Ok(3));
}

#[test]
fn a_reset_lets_in_those_who_wait_for_room_and_ends_joins() {
    for order in [Order::Fifo, Order::Lifo, Order::Heap] {
        let queue = Queue::ordered(order, 1);
        queue.try_put(1).unwrap();
        let outcome = drive(&mut queue.put(2), Deadline::NEVER, |_, _| {
            let joined = drive(&mut queue.join(), Deadline::NEVER, |_, _| {
                assert_eq!(queue.reset(1), Ok([1].into()));
                Parked::Unparked
            });
            assert_eq!(joined, Wait::Ready(Ok(())));
            Parked::Unparked
        });
        assert_eq!(outcome, Wait::Ready(Ok(())));
        assert_eq!(
            (queue.len(), queue.unfinished(), queue.capacity()),
            (1, 1, 1)
        );
        assert_eq!(queue.try_get(), Ok(2));
        queue.fall_back();
        assert_eq!(queue.reset(0), Err(FellBack));
    }
}

#[test]
fn the_memory_of_items_long_gone_is_given_back() {
    let queue = Queue::ordered(Order::Fifo, 0);
    assert_eq!(queue.allocated(), 0);
    queue.try_put_many(&mut (0_u64..100_000).collect()).unwrap();
    assert!(queue.allocated() >= 800_000);
    assert_eq!(drain(&queue).len(), 100_000);
    assert!(queue.allocated() <= 16 * 1024);
    let outcome = drive(&mut queue.get(), Deadline::after(Duration::ZERO), |_, _| {
        assert!(queue.allocated() > 0);
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::TimedOut);
}
