//! `RLock`

use pyo3::PyTypeInfo;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::super::argument::Argument;
use super::super::at_once::{self, at_once};
use super::super::kept::Kept;
use super::super::timeout::{self, Blocking};
use super::super::{detach, errors};
use super::held::{self, Held};
use super::standard_name;
use crate::primitives::deadline::Deadline;
use crate::primitives::rlock::{self as core, Hold, NotOwned, Overflow, Owner};

/// A lock that its owner may take again, and must release as often.
///
/// Unlocked at first. Thread-safe; waiters are served in the order they came, except that a
/// thread which finds the lock free takes it, until some waiter has lost that race and has
/// waited for a millisecond: it is handed the lock at the next release.
///
/// Differences from threading.RLock: the bound on barging; this is a class, where
/// threading.RLock is a function; and locked() is there before Python 3.14.
#[pyclass(
    subclass,
    frozen,
    weakref,
    name = "RLock",
    module = "oxthreads.threading"
)]
pub(crate) struct RLock {
    inner: core::RLock,
}

/// The calling thread, as `threading.get_ident()` names it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[inline]
pub(crate) fn caller(_attached: Python<'_>) -> Owner {
    // What the interpreter asks, too; a number with this C library, with others a pointer.
    // SAFETY: it has no precondition.
    Owner::from(unsafe { libc::pthread_self() })
}

/// The calling thread, as `threading.get_ident()` names it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[inline]
pub(crate) fn caller(_attached: Python<'_>) -> Owner {
    // SAFETY: it asks the operating system who is calling, and touches nothing else.
    Owner::from(unsafe { pyo3::ffi::PyThread_get_thread_ident() })
}

impl RLock {
    /// What makes the standard library's.
    fn standard(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
        static STANDARD: Kept<Py<PyAny>> = Kept::new();
        STANDARD.import(py, "oxthreads.threading", "_StandardRLock")
    }

    fn make(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = class.py();
        // A subclass may take arguments of its own.
        if (!args.is_empty() || kwargs.is_some()) && class.is(Self::type_object(py)) {
            // Ignored, warned about or refused: the standard library knows.
            Self::standard(py)?.call(args, kwargs)?;
        }
        Ok(Self {
            inner: core::RLock::new(),
        })
    }

    /// The primitive, for the condition that goes with it.
    pub(crate) fn primitive(&self) -> &core::RLock {
        &self.inner
    }

    #[inline]
    pub(crate) fn acquire_with(&self, py: Python<'_>, blocking: Blocking) -> PyResult<bool> {
        let caller = caller(py);
        let acquired = self
            .inner
            .try_acquire(caller)
            .map_err(|Overflow| PyOverflowError::new_err("Internal lock count overflowed"))?;
        match blocking {
            Blocking::Until(deadline) if !acquired => {
                let mut acquire = self.inner.acquire(Hold::once(caller));
                Ok(detach::wait(py, &mut acquire, deadline)?.is_some())
            }
            _ => Ok(acquired),
        }
    }

    #[inline]
    pub(crate) fn release_held(&self, py: Python<'_>) -> PyResult<()> {
        self.inner
            .release(caller(py))
            .map_err(|NotOwned| errors::release_unacquired_lock())
    }
}

impl Held for RLock {
    #[inline]
    fn try_acquire(&self, py: Python<'_>) -> bool {
        self.inner.try_acquire(caller(py)) == Ok(true)
    }

    #[inline]
    fn try_release(&self, py: Python<'_>) -> bool {
        self.inner.release(caller(py)).is_ok()
    }
}

at_once! {
    Acquire: RLock, c"acquire", held::acquire;
    Release: RLock, c"release", held::release;
    Enter: RLock, c"__enter__", held::acquire;
    Exit: RLock, c"__exit__", held::exit;
}

impl RLock {
    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Acquire>(class)?;
        at_once::install::<Release>(class)?;
        at_once::install::<Enter>(class)?;
        at_once::install::<Exit>(class)
    }
}

#[pymethods]
impl RLock {
    #[cfg(not(Py_3_15))]
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(*args, **kwargs)")]
    fn new(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Self::make(class, args, kwargs)
    }

    #[cfg(Py_3_15)]
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Self::make(class, args, kwargs)
    }

    /// The standard class, as a mock with a spec has it, but for a subclass; type() tells the truth.
    ///
    /// So that `isinstance` with the type of the standard library's locks holds, and a program that
    /// looks where the class of its lock is from (trio does) finds `_thread`. The class itself has to
    /// name another module, or it could not be pickled.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static STANDARD: Kept<Py<PyAny>> = Kept::new();
        let (py, own) = (slf.py(), slf.get_type());
        if own.is(Self::type_object(py)) {
            Ok(STANDARD.import(py, "_thread", "RLock")?.clone())
        } else {
            Ok(own.into_any())
        }
    }

    /// Lock the lock, waiting until no other thread owns it; whether it was locked here.
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

    /// Undo one acquire(); the last one frees the lock.
    ///
    /// Raises RuntimeError if the calling thread does not own the lock.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.release_held(py)
    }

    /// Whether some thread owns the lock.
    fn locked(&self) -> bool {
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
        py: Python<'_>,
        exc_type: Argument<'_>,
        exc_value: Argument<'_>,
        traceback: Argument<'_>,
    ) -> PyResult<()> {
        errors::check_exit_arguments([&exc_type, &exc_value, &traceback])?;
        self.release_held(py)
    }

    /// Whether the calling thread owns the lock.
    fn _is_owned(&self, py: Python<'_>) -> bool {
        self.inner.is_owned_by(caller(py))
    }

    /// How often the calling thread has taken the lock.
    fn _recursion_count(&self, py: Python<'_>) -> usize {
        if self.inner.is_owned_by(caller(py)) {
            self.inner.hold().count
        } else {
            0
        }
    }

    /// Free the lock, however often it was taken; the state is for _acquire_restore().
    fn _release_save(&self, py: Python<'_>) -> PyResult<(usize, Owner)> {
        match self.inner.release_all(caller(py)) {
            Ok(hold) => Ok((hold.count, hold.owner)),
            Err(NotOwned) => Err(errors::release_unacquired_lock()),
        }
    }

    /// Take the lock as often as it was taken before _release_save().
    fn _acquire_restore(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let (count, owner) = match state.extract() {
            Ok(state) => state,
            Err(_) => {
                // Refused in the words of the running version; some make do with any sequence.
                let standard = Self::standard(py)?.call0()?;
                standard.call_method1("_acquire_restore", (state,))?;
                py.get_type::<PyTuple>().call1((state,))?.extract()?
            }
        };
        let mut acquire = self.inner.acquire(Hold { count, owner });
        detach::wait(py, &mut acquire, Deadline::NEVER).map(drop)
    }

    /// Unlock the lock in a forked child, where whoever held it may not exist.
    fn _at_fork_reinit(&self) {
        self.inner.reset();
    }

    fn __reduce_ex__<'py>(
        slf: &Bound<'py, Self>,
        protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let is_one_itself = slf.get_type().is(Self::type_object(py));
        let standard =
            (is_one_itself && standard_name::stands_in(py, "RLock")).then_some("_thread.RLock");
        standard_name::reduce(slf.as_any(), protocol, standard)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let Hold { count, owner } = slf.get().inner.hold();
        let state = if count > 0 { "locked" } else { "unlocked" };
        let class = slf.get_type();
        // In the standard words: the bare name of a class written in Python.
        let name = if !class.is(Self::type_object(slf.py())) {
            class.name()?.to_string()
        } else if standard_name::stands_in(slf.py(), "RLock") {
            "_thread.RLock".to_owned()
        } else {
            "oxthreads.threading.RLock".to_owned()
        };
        Ok(format!(
            "<{state} {name} object owner={owner} count={count} at {:p}>",
            slf.as_ptr()
        ))
    }
}
