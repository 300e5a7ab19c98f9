//! `RWLock`, as coroutines use it.

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Notify;
use super::held::Held;
use super::lock::Exited;
use super::operation::{Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::RWLock;
use crate::primitives::holder::{self, Holder};
use crate::primitives::rwlock::{self, Access};
use crate::wait::Converted;

struct Acquire {
    hold: Py<AsyncHold>,
    holder: Holder,
}

/// The lock was acquired for this hold.
///
/// # Errors
/// RuntimeError, if the hold has the lock already. Then it was released again.
fn acquired(py: Python<'_>, hold: &Py<AsyncHold>, holder: Holder) -> Outcome {
    let this = hold.get();
    let mut has = this.has.lock();
    if has.is_some() {
        drop(has);
        // This cannot fail: it was acquired a moment ago.
        let _ = this.lock.get().primitive().release(this.wants, holder);
        return Err(in_use());
    }
    *has = Some((this.wants, holder));
    Ok(hold.clone_ref(py).into_any())
}

#[cold]
fn in_use() -> PyErr {
    PyRuntimeError::new_err(
        "this hold has the lock already; call read() or write() for another one",
    )
}

impl Start for Acquire {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let hold = self.hold.get();
        if hold.has.lock().is_some() {
            return Some(Err(in_use()));
        }
        let taken = (hold.lock.get().primitive()).try_acquire(hold.wants, self.holder);
        // The holder is new, so it does not read already.
        matches!(taken, Ok(true)).then(|| acquired(py, &self.hold, self.holder))
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let Self { hold, holder } = *self;
        let lock = Python::attach(|py| Held::new(hold.get().lock.clone_ref(py)));
        let acquire = rwlock::Acquire::new(lock, hold.get().wants, holder);
        let operation =
            Converted::new(acquire, move |output: Result<_, _>| output.map(|()| holder));
        Box::new(Polled::new(
            operation,
            Held::new(hold),
            notify,
            |py, hold, output| match output {
                Ok(holder) => acquired(py, hold, holder),
                Err(rwlock::HoldsForReading) => Err(in_use()),
            },
        ))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.hold)
    }
}

/// A lock for many readers or one writer, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Coroutines and threads may have it at the same time, and wait for it in one order. A coroutine that has it and asks for
/// it once more is like another one: so a coroutine that reads must not begin to read again, because a writer may
/// wait in between. For a limit of time use that of the event loop (`asyncio.timeout`).
///
/// Args:
///     lock (RWLock): a lock of oxthreads.locks.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.locks import RWLock
///     >>> lock = RWLock()
///     >>> async def main():
///     ...     async with as_async(lock).write() as hold:
///     ...         print(lock.is_written)
///     ...         hold.downgrade()  # others may read from here on
///     ...         print(lock.is_written, lock.readers)
///     >>> asyncio.run(main())
///     True
///     False 1
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncRWLock {
    lock: Py<RWLock>,
}

#[pymethods]
impl AsyncRWLock {
    #[new]
    #[pyo3(signature = (lock, /))]
    fn new(lock: Py<RWLock>) -> Self {
        Self { lock }
    }

    /// The lock that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, RWLock> {
        self.lock.bind(py)
    }

    /// Return a context manager for `async with`, which has the lock for reading: others may read at the same time.
    fn read(&self, py: Python<'_>) -> AsyncHold {
        self.hold(py, Access::Read)
    }

    /// Return a context manager for `async with`, which has the lock alone. Its method `downgrade` lets others read.
    fn write(&self, py: Python<'_>) -> AsyncHold {
        self.hold(py, Access::Write)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncRWLock of {}>", self.lock.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)
    }
}

impl AsyncRWLock {
    fn hold(&self, py: Python<'_>, wants: Access) -> AsyncHold {
        AsyncHold {
            lock: self.lock.clone_ref(py),
            wants,
            has: Mutex::new(None),
        }
    }
}

/// What a coroutine has of an `RWLock`, from the beginning of an `async with` to its end.
///
/// It may be used again, but not by two coroutines at once. If it is dropped without an end, the lock is released.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.locks import RWLock
///     >>> lock = RWLock()
///     >>> async def main():
///     ...     async with as_async(lock).read():
///     ...         return lock.readers
///     >>> asyncio.run(main())
///     1
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncHold {
    lock: Py<RWLock>,
    wants: Access,
    /// How it has the lock, and as whom, if it has.
    has: Mutex<Option<(Access, Holder)>>,
}

#[pymethods]
impl AsyncHold {
    fn __aenter__(slf: Bound<'_, Self>) -> Wait {
        let name = match slf.get().wants {
            Access::Read => "AsyncRWLock.read",
            Access::Write => "AsyncRWLock.write",
        };
        let (hold, holder) = (slf.unbind(), holder::new_coroutine());
        Wait::of(name, Acquire { hold, holder })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        if !self.release() {
            return Err(PyRuntimeError::new_err("this does not hold the lock"));
        }
        Exited::get(py)
    }

    /// Go on as a reader, without letting another writer in between. Those who wait to read may read from here on.
    ///
    /// Raises:
    ///     RuntimeError: it does not have the lock for writing.
    fn downgrade(&self) -> PyResult<()> {
        let mut has = self.has.lock();
        let Some((Access::Write, holder)) = *has else {
            return Err(PyRuntimeError::new_err(
                "this does not hold the lock for writing",
            ));
        };
        *has = Some((Access::Read, holder));
        drop(has);
        // This cannot fail: it has the lock for writing, once.
        let _ = self.lock.get().primitive().downgrade(holder);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)
    }
}

impl AsyncHold {
    /// Releases the lock. Returns whether it had it.
    fn release(&self) -> bool {
        let has = self.has.lock().take();
        has.is_some_and(|(access, holder)| {
            let lock = self.lock.get().primitive();
            lock.release(access, holder).is_ok()
        })
    }
}

impl Drop for AsyncHold {
    fn drop(&mut self) {
        self.release();
    }
}
