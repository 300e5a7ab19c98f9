//! `Progress`, which tells a function how many calls have ended.

use std::cell::RefCell;
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{future, user_code};
use crate::bindings::user_code::Owned;
use crate::primitives::progress::{self as core, Report};

thread_local! {
    /// What this thread is submitting, and who follows it.
    static SUBMITTING: RefCell<Option<(Py<PyAny>, Py<Progress>)>> = const { RefCell::new(None) };
}

/// Has the call's end counted, if this thread submits it for a `Progress`: before a worker can take
/// it, for a done callback that comes after the end would run in this thread.
pub(super) fn follow(future: &Bound<'_, PyAny>, function: &Bound<'_, PyAny>) -> PyResult<()> {
    let followed = SUBMITTING.with_borrow_mut(|submitting| match submitting {
        // Not what a destructor or a signal handler submits meanwhile.
        Some((submitted, _)) if submitted.is(function) => submitting.take(),
        _ => None,
    });
    match followed {
        Some((_, progress)) => {
            user_code::call_method(future, "add_done_callback", (progress,), None)
                .map(user_code::release)
        }
        None => Ok(()),
    }
}

/// The done callback of the calls of one `Executor.map(progress=...)`.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Progress {
    inner: core::Progress,
    function: Owned,
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
            let called = user_code::call(function.object().bind(slf.py()), &arguments, None);
            inner.end_report(Instant::now());
            match called {
                Ok(result) => user_code::release(result),
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
    user_code::call_method(future::logger(py)?, "error", arguments, Some(&keywords))
        .map(user_code::release)
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
            function: function.into(),
        }
    }

    /// Submit a call and follow it: `submit(fn, *args)`.
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
        let submitted = user_code::call(submit, &arguments, None);
        let unfollowed = SUBMITTING.replace(outer);
        match submitted {
            Ok(future) => {
                if let Some((_, progress)) = unfollowed {
                    // It was not our executor that was called.
                    user_code::call_method(&future, "add_done_callback", (progress,), None)
                        .map(user_code::release)?;
                }
                Ok(future)
            }
            Err(error) => {
                slf.get().inner.withdraw();
                Err(error)
            }
        }
    }

    /// No more calls will be submitted.
    fn all_submitted(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.all_submitted();
        Self::report(slf, slf.get().function.object().bind(slf.py()))
    }

    /// The call has ended or was cancelled.
    fn __call__(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let cancelled = user_code::call_method(future, "cancelled", (), None)?;
        slf.get().inner.end(user_code::is_true(cancelled)?);
        Self::report(slf, future)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())
    }
}
