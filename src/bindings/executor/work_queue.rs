//! What stands where the standard pool has the queue between it and its workers.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::call::{Call, report};
use super::close_executors;
use super::worker::Worker;
use crate::bindings::argument::Argument;
use crate::bindings::errors;
use crate::bindings::future::Future;
use crate::bindings::user_code::Owned;
use crate::primitives::pool::Pool;
use crate::primitives::sync::Mutex;

/// The pending calls of an executor: what its _work_queue is.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct WorkQueue {
    pool: Arc<Pool<Py<Future>>>,
}

impl WorkQueue {
    pub(super) fn new(pool: &Arc<Pool<Py<Future>>>) -> Self {
        Self {
            pool: Arc::clone(pool),
        }
    }
}

#[pymethods]
impl WorkQueue {
    /// The place of this thread as a worker; None if it is not wanted any more, and is to end.
    ///
    /// idle_timeout: seconds after which it loses the place if there is nothing to do.
    #[pyo3(signature = (idle_timeout=None))]
    fn arrive(&self, idle_timeout: Option<f64>) -> Option<Worker> {
        let record = self.pool.arrive()?;
        // What is too long for a Duration is for ever.
        let idle_timeout =
            idle_timeout.and_then(|timeout| Duration::try_from_secs_f64(timeout).ok());
        Some(Worker::new(&self.pool, record, idle_timeout))
    }

    /// The number of pending calls.
    fn qsize(&self) -> usize {
        self.pool.pending()
    }

    /// Whether no call is pending.
    fn empty(&self) -> bool {
        self.pool.pending() == 0
    }

    /// Have the idle workers look again. The item can only be None, which the standard library
    /// puts here when the interpreter exits, or when a program has it do what it does then.
    #[pyo3(signature = (item, block=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        &self,
        py: Python<'_>,
        item: Argument<'_>,
        block: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<()> {
        let _ = (block, timeout);
        match item {
            Argument::Given(item) if !item.is_none() => Err(PyTypeError::new_err(
                "calls are submitted to the executor, not put into its queue",
            )),
            _ => {
                let exiting = py
                    .import("concurrent.futures.thread")?
                    .getattr("_shutdown")?;
                if exiting.is(PyBool::new(py, true)) {
                    close_executors(py);
                }
                self.pool.poke();
                Ok(())
            }
        }
    }

    /// Take a pending call out, unrun.
    ///
    /// Raises queue.Empty if there is none.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<WorkItem> {
        while let Some(future) = self.pool.try_take() {
            let call = future.get().take_call();
            match call {
                Some(call) => {
                    return Ok(WorkItem {
                        future,
                        call: Mutex::new(Some(call)),
                    });
                }
                None => self.pool.forget_leftover(),
            }
        }
        Err(errors::empty(py))
    }
}

/// A call taken out of the queue unrun, with the future that it was to set.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct WorkItem {
    /// The future of the call.
    #[pyo3(get)]
    future: Py<Future>,
    call: Mutex<Option<Call>>,
}

impl WorkItem {
    fn look<T>(&self, look: impl FnOnce(&Call) -> T) -> Option<T> {
        self.call.lock().as_ref().map(look)
    }
}

#[pymethods]
impl WorkItem {
    /// What is to be called. None once it was run, as the other parts.
    #[getter]
    fn r#fn(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.look(|call| call.function.object().clone_ref(py))
    }

    /// The positional arguments, in a tuple.
    #[getter]
    fn args(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.look(|call| call.arguments.object().clone_ref(py))
    }

    /// The keyword arguments, in a dictionary.
    #[getter]
    fn kwargs(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let share = |keywords: &Owned| keywords.object().clone_ref(py);
        let keywords = self.look(|call| call.keywords.as_ref().map(share));
        keywords.map(|keywords| keywords.unwrap_or_else(|| PyDict::new(py).into_any().unbind()))
    }

    /// All three in a tuple.
    #[getter]
    fn task<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(function) = self.r#fn(py) else {
            return Ok(None);
        };
        (function, self.args(py), self.kwargs(py))
            .into_pyobject(py)
            .map(Some)
    }

    /// Run the call in this thread, unless its future was cancelled.
    #[pyo3(signature = (ctx=None))]
    fn run(&self, py: Python<'_>, ctx: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = ctx;
        let future = self.future.bind(py);
        let call = self.call.lock().take();
        let Some(call) = call else {
            return Ok(());
        };
        if Future::begin(future)? {
            let (_, ended) = call.run(future);
            if let Err(error) = ended {
                report(py, error)?;
            }
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)?;
        (self.call.lock().as_ref()).map_or(Ok(()), |call| call.traverse(&visit))
    }

    fn __clear__(&self) {
        let call = self.call.lock().take();
        drop(call);
    }
}
