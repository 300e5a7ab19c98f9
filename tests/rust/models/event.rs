use _oxthreads::primitives::event::Event;
use loom::sync::Arc;
use loom::thread;

use crate::support::{block_for_ever, model};

#[test]
fn an_event_wakes_all() {
    model(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let event = Arc::clone(&event);
                thread::spawn(move || assert_eq!(block_for_ever(event.wait()), Ok(())))
            })
            .collect();
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}
