//! Queues, as coroutines use them.

use std::collections::VecDeque;

use pyo3::exceptions::{PyStopAsyncIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::queue::{Item, Queue, SimpleQueue, list, most, stopped};
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::lazy::LazyImport;
use crate::bindings::runtime::observed::Observed;
use crate::primitives::FellBack;
use crate::primitives::queue::{self, GetError, PutError};
use crate::wait::Converted;

pub(super) static EMPTY: LazyImport<PyType> =
    LazyImport::new(("oxthreads.aio._exceptions", "QueueEmpty"));
pub(super) static FULL: LazyImport<PyType> =
    LazyImport::new(("oxthreads.aio._exceptions", "QueueFull"));
pub(super) static SHUT_DOWN: LazyImport<PyType> =
    LazyImport::new(("oxthreads.aio._exceptions", "QueueShutDown"));

pub(super) fn raise(py: Python<'_>, class: &LazyImport<PyType>) -> PyErr {
    match class.get(py) {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}

/// The error of an object that has become one of the standard library while a view of it was used.
#[cold]
pub(super) fn fell_back(kind: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "this {kind} works as one of the standard library now, because a program has used its internals; \
         coroutines cannot wait for it"
    ))
}

fn get_error(py: Python<'_>, error: GetError<PyErr>) -> PyErr {
    match error {
        GetError::Empty => raise(py, &EMPTY),
        GetError::ShutDown => raise(py, &SHUT_DOWN),
        GetError::Comparison(error) => error,
        GetError::FellBack => fell_back("queue"),
    }
}

fn put_error(py: Python<'_>, error: PutError<Item, PyErr>) -> PyErr {
    match error {
        PutError::Full(_) => raise(py, &FULL),
        PutError::ShutDown(_) => raise(py, &SHUT_DOWN),
        PutError::Comparison(_, error) => error,
        PutError::FellBack(_) => fell_back("queue"),
    }
}

/// Whether the end of a queue is told as in a loop or by an exception.
#[derive(Clone, Copy)]
enum AtEnd {
    Raise,
    Stop,
}

struct Get<Q> {
    queue: Py<Q>,
    at_end: AtEnd,
}

fn got(py: Python<'_>, result: Result<Item, GetError<PyErr>>, at_end: AtEnd) -> Outcome {
    match result {
        Ok(item) => Ok(item.into_bound(py).unbind()),
        Err(GetError::ShutDown) if matches!(at_end, AtEnd::Stop) => {
            Err(PyStopAsyncIteration::new_err(()))
        }
        Err(error) => Err(get_error(py, error)),
    }
}

impl<Q: Observed<Primitive = queue::Queue<Item>>> Start for Get<Q> {
    #[inline]
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.queue.get().primitive().try_get() {
            Err(GetError::Empty) => None,
            result => Some(got(py, result, self.at_end)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let at_end = self.at_end;
        let held = Held::new(self.queue);
        let operation = queue::Get::new(held.clone());
        Box::new(match at_end {
            AtEnd::Raise => Polled::new(operation, held, notify, |py, _, result| {
                got(py, result, AtEnd::Raise)
            }),
            AtEnd::Stop => Polled::new(operation, held, notify, |py, _, result| {
                got(py, result, AtEnd::Stop)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

struct Peek<Q>(Py<Q>);

impl<Q: Observed<Primitive = queue::Queue<Item>>> Start for Peek<Q> {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.0.get().primitive().try_peek() {
            Err(GetError::Empty) => None,
            result => Some(got(py, result, AtEnd::Raise)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = queue::Peek::new(held.clone());
        Box::new(Polled::new(operation, held, notify, |py, _, result| {
            got(py, result, AtEnd::Raise)
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

struct GetMany<Q> {
    queue: Py<Q>,
    most: usize,
}

/// The list of the items that were taken, after an attempt to take more.
fn batch(
    py: Python<'_>,
    mut taken: VecDeque<Item>,
    attempt: Result<(), GetError<PyErr>>,
) -> Outcome {
    match attempt {
        Err(error) if taken.is_empty() => return Err(get_error(py, error)),
        Err(error) => stopped(py, error, &mut taken)?,
        Ok(()) => {}
    }
    Ok(list(py, taken)?.into_any().unbind())
}

impl<Q: Observed<Primitive = queue::Queue<Item>>> Start for GetMany<Q> {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let queue = self.queue.get().primitive();
        let mut taken = VecDeque::new();
        match queue.try_get_many(self.most, &mut taken) {
            Err(GetError::Empty) => None,
            attempt => Some(batch(py, taken, attempt)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let more = self.most.saturating_sub(1);
        let held = Held::new(self.queue);
        // Waits for the first one.
        let operation = Converted::new(queue::Get::new(held.clone()), move |first| (first, more));
        Box::new(Polled::new(
            operation,
            held,
            notify,
            |py, queue, (first, more)| {
                let mut taken = VecDeque::from([first.map_err(|error| get_error(py, error))?]);
                let attempt = queue.get().primitive().try_get_many(more, &mut taken);
                batch(py, taken, attempt)
            },
        ))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

struct Put<Q> {
    queue: Py<Q>,
    item: Option<Item>,
}

impl<Q: Observed<Primitive = queue::Queue<Item>>> Start for Put<Q> {
    #[inline]
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.queue.get().primitive().try_put(self.item.take()?) {
            Ok(()) => Some(Ok(py.None())),
            Err(PutError::Full(item)) => {
                self.item = Some(item);
                None
            }
            Err(error) => Some(Err(put_error(py, error))),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let Self { queue, item } = *self;
        let held = Held::new(queue);
        let operation = queue::Put::of(held.clone(), item);
        let wait = Polled::new(operation, held, notify, |py, _, result| {
            result
                .map(|()| py.None())
                .map_err(|error| put_error(py, error))
        });
        Box::new(wait.visiting(|put, visit| match put.item() {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)?;
        match &self.item {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }
    }
}

struct Join(Py<Queue>);

fn joined(py: Python<'_>, result: Result<(), FellBack>) -> Outcome {
    result
        .map(|()| py.None())
        .map_err(|FellBack| fell_back("queue"))
}

impl Start for Join {
    fn try_now(&mut self, _py: Python<'_>) -> Option<Outcome> {
        None // the wait looks first, too
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = queue::Join::new(held.clone());
        Box::new(Polled::new(operation, held, notify, |py, _, result| {
            joined(py, result)
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

fn get_nowait<'py, Q: Observed<Primitive = queue::Queue<Item>>>(
    py: Python<'py>,
    queue: &Py<Q>,
) -> PyResult<Bound<'py, PyAny>> {
    match queue.get().primitive().try_get() {
        Ok(item) => Ok(item.into_bound(py)),
        Err(error) => Err(get_error(py, error)),
    }
}

fn peek_nowait<'py, Q: Observed<Primitive = queue::Queue<Item>>>(
    py: Python<'py>,
    queue: &Py<Q>,
) -> PyResult<Bound<'py, PyAny>> {
    match queue.get().primitive().try_peek() {
        Ok(item) => Ok(item.into_bound(py)),
        Err(error) => Err(get_error(py, error)),
    }
}

fn put_nowait<Q: Observed<Primitive = queue::Queue<Item>>>(
    queue: &Py<Q>,
    item: Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = item.py();
    let put = queue.get().primitive().try_put(Item::new(item));
    put.map_err(|error| put_error(py, error))
}

fast_built_ins! {
    GetOf: AsyncQueue, c"get", get;
    PutOf: AsyncQueue, c"put", put;
    GetOfSimple: AsyncSimpleQueue, c"get", get_of_simple;
    PutOfSimple: AsyncSimpleQueue, c"put", put_of_simple;
}

/// `get()`.
#[inline]
fn get<'py>(slf: &Bound<'py, AsyncQueue>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    (arguments.are_none()).then(|| slf.get().get(slf.py()).into_awaitable(slf.py()))
}

/// `put(item)`.
#[inline]
fn put<'py>(slf: &Bound<'py, AsyncQueue>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    Some(slf.get().put(arguments.only()?).into_awaitable(slf.py()))
}

/// `get()` of a `SimpleQueue`.
#[inline]
fn get_of_simple<'py>(
    slf: &Bound<'py, AsyncSimpleQueue>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    (arguments.are_none()).then(|| slf.get().get(slf.py()).into_awaitable(slf.py()))
}

/// `put(item)` of a `SimpleQueue`.
#[inline]
fn put_of_simple<'py>(
    slf: &Bound<'py, AsyncSimpleQueue>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    Some(slf.get().put(arguments.only()?).into_awaitable(slf.py()))
}

/// Installs the fast paths; see [`fast_path`].
pub(super) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
    let (queue, simple) = (
        py.get_type::<AsyncQueue>(),
        py.get_type::<AsyncSimpleQueue>(),
    );
    fast_path::install::<GetOf>(&queue)?;
    fast_path::install::<PutOf>(&queue)?;
    fast_path::install::<GetOfSimple>(&simple)?;
    fast_path::install::<PutOfSimple>(&simple)
}

/// A queue, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// It has the names of asyncio.Queue. Threads use the queue itself at the same time, and other event loops have views of
/// their own or share this one.
///
/// Args:
///     queue (Queue): a queue of oxthreads.queue.
///
/// Raises:
///     TypeError: the queue works as one of the standard library, or its class has a put or get of its own.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import queue
///     >>> from oxthreads.aio import as_async
///     >>> items = queue.Queue()
///     >>> async def main():
///     ...     await as_async(items).put("item")
///     ...     return await as_async(items).get()
///     >>> asyncio.run(main())
///     'item'
#[pyclass(frozen, subclass, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncQueue {
    queue: Py<Queue>,
}

#[pymethods]
impl AsyncQueue {
    #[new]
    #[pyo3(signature = (queue, /))]
    fn new(queue: Bound<'_, Queue>) -> PyResult<Self> {
        if queue.get().primitive().has_fallen_back() {
            return Err(fell_back("queue"));
        }
        if !Queue::is_direct(&queue)? {
            return Err(PyTypeError::new_err(
                "the class of this queue has a put or get of its own, which coroutines cannot call without blocking their \
                 event loop; use a queue of oxthreads.queue itself",
            ));
        }
        Ok(Self {
            queue: queue.unbind(),
        })
    }

    /// The queue that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Queue> {
        self.queue.bind(py)
    }

    /// Remove the next item from the queue and return it. Wait for one if necessary.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    ///
    /// If it is cancelled, no item is taken.
    fn get(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncQueue.get", self.start_get(py, AtEnd::Raise))
    }

    /// Remove several items at once and return them. Wait for the first one if necessary.
    ///
    /// One step for many items costs much less than a step for each.
    ///
    /// Args:
    ///     max_items (int or None): the greatest number of items. None means no limit.
    ///
    /// Returns:
    ///     list: at least one item, unless max_items is 0.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    ///     ValueError: max_items is negative.
    ///
    /// If it is cancelled, no item is taken.
    ///
    /// Example:
    ///
    ///     >>> import asyncio
    ///     >>> from oxthreads import queue
    ///     >>> from oxthreads.aio import as_async
    ///     >>> items = queue.Queue()
    ///     >>> items.put_many(range(5))
    ///     >>> asyncio.run(as_async(items).get_many(3))
    ///     [0, 1, 2]
    #[pyo3(signature = (max_items=None))]
    fn get_many(&self, py: Python<'_>, max_items: Option<isize>) -> PyResult<Wait> {
        let most = most(max_items)?;
        let queue = self.queue.clone_ref(py);
        Ok(Wait::of("AsyncQueue.get_many", GetMany { queue, most }))
    }

    /// Put an item into the queue. Wait for room if necessary.
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down.
    ///
    /// If it is cancelled, the item is not put.
    fn put(&self, item: Bound<'_, PyAny>) -> Wait {
        let queue = self.queue.clone_ref(item.py());
        let item = Some(Item::new(item));
        Wait::of("AsyncQueue.put", Put { queue, item })
    }

    /// Return the item that get() would return now, and leave it in the queue. Wait for one if necessary.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn peek(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncQueue.peek", Peek(self.queue.clone_ref(py)))
    }

    /// Return the item that get_nowait() would return, and leave it in the queue.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: there is no item.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn peek_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        peek_nowait(py, &self.queue)
    }

    /// Remove all items, each of which counts as done, and return how many there were.
    ///
    /// Returns:
    ///     int: the number of items that were removed.
    fn clear(&self) -> PyResult<usize> {
        match self.queue.get().primitive().clear() {
            Ok(items) => Ok(items.len()),
            Err(FellBack) => Err(fell_back("queue")),
        }
    }

    /// Wait until task_done() was called for every item that was put.
    fn join(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncQueue.join", Join(self.queue.clone_ref(py)))
    }

    /// Remove the next item and return it, without waiting.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: there is no item. It is asyncio.QueueEmpty and queue.Empty at once.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down and is empty.
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        get_nowait(py, &self.queue)
    }

    /// Put an item into the queue, without waiting.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueFull: there is no room. It is asyncio.QueueFull and queue.Full at once.
    ///     oxthreads.aio.QueueShutDown: the queue was shut down.
    fn put_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        put_nowait(&self.queue, item)
    }

    /// Report that the work on an item that was taken from the queue is done.
    ///
    /// Raises:
    ///     ValueError: called more often than items were put.
    fn task_done(&self, py: Python<'_>) -> PyResult<()> {
        let queue = self.queue.bind(py);
        queue.call_method0(intern!(py, "task_done")).map(drop)
    }

    /// Return the number of items.
    fn qsize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).call_method0(intern!(py, "qsize"))
    }

    /// Return whether the queue has no items.
    fn empty<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).call_method0(intern!(py, "empty"))
    }

    /// Return whether the queue has maxsize items.
    fn full<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).call_method0(intern!(py, "full"))
    }

    /// The largest number of items. Zero or less means no limit.
    #[getter]
    fn maxsize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).getattr(intern!(py, "maxsize"))
    }

    /// The number of items for which task_done() was not called yet.
    #[getter]
    fn unfinished_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).getattr(intern!(py, "unfinished_tasks"))
    }

    /// Whether shutdown() was called.
    #[getter]
    fn is_shutdown(&self) -> bool {
        self.queue.get().primitive().is_shut_down()
    }

    /// Shut the queue down, for threads and coroutines. From then on put() raises QueueShutDown, and so does get() when
    /// the queue is empty.
    ///
    /// Args:
    ///     immediate (bool): if True, drop all items first, and count each as done.
    #[pyo3(signature = (immediate=false))]
    fn shutdown(&self, py: Python<'_>, immediate: bool) -> PyResult<()> {
        let queue = self.queue.bind(py);
        (queue.call_method1(intern!(py, "shutdown"), (immediate,))).map(drop)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncQueue.__anext__", self.start_get(py, AtEnd::Stop))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncQueue of {}>", self.queue.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}

impl AsyncQueue {
    fn start_get(&self, py: Python<'_>, at_end: AtEnd) -> Get<Queue> {
        let queue = self.queue.clone_ref(py);
        Get { queue, at_end }
    }
}

/// A SimpleQueue, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Args:
///     queue (SimpleQueue): a queue of oxthreads.queue.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import queue
///     >>> from oxthreads.aio import as_async
///     >>> items = queue.SimpleQueue()
///     >>> items.put("item")
///     >>> async def main():
///     ...     return await as_async(items).get()
///     >>> asyncio.run(main())
///     'item'
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncSimpleQueue {
    queue: Py<SimpleQueue>,
}

#[pymethods]
impl AsyncSimpleQueue {
    #[new]
    #[pyo3(signature = (queue, /))]
    fn new(queue: Py<SimpleQueue>) -> Self {
        Self { queue }
    }

    /// The queue that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, SimpleQueue> {
        self.queue.bind(py)
    }

    /// Remove the next item from the queue and return it. Wait for one if necessary. If it is cancelled, no item is taken.
    fn get(&self, py: Python<'_>) -> Wait {
        let queue = self.queue.clone_ref(py);
        let at_end = AtEnd::Raise;
        Wait::of("AsyncSimpleQueue.get", Get { queue, at_end })
    }

    /// Remove several items at once and return them. Wait for the first one if necessary. If it is cancelled, no item is
    /// taken.
    ///
    /// Args:
    ///     max_items (int or None): the greatest number of items. None means no limit.
    ///
    /// Returns:
    ///     list: at least one item, unless max_items is 0.
    ///
    /// Raises:
    ///     ValueError: max_items is negative.
    #[pyo3(signature = (max_items=None))]
    fn get_many(&self, py: Python<'_>, max_items: Option<isize>) -> PyResult<Wait> {
        let most = most(max_items)?;
        let queue = self.queue.clone_ref(py);
        let start = GetMany { queue, most };
        Ok(Wait::of("AsyncSimpleQueue.get_many", start))
    }

    /// Put an item into the queue. It never waits.
    fn put(&self, item: Bound<'_, PyAny>) -> Wait {
        let queue = self.queue.clone_ref(item.py());
        let item = Some(Item::new(item));
        Wait::of("AsyncSimpleQueue.put", Put { queue, item })
    }

    /// Remove the next item and return it, without waiting.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: there is no item.
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        get_nowait(py, &self.queue)
    }

    /// Return the item that get() would return now, and leave it in the queue. Wait for one if necessary.
    fn peek(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncSimpleQueue.peek", Peek(self.queue.clone_ref(py)))
    }

    /// Return the item that get_nowait() would return, and leave it in the queue.
    ///
    /// Raises:
    ///     oxthreads.aio.QueueEmpty: there is no item.
    fn peek_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        peek_nowait(py, &self.queue)
    }

    /// Remove all items, and return how many there were (int).
    fn clear(&self) -> usize {
        (self.queue.get().primitive().clear()).map_or(0, |items| items.len())
    }

    /// Put an item into the queue, without waiting.
    fn put_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        put_nowait(&self.queue, item)
    }

    /// Return the number of items.
    fn qsize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).call_method0(intern!(py, "qsize"))
    }

    /// Return whether the queue has no items.
    fn empty<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.queue.bind(py).call_method0(intern!(py, "empty"))
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        let queue = self.queue.clone_ref(py);
        let at_end = AtEnd::Stop;
        Wait::of("AsyncSimpleQueue.__anext__", Get { queue, at_end })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncSimpleQueue of {}>",
            self.queue.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}
