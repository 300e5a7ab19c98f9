//! `Queue`, and with it `LifoQueue` and `PriorityQueue`, which differ in the order of their items.
//!
//! * `at_once`: the methods that are called most often, where there is nothing to wait for.
//! * `item`: what is in a queue, and how it is compared.
//! * `batches`: `get_many`, `put_many` and the `for` loop.
//! * `plain`: whether one method may do without another.
//! * `waits`: `put` and `get` as a whole.
//! * `simple`: `SimpleQueue`.

use std::collections::VecDeque;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyInt, PyString, PyTuple, PyType};

use super::argument::Argument;
use super::kept::{Kept, look_up};
use super::standard_form::HasStandardForm;
use super::threading::Lock;
use super::timeout;
use super::{detach, errors, standard_form, user_code};
use crate::bindings::user_code::Owned;
use crate::primitives::Retired;
use crate::primitives::deadline::Deadline;
use crate::primitives::queue::{self as core, GetError, Order, PutError, TaskDoneError};
use crate::primitives::sync::Flagged;

mod at_once;
mod batches;
mod item;
mod plain;
mod simple;
mod waits;

pub(crate) use batches::QueueIterator;
pub(crate) use simple::SimpleQueue;

use batches::{Putting, Refused};
use item::Item;
use waits::remaining;

/// The native half of oxthreads.queue.Queue.
#[pyclass(subclass, frozen, name = "Queue", module = "oxthreads._oxthreads")]
pub(crate) struct Queue {
    inner: core::Queue<Item>,
    /// A maximum size that is no plain int of 64 bits, as it was given; and a flag, see `plain`.
    unusual_maxsize: Flagged<Option<Owned>>,
}

/// What `object.__sizeof__` says.
fn basic_size(queue: &Bound<'_, PyAny>) -> PyResult<usize> {
    queue
        .py()
        .get_type::<PyAny>()
        .call_method1("__sizeof__", (queue,))?
        .extract()
}

/// A maximum size that the primitive can count with: a plain int of 64 bits.
fn usual_maxsize(maxsize: &Bound<'_, PyAny>) -> Option<i64> {
    maxsize.cast_exact::<PyInt>().ok()?.extract().ok()
}

impl at_once::Holds for Queue {
    #[inline]
    fn items(&self) -> &core::Queue<Item> {
        &self.inner
    }
}

impl HasStandardForm for Queue {
    const ATTRIBUTES: &[&str] = &[
        "mutex",
        "not_empty",
        "not_full",
        "all_tasks_done",
        "queue",
        "_init",
        "_qsize",
        "_put",
        "_get",
    ];

    fn has_taken_it(&self) -> bool {
        self.inner.is_retired()
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize=0)")]
    fn new(
        cls: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        let order = user_code::attribute_or_none(cls.as_any(), intern!(cls.py(), "_order"))?;
        let order = order.as_ref().map(|order| order.extract::<Option<&str>>());
        let order = match order.transpose()?.flatten() {
            Some("last") => Order::Lifo,
            Some("smallest") => Order::Heap,
            _ => Order::Fifo,
        };
        Ok(Self {
            inner: core::Queue::ordered(order, 0),
            unusual_maxsize: Flagged::new(None),
        })
    }

    #[pyo3(signature = (maxsize=Argument::Absent))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: Argument<'_>) -> PyResult<()> {
        let queue = &slf.get().inner;
        // This class itself, which copyreg may make, has no hooks at all.
        let order =
            || user_code::attribute_or_none(slf.get_type().as_any(), intern!(slf.py(), "_order"));
        if !Self::is_plain(slf)? && order()?.is_some_and(|order| order.is_none()) {
            queue.retire();
        }
        // At once what it is to be: those who wait must not be let in by another.
        let capacity = match &maxsize {
            Argument::Given(maxsize) => usual_maxsize(maxsize).unwrap_or(0),
            Argument::Absent => 0,
        };
        match queue.reset(capacity) {
            Ok(items) => drop(items), // there are some if it is initialized again
            Err(Retired) => {
                let maxsize = match maxsize {
                    Argument::Absent => 0_i64.into_pyobject(slf.py())?.into_any(),
                    Argument::Given(maxsize) => maxsize,
                };
                return standard_form::call(slf, "__init__", (maxsize,), None).map(drop);
            }
        }
        match maxsize {
            Argument::Absent => Ok(()),
            Argument::Given(maxsize) => Self::set_maxsize(slf, maxsize),
        }
    }

    /// Put an item into the queue, waiting for room if need be.
    ///
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds; None means without end.
    ///
    /// Raises queue.Full if there was no room in time, queue.ShutDown if the queue was shut
    /// down, ValueError for a negative timeout.
    #[pyo3(signature = (item, block=Argument::Absent, timeout=None),
           text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        slf: &Bound<'_, Self>,
        item: Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Self::put_item(slf, item, block.is_true_or(true)?, timeout)
    }

    /// Remove and return the item that is next in order, waiting for one if need be.
    ///
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds; None means without end.
    ///
    /// Raises queue.Empty if there was none in time, queue.ShutDown if the queue was shut down
    /// and is empty, ValueError for a negative timeout.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::get_item(slf, block.is_true_or(true)?, timeout)
    }

    /// put(item, block=False)
    fn put_nowait(slf: &Bound<'_, Self>, item: Bound<'_, PyAny>) -> PyResult<()> {
        if Self::is_untouched(slf)? {
            return Self::put_item(slf, item, false, None);
        }
        Self::put_by_name(slf, item)
    }

    /// get(block=False)
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Self::is_untouched(slf)? {
            return Self::get_item(slf, false, None);
        }
        Self::get_by_name(slf)
    }

    /// Put all items of an iterable into the queue, in their order, waiting for room if need be.
    /// Not in queue.Queue.
    ///
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds for all of it; None means without end.
    ///
    /// Up to 1,024 items, and no more than maxsize, are taken from the iterable at a time, and
    /// put in one step as far as there is room. Raises what put() raises, and what the iterable
    /// raises. The items put before that stay; the exception has their number as items_put, and
    /// a list of those taken from the iterable and not put as not_put.
    #[pyo3(signature = (iterable, block=Argument::Absent, timeout=None),
           text_signature = "($self, iterable, block=True, timeout=None)")]
    fn put_many(
        slf: &Bound<'_, Self>,
        iterable: &Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let block = block.is_true_or(true)?;
        if !Self::is_direct(slf)? {
            return user_code::call_method(
                slf,
                "_put_one_by_one",
                (iterable, block, timeout, 0),
                None,
            )
            .map(drop);
        }
        let deadline = batches::deadline(block, timeout)?;
        let mut putting = Putting::new(iterable)?;
        match putting.run(&slf.get().inner, deadline) {
            Ok(()) => Ok(()),
            Err(Refused::By(PutError::Retired(item))) => {
                let left = deadline.map_or(Ok(None), |deadline| remaining(slf.py(), deadline))?;
                let (rest, put) = putting.rest(item)?;
                user_code::call_method(slf, "_put_one_by_one", (rest, block, left, put), None)
                    .map(drop)
            }
            Err(Refused::By(error)) => {
                let error = Self::put_refused(slf, error, false, None).err();
                error.map_or(Ok(()), |error| Err(putting.describe(error)))
            }
            Err(Refused::Raised(error)) => Err(putting.describe(error)),
        }
    }

    /// Wait for an item, and remove and return a list of it and those that follow it, in order.
    /// Not in queue.Queue.
    ///
    /// max_items: at most this many; None means all that are there. With zero it is an empty list.
    /// block: if false, do not wait.
    /// timeout: wait at most so many seconds for the first; None means without end.
    ///
    /// Raises what get() raises, if there is no item. If the comparison of items fails later on, the
    /// list ends there; but what is no Exception, like KeyboardInterrupt, is raised all the same, and
    /// has the items that had been taken as `taken`.
    #[pyo3(signature = (max_items=None, block=Argument::Absent, timeout=None),
           text_signature = "($self, max_items=None, block=True, timeout=None)")]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max_items: Option<isize>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let block = block.is_true_or(true)?;
        let most = batches::most(max_items)?;
        if !Self::is_direct(slf)? {
            return user_code::call_method(slf, "_get_one_by_one", (most, block, timeout), None);
        }
        let deadline = batches::deadline(block, timeout)?;
        let mut taken = VecDeque::new();
        match batches::get_many(py, &slf.get().inner, most, &mut taken, deadline) {
            Ok(()) => Ok(batches::list(py, taken)?.into_any()),
            Err(Refused::By(GetError::Retired)) => {
                let left = deadline.map_or(Ok(None), |deadline| remaining(py, deadline))?;
                user_code::call_method(slf, "_get_one_by_one", (most, block, left), None)
            }
            Err(Refused::By(error)) => Self::get_refused(slf, error, false, None),
            Err(Refused::Raised(error)) => Err(error),
        }
    }

    /// Iterate over the items as they come, each removed from the queue, until that is shut down
    /// and empty. Not in queue.Queue.
    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<QueueIterator> {
        QueueIterator::new(slf.as_any())
    }

    /// Refused, as by the standard class: to look for an item is not to iterate over all.
    fn __contains__(slf: &Bound<'_, Self>, _item: &Bound<'_, PyAny>) -> PyResult<bool> {
        Err(batches::not_iterable(&slf.get_type().name()?.to_cow()?))
    }

    /// The number of items. It may have changed by the time it is looked at.
    fn qsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Looked at first: a queue that is not retired afterwards was not so before.
        let length = slf.get().inner.len();
        if slf.get().inner.is_retired() {
            return standard_form::call(slf, "qsize", (), None);
        }
        Ok(length.into_pyobject(slf.py())?.into_any())
    }

    /// Whether there are no items. It may have changed by the time it is looked at.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let empty = slf.get().inner.is_empty();
        if slf.get().inner.is_retired() {
            return standard_form::call(slf, "empty", (), None)?.extract();
        }
        Ok(empty)
    }

    /// Whether maxsize items are there. It may have changed by the time it is looked at.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let full = slf.get().inner.is_full();
        if slf.get().inner.is_retired() {
            return standard_form::call(slf, "full", (), None)?.extract();
        }
        Ok(full)
    }

    /// Say that the task of an item that was got is done.
    ///
    /// Raises ValueError if that was said more often than items were put.
    fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.task_done() {
            Ok(()) => Ok(()),
            Err(TaskDoneError::TooMany) => Err(pyo3::exceptions::PyValueError::new_err(
                "task_done() called too many times",
            )),
            Err(TaskDoneError::Retired) => {
                standard_form::call(slf, "task_done", (), None).map(drop)
            }
        }
    }

    /// Wait until the task of every item that was put is done.
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let queue = &slf.get().inner;
        match detach::wait(slf.py(), &mut queue.join(), Deadline::NEVER)? {
            Some(Err(Retired)) => standard_form::call(slf, "join", (), None).map(drop),
            _ => Ok(()),
        }
    }

    /// Shut the queue down: put() raises queue.ShutDown from now on, get() once the queue is
    /// empty, and so do those that wait in them.
    ///
    /// immediate: drop the items first, each counted as a task done, so that get() raises at
    /// once.
    #[pyo3(signature = (immediate=Argument::Absent), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Argument<'_>) -> PyResult<()> {
        let immediate = immediate.is_true_or(false)?;
        match slf.get().inner.shut_down(immediate) {
            Ok(items) => {
                drop(items);
                Ok(())
            }
            Err(Retired) => standard_form::call(slf, "shutdown", (immediate,), None).map(drop),
        }
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        slf.get().note_attribute(name);
        standard_form::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        standard_form::set_attribute(slf, name, None)
    }

    /// Leave the items and the waiting to the standard class: see `standard_form::take`. The items go
    /// into `container`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        container: &Bound<'_, PyAny>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let queue = &slf.get().inner;
        let py = slf.py();
        let retire = || {
            let items = queue.retire()?.into_iter();
            Some((
                container,
                items.map(move |item| item.into_bound(py).unbind()),
            ))
        };
        standard_form::take(slf.as_any(), attributes, Some(mutex.get()), retire)
    }

    #[getter]
    fn get_maxsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let queue = slf.get();
        if let Some(maxsize) = queue.unusual_maxsize.lock().as_ref() {
            return Ok(maxsize.object().bind(py).clone());
        }
        Ok(queue.inner.capacity().into_pyobject(py)?.into_any())
    }

    #[setter]
    fn set_maxsize(slf: &Bound<'_, Self>, maxsize: Bound<'_, PyAny>) -> PyResult<()> {
        let queue = slf.get();
        let unusual = match usual_maxsize(&maxsize) {
            Some(capacity) => {
                queue.inner.set_capacity(capacity);
                None
            }
            None => Some(Owned::from(maxsize.clone())),
        };
        if unusual.is_some() && !queue.inner.is_retired() {
            // Whatever compares with an int will do for the standard algorithm.
            user_code::call_method(slf, "_take_standard_form", (), None)?;
        }
        let former = std::mem::replace(&mut *queue.unusual_maxsize.lock(), unusual);
        drop(former);
        Ok(())
    }

    #[getter]
    fn get_unfinished_tasks(&self) -> i64 {
        self.inner.unfinished()
    }

    #[setter]
    fn set_unfinished_tasks(&self, unfinished: i64) {
        self.inner.set_unfinished(unfinished);
    }

    #[getter]
    fn get_is_shutdown(&self) -> bool {
        self.inner.is_shut_down()
    }

    #[setter]
    fn set_is_shutdown(&self, shut_down: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.set_shut_down(user_code::truth(shut_down)?);
        Ok(())
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
        if let Some(maxsize) = self.unusual_maxsize.lock().as_ref() {
            visit.call(maxsize.object())?;
        }
        self.inner.try_for_each(|item| visit.call(item.object()))
    }

    fn __clear__(&self) {
        drop(self.inner.take_items());
    }
}
