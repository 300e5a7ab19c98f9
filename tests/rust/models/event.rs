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
fn an_event_that_is_set_while_it_is_retired_is_not_waited_for_elsewhere_in_vain() {
    model(|| {
        let event = Arc::new(Event::new());
        let setter = {
            let event = Arc::clone(&event);
            thread::spawn(move || event.set())
        };
        event.retire();
        // Those who come now wait elsewhere, if they have to: the setter wakes them there.
        let has_to_wait = !event.is_set();
        assert_eq!(has_to_wait, setter.join().unwrap().is_err());
    });
}
