//! `oxthreads.locks.Limiter`, which uses `primitives/limiter.rs`.

use parking_lot::Mutex;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyString, PyTuple};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking, Limit};
use crate::bindings::runtime::{block, errors, foreign};
use crate::diagnostics::labels;
use crate::primitives::limiter::{self, OutOfRange, Pace};
use crate::wait::deadline::Deadline;

/// Lets threads go on at a pace: so many times in so many seconds, for all of them together.
///
/// Use it before calls of a service that allows only so many: `with limiter:` waits until the next call is allowed. After a
/// pause, up to ``burst`` calls are allowed at once. Nothing is released at the end of the `with` statement: a limiter counts
/// beginnings, and a Semaphore counts what goes on at the same time.
///
/// First come, first served: those who wait get through in the order in which they came, and a large acquisition is not
/// overtaken by small ones. No thread runs for it and nobody polls: the first one that waits sleeps until its time, the
/// others until the one before them has got through.
///
/// All threads may use it, also from signal handlers and `__del__` methods, and so may coroutines (`oxthreads.aio.as_async`)
/// and `oxthreads.waiting.select`, which acquires one. A forked child goes on with what its parent had acquired, and counts for
/// itself from then on.
///
/// Args:
///     rate (float): how many acquisitions are allowed.
///     per (float): in so many seconds.
///     burst (int): how many are allowed at once after a pause, and the largest amount of one acquisition.
///     name (str or None): what `repr` and metrics call it.
///
/// Raises:
///     ValueError: rate or per is not a positive, finite number; or burst is below one; or the time between two acquisitions
///         is too short or too long to be counted, or that of a whole burst (above 8e19 seconds).
///     TypeError: an argument is not a number, or name is not a string.
///
/// Example:
///
///     >>> from oxthreads.locks import Limiter
///     >>> limiter = Limiter(5, per=1.0, burst=2)
///     >>> for request in range(3):  # the third one waits for a fifth of a second
///     ...     with limiter:
///     ...         pass
///     >>> limiter.acquire(blocking=False)
///     False
///
/// The algorithm is GCRA, the generic cell rate algorithm (ITU-T I.371, 1993): a token bucket that needs no timer, because it
/// only keeps the theoretical arrival time of the next acquisition. The clock is `time.monotonic`.
#[pyclass(subclass, frozen, weakref, module = "oxthreads.locks")]
pub(crate) struct Limiter {
    inner: limiter::Limiter,
    name: Mutex<Option<String>>,
}

lazy_imports! {
    for Limiter, with timeout::IMPORTS;
    INDEX: PyAny = "operator", "index";
}

/// A number of seconds, or of acquisitions.
fn positive(name: &str, number: &Bound<'_, PyAny>) -> PyResult<f64> {
    // What can be added to a number, as the timeout of a queue: no text.
    let number = timeout::number(&timeout::sum(number)?)?;
    if number.is_finite() && number > 0.0 {
        return Ok(number);
    }
    let message = format!("'{name}' must be a positive number");
    Err(PyValueError::new_err(message))
}

/// A whole number, at least one. Beyond 64 bits it is the largest one that fits.
fn count(name: &str, number: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = number.py();
    // As `operator.index`: it refuses a float.
    let number = foreign::call(INDEX.get(py)?, &PyTuple::new(py, [number])?, None)?;
    if number.lt(1)? {
        let message = format!("'{name}' must be at least 1");
        return Err(PyValueError::new_err(message));
    }
    Ok(number.extract().unwrap_or(u64::MAX))
}

impl Limiter {
    /// # Errors
    /// ValueError, if one of the numbers is out of range by the others.
    fn change(&self, change: impl FnOnce(&mut Pace)) -> PyResult<()> {
        (self.inner.set_pace(change)).map_err(|OutOfRange| {
            PyValueError::new_err(
                "the time between two acquisitions, or that of a burst, is out of range",
            )
        })
    }

    /// The amount of an acquisition.
    ///
    /// # Errors
    /// ValueError, if no such acquisition is ever allowed.
    pub(crate) fn amount(&self, amount: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let Some(amount) = amount else {
            return Ok(1);
        };
        let amount = count("amount", amount)?;
        let burst = self.inner.pace().burst;
        if amount > burst {
            let message = format!("'amount' must not be more than the burst, which is {burst}");
            return Err(PyValueError::new_err(message));
        }
        Ok(amount)
    }

    fn acquire_so_much(&self, py: Python<'_>, amount: u64, blocking: Blocking) -> PyResult<bool> {
        if self.inner.try_acquire(amount) {
            return Ok(true);
        }
        let Blocking::Until(deadline) = blocking else {
            return Ok(false);
        };
        let acquired = block::wait_asleep(py, &mut self.inner.acquire(amount), deadline)?;
        Ok(acquired.is_some())
    }
}

impl Observed for Limiter {
    type Primitive = limiter::Limiter;

    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl Limiter {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(rate, per=1.0, burst=1, *, name=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        let pace = Pace {
            rate: 1.0,
            per: 1.0,
            burst: 1,
        };
        Self {
            inner: limiter::Limiter::new(pace),
            name: Mutex::new(None),
        }
    }

    #[pyo3(signature = (rate, per=None, burst=None, *, name=None))]
    fn __init__(
        &self,
        rate: &Bound<'_, PyAny>,
        per: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let pace = Pace {
            rate: positive("rate", rate)?,
            per: per.map_or(Ok(1.0), |per| positive("per", per))?,
            burst: burst.map_or(Ok(1), |burst| count("burst", burst))?,
        };
        let name = match name {
            None => None,
            Some(name) => match name.cast::<PyString>() {
                Ok(name) => Some(name.to_string_lossy().into_owned()),
                Err(_) => return Err(PyTypeError::new_err("'name' must be a string or None")),
            },
        };
        self.change(|changed| *changed = pace)?;
        match &name {
            Some(name) => labels::set(self.primitive_address(), name),
            None => drop(labels::forget(self.primitive_address())),
        }
        *self.name.lock() = name;
        Ok(())
    }

    /// Acquire one, or more. By default, wait until that is allowed.
    ///
    /// Args:
    ///     blocking (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None or -1 (the default) means no limit.
    ///     amount (int): how much, at most the burst.
    ///
    /// Returns:
    ///     bool: True if it was acquired. If not, nothing was.
    ///
    /// Raises:
    ///     ValueError: amount is below one or above the burst; or timeout is negative (other than -1), is NaN, or is given
    ///         with blocking=False.
    ///     TypeError: timeout is not a number, or amount is not a whole one.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    ///
    /// Without a wait it fails also if others wait, because they come first.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads.locks import Limiter
    ///     >>> bytes_sent = Limiter(1_000_000, burst=65_536)
    ///     >>> bytes_sent.acquire(amount=1_500)
    ///     True
    #[pyo3(signature = (blocking=Argument::Absent, timeout=None, amount=None),
           text_signature = "($self, blocking=True, timeout=None, amount=1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        amount: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let amount = self.amount(amount)?;
        let limit = timeout::limit_of_lock(timeout)?;
        if blocking.is_true_or(true)? {
            return self.acquire_so_much(py, amount, limit.begin());
        }
        if !matches!(limit, Limit::Never) {
            return Err(PyValueError::new_err(
                "can't specify a timeout for a non-blocking call",
            ));
        }
        self.acquire_so_much(py, amount, Blocking::No)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let forever = Blocking::Until(Deadline::NEVER);
        slf.get().acquire_so_much(slf.py(), 1, forever)?;
        Ok(slf.clone())
    }

    #[pyo3(signature = (exc_type=Argument::Absent, exc_value=Argument::Absent,
                        traceback=Argument::Absent),
           text_signature = "($self, exc_type=None, exc_value=None, traceback=None)")]
    #[expect(clippy::unused_self, reason = "there is nothing to release")]
    fn __exit__(
        &self,
        exc_type: Argument<'_>,
        exc_value: Argument<'_>,
        traceback: Argument<'_>,
    ) -> PyResult<()> {
        errors::check_exit_arguments([&exc_type, &exc_value, &traceback])
    }

    /// Return how long an acquisition that began now would wait, in seconds (float), if all who wait now stay.
    ///
    /// Args:
    ///     amount (int): how much, at most the burst.
    ///
    /// Returns:
    ///     float: the seconds; 0.0 if it would not wait.
    ///
    /// Raises:
    ///     ValueError: amount is below one or above the burst.
    ///     TypeError: amount is not a whole number.
    ///
    /// Another thread may acquire at any moment, so use this to choose or to report, and not in place of acquire().
    #[pyo3(signature = (amount=None), text_signature = "($self, amount=1)")]
    fn delay(&self, amount: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
        Ok(self.inner.delay(self.amount(amount)?).as_secs_f64())
    }

    /// How much can be acquired now without waiting (int). Another thread may change that at any moment.
    #[getter]
    fn available(&self) -> u64 {
        self.inner.available()
    }

    /// How many threads and coroutines wait now (int). Another thread may change that at any moment.
    #[getter]
    fn waiting(&self) -> usize {
        self.inner.waiting()
    }

    /// How many acquisitions are allowed in `per` seconds (float). It can be set: what was acquired before then counts at
    /// the new pace, and those who wait get new times.
    #[getter]
    fn get_rate(&self) -> f64 {
        self.inner.pace().rate
    }

    #[setter]
    fn set_rate(&self, rate: &Bound<'_, PyAny>) -> PyResult<()> {
        let rate = positive("rate", rate)?;
        self.change(|pace| pace.rate = rate)
    }

    /// In how many seconds `rate` acquisitions are allowed (float). It can be set, as `rate`.
    #[getter]
    fn get_per(&self) -> f64 {
        self.inner.pace().per
    }

    #[setter]
    fn set_per(&self, per: &Bound<'_, PyAny>) -> PyResult<()> {
        let per = positive("per", per)?;
        self.change(|pace| pace.per = per)
    }

    /// How many acquisitions are allowed at once after a pause (int). It can be set. Those who wait for more than a smaller
    /// burst get it when nothing is owed.
    #[getter]
    fn get_burst(&self) -> u64 {
        self.inner.pace().burst
    }

    #[setter]
    fn set_burst(&self, burst: &Bound<'_, PyAny>) -> PyResult<()> {
        let burst = count("burst", burst)?;
        self.change(|pace| pace.burst = burst)
    }

    /// The name that was given (str or None).
    #[getter]
    fn name(&self) -> Option<String> {
        self.name.lock().clone()
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (class, this) = (slf.get_type(), slf.get());
        let Pace { rate, per, burst } = this.inner.pace();
        let py = slf.py();
        let (rate, per) = (
            PyFloat::new(py, rate).repr()?,
            PyFloat::new(py, per).repr()?,
        );
        let name = this
            .name()
            .map_or_else(String::new, |name| format!(" {name:?}"));
        Ok(format!(
            "<{}.{}{name} rate={rate} per={per} burst={burst} waiting={} at {:p}>",
            class.module()?,
            class.qualname()?,
            this.inner.waiting(),
            slf.as_ptr()
        ))
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if self.name.get_mut().is_some() {
            labels::forget(self.primitive_address());
        }
    }
}
