//! `Limiter`, as coroutines use it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Notify;
use super::held::Held;
use super::lock::{Exited, Returns};
use super::operation::{Outcome, Polled, Running, Start};
use super::wait::Wait;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Limiter;
use crate::bindings::waiting::limiter_of;
use crate::primitives::limiter;

struct Acquire {
    limiter: Py<Limiter>,
    amount: u64,
    returns: Returns,
}

impl Start for Acquire {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let acquired = self.limiter.get().primitive().try_acquire(self.amount);
        acquired.then(|| Ok(self.returns.value(py)))
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.limiter);
        let operation = limiter::Acquire::new(held.clone(), self.amount);
        Box::new(match self.returns {
            Returns::True => Polled::new(operation, held, notify, |py, _, ()| {
                Ok(Returns::True.value(py))
            }),
            Returns::None => Polled::new(operation, held, notify, |py, _, ()| {
                Ok(Returns::None.value(py))
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.limiter)
    }
}

/// A limiter, as coroutines use it; `oxthreads.aio.as_async` makes it.
///
/// Coroutines and threads wait in one order. A thread that waits behind a coroutine whose event loop is busy passes it over
/// after 50 milliseconds. A coroutine of another event loop does not, and waits as long as that loop is busy.
///
/// Args:
///     limiter (Limiter): a limiter of oxthreads.locks.
///
/// Raises:
///     TypeError: its class has an acquire or __enter__ of its own.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.locks import Limiter
///     >>> limiter = Limiter(100)  # in a second
///     >>> async def main():
///     ...     for request in range(3):
///     ...         async with as_async(limiter):
///     ...             pass
///     ...     return "done"
///     >>> asyncio.run(main())
///     'done'
#[pyclass(frozen, weakref, module = "oxthreads.aio")]
pub(crate) struct AsyncLimiter {
    limiter: Py<Limiter>,
}

#[pymethods]
impl AsyncLimiter {
    #[new]
    #[pyo3(signature = (limiter, /))]
    fn new(limiter: Bound<'_, Limiter>) -> PyResult<Self> {
        limiter_of(limiter.as_any())?;
        Ok(Self {
            limiter: limiter.unbind(),
        })
    }

    /// The limiter that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Limiter> {
        self.limiter.bind(py)
    }

    /// Acquire one, or more. Wait until that is allowed.
    ///
    /// Args:
    ///     amount (int): how much, at most the burst.
    ///
    /// Returns:
    ///     bool: True.
    ///
    /// Raises:
    ///     ValueError: amount is below one or above the burst.
    ///     TypeError: amount is not a whole number.
    ///
    /// If it is cancelled, nothing is acquired.
    #[pyo3(signature = (amount=None), text_signature = "($self, amount=1)")]
    fn acquire(&self, py: Python<'_>, amount: Option<&Bound<'_, PyAny>>) -> PyResult<Wait> {
        let amount = self.limiter.get().amount(amount)?;
        Ok(self.wait(py, "AsyncLimiter.acquire", amount, Returns::True))
    }

    fn __aenter__(&self, py: Python<'_>) -> Wait {
        self.wait(py, "AsyncLimiter.__aenter__", 1, Returns::None)
    }

    #[pyo3(signature = (*_exception))]
    #[expect(clippy::unused_self, reason = "there is nothing to release")]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<Py<Exited>> {
        Exited::get(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<AsyncLimiter of {}>",
            self.limiter.bind(py).repr()?
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.limiter)
    }
}

impl AsyncLimiter {
    fn wait(&self, py: Python<'_>, name: &'static str, amount: u64, returns: Returns) -> Wait {
        let limiter = self.limiter.clone_ref(py);
        Wait::of(
            name,
            Acquire {
                limiter,
                amount,
                returns,
            },
        )
    }
}
