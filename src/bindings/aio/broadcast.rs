//! `Broadcast` and `Subscription`, as coroutines use them.

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::channel::AtEnd;
use super::entry::Notify;
use super::held::Held;
use super::lock::Exited;
use super::operation::{Done, Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::channels::{
    Broadcast, Subscription, broadcast_error_of_receive, broadcast_error_of_send,
};
use crate::bindings::queue::Item;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::waiting::broadcast_of;
use crate::primitives::broadcast::{self, SubscriptionError};
use crate::primitives::channel::SendError;

struct Send {
    broadcast: Py<Broadcast>,
    item: Option<Item>,
}

fn sent(py: Python<'_>, result: Result<(), SendError<Item>>) -> Outcome {
    result
        .map(|()| py.None())
        .map_err(|error| broadcast_error_of_send(py, error))
}

impl Start for Send {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.broadcast.get().primitive().try_send(self.item.take()?) {
            Err(SendError::Full(item)) => {
                self.item = Some(item);
                None
            }
            result => Some(sent(py, result)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let Self { broadcast, item } = *self;
        let held = Held::new(broadcast);
        let operation = broadcast::Sending::of(held.clone(), item);
        let wait = Polled::new(operation, held, notify, |py, _, result| sent(py, result));
        Box::new(wait.visiting(|sending, visit| match sending.item() {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.broadcast)?;
        match &self.item {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }
    }
}

struct Receive {
    subscription: Py<Subscription>,
    at_end: AtEnd,
}

fn received(py: Python<'_>, result: Result<Item, SubscriptionError>, at_end: AtEnd) -> Outcome {
    match result {
        Ok(item) => Ok(item.into_bound(py).unbind()),
        Err(SubscriptionError::Closed) if matches!(at_end, AtEnd::Stop) => {
            Err(PyStopAsyncIteration::new_err(()))
        }
        Err(error) => Err(broadcast_error_of_receive(py, error)),
    }
}

impl Start for Receive {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.subscription.get().primitive().try_receive() {
            Err(SubscriptionError::Empty) => None,
            result => Some(received(py, result, self.at_end)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let at_end = self.at_end;
        let held = Held::new(self.subscription);
        let operation = broadcast::Receiving::new(held.clone());
        Box::new(match at_end {
            AtEnd::Raise => Polled::new(operation, held, notify, |py, _, result| {
                received(py, result, AtEnd::Raise)
            }),
            AtEnd::Stop => Polled::new(operation, held, notify, |py, _, result| {
                received(py, result, AtEnd::Stop)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.subscription)
    }
}

/// A broadcast, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Threads use the broadcast itself at the same time, and threads and coroutines may subscribe.
///
/// Args:
///     broadcast (Broadcast): a broadcast of oxthreads.channels.
///
/// Raises:
///     TypeError: its class has a send of its own.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import Broadcast
///     >>> prices = Broadcast(capacity=10)
///     >>> async def main():
///     ...     async with as_async(prices).subscribe() as mine:
///     ...         threading.Thread(target=prices.send, args=(3,)).start()
///     ...         return await mine.receive()
///     >>> asyncio.run(main())
///     3
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncBroadcast {
    broadcast: Py<Broadcast>,
}

#[pymethods]
impl AsyncBroadcast {
    #[new]
    #[pyo3(signature = (broadcast, /))]
    fn new(broadcast: Bound<'_, Broadcast>) -> PyResult<Self> {
        broadcast_of(broadcast.as_any())?;
        Ok(Self {
            broadcast: broadcast.unbind(),
        })
    }

    /// The broadcast that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Broadcast> {
        self.broadcast.bind(py)
    }

    /// Send an item to all subscriptions. It waits only if on_lag is "block" and the slowest one has no room.
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: the broadcast is closed, or was closed during the wait. Nobody receives it.
    ///
    /// If it is cancelled, nobody receives the item; unless it got room before the task could run again, and the task was
    /// cancelled in between.
    fn send(&self, item: Bound<'_, PyAny>) -> Wait {
        let broadcast = self.broadcast.clone_ref(item.py());
        let item = Some(Item::new(item));
        Wait::of("AsyncBroadcast.send", Send { broadcast, item })
    }

    /// Send an item without waiting, as Broadcast.send_nowait.
    fn send_nowait(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let broadcast = self.broadcast.bind(item.py());
        (broadcast.call_method1(intern!(item.py(), "send_nowait"), (item,))).map(drop)
    }

    /// Return a new subscription for coroutines, as Broadcast.subscribe does for threads.
    fn subscribe(&self, py: Python<'_>) -> PyResult<AsyncSubscription> {
        let subscription = (self.broadcast.bind(py)).call_method0(intern!(py, "subscribe"))?;
        Ok(AsyncSubscription {
            subscription: subscription.cast_into()?.unbind(),
        })
    }

    /// Close the broadcast, as Broadcast.close.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        (self.broadcast.bind(py).call_method0(intern!(py, "close"))).map(drop)
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.broadcast.get().primitive().is_closed()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncBroadcast of {}>",
            self.broadcast.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.broadcast)
    }
}

/// A subscription, as coroutines use it. AsyncBroadcast.subscribe makes it, or `oxthreads.aio.as_async` of a Subscription.
///
/// Use it in an `async with` statement, which closes it, and in an `async for` loop.
///
/// Args:
///     subscription (Subscription): what Broadcast.subscribe has returned.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import Broadcast
///     >>> prices = Broadcast(capacity=10)
///     >>> mine = prices.subscribe()
///     >>> prices.send(3)
///     >>> asyncio.run(as_async(mine).receive())
///     3
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncSubscription {
    subscription: Py<Subscription>,
}

#[pymethods]
impl AsyncSubscription {
    #[new]
    #[pyo3(signature = (subscription, /))]
    fn new(subscription: Py<Subscription>) -> Self {
        Self { subscription }
    }

    /// The subscription that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Subscription> {
        self.subscription.bind(py)
    }

    /// Receive the next item. Wait for one if necessary.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     oxthreads.channels.Lagged: items were dropped before they were received here, and on_lag is "raise".
    ///     oxthreads.channels.ClosedError: the subscription is closed; or the broadcast is, and there are no more items.
    ///
    /// If it is cancelled, no item is taken.
    fn receive(&self, py: Python<'_>) -> Wait {
        let subscription = self.subscription.clone_ref(py);
        let at_end = AtEnd::Raise;
        let start = Receive {
            subscription,
            at_end,
        };
        Wait::of("AsyncSubscription.receive", start)
    }

    /// Receive the next item without waiting, as Subscription.receive_nowait.
    fn receive_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (self.subscription.bind(py)).call_method0(intern!(py, "receive_nowait"))
    }

    /// End the subscription, as Subscription.close.
    fn close(&self) {
        self.subscription.get().primitive().close();
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.subscription.get().primitive().is_closed()
    }

    /// How many items it has missed so far, an int.
    #[getter]
    fn missed(&self) -> u64 {
        self.subscription.get().primitive().missed()
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Wait {
        Wait::of(
            "AsyncSubscription.__aenter__",
            Done(slf.into_any().unbind()),
        )
    }

    /// Close the subscription.
    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        self.close();
        Exited::get(py)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        let subscription = self.subscription.clone_ref(py);
        let at_end = AtEnd::Stop;
        let start = Receive {
            subscription,
            at_end,
        };
        Wait::of("AsyncSubscription.__anext__", start)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let subscription = self.subscription.bind(py).repr()?;
        Ok(format!("<AsyncSubscription of {subscription}>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.subscription)
    }
}
