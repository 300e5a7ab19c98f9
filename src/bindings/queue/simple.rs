//! `SimpleQueue`: a complete class, which uses `primitives/queue/`.

use std::collections::VecDeque;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyTuple, PyType};

use crate::bindings::queue::basic_size;
use crate::bindings::queue::batches::{self, PutMany, QueueIterator, Refused};
use crate::bindings::queue::fast_path::FastQueue;
use crate::bindings::queue::item::{self, Item};
use crate::bindings::queue::profiled;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::{block, errors, timeout};
use crate::primitives::queue::{self, GetError, PutError};
use crate::wait::deadline::Deadline;

/// An unbounded FIFO queue: items come out in the order in which they were put in.
///
/// Thread-safe and reentrant: ``put`` may be called from ``__del__``, a weakref callback or a signal handler.
/// Waiting threads are woken in the order in which they came. Other threads may overtake them. But a waiting
/// thread that has lost an item in this way, and has waited for one millisecond, is handed the next item.
///
/// Differences from queue.SimpleQueue: ``shutdown``, ``is_shutdown``, ``get_many``, ``put_many``, ``iterate``,
/// ``peek``, ``peek_nowait`` and ``clear`` are additions. A ``get`` that a signal handler or an asynchronous exception ends has taken
/// no item. It is not a subclass of the standard class, which has a memory layout of its own.
///
/// Example:
///
///     >>> from oxthreads import queue
///     >>> items = queue.SimpleQueue()
///     >>> items.put("a")
///     >>> items.get()
///     'a'
#[pyclass(
    subclass,
    frozen,
    weakref,
    name = "SimpleQueue",
    module = "oxthreads.queue"
)]
pub(crate) struct SimpleQueue {
    inner: queue::Queue<Item>,
}

lazy_imports! {
    for SimpleQueue, with item::IMPORTS, batches::IMPORTS, timeout::OF_SIMPLE_QUEUE,
        errors::EMPTY_OF_C, errors::FULL, errors::SHUT_DOWN;
}

impl SimpleQueue {
    #[inline]
    fn put_item(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        self.inner
            .try_put(Item::new(item))
            .map_err(|error| put_refused(py, error))
    }

    #[cold]
    fn get_waiting<'py>(slf: &Bound<'py, Self>, deadline: Deadline) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let queue = &slf.get().inner;
        profiled::note_waited_for(slf.as_any(), queue);
        match block::wait(py, &mut queue.get(), deadline)? {
            Some(Ok(item)) => Ok(item.into_bound(py)),
            None => Err(errors::empty_of_c(py)),
            Some(Err(error)) => Err(get_refused(py, error)),
        }
    }
}

impl FastQueue for SimpleQueue {
    #[inline]
    fn items(&self) -> &queue::Queue<Item> {
        &self.inner
    }
}

#[cold]
fn put_refused(py: Python<'_>, error: PutError<Item, PyErr>) -> PyErr {
    match error {
        PutError::Full(_) => errors::full(py),
        PutError::ShutDown(_) | PutError::FellBack(_) => errors::shut_down(py),
        PutError::Comparison(_, error) => error,
    }
}

#[cold]
fn get_refused(py: Python<'_>, error: GetError<PyErr>) -> PyErr {
    match error {
        GetError::Empty => errors::empty_of_c(py),
        GetError::ShutDown | GetError::FellBack => errors::shut_down(py),
        GetError::Comparison(error) => error,
    }
}

impl Observed for SimpleQueue {
    type Primitive = queue::Queue<Item>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl SimpleQueue {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, **keywords), text_signature = "()")]
    fn new(
        cls: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let given = args.len() + keywords.map_or(0, |keywords| keywords.len());
        if given > 0 {
            // As in the standard class: a subclass with an `__init__` may take any arguments.
            let ours = cls.py().get_type::<Self>();
            if foreign::attribute(cls.as_any(), intern!(cls.py(), "__init__"))?
                .is(ours.getattr("__init__")?)
            {
                return Err(PyTypeError::new_err(if args.is_empty() {
                    "SimpleQueue() takes no keyword arguments".to_owned()
                } else {
                    format!("SimpleQueue() takes no arguments ({given} given)")
                }));
            }
        }
        Ok(Self {
            inner: queue::Queue::new(0),
        })
    }

    /// Put an item into the queue. It never waits; block and timeout are ignored.
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     queue.ShutDown: the queue was shut down.
    #[pyo3(signature = (item, block=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        &self,
        item: Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<()> {
        block.is_true_or(true)?;
        drop(timeout);
        self.put_item(item)
    }

    /// Same as put(item).
    fn put_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        self.put_item(item)
    }

    /// Remove the item that was put first, and return it. Wait for one if necessary.
    ///
    /// Args:
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     queue.Empty: there was no item in time.
    ///     queue.ShutDown: the queue was shut down and is empty.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let deadline = timeout::of_simple_queue(&block, timeout)?;
        match (slf.get().inner.try_get(), deadline) {
            (Ok(item), _) => Ok(item.into_bound(py)),
            (Err(GetError::Empty), Some(deadline)) => Self::get_waiting(slf, deadline),
            (Err(error), _) => Err(get_refused(py, error)),
        }
    }

    /// Same as get(block=False).
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.inner.try_get() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(error) => Err(get_refused(py, error)),
        }
    }

    /// Put all items of an iterable into the queue, in their order. It never waits. Not in queue.SimpleQueue.
    ///
    /// Args:
    ///     iterable: the items.
    ///     block, timeout: ignored.
    ///
    /// Raises:
    ///     queue.ShutDown: the queue was shut down.
    ///     BaseException: what the iterable raised.
    ///
    /// Up to 1,024 items are taken from the iterable at a time, and put in one step. If an exception is raised, the
    /// items that were put before stay in the queue. The exception has two more attributes: items_put is their
    /// number (int), and not_put is the list of the items that were taken from the iterable but not put.
    #[pyo3(signature = (iterable, block=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, iterable, block=True, timeout=None)")]
    fn put_many(
        &self,
        iterable: &Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<()> {
        block.is_true_or(true)?;
        drop(timeout);
        let mut put_many = PutMany::new(iterable)?;
        match put_many.run(&self.inner, None) {
            Ok(()) => Ok(()),
            Err(Refused::ByQueue(error)) => Err(put_refused(iterable.py(), error)),
            Err(Refused::Raised(error)) => Err(put_many.describe(error)),
        }
    }

    /// Wait for an item, then remove it and those that follow it, and return them in order.
    /// Not in queue.SimpleQueue.
    ///
    /// Args:
    ///     max_items (int or None): at most so many items. None means all that are there. With zero the list is
    ///         empty.
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait for the first item, in seconds. None means no limit.
    ///
    /// Returns:
    ///     list: the items.
    ///
    /// Raises:
    ///     queue.Empty: there was no item in time.
    ///     queue.ShutDown: the queue was shut down and is empty.
    ///     ValueError: timeout or max_items is negative.
    #[pyo3(signature = (max_items=None, block=Argument::Absent, timeout=None),
           text_signature = "($self, max_items=None, block=True, timeout=None)")]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        max_items: Option<isize>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = timeout::of_simple_queue(&block, timeout)?;
        let most = batches::most(max_items)?;
        let mut taken = VecDeque::new();
        match batches::get_many(py, &self.inner, most, &mut taken, deadline) {
            Ok(()) => Ok(batches::list(py, taken)?.into_any()),
            Err(Refused::ByQueue(error)) => Err(get_refused(py, error)),
            Err(Refused::Raised(error)) => Err(error),
        }
    }

    /// Return the item that get() would return now, and leave it in the queue. Wait for one if necessary. Another thread
    /// may get it at any time. Not in queue.SimpleQueue.
    ///
    /// Args:
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     queue.Empty: there was no item in time.
    ///     queue.ShutDown: the queue was shut down and is empty.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn peek<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, queue) = (slf.py(), &slf.get().inner);
        let deadline = timeout::of_simple_queue(&block, timeout)?;
        let deadline = match (queue.try_peek(), deadline) {
            (Ok(item), _) => return Ok(item.into_bound(py)),
            (Err(GetError::Empty), Some(deadline)) => deadline,
            (Err(error), _) => return Err(get_refused(py, error)),
        };
        profiled::note_waited_for(slf.as_any(), queue);
        match block::wait(py, &mut queue.peek(), deadline)? {
            Some(Ok(item)) => Ok(item.into_bound(py)),
            None => Err(errors::empty_of_c(py)),
            Some(Err(error)) => Err(get_refused(py, error)),
        }
    }

    /// Same as peek(block=False). Not in queue.SimpleQueue.
    fn peek_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.inner.try_peek() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(error) => Err(get_refused(py, error)),
        }
    }

    /// Remove all items, in one step, and return how many there were (int). Not in queue.SimpleQueue.
    fn clear(&self) -> usize {
        self.inner.clear().map_or(0, |items| items.len())
    }

    /// Return an iterator over the items. It removes each item with get(), waits for the next, and ends when the
    /// queue is shut down and empty. Not in queue.SimpleQueue.
    fn iterate(slf: &Bound<'_, Self>) -> PyResult<QueueIterator> {
        QueueIterator::new(slf.as_any())
    }

    /// Return the number of items (int). Other threads may have changed it by the time the caller uses it.
    fn qsize(&self) -> usize {
        self.inner.len()
    }

    /// Return whether the queue has no items. Other threads may have changed that by the time the caller uses it.
    fn empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Shut the queue down. From then on put() raises queue.ShutDown, and so does get() when the queue is empty. The
    /// same is raised in threads that wait in get(). Not in queue.SimpleQueue.
    ///
    /// Args:
    ///     immediate (bool): if True, drop all items first; so get() raises immediately.
    #[pyo3(signature = (immediate=Argument::Absent), text_signature = "($self, immediate=False)")]
    fn shutdown(&self, immediate: Argument<'_>) -> PyResult<()> {
        drop(self.inner.shut_down(immediate.is_true_or(false)?));
        Ok(())
    }

    /// Whether the queue was shut down. Not in queue.SimpleQueue.
    #[getter]
    fn _oxthreads_is_shutdown(&self) -> bool {
        self.inner.is_shut_down()
    }

    /// Return a generic alias, as the standard class does.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls.as_any(), item)
    }

    /// Return the size in bytes, with the lists of items and of waiting threads.
    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(basic_size(slf.as_any())? + slf.get().inner.allocated())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.try_for_each(|item| visit.call(item.object()))
    }

    fn __clear__(&self) {
        drop(self.inner.take_items());
    }
}
