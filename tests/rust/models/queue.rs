use _oxthreads::primitives::queue::Queue;
use loom::sync::Arc;
use loom::thread;

use crate::support::{block_for_ever, give_up, model};

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
