//! `put(queue, item)` and `get(queue, max_items)`: what `select` is to do with a queue, or with a channel.

use std::collections::VecDeque;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use crate::bindings::channels::{Broadcast, Channel};
use crate::bindings::queue::{DelayQueue, Item, Queue, SimpleQueue, list, most};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Limiter;
use crate::bindings::waiting::source::fell_back;
use crate::primitives::queue;

/// A queue of either class.
pub(crate) enum QueueOf<'py> {
    Queue(Bound<'py, Queue>),
    SimpleQueue(Bound<'py, SimpleQueue>),
}

impl<'py> QueueOf<'py> {
    /// The queue that the object is; `None` if it is none.
    ///
    /// # Errors
    /// TypeError, if its class or the object itself overrides `put` or `get`, or it uses the standard library.
    #[inline]
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if let Ok(queue) = object.cast::<Queue>() {
            if !Queue::is_direct(queue)? {
                return Err(fell_back(object));
            }
            return Ok(Some(Self::Queue(queue.clone())));
        }
        let Ok(queue) = object.cast::<SimpleQueue>() else {
            return Ok(None);
        };
        if !object.is_exact_instance_of::<SimpleQueue>() && overrides(object)? {
            return Err(fell_back(object));
        }
        Ok(Some(Self::SimpleQueue(queue.clone())))
    }

    #[inline]
    pub(crate) fn items(&self) -> &queue::Queue<Item> {
        match self {
            Self::Queue(queue) => queue.get().primitive(),
            Self::SimpleQueue(queue) => queue.get().primitive(),
        }
    }

    pub(crate) fn as_any(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Queue(queue) => queue.as_any(),
            Self::SimpleQueue(queue) => queue.as_any(),
        }
    }

    fn keep(self) -> KeptQueue {
        match self {
            Self::Queue(queue) => KeptQueue::Queue(queue.unbind()),
            Self::SimpleQueue(queue) => KeptQueue::SimpleQueue(queue.unbind()),
        }
    }
}

/// Whether the class of this `SimpleQueue` has a `get` or `put` of its own.
#[cold]
fn overrides(queue: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = queue.py();
    let names = [intern!(py, "get"), intern!(py, "put")];
    overrides_one(queue, &py.get_type::<SimpleQueue>(), &names)
}

/// Whether the class of the object has one of these methods of the native class of its own.
fn overrides_one(
    object: &Bound<'_, PyAny>,
    native: &Bound<'_, PyType>,
    names: &[&Bound<'_, PyString>],
) -> PyResult<bool> {
    let class = object.get_type();
    if class.is(native) {
        return Ok(false);
    }
    for name in names {
        if !class.getattr(*name)?.is(native.getattr(*name)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The channel that the object is; `None` if it is none.
///
/// # Errors
/// TypeError, if its class overrides `send` or `receive`.
pub(crate) fn channel_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Channel>>> {
    let Ok(channel) = object.cast::<Channel>() else {
        return Ok(None);
    };
    let py = object.py();
    let names = [intern!(py, "send"), intern!(py, "receive")];
    if overrides_one(object, &py.get_type::<Channel>(), &names)? {
        return Err(has_methods_of_its_own(object, "a send or receive"));
    }
    Ok(Some(channel.clone()))
}

/// The broadcast that the object is; `None` if it is none.
///
/// # Errors
/// TypeError, if its class overrides `send`.
pub(crate) fn broadcast_of<'py>(
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, Broadcast>>> {
    let Ok(broadcast) = object.cast::<Broadcast>() else {
        return Ok(None);
    };
    let py = object.py();
    let names = [intern!(py, "send")];
    if overrides_one(object, &py.get_type::<Broadcast>(), &names)? {
        return Err(has_methods_of_its_own(object, "a send or receive"));
    }
    Ok(Some(broadcast.clone()))
}

/// The delay queue that the object is; `None` if it is none.
///
/// # Errors
/// TypeError, if its class overrides `get`, `peek`, `put` or `put_at`.
pub(crate) fn delay_queue_of<'py>(
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, DelayQueue>>> {
    let Ok(queue) = object.cast::<DelayQueue>() else {
        return Ok(None);
    };
    let py = object.py();
    let names = [
        intern!(py, "get"),
        intern!(py, "peek"),
        intern!(py, "put"),
        intern!(py, "put_at"),
    ];
    if overrides_one(object, &py.get_type::<DelayQueue>(), &names)? {
        return Err(has_methods_of_its_own(object, "a get, peek or put"));
    }
    Ok(Some(queue.clone()))
}

/// The limiter that the object is; `None` if it is none.
///
/// # Errors
/// TypeError, if its class overrides `acquire` or `__enter__`.
pub(crate) fn limiter_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Limiter>>> {
    let Ok(limiter) = object.cast::<Limiter>() else {
        return Ok(None);
    };
    let py = object.py();
    let names = [intern!(py, "acquire"), intern!(py, "__enter__")];
    if overrides_one(object, &py.get_type::<Limiter>(), &names)? {
        return Err(has_methods_of_its_own(object, "an acquire or __enter__"));
    }
    Ok(Some(limiter.clone()))
}

#[cold]
fn has_methods_of_its_own(object: &Bound<'_, PyAny>, methods: &str) -> PyErr {
    match object.get_type().qualname() {
        Ok(name) => PyTypeError::new_err(format!(
            "this {name} cannot be waited for together with others, because its class has {methods} of its own, \
             which would not be called"
        )),
        Err(error) => error,
    }
}

/// What an item can be put into.
pub(super) enum Destination<'py> {
    Queue(QueueOf<'py>),
    Channel(Bound<'py, Channel>),
    Broadcast(Bound<'py, Broadcast>),
}

impl<'py> Destination<'py> {
    pub(super) fn as_any(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Queue(queue) => queue.as_any(),
            Self::Channel(channel) => channel.as_any(),
            Self::Broadcast(broadcast) => broadcast.as_any(),
        }
    }
}

/// The same, in an object.
enum KeptDestination {
    Queue(KeptQueue),
    Channel(Py<Channel>),
    Broadcast(Py<Broadcast>),
}

impl KeptDestination {
    /// # Errors
    /// TypeError, if it is nothing that `select` can use.
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(channel) = channel_of(object)? {
            return Ok(Self::Channel(channel.unbind()));
        }
        if let Some(broadcast) = broadcast_of(object)? {
            return Ok(Self::Broadcast(broadcast.unbind()));
        }
        KeptQueue::of(object).map(Self::Queue)
    }

    fn bind<'py>(&self, py: Python<'py>) -> Destination<'py> {
        match self {
            Self::Queue(queue) => Destination::Queue(queue.bind(py)),
            Self::Channel(channel) => Destination::Channel(channel.bind(py).clone()),
            Self::Broadcast(broadcast) => Destination::Broadcast(broadcast.bind(py).clone()),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Queue(queue) => queue.visit(visit),
            Self::Channel(channel) => visit.call(channel),
            Self::Broadcast(broadcast) => visit.call(broadcast),
        }
    }
}

/// A queue of either class, in an object.
enum KeptQueue {
    Queue(Py<Queue>),
    SimpleQueue(Py<SimpleQueue>),
}

impl KeptQueue {
    /// # Errors
    /// TypeError, if it is no queue that `select` can use.
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match QueueOf::of(object)? {
            Some(queue) => Ok(queue.keep()),
            None => Err(PyTypeError::new_err(format!(
                "an oxthreads queue is needed, not a {}.{}",
                object.get_type().module()?,
                object.get_type().qualname()?
            ))),
        }
    }

    fn bind<'py>(&self, py: Python<'py>) -> QueueOf<'py> {
        match self {
            Self::Queue(queue) => QueueOf::Queue(queue.bind(py).clone()),
            Self::SimpleQueue(queue) => QueueOf::SimpleQueue(queue.bind(py).clone()),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Queue(queue) => visit.call(queue),
            Self::SimpleQueue(queue) => visit.call(queue),
        }
    }
}

/// The source that `put(queue, item)` makes.
#[pyclass(frozen, name = "Put", module = "oxthreads.waiting")]
pub(crate) struct Put {
    queue: KeptDestination,
    item: Py<PyAny>,
}

#[pymethods]
impl Put {
    #[new]
    #[pyo3(signature = (queue, item))]
    fn new(queue: &Bound<'_, PyAny>, item: Py<PyAny>) -> PyResult<Self> {
        Ok(Self {
            queue: KeptDestination::of(queue)?,
            item,
        })
    }

    /// The queue, channel or broadcast.
    #[getter(queue)]
    fn get_queue<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.queue.bind(py).as_any().clone()
    }

    /// The item.
    #[getter(item)]
    fn get_item<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.item(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "oxthreads.waiting.put({}, {})",
            self.get_queue(py).repr()?,
            self.item(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.queue.visit(&visit)?;
        visit.call(&self.item)
    }
}

impl Put {
    pub(super) fn destination<'py>(&self, py: Python<'py>) -> Destination<'py> {
        self.queue.bind(py)
    }

    pub(super) fn item<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.item.bind(py).clone()
    }
}

/// The source that `get(queue, max_items)` makes.
#[pyclass(frozen, name = "GetMany", module = "oxthreads.waiting")]
pub(crate) struct GetMany {
    queue: KeptQueue,
    /// `None`: no limit.
    max_items: Option<isize>,
    most: usize,
}

#[pymethods]
impl GetMany {
    #[new]
    #[pyo3(signature = (queue, max_items=None))]
    fn new(queue: &Bound<'_, PyAny>, max_items: Option<isize>) -> PyResult<Self> {
        Ok(Self {
            queue: KeptQueue::of(queue)?,
            max_items,
            most: most(max_items)?,
        })
    }

    /// The queue.
    #[getter(queue)]
    fn get_queue<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.queue.bind(py).as_any().clone()
    }

    /// The greatest number of items; None means no limit.
    #[getter(max_items)]
    fn get_max_items(&self) -> Option<isize> {
        self.max_items
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let queue = self.get_queue(py).repr()?;
        Ok(match self.max_items {
            Some(most) => format!("oxthreads.waiting.get({queue}, {most})"),
            None => format!("oxthreads.waiting.get({queue})"),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.queue.visit(&visit)
    }
}

impl GetMany {
    pub(super) fn queue<'py>(&self, py: Python<'py>) -> QueueOf<'py> {
        self.queue.bind(py)
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn list(py: Python<'_>, taken: VecDeque<Item>) -> PyResult<Bound<'_, PyAny>> {
        Ok(list(py, taken)?.into_any())
    }
}
