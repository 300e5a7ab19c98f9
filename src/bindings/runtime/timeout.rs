//! The arguments `blocking` and `timeout`, with the standard library's error messages.
//!
//! A plain `float` of seconds is converted here. Anything else is passed to a lock of the standard library that is
//! made for this purpose, so that the errors are those of the running version.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyTuple};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::foreign::{self, Operator};
use crate::bindings::runtime::lazy::{Lazy, lazy_imports};
use crate::wait::deadline::Deadline;
use crate::wait::observe::Acquisition;

lazy_imports! {
    /// What the checks of a timeout look up.
    pub(crate) IMPORTS, with foreign::OPERATORS;
    ALLOCATE_LOCK: PyAny = "_thread", "allocate_lock";
    STANDARD_CONDITION: PyAny = "oxthreads.threading", "_StandardCondition";
}

/// Whether to wait, and until when.
#[derive(Clone, Copy)]
pub(crate) enum Blocking {
    No,
    Until(Deadline),
}

impl Blocking {
    /// How a lock is acquired with these arguments. `forever`: how, if it would wait for ever.
    pub(crate) fn acquisition(self, forever: Acquisition) -> Acquisition {
        match self {
            Self::Until(Deadline::NEVER) => forever,
            Self::No | Self::Until(_) => Acquisition::Tried,
        }
    }
}

/// A number of seconds below the maximum of every platform (Windows: 4,294,967 seconds).
const VALID_EVERYWHERE: f64 = 4_000_000.0;

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
            // Before Python 3.12 `blocking` must be an integer; later any truth value is accepted. Let the
            // standard lock check.
            let arguments = match timeout {
                Argument::Absent => (blocking.clone(), (-1_i64).into_pyobject(py)?.into_any()),
                Argument::Given(timeout) => (blocking.clone(), timeout.clone()),
            };
            if blocking.is_exact_instance_of::<PyBool>() {
                if !foreign::truth(blocking)? {
                    if let Argument::Given(_) = timeout {
                        ask_standard_lock(py, arguments)?;
                    }
                    return Ok(Blocking::No);
                }
                return of_lock(py, &Argument::Absent, timeout);
            }
            ask_standard_lock(py, arguments)?;
            if foreign::truth(blocking)? {
                of_lock(py, &Argument::Absent, timeout)
            } else {
                Ok(Blocking::No)
            }
        }
    }
}

/// The longest time of a wait that begins later.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Never,
    Now,
    After(Duration),
}

impl Limit {
    /// The wait begins.
    pub(crate) fn begin(self) -> Blocking {
        match self {
            Self::Never => Blocking::Until(Deadline::NEVER),
            Self::Now => Blocking::No,
            Self::After(limit) => Blocking::Until(Deadline::after(limit)),
        }
    }
}

/// The `timeout` of `RWLock.read`: as that of `Lock.acquire`, or None for no limit.
pub(crate) fn limit_of_lock(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Limit> {
    let Some(timeout) = timeout else {
        return Ok(Limit::Never);
    };
    Ok(match seconds(timeout, -1.0)? {
        -1.0 => Limit::Never,
        0.0 => Limit::Now,
        seconds => Duration::try_from_secs_f64(seconds).map_or(Limit::Never, Limit::After),
    })
}

/// The argument of `Event.wait`, `Future.result` and `Condition.wait`. `None` means no limit; zero and less mean
/// not to wait.
pub(crate) fn of_condition(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Blocking> {
    let Some(timeout) = timeout else {
        return Ok(Blocking::Until(Deadline::NEVER));
    };
    if !is_above_zero(timeout)? {
        return Ok(Blocking::No);
    }
    Ok(until(seconds(timeout, f64::MIN_POSITIVE)?))
}

/// Whether `Condition.wait` would wait with this timeout. NaN counts as such where the standard library rejects it.
fn is_above_zero(timeout: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(number) = timeout.cast_exact::<PyFloat>() {
        let number = number.value();
        if !number.is_nan() {
            return Ok(number > 0.0);
        }
    } else if timeout.is_exact_instance_of::<PyInt>() {
        return timeout.gt(0);
    }
    if rejects_nan(timeout.py())? {
        Ok(!foreign::compare(Operator::LessOrEqual, timeout, 0)?)
    } else {
        foreign::compare(Operator::Greater, timeout, 0)
    }
}

/// Whether the standard `Condition.wait` rejects NaN, and so asks whether a timeout is at most zero. Older versions
/// ask whether it is above zero, so that NaN means not to wait. That changed in a maintenance release, so the class
/// is asked, once.
fn rejects_nan(py: Python<'_>) -> PyResult<bool> {
    static REJECTS_NAN: Lazy<bool> = Lazy::new();
    REJECTS_NAN
        .get_or_make(|| {
            let lock = ALLOCATE_LOCK.get(py)?.call0()?;
            let condition = STANDARD_CONDITION.get(py)?.call1((&lock,))?;
            foreign::call_method(&lock, "acquire", (), None)?;
            match foreign::call_method(&condition, "wait", (f64::NAN,), None) {
                Ok(_) => Ok(false),
                Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(true),
                Err(error) => Err(error),
            }
        })
        .copied()
}

/// The `timeout` of `Semaphore.acquire` and `Barrier.wait`, which the standard library adds to the clock. `None`
/// means no limit; zero and less mean not to wait.
pub(crate) fn of_clock(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Blocking> {
    if let Some(timeout) = timeout {
        // If it cannot be added, the error is that of the addition.
        let sum = sum(timeout)?;
        if number(&sum).is_ok_and(f64::is_nan) {
            // The standard library would spin forever: no comparison of NaN with the clock ends the wait.
            seconds(&sum, 0.0)?;
        }
    }
    of_condition(timeout)
}

/// Checks the `timeout` of a queue's `put` or `get`, before anything is tried.
pub(crate) fn check_of_queue(timeout: &Bound<'_, PyAny>) -> PyResult<()> {
    let is_negative = if is_plain(timeout) {
        timeout.lt(0)?
    } else {
        foreign::compare(Operator::Less, timeout, 0)?
    };
    if is_negative {
        return Err(PyValueError::new_err(
            "'timeout' must be a non-negative number",
        ));
    }
    Ok(())
}

/// The deadline of a queue's `timeout`, which was checked before; `None` if it is zero.
pub(crate) fn positive(timeout: &Bound<'_, PyAny>) -> PyResult<Option<Deadline>> {
    // The standard queue adds the timeout to the clock's float. So whatever can be added is accepted.
    let timeout = sum(timeout)?;
    match seconds(&timeout, 0.0)? {
        0.0 => Ok(None),
        seconds => Ok(Some(deadline(seconds))),
    }
}

lazy_imports! {
    /// What [`of_simple_queue`] looks up.
    pub(crate) OF_SIMPLE_QUEUE;
    SIMPLE_QUEUE: PyAny = "_queue", "SimpleQueue";
}

/// The arguments of `SimpleQueue.get`, which checks the timeout also if it need not wait; `None` means not to wait.
pub(crate) fn of_simple_queue(
    block: &Argument<'_>,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Deadline>> {
    if !block.is_true_or(true)? {
        return Ok(None);
    }
    let Some(timeout) = timeout else {
        return Ok(Some(Deadline::NEVER));
    };
    let is_valid = |number: f64| (0.0..VALID_EVERYWHERE).contains(&number);
    if !timeout
        .cast_exact::<PyFloat>()
        .is_ok_and(|number| is_valid(number.value()))
    {
        // Let a standard queue that need not wait accept or reject it.
        let py = timeout.py();
        let queue = SIMPLE_QUEUE.get(py)?.call0()?;
        queue.call_method1("put", (py.None(),))?;
        foreign::call_method(&queue, "get", (true, timeout), None)?;
    }
    let deadline = Duration::try_from_secs_f64(number(timeout)?);
    Ok(Some(deadline.map_or(Deadline::NEVER, Deadline::after)))
}

/// The timeout added to a float.
///
/// # Errors
/// What the addition raised: TypeError, if it is no number.
pub(crate) fn sum<'py>(timeout: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let zero = PyFloat::new(timeout.py(), 0.0);
    if is_plain(timeout) {
        return zero.add(timeout);
    }
    foreign::operate(Operator::Add, &zero, timeout)
}

/// Whether the class of the number is built in, and not written by a program.
fn is_plain(timeout: &Bound<'_, PyAny>) -> bool {
    timeout.is_exact_instance_of::<PyFloat>() || timeout.is_exact_instance_of::<PyInt>()
}

/// The number of seconds, if it is valid and at least `least`. Otherwise the standard lock checks it.
fn seconds(timeout: &Bound<'_, PyAny>, least: f64) -> PyResult<f64> {
    if let Ok(number) = timeout.cast_exact::<PyFloat>() {
        let number = number.value();
        if (0.0..VALID_EVERYWHERE).contains(&number) && number >= least {
            return Ok(number);
        }
    }
    let py = timeout.py();
    let blocking = PyBool::new(py, true).to_owned().into_any();
    ask_standard_lock(py, (blocking, timeout.clone()))?;
    number(timeout)
}

/// The number as a float. A program may have written its class.
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
    foreign::call(
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

/// Lets a new standard lock check the arguments of `acquire`; the original one, even under the patch.
fn ask_standard_lock<'py>(
    py: Python<'py>,
    arguments: (Bound<'py, PyAny>, Bound<'py, PyAny>),
) -> PyResult<()> {
    let lock = ALLOCATE_LOCK.get(py)?.call0()?;
    foreign::call_method(&lock, "acquire", arguments, None).map(drop)
}
