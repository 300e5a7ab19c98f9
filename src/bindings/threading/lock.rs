//! `Lock`

#[cfg(not(Py_3_13))]
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
#[cfg(not(Py_3_13))]
use pyo3::types::{PyDict, PyTuple};

use super::super::argument::Argument;
use super::super::at_once::{self, at_once};
use super::super::kept::Kept;
use super::super::timeout::{self, Blocking};
use super::super::{detach, errors};
use super::held::{self, Held};
use super::standard_name;
use crate::primitives::deadline::Deadline;
use crate::primitives::lock as core;

/// A lock that any thread may release.
///
/// Unlocked at first. Thread-safe; waiters are served in the order they came, except that a
/// thread which finds the lock free takes it, until some waiter has lost that race and has
/// waited for a millisecond: it is handed the lock at the next release.
///
/// Differences from threading.Lock: the bound on barging. As there, on Python 3.11 and 3.12 `Lock`
/// is a function that makes one.
#[pyclass(frozen, weakref, name = "Lock", module = "oxthreads.threading")]
pub(crate) struct Lock {
    inner: core::Lock,
}

/// A new lock, unlocked: what `Lock` is before Python 3.13, where the class makes none.
#[pyfunction(name = "Lock")]
pub(crate) fn allocate_lock() -> Lock {
    Lock::unlocked()
}

impl Lock {
    fn unlocked() -> Self {
        Self {
            inner: core::Lock::new(),
        }
    }

    /// The primitive, for those who hold the lock on an object's behalf.
    pub(crate) fn primitive(&self) -> &core::Lock {
        &self.inner
    }

    #[inline]
    pub(crate) fn acquire_with(&self, py: Python<'_>, blocking: Blocking) -> PyResult<bool> {
        if self.inner.try_acquire() {
            return Ok(true);
        }
        match blocking {
            Blocking::No => Ok(false),
            Blocking::Until(deadline) => {
                Ok(detach::wait(py, &mut self.inner.acquire(), deadline)?.is_some())
            }
        }
    }

    #[inline]
    pub(crate) fn release_held(&self) -> PyResult<()> {
        self.inner
            .release()
            .map_err(|core::NotLocked| errors::release_unlocked_lock())
    }
}

impl Held for Lock {
    #[inline]
    fn try_acquire(&self, _py: Python<'_>) -> bool {
        self.inner.try_acquire()
    }

    #[inline]
    fn try_release(&self, _py: Python<'_>) -> bool {
        self.inner.release().is_ok()
    }
}

at_once! {
    Acquire: Lock, c"acquire", held::acquire;
    Release: Lock, c"release", held::release;
    Enter: Lock, c"__enter__", held::acquire;
    Exit: Lock, c"__exit__", held::exit;
}

impl Lock {
    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Acquire>(class)?;
        at_once::install::<Release>(class)?;
        at_once::install::<Enter>(class)?;
        at_once::install::<Exit>(class)
    }
}

#[pymethods]
impl Lock {
    #[cfg(Py_3_13)]
    #[new]
    fn new() -> Self {
        Self::unlocked()
    }

    #[cfg(not(Py_3_13))]
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Err(PyTypeError::new_err(
            "cannot create 'oxthreads.threading.Lock' instances",
        ))
    }

    /// The standard class, as a mock with a spec has it; type() tells the truth. See `RLock`.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static STANDARD: Kept<Py<PyAny>> = Kept::new();
        Ok(STANDARD.import(slf.py(), "_thread", "LockType")?.clone())
    }

    /// Lock the lock, waiting until it is free; whether it was locked here.
    ///
    /// blocking: if false, do not wait.
    /// timeout: wait at most so many seconds; -1, the default, means without end.
    ///
    /// Raises ValueError for a timeout that is negative (other than -1), NaN, or given with
    /// blocking=False; OverflowError for one above threading.TIMEOUT_MAX.
    #[pyo3(signature = (blocking=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<bool> {
        if matches!((&blocking, &timeout), (Argument::Absent, Argument::Absent)) {
            return self.acquire_with(py, Blocking::Until(Deadline::NEVER));
        }
        let blocking = timeout::of_lock(py, &blocking, &timeout)?;
        self.acquire_with(py, blocking)
    }

    /// Free the lock, whichever thread locked it.
    ///
    /// Raises RuntimeError if it is not locked.
    fn release(&self) -> PyResult<()> {
        self.release_held()
    }

    /// Whether the lock is locked.
    fn locked(&self) -> bool {
        self.inner.is_locked()
    }

    /// An old name of acquire().
    #[pyo3(signature = (blocking=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire_lock(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<bool> {
        self.acquire(py, blocking, timeout)
    }

    /// An old name of release().
    fn release_lock(&self) -> PyResult<()> {
        self.release_held()
    }

    /// An old name of locked().
    fn locked_lock(&self) -> bool {
        self.inner.is_locked()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire_with(py, Blocking::Until(Deadline::NEVER))
    }

    #[pyo3(signature = (exc_type=Argument::Absent, exc_value=Argument::Absent,
                        traceback=Argument::Absent),
           text_signature = "($self, exc_type=None, exc_value=None, traceback=None)")]
    fn __exit__(
        &self,
        exc_type: Argument<'_>,
        exc_value: Argument<'_>,
        traceback: Argument<'_>,
    ) -> PyResult<()> {
        errors::check_exit_arguments([&exc_type, &exc_value, &traceback])?;
        self.release_held()
    }

    /// Unlock the lock in a forked child, where whoever held it may not exist.
    fn _at_fork_reinit(&self) {
        self.inner.reset();
    }

    fn __reduce_ex__<'py>(
        slf: &Bound<'py, Self>,
        protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let standard = standard_name::stands_in(slf.py(), "Lock").then_some("_thread.lock");
        standard_name::reduce(slf.as_any(), protocol, standard)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let state = if slf.get().inner.is_locked() {
            "locked"
        } else {
            "unlocked"
        };
        let name = if standard_name::stands_in(slf.py(), "Lock") {
            "_thread.lock"
        } else {
            "oxthreads.threading.Lock"
        };
        format!("<{state} {name} object at {:p}>", slf.as_ptr())
    }
}
