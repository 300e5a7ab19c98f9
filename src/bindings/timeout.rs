//! `blocking` and `timeout` arguments, with the standard library's messages.
//!
//! A plain `float` of seconds is converted here. Whatever else comes is shown to a lock of the
//! standard library made for the purpose, so that refusals are those of the running version.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyTuple};

use super::argument::Argument;
use super::kept::Kept;
use super::user_code;
use crate::primitives::deadline::Deadline;

/// Whether to wait, and until when.
#[derive(Clone, Copy)]
pub(crate) enum Blocking {
    No,
    Until(Deadline),
}

/// Below the maximum of every platform (Windows: 4,294,967 seconds).
const SURELY_VALID: f64 = 4_000_000.0;

/// The arguments of `Lock.acquire`.
pub(crate) fn of_lock(
    py: Python<'_>,
    blocking: &Argument<'_>,
    timeout: &Argument<'_>,
) -> PyResult<Blocking> {
    let forever = Blocking::Until(Deadline::NEVER);
    match (blocking, timeout) {
        (Argument::Absent, Argument::Absent) => Ok(forever),
        (Argument::Absent, Argument::Given(timeout)) => Ok(match seconds(timeout, -1.0)? {
            -1.0 => forever,
            0.0 => Blocking::No,
            seconds => until(seconds),
        }),
        (Argument::Given(blocking), timeout) => {
            // Before 3.12 an integer is asked for, later a truth value: the standard lock knows.
            let arguments = match timeout {
                Argument::Absent => (blocking.clone(), (-1_i64).into_pyobject(py)?.into_any()),
                Argument::Given(timeout) => (blocking.clone(), timeout.clone()),
            };
            if blocking.is_exact_instance_of::<PyBool>() {
                if !user_code::truth(blocking)? {
                    if let Argument::Given(_) = timeout {
                        ask_standard_lock(py, arguments)?;
                    }
                    return Ok(Blocking::No);
                }
                return of_lock(py, &Argument::Absent, timeout);
            }
            ask_standard_lock(py, arguments)?;
            if user_code::truth(blocking)? {
                of_lock(py, &Argument::Absent, timeout)
            } else {
                Ok(Blocking::No)
            }
        }
    }
}

/// The argument of `Event.wait`, `Future.result` and `Condition.wait`: `None` waits for ever,
/// zero and below do not wait.
pub(crate) fn of_condition(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Blocking> {
    let Some(timeout) = timeout else {
        return Ok(Blocking::Until(Deadline::NEVER));
    };
    if !compares(timeout, "gt")? {
        return Ok(Blocking::No);
    }
    Ok(until(seconds(timeout, f64::MIN_POSITIVE)?))
}

/// The `timeout` of `Semaphore.acquire` and `Barrier.wait`, which the standard library adds to the
/// clock: `None` waits for ever, zero and below do not wait.
pub(crate) fn of_clock(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Blocking> {
    if let Some(timeout) = timeout {
        // What cannot be added is refused in these words.
        let sum = sum(timeout)?;
        if number(&sum).is_ok_and(f64::is_nan) {
            // The standard library would spin: no comparison with the clock ever ends the wait.
            seconds(&sum, 0.0)?;
        }
    }
    of_condition(timeout)
}

/// The `timeout` of a queue's `put` and `get`, checked before anything is tried.
pub(crate) fn check_of_queue(timeout: &Bound<'_, PyAny>) -> PyResult<()> {
    if compares(timeout, "lt")? {
        return Err(PyValueError::new_err(
            "'timeout' must be a non-negative number",
        ));
    }
    Ok(())
}

/// The deadline of a queue's `timeout`, which was checked; `None` if there is nothing to wait.
pub(crate) fn positive(timeout: &Bound<'_, PyAny>) -> PyResult<Option<Deadline>> {
    // The standard queue adds it to the clock's float, and so decides what will do for a timeout.
    let timeout = sum(timeout)?;
    match seconds(&timeout, 0.0)? {
        0.0 => Ok(None),
        seconds => Ok(Some(deadline(seconds))),
    }
}

/// Whether the timeout is above zero ("gt") or below ("lt").
fn compares(timeout: &Bound<'_, PyAny>, operator: &str) -> PyResult<bool> {
    if is_plain(timeout) {
        return if operator == "gt" {
            timeout.gt(0)
        } else {
            timeout.lt(0)
        };
    }
    user_code::holds(operator, timeout, 0)
}

/// The timeout, added to a float.
fn sum<'py>(timeout: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let zero = PyFloat::new(timeout.py(), 0.0);
    if is_plain(timeout) {
        return zero.add(timeout);
    }
    user_code::operate("add", &zero, timeout)
}

/// Whether it is a number that no program has made itself.
fn is_plain(timeout: &Bound<'_, PyAny>) -> bool {
    timeout.is_exact_instance_of::<PyFloat>() || timeout.is_exact_instance_of::<PyInt>()
}

/// The number of seconds, if it is at least `least`, or else what the standard lock makes of it.
fn seconds(timeout: &Bound<'_, PyAny>, least: f64) -> PyResult<f64> {
    if let Ok(number) = timeout.cast_exact::<PyFloat>() {
        let number = number.value();
        if (0.0..SURELY_VALID).contains(&number) && number >= least {
            return Ok(number);
        }
    }
    let py = timeout.py();
    let blocking = PyBool::new(py, true).to_owned().into_any();
    ask_standard_lock(py, (blocking, timeout.clone()))?;
    number(timeout)
}

/// The float that a number is, which a program may have made itself.
///
/// # Errors
/// What its `__float__` or `__index__` raised.
pub(crate) fn number(number: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(number) = number.cast::<PyFloat>() {
        return Ok(number.value());
    }
    if is_plain(number) {
        return number.extract();
    }
    let py = number.py();
    user_code::call(
        &py.get_type::<PyFloat>(),
        &PyTuple::new(py, [number])?,
        None,
    )?
    .extract()
}

fn until(seconds: f64) -> Blocking {
    Blocking::Until(deadline(seconds))
}

fn deadline(seconds: f64) -> Deadline {
    Duration::try_from_secs_f64(seconds).map_or(Deadline::NEVER, Deadline::after)
}

/// `acquire` of a free lock, of the standard library whatever is patched.
fn ask_standard_lock<'py>(
    py: Python<'py>,
    arguments: (Bound<'py, PyAny>, Bound<'py, PyAny>),
) -> PyResult<()> {
    static ALLOCATE_LOCK: Kept<Py<PyAny>> = Kept::new();
    let lock = ALLOCATE_LOCK
        .import(py, "_thread", "allocate_lock")?
        .call0()?;
    user_code::call_method(&lock, "acquire", arguments, None).map(drop)
}
