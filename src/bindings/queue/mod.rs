//! `Queue`, `LifoQueue` and `PriorityQueue`, which differ in the order of their items; and `SimpleQueue`.
//!
//! * `fast_path`: the most frequent methods, when there is nothing to wait for.
//! * `waits`: `put` and `get` with all their arguments.
//! * `batches`: `get_many`, `put_many` and `iterate`.
//! * `item`: the items, and how they are compared.
//! * `overrides`: which methods a queue's class overrides, and the order of its items.
//! * `profiled`: what a profile of waiting is told.
//! * `simple`: `SimpleQueue`.
//! * `delay_queue`: `DelayQueue`.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;

use pyo3::exceptions::PyAttributeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyGenericAlias, PyInt, PyString, PyTuple, PyType};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function;
use crate::bindings::hooks;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::runtime::{block, errors, foreign, timeout};
use crate::bindings::threading::Lock;
use crate::primitives::FellBack;
use crate::primitives::queue::{self, GetError, PutError, TaskDoneError};
use crate::wait::deadline::Deadline;

mod batches;
mod delay_queue;
mod fast_path;
mod item;
mod overrides;
mod profiled;
mod simple;
mod waits;

pub(crate) use batches::{QueueIterator, list, most, stopped};
pub(crate) use delay_queue::{DelayQueue, Scheduled};
pub(crate) use item::Item;
pub(crate) use profiled::{begin_to_follow, knows_any, look_at_all, note_made, note_waited_for};
pub(crate) use simple::SimpleQueue;

use batches::{PutMany, Refused};
use waits::remaining;

/// The native half of oxthreads.queue.Queue.
#[pyclass(subclass, frozen, name = "Queue", module = "oxthreads._oxthreads")]
pub(crate) struct Queue {
    inner: queue::Queue<Item>,
    /// Whether `put` or `get` was set as an attribute of this instance.
    shadowed: AtomicBool,
}

lazy_imports! {
    for Queue, with function::IMPORTS, item::IMPORTS, batches::IMPORTS, timeout::IMPORTS,
        errors::EMPTY, errors::FULL, errors::SHUT_DOWN;
}

/// The name under which the fallback stores whether the queue is shut down. Before Python 3.13 the standard class has
/// no such attribute, so programs may use its name.
const IS_SHUTDOWN: &str = if cfg!(Py_3_13) {
    "is_shutdown"
} else {
    "_oxthreads_is_shutdown"
};

/// The result of `object.__sizeof__`.
pub(crate) fn basic_size(queue: &Bound<'_, PyAny>) -> PyResult<usize> {
    queue
        .py()
        .get_type::<PyAny>()
        .call_method1("__sizeof__", (queue,))?
        .extract()
}

/// The number, if it is a plain int of 64 bits: the primitive counts with no other.
fn plain_i64(maxsize: &Bound<'_, PyAny>) -> Option<i64> {
    maxsize.cast_exact::<PyInt>().ok()?.extract().ok()
}

impl fast_path::FastQueue for Queue {
    #[inline]
    fn items(&self) -> &queue::Queue<Item> {
        &self.inner
    }
}

impl HasFallback for Queue {
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
    const STATE: &[&str] = if cfg!(Py_3_13) {
        &["maxsize", "unfinished_tasks", "is_shutdown"]
    } else {
        &["maxsize", "unfinished_tasks"]
    };

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.has_fallen_back()
    }

    fn matches_its_class(object: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(Self::order_of(&object.get_type())? == object.get().inner.order())
    }
}

impl Queue {
    /// See [`queue::Queue::takers`].
    pub(crate) fn takers(&self) -> Vec<(u32, usize)> {
        self.inner.takers()
    }
}

impl Observed for Queue {
    type Primitive = queue::Queue<Item>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
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
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Ok(Self {
            inner: queue::Queue::ordered(Self::order_of(cls)?, 0),
            shadowed: AtomicBool::new(false),
        })
    }

    #[pyo3(signature = (maxsize=Argument::Absent))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: Argument<'_>) -> PyResult<()> {
        let queue = &slf.get().inner;
        if !Self::runs_natively().is_yes_for(slf.as_any())? {
            queue.fall_back();
        }
        // Set the final capacity in one step: with another one in between, waiting threads could put too many items.
        let capacity = match &maxsize {
            Argument::Given(maxsize) => plain_i64(maxsize).unwrap_or(0),
            Argument::Absent => 0,
        };
        match queue.reset(capacity) {
            Ok(items) => drop(items), // not empty if `__init__` is called a second time
            Err(FellBack) => {
                let maxsize = match maxsize {
                    Argument::Absent => 0_i64.into_pyobject(slf.py())?.into_any(),
                    Argument::Given(maxsize) => maxsize,
                };
                return fallback::call(slf, "__init__", (maxsize,), None).map(drop);
            }
        }
        match maxsize {
            Argument::Absent => Ok(()),
            Argument::Given(maxsize) => Self::set_maxsize(slf, maxsize),
        }
    }

    /// Put an item into the queue. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Raises:
    ///     queue.Full: there was no room in time.
    ///     queue.ShutDown: the queue was shut down.
    ///     ValueError: timeout is negative.
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

    /// Remove the next item from the queue and return it. Wait for one if necessary.
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
        Self::get_item(slf, block.is_true_or(true)?, timeout)
    }

    /// Same as put(item, block=False).
    fn put_nowait(slf: &Bound<'_, Self>, item: Bound<'_, PyAny>) -> PyResult<()> {
        if Self::is_untouched(slf)? {
            return Self::put_item(slf, item, false, None);
        }
        Self::put_by_name(slf, item)
    }

    /// Same as get(block=False).
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Self::is_untouched(slf)? {
            return Self::get_item(slf, false, None);
        }
        Self::get_by_name(slf)
    }

    /// Put all items of an iterable into the queue, in their order. Wait for room if necessary.
    /// Not in queue.Queue.
    ///
    /// Args:
    ///     iterable: the items.
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait for the whole batch, in seconds. None means no limit.
    ///
    /// Raises:
    ///     queue.Full: there was no room in time.
    ///     queue.ShutDown: the queue was shut down.
    ///     ValueError: timeout is negative.
    ///     BaseException: what the iterable raised.
    ///
    /// Up to 1,024 items, and no more than maxsize, are taken from the iterable at a time. Those for which there is
    /// room are put in one step. If an exception is raised, the items that were put before stay in the queue. The
    /// exception has two more attributes: items_put is their number (int), and not_put is the list of the items
    /// that were taken from the iterable but not put.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads import queue
    ///     >>> items = queue.Queue(maxsize=2)
    ///     >>> items.put_many("ab")
    ///     >>> try:
    ///     ...     items.put_many("cd", block=False)
    ///     ... except queue.Full as error:
    ///     ...     print(error.items_put, error.not_put)
    ///     0 ['c', 'd']
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
            return foreign::call_method(
                slf,
                hooks::PUT_ONE_BY_ONE,
                (iterable, block, timeout, 0),
                None,
            )
            .map(drop);
        }
        let deadline = batches::deadline(block, timeout)?;
        let mut put_many = PutMany::new(iterable)?;
        match put_many.run(&slf.get().inner, deadline) {
            Ok(()) => Ok(()),
            Err(Refused::ByQueue(PutError::FellBack(item))) => {
                let left = deadline.map_or(Ok(None), |deadline| remaining(slf.py(), deadline))?;
                let (rest, put) = put_many.rest(item)?;
                foreign::call_method(slf, hooks::PUT_ONE_BY_ONE, (rest, block, left, put), None)
                    .map(drop)
            }
            Err(Refused::ByQueue(error)) => {
                let error = Self::put_refused(slf, error, false, None).err();
                error.map_or(Ok(()), |error| Err(put_many.describe(error)))
            }
            Err(Refused::Raised(error)) => Err(put_many.describe(error)),
        }
    }

    /// Wait for an item, then remove it and those that follow it, and return them in order.
    /// Not in queue.Queue.
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
    ///
    /// If the comparison of two items fails after some items were taken, the list ends there. An exception that is
    /// not an Exception, like KeyboardInterrupt, is raised nevertheless; its attribute `taken` is the list of the
    /// items that were taken.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads import queue
    ///     >>> items = queue.Queue()
    ///     >>> items.put_many(range(5))
    ///     >>> items.get_many(3)
    ///     [0, 1, 2]
    ///     >>> items.get_many()
    ///     [3, 4]
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
            return foreign::call_method(slf, hooks::GET_ONE_BY_ONE, (most, block, timeout), None);
        }
        let deadline = batches::deadline(block, timeout)?;
        let mut taken = VecDeque::new();
        match batches::get_many(py, &slf.get().inner, most, &mut taken, deadline) {
            Ok(()) => Ok(batches::list(py, taken)?.into_any()),
            Err(Refused::ByQueue(GetError::FellBack)) => {
                let left = deadline.map_or(Ok(None), |deadline| remaining(py, deadline))?;
                foreign::call_method(slf, hooks::GET_ONE_BY_ONE, (most, block, left), None)
            }
            Err(Refused::ByQueue(error)) => Self::get_refused(slf, error, false, None),
            Err(Refused::Raised(error)) => Err(error),
        }
    }

    /// Return the item that get() would return now, and leave it in the queue. Wait for one if necessary.
    /// Not in queue.Queue.
    ///
    /// Another thread may get the item at any time. So this is for looking, and for queues that only one thread gets from.
    ///
    /// Args:
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The next item. That is the smallest one of a PriorityQueue, and the one that was put last of a LifoQueue.
    ///
    /// Raises:
    ///     queue.Empty: there was no item in time.
    ///     queue.ShutDown: the queue was shut down and is empty.
    ///     ValueError: timeout is negative.
    ///
    /// A thread that waits here takes nothing away from those that wait in get(): they are woken as if it were not there.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads import queue
    ///     >>> items = queue.PriorityQueue()
    ///     >>> items.put_many([3, 1, 2])
    ///     >>> items.peek(), items.qsize()
    ///     (1, 3)
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn peek<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::peek_item(slf, block.is_true_or(true)?, timeout)
    }

    /// Same as peek(block=False). Not in queue.Queue.
    fn peek_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::peek_item(slf, false, None)
    }

    /// Remove all items, in one step, and return how many there were. Not in queue.Queue.
    ///
    /// Each item counts as done, as after shutdown(immediate=True): unfinished_tasks becomes smaller by their number, and
    /// join() does not wait for them. Threads that wait in put() go on. The queue stays open.
    ///
    /// Returns:
    ///     int: the number of items that were removed.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads import queue
    ///     >>> items = queue.Queue()
    ///     >>> items.put_many("abc")
    ///     >>> items.clear(), items.unfinished_tasks
    ///     (3, 0)
    fn clear<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.clear() {
            // Dropped here, without the leaf lock: an item may use the queue as it is deleted.
            Ok(items) => Ok(items.len().into_pyobject(slf.py())?.into_any()),
            Err(FellBack) => foreign::call_method(slf.as_any(), hooks::CLEAR, (), None),
        }
    }

    /// Return an iterator over the items. It removes each item with get(), waits for the next, and ends when the
    /// queue is shut down and empty. Not in queue.Queue.
    ///
    /// So a consumer is a plain loop, which ends when the producers are done.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads import queue
    ///     >>> items = queue.Queue()
    ///     >>> items.put_many(["a", "b"])
    ///     >>> items.shutdown()
    ///     >>> for item in items.iterate():
    ///     ...     print(item)
    ///     a
    ///     b
    fn iterate(slf: &Bound<'_, Self>) -> PyResult<QueueIterator> {
        QueueIterator::new(slf.as_any())
    }

    /// Return the number of items (int). Other threads may have changed it by the time the caller uses it.
    fn qsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Read the length first: if the queue has not fallen back after that, it had not before either.
        let length = slf.get().inner.len();
        if slf.get().inner.has_fallen_back() {
            return fallback::call(slf, "qsize", (), None);
        }
        Ok(length.into_pyobject(slf.py())?.into_any())
    }

    /// Return whether the queue has no items. Other threads may have changed that by the time the caller uses it.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let empty = slf.get().inner.is_empty();
        if slf.get().inner.has_fallen_back() {
            return fallback::call(slf, "empty", (), None)?.extract();
        }
        Ok(empty)
    }

    /// Return whether the queue has maxsize items. Other threads may have changed that by the time the caller uses
    /// it.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let full = slf.get().inner.is_full();
        if slf.get().inner.has_fallen_back() {
            return fallback::call(slf, "full", (), None)?.extract();
        }
        Ok(full)
    }

    /// Report that the work on an item that was taken from the queue is done.
    ///
    /// Raises:
    ///     ValueError: called more often than items were put.
    fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.task_done() {
            Ok(()) => Ok(()),
            Err(TaskDoneError::TooMany) => Err(pyo3::exceptions::PyValueError::new_err(
                "task_done() called too many times",
            )),
            Err(TaskDoneError::FellBack) => fallback::call(slf, "task_done", (), None).map(drop),
        }
    }

    /// Wait until task_done() was called for every item that was put.
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let queue = &slf.get().inner;
        match block::wait(slf.py(), &mut queue.join(), Deadline::NEVER)? {
            Some(Err(FellBack)) => fallback::call(slf, "join", (), None).map(drop),
            _ => Ok(()),
        }
    }

    /// Shut the queue down. From then on put() raises queue.ShutDown, and so does get() when the queue is empty. The
    /// same is raised in threads that wait in them.
    ///
    /// Args:
    ///     immediate (bool): if True, drop all items first, and count each as done; so get() raises immediately.
    #[pyo3(signature = (immediate=Argument::Absent), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Argument<'_>) -> PyResult<()> {
        let immediate = immediate.is_true_or(false)?;
        match slf.get().inner.shut_down(immediate) {
            Ok(items) => {
                drop(items);
                Ok(())
            }
            Err(FellBack) => fallback::call(slf, "shutdown", (immediate,), None).map(drop),
        }
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        slf.get().note_attribute(name);
        fallback::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        fallback::set_attribute(slf, name, None)
    }

    /// Hand the items and the waits over to the standard class; see `fallback::install`. The items are appended to
    /// container.
    fn _oxthreads_hand_over(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        container: &Bound<'_, PyAny>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let queue = &slf.get().inner;
        let py = slf.py();
        let fall_back = || {
            let items = queue.fall_back()?.into_iter();
            // This cannot fail: the dictionary is a plain dict that the caller made, and the names are strings.
            let _ = attributes.set_item("maxsize", queue.capacity());
            let _ = attributes.set_item("unfinished_tasks", queue.unfinished());
            let _ = attributes.set_item(IS_SHUTDOWN, queue.is_shut_down());
            Some((
                container,
                items.map(move |item| item.into_bound(py).unbind()),
            ))
        };
        fallback::install(
            slf.as_any(),
            attributes,
            Some(mutex.get().primitive()),
            fall_back,
        )
    }

    #[getter]
    fn get_maxsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Read the value first, here and below: if the queue has not fallen back after that, it had not before
        // either.
        let capacity = slf.get().inner.capacity();
        if slf.get().inner.has_fallen_back() {
            return fallback::entry(slf, "maxsize");
        }
        Ok(capacity.into_pyobject(slf.py())?.into_any())
    }

    #[setter]
    fn set_maxsize(slf: &Bound<'_, Self>, maxsize: Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(capacity) = plain_i64(&maxsize)
            && slf.get().inner.set_capacity(capacity).is_ok()
        {
            return Ok(());
        }
        // The standard algorithm works with anything that can be compared with an int.
        fallback::fall_back(slf)?;
        fallback::set_entry(slf.as_any(), "maxsize", &maxsize)
    }

    #[getter]
    fn get_unfinished_tasks<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let unfinished = slf.get().inner.unfinished();
        if slf.get().inner.has_fallen_back() {
            return fallback::entry(slf, "unfinished_tasks");
        }
        Ok(unfinished.into_pyobject(slf.py())?.into_any())
    }

    #[setter]
    fn set_unfinished_tasks(slf: &Bound<'_, Self>, unfinished: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(count) = plain_i64(unfinished)
            && slf.get().inner.set_unfinished(count).is_ok()
        {
            return Ok(());
        }
        fallback::fall_back(slf)?;
        fallback::set_entry(slf.as_any(), "unfinished_tasks", unfinished)
    }

    /// Whether the order is first in, first out.
    #[getter]
    fn _oxthreads_is_first_in_first_out(&self) -> bool {
        self.inner.order() == queue::Order::Fifo
    }

    /// Whether shutdown() was called. Before Python 3.13 it has this private name, because a program may use
    /// is_shutdown for an attribute of its own: see `oxthreads.queue`.
    #[getter(_oxthreads_is_shutdown)]
    fn get_is_shutdown<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let shut_down = slf.get().inner.is_shut_down();
        if slf.get().inner.has_fallen_back() {
            return match fallback::entry(slf, IS_SHUTDOWN) {
                // The standard class of these versions does not set it.
                Err(error)
                    if cfg!(not(Py_3_13)) && error.is_instance_of::<PyAttributeError>(slf.py()) =>
                {
                    Ok(PyBool::new(slf.py(), false).to_owned().into_any())
                }
                found => found,
            };
        }
        Ok(PyBool::new(slf.py(), shut_down).to_owned().into_any())
    }

    #[setter(_oxthreads_is_shutdown)]
    fn set_is_shutdown(slf: &Bound<'_, Self>, shut_down: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_shut_down = foreign::truth(shut_down)?;
        if slf.get().inner.set_shut_down(is_shut_down).is_ok() {
            return Ok(());
        }
        fallback::set_entry(slf.as_any(), IS_SHUTDOWN, shut_down)
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
