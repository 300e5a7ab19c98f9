//! `Future`.
//!
//! * `waiting`: `result`, `exception` and the wait in them.
//! * `helping`: how a worker of a pool waits for calls of its own pool.
//! * `work`: the call that the future of an executor carries.
//! * `callbacks`: done callbacks.
//! * `event_loop`: the done callback by which asyncio awaits a future.
//! * `completions`: waits for many futures.
//! * `creation`: how an executor makes a future.
//! * `internals`: the standard attributes, and the fall back to the standard library.

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyList, PyString, PyTuple, PyType};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::runtime::errors;
use crate::bindings::runtime::fast_path::{Arguments, Attempt};
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::standard_frames::{self, Raiser, raised_by};
use crate::bindings::runtime::timeout;
use crate::primitives::FellBack;
use crate::primitives::future::{self, Outcome, Refused, State};
use waiting::{Seen, cancelled, read_outcome, timed_out};

mod callbacks;
mod completions;
mod creation;
mod event_loop;
mod helping;
mod internals;
mod stand_in;
mod waiting;
mod work;

pub(crate) use completions::{Completions, Observer};
pub(crate) use helping::{CurrentGuard, PoolMember, is_worker_of, run_as_worker};
pub(crate) use stand_in::StandIn;
pub(crate) use work::{Call, Started, name_of};

/// The native half of oxthreads.concurrent.futures.Future.
#[pyclass(subclass, frozen, name = "Future", module = "oxthreads._oxthreads")]
pub(crate) struct Future {
    inner: future::Future<Owned, Owned, Call>,
}

lazy_imports! {
    for Future, with function::IMPORTS, standard_frames::IMPORTS, timeout::IMPORTS,
        errors::CANCELLED, errors::INVALID_STATE, errors::LOGGER, errors::TIMED_OUT;
    CLASS: PyType = "oxthreads.concurrent.futures", "Future";
    REPR: PyAny = "builtins", "repr";
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

/// The Python class `oxthreads.concurrent.futures.Future`.
pub(super) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    CLASS.get(py)
}

impl Future {
    /// Whether the future has a result, and not an exception.
    pub(super) fn has_value(&self) -> bool {
        self.inner.with(|record| record.value.is_some())
    }

    /// Marks the future as running. `false` if it was cancelled.
    pub(crate) fn begin(slf: &Bound<'_, Self>) -> PyResult<bool> {
        slf.get()
            .inner
            .begin()
            .or_else(|refused| Self::begin_refused(slf, refused))
    }

    /// Does what the standard class does when the future cannot begin.
    #[cold]
    fn begin_refused(slf: &Bound<'_, Self>, refused: Refused) -> PyResult<bool> {
        match refused {
            Refused::FellBack => {
                fallback::call(slf, "set_running_or_notify_cancel", (), None)?.extract()
            }
            Refused::State(state) => {
                let address = slf.as_ptr().addr();
                foreign::call_method(
                    &errors::logger(slf.py())?,
                    "critical",
                    ("Future %s in unexpected state: %s", address, name(state)),
                    None,
                )?;
                Err(PyRuntimeError::new_err("Future in unexpected state"))
            }
        }
    }

    /// Stores the outcome and runs the callbacks.
    pub(crate) fn finish(slf: &Bound<'_, Self>, outcome: Outcome<Py<PyAny>>) -> PyResult<()> {
        let outcome = match outcome {
            Outcome::Value(value) => Outcome::Value(value.into()),
            Outcome::Error(error) => Outcome::Error(error.into()),
            Outcome::NoError => Outcome::NoError,
        };
        match slf.get().inner.finish(outcome) {
            Ok(false) => Ok(()),
            Ok(true) => Self::run_callbacks(slf),
            Err((refused, outcome)) => Self::finish_refused(slf, refused, outcome),
        }
    }

    /// Handles a refused outcome. This is a separate function, like all that is rare, to keep stack frames small:
    /// a callback may finish another future, and there may be thousands of them in a chain.
    #[cold]
    #[inline(never)]
    fn finish_refused(
        slf: &Bound<'_, Self>,
        refused: Refused,
        outcome: Outcome<Owned>,
    ) -> PyResult<()> {
        let py = slf.py();
        match (refused, outcome) {
            (Refused::State(state), outcome) => {
                let state = name(state);
                // The repr of the class, even if the instance has its own `__repr__` attribute.
                let shown = foreign::call(REPR.get(py)?, &PyTuple::new(py, [slf])?, None)?;
                let message = format!("{state}: {}", shown.str()?);
                let raiser = match outcome {
                    Outcome::Value(_) => Raiser::SetResultRefused,
                    Outcome::Error(_) | Outcome::NoError => Raiser::SetExceptionRefused,
                };
                Err(raised_by(py, errors::invalid_state(py, message), raiser))
            }
            (Refused::FellBack, Outcome::Value(value)) => {
                fallback::call(slf, "set_result", (value.object(),), None).map(drop)
            }
            (Refused::FellBack, Outcome::Error(error)) => {
                fallback::call(slf, "set_exception", (error.object(),), None).map(drop)
            }
            (Refused::FellBack, Outcome::NoError) => {
                fallback::call(slf, "set_exception", (py.None(),), None).map(drop)
            }
        }
    }
}

fast_methods! {
    ResultOf: Future, Future::result_fast;
    Done: Future, Future::done_fast;
    SetResult: Future, Future::set_result_fast;
    Cancelled: Future, Future::cancelled_fast;
    ExceptionOf: Future, Future::exception_fast;
    AddDoneCallback: Future, Future::add_done_callback_fast;
}

impl Future {
    /// Does not check the timeout: only a thread that has to wait does.
    #[inline]
    fn result_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.len() > 1 {
            return None;
        }
        let py = slf.py();
        match slf
            .get()
            .inner
            .with_native(|record| read_outcome(py, record))
        {
            Ok(Seen::Value(value)) => Some(Ok(value.into_bound(py))),
            _ => None,
        }
    }

    /// Kept small: it runs callbacks, one of them may call `set_result` of another future, and each frame takes
    /// stack.
    #[inline]
    fn set_result_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        let result = arguments.only()?;
        // Attach as pyo3 does: callbacks may raise, and then references are dropped that must be counted down
        // here. The attach fails only while the interpreter is ending.
        let finished = Python::try_attach(|_| Self::finish(slf, Outcome::Value(result.unbind())))?;
        match finished {
            Ok(()) => arguments.done(),
            Err(error) => Some(Err(error)),
        }
    }

    #[inline]
    fn done_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        let future = &slf.get().inner;
        let done = future.with_native(|record| record.state.is_done()).ok()?;
        arguments.answer(done)
    }

    #[inline]
    fn cancelled_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        let future = &slf.get().inner;
        let cancelled = future.with_native(|record| record.state.is_cancelled());
        arguments.answer(cancelled.ok()?)
    }

    /// As [`Future::result_fast`].
    #[inline]
    fn exception_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.len() > 1 {
            return None;
        }
        let py = slf.py();
        let has_value = |record: &mut future::Record<Owned, Owned, Call>| {
            record.state == State::Finished && record.error.is_none()
        };
        match slf.get().inner.with_native(has_value) {
            Ok(true) => Some(Ok(py.None().into_bound(py))),
            _ => None,
        }
    }

    /// Only for a future that is not done: the callback need not run now.
    #[inline]
    fn add_done_callback_fast<'py>(
        slf: &Bound<'py, Self>,
        arguments: Arguments<'_, 'py>,
    ) -> Attempt<'py> {
        let mut callback = Some(Owned::from(arguments.only()?));
        let future = &slf.get().inner;
        let added = future.with_native(|record| {
            if !record.state.is_done()
                && let Some(callback) = callback.take()
            {
                record.callbacks.push(callback);
                return true;
            }
            false
        });
        match added {
            Ok(true) => arguments.done(),
            _ => None,
        }
    }
}

impl HasFunctions for Future {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![
            ("result", call::<ResultOf>),
            ("done", call::<Done>),
            ("set_result", call::<SetResult>),
            ("cancelled", call::<Cancelled>),
            ("exception", call::<ExceptionOf>),
            ("add_done_callback", call::<AddDoneCallback>),
        ]
    }
}

impl Observed for Future {
    type Primitive = future::Future<Owned, Owned, Call>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl Future {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: future::Future::unmade(),
        }
    }

    fn __init__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let future = &slf.get().inner;
        if !Self::runs_natively().is_yes_for(slf.as_any())? {
            future.leave_unmade();
            drop(future.fall_back());
        }
        match future.reset() {
            Ok(former) => {
                drop(former); // not empty if `__init__` is called a second time
                Ok(())
            }
            Err(FellBack) => fallback::call(slf, "__init__", (), None).map(drop),
        }
    }

    /// Return the result of the call. Wait for it if necessary.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     What the call returned.
    ///
    /// Raises:
    ///     CancelledError: the call was cancelled.
    ///     TimeoutError: the call was not done in time.
    ///     BaseException: what the call raised.
    #[pyo3(signature = (timeout=None))]
    fn result<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::await_outcome(slf, timeout)? {
            Ok(Seen::Value(value)) => Ok(value.into_bound(py)),
            Ok(other) => Self::result_of(slf, other),
            Err(None) => fallback::call(slf, "result", (timeout,), None),
            Err(left) => fallback::call(slf, "result", (left,), None),
        }
    }

    /// Return the exception of the call. Wait for the end of the call if necessary.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     BaseException or None: what the call raised; None if it returned.
    ///
    /// Raises:
    ///     CancelledError: the call was cancelled.
    ///     TimeoutError: the call was not done in time.
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::await_outcome(slf, timeout)? {
            Ok(Seen::Value(_)) => Ok(py.None().into_bound(py)),
            Ok(Seen::Error(error)) => Ok(error.into_bound(py)),
            Ok(Seen::Cancelled) => Err(cancelled(py, Raiser::ExceptionCancelled)),
            Ok(Seen::NotDone) => Err(timed_out(py, Raiser::ExceptionTimeout)),
            Err(None) => fallback::call(slf, "exception", (timeout,), None),
            Err(left) => fallback::call(slf, "exception", (left,), None),
        }
    }

    /// Return True if the call was cancelled.
    fn cancelled(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "cancelled", |state| state.is_cancelled())
    }

    /// Return True if the call is running.
    fn running(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "running", |state| state == State::Running)
    }

    /// Return True if the call was cancelled or has ended.
    fn done(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::ask(slf, "done", |state| state.is_done())
    }

    /// Cancel the call, unless it has begun.
    ///
    /// Returns:
    ///     bool: True if the call is cancelled, now or before; False if it is running or has ended.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let cancelled = slf.get().inner.cancel();
        if cancelled.is_ok() {
            // The group need not wait until a worker comes across the call.
            drop(slf.get().take_task());
        }
        match cancelled {
            Ok(false) => Ok(true),
            Ok(true) => Self::run_callbacks(slf).map(|()| true),
            Err(Refused::State(_)) => Ok(false),
            Err(Refused::FellBack) => fallback::call(slf, "cancel", (), None)?.extract(),
        }
    }

    /// Call `fn(future)` when the call is cancelled or has ended. If that is already so, call it now.
    ///
    /// Args:
    ///     fn: the callable. It is called with the future.
    ///
    /// Callbacks run in the order in which they were added, in any thread of this process. If a callback raises an
    /// Exception, it is logged and ignored.
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
            Ok(Some(callback)) => Self::run_callback::<true>(slf, &callback),
            Err(FellBack) => fallback::call(slf, "add_done_callback", (r#fn,), None).map(drop),
        }
    }

    /// Mark the call as running. For executors and tests.
    ///
    /// Returns:
    ///     bool: False if the call was cancelled: then it must not be run.
    ///
    /// Raises:
    ///     RuntimeError: the call was already running or had ended.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::begin(slf)
    }

    /// Set the result of the call. For executors and tests.
    ///
    /// Args:
    ///     result: what the call returned (any object).
    ///
    /// Raises:
    ///     InvalidStateError: the call was cancelled or had ended.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::finish(slf, Outcome::Value(result))
    }

    /// Set the exception of the call. For executors and tests.
    ///
    /// Args:
    ///     exception (BaseException): what the call raised.
    ///
    /// Raises:
    ///     InvalidStateError: the call was cancelled or had ended.
    fn set_exception(slf: &Bound<'_, Self>, exception: Py<PyAny>) -> PyResult<()> {
        // As in the standard class: with None the future has the result None, but it still ends a wait for the first
        // exception.
        let outcome = if exception.is_none(slf.py()) {
            Outcome::NoError
        } else {
            Outcome::Error(exception)
        };
        Self::finish(slf, outcome)
    }

    /// Hand the waits over to the standard class; see `fallback::install`. The callbacks are appended to
    /// callbacks, and the observers of threads that wait for several futures to waiters.
    fn _oxthreads_hand_over(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        callbacks: &Bound<'_, PyList>,
        waiters: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        Self::fall_back(slf, attributes, callbacks, waiters)
    }

    /// Return whether the future is done, whether it was cancelled, its result, and its exception.
    #[cfg(Py_3_15)]
    fn _get_snapshot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::snapshot(slf)
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        fallback::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        fallback::set_attribute(slf, name, None)
    }

    #[getter(_state)]
    fn get_state<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::read_state(slf)
    }

    #[setter(_state)]
    fn set_state(slf: &Bound<'_, Self>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::write(slf, "_state", state)
    }

    #[getter(_result)]
    fn get_result<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::read(slf, "_result", |record| &record.value)
    }

    #[setter(_result)]
    fn set_result_attribute(slf: &Bound<'_, Self>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::write(slf, "_result", result)
    }

    #[getter(_exception)]
    fn get_exception<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::read(slf, "_exception", |record| &record.error)
    }

    #[setter(_exception)]
    fn set_exception_attribute(
        slf: &Bound<'_, Self>,
        exception: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::write(slf, "_exception", exception)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let class = slf.get_type().name()?;
        let address = slf.as_ptr().addr();
        let looked = slf
            .get()
            .inner
            .with_native(|record| (record.state, read_outcome(py, record)));
        let Ok((state, seen)) = looked else {
            return fallback::call(slf, "__repr__", (), None)?.extract();
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
            Seen::Error(error) if !foreign::truth(error.object().bind(py))? => {
                fallback::fall_back(slf)?;
                return fallback::call(slf, "__repr__", (), None)?.extract();
            }
            Seen::Error(error) => format!(" raised {}", class_of(&error)?),
        };
        Ok(format!("<{class} at {address:#x} state={state}{outcome}>"))
    }

    /// Return a generic alias, as the standard class does.
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
