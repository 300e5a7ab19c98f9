//! `Watch` and `WatchReader`, as coroutines use them.

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::channel::AtEnd;
use super::entry::Notify;
use super::held::Held;
use super::operation::{Observable, Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::channels::{Predicate, Watch, WatchReader, watch_closed};
use crate::bindings::queue::Item;
use crate::bindings::runtime::observed::Observed;
use crate::primitives::watch::{Changed, Closed, Reader};
use crate::wait::Pending;
use crate::wait::deadline::Deadline;

struct Change {
    reader: Py<WatchReader>,
    at_end: AtEnd,
}

fn changed(py: Python<'_>, result: Result<Item, Closed>, at_end: AtEnd) -> Outcome {
    match (result, at_end) {
        (Ok(value), _) => Ok(value.into_bound(py).unbind()),
        (Err(Closed), AtEnd::Stop) => Err(PyStopAsyncIteration::new_err(())),
        (Err(Closed), AtEnd::Raise) => Err(watch_closed(py)),
    }
}

impl Start for Change {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let found = self.reader.get().primitive().try_changed().transpose()?;
        Some(changed(py, found, self.at_end))
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let at_end = self.at_end;
        let held = Held::new(self.reader);
        let operation = Changed::new(held.clone());
        Box::new(match at_end {
            AtEnd::Raise => Polled::new(operation, held, notify, |py, _, result| {
                changed(py, result, AtEnd::Raise)
            }),
            AtEnd::Stop => Polled::new(operation, held, notify, |py, _, result| {
                changed(py, result, AtEnd::Stop)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.reader)
    }
}

/// A wait for a value of which a predicate is true.
struct WaitFor {
    watch: Py<Watch>,
    predicate: Predicate,
    /// The version that the predicate has rejected.
    rejected: u64,
}

impl Start for WaitFor {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let (value, version) = self.watch.get().primitive().get();
        self.rejected = version;
        let accepted = self.predicate.accept(py, value).transpose()?;
        Some(accepted.map(Bound::unbind))
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.watch);
        let reader = std::sync::Arc::new(Reader::since(held.clone(), self.rejected));
        Box::new(WaitingFor {
            pending: Pending::new(Changed::new(reader), notify),
            watch: held,
            predicate: self.predicate,
            is_behind: false,
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.watch)?;
        visit.call(self.predicate.object())
    }
}

struct WaitingFor {
    pending: Pending<Changed<std::sync::Arc<Reader<Held<Watch>>>>>,
    watch: Held<Watch>,
    predicate: Predicate,
    /// There may be a newer value than the one that the predicate has rejected. The wait is in no list.
    is_behind: bool,
}

impl Running for WaitingFor {
    fn poll(&mut self, py: Python<'_>) -> Option<Outcome> {
        self.is_behind = false;
        let value = match self.pending.poll()? {
            Ok(value) => value,
            Err(Closed) => return Some(Err(watch_closed(py))),
        };
        if let Some(accepted) = self.predicate.accept(py, value).transpose() {
            return Some(accepted.map(Bound::unbind));
        }
        // The value may change more often than the predicate is called. So a turn of the event loop passes before the next
        // call, or other coroutines would never run, not even one that cancels this.
        self.is_behind = true;
        None
    }

    fn due(&self) -> Deadline {
        if self.is_behind {
            Deadline::now()
        } else {
            self.pending.due()
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watch.visit(visit)?;
        visit.call(self.predicate.object())
    }

    fn observable(&self) -> &dyn Observable {
        &self.pending
    }
}

/// A watched value, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Args:
///     watch (oxthreads.channels.Watch): a watched value.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import Watch
///     >>> state = Watch("starting")
///     >>> async def main():
///     ...     threading.Thread(target=state.set, args=("ready",)).start()
///     ...     return await as_async(state).wait_for("ready".__eq__)
///     >>> asyncio.run(main())
///     'ready'
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncWatch {
    watch: Py<Watch>,
}

#[pymethods]
impl AsyncWatch {
    #[new]
    #[pyo3(signature = (watch, /))]
    fn new(watch: Py<Watch>) -> Self {
        Self { watch }
    }

    /// The value that threads watch.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Watch> {
        self.watch.bind(py)
    }

    /// The present value.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.watch.get().primitive().get().0.into_bound(py)
    }

    /// Set the value, as Watch.set.
    fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let watch = self.watch.bind(value.py());
        (watch.call_method1(intern!(value.py(), "set"), (value,))).map(drop)
    }

    /// Return a reader for coroutines, as Watch.subscribe does for threads.
    fn subscribe(&self, py: Python<'_>) -> PyResult<AsyncWatchReader> {
        let reader = (self.watch.bind(py)).call_method0(intern!(py, "subscribe"))?;
        Ok(AsyncWatchReader {
            reader: reader.cast_into()?.unbind(),
        })
    }

    /// Wait until the value is one of which the predicate is true, as Watch.wait_for. For a limit of time use that of the event
    /// loop.
    ///
    /// Args:
    ///     predicate (callable): called with a value; returns whether to wait no longer. It runs in the event loop.
    ///
    /// Returns:
    ///     The value.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: it is closed, and the predicate is false of the last value.
    ///     BaseException: what the predicate raised.
    fn wait_for(&self, predicate: &Bound<'_, PyAny>) -> Wait {
        let watch = self.watch.clone_ref(predicate.py());
        let predicate = Predicate::new(predicate);
        let rejected = 0;
        Wait::of(
            "AsyncWatch.wait_for",
            WaitFor {
                watch,
                predicate,
                rejected,
            },
        )
    }

    /// Close it, as Watch.close.
    fn close(&self) {
        self.watch.get().primitive().close();
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.watch.get().primitive().is_closed()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncWatch of {}>", self.watch.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.watch)
    }
}

/// A reader of a watched value, as coroutines use it. AsyncWatch.subscribe makes it, or `oxthreads.aio.as_async` of a
/// WatchReader.
///
/// Args:
///     reader (WatchReader): what Watch.subscribe has returned.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.channels import Watch
///     >>> level = Watch("info")
///     >>> reader = level.subscribe()
///     >>> level.set("debug")
///     >>> asyncio.run(as_async(reader).changed())
///     'debug'
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncWatchReader {
    reader: Py<WatchReader>,
}

#[pymethods]
impl AsyncWatchReader {
    #[new]
    #[pyo3(signature = (reader, /))]
    fn new(reader: Py<WatchReader>) -> Self {
        Self { reader }
    }

    /// The reader that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, WatchReader> {
        self.reader.bind(py)
    }

    /// The present value. Whether that counts as seen does not change.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.reader.bind(py).getattr(intern!(py, "value"))
    }

    /// Whether there is a value that was not seen here.
    #[getter]
    fn has_changed(&self) -> bool {
        self.reader.get().primitive().has_changed()
    }

    /// Wait for a value that was not seen here, and return the newest. It counts as seen then.
    ///
    /// Returns:
    ///     The value.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: it is closed, and the last value was seen.
    ///
    /// If it is cancelled, the value counts as not seen.
    fn changed(&self, py: Python<'_>) -> Wait {
        let reader = self.reader.clone_ref(py);
        let at_end = AtEnd::Raise;
        Wait::of("AsyncWatchReader.changed", Change { reader, at_end })
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Wait {
        let reader = self.reader.clone_ref(py);
        let at_end = AtEnd::Stop;
        Wait::of("AsyncWatchReader.__anext__", Change { reader, at_end })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncWatchReader of {}>",
            self.reader.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.reader)
    }
}
