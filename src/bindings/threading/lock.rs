//! `Lock`: a complete class, which uses `primitives/lock.rs`.

#[cfg(not(Py_3_13))]
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
#[cfg(not(Py_3_13))]
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::fast_path::{self, fast_built_ins};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::{block, errors};
use crate::bindings::threading::fast_lock::{self, FastLock};
use crate::bindings::threading::standard_name;
use crate::diagnostics::origins;
use crate::primitives::lock;
use crate::wait::deadline::Deadline;
use crate::wait::observe::{self, Acquisition};

/// A mutual exclusion lock. Any thread may release it.
///
/// A new lock is unlocked. Waiting threads get the lock in the order in which they came, with one exception: a
/// thread that finds the lock free takes it, even if others wait. That ends when a waiting thread has lost such
/// a race and has waited for one millisecond: the next release hands the lock to it.
///
/// Differences from threading.Lock: threads cannot overtake a waiting thread without limit, as described
/// above; and an acquire() that an asynchronous exception ends does not own the lock. As in the standard
/// library, on Python 3.11 and 3.12 `Lock` is a function that makes one.
///
/// Example:
///
///     >>> from oxthreads import threading
///     >>> lock = threading.Lock()
///     >>> with lock:
///     ...     lock.locked()
///     True
#[pyclass(frozen, weakref, name = "Lock", module = "oxthreads.threading")]
pub(crate) struct Lock {
    inner: lock::Lock,
}

lazy_imports! {
    for Lock, with timeout::IMPORTS;
    LOCK_TYPE: PyAny = "_thread", "LockType";
}

/// Return a new, unlocked lock. (Before Python 3.13 this function is `Lock`; there the class makes no instances.)
#[pyfunction(name = "Lock")]
pub(crate) fn allocate_lock(py: Python<'_>) -> PyResult<Bound<'_, Lock>> {
    let lock = Bound::new(py, Lock::unlocked())?;
    if observe::is_on_for_everything() {
        note_made(lock.get());
    }
    Ok(lock)
}

#[cold]
fn note_made(lock: &Lock) {
    origins::note(lock.primitive_address());
    if observe::follows_locks() {
        lock.inner.follow();
    }
}

impl Lock {
    fn unlocked() -> Self {
        Self {
            inner: lock::Lock::new(),
        }
    }

    #[inline]
    pub(crate) fn acquire_with(
        &self,
        py: Python<'_>,
        blocking: Blocking,
        forever: Acquisition,
    ) -> PyResult<bool> {
        if self.inner.begin_acquire(|| blocking.acquisition(forever)) {
            return Ok(true);
        }
        match blocking {
            Blocking::No => Ok(false),
            Blocking::Until(deadline) => {
                let acquired = block::wait(py, &mut self.inner.acquire(), deadline)?.is_some();
                if acquired {
                    self.inner.acquired(|| blocking.acquisition(forever));
                }
                Ok(acquired)
            }
        }
    }

    #[inline]
    pub(crate) fn release_held(&self) -> PyResult<()> {
        self.inner
            .release()
            .map_err(|lock::NotLocked| errors::release_unlocked_lock())
    }
}

impl FastLock for Lock {
    #[inline]
    fn begin_acquire(&self, _py: Python<'_>, forever: Acquisition) -> bool {
        self.inner.begin_acquire(|| forever)
    }

    #[inline]
    fn try_release(&self, _py: Python<'_>) -> bool {
        self.inner.release().is_ok()
    }
}

fast_built_ins! {
    Acquire: Lock, c"acquire", fast_lock::acquire;
    Release: Lock, c"release", fast_lock::release;
    Enter: Lock, c"__enter__", fast_lock::enter;
    Exit: Lock, c"__exit__", fast_lock::exit;
}

impl Lock {
    /// Installs the fast paths; see [`fast_path`].
    pub(crate) fn install_fast_path(class: &Bound<'_, PyType>) -> PyResult<()> {
        fast_path::install::<Acquire>(class)?;
        fast_path::install::<Release>(class)?;
        fast_path::install::<Enter>(class)?;
        fast_path::install::<Exit>(class)
    }
}

impl Observed for Lock {
    type Primitive = lock::Lock;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
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

    /// The standard class. type() gives the real one. See `RLock`.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Ok(LOCK_TYPE.get(slf.py())?.clone())
    }

    /// Acquire the lock. By default, wait until it is free.
    ///
    /// Args:
    ///     blocking (bool): if False, do not wait.
    ///     timeout (int or float): the longest wait, in seconds. -1 (the default) means no limit.
    ///
    /// Returns:
    ///     bool: True if the lock was acquired.
    ///
    /// Raises:
    ///     ValueError: timeout is negative (other than -1), is NaN, or is given with blocking=False.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    #[pyo3(signature = (blocking=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<bool> {
        if matches!((&blocking, &timeout), (Argument::Absent, Argument::Absent)) {
            return self.acquire_with(py, Blocking::Until(Deadline::NEVER), Acquisition::Called);
        }
        let blocking = timeout::of_lock(py, &blocking, &timeout)?;
        self.acquire_with(py, blocking, Acquisition::Called)
    }

    /// Release the lock. Any thread may call it, not only the one that acquired the lock.
    ///
    /// Raises:
    ///     RuntimeError: the lock is not locked.
    fn release(&self) -> PyResult<()> {
        self.release_held()
    }

    /// Return whether the lock is locked.
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
        self.acquire_with(py, Blocking::Until(Deadline::NEVER), Acquisition::Entered)
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

    /// Unlock the lock. For a forked child, where the thread that held the lock may not exist.
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
