//! `Broadcast`, and the `Subscription` that its `subscribe` returns.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::{
    Timeout, called_twice, cannot_pickle, closed, is_closed, lagged, shown_capacity, timed_out,
    word, word_of,
};
use crate::bindings::queue::{Item, basic_size};
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::lazy::{HasImports, Imports};
use crate::bindings::runtime::observed::{Kept, Observed};
use crate::bindings::runtime::{asynchronous, block, errors};
use crate::primitives::broadcast::{self, OnLag, SubscriptionError};
use crate::primitives::channel::SendError;

/// The words for what a send does if somebody is slow.
const WORDS: [(&str, OnLag); 3] = [
    ("raise", OnLag::Raise),
    ("block", OnLag::Block),
    ("drop", OnLag::Drop),
];

const KIND: &str = "broadcast";

/// A way for items from some threads to all that have subscribed.
///
/// Each subscriber receives each item that is sent after it has subscribed, in the same order. An item is stored once for
/// all, until the last one has received it. If nobody has subscribed, it is dropped.
///
/// Args:
///     capacity (int, float or None): how many items are kept for subscribers that have not received them, at least 1. None
///         or math.inf means no limit.
///     on_lag (str): what a send does if so many items are kept, because a subscriber is slow. "raise", the default: it drops
///         the oldest item. The next `receive` of a subscriber that has missed items raises `Lagged`, which says how
///         many, and the one after that goes on with the oldest item that is left. "drop": the same without an exception;
///         `Subscription.missed` counts. "block": it waits for the slowest subscriber.
///
/// Raises:
///     ValueError: capacity is less than 1, or on_lag is another word.
///     TypeError: capacity is no number.
///
/// All methods may be called by any thread, by signal handlers and by `__del__` methods.
///
/// Example:
///
///     >>> from oxthreads.channels import Broadcast
///     >>> prices = Broadcast(capacity=100)
///     >>> with prices.subscribe() as first, prices.subscribe() as second:
///     ...     prices.send(3)
///     ...     prices.send(4)
///     ...     first.receive(), first.receive(), second.receive()
///     (3, 4, 3)
///
/// It is modelled on tokio's broadcast channel.
#[pyclass(subclass, frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct Broadcast {
    /// `__init__` makes it.
    inner: broadcast::Broadcast<Item>,
}

impl HasImports for Broadcast {
    const IMPORTS: Imports = super::IMPORTS;
}

impl Observed for Broadcast {
    type Primitive = broadcast::Broadcast<Item>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

/// The error of a send. The item is dropped.
#[cold]
pub(crate) fn send_error(py: Python<'_>, error: SendError<Item>) -> PyErr {
    match error {
        SendError::Full(_) => errors::full(py),
        SendError::Closed(_) => closed(py, KIND),
    }
}

/// The error of a receive.
#[cold]
pub(crate) fn receive_error(py: Python<'_>, error: SubscriptionError) -> PyErr {
    match error {
        SubscriptionError::Empty => errors::empty(py),
        SubscriptionError::Closed => closed(py, "subscription"),
        SubscriptionError::Lagged(missed) => lagged(py, missed),
    }
}

fast_built_ins! {
    Send: Broadcast, c"send", send;
    Receive: Subscription, c"receive", receive;
}

/// `send(item)`, if there is room.
#[inline]
fn send<'py>(slf: &Bound<'py, Broadcast>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let item = Item::new(arguments.only()?);
    slf.get().primitive().try_send(item).ok()?;
    arguments.done()
}

/// `receive()`, if there is an item.
#[inline]
fn receive<'py>(slf: &Bound<'py, Subscription>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if !arguments.are_none() {
        return None;
    }
    match slf.get().inner.try_receive() {
        Ok(item) => Some(Ok(item.into_bound(arguments.py()))),
        // It is told only once.
        Err(error @ SubscriptionError::Lagged(_)) => {
            Some(Err(receive_error(arguments.py(), error)))
        }
        Err(_) => None,
    }
}

impl Broadcast {
    /// See [`fast_path`].
    pub(crate) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
        fast_path::install::<Send>(&py.get_type::<Self>())?;
        fast_path::install::<Receive>(&py.get_type::<Subscription>())
    }
}

#[pymethods]
impl Broadcast {
    #[classmethod]
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity, on_lag='raise')")]
    fn new(
        _class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: broadcast::Broadcast::unmade(),
        }
    }

    #[pyo3(signature = (capacity, on_lag="raise"))]
    fn __init__(&self, capacity: Option<&Bound<'_, PyAny>>, on_lag: &str) -> PyResult<()> {
        let capacity = super::capacity(capacity, 1)?;
        let on_lag = word("on_lag", on_lag, &WORDS)?;
        if self.inner.make(capacity.unwrap_or(usize::MAX), on_lag) {
            return Ok(());
        }
        Err(called_twice(KIND))
    }

    /// Return a new subscription. It receives what is sent from now on.
    ///
    /// Close it, or use it in a `with` statement, when nobody reads it any more: with on_lag="block" the senders would wait
    /// for it. One that is no longer referred to is closed, too.
    ///
    /// Returns:
    ///     Subscription: a context manager, and an iterator over the items.
    fn subscribe(slf: &Bound<'_, Self>) -> Subscription {
        Subscription {
            inner: broadcast::Subscription::new(Kept::new(slf)),
        }
    }

    /// Send an item to all subscriptions. It waits only if on_lag is "block" and the slowest one has no room.
    ///
    /// Args:
    ///     item: any object.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Raises:
    ///     TimeoutError: there was no room in time. Nobody receives it.
    ///     oxthreads.channels.ClosedError: the broadcast is closed, or was closed during the wait. Nobody receives it.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (item, timeout=None))]
    fn send(&self, item: Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = item.py();
        let broadcast = self.primitive();
        let timeout = Timeout::new(timeout)?;
        let item = match broadcast.try_send(Item::new(item)) {
            Ok(()) => return Ok(()),
            Err(SendError::Full(item)) => item,
            Err(error) => return Err(send_error(py, error)),
        };
        let outcome = match timeout.begin()? {
            None => None,
            Some(deadline) => block::wait(py, &mut broadcast.send(item), deadline)?,
        };
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(send_error(py, error)),
            None => Err(timed_out("there was no room in time")),
        }
    }

    /// Send an item without waiting.
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     queue.Full: on_lag is "block", and the slowest subscription has no room.
    ///     oxthreads.channels.ClosedError: the broadcast is closed.
    fn send_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        let sent = self.primitive().try_send(Item::new(item));
        sent.map_err(|error| send_error(py, error))
    }

    /// Close the broadcast: nothing can be sent any more. Subscriptions receive what was sent before, and then end.
    ///
    /// Threads that wait to send get ClosedError, and nobody receives their items. A second call does nothing.
    fn close(&self) {
        self.primitive().close();
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.primitive().is_closed()
    }

    /// The largest number of items that are kept, an int; math.inf if there is no limit.
    #[getter(capacity)]
    fn get_capacity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let capacity = self.inner.capacity();
        shown_capacity(py, (capacity != usize::MAX).then_some(capacity))
    }

    /// What a send does if a subscriber is slow, a str as it was given.
    #[getter(on_lag)]
    fn get_on_lag(&self) -> &'static str {
        word_of(&self.primitive().on_lag(), &WORDS)
    }

    /// How many subscriptions there are, an int. Other threads may have changed it by the time the caller uses it.
    #[getter]
    fn subscriptions(&self) -> usize {
        self.primitive().subscriptions()
    }

    /// Return the number of items that a subscription has not received. Other threads may have changed it by the time the
    /// caller uses it.
    fn __len__(&self) -> usize {
        self.primitive().len()
    }

    /// Return True.
    #[expect(clippy::unused_self, reason = "a broadcast is no container")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Close the broadcast.
    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let broadcast = slf.get();
        let state = if broadcast.closed() { "closed " } else { "" };
        Ok(format!(
            "<{state}{} to {} at {:p}>",
            slf.get_type().fully_qualified_name()?,
            broadcast.subscriptions(),
            slf.as_ptr()
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(cannot_pickle(slf.as_any()))
    }

    /// Return the size in bytes, with the lists of items, of subscriptions and of waiting threads.
    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(basic_size(slf.as_any())? + slf.get().primitive().allocated())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.try_for_each(|item| visit.call(item.object()))
    }

    fn __clear__(&self) {
        drop(self.inner.take_items());
    }
}

/// What `Broadcast.subscribe` returns: it receives each item that is sent from then on.
///
/// Several threads may share one: then each item goes to one of them. The end of a `with` statement closes it.
///
/// Example:
///
///     >>> from oxthreads.channels import Broadcast, Lagged
///     >>> ticks = Broadcast(capacity=2)
///     >>> slow = ticks.subscribe()
///     >>> for number in range(5):
///     ...     ticks.send(number)
///     >>> try:
///     ...     slow.receive()
///     ... except Lagged as error:
///     ...     error.missed
///     3
///     >>> slow.receive(), slow.receive(), slow.missed
///     (3, 4, 3)
#[pyclass(frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct Subscription {
    inner: broadcast::Subscription<Item, Kept<Broadcast>>,
}

impl Observed for Subscription {
    type Primitive = broadcast::Subscription<Item, Kept<Broadcast>>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl Subscription {
    /// The broadcast.
    #[getter]
    fn broadcast<'py>(&self, py: Python<'py>) -> &Bound<'py, Broadcast> {
        self.inner.broadcast().object().bind(py)
    }

    /// Receive the next item. Wait for one if necessary.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     TimeoutError: there was no item in time.
    ///     oxthreads.channels.Lagged: items were dropped before they were received here, and on_lag is "raise". The
    ///         attribute ``missed`` says how many. The next call goes on with the oldest item that is left.
    ///     oxthreads.channels.ClosedError: the subscription is closed; or the broadcast is, and there are no more items.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Timeout::new(timeout)?;
        match self.inner.try_receive() {
            Ok(item) => return Ok(item.into_bound(py)),
            Err(SubscriptionError::Empty) => {}
            Err(error) => return Err(receive_error(py, error)),
        }
        let outcome = match timeout.begin()? {
            None => None,
            Some(deadline) => block::wait(py, &mut self.inner.receive(), deadline)?,
        };
        match outcome {
            Some(Ok(item)) => Ok(item.into_bound(py)),
            Some(Err(error)) => Err(receive_error(py, error)),
            None => Err(timed_out("there was no item in time")),
        }
    }

    /// Receive the next item without waiting.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     queue.Empty: there is no item.
    ///     oxthreads.channels.Lagged: as receive().
    ///     oxthreads.channels.ClosedError: as receive().
    fn receive_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.inner.try_receive() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(error) => Err(receive_error(py, error)),
        }
    }

    /// End the subscription. Nobody waits for it any more, and the items that it has not received are dropped. A second call
    /// does nothing.
    fn close(&self) {
        self.inner.close();
    }

    /// Whether it was closed, by close() or by the end of a `with` statement.
    #[getter]
    fn closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// How many items it has missed so far, an int. 0 once it is closed.
    #[getter]
    fn missed(&self) -> u64 {
        self.inner.missed()
    }

    /// Return the number of items that it can receive now. Other threads may have changed it by the time the caller uses it.
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// Return True.
    #[expect(clippy::unused_self, reason = "a subscription is no container")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Close the subscription.
    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        // A loop in C runs no bytecode, so check here. No item has been taken yet that could be lost.
        asynchronous::check(py)?;
        match slf.get().receive(py, None) {
            Ok(item) => Ok(Some(item)),
            Err(error) if is_closed(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = if slf.get().closed() { "closed " } else { "" };
        Ok(format!(
            "<{state}{} with {} items at {:p}>",
            slf.get_type().fully_qualified_name()?,
            slf.get().inner.len(),
            slf.as_ptr()
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(cannot_pickle(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.inner.broadcast().object())
    }
}
