//! `ThreadPoolExecutor`: submission, and what its workers and the standard internals see of it.
//!
//! * `call`: how a submitted call is run.
//! * `worker`: the loop in which a worker takes calls and runs them.
//! * `place`: what the thread of a worker runs; it replaces a worker that was killed.
//! * `profiled`: what a profile of waiting is told.
//! * `work_queue`: the object that a program finds under `_work_queue`.
//! * `traced`: what a trace is told of calls.
//! * `version`: whether a class has changed.

mod call;
mod place;
mod profiled;
mod traced;
mod version;
mod work_queue;
mod worker;

pub(crate) use place::{Place, register};
pub(crate) use profiled::tell_workers;
pub(crate) use version::versions;
pub(crate) use work_queue::WorkQueue;
pub(crate) use worker::Worker;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::future::{Call, Future, Started, is_worker_of};
use crate::bindings::hooks;
use crate::bindings::progress;
use crate::bindings::runtime::asynchronous::ThisThread;
use crate::bindings::runtime::fast_path::{Arguments, Attempt};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::runtime::{block, errors, foreign, interpreter, standard_frames};
use crate::bindings::task::{self, Task};
use crate::diagnostics::{labels, trace};
use crate::primitives::pool::{self, ORDINARY, Pool, Scaling, SubmitError};
use crate::wait::deadline::Deadline;
use crate::wait::scope::Inside;
use crate::wait::sync::Mutex;

/// True from the moment when the interpreter is about to exit. From then on no executor accepts calls.
static EXITING: AtomicBool = AtomicBool::new(false);

/// The pools of all executors. It may still hold some that were freed.
static POOLS: Mutex<Vec<Weak<Pool<Py<Future>>>>> = Mutex::new(Vec::new());

/// Make all executors refuse calls from now on, and their workers end when no call is pending. Called when the
/// interpreter exits.
#[pyfunction]
pub(crate) fn close_executors(py: Python<'_>) {
    // Called again because the import of the module may have been too early for it; this covers what happens from
    // now on.
    interpreter::attach_once(py);
    // `EXITING` first: an executor that is made in between sees it, and refuses calls by itself.
    EXITING.store(true, Ordering::SeqCst);
    for pool in pools() {
        pool.close();
    }
}

/// concurrent.futures.thread
fn standard_module(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    STANDARD_MODULE.get(py)
}

/// The pools of all executors that have not been freed.
pub(crate) fn pools() -> Vec<Arc<Pool<Py<Future>>>> {
    POOLS.lock().iter().filter_map(Weak::upgrade).collect()
}

/// Adds the pool to those that [`close_executors`] closes.
fn remember_pool(pool: &Arc<Pool<Py<Future>>>) {
    let mut pools = POOLS.lock();
    // Only when the vector is full, so the amortized cost is constant. This drops weak references to freed pools
    // only.
    if pools.len() == pools.capacity() {
        pools.retain(|pool| pool.strong_count() > 0);
    }
    pools.push(Arc::downgrade(pool));
}

/// Makes a pool that leaves submission to the standard class, which raises an AttributeError because `__init__`
/// has not run. `_oxthreads_configure` opens the pool.
fn new_pool() -> Arc<Pool<Py<Future>>> {
    let pool = Pool::new(0);
    #[cfg(Py_GIL_DISABLED)]
    let pool = pool.waking_one_by_one();
    let pool = Arc::new(pool);
    pool.fall_back();
    remember_pool(&pool);
    pool
}

/// What submission does when the maximum number of calls is pending.
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

/// The arguments of a submission, before there is a future.
struct Submission<'py> {
    function: Bound<'py, PyAny>,
    arguments: Bound<'py, PyTuple>,
    keywords: Option<Bound<'py, PyDict>>,
    priority: i64,
    /// Whether the call runs in a copy of the submitter's context.
    carries_context: bool,
    /// The task of a group that the call is, if it is one.
    task: Option<Task>,
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
    /// An index into `WhenFull::NAMES`.
    when_full: AtomicU8,
    carries_context: AtomicBool,
    /// Whether `__init__` has decided that the pool runs natively, but has not finished yet.
    is_being_made: AtomicBool,
}

lazy_imports! {
    // Not `errors::FULL`: importing `queue` takes long, and only an executor that accepts calls can be full. None does
    // while the interpreter is ending.
    for ThreadPoolExecutor, with function::IMPORTS, standard_frames::IMPORTS, errors::LOGGER, profiled::WRAPPERS;
    STANDARD_MODULE: PyAny = "oxthreads.concurrent.futures", "_thread";
}

impl Drop for ThreadPoolExecutor {
    /// Closes the pool of an executor that was dropped without a shutdown: the workers finish the pending calls
    /// and end.
    fn drop(&mut self) {
        self.pool.close();
        // Wakes threads that wait in the work queue and are not workers.
        self.pool.mark();
    }
}

/// A start of a worker, in progress. If a panic drops it, the start ends: otherwise a shutdown would wait for it
/// forever.
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
            Self::refuse_or_reopen(slf)?;
        }
        let pool = &slf.get().pool;
        let priority = submission.priority;
        let context = if submission.carries_context {
            Some(call::copy_context(py)?)
        } else {
            None
        };
        let future = Future::make(py)?;
        progress::follow(&future, &submission.function)?;
        let native = future.cast::<Future>()?;
        let call = Call::new(
            submission.function,
            submission.arguments,
            submission.keywords,
            context,
            pool.number(),
            submission.task,
        );
        let is_traced = trace::is_on();
        if is_traced {
            traced::submits(pool, &call, native);
        }
        native.get().carry(call);
        let submitted = pool.submit(native.clone().unbind(), priority);
        if is_traced {
            traced::has_pending(pool);
        }
        match submitted {
            Ok(Scaling::Enough) => Ok(future),
            Ok(Scaling::Start) => Self::start_worker(slf).and(Ok(future)),
            Err((refusal, job)) => Self::submit_refused(slf, refusal, job, priority),
        }
    }

    /// Raises what the standard submit() raises if the pool accepts no calls. If the reason for that is gone,
    /// opens the pool again.
    #[cold]
    fn refuse_or_reopen(slf: &Bound<'_, Self>) -> PyResult<()> {
        foreign::call_method(slf, hooks::REFUSE, (), None).map(foreign::release)
    }

    #[cold]
    fn submit_refused<'py>(
        slf: &Bound<'py, Self>,
        refusal: SubmitError,
        job: Py<Future>,
        priority: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // A `Bound`, because this may be the last reference to the future: see `fast_path`.
        let future = job.into_bound(py);
        let this = slf.get();
        match refusal {
            SubmitError::Closed => {
                Self::refuse_or_reopen(slf)?;
                match this.pool.submit(future.clone().unbind(), priority) {
                    Ok(Scaling::Enough) => Ok(future.into_any()),
                    Ok(Scaling::Start) => Self::start_worker(slf).and(Ok(future.into_any())),
                    Err((refusal, job)) => Self::submit_refused(slf, refusal, job, priority),
                }
            }
            SubmitError::FellBack => {
                let Some(mut call) = future.get().take_call() else {
                    return Ok(future.into_any());
                };
                let function = call.function.object().bind(py);
                let task = match call.task.take() {
                    Some(task) => Some(task.into_function(function)?),
                    None => None,
                };
                let function = task.as_ref().unwrap_or(function);
                let function = PyTuple::new(py, [function])?.into_any();
                let arguments = function
                    .add(call.arguments.object())?
                    .cast_into::<PyTuple>()?;
                let keywords = match &call.keywords {
                    Some(keywords) => Some(keywords.object().bind(py).cast::<PyDict>()?.clone()),
                    None => None,
                };
                let future = fallback::call_with(slf, "submit", &arguments, keywords.as_ref())?;
                if let Some(task) = &task {
                    task::follow(&future, task)?;
                }
                Ok(future)
            }
            SubmitError::Full => match this.when_full() {
                WhenFull::Raise => Err(errors::full(py)),
                // A worker of this pool must not wait for room here: while it waits, it cannot make room.
                WhenFull::Block if !is_worker_of(&this.pool) => {
                    let job = future.clone().unbind();
                    let mut waiting = this.pool.submit_when_room(job, priority);
                    let outcome = block::wait(py, &mut waiting, Deadline::NEVER);
                    drop(waiting.into_job().map(|job| job.into_bound(py)));
                    match outcome? {
                        Some(Err((refusal, job))) => {
                            Self::submit_refused(slf, refusal, job, priority)
                        }
                        Some(Ok(Scaling::Start)) => {
                            Self::start_worker(slf).and(Ok(future.into_any()))
                        }
                        Some(Ok(Scaling::Enough)) | None => Ok(future.into_any()),
                    }
                }
                WhenFull::Block | WhenFull::CallerRuns => {
                    this.run_here(&future)?;
                    Ok(future.into_any())
                }
            },
        }
    }

    /// Starts the worker for which a submission has reserved a place.
    fn start_worker(slf: &Bound<'_, Self>) -> PyResult<()> {
        // The call runs also if a scope of this thread was cancelled, so the start must not fail by that.
        let _outside = Inside::none();
        let started = Self::try_start(slf);
        if started.is_err() && slf.get().pool.scale_again() == Scaling::Start {
            // Other pending calls may count on the worker that did not start: try once more.
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
        let started = foreign::call_method(slf, hooks::START_WORKER, (), None)
            .and_then(|started| started.is_truthy());
        starting.started = *started.as_ref().unwrap_or(&false);
        pool.end_start(starting.started);
        std::mem::forget(starting);
        started.map(drop)
    }

    /// Starts a worker, if the pending calls need one and the pool may have one more.
    fn scale(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().pool.scale_for_pending() {
            Scaling::Start => Self::start_worker(slf),
            Scaling::Enough => Ok(()),
        }
    }

    /// Runs the call in the submitting thread. An exception that is not an `Exception` is also raised here: it may
    /// be a Ctrl-C, which is meant for the main thread.
    fn run_here(&self, future: &Bound<'_, Future>) -> PyResult<()> {
        let Started::Call(call) = Future::start(future)? else {
            return Ok(());
        };
        let record = pool::Worker::default();
        let begun = record.begin(call.submitted, Instant::now());
        let is_traced = trace::is_on();
        if is_traced {
            traced::begins(&self.pool, &call, future, false);
        }
        let (raised, ended) = call::run(call, future, ThisThread::new(future.py()), &record);
        if is_traced {
            traced::ends();
        }
        record.end(begun, Instant::now());
        self.pool.add_work(&record);
        match raised {
            Some(raised) => Err(raised),
            None => ended,
        }
    }
}

fast_methods! {
    Submit: ThreadPoolExecutor, ThreadPoolExecutor::submit_fast;
}

impl ThreadPoolExecutor {
    #[inline]
    fn submit_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        let (function, arguments) = arguments.first_and_others()?;
        Some(Self::submit_call(
            slf,
            Submission {
                function,
                arguments,
                keywords: None,
                priority: ORDINARY,
                carries_context: slf.get().carries_context.load(Ordering::Relaxed),
                task: None,
            },
        ))
    }
}

impl HasFallback for ThreadPoolExecutor {
    const ATTRIBUTES: &[&str] = &[];
    const STATE: &[&str] = &[];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.pool.has_fallen_back()
    }
}

impl HasFunctions for ThreadPoolExecutor {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![("submit", call::<Submit>)]
    }
}

impl ThreadPoolExecutor {
    /// `submit` for a task of a group.
    pub(crate) fn submit_task<'py>(
        slf: &Bound<'py, Self>,
        function: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
        keywords: Option<Bound<'py, PyDict>>,
        task: Task,
    ) -> PyResult<Bound<'py, PyAny>> {
        let submission = Submission {
            function,
            arguments,
            keywords,
            priority: ORDINARY,
            carries_context: slf.get().carries_context.load(Ordering::Relaxed),
            task: Some(task),
        };
        Self::submit_call(slf, submission)
    }

    /// The pool, for metrics.
    pub(crate) fn pool(&self) -> &Pool<Py<Future>> {
        &self.pool
    }
}

impl Observed for ThreadPoolExecutor {
    type Primitive = Pool<Py<Future>>;

    fn primitive(&self) -> &Self::Primitive {
        &self.pool
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
            is_being_made: AtomicBool::new(false),
        }
    }

    /// Run `fn(*args, **kwargs)` in a worker thread.
    ///
    /// Args:
    ///     fn: the callable.
    ///     *args: its positional arguments.
    ///     **kwargs: its keyword arguments.
    ///
    /// Returns:
    ///     Future: represents the call.
    ///
    /// Raises:
    ///     RuntimeError: after shutdown(), or once the interpreter exits.
    ///     BrokenThreadPool: the initializer of a worker failed.
    ///     queue.Full: max_pending calls are pending, and on_full is "raise".
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
            task: None,
        };
        Self::submit_call(slf, submission)
    }

    /// submit() with the options of a view. carries_context is None for the executor's own setting.
    fn _oxthreads_submit<'py>(
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
            task: None,
        };
        Self::submit_call(slf, submission)
    }

    /// Return the number (int) that stands for on_full in _oxthreads_configure().
    ///
    /// Raises:
    ///     ValueError: on_full is not one of the allowed values.
    #[staticmethod]
    fn _oxthreads_when_full(on_full: &str) -> PyResult<u8> {
        let place = (WhenFull::NAMES.iter()).position(|(name, _)| *name == on_full);
        let Some(place) = place.and_then(|place| u8::try_from(place).ok()) else {
            return Err(PyValueError::new_err(
                "on_full must be 'block', 'raise' or 'caller_runs'",
            ));
        };
        Ok(place)
    }

    /// Set the options, and accept calls from now on.
    ///
    /// Args:
    ///     max_pending (int or None): the maximum number of pending calls; None means no limit.
    ///     when_full (int): what submit() does at that limit; see _oxthreads_when_full().
    ///     carries_context (bool): whether calls run in a copy of the submitter's context.
    ///     helping (bool): whether a worker that waits for a pending call runs it.
    fn _oxthreads_configure(
        &self,
        max_pending: Option<usize>,
        when_full: u8,
        carries_context: bool,
        helping: bool,
        prefix: Option<&Bound<'_, PyString>>,
    ) {
        if let Some(prefix) = prefix {
            labels::set(self.primitive_address(), &prefix.to_string_lossy());
        }
        self.when_full.store(when_full, Ordering::Relaxed);
        self.carries_context
            .store(carries_context, Ordering::Relaxed);
        self.pool.set_backlog(max_pending.unwrap_or(usize::MAX));
        self.pool.set_helping(helping);
        self.pool.open();
    }

    /// Accept calls from now on, in a new pool without options: what _oxthreads_set_capacity() and
    /// _oxthreads_configure() do for it.
    fn _oxthreads_open(&self, workers: usize, prefix: Option<&Bound<'_, PyString>>) {
        if let Some(prefix) = prefix {
            labels::set(self.primitive_address(), &prefix.to_string_lossy());
        }
        self.pool.open_with(workers);
    }

    /// Accept no more calls, as _oxthreads_close(), and put a mark into the queue of pending calls.
    fn _oxthreads_shut_down(&self) {
        self.pool.close_with_mark();
    }

    /// Return the stats: workers, busy workers, pending calls, and finished calls; then, in seconds (float), the
    /// total and the maximum of the time that calls were pending, and the total and the maximum of the time that
    /// they ran.
    fn _oxthreads_statistics(&self) -> (usize, usize, usize, u64, f64, f64, f64, f64) {
        let pool::Statistics {
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

    /// Return the workers, as tuples: the number of the thread (int), how many calls it has ended (int), and whether it
    /// runs one now (bool).
    fn _oxthreads_workers(&self) -> Vec<(u32, u64, bool)> {
        self.pool.workers()
    }

    /// The number of workers that are idle.
    #[getter]
    fn _oxthreads_idle_workers(&self) -> usize {
        self.pool.idle()
    }

    /// The queue of pending calls.
    #[getter]
    fn _oxthreads_work_queue(slf: &Bound<'_, Self>) -> WorkQueue {
        WorkQueue::new(slf)
    }

    /// Start a worker, if the pending calls need one and the pool may have one more.
    fn _oxthreads_scale(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::scale(slf)
    }

    /// Wait until no worker is being started.
    fn _oxthreads_wait_for_starts(&self, py: Python<'_>) -> PyResult<()> {
        block::wait(py, &mut self.pool.wait_for_starts(), Deadline::NEVER)?;
        Ok(())
    }

    /// Whether __init__ is running and has decided that the pool runs natively.
    #[getter(_oxthreads_is_being_made)]
    fn is_being_made(&self) -> bool {
        self.is_being_made.load(Ordering::Relaxed)
    }

    #[setter(_oxthreads_is_being_made)]
    fn set_being_made(&self, is_being_made: bool) {
        self.is_being_made.store(is_being_made, Ordering::Relaxed);
    }

    /// Leave submission to the standard class. Calls that are pending here are still run. Return the number (int) of
    /// workers that were idle: they take no more calls here.
    fn _oxthreads_leave_submission(&self) -> usize {
        self.pool.fall_back()
    }

    #[getter]
    fn _oxthreads_has_fallen_back(&self) -> bool {
        self.pool.has_fallen_back()
    }

    /// Accept no more calls. The workers end when no call is pending.
    fn _oxthreads_close(&self) {
        self.pool.close();
    }

    /// Accept calls again after _oxthreads_close(), unless the interpreter exits.
    fn _oxthreads_reopen(&self) {
        if !EXITING.load(Ordering::SeqCst) {
            self.pool.reopen();
        }
    }

    /// Accept calls again, unless the interpreter exits. A program may have started the exit of the standard
    /// module, and then undone that. Return whether calls are accepted.
    fn _oxthreads_reopen_after_exit(slf: &Bound<'_, Self>) -> PyResult<bool> {
        // Under the lock of the standard module: an exit that begins now finds this pool open, and closes it.
        let reopened = place::unless_exiting(slf.py(), || {
            remember_pool(&slf.get().pool);
            EXITING.store(false, Ordering::SeqCst);
            slf.get().pool.reopen();
            Ok(())
        })?;
        Ok(reopened == Some(true))
    }

    /// Set the maximum number of workers.
    fn _oxthreads_set_capacity(&self, workers: usize) {
        self.pool.set_capacity(workers);
    }
}
