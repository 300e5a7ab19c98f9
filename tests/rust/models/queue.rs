use _oxthreads::primitives::queue::{Order, Queue};
use _oxthreads::wait::{Ticket, Waiter, Wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::spawn;
use crate::support::{block_for_ever, give_up, model};

/// What a watcher was told last.
struct Level(AtomicBool);

struct Watcher(Arc<Level>);

impl Wake for Watcher {
    fn claim(&self) -> bool {
        false
    }

    fn wake(&self) {}

    fn tell(&self, ready: bool) {
        self.0.0.store(ready, Ordering::Relaxed);
    }
}

fn watched(queue: &Queue<i32>) -> (Arc<Level>, Ticket) {
    let level = Arc::new(Level(AtomicBool::new(false)));
    let ticket = Ticket::last();
    let watcher = Waiter::of(Watcher(Arc::clone(&level)));
    queue.watch(ticket, &watcher).unwrap();
    (level, ticket)
}

#[test]
fn a_watcher_knows_in_the_end_whether_there_is_an_item() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let (level, ticket) = watched(&queue);
        let putter = spawn(&queue, |queue| {
            block_for_ever(queue.put(1)).unwrap();
            block_for_ever(queue.put(2)).unwrap();
        });
        assert_eq!(block_for_ever(queue.get()), Ok(1));
        putter.join().unwrap();
        assert!(level.0.load(Ordering::Relaxed));
        assert_eq!(queue.try_get(), Ok(2));
        assert!(!level.0.load(Ordering::Relaxed));
        queue.unwatch(ticket);
        queue.try_put(3).unwrap();
        assert!(!level.0.load(Ordering::Relaxed));
    });
}

#[test]
fn a_get_that_gives_up_leaves_the_item_to_those_who_watch() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let (level, _) = watched(&queue);
        let hasty = spawn(&queue, |queue| give_up(queue.get()));
        queue.try_put(1).unwrap();
        let taken = hasty.join().unwrap();
        assert_eq!(level.0.load(Ordering::Relaxed), taken.is_none());
    });
}

#[test]
fn a_queue_of_one_place_loses_nothing() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                block_for_ever(queue.put(1)).unwrap();
                block_for_ever(queue.put(2)).unwrap();
            })
        };
        assert_eq!(block_for_ever(queue.get()), Ok(1));
        assert_eq!(block_for_ever(queue.get()), Ok(2));
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
fn each_of_two_getters_is_woken_for_its_item() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block_for_ever(queue.get()).unwrap())
            })
            .collect();
        queue.put_fast(1).unwrap();
        queue.try_put(2).unwrap();
        let taken: Vec<_> = getters
            .into_iter()
            .map(|getter| getter.join().unwrap())
            .collect();
        assert!(taken == [1, 2] || taken == [2, 1]);
    });
}

#[test]
fn each_of_two_putters_is_woken_for_its_room() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_put(0).unwrap();
        let putters: Vec<_> = (1..=2)
            .map(|item| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block_for_ever(queue.put(item)).unwrap())
            })
            .collect();
        let mut taken: Vec<_> = (0..3)
            .map(|_| block_for_ever(queue.get()).unwrap())
            .collect();
        assert_eq!(taken.remove(0), 0);
        assert!(taken == [1, 2] || taken == [2, 1]);
        for putter in putters {
            putter.join().unwrap();
        }
    });
}

#[test]
fn a_getter_that_others_are_faster_than_gets_an_item_all_the_same() {
    for order in [Order::Fifo, Order::Heap] {
        model(move || {
            let queue = Arc::new(Queue::ordered(order, 0));
            let getter = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block_for_ever(queue.get()).unwrap())
            };
            for item in 1..=2 {
                queue.try_put(item).unwrap();
                if queue.get_fast().is_none() {
                    // The getter has taken the item, or has been handed it.
                    assert!(queue.is_empty());
                    assert_eq!(getter.join().unwrap(), item);
                    return;
                }
            }
            queue.try_put(3).unwrap();
            assert_eq!(getter.join().unwrap(), 3);
            assert!(queue.try_get().is_err());
        });
    }
}

#[test]
fn a_get_that_gives_up_leaves_the_item_to_another() {
    model(|| {
        let queue = Arc::new(Queue::new(0));
        let hasty = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || give_up(queue.get()).is_some())
        };
        let patient = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block_for_ever(queue.get()).unwrap())
        };
        queue.try_put(1).unwrap();
        if hasty.join().unwrap() {
            queue.try_put(2).unwrap();
        }
        let taken = patient.join().unwrap();
        assert!(taken == 1 || taken == 2);
        assert!(queue.is_empty());
    });
}

#[test]
fn a_put_that_gives_up_leaves_the_room_to_another() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_put(0).unwrap();
        let hasty = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || give_up(queue.put(1)).is_some())
        };
        let patient = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || block_for_ever(queue.put(2)).unwrap())
        };
        assert_eq!(queue.try_get(), Ok(0));
        if hasty.join().unwrap() {
            assert!(block_for_ever(queue.get()).is_ok());
        }
        patient.join().unwrap();
        assert!(queue.try_get().is_ok());
        assert!(queue.is_empty());
    });
}
