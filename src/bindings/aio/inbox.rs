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
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Entry;
use super::library::{Loop, Reached, keep};
use super::raise_later::ask_later;
use super::watched;
use crate::bindings::runtime::lazy::LazyImport;
use crate::wait::generation;
use crate::wait::observe::ThreadNumber;

static START_THREAD: LazyImport = LazyImport::new(("_thread", "start_new_thread"));

/// How often a thread of its own asks a loop again, and what is between.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

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
    fn get(&self, key: Key) -> Option<&Suspended> {
        let slot = self.slots.get(key.place)?.as_ref();
        slot.filter(|suspended| suspended.number == key.number)
    }

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
    /// The thread in which it was made.
    pub(super) thread: Option<ThreadNumber>,
}

thread_local! {
    /// The waits that this thread must end because their loop is closed, while it ends another one.
    static TO_END: RefCell<Option<Vec<Arc<Entry>>>> = const { RefCell::new(None) };
}

impl Inbox {
    /// # Errors
    /// What the imports raised that it may need when nothing can be imported any more.
    pub(super) fn new(py: Python<'_>, event_loop: Loop) -> PyResult<Arc<Self>> {
        START_THREAD.get(py)?;
        event_loop.prepare(py)?;
        let inbox = Arc::new(Self {
            state: Mutex::default(),
            event_loop,
            closed: AtomicBool::new(false),
            generation: generation(),
            thread: ThreadNumber::current(),
        });
        watched::add(&inbox);
        Ok(inbox)
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

    /// The coroutines that are suspended: what wakes each, and its wait.
    pub(super) fn suspended(&self, py: Python<'_>) -> Vec<(Py<PyAny>, Arc<Entry>)> {
        let state = self.state.lock();
        let suspended = state.slots.iter().flatten();
        suspended
            .map(|each| (each.handle.clone_ref(py), Arc::clone(&each.entry)))
            .collect()
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
                let mut raised = None;
                if self.wake(py, key, &mut raised) == Reached::No {
                    self.post(py, [key]);
                }
                if let Some(raised) = raised {
                    keep(py, raised);
                }
            } else {
                self.post(py, [key]);
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }

    /// Wakes a coroutine in the loop's own thread.
    fn wake(&self, py: Python<'_>, key: Key, raised: &mut Option<PyErr>) -> Reached {
        // It is taken out afterwards: if it cannot be woken now, it must still be found.
        let handle = {
            let state = self.state.lock();
            state
                .get(key)
                .map(|suspended| suspended.handle.clone_ref(py))
        };
        let Some(handle) = handle else {
            return Reached::Yes;
        };
        let reached = self.event_loop.wake(py, &handle, raised);
        match reached {
            Reached::Yes => drop(self.remove(key)),
            Reached::Closed => self.close(),
            Reached::No => {}
        }
        reached
    }

    fn post(self: &Arc<Self>, py: Python<'_>, keys: impl IntoIterator<Item = Key>) {
        {
            let mut state = self.state.lock();
            state.woken.extend(keys);
            if std::mem::replace(&mut state.scheduled, true) {
                return;
            }
        }
        self.ask(py);
    }

    /// Asks the loop to look. It is noted already that it is asked.
    pub(super) fn ask(self: &Arc<Self>, py: Python<'_>) {
        match self.event_loop.schedule(py, self) {
            Reached::Yes => {}
            Reached::Closed => self.close(),
            Reached::No => {
                let asker = Bound::new(py, Asker(Arc::clone(self)));
                let started = asker.and_then(|asker| START_THREAD.get(py)?.call1((asker, ())));
                if started.is_err() && !ask_later(py, self) {
                    // Whoever wakes another coroutine tries again.
                    self.state.lock().scheduled = false;
                }
            }
        }
    }

    /// The loop has dropped a look that it was asked for.
    fn look_was_dropped(self: &Arc<Self>, py: Python<'_>) {
        if self.is_closed() || !self.is_of_this_process() {
            return;
        }
        if self.event_loop.is_closed(py) {
            self.close();
            return;
        }
        {
            let mut state = self.state.lock();
            state.scheduled = !state.woken.is_empty();
            if !state.scheduled {
                return;
            }
        }
        self.ask(py);
    }

    /// Wakes in the loop's own thread those that were put in.
    pub(super) fn look(self: &Arc<Self>, py: Python<'_>) {
        // First: what is put in afterwards asks again.
        self.event_loop.has_looked();
        let woken = {
            let mut state = self.state.lock();
            state.scheduled = false;
            std::mem::take(&mut state.woken)
        };
        // What a signal handler raises meanwhile is raised afterwards, or it would be raised in the middle of the next wake.
        let mut raised = None;
        let mut left = Vec::new();
        for key in woken {
            if self.wake(py, key, &mut raised) == Reached::No {
                left.push(key);
            }
        }
        if !left.is_empty() {
            self.post(py, left);
        }
        if let Some(raised) = raised {
            keep(py, raised);
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
pub(super) struct Look {
    inbox: Arc<Inbox>,
    /// The loop was asked to call it, and has not done so.
    is_due: AtomicBool,
    was_called: AtomicBool,
    /// A bell calls it, any number of times.
    is_for_bell: bool,
}

impl Look {
    pub(super) fn new(inbox: &Arc<Inbox>) -> Self {
        Self {
            inbox: Arc::clone(inbox),
            is_due: AtomicBool::new(false),
            was_called: AtomicBool::new(false),
            is_for_bell: false,
        }
    }

    pub(super) fn for_bell(inbox: &Arc<Inbox>) -> Self {
        let mut look = Self::new(inbox);
        *look.is_due.get_mut() = true;
        look.is_for_bell = true;
        look
    }

    /// The loop has taken it over, and may have called it already.
    pub(super) fn is_accepted(&self) {
        self.is_due.store(true, Ordering::SeqCst);
    }
}

#[pymethods]
impl Look {
    #[pyo3(signature = (*_arguments))]
    fn __call__(&self, py: Python<'_>, _arguments: &Bound<'_, pyo3::types::PyTuple>) {
        self.was_called.store(!self.is_for_bell, Ordering::SeqCst);
        self.inbox.look(py);
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        // A loop that is closed drops what it was asked for.
        if *self.is_due.get_mut() && !*self.was_called.get_mut() {
            let _ = Python::try_attach(|py| {
                let raised = PyErr::take(py);
                self.inbox.look_was_dropped(py);
                if let Some(raised) = raised {
                    raised.restore(py);
                }
            });
        }
    }
}

/// Asks the loop to look, from a thread of its own: the recursion of the thread that should do it was too deep.
#[pyclass(frozen, module = "oxthreads._oxthreads", name = "_Asker")]
struct Asker(Arc<Inbox>);

#[pymethods]
impl Asker {
    fn __call__(&self, py: Python<'_>) {
        let inbox = &self.0;
        for _ in 0..ATTEMPTS {
            match inbox.event_loop.schedule(py, inbox) {
                Reached::Yes => return,
                Reached::Closed => return inbox.close(),
                Reached::No => py.detach(|| std::thread::sleep(PAUSE)),
            }
        }
        inbox.state.lock().scheduled = false;
    }
}
