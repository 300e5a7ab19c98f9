//! `Future`

use pyo3::exceptions::{PyException, PyRuntimeError, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyGenericAlias, PyList, PyString, PyTuple, PyType};

mod work;

pub(crate) use work::Started;

use super::executor::{self, Call};
use super::standard_form::HasStandardForm;
use super::timeout::{self, Blocking};
use super::{errors, standard_form, user_code};
use crate::primitives::Retired;
use crate::primitives::future::{self as core, Outcome, Record, Refused, State};

/// The native half of oxthreads.concurrent.futures.Future.
#[pyclass(subclass, frozen, name = "Future", module = "oxthreads._oxthreads")]
pub(crate) struct Future {
    inner: core::Future<Py<PyAny>, Py<PyAny>, Call>,
}

/// What a reader finds.
enum Seen {
    NotDone,
    Cancelled,
    Value(Py<PyAny>),
    Error(Py<PyAny>),
}

fn look(py: Python<'_>, record: &Record<Py<PyAny>, Py<PyAny>, Call>) -> Seen {
    match record.state {
        State::Pending | State::Running => Seen::NotDone,
        State::Cancelled | State::CancelledAndNotified => Seen::Cancelled,
        State::Finished => match (&record.error, &record.value) {
            (Some(error), _) => Seen::Error(error.clone_ref(py)),
            (None, Some(value)) => Seen::Value(value.clone_ref(py)),
            (None, None) => Seen::Value(py.None()),
        },
    }
}

/// The standard library's name of a state.
fn name(state: State) -> &'static str {
    match state {
        State::Pending => "PENDING",
        State::Running => "RUNNING",
        State::Cancelled => "CANCELLED",
        State::CancelledAndNotified => "CANCELLED_AND_NOTIFIED",
        State::Finished => "FINISHED",
    }
}

/// oxthreads.concurrent.futures.Future
pub(super) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "oxthreads.concurrent.futures", "Future")
}

/// The logger of the standard module.
pub(super) fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOGGER
        .get_or_try_init(py, || {
            py.import("concurrent.futures._base")?
                .getattr("LOGGER")
                .map(Bound::unbind)
        })
        .map(|logger| logger.bind(py).clone())
}

impl Future {
    /// Whether no subclass can have changed what a method calls on itself.
    fn is_plain(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(slf.get_type().is(class(slf.py())?))
    }

    /// What there is after waiting as long as asked; `Err(Retired)` with what is left of it.
    fn await_outcome(
        slf: &Bound<'_, Self>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Result<Seen, Option<f64>>> {
        let py = slf.py();
        let this = slf.get();
        let future = &this.inner;
        match future.with_native(|record| look(py, record)) {
            Ok(Seen::NotDone) => {}
            Ok(seen) => return Ok(Ok(seen)),
            Err(Retired) => return Ok(Err(None)),
        }
        let Blocking::Until(deadline) = timeout::of_condition(timeout)? else {
            return Ok(Ok(future.with(|record| look(py, record))));
        };
        let pending = |pool| this.is_pending_in(pool).then(|| slf.clone());
        match executor::wait(py, &mut future.wait(), deadline, pending)? {
            None => Ok(Ok(Seen::NotDone)),
            Some(Ok(())) => Ok(Ok(future.with(|record| look(py, record)))),
            Some(Err(Retired)) => Ok(Err(deadline.remaining().map(|left| left.as_secs_f64()))),
        }
    }

    /// Begins the work: `false` if it was cancelled.
    pub(crate) fn begin(slf: &Bound<'_, Self>) -> PyResult<bool> {
        slf.get()
            .inner
            .begin()
            .or_else(|refused| Self::begin_refused(slf, refused))
    }

    /// What the standard class does where the primitive has refused to begin.
    #[cold]
    fn begin_refused(slf: &Bound<'_, Self>, refused: Refused) -> PyResult<bool> {
        match refused {
            Refused::Retired => {
                standard_form::call(slf, "set_running_or_notify_cancel", (), None)?.extract()
            }
            Refused::State(state) => {
                let address = slf.as_ptr().addr();
                user_code::call_method(
                    &logger(slf.py())?,
                    "critical",
                    ("Future %s in unexpected state: %s", address, name(state)),
                    None,
                )?;
                Err(PyRuntimeError::new_err("Future in unexpected state"))
            }
        }
    }

    /// Ends the work and runs the callbacks.
    pub(crate) fn finish(slf: &Bound<'_, Self>, outcome: Outcome<Py<PyAny>>) -> PyResult<()> {
        match slf.get().inner.finish(outcome) {
            Ok(callbacks) if callbacks.is_empty() => Ok(()),
            Ok(callbacks) => Self::run_callbacks(slf, callbacks),
            Err((refused, outcome)) => Self::finish_refused(slf, refused, outcome),
        }
    }

    /// Apart, as all that is rare, so that a callback which ends another future takes little of the
    /// stack: there may be thousands in a row.
    #[cold]
    #[inline(never)]
    fn finish_refused(
        slf: &Bound<'_, Self>,
        refused: Refused,
        outcome: Outcome<Py<PyAny>>,
    ) -> PyResult<()> {
        match (refused, outcome) {
            (Refused::State(state), _) => {
                let state = name(state);
                let words = format!("{state}: {}", slf.repr()?);
                Err(errors::invalid_state(slf.py(), words))
            }
            (Refused::Retired, Outcome::Value(value)) => {
                standard_form::call(slf, "set_result", (value,), None).map(drop)
            }
            (Refused::Retired, Outcome::Error(error)) => {
                standard_form::call(slf, "set_exception", (error,), None).map(drop)
            }
        }
    }

    fn run_callbacks(slf: &Bound<'_, Self>, callbacks: Vec<Py<PyAny>>) -> PyResult<()> {
        callbacks
            .into_iter()
            .try_for_each(|callback| Self::run_callback(slf, callback.bind(slf.py())))
    }

    fn run_callback(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let arguments = PyTuple::new(slf.py(), [slf])?;
        match user_code::call(callback, &arguments, None) {
            Ok(_) => Ok(()),
            Err(error) => Self::log_callback_error(slf, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn log_callback_error(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        if !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
        user_code::call_method(
            &logger(py)?,
            "error",
            ("exception calling callback for %r", slf),
            Some(&keywords),
        )?;
        Ok(())
    }
}

impl HasStandardForm for Future {
    const ATTRIBUTES: &[&str] = &[
        "_condition",
        "_waiters",
        "_done_callbacks",
        "_invoke_callbacks",
    ];

    fn has_taken_it(&self) -> bool {
        self.inner.with_native(|_| ()).is_err()
    }
}

#[pymethods]
impl Future {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Future::new(),
        }
    }

    fn __init__(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !Self::is_plain(slf)? && slf.get_type().getattr("_overrides_hooks")?.is_truthy()? {
            Self::take_standard_form(slf)?;
        }
        match slf.get().inner.reset() {
            Ok(former) => drop(former), // something, if it is initialized again
            Err(Retired) => {
                standard_form::call(slf, "__init__", (), None)?;
            }
        }
        Ok(())
    }

    /// The result of the call, waiting for it if need be.
    ///
    /// timeout: wait at most so many seconds; None means without end.
    ///
    /// Raises what the call raised, CancelledError if it was cancelled, TimeoutError if it was
    /// not done in time.
    #[pyo3(signature = (timeout=None))]
    fn result<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::await_outcome(slf, timeout)? {
            Ok(Seen::Value(value)) => Ok(value.into_bound(py)),
            Ok(Seen::Error(error)) if !error.bind(py).is_truthy()? => {
                // Whether such an exception counts depends on the version of the standard class.
                Self::take_standard_form(slf)?;
                standard_form::call(slf, "result", (0,), None)
            }
            Ok(Seen::Error(error)) => Err(errors::raise(error.bind(py))),
            Ok(Seen::Cancelled) => Err(errors::cancelled(py)),
            Ok(Seen::NotDone) => Err(PyTimeoutError::new_err(())),
            Err(None) => standard_form::call(slf, "result", (timeout,), None),
            Err(left) => standard_form::call(slf, "result", (left,), None),
        }
    }

    /// The exception that the call raised, waiting for it if need be; None if it returned.
    ///
    /// timeout: wait at most so many seconds; None means without end.
    ///
    /// Raises CancelledError if it was cancelled, TimeoutError if it was not done in time.
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::await_outcome(slf, timeout)? {
            Ok(Seen::Value(_)) => Ok(py.None().into_bound(py)),
            Ok(Seen::Error(error)) => Ok(error.into_bound(py)),
            Ok(Seen::Cancelled) => Err(errors::cancelled(py)),
            Ok(Seen::NotDone) => Err(PyTimeoutError::new_err(())),
            Err(None) => standard_form::call(slf, "exception", (timeout,), None),
            Err(left) => standard_form::call(slf, "exception", (left,), None),
        }
    }

    /// Whether the call was cancelled.
    fn cancelled(&self) -> bool {
        self.inner.with(|record| record.state.is_cancelled())
    }

    /// Whether the call is being executed.
    fn running(&self) -> bool {
        self.inner.with(|record| record.state == State::Running)
    }

    /// Whether the call was cancelled or has ended.
    fn done(&self) -> bool {
        self.inner.with(|record| record.state.is_done())
    }

    /// Cancel the call unless it has begun; whether it is cancelled.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().inner.cancel() {
            Ok(callbacks) => Self::run_callbacks(slf, callbacks).map(|()| true),
            Err(Refused::State(_)) => Ok(false),
            Err(Refused::Retired) => standard_form::call(slf, "cancel", (), None)?.extract(),
        }
    }

    /// Have `fn(future)` called once the call is cancelled or has ended: at once if it has.
    ///
    /// Callbacks run in the order they were added, in a thread of this process. An Exception
    /// that one raises is logged and ignored.
    #[pyo3(signature = (r#fn))]
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: &Bound<'_, PyAny>) -> PyResult<()> {
        let callback = r#fn.clone().unbind();
        let added = slf.get().inner.with_native(|record| {
            if record.state.is_done() {
                Some(callback)
            } else {
                record.callbacks.push(callback);
                None
            }
        });
        match added {
            Ok(None) => Ok(()),
            Ok(Some(callback)) => Self::run_callback(slf, callback.bind(slf.py())),
            Err(Retired) => standard_form::call(slf, "add_done_callback", (r#fn,), None).map(drop),
        }
    }

    /// Mark the call as running: for executors. False if it was cancelled: it must not be run.
    ///
    /// Raises RuntimeError if it was begun or ended before.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::begin(slf)
    }

    /// Set what the call returned: for executors.
    ///
    /// Raises InvalidStateError if it was cancelled or has ended.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::finish(slf, Outcome::Value(result))
    }

    /// Set what the call raised: for executors.
    ///
    /// Raises InvalidStateError if it was cancelled or has ended.
    fn set_exception(slf: &Bound<'_, Self>, exception: Py<PyAny>) -> PyResult<()> {
        // As in the standard class, None is no exception: the call returned None.
        let outcome = if exception.is_none(slf.py()) {
            Outcome::Value(exception)
        } else {
            Outcome::Error(exception)
        };
        Self::finish(slf, outcome)
    }

    /// Leave the waiting to the standard class: see `standard_form::take`. The callbacks go into
    /// `callbacks`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        callbacks: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let future = &slf.get().inner;
        let retire = || Some((callbacks.as_any(), future.retire()?));
        standard_form::take(slf.as_any(), attributes, None, retire)
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        standard_form::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        standard_form::set_attribute(slf, name, None)
    }

    #[getter(_state)]
    fn get_state<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.inner.with(|record| record.state) {
            State::Pending => intern!(py, "PENDING"),
            State::Running => intern!(py, "RUNNING"),
            State::Cancelled => intern!(py, "CANCELLED"),
            State::CancelledAndNotified => intern!(py, "CANCELLED_AND_NOTIFIED"),
            State::Finished => intern!(py, "FINISHED"),
        }
        .clone()
    }

    #[setter(_state)]
    fn set_state(slf: &Bound<'_, Self>, state: &str) -> PyResult<()> {
        let known = [
            State::Pending,
            State::Running,
            State::Cancelled,
            State::CancelledAndNotified,
            State::Finished,
        ];
        let Some(state) = known.into_iter().find(|known| name(*known) == state) else {
            let words = format!("{state:?} is no state of a Future");
            return Err(pyo3::exceptions::PyValueError::new_err(words));
        };
        Self::take_standard_form(slf)?;
        slf.get().inner.with(|record| record.state = state);
        Ok(())
    }

    #[getter(_result)]
    fn get_result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.inner
            .with(|record| record.value.as_ref().map(|value| value.clone_ref(py)))
    }

    #[setter(_result)]
    fn overwrite_result(slf: &Bound<'_, Self>, result: Option<Py<PyAny>>) -> PyResult<()> {
        Self::take_standard_form(slf)?;
        let former = slf
            .get()
            .inner
            .with(|record| std::mem::replace(&mut record.value, result));
        drop(former);
        Ok(())
    }

    #[getter(_exception)]
    fn get_exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.inner
            .with(|record| record.error.as_ref().map(|error| error.clone_ref(py)))
    }

    #[setter(_exception)]
    fn overwrite_exception(slf: &Bound<'_, Self>, exception: Option<Py<PyAny>>) -> PyResult<()> {
        Self::take_standard_form(slf)?;
        let former = slf
            .get()
            .inner
            .with(|record| std::mem::replace(&mut record.error, exception));
        drop(former);
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let class = slf.get_type().name()?;
        let address = slf.as_ptr().addr();
        let (state, seen) = slf
            .get()
            .inner
            .with(|record| (record.state, look(py, record)));
        let state = match state {
            State::Pending => "pending",
            State::Running => "running",
            State::Cancelled | State::CancelledAndNotified => "cancelled",
            State::Finished => "finished",
        };
        let outcome = match seen {
            Seen::NotDone | Seen::Cancelled => String::new(),
            Seen::Value(value) => format!(" returned {}", value.bind(py).get_type().name()?),
            Seen::Error(error) if !error.bind(py).is_truthy()? => {
                Self::take_standard_form(slf)?;
                return standard_form::call(slf, "__repr__", (), None)?.extract();
            }
            Seen::Error(error) => format!(" raised {}", error.bind(py).get_type().name()?),
        };
        Ok(format!("<{class} at {address:#x} state={state}{outcome}>"))
    }

    /// A generic alias, as of the standard class.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls.as_any(), item)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.with(|record| {
            visit.call(&record.value)?;
            visit.call(&record.error)?;
            if let Some(call) = &record.work {
                call.traverse(&visit)?;
            }
            record
                .callbacks
                .iter()
                .try_for_each(|callback| visit.call(callback))
        })
    }

    fn __clear__(&self) {
        let garbage = self.inner.with(|record| {
            (
                record.value.take(),
                record.error.take(),
                record.work.take(),
                std::mem::take(&mut record.callbacks),
            )
        });
        drop(garbage);
    }
}

impl Future {
    /// Writing to the standard internals is for the standard form only: there, whoever writes
    /// holds the condition.
    fn take_standard_form(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().inner.with_native(|_| ()).is_ok() {
            user_code::call_method(slf, "_take_standard_form", (), None)?;
        }
        Ok(())
    }
}
