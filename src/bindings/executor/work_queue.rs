//! The object in the place of the standard pool's queue of pending calls, `_work_queue`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use crate::bindings::executor::profiled;
use crate::bindings::executor::{ThreadPoolExecutor, close_executors, standard_module};
use crate::bindings::future::{Call, Future};
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::block;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::timeout;
use crate::bindings::task;
use crate::primitives::pool::{Next, Pool};

/// The pending calls of an executor: its `_work_queue`.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct WorkQueue {
    pool: Arc<Pool<Py<Future>>>,
    /// A weak reference to the executor.
    executor: Option<Py<PyWeakrefReference>>,
}

lazy_imports! {
    for WorkQueue, with timeout::OF_SIMPLE_QUEUE;
    RUN_ITEM: PyAny = "oxthreads.concurrent._worker", "run_item";
}

/// The Python function that runs an item of the work queue. Such an item is in the pool as a call of this function.
fn run_item(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    RUN_ITEM.get(py)
}

/// The `queue.Empty` that the standard pool catches.
fn empty(py: Python<'_>) -> PyErr {
    let class = standard_module(py)
        .and_then(|module| module.getattr("queue"))
        .and_then(|queue| queue.getattr("Empty"))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match class {
        Ok(class) => PyErr::from_type(class, ()),
        Err(error) => error,
    }
}

/// The call as a `_WorkItem`, of the class that the standard module has now. If a program put the call in as an item,
/// that item.
fn item_of<'py>(future: &Bound<'py, Future>, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let function = call.function.object().bind(py);
    let arguments = call.arguments.object().bind(py).cast::<PyTuple>()?;
    if function.is(run_item(py)?) {
        return arguments.get_item(0);
    }
    let (function, arguments) = match &call.context {
        None => (function.clone(), arguments.clone()),
        Some(context) => {
            let first = PyTuple::new(py, [function])?.into_any();
            let arguments = first.add(arguments)?.cast_into::<PyTuple>()?;
            (context.object().bind(py).getattr("run")?, arguments)
        }
    };
    let keywords = match &call.keywords {
        Some(keywords) => keywords.object().bind(py).cast::<PyDict>()?.clone(),
        None => PyDict::new(py),
    };
    let class = standard_module(py)?.getattr("_WorkItem")?;
    let parts = if cfg!(Py_3_14) {
        let task = (function, arguments, keywords).into_pyobject(py)?;
        (future, task).into_pyobject(py)?
    } else {
        (future, function, arguments, keywords).into_pyobject(py)?
    };
    foreign::call(&class, &parts, None)
}

impl WorkQueue {
    pub(super) fn new(executor: &Bound<'_, ThreadPoolExecutor>) -> Self {
        Self {
            pool: Arc::clone(&executor.get().pool),
            executor: (PyWeakrefReference::new(executor).ok()).map(Bound::unbind),
        }
    }

    /// The item for the job. `None`: the job is stale, because another thread has taken its call.
    fn unpack<'py>(&self, future: &Bound<'py, Future>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(mut call) = future.get().take_call() else {
            self.pool.forget_stale();
            return Ok(None);
        };
        profiled::cancelled(future.py(), &call);
        // Nobody can know who will run this call, or whether anyone will. So a worker that waits for it must not
        // rely on the pool's workers.
        self.pool.set_helping(false);
        if let Some(task) = call.task.take() {
            let function = task.into_function(call.function.object().bind(future.py()))?;
            task::follow(future, &function)?;
            call.function = function.into();
        }
        match item_of(future, &call) {
            Ok(item) => Ok(Some(item)),
            Err(error) => {
                // Make it pending again.
                future.get().carry(call);
                let refused = self.pool.put(future.clone().unbind());
                drop(refused.map_err(|job| job.into_bound(future.py())));
                Err(error)
            }
        }
    }

    /// The next item, if there is one; `None` of Python for a mark.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        while let Some(job) = self.pool.try_take() {
            if let Some(item) = self.unpack(&job.into_bound(py))? {
                return Ok(Some(item));
            }
        }
        Ok(self.pool.take_mark().then(|| py.None().into_bound(py)))
    }

    fn take_or_empty<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.take(py)?.ok_or_else(|| empty(py))
    }

    /// Starts a worker if one is needed: a submission may have counted on this thread, which leaves without a job.
    fn scale(&self, py: Python<'_>) -> PyResult<()> {
        let executor = self.executor.as_ref();
        match executor.and_then(|executor| executor.bind(py).upgrade()) {
            Some(executor) => ThreadPoolExecutor::scale(executor.cast::<ThreadPoolExecutor>()?),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl WorkQueue {
    /// The number of pending calls.
    fn qsize(&self) -> usize {
        self.pool.len()
    }

    /// Whether no call is pending.
    fn empty(&self) -> bool {
        self.pool.is_empty()
    }

    /// Add a call as a _WorkItem, of any class. A worker calls its run(). None wakes the idle workers, so that they
    /// check the state of the executor again.
    ///
    /// block and timeout are ignored.
    #[pyo3(signature = (item, block=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, item, block=True, timeout=None)")]
    fn put(
        &self,
        item: &Bound<'_, PyAny>,
        block: Argument<'_>,
        timeout: Argument<'_>,
    ) -> PyResult<()> {
        let _ = (block, timeout);
        let py = item.py();
        if item.is_none() {
            // The standard library puts None here when the interpreter exits, or when a program calls its exit
            // function.
            let exiting = standard_module(py)?.getattr("_shutdown")?;
            if exiting.is(PyBool::new(py, true)) {
                close_executors(py);
            }
            self.pool.mark();
            return Ok(());
        }
        // A future that nobody else has. It carries the item to a worker.
        let job = py.get_type::<Future>().call0()?.cast_into::<Future>()?;
        let arguments = PyTuple::new(py, [item])?;
        job.get().carry(Call::new(
            run_item(py)?.clone(),
            arguments,
            None,
            None,
            self.pool.number(),
            None,
        ));
        let refused = self.pool.put(job.unbind());
        drop(refused.map_err(|job| job.into_bound(py)));
        Ok(())
    }

    /// Same as put(item).
    fn put_nowait(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(item, Argument::Absent, Argument::Absent)
    }

    /// Remove the next call without running it. The item may be put back.
    ///
    /// Args:
    ///     block (bool): whether to wait for a call.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The call as a _WorkItem. None if None was put in, or if the executor is gone.
    ///
    /// Raises:
    ///     queue.Empty: there is no call.
    #[pyo3(signature = (block=Argument::Absent, timeout=None),
           text_signature = "($self, block=True, timeout=None)")]
    fn get<'py>(
        &self,
        py: Python<'py>,
        block: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = timeout::of_simple_queue(&block, timeout)?;
        if let Some(item) = self.take(py)? {
            return Ok(item);
        }
        let Some(deadline) = deadline else {
            return Err(empty(py));
        };
        loop {
            let mut take = self.pool.take().or_mark();
            let waited = block::wait(py, &mut take, deadline);
            drop(take);
            match waited {
                Ok(Some(Next::Job(job))) => {
                    if let Some(item) = self.unpack(&job.into_bound(py))? {
                        return Ok(item);
                    }
                }
                Ok(Some(Next::Mark)) => return Ok(py.None().into_bound(py)),
                Ok(Some(Next::Again | Next::Dismissed | Next::Closed | Next::FellBack) | None) => {
                    let taken = self.take_or_empty(py);
                    if taken.is_err() {
                        self.scale(py)?;
                    }
                    return taken;
                }
                Err(error) => {
                    // An error here would occur again at the next submission, which reports it.
                    drop(self.scale(py));
                    return Err(error);
                }
            }
        }
    }

    /// Same as get(block=False).
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.take_or_empty(py)
    }
}
