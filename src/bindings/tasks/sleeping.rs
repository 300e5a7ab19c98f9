//! A sleep that ends with the scope of its thread.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::bindings::runtime::{block, cancellation};
use crate::primitives::sleeping::Sleeping;
use crate::wait::deadline::Deadline;
use crate::wait::scope;

/// Sleep, unless a scope that the thread is in is cancelled.
///
/// Args:
///     seconds (float): how long. With math.inf it sleeps until it is cancelled.
///
/// Raises:
///     ValueError: seconds is negative, or not a number.
///     Cancelled: a scope that the thread is in was cancelled, or its time is over.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<()> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(
            "seconds must be a non-negative number",
        ));
    }
    cancellation::check(py)?;
    let deadline = Duration::try_from_secs_f64(seconds).map_or(Deadline::NEVER, Deadline::after);
    block::wait_asleep(py, &mut Sleeping, deadline).map(drop)
}

/// Raise Cancelled if a scope that the thread is in was cancelled, or its time is over.
///
/// A wait does so by itself. This is for long calculations.
///
/// Raises:
///     Cancelled: see there.
#[pyfunction]
pub(crate) fn check_cancelled(py: Python<'_>) -> PyResult<()> {
    cancellation::check(py)
}

/// Return whether the calling thread is in a scope (bool).
#[pyfunction]
pub(crate) fn is_in_scope() -> bool {
    scope::current().is_some()
}
