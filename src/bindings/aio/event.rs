//! `Event`, as coroutines use it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::fell_back;
use super::wait::Wait;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Event;
use crate::primitives::FellBack;
use crate::primitives::event;

struct WaitSet(Py<Event>);

fn is_set(py: Python<'_>) -> Py<PyAny> {
    PyBool::new(py, true).to_owned().into_any().unbind()
}

impl Start for WaitSet {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.0.get().primitive().state() {
            Ok(true) => Some(Ok(is_set(py))),
            Ok(false) => None,
            Err(FellBack) => Some(Err(fell_back("event"))),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = event::WaitSet::new(held.clone());
        Box::new(Polled::new(
            operation,
            held,
            notify,
            |py, _, result| match result {
                Ok(()) => Ok(is_set(py)),
                Err(FellBack) => Err(fell_back("event")),
            },
        ))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// An event, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// It has the names of asyncio.Event. Threads use the event itself at the same time.
///
/// Args:
///     event (Event): an event of oxthreads.threading.
///
/// Raises:
///     TypeError: the event works as one of the standard library.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> ready = threading.Event()
///     >>> async def main():
///     ...     threading.Thread(target=ready.set).start()
///     ...     return await as_async(ready).wait()
///     >>> asyncio.run(main())
///     True
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncEvent {
    event: Py<Event>,
}

#[pymethods]
impl AsyncEvent {
    #[new]
    #[pyo3(signature = (event, /))]
    fn new(event: Py<Event>) -> PyResult<Self> {
        if event.get().primitive().has_fallen_back() {
            return Err(fell_back("event"));
        }
        Ok(Self { event })
    }

    /// The event that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Event> {
        self.event.bind(py)
    }

    /// Wait until the flag is set. A flag that is set and cleared again at once is not missed.
    ///
    /// Returns:
    ///     bool: True.
    fn wait(&self, py: Python<'_>) -> Wait {
        Wait::of("AsyncEvent.wait", WaitSet(self.event.clone_ref(py)))
    }

    /// Set the flag, which wakes all that wait.
    fn set(&self, py: Python<'_>) -> PyResult<()> {
        self.event
            .bind(py)
            .call_method0(intern!(py, "set"))
            .map(drop)
    }

    /// Clear the flag.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        (self.event.bind(py).call_method0(intern!(py, "clear"))).map(drop)
    }

    /// Return whether the flag is set.
    fn is_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event.bind(py).call_method0(intern!(py, "is_set"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncEvent of {}>", self.event.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event)
    }
}
