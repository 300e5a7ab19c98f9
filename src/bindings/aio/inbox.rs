//! The inbox of an event loop: the coroutines that are suspended in it, and those of them that were woken.
//!
//! A thread that wakes a coroutine puts its key into the inbox, and asks the loop to look there, unless another thread has
//! asked since the loop looked last. So a burst of wakes costs the loop one.
//!
//! The inbox keeps the suspended tasks alive, and the loop keeps the inbox alive. So a task that waits for a queue is not
//! collected before its loop, and the collector sees all of it. The objects that are waited for know a task by its key
//! only.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Entry;
use super::library::Loop;
use crate::wait::generation;

/// By what a suspended coroutine is found: a place, and a number that no other coroutine in this inbox ever has.
#[derive(Clone, Copy)]
pub(super) struct Key {
    place: usize,
    number: u64,
}

/// A suspended coroutine.
pub(super) struct Suspended {
    /// What wakes it: a future of asyncio, or a task of trio.
    pub(super) handle: Py<PyAny>,
    entry: Arc<Entry>,
    number: u64,
}

#[derive(Default)]
struct State {
    slots: Vec<Option<Suspended>>,
    free: Vec<usize>,
    next_number: u64,
    woken: Vec<Key>,
    /// The loop was asked to look, and has not looked yet.
    scheduled: bool,
}

impl State {
    fn remove(&mut self, key: Key) -> Option<Suspended> {
        let slot = self.slots.get_mut(key.place)?;
        let content = slot.take_if(|suspended| suspended.number == key.number)?;
        self.free.push(key.place);
        Some(content)
    }
}

/// The inbox of one event loop.
pub(super) struct Inbox {
    /// No code of Python runs while it is held.
    state: Mutex<State>,
    event_loop: Loop,
    closed: AtomicBool,
    generation: u32,
}

thread_local! {
    /// The waits that this thread must end because their loop is closed, while it ends another one.
    static TO_END: RefCell<Option<Vec<Arc<Entry>>>> = const { RefCell::new(None) };
}

impl Inbox {
    pub(super) fn new(event_loop: Loop) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            event_loop,
            closed: AtomicBool::new(false),
            generation: generation(),
        })
    }

    pub(super) fn event_loop(&self) -> &Loop {
        &self.event_loop
    }

    /// Whether the loop takes nothing any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether it was made in this process, and not in its parent.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == generation()
    }

    /// Adds a suspended coroutine.
    pub(super) fn add(&self, handle: Py<PyAny>, entry: Arc<Entry>) -> Key {
        let mut state = self.state.lock();
        let number = state.next_number;
        state.next_number += 1;
        let suspended = Some(Suspended {
            handle,
            entry,
            number,
        });
        let place = match state.free.pop() {
            Some(place) => {
                state.slots[place] = suspended;
                place
            }
            None => {
                state.slots.push(suspended);
                state.slots.len() - 1
            }
        };
        Key { place, number }
    }

    /// Takes a coroutine out, if it is there. The caller drops it: that may run code of Python.
    pub(super) fn remove(&self, key: Key) -> Option<Suspended> {
        self.state.lock().remove(key)
    }

    /// Wakes the coroutine. In any thread that is attached to the interpreter.
    pub(super) fn deliver(self: &Arc<Self>, key: Key) {
        // While the interpreter is ending, no loop runs.
        let _ = Python::try_attach(|py| {
            // The wake may be part of the clean-up after an exception.
            let raised = PyErr::take(py);
            if self.is_closed() {
                self.refuse(self.remove(key));
            } else if self.event_loop.runs_task_here(py) {
                if let Some(suspended) = self.remove(key)
                    && !self.event_loop.wake(py, &suspended.handle)
                {
                    self.close();
                    self.refuse(Some(suspended));
                }
            } else {
                self.post(py, key);
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }

    fn post(self: &Arc<Self>, py: Python<'_>, key: Key) {
        {
            let mut state = self.state.lock();
            state.woken.push(key);
            if std::mem::replace(&mut state.scheduled, true) {
                return;
            }
        }
        if !self.event_loop.schedule(py, self) {
            self.close();
        }
    }

    /// Wakes in the loop's own thread those that were put in.
    pub(super) fn look(&self, py: Python<'_>) {
        // First: what is put in afterwards asks again.
        self.event_loop.has_looked();
        let woken: Vec<Suspended> = {
            let mut state = self.state.lock();
            state.scheduled = false;
            let keys = std::mem::take(&mut state.woken);
            keys.into_iter()
                .filter_map(|key| state.remove(key))
                .collect()
        };
        for suspended in woken {
            if !self.event_loop.wake(py, &suspended.handle) {
                self.close();
                self.refuse(Some(suspended));
            }
        }
    }

    /// Notes that the loop is closed. The waits in it give back what they were given, or leave their lists.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let slots = {
            let mut state = self.state.lock();
            state.woken.clear();
            state.free.clear();
            std::mem::take(&mut state.slots)
        };
        for slot in slots {
            self.refuse(slot);
        }
    }

    /// Ends a wait that its loop cannot take any more. What it gives back may wake another one in the same loop, so this
    /// must not call itself.
    #[allow(clippy::unused_self, reason = "it belongs to a closed inbox")]
    fn refuse(&self, suspended: Option<Suspended>) {
        let Some(Suspended { handle, entry, .. }) = suspended else {
            return;
        };
        let is_outermost = TO_END.with_borrow_mut(|to_end| match to_end {
            Some(to_end) => {
                to_end.push(entry);
                false
            }
            None => {
                *to_end = Some(vec![entry]);
                true
            }
        });
        drop(handle);
        if is_outermost {
            while let Some(entry) = TO_END.with_borrow_mut(|to_end| to_end.as_mut()?.pop()) {
                entry.end();
            }
            TO_END.set(None);
        }
    }
}

/// The inbox of an event loop, which the loop owns.
#[pyclass(frozen, weakref, module = "oxthreads._oxthreads", name = "_Inbox")]
pub(super) struct OwnedInbox(pub(super) Arc<Inbox>);

#[pymethods]
impl OwnedInbox {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(state) = self.0.state.try_lock() else {
            return Ok(());
        };
        for suspended in state.slots.iter().flatten() {
            visit.call(&suspended.handle)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.0.close();
    }
}

impl Drop for OwnedInbox {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the loop calls to look into the inbox.
#[pyclass(frozen, module = "oxthreads._oxthreads", name = "_Look")]
pub(super) struct Look(pub(super) Arc<Inbox>);

#[pymethods]
impl Look {
    #[pyo3(signature = (*_arguments))]
    fn __call__(&self, py: Python<'_>, _arguments: &Bound<'_, pyo3::types::PyTuple>) {
        self.0.look(py);
    }
}
