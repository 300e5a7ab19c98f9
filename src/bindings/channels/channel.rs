//! `Channel`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::{
    Timeout, called_twice, cannot_pickle, closed, is_closed, shown_capacity, timed_out, word,
    word_of,
};
use crate::bindings::queue::Item;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::lazy::{HasImports, Imports};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::{asynchronous, block, errors};
use crate::primitives::channel::{self, OnFull, ReceiveError, SendError};

/// The words for what a send does that finds no room.
const WORDS: [(&str, OnFull); 4] = [
    ("block", OnFull::Block),
    ("raise", OnFull::Raise),
    ("drop_oldest", OnFull::DropOldest),
    ("drop_newest", OnFull::DropNewest),
];

const KIND: &str = "channel";

/// A way for items from some threads to others, with an end.
///
/// It is like a queue that can be closed: the loop of a receiver ends when the channel is closed and empty. And it has no
/// room unless it is given some. Then a sender and a receiver meet: `send` returns only once a thread has received the item.
///
/// Args:
///     capacity (int, float or None): how many items it holds. 0, the default, makes such a meeting, a rendezvous. None or
///         math.inf means no limit.
///     on_full (str): what a send does if there is no room, or in a rendezvous no receiver. "block", the default: it waits.
///         "raise": it raises queue.Full. "drop_oldest": it drops the item that has been there longest.
///         "drop_newest": its own item is dropped. `dropped` counts these. In a rendezvous the two are the same.
///
/// Raises:
///     ValueError: capacity is negative, or on_full is another word.
///     TypeError: capacity is no number.
///
/// Receivers that wait are served in the order in which they came, and so are the senders of a rendezvous. All methods may be
/// called by any thread, by signal handlers and by `__del__` methods. A channel is true, also if it is empty.
///
/// Example:
///
///     >>> from oxthreads.channels import Channel
///     >>> from oxthreads.threading import Thread
///     >>> lines = Channel(capacity=10)
///     >>> def produce():
///     ...     with lines:
///     ...         lines.send("one")
///     ...         lines.send("two")
///     >>> Thread(target=produce).start()
///     >>> for line in lines:
///     ...     print(line)
///     one
///     two
///
/// The rendezvous is that of Hoare's Communicating Sequential Processes (1978), as in trio's memory channels and in the Rust
/// crate crossbeam-channel.
#[pyclass(subclass, frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct Channel {
    /// `__init__` makes it.
    inner: channel::Channel<Item>,
}

impl HasImports for Channel {
    const IMPORTS: Imports = super::IMPORTS;
}

impl Observed for Channel {
    type Primitive = channel::Channel<Item>;

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
pub(crate) fn receive_error(py: Python<'_>, error: ReceiveError) -> PyErr {
    match error {
        ReceiveError::Empty => errors::empty(py),
        ReceiveError::Closed => closed(py, KIND),
    }
}

fast_built_ins! {
    Send: Channel, c"send", send;
    Receive: Channel, c"receive", receive;
}

/// `send(item)`, if there is room.
#[inline]
fn send<'py>(slf: &Bound<'py, Channel>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let channel = slf.get().primitive();
    let item = Item::new(arguments.only()?);
    channel.try_send_if_kept(item).ok()?;
    arguments.done()
}

/// `receive()`, if there is an item.
#[inline]
fn receive<'py>(slf: &Bound<'py, Channel>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if !arguments.are_none() {
        return None;
    }
    let item = slf.get().primitive().try_receive().ok()?;
    Some(Ok(item.into_bound(arguments.py())))
}

impl Channel {
    /// See [`fast_path`].
    pub(crate) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
        let class = py.get_type::<Self>();
        fast_path::install::<Send>(&class)?;
        fast_path::install::<Receive>(&class)
    }

    fn send_item(&self, item: Bound<'_, PyAny>, timeout: &Timeout<'_, '_>) -> PyResult<()> {
        let py = item.py();
        let channel = self.primitive();
        let deadline = timeout.begin()?;
        let item = Item::new(item);
        let sent = match deadline {
            None => channel.try_send(item),
            Some(_) => channel.try_send_if_kept(item),
        };
        let item = match (sent, channel.on_full()) {
            (Ok(_), _) => return Ok(()),
            (Err(SendError::Full(item)), OnFull::Block) => item,
            (Err(error), _) => return Err(send_error(py, error)),
        };
        let outcome = match deadline {
            None => None,
            Some(deadline) => block::wait(py, &mut channel.send(item), deadline)?,
        };
        match outcome {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(send_error(py, error)),
            None => Err(timed_out("the item was not received in time")),
        }
    }
}

#[pymethods]
impl Channel {
    #[classmethod]
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(capacity=0, on_full='block')")]
    fn new(
        _class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: channel::Channel::unmade(),
        }
    }

    #[pyo3(signature = (capacity=Argument::Absent, on_full="block"))]
    fn __init__(&self, capacity: Argument<'_>, on_full: &str) -> PyResult<()> {
        let capacity = match &capacity {
            Argument::Absent => Some(0),
            Argument::Given(given) if given.is_none() => None,
            Argument::Given(given) => super::capacity(Some(given), 0)?,
        };
        let on_full = word("on_full", on_full, &WORDS)?;
        if self.inner.make(capacity, on_full) {
            return Ok(());
        }
        Err(called_twice(KIND))
    }

    /// Send an item. Wait for room if necessary; in a rendezvous, wait until a thread has received the item.
    ///
    /// Args:
    ///     item: any object.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Raises:
    ///     TimeoutError: there was no room in time, or nobody received the item. It was not sent.
    ///     oxthreads.channels.ClosedError: the channel is closed, or was closed during the wait. The item was not sent.
    ///     queue.Full: there is no room, and the channel was made with on_full="raise".
    ///     ValueError: timeout is negative.
    ///
    /// With timeout=0 it does the same as send_nowait, but for the exception. If a signal handler raises during the wait, the
    /// item was not sent.
    #[pyo3(signature = (item, timeout=None))]
    fn send(&self, item: Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.send_item(item, &Timeout::new(timeout)?)
    }

    /// Send an item without waiting.
    ///
    /// In a rendezvous that succeeds if a thread waits to receive. (If that thread gives up at this very moment, because of an
    /// exception or a timeout, the item stays in the channel for the next one, also after the end.)
    ///
    /// Args:
    ///     item: any object.
    ///
    /// Raises:
    ///     queue.Full: there is no room. Not if the channel drops items.
    ///     oxthreads.channels.ClosedError: the channel is closed.
    fn send_nowait(&self, item: Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        match self.primitive().try_send(Item::new(item)) {
            Ok(_) => Ok(()),
            Err(error) => Err(send_error(py, error)),
        }
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
    ///     oxthreads.channels.ClosedError: the channel is closed and empty.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let channel = self.primitive();
        let timeout = Timeout::new(timeout)?;
        match channel.try_receive() {
            Ok(item) => return Ok(item.into_bound(py)),
            Err(ReceiveError::Empty) => {}
            Err(error) => return Err(receive_error(py, error)),
        }
        let outcome = match timeout.begin()? {
            None => None,
            Some(deadline) => block::wait(py, &mut channel.receive(), deadline)?,
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
    ///     oxthreads.channels.ClosedError: the channel is closed and empty.
    fn receive_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.primitive().try_receive() {
            Ok(item) => Ok(item.into_bound(py)),
            Err(error) => Err(receive_error(py, error)),
        }
    }

    /// Close the channel: nothing can be sent any more. What is in it can still be received; then receivers end.
    ///
    /// Threads that wait to send get ClosedError, and keep their items. A second call does nothing.
    fn close(&self) {
        self.primitive().close();
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.primitive().is_closed()
    }

    /// The largest number of items, an int; math.inf if there is no limit.
    #[getter(capacity)]
    fn get_capacity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shown_capacity(py, self.inner.capacity())
    }

    /// What a send does if there is no room, a str as it was given.
    #[getter(on_full)]
    fn get_on_full(&self) -> &'static str {
        word_of(&self.primitive().on_full(), &WORDS)
    }

    /// How many items were dropped because there was no room, an int.
    #[getter]
    fn dropped(&self) -> u64 {
        self.primitive().dropped()
    }

    /// Return the number of items in the channel. Other threads may have changed it by the time the caller uses it.
    fn __len__(&self) -> usize {
        self.primitive().len()
    }

    /// Return True.
    #[expect(clippy::unused_self, reason = "a channel is no container")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Close the channel.
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
        let channel = slf.get();
        let capacity = channel.inner.capacity();
        let capacity = capacity.map_or_else(|| "inf".to_owned(), |capacity| capacity.to_string());
        let state = if channel.closed() { "closed " } else { "" };
        Ok(format!(
            "<{state}{} of {}/{capacity} items at {:p}>",
            slf.get_type().fully_qualified_name()?,
            channel.primitive().len(),
            slf.as_ptr()
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(cannot_pickle(slf.as_any()))
    }

    /// Return the size in bytes, with the lists of items and of waiting threads.
    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let basic = crate::bindings::queue::basic_size(slf.as_any())?;
        Ok(basic + slf.get().primitive().allocated())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.try_for_each(|item| visit.call(item.object()))
    }

    fn __clear__(&self) {
        drop(self.inner.take_items());
    }
}
