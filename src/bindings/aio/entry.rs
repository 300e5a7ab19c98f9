//! What the threads that wake a coroutine know of its wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::inbox::{Inbox, Key};
use super::operation::{Observable, Outcome, Running, Start};
use crate::diagnostics::place::Frame;
use crate::diagnostics::tasks::TaskWait;
use crate::wait::Wake;
use crate::wait::deadline::Deadline;
use crate::wait::observe::ThreadNumber;

/// The wait of one coroutine, from when it joined a list until it is over.
pub(super) struct Entry {
    /// The wait; `None` when it is over. Whoever polls it holds this lock, and may run a program's code meanwhile. So others
    /// only try to take it.
    running: Mutex<Option<Box<dyn Running>>>,
    /// Whether the wait is being polled or ended. Otherwise a report or the collector has `running`, for a moment.
    is_polled: AtomicBool,
    place: Mutex<Place>,
    /// What an observer knows of the wait, if there was one when its coroutine was suspended.
    observed: OnceLock<Box<TaskWait>>,
}

/// Where the coroutine is.
struct Place {
    /// The wait was woken since it was last polled.
    woken: bool,
    /// The coroutine is suspended, and is found by this key in this inbox.
    suspended: Option<(Arc<Inbox>, Key)>,
}

/// The wait, for the one who polls or ends it.
struct Polled<'a> {
    running: MutexGuard<'a, Option<Box<dyn Running>>>,
    is_polled: &'a AtomicBool,
}

impl Drop for Polled<'_> {
    fn drop(&mut self) {
        // Before the lock is released. Who finds it locked and this false tries again.
        self.is_polled.store(false, Ordering::SeqCst);
    }
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
            is_polled: AtomicBool::new(false),
            observed: OnceLock::new(),
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
        let Some(mut polled) = self.try_running() else {
            return Err(Ended);
        };
        match &mut *polled.running {
            None => Err(Ended),
            Some(wait) => {
                let outcome = wait.poll(py);
                if outcome.is_some() {
                    let over = polled.running.take();
                    drop(polled);
                    self.end_observation(over.as_deref(), true);
                    drop(over);
                }
                Ok(outcome)
            }
        }
    }

    /// The wait, unless it is being polled.
    fn try_running(&self) -> Option<Polled<'_>> {
        loop {
            if let Some(running) = self.running.try_lock() {
                self.is_polled.store(true, Ordering::SeqCst);
                let is_polled = &self.is_polled;
                return Some(Polled { running, is_polled });
            }
            if self.is_polled.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// Has a report look at the wait, if there is one and nobody polls it. No code of Python may run in there.
    pub(super) fn look<R>(&self, look: impl FnOnce(&dyn Observable) -> R) -> Option<R> {
        let running = self.running.try_lock();
        running
            .as_deref()
            .and_then(|wait| wait.as_deref().map(|wait| look(wait.observable())))
    }

    /// Whether the coroutine is suspended, and was not woken.
    pub(super) fn is_asleep(&self) -> bool {
        let place = self.place.lock();
        place.suspended.is_some() && !place.woken
    }

    /// What an observer knows of the wait.
    pub(super) fn observed(&self) -> Option<&TaskWait> {
        self.observed.get().map(|observed| &**observed)
    }

    /// An observer gets to know of the wait, whose coroutine is in these functions of this thread.
    pub(super) fn observe(&self, frames: Vec<Frame>, runs_in: Option<ThreadNumber>) {
        let known = self.look(|wait| (wait.resource(), wait.waiter_address()));
        if let Some((resource, waiter)) = known {
            let observed = TaskWait::new(runs_in, resource, frames, waiter);
            let _ = self.observed.set(Box::new(observed));
        }
    }

    /// The wait is over. `over`: what it was, if it is still there.
    fn end_observation(&self, over: Option<&dyn Running>, is_completed: bool) {
        if let Some(observed) = self.observed.get() {
            let by = (over.map(|over| over.observable().take_waker())).unwrap_or_default();
            observed.end(is_completed, by);
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
        let over = (self.try_running()).and_then(|mut polled| polled.running.take());
        if over.is_some() {
            self.end_observation(None, false);
        }
        drop(over);
    }

    /// When to wake the wait although nobody has.
    pub(super) fn due(&self) -> Deadline {
        let Some(polled) = self.try_running() else {
            return Deadline::NEVER;
        };
        (polled.running.as_ref()).map_or(Deadline::NEVER, |running| running.due())
    }

    /// Wakes the coroutine, or has it polled again.
    pub(super) fn wake(&self) {
        let suspended = {
            let mut place = self.place.lock();
            if std::mem::replace(&mut place.woken, true) {
                return;
            }
            place.suspended.clone()
        };
        if let Some(observed) = self.observed.get() {
            observed.woken();
        }
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
