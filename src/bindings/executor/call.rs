//! A call that was submitted, and how it is done.

use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::errors;
use crate::bindings::future::Future;
use crate::bindings::user_code::{self, Owned};
use crate::primitives::future::Outcome;

/// `function(*arguments, **keywords)`, maybe inside a context. Its future carries it until somebody
/// begins it.
pub(crate) struct Call {
    pub(super) function: Owned,
    /// A tuple.
    pub(super) arguments: Owned,
    /// A dictionary, if there are any.
    pub(super) keywords: Option<Owned>,
    /// The contextvars.Context that it runs in, if not that of the thread.
    pub(super) context: Option<Owned>,
    pub(super) submitted: Instant,
    /// The number of the pool that it was submitted to.
    pub(super) pool: u64,
}

impl Call {
    /// Whether it was submitted to the pool of this number.
    pub(crate) fn is_of(&self, pool: u64) -> bool {
        self.pool == pool
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let required = [&self.function, &self.arguments].into_iter();
        required
            .chain(&self.keywords)
            .chain(&self.context)
            .try_for_each(|object| visit.call(object.object()))
    }

    fn invoke<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _inside = match &self.context {
            Some(context) => Some(Inside::enter(context.object().bind(py))?),
            None => None,
        };
        let arguments = self.arguments.object().bind(py).cast::<PyTuple>()?;
        let keywords = match &self.keywords {
            Some(keywords) => Some(keywords.object().bind(py).cast::<PyDict>()?),
            None => None,
        };
        user_code::call(self.function.object().bind(py), arguments, keywords)
    }

    /// Does the call, which has been begun, and ends its future. What the call raised comes back, for
    /// those to whom an exception that is no Exception matters.
    ///
    /// # Errors
    /// What a callback raised, if that is no Exception; or that somebody else has ended the future.
    pub(super) fn run(self, future: &Bound<'_, Future>) -> (Option<PyErr>, PyResult<()>) {
        let py = future.py();
        let outcome = self.invoke(py);
        let (raised, ended) = match outcome {
            Ok(value) => (None, Future::finish(future, Outcome::Value(value.unbind()))),
            Err(error) => {
                let error = error.into_value(py).into_any();
                let is_exception = error.bind(py).is_instance_of::<PyException>();
                let raised = (!is_exception).then(|| PyErr::from_value(error.bind(py).clone()));
                // The standard worker sets the exception while it handles it.
                let _handling = errors::Handling::new(error.bind(py));
                (raised, Future::finish(future, Outcome::Error(error)))
            }
        };
        // What the call was given goes once the future has ended, as in the standard library.
        drop(self);
        (raised, ended)
    }
}

/// A context is the current one as long as it lives.
struct Inside<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a, 'py> Inside<'a, 'py> {
    fn enter(context: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: attached, as the lifetime shows; it is a live contextvars.Context.
        match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
            0 => Ok(Self(context)),
            _ => Err(PyErr::fetch(context.py())),
        }
    }
}

impl Drop for Inside<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: attached; the context was entered in this thread. It raises nothing of what the
        // call may have left: that has been fetched.
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

/// A done callback raised what is no Exception, or somebody else has set the future: the pool
/// goes on, and the standard logger hears of it in the standard words.
///
/// # Errors
/// What the logger raised.
pub(super) fn report(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
    user_code::call_method(
        crate::bindings::future::logger(py)?,
        "critical",
        ("Exception in worker",),
        Some(&keywords),
    )?;
    Ok(())
}
