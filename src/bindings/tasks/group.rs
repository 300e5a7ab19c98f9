//! `TaskGroup`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::exceptions::{
    PyBaseExceptionGroup, PyGeneratorExit, PyKeyboardInterrupt, PyResourceWarning, PyRuntimeError,
    PySystemExit, PyValueError,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::bindings::executor::ThreadPoolExecutor;
use crate::bindings::future::{Future, is_worker_of, name_of, run_as_worker};
use crate::bindings::runtime::cancellation::{self, Cancelled};
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{block, errors, foreign};
use crate::bindings::task::{self, ENTERED_GROUPS, Group, Task, cancelled_error, entered_groups};
use crate::bindings::tasks::scope::{Coming, coming, grace};
use crate::diagnostics::labels;
use crate::primitives::task_group::Awaited;
use crate::wait::deadline::Deadline;
use crate::wait::scope::{self, Inside, Left, Scope};
use crate::wait::sync::Arc;
use crate::wait::threads::ThreadNumber;

lazy_imports! {
    pub(super) IMPORTS, with task::IMPORTS;
    NEW_POOL: PyAny = "oxthreads.tasks", "_new_pool";
    VIEWED_POOL: PyAny = "oxthreads.tasks", "_viewed_pool";
    RUNS_NATIVELY: PyAny = "oxthreads.tasks", "_runs_natively";
}

const NEW: u8 = 0;
const ENTERED: u8 = 1;
const LEAVING: u8 = 2;
const LEFT: u8 = 3;

/// A group of calls in threads, which end before the group does. Use it in a ``with`` statement.
///
/// At the end of the ``with`` block, it waits until all its tasks have ended. If a task raises an exception, the others
/// are cancelled: those that have not begun never do, and the waits of those that run are ended by :exc:`Cancelled`. The
/// wait of the ``with`` block itself is ended, too. What went wrong is raised at the end of the block as an
/// `ExceptionGroup`, which ``except*`` takes apart.
///
/// Args:
///     executor (concurrent.futures.Executor or None): what runs the tasks. None: threads of the group's own, as many as
///         there are tasks at a time, which have ended when the block has. Another executor is not shut down.
///     max_workers (int or None): how many threads of its own it may have at a time. None: no limit.
///     name (str or None): its name, for reports and for the names of its threads.
///     grace (float or None): see :class:`CancelScope`.
///
/// Raises:
///     ValueError: max_workers is less than 1 or given together with an executor; or grace is negative.
///
/// All threads may submit tasks and call ``cancel()``, also the tasks. A group is entered once, by one thread, and left
/// by the same thread.
///
/// A task in a thread of the group's own sees the context variables of its submitter, in a copy.
///
/// If Ctrl-C ends the block, or the wait at its end, the tasks are cancelled, and KeyboardInterrupt is raised when they
/// have ended. A second Ctrl-C leaves them behind, with a ResourceWarning. In a forked child, a group has no tasks.
///
/// If the thread that leaves the group is a worker of its pool, it runs tasks that have not begun itself: groups inside of
/// tasks on the same pool do not wait for a free worker.
///
/// An executor of another library may be used if it has ``submit``. In a thread of this process, the waits of its tasks
/// are ended as above. In another process, they go on; but a pool of :mod:`oxthreads.processes` ends the process.
///
/// Example:
///     >>> from oxthreads.tasks import TaskGroup
///     >>> with TaskGroup() as group:
///     ...     small = group.submit(pow, 2, 5)
///     ...     large = group.submit(pow, 2, 6)
///     >>> small.result(), large.result()
///     (32, 64)
#[pyclass(weakref, frozen, module = "oxthreads.tasks")]
pub(crate) struct TaskGroup {
    group: Arc<Group>,
    given: Option<Py<PyAny>>,
    /// The pool of its own, once there is one.
    own: OnceLock<Py<PyAny>>,
    /// Whether the executor is a pool that knows of groups; once that is known.
    is_native: OnceLock<bool>,
    max_workers: Option<usize>,
    state: AtomicU8,
}

impl Drop for TaskGroup {
    /// A thread that was interrupted right after it had entered the group, before its `with` block began, never leaves it.
    fn drop(&mut self) {
        if *self.state.get_mut() == ENTERED {
            self.group.scope.end();
        }
    }
}

/// What has come out of a `with` block.
enum Body {
    /// Nothing; or its end, because the group was cancelled.
    Ended { was_cancelled: bool },
    /// The cancellation of a scope around it.
    Outside,
    /// An exception that goes on by itself: Ctrl-C, for example.
    Leaving,
    /// An error.
    Failed(Py<PyAny>),
}

/// How the wait for the tasks went.
#[derive(Default)]
struct Waited {
    /// A signal handler has raised this, or two of them.
    interrupted: Option<PyErr>,
    /// A scope around the group was cancelled.
    outside: Option<PyErr>,
    /// Tasks were left behind.
    left: bool,
}

impl TaskGroup {
    /// See `address_of`.
    pub(crate) fn primitive_address(&self) -> usize {
        self.group.address()
    }

    fn executor<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyAny>>
    where
        'py: 'a,
    {
        if let Some(given) = &self.given {
            return Ok(given.bind(py));
        }
        if let Some(own) = self.own.get() {
            return Ok(own.bind(py));
        }
        let arguments = (self.max_workers, self.group.name.as_deref()).into_pyobject(py)?;
        let made = foreign::call(NEW_POOL.get(py)?, &arguments, None)?;
        // Another thread may have been faster. A pool without calls has no threads.
        let own = self.own.get_or_init(|| made.unbind()).bind(py);
        if let Ok(pool) = own.cast::<ThreadPoolExecutor>() {
            let pool = pool.get().pool();
            let address = std::ptr::from_ref(pool).addr();
            self.group.has_own_pool(pool.number(), address);
        }
        Ok(own)
    }

    /// The pool whose workers run the tasks, if it is one of ours, be it that the group was given a view of it.
    fn pool<'py>(&self, py: Python<'py>) -> Option<Bound<'py, ThreadPoolExecutor>> {
        let executor = self.given.as_ref().or(self.own.get())?.bind(py);
        if let Ok(pool) = executor.cast::<ThreadPoolExecutor>() {
            return Some(pool.clone());
        }
        let arguments = PyTuple::new(py, [executor]).ok()?;
        let viewed = foreign::call(VIEWED_POOL.get(py).ok()?, &arguments, None).ok()?;
        viewed.cast_into::<ThreadPoolExecutor>().ok()
    }

    /// The executor, if it is a pool that knows of groups.
    fn native<'a, 'py>(
        &self,
        executor: &'a Bound<'py, PyAny>,
    ) -> PyResult<Option<&'a Bound<'py, ThreadPoolExecutor>>> {
        let Ok(pool) = executor.cast::<ThreadPoolExecutor>() else {
            return Ok(None);
        };
        let is_native = match self.is_native.get() {
            Some(is_native) => *is_native,
            None => {
                let arguments = PyTuple::new(executor.py(), [executor])?;
                let asked = foreign::call(RUNS_NATIVELY.get(executor.py())?, &arguments, None)?;
                *self
                    .is_native
                    .get_or_init(|| asked.is_truthy().unwrap_or(false))
            }
        };
        Ok(is_native.then_some(pool))
    }

    fn start<'py>(
        slf: &Bound<'py, Self>,
        function: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
        keywords: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let group = &this.group;
        match this.state.load(Ordering::Acquire) {
            NEW => {
                let message = format!("{} has not been entered", group.display());
                return Err(PyRuntimeError::new_err(message));
            }
            LEFT => {
                let message = format!("{} is finished", group.display());
                return Err(PyRuntimeError::new_err(message));
            }
            _ => {}
        }
        // A loop that submits must end, too.
        cancellation::check(py)?;
        let Some(task) = Task::new(group) else {
            let message = format!("{} is finished", group.display());
            return Err(PyRuntimeError::new_err(message));
        };
        let place = task.place();
        let executor = this.executor(py)?;
        let (submitted, call) = match this.native(executor)? {
            Some(pool) => {
                let submitted =
                    ThreadPoolExecutor::submit_task(pool, function, arguments, keywords, task);
                (submitted, None)
            }
            None => {
                let call = task.into_function(&function)?;
                let all = PyTuple::new(py, [&call])?
                    .into_any()
                    .add(arguments)?
                    .cast_into::<PyTuple>()?;
                let submitted = foreign::attribute(executor, intern!(py, "submit"))
                    .and_then(|submit| foreign::call(&submit, &all, keywords.as_ref()));
                (submitted, Some(call))
            }
        };
        let future = match submitted {
            Ok(future) => future,
            Err(error) => {
                // The executor may have it all the same: if Ctrl-C came while it started a thread, for example.
                drop(group.tasks.withdraw(place));
                return Err(error);
            }
        };
        let begun = group.tasks.keep(place, future.clone().unbind());
        drop(begun.map(|future| future.into_bound(py)));
        if let Some(call) = call {
            task::follow(&future, &call)?;
        }
        if group.scope.is_cancelled() {
            // It was cancelled before the future was known.
            if let Some(raised) = group.cancel(py) {
                return Err(raised);
            }
        }
        Ok(future)
    }

    /// Finds out how the `with` block has ended.
    fn body<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Body> {
        let py = slf.py();
        let group = &slf.get().group;
        if value.is_none() {
            return Ok(Body::Ended {
                was_cancelled: false,
            });
        }
        let ended = Body::Ended {
            was_cancelled: true,
        };
        let is_own = || slf.getattr(intern!(py, "_is_own"));
        Ok(match coming(value, &group.scope, is_own)? {
            Coming::Own => ended,
            Coming::Rest(rest) => Body::Failed(rest),
            Coming::Other if value.is_instance_of::<Cancelled>() => Body::Outside,
            // `result()` of a task that was cancelled, by the group or by a scope around it.
            Coming::Other
                if value.is_instance(&cancelled_error(py))?
                    && !Scope::look(&group.scope).cancelled.is_empty() =>
            {
                group.has_ended_task.store(true, Ordering::Relaxed);
                ended
            }
            Coming::Other if leaves_alone(value) => Body::Leaving,
            Coming::Other => Body::Failed(value.clone().unbind()),
        })
    }

    /// Waits until all tasks have ended. A first interruption cancels them, and a second one leaves them behind.
    fn wait(&self, py: Python<'_>, interrupted: Option<PyErr>, was: u32) -> PyResult<Waited> {
        let group = &self.group;
        let pool = self.pool(py);
        let pool = pool.as_ref().map(|pool| pool.get().pool());
        let helps = pool.is_some_and(|pool| is_worker_of(pool) && !pool.has_fallen_back());
        let mut interruptions = was + u32::from(interrupted.is_some());
        let mut waited = Waited {
            interrupted,
            ..Waited::default()
        };
        loop {
            // The scopes around it end the wait once: that cancels the tasks.
            let _alone = (waited.outside.is_some()).then(|| Inside::new(None));
            let error = match block::wait(py, &mut group.tasks.wait(helps), Deadline::NEVER) {
                Ok(Some(Awaited::Ended) | None) => return Ok(waited),
                Ok(Some(Awaited::Pending)) => {
                    let Some(future) = group.tasks.take_pending() else {
                        continue;
                    };
                    let future = future.into_bound(py);
                    match (pool, future.cast::<Future>()) {
                        (Some(pool), Ok(future)) => match run_as_worker(pool, future) {
                            Ok(_) => continue,
                            Err(error) => error,
                        },
                        _ => continue,
                    }
                }
                Err(error) => error,
            };
            if errors::is_finalizing(&error, py) {
                return Err(error);
            }
            if error.is_instance_of::<Cancelled>(py) {
                waited.outside = Some(error);
            } else {
                interruptions += 1;
                waited.interrupted = Some(errors::after(py, error, waited.interrupted.take()));
            }
            if let Some(raised) = group.cancel(py) {
                interruptions += 1;
                waited.interrupted = Some(errors::after(py, raised, waited.interrupted.take()));
            }
            if interruptions >= 2 {
                waited.left = group.tasks.counts().0 > 0;
                return Ok(waited);
            }
        }
    }

    /// Ends the threads of its own.
    fn end_threads(&self, py: Python<'_>, waited: &mut Waited) {
        let Some(own) = self.own.get() else { return };
        // Not interrupted by the scopes around it: the threads have no work left.
        let _alone = Inside::new(None);
        let own = own.bind(py);
        // Its threads end, even if Ctrl-C comes before shutdown() has done anything.
        if let Ok(pool) = own.cast::<ThreadPoolExecutor>() {
            pool.get().pool().close_with_mark();
        }
        if waited.left {
            let keywords = PyDict::new(py);
            let _ = keywords.set_item("wait", false);
            if let Err(error) = foreign::call_method(own, "shutdown", (), Some(&keywords)) {
                error.write_unraisable(py, Some(own));
            }
            return;
        }
        for _ in 0..2 {
            match foreign::call_method(own, "shutdown", (), None) {
                Ok(_) => return,
                Err(error) => {
                    waited.interrupted = Some(errors::after(py, error, waited.interrupted.take()));
                }
            }
        }
    }

    fn warn(&self, py: Python<'_>) {
        let (unfinished, _) = self.group.tasks.counts();
        let mut functions = Vec::new();
        self.group.tasks.for_each(|_, running| {
            if let Some(running) = running {
                functions.push(running.function.clone_ref(py));
            }
        });
        let names: Vec<String> = (functions.into_iter())
            .map(|function| name_of(&function.into_bound(py)))
            .collect();
        let message = format!(
            "{} was left while {unfinished} of its tasks had not ended: {}",
            self.group.display(),
            names.join(", ")
        );
        let warned = std::ffi::CString::new(message)
            .map_err(PyErr::from)
            .and_then(|message| PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &message, 1));
        if let Err(error) = warned {
            error.write_unraisable(py, None);
        }
    }
}

fast_built_ins! {
    Submit: TaskGroup, c"submit", TaskGroup::submit_fast;
    StartSoon: TaskGroup, c"start_soon", TaskGroup::start_soon_fast;
}

impl TaskGroup {
    #[inline]
    fn submit_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        let (function, arguments) = arguments.first_and_others()?;
        Some(Self::start(slf, function, arguments, None))
    }

    #[inline]
    fn start_soon_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        let started = Self::submit_fast(slf, arguments)?;
        Some(started.map(|future| {
            foreign::release(future);
            arguments.py().None().into_bound(arguments.py())
        }))
    }

    /// Installs the fast paths; see [`fast_path`]. Must be called before the class is used.
    pub(crate) fn install_fast_paths(py: Python<'_>) -> PyResult<()> {
        let class = py.get_type::<Self>();
        fast_path::install::<Submit>(&class)?;
        fast_path::install::<StartSoon>(&class)
    }
}

/// Whether the exception ends more than the group, and is raised as it is.
fn leaves_alone(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyKeyboardInterrupt>()
        || value.is_instance_of::<PySystemExit>()
        || value.is_instance_of::<PyGeneratorExit>()
}

/// Everything that went wrong, as one exception. It is raised as by `raise ... from None`.
fn group_error(py: Python<'_>, group: &Group, errors: &[Py<PyAny>]) -> PyErr {
    let message = match &group.name {
        Some(name) => format!("unhandled errors in TaskGroup {name:?}"),
        None => "unhandled errors in a TaskGroup".to_owned(),
    };
    let made = PyList::new(py, errors).and_then(|errors| {
        let class = py.get_type::<PyBaseExceptionGroup>();
        let arguments = (message, errors).into_pyobject(py)?;
        let made = foreign::call(class.as_any(), &arguments, None)?;
        made.setattr(intern!(py, "__suppress_context__"), true)?;
        Ok(made)
    });
    made.map_or_else(|error| error, PyErr::from_value)
}

#[pymethods]
impl TaskGroup {
    #[new]
    #[pyo3(signature = (executor=None, *, max_workers=None, name=None, grace=None))]
    fn new(
        executor: Option<Py<PyAny>>,
        max_workers: Option<isize>,
        name: Option<String>,
        grace: Option<f64>,
    ) -> PyResult<Self> {
        let max_workers = match max_workers {
            None => None,
            Some(_) if executor.is_some() => {
                return Err(PyValueError::new_err(
                    "max_workers is for the threads of the group, and not for another executor",
                ));
            }
            Some(workers) => match usize::try_from(workers) {
                Ok(workers) if workers > 0 => Some(workers),
                _ => {
                    return Err(PyValueError::new_err("max_workers must be greater than 0"));
                }
            },
        };
        let group = Group::new(name, self::grace(grace)?);
        Ok(Self {
            group,
            given: executor,
            own: OnceLock::new(),
            is_native: OnceLock::new(),
            max_workers,
            state: AtomicU8::new(NEW),
        })
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let entered =
            this.state
                .compare_exchange(NEW, ENTERED, Ordering::AcqRel, Ordering::Acquire);
        if entered.is_ok() {
            cancellation::pass_on_to(slf.py(), &this.group.scope);
        }
        if entered.is_err() || scope::enter(&this.group.scope).is_err() {
            let message = format!("{} has already been entered", this.group.display());
            return Err(PyRuntimeError::new_err(message));
        }
        let _ = (this.group.opener).set((ThreadNumber::current_or_zero(), scope::current_run()));
        ENTERED_GROUPS.lock().push(Arc::downgrade(&this.group));
        Ok(slf.clone())
    }

    fn __exit__<'py>(
        slf: &Bound<'py, Self>,
        _kind: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let group = &this.group;
        if this.state.load(Ordering::Acquire) != ENTERED {
            let message = format!("{} is not entered", group.display());
            return Err(PyRuntimeError::new_err(message));
        }
        let left = scope::leave(&group.scope);
        if left == Left::NotInside {
            let message = format!(
                "{} must be left by the thread that has entered it",
                group.display()
            );
            return Err(PyRuntimeError::new_err(message));
        }
        this.state.store(LEAVING, Ordering::Release);
        group.is_leaving.store(true, Ordering::Relaxed);
        let (body, failed) = match Self::body(slf, value) {
            Ok(body) => (body, None),
            // A program's own group of exceptions may raise when it is taken apart; and Ctrl-C may come meanwhile.
            Err(error) => (Body::Failed(value.clone().unbind()), Some(error)),
        };
        let mut interrupted = None;
        if let Some(error) = failed {
            if leaves_alone(error.value(py).as_any()) {
                interrupted = Some(error);
            } else {
                group.fail(py, &error);
            }
        }
        if !matches!(
            body,
            Body::Ended {
                was_cancelled: false
            }
        ) && let Some(raised) = group.cancel(py)
        {
            interrupted = Some(errors::after(py, raised, interrupted));
        }
        let was_interrupted = value.is_instance_of::<PyKeyboardInterrupt>();
        let mut waited = this.wait(py, interrupted, u32::from(was_interrupted))?;
        if waited.outside.is_none() && group.has_ended_task.load(Ordering::Relaxed) {
            // If a scope around the group has ended a task, it ends the block, too, although the tasks have ended before
            // this thread has noticed.
            waited.outside = cancellation::check(py).err();
        }
        this.end_threads(py, &mut waited);
        this.state.store(LEFT, Ordering::Release);
        (ENTERED_GROUPS.lock()).retain(|entered| {
            entered.strong_count() > 0 && !entered.ptr_eq(&Arc::downgrade(group))
        });
        if waited.left {
            this.warn(py);
        }
        let mut errors = std::mem::take(&mut *group.errors.lock());
        if let Body::Failed(error) = &body
            && !errors.iter().any(|kept| kept.is(error))
        {
            errors.push(error.clone_ref(py));
        }
        let leaving = errors.iter().position(|error| leaves_alone(error.bind(py)));
        let leaving = leaving.map(|index| errors.remove(index));
        let failed = (!errors.is_empty()).then(|| group_error(py, group, &errors));
        if let Some(interrupted) = waited.interrupted {
            return Err(errors::after(py, interrupted, failed));
        }
        if let Body::Leaving = body {
            errors::after(py, PyErr::from_value(value.clone()), failed);
            return Ok(false);
        }
        if let Some(leaving) = leaving {
            let leaving = PyErr::from_value(leaving.into_bound(py));
            return Err(errors::after(py, leaving, failed));
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
        if left == Left::OutOfOrder {
            let message = format!(
                "{} was left before a scope that was entered inside of it",
                group.display()
            );
            return Err(PyRuntimeError::new_err(message));
        }
        match (body, waited.outside) {
            (Body::Outside, _) => Ok(false),
            (_, Some(outside)) => Err(outside),
            (Body::Ended { was_cancelled }, None) => Ok(was_cancelled),
            (Body::Leaving | Body::Failed(_), None) => Ok(false),
        }
    }

    /// Whether the exception ends this group.
    fn _is_own(&self, exception: &Bound<'_, PyAny>) -> bool {
        (exception.cast::<Cancelled>())
            .is_ok_and(|cancelled| cancelled.get().is_of(&self.group.scope))
    }

    /// Call `fn(*args, **kwargs)` in a thread.
    ///
    /// Args:
    ///     fn: the callable.
    ///     *args: its positional arguments.
    ///     **kwargs: its keyword arguments.
    ///
    /// Returns:
    ///     Future: represents the call. If the task is cancelled while it runs, its exception is a CancelledError.
    ///
    /// Raises:
    ///     RuntimeError: the group is not entered, or was left; or the executor accepts no calls.
    ///     Cancelled: the calling thread is in a scope that was cancelled, such as that of the group.
    ///
    /// If another thread calls this after the group was cancelled, the returned future is cancelled, too.
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::start(slf, r#fn, args, kwargs)
    }

    /// Call `fn(*args, **kwargs)` in a thread, without a future. As submit() otherwise.
    ///
    /// Args:
    ///     fn: the callable. What it returns is dropped.
    ///     *args: its positional arguments.
    ///     **kwargs: its keyword arguments.
    ///
    /// Raises:
    ///     RuntimeError: see submit().
    ///     Cancelled: see submit().
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn start_soon<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        Self::start(slf, r#fn, args, kwargs).map(foreign::release)
    }

    /// Cancel all tasks of the group, and the ``with`` block. That is no error: the program goes on after the block.
    ///
    /// All threads may call it, also more than once.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.group.cancel(py).map_or(Ok(()), Err)
    }

    /// The name of the group (str or None).
    #[getter]
    fn name(&self) -> Option<&str> {
        self.group.name.as_deref()
    }

    /// Whether the group was cancelled (bool), by `cancel()` or because something went wrong.
    #[getter]
    fn cancel_called(&self) -> bool {
        self.group.scope.is_cancelled()
    }

    fn __repr__(&self) -> String {
        let (unfinished, running) = self.group.tasks.counts();
        let state = match self.state.load(Ordering::Acquire) {
            NEW => "not entered",
            ENTERED => "entered",
            LEAVING => "leaving",
            _ => "left",
        };
        let name = match &self.group.name {
            Some(name) => format!(" {name:?}"),
            None => String::new(),
        };
        let cancelled = if self.group.scope.is_cancelled() {
            ", cancelled"
        } else {
            ""
        };
        format!("<TaskGroup{name} {state}, {unfinished} tasks, {running} running{cancelled}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(given) = &self.given {
            visit.call(given)?;
        }
        if let Some(own) = self.own.get() {
            visit.call(own)?;
        }
        let mut result = Ok(());
        self.group.tasks.for_each(|pending, running| {
            let objects = pending
                .into_iter()
                .chain(running.map(|running| &running.function));
            for object in objects {
                if result.is_ok() {
                    result = visit.call(object);
                }
            }
        });
        result?;
        (self.group.errors.lock().iter()).try_for_each(|error| visit.call(error))
    }
}

/// A task that runs: the number of the thread, a number of what the thread does, the name of the function, whether the task
/// ends before the thread does anything else, and the function.
type DescribedTask = (u32, u64, String, bool, Py<PyAny>);

/// Return the groups that threads have entered and not left, as tuples: the number of the group (int); its name (str or
/// None); the address that waits for it have (int); the number of the group inside of which it was entered (int; zero:
/// none); the number of the thread that has entered it (int), and a number of what that thread did (int); whether it was
/// cancelled (bool); whether the thread has left the block, and waits for the tasks (bool); how many tasks have not begun
/// (int); and the tasks that run, as tuples: the number of the thread (int), a number of what the thread does (int), the
/// name of the function (str), whether the task ends before the thread does anything else (bool), and the function.
///
/// To drop what is returned may run code of the program.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "a plain record for Python")]
pub(crate) fn task_groups(
    py: Python<'_>,
) -> Vec<(
    u64,
    Option<String>,
    usize,
    u64,
    u32,
    u64,
    bool,
    bool,
    usize,
    Vec<DescribedTask>,
)> {
    let groups = entered_groups();
    (groups.iter())
        .map(|group| {
            let mut pending = 0;
            let mut tasks = Vec::new();
            group.tasks.for_each(|_, running| match running {
                Some(running) => tasks.push((
                    running.thread,
                    running.run.number(),
                    running.ends_in_thread,
                    running.function.clone_ref(py),
                )),
                None => pending += 1,
            });
            let tasks = (tasks.into_iter())
                .map(|(thread, run, ends_in_thread, function)| {
                    let name = name_of(function.bind(py));
                    (thread, run, name, ends_in_thread, function)
                })
                .collect();
            let (opener, run) =
                (group.opener.get()).map_or((0, 0), |(opener, run)| (*opener, run.number()));
            (
                group.number,
                labels::of(group.address()).map(|name| name.to_string()),
                group.address(),
                group.parent(&groups),
                opener,
                run,
                group.scope.is_cancelled(),
                group.is_leaving.load(Ordering::Relaxed),
                pending,
                tasks,
            )
        })
        .collect()
}
