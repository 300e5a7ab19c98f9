//! `DelayQueue`, which uses `primitives/delay_queue.rs`.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyTuple};

use crate::bindings::queue::batches::QueueIterator;
use crate::bindings::queue::item::Item;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::{block, errors, foreign, timeout};
use crate::primitives::delay_queue::{self, GetError, Key, Nanoseconds, PutError};
use crate::wait::deadline::Deadline;

/// A queue from which each item can be taken when its time has come.
///
/// Use it for what is to be done later: retries after a pause, entries of a cache that expire, messages that are sent at a
/// certain time. The item whose time comes first is taken first; items with the same time in the order in which they were put.
/// `get` waits until there is such an item. No thread runs for it and nobody polls: the first one that waits sleeps until the
/// time of the first item, and an item that comes earlier wakes it.
///
/// All methods may be called by any thread, by signal handlers and by `__del__` methods. Those who wait in `get` are served in
/// the order in which they came. Coroutines use `oxthreads.aio.as_async`, and `oxthreads.waiting.select` gets an item. A forked
/// child has the items, and none of the waits.
///
/// Args:
///     maxsize (int): the largest number of items, also of those whose time has not come. Zero or less means no limit.
///
/// Raises:
///     TypeError: maxsize is not a whole number.
///
/// Example:
///
///     >>> from oxthreads.channels import DelayQueue
///     >>> reminders = DelayQueue()
///     >>> tea = reminders.put("take the tea out", delay=0.3)
///     >>> cake = reminders.put("take the cake out", delay=0.01)
///     >>> reminders.get(), reminders.get()
///     ('take the cake out', 'take the tea out')
///
/// That one getter waits for the time, and the others for this getter, is the scheme of Java's ``DelayQueue``.
#[pyclass(subclass, frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct DelayQueue {
    inner: delay_queue::DelayQueue<Item>,
    /// What `time.monotonic()` returned when the queue was made.
    begin: f64,
}

lazy_imports! {
    for DelayQueue, with timeout::IMPORTS, errors::EMPTY, errors::FULL, errors::SHUT_DOWN;
    MONOTONIC: PyAny = "time", "monotonic";
    INDEX: PyAny = "operator", "index";
}

/// A number of seconds: anything that can be added to a float.
fn seconds(name: &str, number: &Bound<'_, PyAny>) -> PyResult<f64> {
    let seconds = timeout::number(&timeout::sum(number)?)?;
    if seconds.is_nan() {
        let message = format!("'{name}' must not be NaN");
        return Err(PyValueError::new_err(message));
    }
    Ok(seconds)
}

/// Beyond the range it is the nearest number.
#[expect(clippy::cast_possible_truncation, reason = "as documented")]
fn nanoseconds(seconds: f64) -> Nanoseconds {
    (seconds * 1e9).round() as Nanoseconds
}

/// The capacity that `maxsize` means.
fn capacity(maxsize: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = maxsize.py();
    let number = foreign::call(INDEX.get(py)?, &PyTuple::new(py, [maxsize])?, None)?;
    // Beyond 64 bits there is no limit.
    Ok(number.cast::<PyInt>()?.extract().unwrap_or(0))
}

impl DelayQueue {
    /// The time of an item after so many seconds.
    ///
    /// # Errors
    /// ValueError, if the delay is negative or NaN; TypeError, if it is no number.
    pub(crate) fn time_after(&self, delay: Option<&Bound<'_, PyAny>>) -> PyResult<Nanoseconds> {
        let delay = delay.map_or(Ok(0.0), |delay| seconds("delay", delay))?;
        if delay < 0.0 {
            return Err(PyValueError::new_err(
                "'delay' must be a non-negative number",
            ));
        }
        Ok(self.inner.now().saturating_add(nanoseconds(delay)))
    }

    /// The time of an item at this time of `time.monotonic()`.
    ///
    /// # Errors
    /// ValueError, if it is NaN; TypeError, if it is no number.
    pub(crate) fn time_at(&self, when: &Bound<'_, PyAny>) -> PyResult<Nanoseconds> {
        Ok(nanoseconds(seconds("when", when)? - self.begin))
    }

    #[expect(clippy::cast_precision_loss, reason = "a float has no more")]
    fn when(&self, time: Nanoseconds) -> f64 {
        if time == Nanoseconds::MAX {
            return f64::INFINITY;
        }
        self.begin + time as f64 / 1e9
    }

    fn put_with_time<'py>(
        slf: &Bound<'py, Self>,
        time: Nanoseconds,
        item: Bound<'_, PyAny>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Scheduled>> {
        let (py, queue) = (slf.py(), &slf.get().inner);
        let item = Item::new(item);
        let put = match deadline(block, timeout)? {
            None => queue.try_put(time, item),
            Some(deadline) => match queue.try_put_in_turn(time, item) {
                Err(PutError::Full(item)) => {
                    let mut put = delay_queue::Put::new(queue, time, Some(item));
                    match block::wait(py, &mut put, deadline)? {
                        Some(put) => put,
                        None => return Err(errors::full(py)),
                    }
                }
                put => put,
            },
        };
        match put {
            Ok(key) => Scheduled::of(slf, key),
            Err(PutError::Full(_)) => Err(errors::full(py)),
            Err(PutError::ShutDown(_)) => Err(errors::shut_down(py)),
        }
    }

    fn get_or_look<'py>(
        slf: &Bound<'py, Self>,
        only_looks: bool,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, queue) = (slf.py(), &slf.get().inner);
        let got = match deadline(block, timeout)? {
            None if only_looks => queue.try_peek(),
            None => queue.try_get(),
            Some(deadline) => {
                let now = if only_looks {
                    queue.try_peek()
                } else {
                    queue.try_get_in_turn()
                };
                if matches!(now, Err(GetError::Empty)) {
                    let mut get = delay_queue::Get::new(queue);
                    if only_looks {
                        get = get.only_looking();
                    }
                    match block::wait(py, &mut get, deadline)? {
                        Some(got) => got,
                        None => return Err(errors::empty(py)),
                    }
                } else {
                    now
                }
            }
        };
        match got {
            Ok(item) => Ok(item.into_bound(py)),
            Err(GetError::Empty) => Err(errors::empty(py)),
            Err(GetError::ShutDown) => Err(errors::shut_down(py)),
        }
    }
}

/// The deadline; `None` means not to wait.
fn deadline(block: bool, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Deadline>> {
    match timeout {
        _ if !block => Ok(None),
        None => Ok(Some(Deadline::NEVER)),
        Some(timeout) => {
            timeout::check_of_queue(timeout)?;
            timeout::positive(timeout)
        }
    }
}

impl Observed for DelayQueue {
    type Primitive = delay_queue::DelayQueue<Item>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl DelayQueue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize=0)")]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        let begin = foreign::call(MONOTONIC.get(py)?, &PyTuple::empty(py), None)?;
        Ok(Self {
            begin: begin.cast::<PyFloat>()?.value(),
            inner: delay_queue::DelayQueue::new(0),
        })
    }

    #[pyo3(signature = (maxsize=None))]
    fn __init__(&self, maxsize: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let capacity = maxsize.map_or(Ok(0), capacity)?;
        self.inner.set_capacity(capacity);
        Ok(())
    }

    /// Put an item into the queue that can be taken after a delay. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///     delay (float): after how many seconds from now.
    ///     block (bool): if False, do not wait for room.
    ///     timeout (int, float or None): the longest wait for room, in seconds. None means no limit.
    ///
    /// Returns:
    ///     Scheduled: with its method `cancel` the item is removed again.
    ///
    /// Raises:
    ///     queue.Full: there was no room in time.
    ///     queue.ShutDown: the queue was shut down.
    ///     ValueError: delay or timeout is negative or NaN.
    ///     TypeError: delay or timeout is not a number.
    #[pyo3(signature = (item, delay=None, block=Argument::Absent, timeout=None),
           text_signature = "($self, item, delay=0.0, block=True, timeout=None)")]
    fn put<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'_, PyAny>,
        delay: Option<&Bound<'_, PyAny>>,
        block: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Scheduled>> {
        let time = slf.get().time_after(delay)?;
        Self::put_with_time(slf, time, item, block.is_true_or(true)?, timeout)
    }

    /// Put an item into the queue that can be taken at a certain time. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///     when (float): the time, as `time.monotonic` tells it. If it is over, the item can be taken now.
    ///     block (bool): if False, do not wait for room.
    ///     timeout (int, float or None): the longest wait for room, in seconds. None means no limit.
    ///
    /// Returns:
    ///     Scheduled: with its method `cancel` the item is removed again.
    ///
    /// Raises:
    ///     queue.Full: there was no room in time.
    ///     queue.ShutDown: the queue was shut down.
    ///     ValueError: when is NaN, or timeout is negative or NaN.
    ///     TypeError: when or timeout is not a number.
    #[pyo3(signature = (item, when, block=Argument::Absent, timeout=None),
           text_signature = "($self, item, when, block=True, timeout=None)")]
    fn put_at<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'_, PyAny>,
        when: &Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Scheduled>> {
        let time = slf.get().time_at(when)?;
        Self::put_with_time(slf, time, item, block.is_true_or(true)?, timeout)
    }

    /// Same as put(item, delay, block=False).
    #[pyo3(signature = (item, delay=None), text_signature = "($self, item, delay=0.0)")]
    fn put_nowait<'py>(
        slf: &Bound<'py, Self>,
        item: Bound<'_, PyAny>,
        delay: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Scheduled>> {
        let time = slf.get().time_after(delay)?;
        Self::put_with_time(slf, time, item, false, None)
    }

    /// Remove the item whose time has come first, and return it. Wait until there is one.
    ///
    /// Args:
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     queue.Empty: the time of no item has come.
    ///     queue.ShutDown: the queue was shut down and is empty. As long as there are items, get() waits for their times.
    ///     ValueError: timeout is negative.
    ///
    /// With ``block=False``, or a timeout of 0, it does not wait, and takes an item also before those who wait for it.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::get_or_look(slf, false, block.is_true_or(true)?, timeout)
    }

    /// Same as get(block=False).
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::get_or_look(slf, false, false, None)
    }

    /// Return the item that get() would return, and leave it in the queue. Wait until there is one.
    ///
    /// Args:
    ///     block (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     queue.Empty: the time of no item has come.
    ///     queue.ShutDown: the queue was shut down and is empty.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn peek<'py>(
        slf: &Bound<'py, Self>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::get_or_look(slf, true, block.is_true_or(true)?, timeout)
    }

    /// Same as peek(block=False).
    fn peek_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::get_or_look(slf, true, false, None)
    }

    /// Return an iterator over the items. It removes each item with get(), waits for the next, and ends when the queue is shut
    /// down and empty.
    fn iterate(slf: &Bound<'_, Self>) -> PyResult<QueueIterator> {
        QueueIterator::new(slf.as_any())
    }

    /// Remove all items, in one step, and return how many there were (int). Each counts as done.
    fn clear(&self) -> usize {
        self.inner.clear().len()
    }

    /// Return the number of items (int), also of those whose time has not come.
    fn qsize(&self) -> usize {
        self.inner.len()
    }

    /// Return the number of items (int) whose time has come.
    fn ready(&self) -> usize {
        self.inner.ready()
    }

    /// Return the time of the first item, as `time.monotonic` tells it (float); None if there is no item.
    fn next_time(&self) -> Option<f64> {
        self.inner.first_time().map(|time| self.when(time))
    }

    /// Return whether the queue has no items at all.
    fn empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Return whether the queue has maxsize items.
    fn full(&self) -> bool {
        self.inner.is_full()
    }

    /// Report that the work on an item that was taken from the queue is done.
    ///
    /// Raises:
    ///     ValueError: called more often than items were put.
    fn task_done(&self) -> PyResult<()> {
        self.inner
            .task_done()
            .map_err(|_| PyValueError::new_err("task_done() called too many times"))
    }

    /// Wait until task_done() was called for every item that was put and not removed by cancel() or clear().
    fn join(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut join = delay_queue::Join::new(&slf.get().inner);
        block::wait(slf.py(), &mut join, Deadline::NEVER).map(drop)
    }

    /// Shut the queue down. From then on put() raises queue.ShutDown, and so does get() when the queue is empty. Items that are
    /// in the queue can still be taken, when their times have come.
    ///
    /// Args:
    ///     immediate (bool): if True, drop all items first, and count each as done; so get() raises immediately.
    #[pyo3(signature = (immediate=Argument::Absent), text_signature = "($self, immediate=False)")]
    fn shutdown(&self, immediate: Argument<'_>) -> PyResult<()> {
        drop(self.inner.shut_down(immediate.is_true_or(false)?));
        Ok(())
    }

    /// Whether the queue was shut down.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.inner.is_shut_down()
    }

    /// The largest number of items; zero or less means no limit.
    #[getter]
    fn maxsize(&self) -> i64 {
        self.inner.capacity()
    }

    /// The number of items for which task_done() was not called yet.
    #[getter]
    fn unfinished_tasks(&self) -> i64 {
        self.inner.unfinished()
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (class, inner) = (slf.get_type(), &slf.get().inner);
        Ok(format!(
            "<{}.{} object items={} ready={} at {:p}>",
            class.module()?,
            class.qualname()?,
            inner.len(),
            inner.ready(),
            slf.as_ptr()
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.try_for_each(|item| visit.call(item.object()))
    }

    fn __clear__(&self) {
        drop(self.inner.take_items());
    }
}

/// An item that was put into a `DelayQueue`: what `DelayQueue.put` returns.
///
/// Example:
///
///     >>> from oxthreads.channels import DelayQueue
///     >>> retries = DelayQueue()
///     >>> retry = retries.put("ask again", delay=60)
///     >>> retry.cancel(), retries.qsize()
///     (True, 0)
#[pyclass(frozen, module = "oxthreads.channels")]
pub(crate) struct Scheduled {
    queue: Py<DelayQueue>,
    key: Key,
}

impl Scheduled {
    pub(crate) fn of<'py>(queue: &Bound<'py, DelayQueue>, key: Key) -> PyResult<Bound<'py, Self>> {
        let scheduled = Self {
            queue: queue.clone().unbind(),
            key,
        };
        Bound::new(queue.py(), scheduled)
    }
}

#[pymethods]
impl Scheduled {
    /// Remove the item from its queue, if it is still there. It counts as done.
    ///
    /// Returns:
    ///     bool: True if it was removed; False if it has been taken, or removed before.
    fn cancel(&self) -> bool {
        self.queue.get().inner.cancel(self.key).is_some()
    }

    /// The time of the item, as `time.monotonic` tells it (float).
    #[getter]
    fn when(&self) -> f64 {
        self.queue.get().when(self.key.time())
    }

    /// Whether the item is still in its queue (bool). Another thread may take it at any moment.
    #[getter]
    fn is_pending(&self) -> bool {
        self.queue.get().inner.contains(self.key)
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let this = slf.get();
        let state = if this.is_pending() { "pending" } else { "gone" };
        format!(
            "<oxthreads.channels.Scheduled {state} when={}>",
            this.when()
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}
