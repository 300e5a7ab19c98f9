//! The tasks of a group: what a group has in common with those that run its tasks, executors and futures.
//!
//! `tasks/group.rs` has the group that a program uses.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::Duration;

use pyo3::exceptions::{PyBaseExceptionGroup, PyException};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::cancellation::{self, Cancelled};
use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::diagnostics::{group_names, labels, trace};
use crate::primitives::task_group::{Place, TaskGroup};
use crate::wait::deadline::Deadline;
use crate::wait::gil_mutex::GilMutex;
use crate::wait::scope::{self, Inside, Run, Scope};
use crate::wait::sync::{Arc, Mutex};
use crate::wait::threads::ThreadNumber;

lazy_imports! {
    /// What tasks look up.
    pub(crate) IMPORTS, with errors::CANCELLED;
    PARTIAL: PyAny = "functools", "partial";
}

/// What is known of a task that runs.
pub(crate) struct Running {
    /// The number of its thread.
    pub(crate) thread: u32,
    /// What its thread does now is told from what it does later or around that.
    pub(crate) run: Run,
    pub(crate) function: Py<PyAny>,
    /// Whether it ends before its thread does anything else.
    pub(crate) ends_in_thread: bool,
}

/// A group of tasks, which its tasks keep alive.
pub(crate) struct Group {
    pub(crate) number: u64,
    pub(crate) name: Option<String>,
    pub(crate) scope: Arc<Scope>,
    /// The futures of the tasks that have not begun, and what runs.
    pub(crate) tasks: TaskGroup<Py<PyAny>, Running>,
    /// What went wrong, in that order.
    pub(crate) errors: Mutex<Vec<Py<PyAny>>>,
    /// Whether a task was ended by the cancellation of a scope, be it that of the group or one around it.
    pub(crate) has_ended_task: AtomicBool,
    /// The thread that has entered it, and what that did.
    pub(crate) opener: OnceLock<(u32, Run)>,
    /// Whether that thread has left the block, and waits for the tasks.
    pub(crate) is_leaving: AtomicBool,
    /// The number of the pool of its own.
    own_pool: OnceLock<u64>,
}

impl Drop for Group {
    fn drop(&mut self) {
        labels::forget(self.address());
        if let Some(pool) = self.own_pool.get() {
            group_names::forget_pool(*pool);
        }
    }
}

/// The groups that threads have entered and not left.
pub(crate) static ENTERED_GROUPS: Mutex<Vec<Weak<Group>>> = Mutex::new(Vec::new());

/// These groups, as far as this process has entered them.
pub(crate) fn entered_groups() -> Vec<Arc<Group>> {
    let groups: Vec<_> = (ENTERED_GROUPS.lock().iter())
        .filter_map(Weak::upgrade)
        .collect();
    // Not above: what is dropped here may be the last reference.
    (groups.into_iter())
        .filter(|group| group.scope.is_of_this_process())
        .collect()
}

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Group {
    /// A group without tasks. `grace`: how long code that handles its cancellation may wait.
    pub(crate) fn new(name: Option<String>, grace: Duration) -> Arc<Self> {
        let group = Arc::new(Self {
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            scope: Scope::new(Deadline::NEVER, false, grace),
            tasks: TaskGroup::new(),
            errors: Mutex::new(Vec::new()),
            has_ended_task: AtomicBool::new(false),
            opener: OnceLock::new(),
            is_leaving: AtomicBool::new(false),
            own_pool: OnceLock::new(),
            name,
        });
        if let Some(name) = &group.name {
            labels::set(group.address(), name);
        }
        group
    }

    /// The address that waits for the group have.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(&self.tasks).addr()
    }

    /// The group inside of which it was entered, as far as that is still entered.
    pub(crate) fn parent(&self, groups: &[Arc<Self>]) -> u64 {
        let number_of = |scope: Arc<Scope>| {
            (groups.iter())
                .find(|group| Arc::ptr_eq(&group.scope, &scope))
                .map(|group| group.number)
        };
        self.scope.around().find_map(number_of).unwrap_or(0)
    }

    /// What a trace shows of it.
    fn traced(&self) -> trace::Group {
        trace::Group {
            number: self.number,
            name: labels::of(self.address()),
            inside: self.parent(&entered_groups()),
        }
    }

    /// The pool of its own has this number and this address.
    pub(crate) fn has_own_pool(&self, number: u64, address: usize) {
        let _ = self.own_pool.set(number);
        group_names::is_own_pool(number, address, self.address());
    }

    /// A task has failed: the error is kept, and the other tasks are cancelled.
    pub(crate) fn fail(&self, py: Python<'_>, error: &PyErr) {
        // `result()` of a task that was cancelled.
        let is_consequence = error.is_instance(py, &cancelled_error(py))
            && !Scope::look(&self.scope).cancelled.is_empty();
        if is_consequence {
            return;
        }
        let value = error.value(py).clone().into_any().unbind();
        {
            let mut errors = self.errors.lock();
            if !errors.iter().any(|kept| kept.is(&value)) {
                errors.push(value);
            }
        }
        if let Some(raised) = self.cancel(py) {
            (self.errors.lock()).push(raised.into_value(py).into_any());
        }
    }

    /// Ends the waits of the tasks, and the tasks that have not begun. Returns what was raised meanwhile, if that is no
    /// `Exception`: Ctrl-C, for example.
    pub(crate) fn cancel(&self, py: Python<'_>) -> Option<PyErr> {
        self.scope.cancel();
        let mut raised = None;
        while let Some(future) = self.tasks.take_pending() {
            let future = future.into_bound(py);
            if let Err(error) = cancel_future(&future) {
                if error.is_instance_of::<PyException>(py) {
                    // The others are to be cancelled, too.
                    error.write_unraisable(py, Some(&future));
                } else {
                    raised = Some(errors::after(py, error, raised));
                }
            }
            foreign::release(future);
        }
        raised
    }

    pub(crate) fn display(&self) -> String {
        match &self.name {
            Some(name) => format!("TaskGroup {name:?}"),
            None => "a TaskGroup".to_owned(),
        }
    }
}

/// The class concurrent.futures.CancelledError.
pub(crate) fn cancelled_error(py: Python<'_>) -> Bound<'_, PyAny> {
    errors::cancelled(py).get_type(py).into_any()
}

fn cancel_future(future: &Bound<'_, PyAny>) -> PyResult<()> {
    foreign::call_method(future, "cancel", (), None).map(foreign::release)
}

/// A task of a group that has not ended. When it is dropped, it has.
pub(crate) struct Task {
    group: Arc<Group>,
    place: Place,
}

impl Drop for Task {
    fn drop(&mut self) {
        // What was kept is dropped here, without a leaf lock.
        drop(self.group.tasks.end(self.place));
    }
}

impl Task {
    /// A new task of the group, which has not begun. `None`: the group is closed.
    pub(crate) fn new(group: &Arc<Group>) -> Option<Self> {
        let place = group.tasks.add()?;
        Some(Self {
            group: Arc::clone(group),
            place,
        })
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The number of its group.
    pub(crate) fn group_number(&self) -> u64 {
        self.group.number
    }

    /// What a trace shows of its group.
    pub(crate) fn traced_group(&self) -> trace::Group {
        self.group.traced()
    }

    /// The task begins in the calling thread, which is inside the scope of the group from now on. `ends_in_thread`: it ends
    /// before the thread does anything else.
    ///
    /// # Errors
    /// The task, if the function is not to be called: its group was cancelled, or its submission was interrupted.
    pub(crate) fn begin(
        self,
        py: Python<'_>,
        function: &Py<PyAny>,
        ends_in_thread: bool,
    ) -> Result<RunningTask, Self> {
        if !Scope::look(&self.group.scope).cancelled.is_empty() {
            self.group.has_ended_task.store(true, Ordering::Relaxed);
            return Err(self);
        }
        let inside = Inside::new(Some(Arc::clone(&self.group.scope)));
        let running = Running {
            thread: ThreadNumber::current_or_zero(),
            run: scope::current_run(),
            function: function.clone_ref(py),
            ends_in_thread,
        };
        match self.group.tasks.begin(self.place, running) {
            Ok(kept) => drop(kept),
            Err(_) => return Err(self),
        }
        Ok(RunningTask { inside, task: self })
    }

    /// The task as a function: for an executor that knows nothing of groups.
    pub(crate) fn into_function<'py>(
        self,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = TaskCall {
            function: function.clone().into(),
            task: GilMutex::new(Some(self)),
        };
        Ok(Bound::new(function.py(), call)?.into_any())
    }
}

/// Tells the group when the executor has finished the future of a task, which it calls by [`Task::into_function`].
pub(crate) fn follow(future: &Bound<'_, PyAny>, call: &Bound<'_, PyAny>) -> PyResult<()> {
    let ended = call.getattr(intern!(future.py(), "ended"))?;
    foreign::call_method(future, "add_done_callback", (ended,), None).map(foreign::release)
}

/// What is left of the error without cancellations: it may be a group of exceptions.
fn without_cancellations(py: Python<'_>, error: &PyErr) -> Option<PyErr> {
    if error.is_instance_of::<Cancelled>(py) {
        return None;
    }
    let value = error.value(py);
    let has_some = || {
        cancellation::find(value.clone().into_any(), false, |_| Some(())).is_some()
            && value.is_instance_of::<PyBaseExceptionGroup>()
    };
    if has_some()
        && let Ok(parts) =
            foreign::call_method(value.as_any(), "split", (py.get_type::<Cancelled>(),), None)
        && let Ok(rest) = parts.get_item(1)
    {
        return (!rest.is_none()).then(|| PyErr::from_value(rest));
    }
    Some(error.clone_ref(py))
}

/// A task that runs in the calling thread.
pub(crate) struct RunningTask {
    inside: Inside,
    task: Task,
}

impl RunningTask {
    /// The task has failed by this error. Returns the error that its future gets.
    ///
    /// It is kept for whoever leaves the group, and ends the other tasks. That a task was cancelled is no error of its own.
    pub(crate) fn fail(&self, py: Python<'_>, error: PyErr) -> PyErr {
        let group = &self.task.group;
        if Scope::look(&group.scope).cancelled.is_empty() {
            group.fail(py, &error);
            return error;
        }
        match without_cancellations(py, &error) {
            Some(rest) => {
                group.fail(py, &rest);
                rest
            }
            None => {
                group.has_ended_task.store(true, Ordering::Relaxed);
                // Whoever asks for the result may be in another scope, which must not end by this.
                errors::cancelled(py)
            }
        }
    }

    /// The thread leaves the scope of the group. The task has not ended yet.
    pub(crate) fn leave(self) -> Task {
        let Self { inside, task } = self;
        drop(inside);
        task
    }
}

/// What another executor than ours is given as the function of a task.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct TaskCall {
    function: Owned,
    /// `None`: it has ended.
    task: GilMutex<Option<Task>>,
}

impl TaskCall {
    fn take(&self) -> Option<Task> {
        self.task.lock().take()
    }

    /// Runs the call as the task, which ends when the executor has finished its future; see `ended`.
    fn run<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(task) = self.take() else {
            // An executor that tries again. For the group, it has ended.
            return call();
        };
        // The executor may finish the future in another thread.
        match task.begin(py, self.function.object(), false) {
            Err(task) => {
                self.put_back(task);
                Err(errors::cancelled(py))
            }
            Ok(running) => {
                let result = call().map_err(|error| running.fail(py, error));
                self.put_back(running.leave());
                result
            }
        }
    }

    fn put_back(&self, task: Task) {
        let before = self.task.lock().replace(task);
        // Not under the leaf lock: the end of a task takes the one of its group.
        drop(before);
    }
}

#[pymethods]
impl TaskCall {
    /// Call the function, inside the scope of the group.
    #[pyo3(signature = (*arguments, **keywords))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        arguments: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let function = self.function.object();
        self.run(py, || foreign::call(function.bind(py), arguments, keywords))
    }

    /// The function of the task.
    #[getter]
    fn function(&self, py: Python<'_>) -> Py<PyAny> {
        self.function.object().clone_ref(py)
    }

    /// Call another function, inside the scope of the group: one that has this function called in another process.
    fn call_instead<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        self.run(py, || foreign::call(function, &PyTuple::empty(py), None))
    }

    /// The executor has finished the future.
    fn ended(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(task) = self.take() else {
            return Ok(());
        };
        if !foreign::is_true(foreign::call_method(future, "cancelled", (), None)?)? {
            let error = foreign::call_method(future, "exception", (), None)?;
            if !error.is_none() {
                // In another process, for example. The same error is kept once.
                task.group.fail(future.py(), &PyErr::from_value(error));
            }
        }
        Ok(())
    }

    /// In another process, it is just the function: scopes do not reach there.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Py<PyAny>,))> {
        let partial = PARTIAL.get(py)?.clone();
        Ok((partial, (self.function.object().clone_ref(py),)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())
    }
}
