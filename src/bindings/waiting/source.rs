//! What `select` can wait for: each kind of object, and its natural wait.

use std::collections::VecDeque;
use std::os::raw::c_int;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple, PyType};

use crate::bindings::channels::{self, Broadcast, Channel, Subscription, Watch, WatchReader};
use crate::bindings::future::Future;
use crate::bindings::queue::{DelayQueue, Item, note_waited_for, stopped};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::{Kept, Observed};
use crate::bindings::runtime::{errors, foreign};
use crate::bindings::threading::{Barrier, Condition, Event, Limiter, Lock, RLock, Semaphore};
use crate::bindings::waiting::arms::{
    Destination, GetMany, Put, QueueOf, channel_of, delay_queue_of, limiter_of,
};
use crate::bindings::waiting::files;
use crate::bindings::waiting::timer::{Timer, WaitForTime};
use crate::primitives::broadcast::SubscriptionError;
use crate::primitives::channel::{OnFull, ReceiveError, SendError};
use crate::primitives::queue::{GetError, PutError};
use crate::primitives::watch::Closed;
use crate::primitives::{
    FellBack, broadcast, channel, delay_queue, event, future, limiter, lock, queue, semaphore,
    watch,
};
use crate::wait::observe::Acquisition;
use crate::wait::{AnyOperation, Converted};

lazy_imports! {
    /// What sources look up.
    pub(crate) IMPORTS, with errors::SHUT_DOWN, errors::FULL;
    THREAD: PyType = "oxthreads.threading", "_StandardThread";
    END_OF_THREAD: PyAny = "oxthreads.waiting", "_end_of_thread";
}

/// How an arm was completed.
pub(crate) enum Outcome {
    /// An item was taken.
    Item(Item),
    /// What was waited for has happened, or was acquired.
    Done,
    /// A time has come, so many times.
    Times(u64),
    /// The queue was shut down.
    ShutDown,
    /// The object has fallen back to the standard library.
    FellBack,
    /// Items could not be compared.
    Failed(PyErr),
    /// The channel, or what is like one, was closed.
    Closed(&'static str),
    /// So many items of a subscription were dropped.
    Lagged(u64),
    /// The channel is full, and does not wait.
    Full,
}

impl From<Result<Option<Item>, SendError<Item>>> for Outcome {
    fn from(sent: Result<Option<Item>, SendError<Item>>) -> Self {
        match sent {
            Ok(_) => Self::Done,
            Err(SendError::Full(_)) => Self::Full,
            Err(SendError::Closed(_)) => Self::Closed("channel"),
        }
    }
}

impl From<Result<(), SendError<Item>>> for Outcome {
    fn from(sent: Result<(), SendError<Item>>) -> Self {
        match sent {
            Ok(()) => Self::Done,
            Err(SendError::Full(_)) => Self::Full,
            Err(SendError::Closed(_)) => Self::Closed("broadcast"),
        }
    }
}

impl From<Result<Item, ReceiveError>> for Outcome {
    fn from(received: Result<Item, ReceiveError>) -> Self {
        match received {
            Ok(item) => Self::Item(item),
            // The wait never ends as `Empty`.
            Err(ReceiveError::Closed | ReceiveError::Empty) => Self::Closed("channel"),
        }
    }
}

impl From<Result<Item, SubscriptionError>> for Outcome {
    fn from(received: Result<Item, SubscriptionError>) -> Self {
        match received {
            Ok(item) => Self::Item(item),
            Err(SubscriptionError::Lagged(missed)) => Self::Lagged(missed),
            // The wait never ends as `Empty`.
            Err(SubscriptionError::Closed | SubscriptionError::Empty) => {
                Self::Closed("subscription")
            }
        }
    }
}

impl From<Result<Item, Closed>> for Outcome {
    fn from(changed: Result<Item, Closed>) -> Self {
        match changed {
            Ok(value) => Self::Item(value),
            Err(Closed) => Self::Closed("watched value"),
        }
    }
}

impl From<Result<Item, GetError<PyErr>>> for Outcome {
    fn from(taken: Result<Item, GetError<PyErr>>) -> Self {
        match taken {
            Ok(item) => Self::Item(item),
            // The wait never ends as `Empty`.
            Err(GetError::ShutDown | GetError::Empty) => Self::ShutDown,
            Err(GetError::FellBack) => Self::FellBack,
            Err(GetError::Comparison(error)) => Self::Failed(error),
        }
    }
}

impl From<Result<Item, delay_queue::GetError>> for Outcome {
    fn from(taken: Result<Item, delay_queue::GetError>) -> Self {
        match taken {
            Ok(item) => Self::Item(item),
            // The wait never ends as `Empty`.
            Err(delay_queue::GetError::ShutDown | delay_queue::GetError::Empty) => Self::ShutDown,
        }
    }
}

impl From<Result<(), PutError<Item, PyErr>>> for Outcome {
    fn from(put: Result<(), PutError<Item, PyErr>>) -> Self {
        match put {
            Ok(()) => Self::Done,
            // The wait never ends as `Full`.
            Err(PutError::ShutDown(_) | PutError::Full(_)) => Self::ShutDown,
            Err(PutError::FellBack(_)) => Self::FellBack,
            Err(PutError::Comparison(_, error)) => Self::Failed(error),
        }
    }
}

impl From<Result<(), FellBack>> for Outcome {
    fn from(done: Result<(), FellBack>) -> Self {
        match done {
            Ok(()) => Self::Done,
            Err(FellBack) => Self::FellBack,
        }
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// An arm of a wait, which keeps its object alive.
pub(crate) type Arm = Box<dyn AnyOperation<Output = Outcome> + Send + Sync>;

fn arm<O>(operation: O) -> Arm
where
    O: crate::wait::Operation<Output: Into<Outcome>> + Send + Sync + 'static,
{
    Box::new(Converted::new(operation, |output: O::Output| output.into()))
}

/// An object that `select` waits for.
pub(crate) enum Source<'py> {
    Queue(QueueOf<'py>),
    Put(Bound<'py, Put>),
    GetMany(Bound<'py, GetMany>),
    Event(Bound<'py, Event>),
    /// The end of a thread, which this event tells of.
    Thread(Bound<'py, Event>),
    Future(Bound<'py, Future>),
    Lock(Bound<'py, Lock>),
    Semaphore(Bound<'py, Semaphore>),
    DelayQueue(Bound<'py, DelayQueue>),
    Limiter(Bound<'py, Limiter>),
    Channel(Bound<'py, Channel>),
    Subscription(Bound<'py, Subscription>),
    WatchReader(Bound<'py, WatchReader>),
    Timer(Bound<'py, Timer>),
    File(c_int),
}

impl<'py> Source<'py> {
    /// The source that this object is.
    ///
    /// # Errors
    /// TypeError, if it is none; and what asking it raised.
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        // The most frequent first.
        if let Some(queue) = QueueOf::of(object)? {
            return Ok(Self::Queue(queue));
        }
        if let Ok(event) = object.cast::<Event>() {
            if !Event::is_direct(event)? {
                return Err(fell_back(object));
            }
            return Ok(Self::Event(event.clone()));
        }
        if let Ok(future) = object.cast::<Future>() {
            return Ok(Self::Future(future.clone()));
        }
        if let Ok(lock) = object.cast::<Lock>() {
            return Ok(Self::Lock(lock.clone()));
        }
        if let Ok(semaphore) = object.cast::<Semaphore>() {
            if !Semaphore::is_direct(semaphore)? {
                return Err(fell_back(object));
            }
            return Ok(Self::Semaphore(semaphore.clone()));
        }
        if let Some(limiter) = limiter_of(object)? {
            return Ok(Self::Limiter(limiter));
        }
        if let Some(queue) = delay_queue_of(object)? {
            return Ok(Self::DelayQueue(queue));
        }
        if let Some(channel) = channel_of(object)? {
            return Ok(Self::Channel(channel));
        }
        if let Ok(put) = object.cast::<Put>() {
            return Ok(Self::Put(put.clone()));
        }
        if let Ok(subscription) = object.cast::<Subscription>() {
            return Ok(Self::Subscription(subscription.clone()));
        }
        if let Ok(reader) = object.cast::<WatchReader>() {
            return Ok(Self::WatchReader(reader.clone()));
        }
        if let Ok(get) = object.cast::<GetMany>() {
            return Ok(Self::GetMany(get.clone()));
        }
        if let Ok(timer) = object.cast::<Timer>() {
            return Ok(Self::Timer(timer.clone()));
        }
        Self::of_another(object)
    }

    #[cold]
    fn of_another(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if let Some(event) = end_of_thread(object)? {
            return Ok(Self::Thread(event));
        }
        if object.is_instance_of::<RLock>() {
            return Err(PyTypeError::new_err(
                "select() cannot wait for an RLock, which a thread may have already; use a Lock",
            ));
        }
        if object.is_instance_of::<Broadcast>() || object.is_instance_of::<Watch>() {
            return Err(PyTypeError::new_err(format!(
                "select() cannot wait for a {} itself; wait for what its subscribe() returns",
                object.get_type().name()?
            )));
        }
        if object.is_instance_of::<Condition>() || object.is_instance_of::<Barrier>() {
            return Err(PyTypeError::new_err(format!(
                "select() cannot wait for a {}; use an Event or a Queue",
                object.get_type().name()?
            )));
        }
        let class = object.get_type();
        let module = class.module()?;
        if matches!(
            module.to_str(),
            Ok("queue" | "threading" | "_thread" | "_queue" | "concurrent.futures._base")
        ) {
            return Err(PyTypeError::new_err(format!(
                "select() cannot wait for an object of the standard library ({}.{}); use that of oxthreads, or run the \
                 program by 'oxthreads run'",
                module,
                class.qualname()?
            )));
        }
        if let Some(fileno) = object.getattr_opt(intern!(py, "fileno"))? {
            let number = foreign::call(&fileno, &PyTuple::empty(py), None)?;
            let number: c_int = number.extract()?;
            if number < 0 {
                return Err(PyValueError::new_err(format!(
                    "Invalid file descriptor: {number}"
                )));
            }
            files::check(object)?;
            return Ok(Self::File(number));
        }
        Err(PyTypeError::new_err(format!(
            "select() cannot wait for a {} object",
            class.qualname()?
        )))
    }

    /// Takes what the source has, if it is ready.
    ///
    /// # Errors
    /// If the source ends the wait by an error.
    #[inline]
    pub(crate) fn take_now(
        &self,
        py: Python<'py>,
        object: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let outcome = match self {
            Self::Queue(queue) => match queue.items().try_get() {
                Ok(item) => return Ok(Some(item.into_bound(py))),
                Err(GetError::Empty) => return Ok(None),
                Err(error) => Err(error).into(),
            },
            Self::Event(event) | Self::Thread(event) => match event.get().primitive().state() {
                Ok(false) => return Ok(None),
                Ok(true) => Outcome::Done,
                Err(FellBack) => Outcome::FellBack,
            },
            Self::Future(future) => {
                let future = future.get().primitive();
                match future.with_native(|record| record.state.is_done()) {
                    Ok(false) => return Ok(None),
                    Ok(true) => Outcome::Done,
                    Err(FellBack) => Outcome::FellBack,
                }
            }
            Self::Lock(lock) => {
                if !lock.get().primitive().begin_acquire(|| Acquisition::Tried) {
                    return Ok(None);
                }
                return Ok(Some(yes(py)));
            }
            Self::Semaphore(semaphore) => match semaphore.get().primitive().try_acquire() {
                Ok(()) => Outcome::Done,
                Err(semaphore::AcquireError::NoPermit) => return Ok(None),
                Err(semaphore::AcquireError::FellBack) => Outcome::FellBack,
            },
            Self::Channel(channel) => match channel.get().primitive().try_receive() {
                Ok(item) => return Ok(Some(item.into_bound(py))),
                Err(ReceiveError::Empty) => return Ok(None),
                Err(error) => Err(error).into(),
            },
            Self::Subscription(subscription) => {
                match subscription.get().primitive().try_receive() {
                    Ok(item) => return Ok(Some(item.into_bound(py))),
                    Err(SubscriptionError::Empty) => return Ok(None),
                    Err(error) => Err(error).into(),
                }
            }
            Self::WatchReader(reader) => match reader.get().primitive().try_changed() {
                Ok(Some(value)) => return Ok(Some(value.into_bound(py))),
                Ok(None) => return Ok(None),
                Err(Closed) => Err(Closed).into(),
            },
            Self::Put(put) => {
                let put = put.get();
                let item = Item::new(put.item(py));
                match put.destination(py) {
                    Destination::Queue(queue) => match queue.items().try_put(item) {
                        Err(PutError::Full(_)) => return Ok(None),
                        put => put.into(),
                    },
                    Destination::Channel(channel) => {
                        let channel = channel.get().primitive();
                        match channel.try_send(item) {
                            Err(SendError::Full(_)) if channel.on_full() == OnFull::Block => {
                                return Ok(None);
                            }
                            sent => sent.into(),
                        }
                    }
                    Destination::Broadcast(broadcast) => {
                        match broadcast.get().primitive().try_send(item) {
                            Err(SendError::Full(_)) => return Ok(None),
                            sent => sent.into(),
                        }
                    }
                }
            }
            Self::GetMany(get) => {
                let get = get.get();
                let mut taken = VecDeque::new();
                match get.queue(py).items().try_get_many(get.most(), &mut taken) {
                    Err(GetError::Empty) => return Ok(None),
                    Err(error) if taken.is_empty() => Err(error).into(),
                    Err(error) => {
                        stopped(py, error, &mut taken)?;
                        return GetMany::list(py, taken).map(Some);
                    }
                    Ok(()) => return GetMany::list(py, taken).map(Some),
                }
            }
            Self::Timer(timer) => match timer.get().take() {
                None => return Ok(None),
                Some(outcome) => outcome,
            },
            Self::DelayQueue(queue) => match queue.get().primitive().try_get_in_turn() {
                Ok(item) => return Ok(Some(item.into_bound(py))),
                Err(delay_queue::GetError::Empty) => return Ok(None),
                Err(delay_queue::GetError::ShutDown) => Outcome::ShutDown,
            },
            Self::Limiter(limiter) => {
                let acquired = limiter.get().primitive().try_acquire(1);
                return Ok(acquired.then(|| yes(py)));
            }
            Self::File(number) => {
                return Ok(files::is_readable(*number)?.then(|| py.None().into_bound(py)));
            }
        };
        value(object, outcome).map(Some)
    }

    /// The wait for the source, as an arm.
    ///
    /// # Errors
    /// TypeError, if the class of a queue has methods of its own.
    pub(crate) fn operation(&self, object: &Bound<'py, PyAny>) -> PyResult<Arm> {
        let py = object.py();
        Ok(match self {
            Self::Queue(QueueOf::Queue(queue)) => {
                note_waited_for(object, queue.get().primitive());
                arm(queue::Get::new(Kept::new(queue)))
            }
            Self::Queue(QueueOf::SimpleQueue(queue)) => {
                note_waited_for(object, queue.get().primitive());
                arm(queue::Get::new(Kept::new(queue)))
            }
            Self::Event(event) | Self::Thread(event) => arm(event::WaitSet::new(Kept::new(event))),
            Self::Future(future) => arm(future::WaitDone::new(Kept::new(future))),
            Self::Lock(lock) => arm(lock::Acquire::new(Kept::new(lock))),
            Self::Semaphore(semaphore) => arm(semaphore::Acquire::new(Kept::new(semaphore))),
            Self::Channel(channel) => arm(channel::Receiving::new(Kept::new(channel))),
            Self::Subscription(subscription) => {
                arm(broadcast::Receiving::new(Kept::new(subscription)))
            }
            Self::WatchReader(reader) => arm(watch::Changed::new(Kept::new(reader))),
            Self::Put(put) => {
                let put = put.get();
                let item = Item::new(put.item(py));
                match put.destination(py) {
                    Destination::Queue(QueueOf::Queue(queue)) => {
                        note_waited_for(queue.as_any(), queue.get().primitive());
                        arm(queue::Put::new(Kept::new(&queue), item))
                    }
                    Destination::Queue(QueueOf::SimpleQueue(queue)) => {
                        arm(queue::Put::new(Kept::new(&queue), item))
                    }
                    Destination::Channel(channel) => {
                        arm(channel::Sending::new(Kept::new(&channel), item))
                    }
                    Destination::Broadcast(broadcast) => {
                        arm(broadcast::Sending::new(Kept::new(&broadcast), item))
                    }
                }
            }
            Self::GetMany(get) => {
                return Self::Queue(get.get().queue(py)).operation(get.get().queue(py).as_any());
            }
            Self::Timer(timer) => Box::new(WaitForTime::new(timer)),
            Self::DelayQueue(queue) => arm(delay_queue::Get::new(Kept::new(queue))),
            Self::Limiter(limiter) => arm(limiter::Acquire::new(Kept::new(limiter), 1)),
            Self::File(number) => Box::new(files::Readable::new(*number)),
        })
    }

    /// The object that the arm keeps alive, for the collector. (It also has the item that it is to put, as long as that was not
    /// put: see [`Operation::offer`](crate::wait::Operation::offer).)
    pub(crate) fn kept_by_arm(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(match self {
            Self::Queue(queue) => queue.as_any().clone(),
            Self::Channel(channel) => channel.as_any().clone(),
            Self::Subscription(subscription) => subscription.as_any().clone(),
            Self::WatchReader(reader) => reader.as_any().clone(),
            Self::Put(put) => put.get().destination(py).as_any().clone(),
            Self::GetMany(get) => get.get().queue(py).as_any().clone(),
            Self::Event(event) | Self::Thread(event) => event.as_any().clone(),
            Self::Future(future) => future.as_any().clone(),
            Self::Lock(lock) => lock.as_any().clone(),
            Self::Semaphore(semaphore) => semaphore.as_any().clone(),
            Self::Timer(timer) => timer.as_any().clone(),
            Self::DelayQueue(queue) => queue.as_any().clone(),
            Self::Limiter(limiter) => limiter.as_any().clone(),
            Self::File(_) => return None,
        })
    }

    /// # Errors
    /// TypeError, if it is a file: the event loop itself waits for these.
    pub(crate) fn refuse_file(&self) -> PyResult<()> {
        match self {
            Self::File(_) => Err(PyTypeError::new_err(
                "select() of a coroutine cannot wait for sockets and files; use the event loop for that",
            )),
            _ => Ok(()),
        }
    }

    /// The number of the file, if it is one.
    pub(crate) fn file(&self) -> Option<c_int> {
        match self {
            Self::File(number) => Some(*number),
            _ => None,
        }
    }
}

/// What `select` returns for an object whose arm was completed.
///
/// # Errors
/// If it was completed by an error.
#[inline]
pub(super) fn value<'py>(
    object: &Bound<'py, PyAny>,
    outcome: Outcome,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    match outcome {
        Outcome::Item(item) => {
            let Ok(get) = object.cast::<GetMany>() else {
                return Ok(item.into_bound(py));
            };
            let get = get.get();
            let mut taken = VecDeque::from([item]);
            let more = get.most().saturating_sub(1);
            if let Err(error) = get.queue(py).items().try_get_many(more, &mut taken) {
                stopped(py, error, &mut taken)?;
            }
            GetMany::list(py, taken)
        }
        Outcome::Done if object.is_instance_of::<Event>() => Ok(yes(py)),
        Outcome::Done if object.is_instance_of::<Semaphore>() => Ok(yes(py)),
        Outcome::Done if object.is_instance_of::<Limiter>() => Ok(yes(py)),
        Outcome::Times(times) => Ok(times.into_pyobject(py)?.into_any()),
        Outcome::Done => {
            let Ok(lock) = object.cast::<Lock>() else {
                return Ok(py.None().into_bound(py));
            };
            lock.get().primitive().acquired(|| Acquisition::Tried);
            Ok(yes(py))
        }
        outcome => Err(refused(object, outcome)),
    }
}

fn yes(py: Python<'_>) -> Bound<'_, PyAny> {
    PyBool::new(py, true).to_owned().into_any()
}

/// The error by which the object ends the wait.
#[cold]
fn refused(object: &Bound<'_, PyAny>, outcome: Outcome) -> PyErr {
    let py = object.py();
    match outcome {
        Outcome::ShutDown => with_source(errors::shut_down(py), object),
        Outcome::Closed(kind) => with_source(channels::closed(py, kind), object),
        Outcome::Lagged(missed) => with_source(channels::lagged(py, missed), object),
        Outcome::Full => with_source(errors::full(py), object),
        Outcome::Failed(error) => error,
        Outcome::FellBack | Outcome::Done | Outcome::Times(_) | Outcome::Item(_) => {
            fell_back(object)
        }
    }
}

/// The error, with the source that has ended the wait by it.
fn with_source(error: PyErr, source: &Bound<'_, PyAny>) -> PyErr {
    // An exception without a dictionary cannot carry it.
    let _ = foreign::set_attribute(error.value(source.py()).as_any(), "source", source);
    error
}

/// The event that tells of the end of a thread; `None` if the object is no thread.
///
/// # Errors
/// Those of `join`: the thread was not started, or is the calling one.
pub(super) fn end_of_thread<'py>(
    object: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, Event>>> {
    let py = object.py();
    if !object.is_instance(THREAD.get(py)?)? {
        return Ok(None);
    }
    let end = foreign::call(END_OF_THREAD.get(py)?, &PyTuple::new(py, [object])?, None)?;
    Ok(Some(end.cast_into()?))
}

/// The error for an object that uses the standard library.
#[cold]
pub(super) fn fell_back(object: &Bound<'_, PyAny>) -> PyErr {
    let name = match object.get_type().qualname() {
        Ok(name) => name.to_string(),
        Err(error) => return error,
    };
    PyTypeError::new_err(format!(
        "this {name} cannot be waited for together with others: it uses the standard library (see docs/fallback.md), \
         because its class overrides methods, or because the program has used what only the standard object has"
    ))
}
