//! `RLock`: a complete class, which uses `primitives/rlock.rs`.

use pyo3::PyTypeInfo;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::fast_path::{self, fast_built_ins};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::{block, errors};
use crate::bindings::threading::fast_lock::{self, FastLock};
use crate::bindings::threading::standard_name;
use crate::primitives::rlock::{self, Hold, NotOwned, Overflow, Owner};
use crate::wait::deadline::Deadline;
use crate::wait::observe::Acquisition;

/// A reentrant lock: its owner can acquire it again, and must release it as often.
///
/// A new lock is unlocked. Waiting threads get the lock in the order in which they came, with one exception: a
/// thread that finds the lock free takes it, even if others wait. That ends when a waiting thread has lost such
/// a race and has waited for one millisecond: the next release hands the lock to it.
///
/// Differences from threading.RLock: threads cannot overtake a waiting thread without limit, as described
/// above; this is a class, where threading.RLock is a function; locked() exists before Python 3.14 too; and an
/// acquire() that an asynchronous exception ends does not own the lock.
///
/// Example:
///
///     >>> from oxthreads import threading
///     >>> lock = threading.RLock()
///     >>> with lock, lock:
///     ...     lock.locked()
///     True
#[pyclass(
    subclass,
    frozen,
    weakref,
    name = "RLock",
    module = "oxthreads.threading"
)]
pub(crate) struct RLock {
    inner: rlock::RLock,
}

lazy_imports! {
    for RLock, with timeout::IMPORTS;
    STANDARD: PyAny = "oxthreads.threading", "_StandardRLock";
    RLOCK_TYPE: PyAny = "_thread", "RLock";
}

/// The calling thread, as `threading.get_ident()` names it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[inline]
pub(crate) fn caller(_attached: Python<'_>) -> Owner {
    // The interpreter calls the same function. With this C library its result is a number; with others, a pointer.
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
    /// The function that makes the standard library's reentrant locks.
    fn standard(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
        STANDARD.get(py)
    }

    fn make(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = class.py();
        // A subclass may take arguments of its own.
        if (!args.is_empty() || kwargs.is_some()) && class.is(Self::type_object(py)) {
            // Depending on the version, arguments are ignored, warned about or rejected: let the standard library
            // decide.
            Self::standard(py)?.call(args, kwargs)?;
        }
        Ok(Self {
            inner: rlock::RLock::new(),
        })
    }

    #[inline]
    pub(crate) fn acquire_with(
        &self,
        py: Python<'_>,
        blocking: Blocking,
        forever: Acquisition,
    ) -> PyResult<bool> {
        let caller = caller(py);
        let acquired = self
            .inner
            .begin_acquire(caller, || blocking.acquisition(forever))
            .map_err(|Overflow| PyOverflowError::new_err("Internal lock count overflowed"))?;
        match blocking {
            Blocking::Until(deadline) if !acquired => {
                let mut acquire = self.inner.acquire(Hold::once(caller));
                let acquired = block::wait(py, &mut acquire, deadline)?.is_some();
                if acquired {
                    self.inner.acquired(|| blocking.acquisition(forever));
                }
                Ok(acquired)
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

impl FastLock for RLock {
    #[inline]
    fn begin_acquire(&self, py: Python<'_>, forever: Acquisition) -> bool {
        self.inner.begin_acquire(caller(py), || forever) == Ok(true)
    }

    #[inline]
    fn try_release(&self, py: Python<'_>) -> bool {
        self.inner.release(caller(py)).is_ok()
    }
}

fast_built_ins! {
    Acquire: RLock, c"acquire", fast_lock::acquire;
    Release: RLock, c"release", fast_lock::release;
    Enter: RLock, c"__enter__", fast_lock::enter;
    Exit: RLock, c"__exit__", fast_lock::exit;
}

impl RLock {
    /// Installs the fast paths; see [`fast_path`].
    pub(crate) fn install_fast_path(class: &Bound<'_, PyType>) -> PyResult<()> {
        fast_path::install::<Acquire>(class)?;
        fast_path::install::<Release>(class)?;
        fast_path::install::<Enter>(class)?;
        fast_path::install::<Exit>(class)
    }
}

impl Observed for RLock {
    type Primitive = rlock::RLock;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
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

    /// The standard class, unless this is a subclass. type() gives the real one.
    ///
    /// So `isinstance` with the type of the standard library's locks is true, and a program that checks the
    /// module of its lock's class (trio does) finds `_thread`. The class itself must name another module,
    /// or pickle could not find it.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, own) = (slf.py(), slf.get_type());
        if own.is(Self::type_object(py)) {
            Ok(RLOCK_TYPE.get(py)?.clone())
        } else {
            Ok(own.into_any())
        }
    }

    /// Acquire the lock. By default, wait until no other thread owns it.
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

    /// Undo one acquire(). The last release() frees the lock.
    ///
    /// Raises:
    ///     RuntimeError: the calling thread does not own the lock.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.release_held(py)
    }

    /// Return whether any thread owns the lock.
    fn locked(&self) -> bool {
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
        py: Python<'_>,
        exc_type: Argument<'_>,
        exc_value: Argument<'_>,
        traceback: Argument<'_>,
    ) -> PyResult<()> {
        errors::check_exit_arguments([&exc_type, &exc_value, &traceback])?;
        self.release_held(py)
    }

    /// Return whether the calling thread owns the lock.
    fn _is_owned(&self, py: Python<'_>) -> bool {
        self.inner.is_owned_by(caller(py))
    }

    /// Return how often the calling thread has acquired the lock.
    fn _recursion_count(&self, py: Python<'_>) -> usize {
        if self.inner.is_owned_by(caller(py)) {
            self.inner.hold().count
        } else {
            0
        }
    }

    /// Free the lock, however often it was acquired. Returns the state for _acquire_restore().
    fn _release_save(&self, py: Python<'_>) -> PyResult<(usize, Owner)> {
        match self.inner.release_all(caller(py)) {
            Ok(hold) => Ok((hold.count, hold.owner)),
            Err(NotOwned) => Err(errors::release_unacquired_lock()),
        }
    }

    /// Acquire the lock as often as it was acquired before _release_save().
    fn _acquire_restore(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let (count, owner) = match state.extract() {
            Ok(state) => state,
            Err(_) => {
                // The standard lock rejects it with the message of the running version. Some versions accept any
                // sequence.
                let standard = Self::standard(py)?.call0()?;
                standard.call_method1("_acquire_restore", (state,))?;
                py.get_type::<PyTuple>().call1((state,))?.extract()?
            }
        };
        let hold = Hold { count, owner };
        let mut raised = None;
        if block::reacquire(py, || self.inner.acquire(hold), &mut raised) {
            self.inner.acquired(|| Acquisition::Called);
        }
        raised.map_or(Ok(()), Err)
    }

    /// Unlock the lock. For a forked child, where the thread that held the lock may not exist.
    fn _at_fork_reinit(&self) {
        self.inner.reset();
    }

    fn __reduce_ex__<'py>(
        slf: &Bound<'py, Self>,
        protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let is_exact = slf.get_type().is(Self::type_object(py));
        let standard =
            (is_exact && standard_name::stands_in(py, "RLock")).then_some("_thread.RLock");
        standard_name::reduce(slf.as_any(), protocol, standard)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let Hold { count, owner } = slf.get().inner.hold();
        let state = if count > 0 { "locked" } else { "unlocked" };
        let class = slf.get_type();
        // As in the standard library: a class written in Python is shown by its bare name.
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
