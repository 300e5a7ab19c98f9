//! `Semaphore` and `BoundedSemaphore`, as coroutines use them.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Notify;
use super::held::Held;
use super::lock::{Exited, Returns};
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::fell_back;
use super::wait::Wait;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Semaphore;
use crate::primitives::FellBack;
use crate::primitives::semaphore::{self, AcquireError};

struct Acquire {
    semaphore: Py<Semaphore>,
    returns: Returns,
}

impl Start for Acquire {
    #[inline]
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        match self.semaphore.get().primitive().try_acquire() {
            Ok(()) => Some(Ok(self.returns.value(py))),
            Err(AcquireError::NoPermit) => None,
            Err(AcquireError::FellBack) => Some(Err(fell_back("semaphore"))),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        fn acquired(py: Python<'_>, result: Result<(), FellBack>, returns: Returns) -> Outcome {
            match result {
                Ok(()) => Ok(returns.value(py)),
                Err(FellBack) => Err(fell_back("semaphore")),
            }
        }
        let returns = self.returns;
        let held = Held::new(self.semaphore);
        let operation = semaphore::Acquire::new(held.clone());
        Box::new(match returns {
            Returns::True => Polled::new(operation, held, notify, |py, _, result| {
                acquired(py, result, Returns::True)
            }),
            Returns::None => Polled::new(operation, held, notify, |py, _, result| {
                acquired(py, result, Returns::None)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.semaphore)
    }
}

/// A semaphore, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// It has the names of asyncio.Semaphore. Threads use the semaphore itself at the same time.
///
/// Args:
///     semaphore (Semaphore): a semaphore of oxthreads.threading.
///
/// Raises:
///     TypeError: the semaphore works as one of the standard library.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads import threading
///     >>> from oxthreads.aio import as_async
///     >>> permits = threading.Semaphore(1)
///     >>> async def main():
///     ...     async with as_async(permits):
///     ...         return as_async(permits).locked()
///     >>> asyncio.run(main())
///     True
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncSemaphore {
    semaphore: Py<Semaphore>,
}

#[pymethods]
impl AsyncSemaphore {
    #[new]
    #[pyo3(signature = (semaphore, /))]
    fn new(semaphore: Py<Semaphore>) -> PyResult<Self> {
        if semaphore.get().primitive().has_fallen_back() {
            return Err(fell_back("semaphore"));
        }
        Ok(Self { semaphore })
    }

    /// The semaphore that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Semaphore> {
        self.semaphore.bind(py)
    }

    /// Acquire the semaphore. Wait until there is a permit.
    ///
    /// Returns:
    ///     bool: True.
    ///
    /// If it is cancelled, no permit is taken.
    fn acquire(&self, py: Python<'_>) -> Wait {
        let semaphore = self.semaphore.clone_ref(py);
        let returns = Returns::True;
        Wait::of("AsyncSemaphore.acquire", Acquire { semaphore, returns })
    }

    /// Give a permit back.
    ///
    /// Args:
    ///     n (int): how many permits.
    ///
    /// Raises:
    ///     ValueError: a BoundedSemaphore has all its permits.
    #[pyo3(signature = (n=None))]
    fn release(&self, py: Python<'_>, n: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let semaphore = self.semaphore.bind(py);
        match n {
            None => foreign::call_method(semaphore.as_any(), "release", (), None),
            Some(n) => foreign::call_method(semaphore.as_any(), "release", (n,), None),
        }
        .map(drop)
    }

    /// Return whether no permit is left.
    fn locked(&self) -> bool {
        self.semaphore.get().primitive().permits() <= 0
    }

    fn __aenter__(&self, py: Python<'_>) -> Wait {
        let semaphore = self.semaphore.clone_ref(py);
        let returns = Returns::None;
        Wait::of("AsyncSemaphore.__aenter__", Acquire { semaphore, returns })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        let semaphore = self.semaphore.bind(py);
        semaphore.call_method0(intern!(py, "release"))?;
        Exited::get(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncSemaphore of {}>",
            self.semaphore.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.semaphore)
    }
}
