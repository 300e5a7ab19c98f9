//! `readable(source)`: a descriptor that is readable as long as the source is ready, for `selectors` and event loops.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::bindings::future::Future;
use crate::bindings::queue::{Queue, SimpleQueue};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Event;
use crate::bindings::waiting::arms::QueueOf;
use crate::bindings::waiting::bell::Bell;
use crate::bindings::waiting::source::{Source, fell_back};
use crate::primitives::FellBack;
use crate::wait::sync::{Arc, Mutex};
use crate::wait::{Ticket, Waiter, Wake, generation};

/// The source that `readable` makes a descriptor for.
enum Watched {
    Queue(Py<Queue>),
    SimpleQueue(Py<SimpleQueue>),
    Event(Py<Event>),
    Future(Py<Future>),
}

impl Watched {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match Source::of(object)? {
            Source::Queue(QueueOf::Queue(queue)) => Ok(Self::Queue(queue.unbind())),
            Source::Queue(QueueOf::SimpleQueue(queue)) => Ok(Self::SimpleQueue(queue.unbind())),
            Source::Event(event) | Source::Thread(event) => Ok(Self::Event(event.unbind())),
            Source::Future(future) => Ok(Self::Future(future.unbind())),
            _ => Err(PyTypeError::new_err(format!(
                "readable() needs a queue, an event, a future or a thread, not a {} object",
                object.get_type().qualname()?
            ))),
        }
    }

    fn watch(&self, ticket: Ticket, watcher: &Arc<Waiter>) -> Result<(), FellBack> {
        match self {
            Self::Queue(queue) => queue.get().primitive().watch(ticket, watcher),
            Self::SimpleQueue(queue) => queue.get().primitive().watch(ticket, watcher),
            Self::Event(event) => event.get().primitive().watch(ticket, watcher),
            Self::Future(future) => future.get().primitive().watch(ticket, watcher),
        }
    }

    fn unwatch(&self, ticket: Ticket) {
        match self {
            Self::Queue(queue) => queue.get().primitive().unwatch(ticket),
            Self::SimpleQueue(queue) => queue.get().primitive().unwatch(ticket),
            Self::Event(event) => event.get().primitive().unwatch(ticket),
            Self::Future(future) => future.get().primitive().unwatch(ticket),
        }
    }

    fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Queue(queue) => queue.bind(py).clone().into_any(),
            Self::SimpleQueue(queue) => queue.bind(py).clone().into_any(),
            Self::Event(event) => event.bind(py).clone().into_any(),
            Self::Future(future) => future.bind(py).clone().into_any(),
        }
    }
}

/// The bell, as the source tells it.
struct Level {
    bell: Bell,
    is_ready: AtomicBool,
}

struct Watcher(Arc<Level>);

impl Wake for Watcher {
    fn claim(&self) -> bool {
        false
    }

    fn wake(&self) {}

    /// The calls come one after the other, under the leaf lock of the source.
    fn tell(&self, ready: bool) {
        let level = &self.0;
        if level.is_ready.swap(ready, Ordering::Relaxed) == ready {
            return;
        }
        if ready {
            level.bell.ring();
        } else {
            level.bell.silence();
        }
    }
}

/// A descriptor in use.
struct Watching {
    ticket: Ticket,
    level: Arc<Level>,
    /// The process that it belongs to.
    generation: u32,
}

/// The file that `readable` makes.
#[pyclass(frozen, weakref, name = "Readable", module = "oxthreads.waiting")]
pub(crate) struct Readable {
    watched: Watched,
    /// The object that was given, which may be a thread.
    source: Py<PyAny>,
    /// `None`: it is closed.
    watching: Mutex<Option<Watching>>,
}

#[pymethods]
impl Readable {
    #[new]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let watched = Watched::of(source)?;
        let watching = Self::begin(&watched, source.py())?;
        Ok(Self {
            watched,
            source: source.clone().unbind(),
            watching: Mutex::new(Some(watching)),
        })
    }

    /// The source.
    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.source.bind(py).clone()
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.watching.lock().is_none()
    }

    /// Return the number of the file descriptor.
    ///
    /// Raises:
    ///     ValueError: it is closed.
    fn fileno(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut watching = self.watching.lock();
        let Some(now) = &mut *watching else {
            return Err(PyValueError::new_err("I/O operation on closed file"));
        };
        // A forked child shares the descriptor with its parent, and the sources there would change it.
        if now.generation != generation() {
            *now = Self::begin(&self.watched, py)?;
        }
        Ok(now.level.bell.number())
    }

    /// Close the descriptor. A second call does nothing.
    fn close(&self) {
        let watching = self.watching.lock().take();
        self.end(watching);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        _exc_type: &Bound<'_, PyAny>,
        _exc_value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close();
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let state = if self.closed() { "closed " } else { "" };
        Ok(format!(
            "<{state}oxthreads.waiting.readable({})>",
            self.source.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)?;
        match &self.watched {
            Watched::Queue(queue) => visit.call(queue),
            Watched::SimpleQueue(queue) => visit.call(queue),
            Watched::Event(event) => visit.call(event),
            Watched::Future(future) => visit.call(future),
        }
    }
}

impl Readable {
    fn begin(watched: &Watched, py: Python<'_>) -> PyResult<Watching> {
        let level = Arc::new(Level {
            bell: Bell::new()?,
            is_ready: AtomicBool::new(false),
        });
        let ticket = Ticket::last();
        let watcher = Waiter::of(Watcher(Arc::clone(&level)));
        match watched.watch(ticket, &watcher) {
            Ok(()) => Ok(Watching {
                ticket,
                level,
                generation: generation(),
            }),
            Err(FellBack) => Err(fell_back(&watched.bind(py))),
        }
    }

    /// The source of a forked child knows nothing of what its parent has watched.
    fn end(&self, watching: Option<Watching>) {
        if let Some(watching) = watching
            && watching.generation == generation()
        {
            self.watched.unwatch(watching.ticket);
        }
    }
}

impl Drop for Readable {
    fn drop(&mut self) {
        let watching = self.watching.get_mut().take();
        self.end(watching);
    }
}
