//! The life of a worker's thread, from its first instruction to its end, also when the thread is killed.
//!
//! "Killed" means: another thread has set an exception in this one with `PyThreadState_SetAsyncExc`. Python code may
//! raise it between any two bytecodes, Rust code does not. So what must happen in any case is done here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::bindings::executor::profiled;
use crate::bindings::executor::worker::Worker;
use crate::bindings::executor::{ThreadPoolExecutor, close_executors, standard_module};
use crate::bindings::fallback;
use crate::bindings::future::Future;
use crate::bindings::hooks;
use crate::bindings::runtime::foreign;
use crate::primitives::pool::Pool;

/// Runs `act` under the lock with which the standard module begins the exit, unless the exit has begun. Returns
/// whether it ran. `None`: the lock could not be acquired in one second. The wait has a limit because a garbage
/// collection in the thread that holds the lock may submit a call, and come here. Whatever is raised here, the
/// lock is released.
///
/// # Errors
/// What `act` returned.
pub(super) fn unless_exiting(
    py: Python<'_>,
    act: impl FnOnce() -> PyResult<()>,
) -> PyResult<Option<bool>> {
    let module = standard_module(py)?;
    let lock = module.getattr("_global_shutdown_lock")?;
    if !foreign::is_true(foreign::call_method(&lock, "acquire", (true, 1), None)?)? {
        return Ok(None);
    }
    let acted = module.getattr("_shutdown").and_then(|exiting| {
        if exiting.is_truthy()? {
            return Ok(false);
        }
        act().map(|()| true)
    });
    foreign::call_method(&lock, "release", (), None).map(foreign::release)?;
    acted.map(Some)
}

/// Add the worker, a thread, to _threads_queues of the standard module; the exit joins the threads that are there.
/// The exit reads that mapping after it has set _shutdown, so it changes only under the exit's lock. If the lock
/// cannot be acquired in one second, the worker is not added; it ends at the exit all the same.
#[pyfunction]
#[pyo3(signature = (worker, queue, /))]
pub(crate) fn register(worker: &Bound<'_, PyAny>, queue: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = worker.py();
    let entered = unless_exiting(py, || {
        let queues = standard_module(py)?.getattr("_threads_queues")?;
        foreign::call_method(&queues, "__setitem__", (worker, queue), None).map(drop)
    })?;
    if entered == Some(false) {
        close_executors(py);
    }
    Ok(())
}

/// Releases `_active_limbo_lock` of `threading` if this thread holds it. Every start and every end of a thread
/// takes that lock, and this thread does neither now. From Python 3.14 on, a thread that is killed while it waits
/// for a lock in a `with` statement may acquire the lock and leave it locked.
fn unlock_threads(py: Python<'_>) -> PyResult<()> {
    let threads = standard_module(py)?.getattr("threading")?;
    let lock = threads.getattr("_active_limbo_lock")?;
    while foreign::is_true(foreign::call_method(&lock, "_is_owned", (), None)?)? {
        foreign::call_method(&lock, "release", (), None).map(foreign::release)?;
    }
    Ok(())
}

/// What the thread of a worker is started with. The Python class that derives from it has the steps of a worker. This
/// class calls them, and does what must be done however they end: an exception that another thread sets in this one
/// (`PyThreadState_SetAsyncExc`) can be raised between any two steps of Python code, but not in here.
#[pyclass(subclass, frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Place {
    pool: Arc<Pool<Py<Future>>>,
    idle_timeout: Option<Duration>,
    /// Whether the thread has reached the point where it is a worker.
    has_begun: AtomicBool,
}

/// How often a step that must be done is tried again if it is killed too.
const MAX_ATTEMPTS: usize = 100;

#[pymethods]
impl Place {
    /// idle_timeout: seconds (float) without a call after which a worker ends; None means never.
    #[new]
    #[pyo3(signature = (executor, idle_timeout=None, _queue=None))]
    fn new(
        executor: &Bound<'_, ThreadPoolExecutor>,
        idle_timeout: Option<f64>,
        _queue: Option<&Bound<'_, PyAny>>,
    ) -> Self {
        Self {
            pool: Arc::clone(&executor.get().pool),
            // Seconds that do not fit into a `Duration` mean no limit.
            idle_timeout: idle_timeout
                .and_then(|timeout| Duration::try_from_secs_f64(timeout).ok()),
            has_begun: AtomicBool::new(false),
        }
    }

    /// What the thread runs first; calls the method of that name of the thread's class. If the thread is killed
    /// there, before it is a worker, `give_up` of the Python class ensures that nothing waits for it: neither the
    /// thread that starts it nor the calls that count on it. (Such a kill cannot be meant for this thread: threads
    /// are killed by their numbers, and the system gives the number of a thread that has ended to the next one.)
    fn _bootstrap(slf: &Bound<'_, Self>, thread: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        // Only the start of the thread needed it.
        fallback::forget_entry(thread, intern!(py, "_bootstrap"));
        let class = thread.get_type();
        let ended = foreign::attribute(&class, &PyString::new(py, "_bootstrap"))
            .and_then(|run| foreign::call(&run, &PyTuple::new(py, [thread])?, None))
            .map(foreign::release);
        let this = slf.get();
        let has_begun = this.has_begun.load(Ordering::Relaxed);
        if !has_begun {
            if let Some(record) = this.pool.arrive() {
                this.pool.leave(&record);
            }
            for _ in 0..MAX_ATTEMPTS {
                match foreign::call_method(slf, hooks::GIVE_UP, (thread,), None) {
                    Ok(_) => break,
                    Err(error) => drop(error.into_value(py).into_bound(py)),
                }
            }
        }
        if !has_begun || ended.is_err() {
            unlock_threads(py)?;
        }
        ended
    }

    /// Run as a worker in this thread: call `work` of the class until there is nothing left to do.
    fn initialize(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Self {
            pool, idle_timeout, ..
        } = slf.get();
        slf.get().has_begun.store(true, Ordering::Relaxed);
        let mut arrived = pool.arrive();
        while let Some(record) = arrived {
            profiled::arrives(pool);
            let worker = Worker::new(pool, Arc::clone(&record), *idle_timeout);
            let worked = Bound::new(slf.py(), worker)
                .and_then(|worker| foreign::call_method(slf, hooks::WORK, (worker,), None))
                .and_then(|stays| foreign::truth(&stays));
            pool.leave(&record);
            profiled::leaves();
            arrived = match worked {
                Ok(false) => None,
                Ok(true) => pool.stay(),
                Err(error) => {
                    Self::handle_kill(slf, error);
                    pool.stay()
                }
            };
        }
        Ok(())
    }
}

impl Place {
    /// Handles that the worker was killed: starts another one if one is needed, and logs the error. If that fails
    /// (the thread may be killed again), the pool is not affected.
    #[cold]
    fn handle_kill(slf: &Bound<'_, Self>, error: PyErr) {
        let py = slf.py();
        let replaced = foreign::call_method(slf, hooks::REPLACE, (), None);
        let replaced = unlock_threads(py).and(replaced.map(foreign::release));
        let error = error.into_value(py);
        let logged = foreign::call_method(slf, hooks::LOG, (error,), None).map(foreign::release);
        for failed in [replaced, logged].into_iter().filter_map(Result::err) {
            failed.write_unraisable(py, None);
        }
    }
}
