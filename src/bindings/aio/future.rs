//! `Future`, as coroutines wait for it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::fell_back;
use super::wait::Wait;
use crate::bindings::future::Future;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::observed::Observed;
use crate::primitives::FellBack;
use crate::primitives::future::WaitDone;

/// How the end of a future is told.
#[derive(Clone, Copy)]
enum Tells {
    /// The result is returned, or the exception raised.
    Result,
    /// Nothing.
    None,
}

struct Done {
    future: Py<Future>,
    tells: Tells,
}

fn tell(py: Python<'_>, future: &Py<Future>, tells: Tells) -> Outcome {
    match tells {
        Tells::None => Ok(py.None()),
        // It is done, so this does not wait.
        Tells::Result => {
            let future = future.bind(py);
            foreign::call_method(future.as_any(), "result", (), None).map(Bound::unbind)
        }
    }
}

impl Start for Done {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        let primitive = self.future.get().primitive();
        match primitive.with_native(|record| record.state.is_done()) {
            Ok(true) => Some(tell(py, &self.future, self.tells)),
            Ok(false) => None,
            Err(FellBack) => Some(Err(fell_back("future"))),
        }
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let tells = self.tells;
        let held = Held::new(self.future);
        let operation = WaitDone::new(held.clone());
        Box::new(match tells {
            Tells::Result => Polled::new(operation, held, notify, |py, future, result| {
                result.map_err(|FellBack| fell_back("future"))?;
                tell(py, future, Tells::Result)
            }),
            Tells::None => Polled::new(operation, held, notify, |py, future, result| {
                result.map_err(|FellBack| fell_back("future"))?;
                tell(py, future, Tells::None)
            }),
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}

/// A future of a pool, as coroutines wait for it; `oxthreads.aio.as_async` makes it. Await it for the result.
///
/// It may be awaited several times, and by several coroutines. A coroutine that is cancelled only stops waiting. An
/// exception of the call is raised; if the call was cancelled, that is concurrent.futures.CancelledError.
///
/// Args:
///     future (Future): a future of oxthreads.concurrent.futures.
///
/// Raises:
///     TypeError: the future works as one of the standard library.
///
/// Example:
///
///     >>> import asyncio
///     >>> from oxthreads.aio import as_async
///     >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
///     >>> async def main():
///     ...     with ThreadPoolExecutor() as pool:
///     ...         return await as_async(pool.submit(pow, 2, 5))
///     >>> asyncio.run(main())
///     32
#[pyclass(frozen, weakref, generic, module = "oxthreads.aio")]
pub(crate) struct AsyncFuture {
    future: Py<Future>,
}

#[pymethods]
impl AsyncFuture {
    #[new]
    #[pyo3(signature = (future, /))]
    fn new(future: Py<Future>) -> PyResult<Self> {
        if (future.get().primitive().with_native(|_| ())).is_err() {
            return Err(fell_back("future"));
        }
        Ok(Self { future })
    }

    /// The future that threads use.
    #[getter]
    fn sync<'py>(&self, py: Python<'py>) -> &Bound<'py, Future> {
        self.future.bind(py)
    }

    fn __await__(&self, py: Python<'_>) -> Wait {
        let future = self.future.clone_ref(py);
        let tells = Tells::Result;
        Wait::of("AsyncFuture.result", Done { future, tells })
    }

    /// Wait for the result, as `await` does. For asyncio.create_task and asyncio.wait_for, which want a coroutine.
    ///
    /// Returns:
    ///     What the call returned.
    ///
    /// Raises:
    ///     concurrent.futures.CancelledError: the call was cancelled.
    ///     BaseException: what the call raised.
    fn result(&self, py: Python<'_>) -> Wait {
        self.__await__(py)
    }

    /// Wait until the future is done, and raise nothing.
    fn wait(&self, py: Python<'_>) -> Wait {
        let future = self.future.clone_ref(py);
        let tells = Tells::None;
        Wait::of("AsyncFuture.wait", Done { future, tells })
    }

    /// Cancel the call, if it has not begun.
    ///
    /// Returns:
    ///     bool: False if it runs or is finished.
    fn cancel<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let future = self.future.bind(py);
        foreign::call_method(future.as_any(), "cancel", (), None)
    }

    /// Return whether the call was cancelled.
    fn cancelled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.future.bind(py).call_method0(intern!(py, "cancelled"))
    }

    /// Return whether the call has ended or was cancelled.
    fn done<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.future.bind(py).call_method0(intern!(py, "done"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<AsyncFuture of {}>", self.future.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)
    }
}
