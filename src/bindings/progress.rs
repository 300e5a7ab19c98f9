//! `Progress` reports to a Python function how many calls have ended.

use std::cell::RefCell;
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::foreign::Owned;
use crate::primitives::progress::{self, Report};

thread_local! {
    /// The function that this thread is submitting, and the `Progress` that counts its end.
    static SUBMITTING: RefCell<Option<(Py<PyAny>, Py<Progress>)>> = const { RefCell::new(None) };
}

/// Adds the `Progress` as a done callback, if this thread submits the call for one. This happens before a worker can
/// take the call: a callback that is added after the end would run in this thread.
pub(super) fn follow(future: &Bound<'_, PyAny>, function: &Bound<'_, PyAny>) -> PyResult<()> {
    let followed = SUBMITTING.with_borrow_mut(|submitting| match submitting {
        // The comparison excludes a call that a destructor or a signal handler submits in between.
        Some((submitted, _)) if submitted.is(function) => submitting.take(),
        _ => None,
    });
    match followed {
        Some((_, progress)) => foreign::call_method(future, "add_done_callback", (progress,), None)
            .map(foreign::release),
        None => Ok(()),
    }
}

/// The done callback of all calls of one `Executor.map(progress=...)`.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Progress {
    inner: progress::Progress,
    function: Owned,
}

impl Progress {
    /// Calls the function, as long as reports are due.
    ///
    /// # Errors
    /// What the function raised, if it is not an `Exception`. An `Exception` is logged, like one that a done
    /// callback of `source` raises.
    fn report(slf: &Bound<'_, Self>, source: &Bound<'_, PyAny>) -> PyResult<()> {
        let Self { inner, function } = slf.get();
        let mut outcome = Ok(());
        while let Some(Report { done, total }) = inner.begin_report(Instant::now()) {
            let arguments = (done, total).into_pyobject(slf.py())?;
            let called = foreign::call(function.object().bind(slf.py()), &arguments, None);
            inner.end_report(Instant::now());
            match called {
                Ok(result) => foreign::release(result),
                Err(error) if error.is_instance_of::<PyException>(slf.py()) => {
                    log(source, error)?;
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

#[cold]
fn log(source: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = source.py();
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
    let arguments = ("exception calling callback for %r", source);
    foreign::call_method(&errors::logger(py)?, "error", arguments, Some(&keywords))
        .map(foreign::release)
}

#[pymethods]
impl Progress {
    /// Args:
    ///     function: called as `function(done, total)`.
    ///     total (int or None): how many calls there will be, if known.
    #[new]
    #[pyo3(signature = (function, total))]
    fn new(function: Py<PyAny>, total: Option<usize>) -> Self {
        Self {
            inner: progress::Progress::new(total),
            function: function.into(),
        }
    }

    /// Submit a call with `submit(fn, *args)`, count its end, and return the future.
    #[pyo3(signature = (submit, r#fn, /, *args))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        submit: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let arguments = PyTuple::new(py, [r#fn])?.as_any().add(args)?.cast_into()?;
        let follower = (r#fn.clone().unbind(), slf.clone().unbind());
        slf.get().inner.submit();
        let outer = SUBMITTING.replace(Some(follower));
        let submitted = foreign::call(submit, &arguments, None);
        let unfollowed = SUBMITTING.replace(outer);
        match submitted {
            Ok(future) => {
                if let Some((_, progress)) = unfollowed {
                    // The executor that was called is not one of ours.
                    foreign::call_method(&future, "add_done_callback", (progress,), None)
                        .map(foreign::release)?;
                }
                Ok(future)
            }
            Err(error) => {
                slf.get().inner.withdraw();
                Err(error)
            }
        }
    }

    /// Report that no more calls will be submitted.
    fn all_submitted(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.all_submitted();
        Self::report(slf, slf.get().function.object().bind(slf.py()))
    }

    /// Count a call that has ended or was cancelled. Called with its future.
    fn __call__(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let cancelled = foreign::call_method(future, "cancelled", (), None)?;
        slf.get().inner.end(foreign::is_true(cancelled)?);
        Self::report(slf, future)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())
    }
}
