//! `ThreadPoolExecutor`, and what stands between it and its workers.

mod call;
mod work_queue;
mod worker;

pub(crate) use call::Call;
pub(crate) use work_queue::{WorkItem, WorkQueue};
pub(crate) use worker::{Worker, wait};

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::at_once::{self, Arguments, Attempt, at_once};
use super::future::{Future, Started};
use super::{detach, errors, interpreter, standard_form, user_code};
use crate::primitives::deadline::Deadline;
use crate::primitives::pool::{self as core, ORDINARY, Pool, Staffing, SubmitError};
use crate::primitives::sync::Mutex;

/// Set once the interpreter is about to exit, after which no executor takes calls.
static EXITING: AtomicBool = AtomicBool::new(false);

/// The pools of all executors, and of some that are gone.
static POOLS: Mutex<Vec<Weak<Pool<Py<Future>>>>> = Mutex::new(Vec::new());

/// Have every executor refuse calls from now on, and its workers leave once none is pending: the
/// interpreter exits.
#[pyfunction]
pub(crate) fn close_executors(py: Python<'_>) {
    // For what is done from now on, if the module was made too early for that.
    interpreter::attach_once(py);
    // In this order: an executor that is made in between refuses calls by itself.
    EXITING.store(true, Ordering::SeqCst);
    let pools = std::mem::take(&mut *POOLS.lock());
    for pool in pools.iter().filter_map(Weak::upgrade) {
        pool.close();
    }
}

/// A pool that leaves submission to the standard class, which misses what `__init__` makes, until
/// `_configure` opens it.
fn new_pool() -> Arc<Pool<Py<Future>>> {
    let pool = Pool::new(0);
    #[cfg(Py_GIL_DISABLED)]
    let pool = pool.waking_one_by_one();
    let pool = Arc::new(pool);
    pool.retire();
    let mut pools = POOLS.lock();
    // Now and then, so that it costs nothing on the average: nothing but freed pools is let go.
    if pools.len() == pools.capacity() {
        pools.retain(|pool| pool.strong_count() > 0);
    }
    pools.push(Arc::downgrade(&pool));
    pool
}

/// What submission does when as many calls are pending as may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Block,
    Raise,
    CallerRuns,
}

impl WhenFull {
    const NAMES: [(&'static str, Self); 3] = [
        ("block", Self::Block),
        ("raise", Self::Raise),
        ("caller_runs", Self::CallerRuns),
    ];
}

/// What is submitted, before there is a future for it.
struct Submission<'py> {
    function: Bound<'py, PyAny>,
    arguments: Bound<'py, PyTuple>,
    keywords: Option<Bound<'py, PyDict>>,
    priority: i64,
    /// Whether it runs in a copy of the submitter's context.
    carries_context: bool,
}

/// The native half of oxthreads.concurrent.futures.ThreadPoolExecutor.
#[pyclass(
    subclass,
    frozen,
    name = "ThreadPoolExecutor",
    module = "oxthreads._oxthreads"
)]
pub(crate) struct ThreadPoolExecutor {
    pool: Arc<Pool<Py<Future>>>,
    /// The place in `WhenFull::NAMES`.
    when_full: AtomicU8,
    carries_context: AtomicBool,
}

impl Drop for ThreadPoolExecutor {
    /// An executor that was dropped without a shutdown: its workers finish and go.
    fn drop(&mut self) {
        self.pool.close();
    }
}

/// A worker is being started. That ends when a panic drops this, or else a shutdown would wait for it.
struct Starting<'a> {
    pool: &'a Pool<Py<Future>>,
    started: bool,
}

impl Drop for Starting<'_> {
    #[cold]
    fn drop(&mut self) {
        self.pool.end_start(self.started);
    }
}

impl ThreadPoolExecutor {
    fn when_full(&self) -> WhenFull {
        WhenFull::NAMES[usize::from(self.when_full.load(Ordering::Relaxed))].1
    }

    fn submit_call<'py>(
        slf: &Bound<'py, Self>,
        submission: Submission<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if EXITING.load(Ordering::Relaxed) {
            return user_code::call_method(slf, "_refuse_submission", (), None);
        }
        let pool = &slf.get().pool;
        let priority = submission.priority;
        let context = if submission.carries_context {
            Some(call::copy_context(py)?)
        } else {
            None
        };
        let future = Future::make(py)?;
        super::progress::follow(&future, &submission.function)?;
        let native = future.cast::<Future>()?;
        native.get().carry(Call {
            function: submission.function.into(),
            arguments: submission.arguments.into_any().into(),
            keywords: submission
                .keywords
                .map(|keywords| keywords.into_any().into()),
            context,
            submitted: Instant::now(),
            pool: pool.number(),
        });
        let submitted = pool.submit(native.clone().unbind(), priority);
        match submitted {
            Ok(Staffing::Enough) => Ok(future),
            Ok(Staffing::Start) => Self::start_worker(slf).and(Ok(future)),
            Err((refusal, job)) => Self::submit_refused(slf, refusal, job, priority),
        }
    }

    #[cold]
    fn submit_refused<'py>(
        slf: &Bound<'py, Self>,
        refusal: SubmitError,
        job: Py<Future>,
        priority: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // A `Bound`, as all that may be the last reference to something here: see `at_once`.
        let future = job.into_bound(py);
        let this = slf.get();
        match refusal {
            SubmitError::Closed => user_code::call_method(slf, "_refuse_submission", (), None),
            SubmitError::Retired => {
                let Some(call) = future.get().take_call() else {
                    return Ok(future.into_any());
                };
                let function = PyTuple::new(py, [call.function.object()])?.into_any();
                let arguments = function
                    .add(call.arguments.object())?
                    .cast_into::<PyTuple>()?;
                let keywords = match &call.keywords {
                    Some(keywords) => Some(keywords.object().bind(py).cast::<PyDict>()?.clone()),
                    None => None,
                };
                standard_form::call_with(slf, "submit", &arguments, keywords.as_ref())
            }
            SubmitError::Full => match this.when_full() {
                WhenFull::Raise => Err(errors::full(py)),
                // A worker that waited for room would be one less to make room.
                WhenFull::Block if !worker::is_present(&this.pool) => {
                    let job = future.clone().unbind();
                    let mut waiting = this.pool.submit_when_room(job, priority);
                    let outcome = detach::wait(py, &mut waiting, Deadline::NEVER);
                    drop(waiting.into_job().map(|job| job.into_bound(py)));
                    match outcome? {
                        Some(Err((refusal, job))) => {
                            Self::submit_refused(slf, refusal, job, priority)
                        }
                        Some(Ok(Staffing::Start)) => {
                            Self::start_worker(slf).and(Ok(future.into_any()))
                        }
                        Some(Ok(Staffing::Enough)) | None => Ok(future.into_any()),
                    }
                }
                WhenFull::Block | WhenFull::CallerRuns => {
                    this.run_here(&future)?;
                    Ok(future.into_any())
                }
            },
        }
    }

    /// Has the worker started whose place a submission has taken.
    fn start_worker(slf: &Bound<'_, Self>) -> PyResult<()> {
        let started = Self::try_start(slf);
        if started.is_err() && slf.get().pool.staff_again() == Staffing::Start {
            // For those who count on a worker that is not coming.
            if let Err(error) = Self::try_start(slf) {
                drop(error.into_value(slf.py()).into_bound(slf.py()));
            }
        }
        started
    }

    fn try_start(slf: &Bound<'_, Self>) -> PyResult<()> {
        let pool = &slf.get().pool;
        let mut starting = Starting {
            pool,
            started: false,
        };
        let started = user_code::call_method(slf, "_adjust_thread_count", (), None);
        starting.started = started.is_ok();
        pool.end_start(starting.started);
        std::mem::forget(starting);
        started.map(drop)
    }

    /// Does the call in this thread, which has submitted it. What is no Exception is raised here, too:
    /// it may be a Ctrl-C, which is for the main thread and nobody else.
    fn run_here(&self, future: &Bound<'_, Future>) -> PyResult<()> {
        let Started::Call(call) = Future::start(future)? else {
            return Ok(());
        };
        let record = core::Worker::default();
        let begun = record.begin(call.submitted, Instant::now());
        let (raised, ended) = call.run(future);
        record.end(begun, Instant::now());
        self.pool.add_work(&record);
        match raised {
            Some(raised) => Err(raised),
            None => ended,
        }
    }
}

at_once! {
    Submit: ThreadPoolExecutor, c"submit", ThreadPoolExecutor::submit_at_once;
}

impl ThreadPoolExecutor {
    #[inline]
    fn submit_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        let (function, arguments) = arguments.first_and_others()?;
        Some(Self::submit_call(
            slf,
            Submission {
                function,
                arguments,
                keywords: None,
                priority: ORDINARY,
                carries_context: slf.get().carries_context.load(Ordering::Relaxed),
            },
        ))
    }

    /// See [`at_once`](super::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Submit>(class)
    }
}

#[pymethods]
impl ThreadPoolExecutor {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            pool: new_pool(),
            when_full: AtomicU8::new(0),
            carries_context: AtomicBool::new(false),
        }
    }

    /// Have `fn(*args, **kwargs)` called by a worker thread; its Future.
    ///
    /// Raises RuntimeError after shutdown(), and once the interpreter exits; BrokenThreadPool if
    /// the initializer of a worker failed; queue.Full if max_pending calls are pending and on_full is
    /// "raise".
    #[pyo3(signature = (r#fn, /, *args, **kwargs), text_signature = "($self, fn, /, *args, **kwargs)")]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let submission = Submission {
            function: r#fn,
            arguments: args,
            keywords: kwargs,
            priority: ORDINARY,
            carries_context: slf.get().carries_context.load(Ordering::Relaxed),
        };
        Self::submit_call(slf, submission)
    }

    /// As submit(), with the options of a view; None means the executor's.
    fn _submit_with<'py>(
        slf: &Bound<'py, Self>,
        priority: i64,
        carries_context: Option<bool>,
        function: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
        keywords: Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get().carries_context.load(Ordering::Relaxed);
        let submission = Submission {
            function,
            arguments,
            keywords: Some(keywords),
            priority,
            carries_context: carries_context.unwrap_or(own),
        };
        Self::submit_call(slf, submission)
    }

    /// At most so many calls are pending (None: any number); what submission does then; and whether
    /// calls run in a copy of the submitter's context. From now on calls are taken.
    ///
    /// Raises ValueError for what on_full cannot be.
    fn _configure(
        &self,
        max_pending: Option<usize>,
        on_full: &str,
        carries_context: bool,
    ) -> PyResult<()> {
        let place = (WhenFull::NAMES.iter()).position(|(name, _)| *name == on_full);
        let Some(place) = place.and_then(|place| u8::try_from(place).ok()) else {
            return Err(PyValueError::new_err(
                "on_full must be 'block', 'raise' or 'caller_runs'",
            ));
        };
        self.when_full.store(place, Ordering::Relaxed);
        self.carries_context
            .store(carries_context, Ordering::Relaxed);
        self.pool.set_backlog(max_pending.unwrap_or(usize::MAX));
        self.pool.open();
        Ok(())
    }

    /// Workers, busy ones, pending calls, calls that have ended; total and maximum of the seconds that
    /// calls were pending, and of those that they took.
    fn _statistics(&self) -> (usize, usize, usize, u64, f64, f64, f64, f64) {
        let core::Statistics {
            workers,
            busy,
            queued,
            work,
        } = self.pool.statistics();
        (
            workers,
            busy,
            queued,
            work.done,
            work.queue_wait.total.as_secs_f64(),
            work.queue_wait.maximum.as_secs_f64(),
            work.run_time.total.as_secs_f64(),
            work.run_time.maximum.as_secs_f64(),
        )
    }

    /// The number of workers that have nothing to do.
    #[getter]
    fn _idle_workers(&self) -> usize {
        self.pool.idle()
    }

    /// The queue of pending calls.
    #[getter]
    fn _native_work_queue(&self) -> WorkQueue {
        WorkQueue::new(&self.pool)
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
