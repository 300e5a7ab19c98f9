//! `Future`

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyList, PyString, PyTuple, PyType};

use super::at_once::{self, Arguments, Attempt, at_once};
use super::executor::Call;
use super::kept::Kept;
use super::user_code::{self, Owned};
use super::{errors, standard_form};
use crate::primitives::Retired;
use crate::primitives::future::{self as core, Outcome, Refused, State};
use waiting::{Seen, look};

mod callbacks;
mod completions;
mod creation;
mod internals;
mod waiting;
mod work;

pub(crate) use completions::{Completions, Observer};
pub(crate) use work::Started;

/// The native half of oxthreads.concurrent.futures.Future.
#[pyclass(subclass, frozen, name = "Future", module = "oxthreads._oxthreads")]
pub(crate) struct Future {
    inner: core::Future<Owned, Owned, Call>,
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
    static CLASS: Kept<Py<PyType>> = Kept::new();
    CLASS.import(py, "oxthreads.concurrent.futures", "Future")
}

/// The logger of the standard module.
pub(super) fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOGGER: Kept<Py<PyAny>> = Kept::new();
    LOGGER.import(py, "concurrent.futures._base", "LOGGER")
}

impl Future {
    /// Whether no subclass can have changed what a method calls on itself.
    fn is_plain(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(slf.get_type().is(class(slf.py())?))
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
                    logger(slf.py())?,
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
        let outcome = match outcome {
            Outcome::Value(value) => Outcome::Value(value.into()),
            Outcome::Error(error) => Outcome::Error(error.into()),
            Outcome::NoError => Outcome::NoError,
        };
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
        outcome: Outcome<Owned>,
    ) -> PyResult<()> {
        let py = slf.py();
        match (refused, outcome) {
            (Refused::State(state), _) => {
                let state = name(state);
                // Of the class, whatever the instance has under that name.
                static REPR: Kept<Py<PyAny>> = Kept::new();
                let repr = REPR.import(py, "builtins", "repr")?;
                let shown = user_code::call(repr, &PyTuple::new(py, [slf])?, None)?;
                let words = format!("{state}: {}", shown.str()?);
                Err(errors::invalid_state(py, words))
            }
            (Refused::Retired, Outcome::Value(value)) => {
                standard_form::call(slf, "set_result", (value.object(),), None).map(drop)
            }
            (Refused::Retired, Outcome::Error(error)) => {
                standard_form::call(slf, "set_exception", (error.object(),), None).map(drop)
            }
            (Refused::Retired, Outcome::NoError) => {
                standard_form::call(slf, "set_exception", (py.None(),), None).map(drop)
            }
        }
    }
}

at_once! {
    ResultOf: Future, c"result", Future::result_at_once;
    Done: Future, c"done", Future::done_at_once;
}

impl Future {
    /// Only who has to wait looks at the timeout.
    #[inline]
    fn result_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.len() > 1 {
            return None;
        }
        let py = slf.py();
        match slf.get().inner.with_native(|record| look(py, record)) {
            Ok(Seen::Value(value)) => Some(Ok(value.into_bound(py))),
            _ => None,
        }
    }

    #[inline]
    fn done_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        let future = &slf.get().inner;
        let done = future.with_made(|record| record.state.is_done()).ok()?;
        arguments.answer(done)
    }

    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<ResultOf>(class)?;
        at_once::install::<Done>(class)
    }
}

#[pymethods]
impl Future {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Future::unmade(),
        }
    }

    fn __init__(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.reset() {
            Ok(former) => drop(former), // something, if it is initialized again
            Err(Retired) => {
                standard_form::call(slf, "__init__", (), None)?;
            }
        }
        if !Self::is_plain(slf)? && standard_form::overrides_hooks(&slf.get_type())? {
            Self::take_standard_form(slf)?;
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
            // From 3.14 on the standard class does not ask an exception for its truth value.
            Ok(Seen::Error(error))
                if cfg!(not(Py_3_14)) && !user_code::truth(error.object().bind(py))? =>
            {
                Self::take_standard_form(slf)?;
                standard_form::call(slf, "result", (0,), None)
            }
            Ok(Seen::Error(error)) => Err(errors::raise(error.object().bind(py))),
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
    fn cancelled(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "cancelled", |state| state.is_cancelled())
    }

    /// Whether the call is being executed.
    fn running(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "running", |state| state == State::Running)
    }

    /// Whether the call was cancelled or has ended.
    fn done(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "done", |state| state.is_done())
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
        let callback = Owned::from(r#fn.clone());
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
            Ok(Some(callback)) => Self::run_callback(slf, &callback),
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
        // As in the standard class, where with None it has returned None, and yet ends a wait for the
        // first exception.
        let outcome = if exception.is_none(slf.py()) {
            Outcome::NoError
        } else {
            Outcome::Error(exception)
        };
        Self::finish(slf, outcome)
    }

    /// Leave the waiting to the standard class: see `standard_form::take`. The callbacks go into
    /// `callbacks`, those who wait for this and for others into `waiters`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        callbacks: &Bound<'_, PyList>,
        waiters: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        Self::retire(slf, attributes, callbacks, waiters)
    }

    /// Whether it is done, whether it was cancelled, its result and its exception.
    #[cfg(Py_3_15)]
    fn _get_snapshot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::snapshot(slf)
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
    fn get_state<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyString>> {
        Self::read_state(slf)
    }

    #[setter(_state)]
    fn set_state(slf: &Bound<'_, Self>, state: &str) -> PyResult<()> {
        Self::write_state(slf, state)
    }

    #[getter(_result)]
    fn get_result(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        Self::read(slf, "_result", |record| &record.value)
    }

    #[setter(_result)]
    fn set_result_attribute(slf: &Bound<'_, Self>, result: Option<Py<PyAny>>) -> PyResult<()> {
        Self::write(slf, |record| &mut record.value, result)
    }

    #[getter(_exception)]
    fn get_exception(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        Self::read(slf, "_exception", |record| &record.error)
    }

    #[setter(_exception)]
    fn set_exception_attribute(
        slf: &Bound<'_, Self>,
        exception: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        Self::write(slf, |record| &mut record.error, exception)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let class = slf.get_type().name()?;
        let address = slf.as_ptr().addr();
        let looked = slf
            .get()
            .inner
            .with_made(|record| (record.state, look(py, record)));
        let Ok((state, seen)) = looked else {
            return standard_form::call(slf, "__repr__", (), None)?.extract();
        };
        let state = match state {
            State::Pending => "pending",
            State::Running => "running",
            State::Cancelled | State::CancelledAndNotified => "cancelled",
            State::Finished => "finished",
        };
        let class_of = |object: &Owned| object.object().bind(py).get_type().name();
        let outcome = match seen {
            Seen::NotDone | Seen::Cancelled => String::new(),
            Seen::Value(value) => format!(" returned {}", class_of(&value)?),
            Seen::Error(error) if !user_code::truth(error.object().bind(py))? => {
                Self::take_standard_form(slf)?;
                return standard_form::call(slf, "__repr__", (), None)?.extract();
            }
            Seen::Error(error) => format!(" raised {}", class_of(&error)?),
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
            if let Some(call) = &record.work {
                call.traverse(&visit)?;
            }
            let outcome = record.value.iter().chain(&record.error);
            outcome
                .chain(&record.callbacks)
                .try_for_each(|object| visit.call(object.object()))
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
