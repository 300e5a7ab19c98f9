//! `Channel`, as coroutines use it.

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Notify;
use super::held::Held;
use super::lock::Exited;
use super::operation::{Done, Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::channels::{Channel, channel_error_of_receive, channel_error_of_send};
use crate::bindings::queue::Item;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::waiting::channel_of;
use crate::primitives::channel::{self, OnFull, ReceiveError, SendError};

/// Whether the end of a channel is told as in a loop or by an exception.
#[derive(Clone, Copy)]
pub(super) enum AtEnd {
    Raise,
    Stop,
}

struct Receive {
    channel: Py<Channel>,
    at_end: AtEnd,
}

fn received(py: Python<'_>, result: Result<Item, ReceiveError>, at_end: AtEnd) -> Outcome {
    match result {
        Ok(item) => Ok(item.into_bound(py).unbind()),
        Err(ReceiveError::Closed) if matches!(at_end, AtEnd::Stop) => {
            Err(PyStopAsyncIteration::new_err(()))
        }
        Err(error) => Err(channel_error_of_receive(py, error)),
    }
}

impl Start for Receive {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.channel.get().primitive().try_receive() {
            Err(ReceiveError::Empty) => None,
            result => Some(received(py, result, self.at_end)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let at_end = self.at_end;
        let held = Held::new(self.channel);
        let operation = channel::Receiving::new(held.clone());
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
        visit.call(&self.channel)
    }
}

struct Send {
    channel: Py<Channel>,
    item: Option<Item>,
}

fn sent(py: Python<'_>, result: Result<Option<Item>, SendError<Item>>) -> Outcome {
    match result {
        Ok(_) => Ok(py.None()),
        Err(error) => Err(channel_error_of_send(py, error)),
    }
}

impl Start for Send {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let channel = self.channel.get().primitive();
        match channel.try_send_if_kept(self.item.take()?) {
            Err(SendError::Full(item)) if channel.on_full() == OnFull::Block => {
                self.item = Some(item);
                None
            }
            result => Some(sent(py, result)),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let Self { channel, item } = *self;
        let held = Held::new(channel);
        let operation = channel::Sending::of(held.clone(), item);
        let wait = Polled::new(operation, held, notify, |py, _, result| sent(py, result));
        Box::new(wait.visiting(|sending, visit| match sending.item() {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.channel)?;
        match &self.item {
            Some(item) => visit.call(item.object()),
            None => Ok(()),
        }
    }
}

/// A channel, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Threads use the channel itself at the same time. In a rendezvous, a coroutine may meet a thread or another coroutine.
///
/// Args:
///     channel (Channel): a channel of oxthreads.channels.
///
/// Raises:
///     TypeError: its class has a send or receive of its own.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import Channel
///     >>> lines = Channel()
///     >>> def produce():
///     ...     with lines:
///     ...         for line in ["one", "two"]:
///     ...             lines.send(line)
///     >>> async def main():
///     ...     threading.Thread(target=produce).start()
///     ...     return [line async for line in as_async(lines)]
///     >>> asyncio.run(main())
///     ['one', 'two']
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncChannel {
    channel: Py<Channel>,
}

#[pymethods]
impl AsyncChannel {
    #[new]
    #[pyo3(signature = (channel, /))]
    fn new(channel: Bound<'_, Channel>) -> PyResult<Self> {
        channel_of(channel.as_any())?;
        Ok(Self {
            channel: channel.unbind(),
        })
    }

    /// The channel that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Channel> {
        self.channel.bind(py)
    }

    /// Send an item. Wait for room if necessary; in a rendezvous, wait until somebody has received the item.
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: the channel is closed, or was closed during the wait. The item was not sent.
    ///     queue.Full: there is no room, and the channel was made with on_full="raise".
    ///
    /// If it is cancelled, the item is not sent. Only in a rendezvous it may have been: if somebody received it before the
    /// task could run again, and the task was cancelled in between.
    fn send(&self, item: Bound<'_, PyAny>) -> Wait {
        let channel = self.channel.clone_ref(item.py());
        let item = Some(Item::new(item));
        Wait::of("AsyncChannel.send", Send { channel, item })
    }

    /// Receive the next item. Wait for one if necessary.
    ///
    /// Returns:
    ///     The item.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: the channel is closed and empty.
    ///
    /// If it is cancelled, no item is taken.
    fn receive(&self, py: Python<'_>) -> Wait {
        let channel = self.channel.clone_ref(py);
        let at_end = AtEnd::Raise;
        Wait::of("AsyncChannel.receive", Receive { channel, at_end })
    }

    /// Send an item without waiting, as Channel.send_nowait.
    fn send_nowait(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let channel = self.channel.bind(item.py());
        (channel.call_method1(intern!(item.py(), "send_nowait"), (item,))).map(drop)
    }

    /// Receive the next item without waiting, as Channel.receive_nowait.
    fn receive_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (self.channel.bind(py)).call_method0(intern!(py, "receive_nowait"))
    }

    /// Close the channel, as Channel.close.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        (self.channel.bind(py).call_method0(intern!(py, "close"))).map(drop)
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.channel.get().primitive().is_closed()
    }

    /// Return the number of items in the channel.
    fn __len__(&self) -> usize {
        self.channel.get().primitive().len()
    }

    /// Return True.
    #[expect(clippy::unused_self, reason = "a channel is no container")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Wait {
        Wait::of("AsyncChannel.__aenter__", Done(slf.into_any().unbind()))
    }

    /// Close the channel.
    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        self.close(py)?;
        Exited::get(py)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        let channel = self.channel.clone_ref(py);
        let at_end = AtEnd::Stop;
        Wait::of("AsyncChannel.__anext__", Receive { channel, at_end })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncChannel of {}>",
            self.channel.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.channel)
    }
}
