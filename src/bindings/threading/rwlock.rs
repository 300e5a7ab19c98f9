//! `oxthreads.locks.RWLock`, which uses `primitives/rwlock/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking, Limit};
use crate::bindings::runtime::{block, errors};
use crate::bindings::threading::holder::holder;
use crate::primitives::holder::Holder;
use crate::primitives::rwlock::{self, Access, HoldsForReading};
use crate::wait::observe::Acquisition;

/// A lock that many threads may hold for reading at the same time, or one thread for writing, alone.
///
/// It is fair: those who wait get the lock in the order in which they came, and a thread that wants to read waits behind one
/// that waits to write. So neither readers nor writers can be kept out for ever. Only a thread that holds the lock already
/// does not wait behind others: it may read again at once, and a writer may write or read again. Each hold is left by the
/// thread that entered it.
///
/// A thread that reads cannot go on to write: it would wait for itself, and two such threads would wait for each other. The
/// reverse works, with `WriteHold.downgrade`.
///
/// All methods may be called by any thread, by signal handlers and by `__del__` methods.
///
/// In a forked child, the thread that has forked still holds what it held. Other readers of the parent do not count. If
/// another thread of the parent was writing, the lock stays locked, as a Lock does.
///
/// Example:
///
///     >>> from oxthreads.locks import RWLock
///     >>> lock, prices = RWLock(), {}
///     >>> with lock.write():
///     ...     prices["tea"] = 3
///     >>> with lock.read():
///     ...     prices["tea"]
///     3
#[pyclass(subclass, frozen, weakref, module = "oxthreads.locks")]
pub(crate) struct RWLock {
    inner: Arc<rwlock::RwLock>,
    /// What `read()` returns: one for all, because it has no state.
    reading: Py<ReadHold>,
}

lazy_imports! {
    for RWLock, with timeout::IMPORTS;
}

#[cold]
fn refused(access: Access, doing: &str) -> PyErr {
    let how = match access {
        Access::Read => "read",
        Access::Write => "write",
    };
    PyRuntimeError::new_err(format!(
        "cannot {doing}: this thread does not hold the lock to {how}"
    ))
}

#[cold]
fn holds_for_reading(HoldsForReading: HoldsForReading) -> PyErr {
    PyRuntimeError::new_err(
        "this thread reads, and would wait for itself to write: leave read() before write()",
    )
}

/// Returns whether the lock was acquired.
#[inline]
fn acquire(
    py: Python<'_>,
    lock: &rwlock::RwLock,
    access: Access,
    blocking: Blocking,
    forever: Acquisition,
) -> PyResult<bool> {
    let holder = holder(py);
    let how = blocking.acquisition(forever);
    if lock
        .begin_acquire(access, holder, || how)
        .map_err(holds_for_reading)?
    {
        return Ok(true);
    }
    let Blocking::Until(deadline) = blocking else {
        return Ok(false);
    };
    match block::wait(py, &mut lock.acquire(access, holder), deadline)? {
        Some(acquired) => {
            acquired.map_err(holds_for_reading)?;
            lock.acquired(holder, how);
            Ok(true)
        }
        None => Ok(false),
    }
}

fn enter(py: Python<'_>, lock: &rwlock::RwLock, access: Access, limit: Limit) -> PyResult<()> {
    if acquire(py, lock, access, limit.begin(), Acquisition::Entered)? {
        return Ok(());
    }
    Err(PyTimeoutError::new_err("the lock was not acquired in time"))
}

#[inline]
fn release(py: Python<'_>, lock: &rwlock::RwLock, access: Access) -> PyResult<()> {
    lock.release(access, holder(py))
        .map_err(|_| refused(access, "release"))
}

fast_built_ins! {
    Read: RWLock, c"read", read;
    Write: RWLock, c"write", write;
    EnterRead: ReadHold, c"__enter__", enter_read;
    ExitRead: ReadHold, c"__exit__", exit_read;
    EnterWrite: WriteHold, c"__enter__", enter_write;
    ExitWrite: WriteHold, c"__exit__", exit_write;
}

/// `read()`.
#[inline]
fn read<'py>(slf: &Bound<'py, RWLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let hold = || Ok(slf.get().reading.bind(slf.py()).clone().into_any());
    arguments.are_none().then(hold)
}

/// `write()`.
#[inline]
fn write<'py>(slf: &Bound<'py, RWLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let hold = || slf.get().hold_to_write(Limit::Never);
    let make = || Bound::new(slf.py(), hold()).map(Bound::into_any);
    arguments.are_none().then(make)
}

/// Whether the lock is free, and was acquired.
#[inline]
fn try_enter(
    py: Python<'_>,
    lock: &rwlock::RwLock,
    access: Access,
    limit: &Limit,
    arguments: Arguments<'_, '_>,
) -> bool {
    let how = || match limit {
        Limit::Never => Acquisition::Entered,
        Limit::Now | Limit::After(_) => Acquisition::Tried,
    };
    arguments.are_none() && lock.begin_acquire(access, holder(py), how) == Ok(true)
}

/// Whether the lock was held in this way, and was released.
#[inline]
fn try_exit(
    py: Python<'_>,
    lock: &rwlock::RwLock,
    access: Access,
    arguments: Arguments<'_, '_>,
) -> bool {
    arguments.len() == 3 && lock.release(access, holder(py)).is_ok()
}

#[inline]
fn enter_read<'py>(slf: &Bound<'py, ReadHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let entered = try_enter(
        slf.py(),
        &slf.get().lock,
        Access::Read,
        &slf.get().limit,
        arguments,
    );
    entered.then(|| Ok(slf.clone().into_any()))
}

#[inline]
fn exit_read<'py>(slf: &Bound<'py, ReadHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let exited = try_exit(slf.py(), &slf.get().lock, Access::Read, arguments);
    exited.then(|| arguments.done()).flatten()
}

#[inline]
fn enter_write<'py>(slf: &Bound<'py, WriteHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let entered = try_enter(
        slf.py(),
        &slf.get().lock,
        Access::Write,
        &slf.get().limit,
        arguments,
    );
    entered.then(|| {
        slf.get().entered.add(1);
        Ok(slf.clone().into_any())
    })
}

#[inline]
fn exit_write<'py>(slf: &Bound<'py, WriteHold>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let exited = arguments.len() == 3
        && slf.get().downgraded.get() == 0
        && slf.get().leave(holder(slf.py()), Access::Write);
    exited.then(|| arguments.done()).flatten()
}

impl RWLock {
    /// Installs the fast paths; see [`fast_path`].
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

    fn hold_to_write(&self, limit: Limit) -> WriteHold {
        WriteHold {
            lock: Arc::clone(&self.inner),
            limit,
            entered: Count::new(),
            downgraded: Count::new(),
        }
    }

    fn acquire_as(
        &self,
        py: Python<'_>,
        access: Access,
        blocking: &Argument<'_>,
        timeout: &Argument<'_>,
    ) -> PyResult<bool> {
        let blocking = timeout::of_lock(py, blocking, timeout)?;
        acquire(py, &self.inner, access, blocking, Acquisition::Called)
    }
}

impl Observed for RWLock {
    type Primitive = rwlock::RwLock;

    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl RWLock {
    #[classmethod]
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(
        class: &Bound<'_, PyType>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = class.py();
        // A subclass may take arguments of its own.
        if class.is(py.get_type::<Self>()) && (!args.is_empty() || kwargs.is_some()) {
            return Err(PyTypeError::new_err("RWLock() takes no arguments"));
        }
        let inner = Arc::new(rwlock::RwLock::new());
        let reading = ReadHold {
            lock: Arc::clone(&inner),
            limit: Limit::Never,
        };
        let reading = Py::new(py, reading)?;
        Ok(Self { inner, reading })
    }

    /// Return a context manager that holds the lock for reading.
    ///
    /// The `with` statement waits for the lock. The same context manager may be used again, and by other threads.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None (the default) or -1 means no limit.
    ///
    /// Returns:
    ///     ReadHold: the context manager; `with` gives it, too.
    ///
    /// Raises:
    ///     TimeoutError: `with` has not got the lock in time.
    ///     ValueError: timeout is negative (other than -1) or NaN.
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads.locks import RWLock
    ///     >>> lock = RWLock()
    ///     >>> with lock.read(timeout=1.0):
    ///     ...     lock.readers
    ///     1
    #[pyo3(signature = (timeout=None))]
    fn read<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, ReadHold>> {
        let (py, this) = (slf.py(), slf.get());
        match timeout::limit_of_lock(timeout)? {
            Limit::Never => Ok(this.reading.bind(py).clone()),
            limit => Bound::new(
                py,
                ReadHold {
                    lock: Arc::clone(&this.inner),
                    limit,
                },
            ),
        }
    }

    /// Return a context manager that holds the lock for writing.
    ///
    /// The `with` statement waits for the lock. The same context manager may be used again, and by other threads.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None (the default) or -1 means no limit.
    ///
    /// Returns:
    ///     WriteHold: the context manager; `with` gives it, too.
    ///
    /// Raises:
    ///     TimeoutError: `with` has not got the lock in time.
    ///     RuntimeError: the thread holds the lock for reading. `with` raises it at once.
    ///     ValueError: timeout is negative (other than -1) or NaN.
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads.locks import RWLock
    ///     >>> lock = RWLock()
    ///     >>> with lock.write(timeout=1.0):
    ///     ...     lock.is_written
    ///     True
    #[pyo3(signature = (timeout=None))]
    fn write(&self, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<WriteHold> {
        Ok(self.hold_to_write(timeout::limit_of_lock(timeout)?))
    }

    /// Acquire the lock for reading. By default, wait until that is possible.
    ///
    /// For programs that cannot use a `with` statement. Each acquisition needs a release_read() of the same thread.
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
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    #[pyo3(signature = (blocking=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire_read(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<bool> {
        self.acquire_as(py, Access::Read, &blocking, &timeout)
    }

    /// Acquire the lock for writing. By default, wait until that is possible.
    ///
    /// For programs that cannot use a `with` statement. Each acquisition needs a release_write() of the same thread.
    ///
    /// Args:
    ///     blocking (bool): if False, do not wait.
    ///     timeout (int or float): the longest wait, in seconds. -1 (the default) means no limit.
    ///
    /// Returns:
    ///     bool: True if the lock was acquired.
    ///
    /// Raises:
    ///     RuntimeError: the thread holds the lock for reading.
    ///     ValueError: timeout is negative (other than -1), is NaN, or is given with blocking=False.
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    #[pyo3(signature = (blocking=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire_write(
        &self,
        py: Python<'_>,
        blocking: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<bool> {
        self.acquire_as(py, Access::Write, &blocking, &timeout)
    }

    /// Undo one acquire_read() of this thread.
    ///
    /// Raises:
    ///     RuntimeError: the thread does not hold the lock for reading.
    fn release_read(&self, py: Python<'_>) -> PyResult<()> {
        release(py, &self.inner, Access::Read)
    }

    /// Undo one acquire_write() of this thread. If the thread also reads, it goes on to read.
    ///
    /// Raises:
    ///     RuntimeError: the thread does not hold the lock for writing.
    fn release_write(&self, py: Python<'_>) -> PyResult<()> {
        release(py, &self.inner, Access::Write)
    }

    /// Return whether the calling thread holds the lock for reading. A writer that only writes does not.
    fn holds_read(&self, py: Python<'_>) -> bool {
        self.inner.is_held(Access::Read, holder(py))
    }

    /// Return whether the calling thread holds the lock for writing.
    fn holds_write(&self, py: Python<'_>) -> bool {
        self.inner.is_held(Access::Write, holder(py))
    }

    /// How many threads hold the lock for reading now. Another thread may change that at any moment.
    #[getter]
    fn readers(&self) -> usize {
        self.inner.readers().len()
    }

    /// Whether a thread holds the lock for writing now. Another thread may change that at any moment.
    #[getter]
    fn is_written(&self) -> bool {
        self.inner.writer().is_some()
    }

    /// How many threads wait for the lock now. Another thread may change that at any moment.
    #[getter]
    fn waiting(&self) -> usize {
        self.inner.waiting()
    }

    /// Make the lock free and without waiters, as if it were new. For a forked child, where the thread that held the
    /// lock may not exist.
    fn _at_fork_reinit(&self) {
        self.inner.reset();
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (class, inner) = (slf.get_type(), &slf.get().inner);
        let readers = inner.readers().len();
        let is_written = inner.writer().is_some();
        let state = match (is_written, readers) {
            (true, _) => "write-locked",
            (false, 0) => "unlocked",
            (false, _) => "read-locked",
        };
        Ok(format!(
            "<{state} {}.{} object readers={readers} waiting={} at {:p}>",
            class.module()?,
            class.qualname()?,
            inner.waiting(),
            slf.as_ptr()
        ))
    }
}

/// What `RWLock.read` returns: a context manager that holds the lock for reading.
///
/// It has no state of its own. To enter it again in the same thread is to read again, and each thread leaves what it has
/// entered.
#[pyclass(frozen, module = "oxthreads.locks")]
pub(crate) struct ReadHold {
    lock: Arc<rwlock::RwLock>,
    limit: Limit,
}

#[pymethods]
impl ReadHold {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        enter(slf.py(), &this.lock, Access::Read, this.limit)?;
        Ok(slf.clone())
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
        release(py, &self.lock, Access::Read)
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }
}

/// What `RWLock.write` returns: a context manager that holds the lock for writing.
///
/// Example:
///
///     >>> from oxthreads.locks import RWLock
///     >>> lock = RWLock()
///     >>> with lock.write() as writing:
///     ...     writing.downgrade()
///     ...     lock.is_written, lock.readers
///     (False, 1)
#[pyclass(frozen, module = "oxthreads.locks")]
pub(crate) struct WriteHold {
    lock: Arc<rwlock::RwLock>,
    limit: Limit,
    /// How many acquisitions for writing have not ended. Like the next, only the holder changes it, while it has the lock.
    entered: Count,
    /// How many acquisitions that have not ended are for reading now.
    downgraded: Count,
}

/// A number that only one thread changes at a time.
struct Count(AtomicU64);

impl Count {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, number: u64) {
        self.0
            .store(self.get().wrapping_add(number), Ordering::Relaxed);
    }

    #[inline]
    fn subtract(&self, number: u64) {
        self.0
            .store(self.get().wrapping_sub(number), Ordering::Relaxed);
    }
}

impl WriteHold {
    /// Ends one acquisition of this hold that has this access. Returns false, and does nothing, if the holder has none.
    #[inline]
    fn leave(&self, holder: Holder, access: Access) -> bool {
        let count = match access {
            Access::Write => &self.entered,
            Access::Read => &self.downgraded,
        };
        if count.get() == 0 || !self.lock.is_held(access, holder) {
            return false;
        }
        // Before the release: as soon as the lock is free, another thread may use this object.
        count.subtract(1);
        self.lock.release(access, holder).is_ok()
    }
}

#[pymethods]
impl WriteHold {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        enter(slf.py(), &this.lock, Access::Write, this.limit)?;
        this.entered.add(1);
        Ok(slf.clone())
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
        let access = match self.downgraded.get() {
            0 => Access::Write,
            _ => Access::Read,
        };
        if self.leave(holder(py), access) {
            Ok(())
        } else {
            Err(refused(access, "release"))
        }
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(errors::cannot_pickle(slf.as_any()))
    }

    /// Go on to read: other readers may come in at once, and nobody has written in between.
    ///
    /// The end of the `with` statement then ends the reading. If the thread has entered write() before, by an outer `with`
    /// statement, it goes on to hold that, and nobody else comes in.
    ///
    /// Raises:
    ///     RuntimeError: the thread does not hold the lock for writing by this context manager.
    fn downgrade(&self, py: Python<'_>) -> PyResult<()> {
        let holder = holder(py);
        if self.entered.get() == 0 || !self.lock.is_held(Access::Write, holder) {
            return Err(refused(Access::Write, "downgrade"));
        }
        // Before the downgrade: after it, another thread may look.
        self.entered.subtract(1);
        self.downgraded.add(1);
        // This cannot fail: the caller writes.
        let _ = self.lock.downgrade(holder);
        Ok(())
    }
}
