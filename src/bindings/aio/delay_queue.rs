//! `DelayQueue`, as coroutines use it.

use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::{EMPTY, FULL, SHUT_DOWN, raise};
use super::wait::Wait;
use crate::bindings::queue::{DelayQueue, Item, Scheduled};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::waiting::delay_queue_of;
use crate::primitives::delay_queue::{self, GetError, Key, Nanoseconds, PutError};

/// What a coroutine does with an item.
#[derive(Clone, Copy)]
enum Wants {
    /// It takes it. The end of the queue is an exception.
    Item,
    /// The same, in a loop, which ends with the queue.
    Next,
    /// It looks at it.
    Look,
}

struct Get {
    queue: Py<DelayQueue>,
    wants: Wants,
}

fn got(py: Python<'_>, result: Result<Item, GetError>, wants: Wants) -> Outcome {
    match (result, wants) {
        (Ok(item), _) => Ok(item.into_bound(py).unbind()),
        (Err(GetError::Empty), _) => Err(raise(py, &EMPTY)),
        (Err(GetError::ShutDown), Wants::Next) => Err(PyStopAsyncIteration::new_err(())),
        (Err(GetError::ShutDown), _) => Err(raise(py, &SHUT_DOWN)),
    }
}

impl Start for Get {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let queue = self.queue.get().primitive();
        let result = match self.wants {
            Wants::Item | Wants::Next => queue.try_get_in_turn(),
            Wants::Look => queue.try_peek(),
        };
        match result {
            Err(GetError::Empty) => None,
            result => Some(got(py, result, self.wants)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.queue);
        let operation = delay_queue::Get::new(held.clone());
        match self.wants {
            Wants::Item => Box::new(Polled::new(operation, held, notify, |py, _, result| {
                got(py, result, Wants::Item)
            })),
            Wants::Next => Box::new(Polled::new(operation, held, notify, |py, _, result| {
                got(py, result, Wants::Next)
            })),
            Wants::Look => {
                let operation = operation.only_looking();
                Box::new(Polled::new(operation, held, notify, |py, _, result| {
                    got(py, result, Wants::Look)
                }))
            }
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

struct Put {
    queue: Py<DelayQueue>,
    time: Nanoseconds,
    item: Item,
}

fn put(py: Python<'_>, queue: &Py<DelayQueue>, result: Result<Key, PutError<Item>>) -> Outcome {
    match result {
        Ok(key) => Ok(Scheduled::of(queue.bind(py), key)?.into_any().unbind()),
        Err(PutError::Full(_)) => Err(raise(py, &FULL)),
        Err(PutError::ShutDown(_)) => Err(raise(py, &SHUT_DOWN)),
    }
}

impl Start for Put {
    fn try_now(&mut self, _py: Python<'_>) -> Option<Outcome> {
        None // the wait looks first, too
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let Self { queue, time, item } = *self;
        let held = Held::new(queue);
        let operation = delay_queue::Put::new(held.clone(), time, Some(item));
        let wait = Polled::new(operation, held, notify, put);
        Box::new(wait.visiting(|put, visit| match put.item() {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)?;
        visit.call(self.item.object())
    }
}

struct Join(Py<DelayQueue>);

impl Start for Join {
    fn try_now(&mut self, _py: Python<'_>) -> Option<Outcome> {
        None // the wait looks first, too
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = delay_queue::Join::new(held.clone());
        Box::new(Polled::new(operation, held, notify, |py, _, ()| {
            Ok(py.None())
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// A queue of items that have times, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Threads use the queue itself at the same time. A thread that waits behind a coroutine whose event loop is busy passes it
/// over after 50 milliseconds. A coroutine of another event loop does not, and waits as long as that loop is busy.
///
/// Args:
///     queue (DelayQueue): a queue of oxthreads.channels.
///
/// Raises:
///     TypeError: its class has a get, peek, put or put_at of its own.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import DelayQueue
///     >>> async def main():
///     ...     reminders = as_async(DelayQueue())
///     ...     tea = await reminders.put("tea", delay=0.3)
///     ...     cake = await reminders.put("cake", delay=0.01)
///     ...     return [await reminders.get(), await reminders.get()]
///     >>> asyncio.run(main())
///     ['cake', 'tea']
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncDelayQueue {
    queue: Py<DelayQueue>,
}

#[pymethods]
impl AsyncDelayQueue {
    #[new]
    #[pyo3(signature = (queue, /))]
    fn new(queue: Bound<'_, DelayQueue>) -> PyResult<Self> {
        delay_queue_of(queue.as_any())?;
        Ok(Self {
            queue: queue.unbind(),
        })
    }

    /// The queue that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, DelayQueue> {
        self.queue.bind(py)
    }

    /// Remove the item whose time has come first, and return it. Wait until there is one.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    ///
    /// If it is cancelled, no item is taken.
    fn get(&self, py: Python<'_>) -> Wait {
        self.wait(py, "AsyncDelayQueue.get", Wants::Item)
    }

    /// Return the item that get() would return, and leave it in the queue. Wait until there is one.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn peek(&self, py: Python<'_>) -> Wait {
        self.wait(py, "AsyncDelayQueue.peek", Wants::Look)
    }

    /// Put an item into the queue that can be taken after a delay. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///     delay (float): after how many seconds from now.
    ///
    /// Returns:
    ///     Scheduled: with its method `cancel` the item is removed again.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down.
    ///     ValueError: delay is negative or NaN.
    ///     TypeError: delay is not a number.
    ///
    /// If it is cancelled, the item is not put.
    #[pyo3(signature = (item, delay=None), text_signature = "($self, item, delay=0.0)")]
    fn put(&self, item: Bound<'_, PyAny>, delay: Option<&Bound<'_, PyAny>>) -> PyResult<Wait> {
        let time = self.queue.get().time_after(delay)?;
        Ok(self.put_with_time("AsyncDelayQueue.put", item, time))
    }

    /// Put an item into the queue that can be taken at a certain time. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///     when (float): the time, as `time.monotonic` tells it.
    ///
    /// Returns:
    ///     Scheduled: with its method `cancel` the item is removed again.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down.
    ///     ValueError: when is NaN.
    ///     TypeError: when is not a number.
    ///
    /// If it is cancelled, the item is not put.
    #[pyo3(signature = (item, when))]
    fn put_at(&self, item: Bound<'_, PyAny>, when: &Bound<'_, PyAny>) -> PyResult<Wait> {
        let time = self.queue.get().time_at(when)?;
        Ok(self.put_with_time("AsyncDelayQueue.put_at", item, time))
    }

    /// Wait until task_done() was called for every item that was put and not removed by cancel() or clear().
    fn join(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncDelayQueue.join", Join(self.queue.clone_ref(py)))
    }

    /// Remove the item whose time has come first, and return it, without waiting.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: the time of no item has come.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn get_nowait(&self, py: Python<'_>) -> Outcome {
        got(py, self.queue.get().primitive().try_get(), Wants::Item)
    }

    /// Return the item that get_nowait() would return, and leave it in the queue.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: the time of no item has come.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn peek_nowait(&self, py: Python<'_>) -> Outcome {
        got(py, self.queue.get().primitive().try_peek(), Wants::Look)
    }

    /// Put an item into the queue, without waiting.
    ///
    /// Args:
    ///     item: any object.
    ///     delay (float): after how many seconds from now it can be taken.
    ///
    /// Returns:
    ///     Scheduled: with its method `cancel` the item is removed again.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueFull: there is no room.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down.
    ///     ValueError: delay is negative or NaN.
    ///     TypeError: delay is not a number.
    #[pyo3(signature = (item, delay=None), text_signature = "($self, item, delay=0.0)")]
    fn put_nowait(&self, item: Bound<'_, PyAny>, delay: Option<&Bound<'_, PyAny>>) -> Outcome {
        let (py, queue) = (item.py(), self.queue.get());
        let time = queue.time_after(delay)?;
        let result = queue.primitive().try_put(time, Item::new(item));
        put(py, &self.queue, result)
    }

    /// Report that the work on an item that was taken from the queue is done.
    ///
    /// Raises:
    ///     ValueError: called more often than items were put.
    fn task_done(&self) -> PyResult<()> {
        (self.queue.get().primitive().task_done())
            .map_err(|_| PyValueError::new_err("task_done() called too many times"))
    }

    /// Remove all items, each of which counts as done, and return how many there were (int).
    fn clear(&self) -> usize {
        self.queue.get().primitive().clear().len()
    }

    /// Return the number of items (int), also of those whose time has not come.
    fn qsize(&self) -> usize {
        self.queue.get().primitive().len()
    }

    /// Return the number of items (int) whose time has come.
    fn ready(&self) -> usize {
        self.queue.get().primitive().ready()
    }

    /// Return whether the queue has no items at all.
    fn empty(&self) -> bool {
        self.queue.get().primitive().is_empty()
    }

    /// Return whether the queue has maxsize items.
    fn full(&self) -> bool {
        self.queue.get().primitive().is_full()
    }

    /// Whether the queue was shut down.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.queue.get().primitive().is_shut_down()
    }

    /// Shut the queue down, for threads and coroutines. From then on put() raises QueueShutDown, and so does get() when the
    /// queue is empty.
    ///
    /// Args:
    ///     immediate (bool): if True, drop all items first, and count each as done.
    #[pyo3(signature = (immediate=false))]
    fn shutdown(&self, immediate: bool) {
        drop(self.queue.get().primitive().shut_down(immediate));
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        self.wait(py, "AsyncDelayQueue.__anext__", Wants::Next)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncDelayQueue of {}>",
            self.queue.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

impl AsyncDelayQueue {
    fn wait(&self, py: Python<'_>, name: &'static str, wants: Wants) -> Wait {
        let queue = self.queue.clone_ref(py);
        Wait::of(name, Get { queue, wants })
    }

    fn put_with_time(&self, name: &'static str, item: Bound<'_, PyAny>, time: Nanoseconds) -> Wait {
        let queue = self.queue.clone_ref(item.py());
        let item = Item::new(item);
        Wait::of(name, Put { queue, time, item })
    }
}
