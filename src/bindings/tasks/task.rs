//! A task of a group, as its executor runs it.

use std::sync::atomic::Ordering;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::cancellation::Cancelled;
use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::tasks::group::{Group, Running};
use crate::primitives::task_group::Place;
use crate::wait::gil_mutex::GilMutex;
use crate::wait::scope::Inside;
use crate::wait::sync::Arc;
use crate::wait::threads::ThreadNumber;

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
    /// A new task of the group, which has not begun.
    pub(super) fn new(group: &Arc<Group>) -> Self {
        Self {
            group: Arc::clone(group),
            place: group.tasks.add(),
        }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The task begins in the calling thread, which is inside the scope of the group from now on.
    ///
    /// # Errors
    /// The task, if the function is not to be called: its group was cancelled, or its submission was interrupted.
    pub(crate) fn begin(self, py: Python<'_>, function: &Py<PyAny>) -> Result<RunningTask, Self> {
        if self.group.scope.is_cancelled() {
            return Err(self);
        }
        let running = Running {
            thread: ThreadNumber::current_or_zero(),
            function: function.clone_ref(py),
        };
        match self.group.tasks.begin(self.place, running) {
            Ok(kept) => drop(kept),
            Err(_) => return Err(self),
        }
        Ok(RunningTask {
            inside: Inside::new(Some(Arc::clone(&self.group.scope))),
            task: self,
        })
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
        let is_end = error.is_instance_of::<Cancelled>(py);
        if is_end && !group.scope.look().cancelled.is_empty() {
            group.has_ended_task.store(true, Ordering::Relaxed);
            // Whoever asks for the result may be in another scope, which must not end by this.
            return errors::cancelled(py);
        }
        group.fail(py, &error);
        error
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
        let Some(task) = self.take() else {
            // An executor that tries again. For the group, it has ended.
            return foreign::call(function.bind(py), arguments, keywords);
        };
        match task.begin(py, function) {
            Err(task) => {
                self.task.lock().replace(task);
                Err(errors::cancelled(py))
            }
            Ok(running) => {
                let result = foreign::call(function.bind(py), arguments, keywords);
                let result = result.map_err(|error| running.fail(py, error));
                // It has ended when the executor has finished its future; see `ended`.
                self.task.lock().replace(running.leave());
                result
            }
        }
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
        let partial = py.import("functools")?.getattr("partial")?;
        Ok((partial, (self.function.object().clone_ref(py),)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())
    }
}
