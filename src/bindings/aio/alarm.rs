//! How a coroutine is woken at a certain time, by its event loop.

use std::sync::Arc;

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Entry;
use super::library::keep;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::LazyImport;
use crate::wait::deadline::Deadline;

static OF_TRIO: LazyImport = LazyImport::new(("oxthreads.aio._library", "call_later_in_trio"));

/// A call that the event loop makes later, to wake a wait.
pub(super) struct Alarm {
    /// What ends it.
    cancel: Py<PyAny>,
}

/// What the event loop calls.
#[pyclass(frozen, module = "oxthreads._oxthreads", name = "_Ring")]
struct Ring(Arc<Entry>);

#[pymethods]
impl Ring {
    fn __call__(&self) {
        self.0.wake();
    }
}

impl Alarm {
    /// Sets it for the time at which the wait is due; `None`: that does not depend on time. `event_loop`: one of asyncio;
    /// without one it is trio's.
    ///
    /// # Errors
    /// What the event loop raised.
    pub(super) fn set(
        py: Python<'_>,
        event_loop: Option<&Bound<'_, PyAny>>,
        entry: &Arc<Entry>,
    ) -> PyResult<Option<Self>> {
        let due = entry.due();
        if due == Deadline::NEVER {
            return Ok(None);
        }
        let seconds = due.remaining().unwrap_or_default().as_secs_f64();
        let ring = Bound::new(py, Ring(Arc::clone(entry)))?;
        let cancel = match event_loop {
            Some(event_loop) => {
                let handle = foreign::call_method(event_loop, "call_later", (seconds, ring), None)?;
                handle.getattr(intern!(py, "cancel"))?
            }
            None => {
                let arguments = (seconds, ring).into_pyobject(py)?;
                foreign::call(OF_TRIO.get(py)?, &arguments, None)?
            }
        };
        let cancel = cancel.unbind();
        Ok(Some(Self { cancel }))
    }

    /// Ends it, if it has not rung.
    pub(super) fn cancel(self, py: Python<'_>) {
        let cancel = self.cancel.bind(py);
        match foreign::call(cancel, &PyTuple::empty(py), None) {
            Ok(_) => {}
            // A loop that is being collected has lost its attributes.
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => {}
            // That of a signal handler.
            Err(error) => keep(py, error),
        }
    }

    pub(super) fn object(&self) -> &Py<PyAny> {
        &self.cancel
    }
}
