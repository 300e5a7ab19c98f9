//! `oxthreads.locks.RWLock`, which uses `primitives/rwlock.rs`.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::block;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::threading::caller;
use crate::primitives::rwlock::{self, Access, Holder, HoldsForReading};
use crate::wait::observe::ThreadNumber;

/// A lock for many readers or one writer; see `oxthreads.locks`.
#[pyclass(subclass, frozen, weakref, module = "oxthreads.locks")]
pub(crate) struct RWLock {
    inner: rwlock::RwLock,
}

/// The calling thread. Once all numbers of threads are used up, what the system calls it, above all numbers.
fn holder(py: Python<'_>) -> Holder {
    match ThreadNumber::current_or_zero() {
        0 => caller(py) | (1 << 63),
        number => Holder::from(number),
    }
}

fn refused(access: Access, doing: &str) -> PyErr {
    let how = match access {
        Access::Read => "read",
        Access::Write => "write",
    };
    PyRuntimeError::new_err(format!(
        "cannot {doing}: this thread does not hold the lock to {how}"
    ))
}

impl RWLock {
    /// Returns whether the lock was acquired.
    #[inline]
    fn acquire(&self, py: Python<'_>, access: Access, blocking: Blocking) -> PyResult<bool> {
        let holder = holder(py);
        match self.inner.try_acquire(access, holder) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(HoldsForReading) => {
                return Err(PyRuntimeError::new_err(
                    "this thread reads, and would wait for itself to write: leave read() before write()",
                ));
            }
        }
        let Blocking::Until(deadline) = blocking else {
            return Ok(false);
        };
        let acquired = block::wait(py, &mut self.inner.acquire(access, holder), deadline)?;
        Ok(acquired.is_some())
    }

    #[inline]
    fn release(&self, py: Python<'_>, access: Access) -> PyResult<()> {
        (self.inner.release(access, holder(py))).map_err(|_| refused(access, "release"))
    }

    fn enter(
        &self,
        py: Python<'_>,
        access: Access,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if self.acquire(py, access, timeout::of_condition(timeout)?)? {
            return Ok(());
        }
        Err(PyTimeoutError::new_err("the lock was not acquired in time"))
    }
}

fast_built_ins! {
    Read: RWLock, c"read", read;
    Write: RWLock, c"write", write;
    EnterRead: ReadHold, c"__enter__", enter_read;
    ExitRead: ReadHold, c"__exit__", exit_read;
    EnterWrite: WriteHold, c"__enter__", enter_write;
    ExitWrite: WriteHold, c"__exit__", exit_write;
}

#[inline]
fn read<'py>(slf: &Bound<'py, RWLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let hold = || Bound::new(slf.py(), RWLock::read(slf, None)).map(Bound::into_any);
    arguments.are_none().then(hold)
}

#[inline]
fn write<'py>(slf: &Bound<'py, RWLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let hold = || Bound::new(slf.py(), RWLock::write(slf, None)).map(Bound::into_any);
    arguments.are_none().then(hold)
}

/// Whether the lock is free, and was acquired.
#[inline]
fn try_enter(py: Python<'_>, lock: &RWLock, access: Access, arguments: Arguments<'_, '_>) -> bool {
    arguments.are_none() && lock.inner.try_acquire(access, holder(py)) == Ok(true)
}

/// Whether the lock was held in this way, and was released.
#[inline]
fn try_exit(py: Python<'_>, lock: &RWLock, access: Access, arguments: Arguments<'_, '_>) -> bool {
    arguments.len() == 3 && lock.inner.release(access, holder(py)).is_ok()
}

#[inline]
fn enter_read<'py>(slf: &Bound<'py, ReadHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let entered = try_enter(slf.py(), slf.get().lock.get(), Access::Read, arguments);
    entered.then(|| Ok(slf.clone().into_any()))
}

#[inline]
fn exit_read<'py>(slf: &Bound<'py, ReadHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let exited = try_exit(slf.py(), slf.get().lock.get(), Access::Read, arguments);
    exited.then(|| arguments.done()).flatten()
}

#[inline]
fn enter_write<'py>(slf: &Bound<'py, WriteHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let entered = try_enter(slf.py(), slf.get().lock.get(), Access::Write, arguments);
    entered.then(|| Ok(slf.clone().into_any()))
}

#[inline]
fn exit_write<'py>(slf: &Bound<'py, WriteHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let hold = slf.get();
    let exited = hold.downgraded.load(Ordering::Relaxed) == 0
        && try_exit(slf.py(), hold.lock.get(), Access::Write, arguments);
    exited.then(|| arguments.done()).flatten()
}

impl RWLock {
    pub(crate) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
        let (lock, reading, writing) = (
            py.get_type::<Self>(),
            py.get_type::<ReadHold>(),
            py.get_type::<WriteHold>(),
        );
        fast_path::install::<Read>(&lock)?;
        fast_path::install::<Write>(&lock)?;
        fast_path::install::<EnterRead>(&reading)?;
        fast_path::install::<ExitRead>(&reading)?;
        fast_path::install::<EnterWrite>(&writing)?;
        fast_path::install::<ExitWrite>(&writing)
    }
}

#[pymethods]
impl RWLock {
    #[new]
    fn new() -> Self {
        Self {
            inner: rwlock::RwLock::new(),
        }
    }

    /// Return a context manager that holds the lock for reading.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit; zero or less means
    ///         no wait.
    ///
    /// Raises:
    ///     TimeoutError: the lock was not acquired in time. `with` raises it.
    #[pyo3(signature = (timeout=None))]
    fn read(slf: &Bound<'_, Self>, timeout: Option<Py<PyAny>>) -> ReadHold {
        ReadHold {
            lock: slf.clone().unbind(),
            timeout,
        }
    }

    /// Return a context manager that holds the lock for writing.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit; zero or less means
    ///         no wait.
    ///
    /// Raises:
    ///     TimeoutError: the lock was not acquired in time. `with` raises it.
    ///     RuntimeError: this thread holds the lock for reading. `with` raises it.
    #[pyo3(signature = (timeout=None))]
    fn write(slf: &Bound<'_, Self>, timeout: Option<Py<PyAny>>) -> WriteHold {
        WriteHold {
            lock: slf.clone().unbind(),
            timeout,
            downgraded: AtomicU64::new(0),
        }
    }

    /// How many threads read now.
    #[getter]
    fn readers(&self) -> usize {
        self.inner.readers().len()
    }

    /// Whether a thread writes now.
    #[getter]
    fn is_written(&self) -> bool {
        self.inner.writer().is_some()
    }

    /// How many threads wait for the lock.
    #[getter]
    fn waiting(&self) -> usize {
        self.inner.waiting()
    }
}

/// What `RWLock.read` returns.
#[pyclass(frozen, module = "oxthreads.locks")]
pub(crate) struct ReadHold {
    lock: Py<RWLock>,
    timeout: Option<Py<PyAny>>,
}

#[pymethods]
impl ReadHold {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let this = slf.get();
        let timeout = this.timeout.as_ref().map(|timeout| timeout.bind(py));
        this.lock.get().enter(py, Access::Read, timeout)?;
        Ok(slf.clone())
    }

    #[pyo3(signature = (_t=Argument::Absent, _v=Argument::Absent, _tb=Argument::Absent),
           text_signature = "($self, t, v, tb)")]
    fn __exit__(
        &self,
        py: Python<'_>,
        _t: Argument<'_>,
        _v: Argument<'_>,
        _tb: Argument<'_>,
    ) -> PyResult<()> {
        self.lock.get().release(py, Access::Read)
    }
}

/// What `RWLock.write` returns.
#[pyclass(frozen, module = "oxthreads.locks")]
pub(crate) struct WriteHold {
    lock: Py<RWLock>,
    timeout: Option<Py<PyAny>>,
    /// How many of the acquisitions that have not ended are for reading now. Only the holder changes it.
    downgraded: AtomicU64,
}

#[pymethods]
impl WriteHold {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let this = slf.get();
        let timeout = this.timeout.as_ref().map(|timeout| timeout.bind(py));
        this.lock.get().enter(py, Access::Write, timeout)?;
        Ok(slf.clone())
    }

    #[pyo3(signature = (_t=Argument::Absent, _v=Argument::Absent, _tb=Argument::Absent),
           text_signature = "($self, t, v, tb)")]
    fn __exit__(
        &self,
        py: Python<'_>,
        _t: Argument<'_>,
        _v: Argument<'_>,
        _tb: Argument<'_>,
    ) -> PyResult<()> {
        let lock = self.lock.get();
        if self.downgraded.load(Ordering::Relaxed) == 0 {
            return lock.release(py, Access::Write);
        }
        lock.release(py, Access::Read)?;
        self.downgraded.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Go on to read: other readers may come in, but no writer has written in between.
    ///
    /// Raises:
    ///     RuntimeError: this thread does not hold the lock for writing.
    fn downgrade(&self, py: Python<'_>) -> PyResult<()> {
        let (lock, holder) = (&self.lock.get().inner, holder(py));
        if lock.writer() != Some(holder) {
            return Err(refused(Access::Write, "downgrade"));
        }
        // Counted before: as soon as the lock is for reading, another thread may use this object.
        self.downgraded.fetch_add(1, Ordering::Relaxed);
        // This cannot fail: the caller writes.
        let _ = lock.downgrade(holder);
        Ok(())
    }
}
