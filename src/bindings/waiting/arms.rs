//! `put(queue, item)` and `get(queue, max_items)`: what `select` is to do with a queue.

use std::collections::VecDeque;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::queue::{Item, Queue, SimpleQueue, list, most};
use crate::bindings::runtime::observed::Observed;
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
    let (class, native) = (queue.get_type(), queue.py().get_type::<SimpleQueue>());
    for name in [intern!(queue.py(), "get"), intern!(queue.py(), "put")] {
        if !class.getattr(name)?.is(native.getattr(name)?) {
            return Ok(true);
        }
    }
    Ok(false)
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
    queue: KeptQueue,
    item: Py<PyAny>,
}

#[pymethods]
impl Put {
    #[new]
    #[pyo3(signature = (queue, item))]
    fn new(queue: &Bound<'_, PyAny>, item: Py<PyAny>) -> PyResult<Self> {
        Ok(Self {
            queue: KeptQueue::of(queue)?,
            item,
        })
    }

    /// The queue.
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
    pub(super) fn queue<'py>(&self, py: Python<'py>) -> QueueOf<'py> {
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
