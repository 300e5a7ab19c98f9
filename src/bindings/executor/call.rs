//! How a call that was submitted is run.

use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::executor::profiled;
use crate::bindings::future::{Call, Future};
use crate::bindings::runtime::asynchronous::{self, ThisThread};
use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::standard_frames::{Raiser, put_before, raised_by};
use crate::primitives::future::Outcome;
use crate::primitives::pool;
use crate::wait::scope::Inside;

fn invoke<'py>(call: &Call, thread: ThisThread<'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = thread.py();
    let _entered = match &call.context {
        Some(context) => Some(EnteredContext::enter(context.object().bind(py))?),
        None => None,
    };
    let arguments = call.arguments.object().bind(py).cast::<PyTuple>()?;
    let keywords = match &call.keywords {
        Some(keywords) => Some(keywords.object().bind(py).cast::<PyDict>()?),
        None => None,
    };
    let result = foreign::call(call.function.object().bind(py), arguments, keywords);
    if thread.has_exception() {
        return raise_pending_instead(py, result);
    }
    result
}

/// Runs the call, which has been started, and finishes its future. If it raises, `record` counts that. Returns two things: what the call raised,
/// if it is not an `Exception` (`KeyboardInterrupt`, for example), for callers that must raise it too; and
/// whether the future could be finished.
///
/// # Errors
/// In the second value: what a done callback raised, if that is not an `Exception`; or the error that some
/// other code had finished the future before; or an error of [`put_before`].
pub(super) fn run(
    mut call: Call,
    future: &Bound<'_, Future>,
    thread: ThisThread<'_>,
    record: &pool::Worker,
) -> (Option<PyErr>, PyResult<()>) {
    let py = future.py();
    let profiled = profiled::begin(py, &call);
    // The call belongs to the scopes of its group; or to none, also if the thread that runs it is in one. Done callbacks
    // belong to none.
    let _outside = Inside::none();
    let task = call
        .task
        .take()
        .map(|task| task.begin(py, call.function.object(), true));
    let outcome = match &task {
        Some(Err(_)) => Err(errors::cancelled(py)),
        Some(Ok(_)) | None => invoke(&call, thread),
    };
    let (task, outcome) = match task {
        Some(Ok(task)) => {
            let outcome = outcome.map_err(|error| task.fail(py, error));
            (Some(task.leave()), outcome)
        }
        Some(Err(task)) => (Some(task), outcome),
        None => (None, outcome),
    };
    // First: whoever sees the future done finds the call in the profile.
    let _ended = profiled.map(|profiled| profiled.end(outcome.is_err()));
    let (raised, ended) = match outcome {
        Ok(value) => (None, Future::finish(future, Outcome::Value(value.unbind()))),
        Err(error) => {
            record.fail();
            let put = put_before(py, &error, Raiser::Call);
            let error = error.into_value(py).into_any();
            let is_exception = error.bind(py).is_instance_of::<PyException>();
            let raised = (!is_exception).then(|| PyErr::from_value(error.bind(py).clone()));
            // The standard worker sets the exception while it handles it.
            let _handling = errors::Handling::new(error.bind(py));
            let ended = Future::finish(future, Outcome::Error(error));
            (raised, ended.and(put))
        }
    };
    // Drop the function and its arguments after the future has finished, as the standard library does.
    drop(call);
    // The last: whoever waits for the group finds its futures done.
    drop(task);
    (raised, ended)
}

/// Raises an asynchronous exception that another thread set during the call, as the outcome of the call: it was
/// meant for the call. A function written in Python has raised it already. After a function written in C, the
/// interpreter would raise it only later, outside the call.
#[cold]
fn raise_pending_instead<'py>(
    py: Python<'py>,
    result: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let result = result?;
    match asynchronous::raise(py) {
        Ok(()) => Ok(result),
        Err(error) => {
            foreign::release(result);
            Err(error)
        }
    }
}

/// While this value lives, the context is the current one.
struct EnteredContext<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a, 'py> EnteredContext<'a, 'py> {
    fn enter(context: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: attached, as the lifetime shows; it is a live contextvars.Context.
        match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
            0 => Ok(Self(context)),
            _ => Err(PyErr::fetch(context.py())),
        }
    }
}

impl Drop for EnteredContext<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: attached; this thread entered the context. No exception of the call can be set here and be
        // overwritten: the call's own was fetched.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } != 0 {
            PyErr::fetch(self.0.py()).write_unraisable(self.0.py(), Some(self.0));
        }
    }
}

/// A copy of the current context.
///
/// # Errors
/// MemoryError.
pub(super) fn copy_context(py: Python<'_>) -> PyResult<Owned> {
    // SAFETY: attached; it returns a new reference, or null with an exception set.
    let context = unsafe { ffi::PyContext_CopyCurrent() };
    // SAFETY: attached; the reference is owned by nobody else.
    unsafe { Bound::from_owned_ptr_or_err(py, context) }.map(Owned::from)
}

/// Logs that a done callback raised something that is not an `Exception`, or that some other code has finished the
/// future. The worker goes on. The message goes to the standard logger, with the standard text.
///
/// # Errors
/// What the logger raised.
#[cold]
pub(super) fn report_end(future: &Bound<'_, Future>, error: PyErr) -> PyResult<()> {
    let py = future.py();
    let raiser = if future.get().has_value() {
        Raiser::RunSetResult
    } else {
        Raiser::RunSetException
    };
    report(py, raised_by(py, error, raiser))
}

/// Logs that a worker could not start or finish a call. See [`report_end`].
///
/// # Errors
/// What the logger raised.
pub(super) fn report(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let error = raised_by(py, error, Raiser::Worker);
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
    foreign::call_method(
        &errors::logger(py)?,
        "critical",
        ("Exception in worker",),
        Some(&keywords),
    )?;
    Ok(())
}
