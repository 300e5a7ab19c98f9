//! The awaitable that the methods of the views return.

use std::ffi::CString;
use std::sync::Arc;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::alarm::Alarm;
use super::entry::{Ended, Entry};
use super::library::{self, SuspendedBy, Suspension};
use super::operation::Start;

/// The wait of a coroutine. Await it, once.
///
/// It is a coroutine itself, so it can be given to asyncio.create_task, asyncio.wait_for and the like. What need not wait is
/// done without a suspension. If the wait is cancelled, or the object dropped, the wait is over: what it was given goes to
/// the next waiter.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import queue
///     >>> from oxthreads.aio import as_async
///     >>> async def main():
///     ...     try:
///     ...         await asyncio.wait_for(as_async(queue.Queue()).get(), 0.01)
///     ...     except TimeoutError:
///     ...         return "nothing came"
///     >>> asyncio.run(main())
///     'nothing came'
// Without a list of free objects: those that pyo3 takes from one are not known to the collector.
#[pyclass(module = "oxthreads._oxthreads", weakref)]
pub(crate) struct Wait {
    stage: Stage,
    name: &'static str,
}

enum Stage {
    New(Box<dyn Start>),
    Waiting {
        entry: Arc<Entry>,
        suspension: Option<Suspension>,
    },
    Over,
}

/// What a coroutine does when it is resumed.
enum Step<'py> {
    Yield(Bound<'py, PyAny>),
    Return(Py<PyAny>),
}

impl Wait {
    /// `name`: what a task that waits shows of it.
    #[inline]
    pub(super) fn of(name: &'static str, start: impl Start + 'static) -> Self {
        Self {
            stage: Stage::New(Box::new(start)),
            name,
        }
    }

    /// As the result of a fast path.
    #[inline]
    pub(super) fn into_awaitable(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Bound::new(py, self).map(Bound::into_any)
    }

    fn resume<'py>(
        &mut self,
        py: Python<'py>,
        sent: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Step<'py>> {
        if let Stage::New(start) = &mut self.stage
            && let Some(outcome) = start.try_now(py)
        {
            self.stage = Stage::Over;
            return outcome.map(Step::Return);
        }
        self.resume_wait(py, sent)
    }

    #[cold]
    #[inline(never)]
    fn resume_wait<'py>(
        &mut self,
        py: Python<'py>,
        sent: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Step<'py>> {
        let entry = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::New(start) => Entry::new(start),
            Stage::Over => {
                return Err(PyRuntimeError::new_err(format!(
                    "cannot reuse already awaited {}()",
                    self.name
                )));
            }
            Stage::Waiting { entry, suspension } => {
                entry.resume();
                let went_on =
                    suspension.map_or(Ok(()), |suspension| library::go_on(py, suspension, sent));
                if let Err(error) = went_on {
                    entry.end();
                    return Err(error);
                }
                entry
            }
        };
        let step = Self::poll_until_suspended(py, &entry);
        match step {
            Ok((step @ Step::Return(_), _)) => Ok(step),
            Ok((step, suspension)) => {
                self.stage = Stage::Waiting { entry, suspension };
                Ok(step)
            }
            Err(error) => {
                entry.end();
                Err(error)
            }
        }
    }

    fn poll_until_suspended<'py>(
        py: Python<'py>,
        entry: &Arc<Entry>,
    ) -> PyResult<(Step<'py>, Option<Suspension>)> {
        loop {
            match entry.poll(py) {
                Ok(Some(outcome)) => return Ok((Step::Return(outcome?), None)),
                Ok(None) => {}
                Err(Ended) => {
                    return Err(PyRuntimeError::new_err(
                        "the wait was ended, because its event loop was closed",
                    ));
                }
            }
            if let Some((yielded, suspension)) = library::suspend(py, entry)? {
                return Ok((Step::Yield(yielded), Some(suspension)));
            }
        }
    }

    /// Begins the wait without a suspension: it is in its list afterwards.
    ///
    /// # Errors
    /// What the operation raised.
    pub(super) fn join(&mut self, py: Python<'_>) -> PyResult<()> {
        let Stage::New(start) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(());
        };
        let entry = Entry::new(start);
        if let Ok(Some(outcome)) = entry.poll(py) {
            return outcome.map(drop);
        }
        self.stage = Stage::Waiting {
            entry,
            suspension: None,
        };
        Ok(())
    }

    #[cold]
    fn warn_of_never_awaited(&self, py: Python<'_>) -> PyResult<()> {
        let message = CString::new(format!("'{}' was never awaited", self.name))?;
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &message, 1)
    }

    /// Ends the wait, in a task.
    fn end_in_task(&mut self, py: Python<'_>) {
        if let Stage::Waiting {
            suspension: Some(suspension),
            ..
        } = &mut self.stage
        {
            let alarm = suspension.alarm.take();
            self.end();
            if let Some(alarm) = alarm {
                alarm.cancel(py);
            }
        }
        self.end();
    }

    /// Ends the wait. An alarm that is left does nothing.
    fn end(&mut self) {
        if let Stage::Waiting { entry, .. } = std::mem::replace(&mut self.stage, Stage::Over) {
            entry.end();
        }
    }
}

/// Lets the interpreter raise StopIteration with the value, as a coroutine does that returns it.
fn set_result(py: Python<'_>, value: Py<PyAny>) {
    let value = value.into_bound(py);
    if value.is_none() {
        return; // no exception at all means the same
    }
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyBaseException>() {
        // The interpreter would take it for the arguments, or for the exception.
        PyStopIteration::new_err((value.unbind(),)).restore(py);
        return;
    }
    let class = py.get_type::<PyStopIteration>();
    // SAFETY: attached, as `py` shows; both are live objects, the first a class of exceptions.
    unsafe { ffi::PyErr_SetObject(class.as_ptr(), value.as_ptr()) };
}

/// A StopIteration that was raised, and is not how a coroutine returns: as an exception that is not mistaken for that.
fn not_a_result(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let other = PyRuntimeError::new_err("coroutine raised StopIteration");
    other.set_cause(py, Some(error));
    other
}

#[pymethods]
impl Wait {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        // Who awaits it resumes it, and would take it away from whoever awaits it already.
        let is_awaited = match slf.try_borrow() {
            Ok(wait) => matches!(
                wait.stage,
                Stage::Waiting {
                    suspension: Some(_),
                    ..
                }
            ),
            Err(_) => true,
        };
        if is_awaited {
            let message = "coroutine is being awaited already";
            return Err(PyRuntimeError::new_err(message));
        }
        Ok(slf)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match (self.resume(py, None)).map_err(|error| not_a_result(py, error))? {
            Step::Yield(yielded) => Ok(Some(yielded)),
            Step::Return(value) => {
                set_result(py, value);
                // The interpreter finds the exception that was set.
                Ok(None)
            }
        }
    }

    /// Resume the coroutine with a value.
    #[pyo3(signature = (value, /))]
    fn send<'py>(
        &mut self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (self.resume(py, Some(value))).map_err(|error| not_a_result(py, error))? {
            Step::Yield(yielded) => Ok(yielded),
            Step::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    /// End the wait, and raise the exception.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        &mut self,
        py: Python<'_>,
        typ: &Bound<'_, PyAny>,
        val: Option<&Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.end_in_task(py);
        let error = match (typ.cast::<PyType>(), val) {
            (Ok(_), Some(value)) if value.is_instance_of::<PyBaseException>() => {
                PyErr::from_value(value.clone())
            }
            (Ok(class), Some(value)) => match value.cast::<PyTuple>() {
                Ok(arguments) => PyErr::from_value(class.call1(arguments)?),
                Err(_) => PyErr::from_value(class.call1((value,))?),
            },
            (Ok(class), None) => PyErr::from_value(class.call0()?),
            (Err(_), _) => PyErr::from_value(typ.clone()),
        };
        if let Some(tb) = tb {
            error.set_traceback(py, tb.cast_into().ok());
        }
        Err(error)
    }

    /// End the wait.
    fn close(&mut self, py: Python<'_>) {
        self.end_in_task(py);
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        (self.name.rsplit_once('.')).map_or(self.name, |(_, name)| name)
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.name
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let name = slf.try_borrow().map_or("", |wait| wait.name);
        format!("<wait {name} at {:p}>", slf.as_ptr())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.stage {
            Stage::New(start) => start.visit(&visit),
            Stage::Waiting { entry, suspension } => {
                if let Some(suspension) = suspension {
                    match &suspension.by {
                        SuspendedBy::Asyncio(inbox) => visit.call(inbox)?,
                        SuspendedBy::Trio(waiting) => visit.call(waiting)?,
                    }
                    visit.call(suspension.alarm.as_ref().map(Alarm::object))?;
                }
                entry.visit(&visit)
            }
            Stage::Over => Ok(()),
        }
    }

    fn __clear__(&mut self) {
        self.end();
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        let _ = Python::try_attach(|py| {
            let raised = PyErr::take(py);
            if matches!(self.stage, Stage::New(_)) {
                self.stage = Stage::Over;
                if let Err(error) = self.warn_of_never_awaited(py) {
                    error.write_unraisable(py, None);
                }
            } else {
                self.end();
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}
