//! `SimpleQueue`

use std::collections::VecDeque;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyGenericAlias, PyTuple, PyType};

use super::at_once::Holds;
use super::batches::{self, Putting, QueueIterator, Refused};
use super::item::Item;
use super::{basic_size, detach, errors};
use crate::bindings::argument::Argument;
use crate::bindings::kept::Kept;
use crate::bindings::timeout::number;
use crate::bindings::user_code;
use crate::primitives::deadline::Deadline;
use crate::primitives::queue::{self as core, GetError, PutError};

/// A queue without bound, from which items come out in the order they were put in.
///
/// Thread-safe, and re-entrant: ``put`` may be called from ``__del__``, a weakref callback or a
/// signal handler. Waiters are served in the order they came.
///
/// Differences from queue.SimpleQueue: ``shutdown``, ``is_shutdown``, ``get_many``, ``put_many`` and
/// iteration are additions: isinstance(queue, Iterable) is true, and Container as well (but ``item in
/// queue`` raises TypeError, as there). An item put while a consumer waits is that consumer's: ``qsize`` counts
/// it until the consumer runs, but ``get_nowait`` elsewhere may raise Empty. It is no subclass of the
/// standard class, which has a layout of its own.
#[pyclass(
    subclass,
    frozen,
    weakref,
    name = "SimpleQueue",
    module = "oxthreads.queue"
)]
pub(crate) struct SimpleQueue {
    inner: core::Queue<Item>,
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
    fn get_waiting<'py>(&self, py: Python<'py>, deadline: Deadline) -> PyResult<Bound<'py, PyAny>> {
        match detach::wait(py, &mut self.inner.get(), deadline)? {
            Some(Ok(item)) => Ok(item.into_bound(py)),
            None => Err(errors::empty(py)),
            Some(Err(error)) => Err(get_refused(py, error)),
        }
    }
}

impl Holds for SimpleQueue {
    #[inline]
    fn items(&self) -> &core::Queue<Item> {
        &self.inner
    }
}

/// Every platform can wait for so many seconds.
const ORDINARY: f64 = 4_000_000.0;

/// The deadline of a `get`. It is checked even if there is no need to wait.
fn deadline_of(timeout: &Bound<'_, PyAny>) -> PyResult<Deadline> {
    let is_ordinary = |number: f64| (0.0..ORDINARY).contains(&number);
    if !timeout
        .cast_exact::<PyFloat>()
        .is_ok_and(|number| is_ordinary(number.value()))
    {
        // A standard one that need not wait says whether it will do.
        static STANDARD: Kept<Py<PyAny>> = Kept::new();
        let py = timeout.py();
        let queue = STANDARD.import(py, "_queue", "SimpleQueue")?.call0()?;
        queue.call_method1("put", (py.None(),))?;
        user_code::call_method(&queue, "get", (true, timeout), None)?;
    }
    let seconds = number(timeout)?;
    Ok(Duration::try_from_secs_f64(seconds).map_or(Deadline::NEVER, Deadline::after))
}

#[cold]
fn put_refused(py: Python<'_>, error: PutError<Item, PyErr>) -> PyErr {
    match error {
        PutError::Full(_) => errors::full(py),
        PutError::ShutDown(_) | PutError::Retired(_) => errors::shut_down(py),
        PutError::Comparison(_, error) => error,
    }
}

#[cold]
fn get_refused(py: Python<'_>, error: GetError<PyErr>) -> PyErr {
    match error {
        GetError::Empty => errors::empty(py),
        GetError::ShutDown | GetError::Retired => errors::shut_down(py),
        GetError::Comparison(error) => error,
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
            // As for the standard class: what a subclass does with them is its own affair, if it
            // has an __init__ to do it.
            let ours = cls.py().get_type::<Self>();
            if user_code::attribute(cls.as_any(), intern!(cls.py(), "__init__"))?
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
            inner: core::Queue::new(0),
        })
    }

    /// Put an item into the queue. It never waits; block and timeout are ignored.
    ///
    /// Raises queue.ShutDown if the queue was shut down.
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

    /// put(item)
    fn put_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        self.put_item(item)
    }

    /// Remove and return the item that was put first, waiting for one if need be.
    ///
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds; None means without end.
    ///
    /// Raises queue.Empty if there was none in time, queue.ShutDown if the queue was shut down
    /// and is empty, ValueError for a negative timeout.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn get<'py>(
        &self,
        py: Python<'py>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let block = block.is_true_or(true)?;
        let deadline = match timeout {
            Some(timeout) if block => deadline_of(timeout)?,
            _ => Deadline::NEVER,
        };
        match self.inner.try_get() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(GetError::Empty) if block => self.get_waiting(py, deadline),
            Err(error) => Err(get_refused(py, error)),
        }
    }

    /// get(block=False)
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.inner.try_get() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(error) => Err(get_refused(py, error)),
        }
    }

    /// Put all items of an iterable into the queue, in their order. Not in queue.SimpleQueue.
    ///
    /// block and timeout are ignored. Up to 1,024 items are taken from the iterable at a time,
    /// and put in one step. Raises what put() raises, and what the iterable raises. The items put
    /// before that stay; the exception has their number as items_put, and a list of those taken
    /// from the iterable and not put as not_put.
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
        let mut putting = Putting::new(iterable)?;
        match putting.run(&self.inner, None) {
            Ok(()) => Ok(()),
            Err(Refused::By(error)) => Err(put_refused(iterable.py(), error)),
            Err(Refused::Raised(error)) => Err(putting.describe(error)),
        }
    }

    /// Wait for an item, and remove and return a list of it and those that follow it, in order.
    /// Not in queue.SimpleQueue.
    ///
    /// max_items: at most this many; None means all that are there. With zero it is an empty list.
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds for the first; None means without end.
    ///
    /// Raises what get() raises, if there is no item.
    #[pyo3(signature = (max_items=None, block=Argument::Absent, timeout=None),
           text_signature = "($self, max_items=None, block=True, timeout=None)")]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        max_items: Option<isize>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = match timeout {
            _ if !block.is_true_or(true)? => None,
            Some(timeout) => Some(deadline_of(timeout)?),
            None => Some(Deadline::NEVER),
        };
        let most = batches::most(max_items)?;
        let mut taken = VecDeque::new();
        match batches::get_many(py, &self.inner, most, &mut taken, deadline) {
            Ok(()) => Ok(batches::list(py, taken)?.into_any()),
            Err(Refused::By(error)) => Err(get_refused(py, error)),
            Err(Refused::Raised(error)) => Err(error),
        }
    }

    /// Iterate over the items as they come, each removed from the queue, until that is shut down
    /// and empty. Not in queue.SimpleQueue.
    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<QueueIterator> {
        QueueIterator::new(slf.as_any())
    }

    /// Refused, as by the standard class: to look for an item is not to iterate over all.
    fn __contains__(slf: &Bound<'_, Self>, _item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = slf.get_type();
        if class.is(slf.py().get_type::<Self>()) {
            return Err(batches::not_iterable("_queue.SimpleQueue"));
        }
        Err(batches::not_iterable(&class.name()?.to_cow()?))
    }

    /// The number of items. It may have changed by the time it is looked at.
    fn qsize(&self) -> usize {
        self.inner.len()
    }

    /// Whether there are no items. It may have changed by the time it is looked at.
    fn empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Shut the queue down: put() raises queue.ShutDown from now on, get() once the queue is
    /// empty, and so do those that wait in it. Not in queue.SimpleQueue.
    ///
    /// immediate: drop the items first, so that get() raises at once.
    #[pyo3(signature = (immediate=Argument::Absent), text_signature = "($self, immediate=False)")]
    fn shutdown(&self, immediate: Argument<'_>) -> PyResult<()> {
        drop(self.inner.shut_down(immediate.is_true_or(false)?));
        Ok(())
    }

    /// Whether the queue was shut down. Not in queue.SimpleQueue.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.inner.is_shut_down()
    }

    /// A generic alias, as of the standard class.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls.as_any(), item)
    }

    /// The size in bytes, that of the list of items and of those who wait included.
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
