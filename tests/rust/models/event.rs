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
        event.set().unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_set_while_the_event_falls_back_is_not_missed() {
    model(|| {
        let event = Arc::new(Event::new());
        let setter = {
            let event = Arc::clone(&event);
            thread::spawn(move || event.set())
        };
        // If this returns `false`, later waits happen elsewhere, and the setter must learn that it has to set
        // the other flag.
        let has_to_wait = event.fall_back() == Some(false);
        assert_eq!(has_to_wait, setter.join().unwrap().is_err());
    });
}
