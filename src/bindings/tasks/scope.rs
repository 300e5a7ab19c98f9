//! `CancelScope`.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::runtime::cancellation::{self, Cancelled, GRACE};
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::wait::deadline::Deadline;
use crate::wait::scope::{self, Left, Scope};
use crate::wait::sync::{Arc, Mutex};

lazy_imports! {
    pub(super) IMPORTS;
    MONOTONIC: PyAny = "time", "monotonic";
    SPLIT: PyAny = "oxthreads.tasks", "_split";
}

/// The clock of `deadline`.
fn monotonic(py: Python<'_>) -> PyResult<f64> {
    foreign::call(MONOTONIC.get(py)?, &PyTuple::empty(py), None)?.extract()
}

/// The moment at which the clock shows that time.
fn moment(py: Python<'_>, seconds: f64) -> PyResult<Deadline> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("deadline must not be NaN"));
    }
    let left = (seconds - monotonic(py)?).max(0.0);
    Ok(Duration::try_from_secs_f64(left).map_or(Deadline::NEVER, Deadline::after))
}

/// The argument `grace`.
pub(super) fn grace(seconds: Option<f64>) -> PyResult<Duration> {
    let Some(seconds) = seconds else {
        return Ok(GRACE);
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err("grace must be a non-negative number"));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Whether a thread is inside.
const NEW: u8 = 0;
const ENTERED: u8 = 1;
const LEFT: u8 = 2;

/// What an exception, which comes out of a scope, is to that scope.
pub(super) enum Coming {
    /// Nothing: it goes on.
    Other,
    /// Its end.
    Own,
    /// A group of exceptions of which this rest goes on.
    Rest(Py<PyAny>),
}

/// Finds out what the exception is to that scope.
pub(super) fn coming<'py>(
    value: &Bound<'py, PyAny>,
    scope: &Arc<Scope>,
    is_own: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Coming> {
    if let Ok(cancelled) = value.cast::<Cancelled>() {
        return Ok(if cancelled.get().is_of(scope) {
            Coming::Own
        } else {
            Coming::Other
        });
    }
    let has_own = cancellation::find(value.clone(), false, |cancelled| {
        cancelled.get().is_of(scope).then_some(())
    });
    if has_own.is_none() {
        return Ok(Coming::Other);
    }
    // A group that the program has made.
    let arguments = PyTuple::new(value.py(), [value, &is_own()?])?;
    let parts = foreign::call(SPLIT.get(value.py())?, &arguments, None)?;
    let rest = parts.get_item(1)?;
    Ok(if rest.is_none() {
        Coming::Own
    } else {
        Coming::Rest(rest.unbind())
    })
}

/// A part of a program whose waits end together. Use it in a ``with`` statement.
///
/// When it is cancelled, by ``cancel()`` or because its deadline has passed, the waits of the thread that is inside
/// are ended by :exc:`Cancelled`, and so are those of groups of tasks inside. That goes up to the end of the
/// ``with`` block, and then the program goes on.
///
/// Args:
///     deadline (float): when it is cancelled by itself, in seconds on the clock of `time.monotonic`. By default never.
///     shield (bool): True: the cancellation of what is around it does not reach what is inside.
///     grace (float): how many seconds code may wait that handles the cancellation, in ``except`` and ``finally``
///         blocks. After that, its waits are ended, too. By default 5.
///
/// Raises:
///     ValueError: deadline is not a number; or grace is negative.
///
/// All threads may call ``cancel()`` and change ``deadline`` and ``shield``. A scope is entered once, by one thread,
/// and left by the same thread.
///
/// A wait that can be completed at once is completed, also in a scope that is cancelled: the next that has to wait is
/// ended. Acquiring a `Lock`, an `RLock` or an :class:`~oxthreads.locks.RWLock` is never ended. See `docs/cancellation.md`
/// for what is.
///
/// Example:
///     >>> import queue
///     >>> from oxthreads.tasks import CancelScope
///     >>> import time
///     >>> from oxthreads.queue import Queue
///     >>> with CancelScope(deadline=time.monotonic() + 0.01) as scope:
///     ...     Queue().get()
///     >>> scope.cancelled_caught
///     True
#[pyclass(weakref, frozen, module = "oxthreads.tasks")]
pub(crate) struct CancelScope {
    scope: Arc<Scope>,
    state: AtomicU8,
    caught: AtomicBool,
    /// How long after it is entered it is cancelled by itself.
    after: Mutex<Option<f64>>,
    /// Whether its end by cancellation is an error.
    raises: bool,
    /// The deadline, as it was set last. `None`: it is the moment of the scope.
    deadline: Mutex<Option<f64>>,
}

impl Drop for CancelScope {
    /// A thread that was interrupted right after it had entered the scope, before its `with` block began, never leaves it.
    fn drop(&mut self) {
        if *self.state.get_mut() == ENTERED {
            self.scope.end();
        }
    }
}

/// Return a CancelScope that is cancelled by itself so many seconds after it was entered.
///
/// Args:
///     seconds (float or None): how many. None and math.inf mean never.
///     raises (bool): whether that is an error: TimeoutError.
///     shield (bool): see CancelScope.
///     grace (float or None): see CancelScope.
#[pyfunction]
#[pyo3(signature = (seconds, raises, shield, grace, /))]
pub(crate) fn scope_after(
    py: Python<'_>,
    seconds: Option<f64>,
    raises: bool,
    shield: bool,
    grace: Option<f64>,
) -> PyResult<Py<CancelScope>> {
    if seconds.is_some_and(|seconds| seconds.is_nan() || seconds < 0.0) {
        return Err(PyValueError::new_err(
            "seconds must be a non-negative number",
        ));
    }
    let scope = Scope::new(Deadline::NEVER, shield, self::grace(grace)?);
    Py::new(
        py,
        CancelScope {
            scope,
            state: AtomicU8::new(NEW),
            caught: AtomicBool::new(false),
            after: Mutex::new(seconds),
            raises,
            deadline: Mutex::new(Some(f64::INFINITY)),
        },
    )
}

#[pymethods]
impl CancelScope {
    #[new]
    #[pyo3(signature = (*, deadline=f64::INFINITY, shield=false, grace=None))]
    fn new(py: Python<'_>, deadline: f64, shield: bool, grace: Option<f64>) -> PyResult<Self> {
        Ok(Self {
            scope: Scope::new(moment(py, deadline)?, shield, self::grace(grace)?),
            state: AtomicU8::new(NEW),
            caught: AtomicBool::new(false),
            after: Mutex::new(None),
            raises: false,
            deadline: Mutex::new(Some(deadline)),
        })
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let entered =
            this.state
                .compare_exchange(NEW, ENTERED, Ordering::AcqRel, Ordering::Acquire);
        if entered.is_err() || scope::enter(&this.scope).is_err() {
            return Err(PyRuntimeError::new_err("a CancelScope is entered once"));
        }
        if let Some(after) = *this.after.lock() {
            let deadline =
                Duration::try_from_secs_f64(after).map_or(Deadline::NEVER, Deadline::after);
            this.scope.set_deadline(deadline);
            *this.deadline.lock() = None;
        }
        Ok(slf.clone())
    }

    fn __exit__<'py>(
        slf: &Bound<'py, Self>,
        _kind: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let this = slf.get();
        if this.state.load(Ordering::Acquire) != ENTERED {
            return Err(PyRuntimeError::new_err("the scope is not entered"));
        }
        match scope::leave(&this.scope) {
            Left::Innermost => this.state.store(LEFT, Ordering::Release),
            Left::OutOfOrder => {
                this.state.store(LEFT, Ordering::Release);
                return Err(PyRuntimeError::new_err(
                    "a scope was left before one that was entered inside of it",
                ));
            }
            Left::NotInside => {
                return Err(PyRuntimeError::new_err(
                    "a scope must be left by the thread that has entered it",
                ));
            }
        }
        if this.scope.deadline().has_passed() {
            // So that it can be asked after the block, also if nothing had to be ended.
            this.scope.cancel();
        }
        if value.is_none() {
            return Ok(false);
        }
        let is_own = || slf.getattr(intern!(slf.py(), "_is_own"));
        match coming(value, &this.scope, is_own)? {
            Coming::Other => Ok(false),
            Coming::Own => {
                this.caught.store(true, Ordering::Release);
                if this.raises {
                    return Err(this.timeout_error(slf.py()));
                }
                Ok(true)
            }
            Coming::Rest(rest) => {
                this.caught.store(true, Ordering::Release);
                Err(PyErr::from_value(rest.into_bound(slf.py())))
            }
        }
    }

    /// Whether the exception ends this scope.
    fn _is_own(&self, exception: &Bound<'_, PyAny>) -> bool {
        (exception.cast::<Cancelled>()).is_ok_and(|cancelled| cancelled.get().is_of(&self.scope))
    }

    /// End what is inside: its waits are ended by Cancelled. All threads may call it, also more than once.
    fn cancel(&self) {
        self.scope.cancel();
    }

    /// When it is cancelled by itself (float), in seconds on the clock of `time.monotonic`. math.inf means never.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<f64> {
        if let Some(deadline) = *self.deadline.lock() {
            return Ok(deadline);
        }
        let Some(moment) = self.scope.deadline().moment() else {
            return Ok(f64::INFINITY);
        };
        let now = (Instant::now(), monotonic(py)?);
        Ok(match moment.checked_duration_since(now.0) {
            Some(left) => now.1 + left.as_secs_f64(),
            None => now.1 - now.0.duration_since(moment).as_secs_f64(),
        })
    }

    #[setter]
    fn set_deadline(&self, py: Python<'_>, deadline: f64) -> PyResult<()> {
        let moment = moment(py, deadline)?;
        // In place of the time from the beginning of the block.
        *self.after.lock() = None;
        *self.deadline.lock() = Some(deadline);
        self.scope.set_deadline(moment);
        Ok(())
    }

    /// Whether the cancellation of what is around it does not reach what is inside (bool).
    #[getter]
    fn shield(&self) -> bool {
        self.scope.is_shield()
    }

    #[setter]
    fn set_shield(&self, shield: bool) {
        self.scope.set_shield(shield);
    }

    /// Whether it was cancelled (bool), by `cancel()` or because its deadline has passed while it was entered.
    #[getter]
    fn cancel_called(&self) -> bool {
        let is_inside = self.state.load(Ordering::Acquire) == ENTERED;
        self.scope.is_cancelled() || (is_inside && self.scope.deadline().has_passed())
    }

    /// Whether the block has ended by being cancelled (bool).
    #[getter]
    fn cancelled_caught(&self) -> bool {
        self.caught.load(Ordering::Acquire)
    }

    fn __repr__(&self) -> String {
        let state = match self.state.load(Ordering::Acquire) {
            NEW => "not entered",
            ENTERED => "entered",
            _ => "left",
        };
        let cancelled = if self.cancel_called() {
            ", cancelled"
        } else {
            ""
        };
        format!("<CancelScope {state}{cancelled}>")
    }
}

impl CancelScope {
    fn timeout_error(&self, py: Python<'_>) -> PyErr {
        let message = match *self.after.lock() {
            _ if !self.scope.deadline().has_passed() => "the block was cancelled".to_owned(),
            Some(seconds) => format!("the block took longer than {seconds} seconds"),
            None => "the block took too long".to_owned(),
        };
        let error = PyTimeoutError::new_err(message);
        // As `raise ... from None`: the cancellation is how it was ended, and not why.
        let _ = error
            .value(py)
            .setattr(intern!(py, "__suppress_context__"), true);
        error
    }
}
