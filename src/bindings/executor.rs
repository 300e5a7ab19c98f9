//! `ThreadPoolExecutor`, and the queue between it and its workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::argument::Argument;
use super::future::Future;
use super::{detach, errors, standard_form, user_code};
use crate::primitives::deadline::Deadline;
use crate::primitives::future::Outcome;
use crate::primitives::pool::{Pool, Staffing, SubmitError};
use crate::primitives::sync::Mutex;

/// Set once the interpreter is about to exit, after which no executor takes calls.
static EXITING: AtomicBool = AtomicBool::new(false);

/// The pools of all executors, and of some that are gone.
static POOLS: Mutex<Vec<Weak<Pool<Job>>>> = Mutex::new(Vec::new());

/// Have every executor refuse calls from now on, and its workers leave once none is pending: the
/// interpreter exits.
#[pyfunction]
pub(crate) fn close_executors() {
    // In this order: an executor that is made in between refuses calls by itself.
    EXITING.store(true, Ordering::SeqCst);
    let pools = std::mem::take(&mut *POOLS.lock());
    for pool in pools.iter().filter_map(Weak::upgrade) {
        pool.close();
    }
}

fn new_pool() -> Arc<Pool<Job>> {
    let pool = Arc::new(Pool::new(0));
    let mut pools = POOLS.lock();
    // Now and then, so that it costs nothing on the average: nothing but freed pools is let go.
    if pools.len() == pools.capacity() {
        pools.retain(|pool| pool.strong_count() > 0);
    }
    pools.push(Arc::downgrade(&pool));
    pool
}

/// A call that was submitted.
struct Job {
    future: Py<Future>,
    function: Py<PyAny>,
    arguments: Py<PyTuple>,
    keywords: Option<Py<PyDict>>,
}

impl Job {
    /// Runs the call, unless it was cancelled, and sets its future.
    fn run(self, py: Python<'_>) -> PyResult<()> {
        let future = self.future.into_bound(py);
        if !Future::begin(&future)? {
            return Ok(());
        }
        let outcome = user_code::call(
            self.function.bind(py),
            self.arguments.bind(py),
            self.keywords.as_ref().map(|keywords| keywords.bind(py)),
        );
        match outcome {
            Ok(value) => Future::finish(&future, Outcome::Value(value.unbind())),
            Err(error) => {
                let error = error.into_value(py).into_any();
                // The standard worker sets the exception while it handles it.
                let _handling = errors::Handling::new(error.bind(py));
                Future::finish(&future, Outcome::Error(error))
            }
        }
    }
}

/// A call taken out of the queue unrun, with the future that it was to set.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct WorkItem {
    /// The future of the call.
    #[pyo3(get)]
    future: Py<Future>,
}

/// The pending calls of an executor: what its _work_queue is.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct WorkQueue {
    pool: Arc<Pool<Job>>,
}

/// So many calls may run before bytecode is due, should the calls themselves execute none.
const CALLS_AT_ONCE: u32 = 32;

#[pymethods]
impl WorkQueue {
    /// Wait for pending calls and run some, in this thread: False if there are none and the queue
    /// is closed.
    ///
    /// It returns for the caller to execute bytecode, which calls of C functions do not: only
    /// between bytecodes does an interpreter let other threads in, collect garbage and, where
    /// there is no GIL, free what this thread has made and another has let go of.
    fn work(&self, py: Python<'_>) -> PyResult<bool> {
        for count in 0..CALLS_AT_ONCE {
            let job = match self.pool.try_take() {
                Some(job) => job,
                // Before it sleeps, too.
                None if count > 0 => break,
                None => match detach::wait(py, &mut self.pool.take(), Deadline::NEVER)? {
                    Some(Some(job)) => job,
                    _ => return Ok(false),
                },
            };
            if let Err(error) = job.run(py) {
                report(py, error)?;
            }
        }
        Ok(true)
    }

    /// Take a worker's place; False if it is not wanted any more, and is to end.
    fn arrive(&self) -> bool {
        self.pool.arrive()
    }

    /// Give up the place of a worker that has arrived and ends.
    fn leave(&self) {
        self.pool.leave();
    }

    /// The number of pending calls.
    fn qsize(&self) -> usize {
        self.pool.pending()
    }

    /// Whether no call is pending.
    fn empty(&self) -> bool {
        self.pool.pending() == 0
    }

    /// Have the idle workers look again. The item can only be None, which the standard library
    /// puts here when the interpreter exits.
    #[pyo3(signature = (item, block=Argument::Absent, timeout=Argument::Absent),
           text_signature = "($self, item, block=True, timeout=None)")]
    fn put(&self, item: Argument<'_>, block: Argument<'_>, timeout: Argument<'_>) -> PyResult<()> {
        let _ = (block, timeout);
        match item {
            Argument::Given(item) if !item.is_none() => {
                Err(pyo3::exceptions::PyTypeError::new_err(
                    "calls are submitted to the executor, not put into its queue",
                ))
            }
            _ => {
                self.pool.poke();
                Ok(())
            }
        }
    }

    /// Take a pending call out, unrun.
    ///
    /// Raises queue.Empty if there is none.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<WorkItem> {
        match self.pool.try_take() {
            Some(job) => Ok(WorkItem { future: job.future }),
            None => Err(errors::empty(py)),
        }
    }
}

/// A done callback raised what is no Exception, or somebody else has set the future: the pool
/// goes on, and the standard logger hears of it in the standard words.
fn report(py: Python<'_>, error: PyErr) -> PyResult<()> {
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
    user_code::call_method(
        &super::future::logger(py)?,
        "critical",
        ("Exception in worker",),
        Some(&keywords),
    )?;
    Ok(())
}

/// The native half of oxthreads.concurrent.futures.ThreadPoolExecutor.
#[pyclass(
    subclass,
    frozen,
    name = "ThreadPoolExecutor",
    module = "oxthreads._oxthreads"
)]
pub(crate) struct ThreadPoolExecutor {
    pool: Arc<Pool<Job>>,
}

impl Drop for ThreadPoolExecutor {
    /// An executor that was dropped without a shutdown: its workers finish and go.
    fn drop(&mut self) {
        self.pool.close();
    }
}

#[pymethods]
impl ThreadPoolExecutor {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { pool: new_pool() }
    }

    /// Have `fn(*args, **kwargs)` called by a worker thread; its Future.
    ///
    /// Raises RuntimeError after shutdown(), and once the interpreter exits; BrokenThreadPool if
    /// the initializer of a worker failed.
    #[pyo3(signature = (r#fn, /, *args, **kwargs), text_signature = "($self, fn, /, *args, **kwargs)")]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if EXITING.load(Ordering::Relaxed) {
            return user_code::call_method(slf, "_refuse_submission", (), None);
        }
        let future = super::future::class(py)?.call0()?;
        super::progress::follow(&future, &r#fn)?;
        let job = Job {
            future: future.cast::<Future>()?.clone().unbind(),
            function: r#fn.unbind(),
            arguments: args.unbind(),
            keywords: kwargs.map(Bound::unbind),
        };
        match slf.get().pool.submit(job) {
            Ok(Staffing::Enough) => Ok(future),
            Ok(Staffing::Start) => {
                let started = user_code::call_method(slf, "_adjust_thread_count", (), None);
                slf.get().pool.end_start(started.is_ok());
                started.and(Ok(future))
            }
            Err((SubmitError::Closed, _)) => {
                user_code::call_method(slf, "_refuse_submission", (), None)
            }
            Err((SubmitError::Retired, job)) => {
                let rest = job.arguments.into_bound(py).into_any();
                let function = PyTuple::new(py, [job.function])?.into_any();
                let arguments = function.add(rest)?.cast_into::<PyTuple>()?;
                let keywords = job.keywords.map(|keywords| keywords.into_bound(py));
                standard_form::call_with(slf, "submit", &arguments, keywords.as_ref())
            }
        }
    }

    /// The queue of pending calls.
    #[getter]
    fn _native_work_queue(&self) -> WorkQueue {
        WorkQueue {
            pool: Arc::clone(&self.pool),
        }
    }

    /// Wait until no worker is being started.
    fn _wait_for_starts(&self, py: Python<'_>) -> PyResult<()> {
        detach::wait(py, &mut self.pool.wait_for_starts(), Deadline::NEVER)?;
        Ok(())
    }

    /// Leave submission to the standard class. What is pending here is still done.
    fn _retire(&self) {
        self.pool.retire();
    }

    #[getter]
    fn _is_retired(&self) -> bool {
        self.pool.is_retired()
    }

    /// Take no more calls; the workers leave once none is pending.
    fn _close(&self) {
        self.pool.close();
    }

    /// Run at most so many workers.
    fn _set_capacity(&self, workers: usize) {
        self.pool.set_capacity(workers);
    }
}
