//! `Progress`, which tells a function how many calls have ended.

use std::thread;
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{future, user_code};
use crate::primitives::progress::{self as core, Report};

/// The done callback of the calls of one `Executor.map(progress=...)`.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Progress {
    inner: core::Progress,
    function: Py<PyAny>,
}

impl Progress {
    /// Makes the reports that are due.
    ///
    /// # Errors
    /// What the function raised if that is no Exception; those are logged as what a done callback
    /// of `source` raises.
    fn report(slf: &Bound<'_, Self>, source: &Bound<'_, PyAny>) -> PyResult<()> {
        let Self { inner, function } = slf.get();
        let mut outcome = Ok(());
        while let Some(Report { done, total }) = inner.begin_report(Instant::now()) {
            let arguments = (done, total).into_pyobject(slf.py())?;
            let called = user_code::call(function.bind(slf.py()), &arguments, None);
            inner.end_report(Instant::now());
            let handled = called.map_or_else(|error| log(source, error), |_| Ok(()));
            outcome = outcome.and(handled);
        }
        outcome
    }
}

#[cold]
fn log(source: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = source.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
    let arguments = ("exception calling callback for %r", source);
    user_code::call_method(&future::logger(py)?, "error", arguments, Some(&keywords))?;
    Ok(())
}

#[pymethods]
impl Progress {
    /// function: called as `function(done, total)`.
    /// total: how many calls there will be, if that is known.
    #[new]
    #[pyo3(signature = (function, total))]
    fn new(function: Py<PyAny>, total: Option<usize>) -> Self {
        Self {
            inner: core::Progress::new(total),
            function,
        }
    }

    /// Follow a call that was submitted.
    fn add(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = &slf.get().inner;
        inner.submitted(thread::current().id());
        let added = user_code::call_method(future, "add_done_callback", (slf,), None);
        inner.submission_ended();
        added.map(drop)
    }

    /// No more calls will be submitted.
    fn all_submitted(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.all_submitted();
        Self::report(slf, slf.get().function.bind(slf.py()))
    }

    /// The call has ended or was cancelled.
    fn __call__(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let cancelled = user_code::call_method(future, "cancelled", (), None)?;
        let cancelled = user_code::truth(&cancelled)?;
        if slf.get().inner.end(thread::current().id(), cancelled) {
            Self::report(slf, future)?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)
    }
}
