//! `readable(source)`: a descriptor that is readable as long as the source is ready, for `selectors` and event loops.

use std::os::raw::c_int;
use std::sync::{Arc, Weak};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::bindings::channels::{Channel, Subscription, WatchReader};
use crate::bindings::future::Future;
use crate::bindings::queue::{Queue, SimpleQueue};
use crate::bindings::runtime::bell::Bell;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Event;
use crate::bindings::waiting::arms::{QueueOf, channel_of};
use crate::bindings::waiting::source::{end_of_thread, fell_back};
use crate::primitives::FellBack;
use crate::wait::sync::Mutex;
use crate::wait::{Ticket, Waiter, Wake, generation};

/// The source that `readable` makes a descriptor for.
enum Watched {
    Queue(Py<Queue>),
    SimpleQueue(Py<SimpleQueue>),
    Event(Py<Event>),
    Future(Py<Future>),
    Channel(Py<Channel>),
    Subscription(Py<Subscription>),
    WatchReader(Py<WatchReader>),
}

impl Watched {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(queue) = QueueOf::of(object)? {
            return Ok(match queue {
                QueueOf::Queue(queue) => Self::Queue(queue.unbind()),
                QueueOf::SimpleQueue(queue) => Self::SimpleQueue(queue.unbind()),
            });
        }
        if let Ok(event) = object.cast::<Event>() {
            return Ok(Self::Event(event.clone().unbind()));
        }
        if let Ok(future) = object.cast::<Future>() {
            return Ok(Self::Future(future.clone().unbind()));
        }
        if let Some(channel) = channel_of(object)? {
            return Ok(Self::Channel(channel.unbind()));
        }
        if let Ok(subscription) = object.cast::<Subscription>() {
            return Ok(Self::Subscription(subscription.clone().unbind()));
        }
        if let Ok(reader) = object.cast::<WatchReader>() {
            return Ok(Self::WatchReader(reader.clone().unbind()));
        }
        if let Some(event) = end_of_thread(object)? {
            return Ok(Self::Event(event.unbind()));
        }
        Err(PyTypeError::new_err(format!(
            "readable() needs a queue, a channel, a subscription, an event or a future of oxthreads, or a thread, not a \
             {}.{}",
            object.get_type().module()?,
            object.get_type().qualname()?
        )))
    }

    fn watch(&self, py: Python<'_>, ticket: Ticket, level: &Arc<Level>) -> PyResult<()> {
        let watcher = || Waiter::of(Watcher(Arc::clone(level)));
        let watched = match self {
            Self::Queue(queue) => queue.get().primitive().watch(ticket, &watcher()),
            Self::SimpleQueue(queue) => queue.get().primitive().watch(ticket, &watcher()),
            Self::Event(event) => event.get().primitive().watch(ticket, &watcher()),
            Self::Channel(channel) => {
                channel.get().primitive().watch(ticket, &watcher());
                Ok(())
            }
            Self::Subscription(subscription) => {
                (subscription.get().primitive()).watch(ticket, &watcher());
                Ok(())
            }
            Self::WatchReader(reader) => {
                reader.get().primitive().watch_changes(ticket, &watcher());
                Ok(())
            }
            // It calls back, also if it uses the standard library by then.
            Self::Future(future) => {
                let ringer = Ringer {
                    level: Arc::downgrade(level),
                    generation: generation(),
                };
                let future = future.bind(py).as_any();
                let added = foreign::call_method(future, "add_done_callback", (ringer,), None);
                return added.map(foreign::release);
            }
        };
        watched.map_err(|FellBack| fell_back(&self.bind(py)))
    }

    fn unwatch(&self, ticket: Ticket) {
        match self {
            Self::Queue(queue) => queue.get().primitive().unwatch(ticket),
            Self::SimpleQueue(queue) => queue.get().primitive().unwatch(ticket),
            Self::Event(event) => event.get().primitive().unwatch(ticket),
            // Its callback stays, and finds no bell.
            Self::Future(_) => {}
            Self::Channel(channel) => channel.get().primitive().unwatch(ticket),
            Self::Subscription(subscription) => subscription.get().primitive().unwatch(ticket),
            Self::WatchReader(reader) => reader.get().primitive().unwatch(ticket),
        }
    }

    fn bind<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Queue(queue) => queue.bind(py).clone().into_any(),
            Self::SimpleQueue(queue) => queue.bind(py).clone().into_any(),
            Self::Event(event) => event.bind(py).clone().into_any(),
            Self::Future(future) => future.bind(py).clone().into_any(),
            Self::Channel(channel) => channel.bind(py).clone().into_any(),
            Self::Subscription(subscription) => subscription.bind(py).clone().into_any(),
            Self::WatchReader(reader) => reader.bind(py).clone().into_any(),
        }
    }
}

/// The bell, as the source tells it.
struct Level(Mutex<Told>);

struct Told {
    /// `None`: it is closed.
    bell: Option<Bell>,
    is_ready: bool,
}

impl Level {
    fn tell(&self, ready: bool) {
        let mut told = self.0.lock();
        if std::mem::replace(&mut told.is_ready, ready) == ready {
            return;
        }
        if let Some(bell) = &told.bell {
            if ready {
                bell.ring();
            } else {
                bell.silence();
            }
        }
    }
}

struct Watcher(Arc<Level>);

impl Wake for Watcher {
    fn claim(&self) -> bool {
        false
    }

    fn wake(&self) {}

    fn tell(&self, ready: bool) {
        self.0.tell(ready);
    }
}

/// The done callback of a future whose descriptor is open.
#[pyclass(frozen)]
struct Ringer {
    level: Weak<Level>,
    /// The process that the descriptor belongs to.
    generation: u32,
}

#[pymethods]
impl Ringer {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        if self.generation == generation()
            && let Some(level) = self.level.upgrade()
        {
            level.tell(true);
        }
    }
}

/// A descriptor in use.
struct Watching {
    ticket: Ticket,
    level: Arc<Level>,
    number: c_int,
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
            let former = std::mem::replace(now, Self::begin(&self.watched, py)?);
            former.level.0.lock().bell = None;
        }
        Ok(now.number)
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
            Watched::Channel(channel) => visit.call(channel),
            Watched::Subscription(subscription) => visit.call(subscription),
            Watched::WatchReader(reader) => visit.call(reader),
        }
    }
}

impl Readable {
    fn begin(watched: &Watched, py: Python<'_>) -> PyResult<Watching> {
        let bell = Bell::new()?;
        let number = bell.number();
        let level = Arc::new(Level(Mutex::new(Told {
            bell: Some(bell),
            is_ready: false,
        })));
        let ticket = Ticket::last();
        watched.watch(py, ticket, &level)?;
        Ok(Watching {
            ticket,
            level,
            number,
            generation: generation(),
        })
    }

    fn end(&self, watching: Option<Watching>) {
        let Some(watching) = watching else {
            return;
        };
        // The source of a forked child knows nothing of what its parent has watched.
        if watching.generation == generation() {
            self.watched.unwatch(watching.ticket);
        }
        watching.level.0.lock().bell = None;
    }
}

impl Drop for Readable {
    fn drop(&mut self) {
        let watching = self.watching.get_mut().take();
        self.end(watching);
    }
}
