//! `Lock`, as coroutines use it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Lock;
use crate::primitives::lock;
use crate::wait::observe::Acquisition;

/// What an acquisition returns.
#[derive(Clone, Copy)]
pub(super) enum Returns {
    True,
    None,
}

impl Returns {
    pub(super) fn value(self, py: Python<'_>) -> Py<PyAny> {
        match self {
            Self::True => PyBool::new(py, true).to_owned().into_any().unbind(),
            Self::None => py.None(),
        }
    }
}

struct Acquire {
    lock: Py<Lock>,
    returns: Returns,
}

impl Start for Acquire {
    #[inline]
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let acquired = self.lock.get().primitive().try_acquire();
        acquired.then(|| Ok(self.returns.value(py)))
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        fn acquired(py: Python<'_>, lock: &Py<Lock>, returns: Returns) -> Outcome {
            // A thread does not sleep in it, so it is no part of a cycle of waits.
            lock.get().primitive().acquired(|| Acquisition::Tried);
            Ok(returns.value(py))
        }
        let returns = self.returns;
        let held = Held::new(self.lock);
        let operation = lock::Acquire::new(held.clone());
        Box::new(match returns {
            Returns::True => Polled::new(operation, held, notify, |py, lock, ()| {
                acquired(py, lock, Returns::True)
            }),
            Returns::None => Polled::new(operation, held, notify, |py, lock, ()| {
                acquired(py, lock, Returns::None)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)
    }
}

/// The end of an `async with`, which does not wait. It has no state, so one serves all.
#[pyclass(frozen, module = "oxthreads._oxthreads", name = "_Exited")]
pub(super) struct Exited;

#[pymethods]
impl Exited {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[allow(clippy::unused_self, reason = "the protocol of iterators")]
    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }
}

impl Exited {
    /// The one that serves all.
    pub(super) fn get(py: Python<'_>) -> PyResult<Py<Self>> {
        static EXITED: crate::bindings::runtime::lazy::Lazy<Py<Exited>> =
            crate::bindings::runtime::lazy::Lazy::new();
        Ok(EXITED.get_or_make(|| Py::new(py, Exited))?.clone_ref(py))
    }
}

fast_built_ins! {
    Enter: AsyncLock, c"__aenter__", enter;
    Exit: AsyncLock, c"__aexit__", exit;
}

/// `__aenter__()`.
#[inline]
fn enter<'py>(slf: &Bound<'py, AsyncLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let wait = || slf.get().__aenter__(slf.py()).into_awaitable(slf.py());
    arguments.are_none().then(wait)
}

/// `__aexit__(type, value, traceback)`.
#[inline]
fn exit<'py>(slf: &Bound<'py, AsyncLock>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let py = slf.py();
    let leave = || {
        slf.get().lock.get().release_held()?;
        Ok(Exited::get(py)?.into_bound(py).into_any())
    };
    (arguments.len() == 3).then(leave)
}

/// Installs the fast paths; see [`fast_path`].
pub(super) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<AsyncLock>();
    fast_path::install::<Enter>(&class)?;
    fast_path::install::<Exit>(&class)
}

/// A lock, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// It has the names of asyncio.Lock. Threads use the lock itself at the same time.
///
/// Args:
///     lock (Lock): a lock of oxthreads.threading.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> lock = threading.Lock()
///     >>> async def main():
///     ...     async with as_async(lock):
///     ...         return lock.locked()
///     >>> asyncio.run(main())
///     True
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncLock {
    lock: Py<Lock>,
}

#[pymethods]
impl AsyncLock {
    #[new]
    #[pyo3(signature = (lock, /))]
    fn new(lock: Py<Lock>) -> Self {
        Self { lock }
    }

    /// The lock that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Lock> {
        self.lock.bind(py)
    }

    /// Acquire the lock. Wait until it is free.
    ///
    /// Returns:
    ///     bool: True.
    ///
    /// If it is cancelled, the lock is not acquired.
    fn acquire(&self, py: Python<'_>) -> Wait {
        let lock = self.lock.clone_ref(py);
        let returns = Returns::True;
        Wait::of("AsyncLock.acquire", Acquire { lock, returns })
    }

    /// Release the lock. Any coroutine or thread may call it.
    ///
    /// Raises:
    ///     RuntimeError: the lock is not locked.
    fn release(&self) -> PyResult<()> {
        self.lock.get().release_held()
    }

    /// Return whether the lock is locked.
    fn locked(&self) -> bool {
        self.lock.get().primitive().is_locked()
    }

    fn __aenter__(&self, py: Python<'_>) -> Wait {
        let lock = self.lock.clone_ref(py);
        let returns = Returns::None;
        Wait::of("AsyncLock.__aenter__", Acquire { lock, returns })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        self.lock.get().release_held()?;
        Exited::get(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncLock of {}>", self.lock.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)
    }
}
