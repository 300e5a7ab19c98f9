//! What the threads that wake a coroutine know of its wait.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::inbox::{Inbox, Key};
use super::operation::{Outcome, Running, Start};
use crate::wait::Wake;

/// The wait of one coroutine, from when it joined a list until it is over.
pub(super) struct Entry {
    /// The wait; `None` when it is over. Whoever polls it holds this lock, and may run a program's code meanwhile. So others
    /// only try to take it.
    running: Mutex<Option<Box<dyn Running>>>,
    place: Mutex<Place>,
}

/// Where the coroutine is.
struct Place {
    /// The wait was woken since it was last polled.
    woken: bool,
    /// The coroutine is suspended, and is found by this key in this inbox.
    suspended: Option<(Arc<Inbox>, Key)>,
}

/// The [`Wake`] of an entry.
pub(super) struct Notify(Arc<Entry>);

impl Wake for Notify {
    fn claim(&self) -> bool {
        // A closed loop would never take what it is given.
        let place = self.0.place.lock();
        !(place.suspended.as_ref()).is_some_and(|(inbox, _)| inbox.is_closed())
    }

    fn wake(&self) {
        self.0.wake();
    }
}

impl Entry {
    /// The wait joins no list before it is polled.
    pub(super) fn new(start: Box<dyn Start>) -> Arc<Self> {
        let entry = Arc::new(Self {
            running: Mutex::new(None),
            place: Mutex::new(Place {
                woken: false,
                suspended: None,
            }),
        });
        let running = start.begin(Notify(Arc::clone(&entry)));
        *entry.running.lock() = Some(running);
        entry
    }

    /// Completes the wait if that is possible now. `Err`: it was ended by another.
    pub(super) fn poll(&self, py: Python<'_>) -> Result<Option<Outcome>, Ended> {
        self.place.lock().woken = false;
        let Some(mut running) = self.running.try_lock() else {
            return Err(Ended);
        };
        match &mut *running {
            None => Err(Ended),
            Some(wait) => {
                let outcome = wait.poll(py);
                if outcome.is_some() {
                    let over = running.take();
                    drop(running);
                    drop(over);
                }
                Ok(outcome)
            }
        }
    }

    /// Notes that the coroutine is found in the inbox by this key. `false`: it was woken already, and must be polled.
    pub(super) fn suspend(&self, inbox: &Arc<Inbox>, key: Key) -> bool {
        let mut place = self.place.lock();
        if place.woken {
            return false;
        }
        place.suspended = Some((Arc::clone(inbox), key));
        true
    }

    /// The coroutine runs again.
    pub(super) fn resume(&self) {
        let suspended = self.place.lock().suspended.take();
        if let Some((inbox, key)) = suspended {
            drop(inbox.remove(key));
        }
    }

    /// Ends the wait: it gives back what it was given.
    pub(super) fn end(&self) {
        self.resume();
        // Whoever polls it at this moment has a thread that will end it.
        let over = self
            .running
            .try_lock()
            .and_then(|mut running| running.take());
        drop(over);
    }

    fn wake(&self) {
        let suspended = {
            let mut place = self.place.lock();
            if std::mem::replace(&mut place.woken, true) {
                return;
            }
            place.suspended.clone()
        };
        if let Some((inbox, key)) = suspended {
            inbox.deliver(key);
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.running.try_lock().as_deref() {
            Some(Some(running)) => running.visit(visit),
            _ => Ok(()),
        }
    }
}

/// The wait was ended before it was complete.
pub(super) struct Ended;
