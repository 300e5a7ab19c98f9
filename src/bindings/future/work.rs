//! The call that the future of an executor carries until a thread starts it.

use std::time::Instant;

use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyFunction, PyString, PyTuple, PyType};

use crate::bindings::function::Function;
use crate::bindings::future::{Future, StandIn};
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::task::Task;
use crate::primitives::FellBack;
use crate::primitives::future::{Start, Work};
use crate::primitives::pool::Job;
use crate::wait::observe::PendingWork;

/// `function(*arguments, **keywords)`, run in a context if there is one. The call's future carries it until a thread
/// starts it.
pub(crate) struct Call {
    pub(crate) function: Owned,
    /// A tuple.
    pub(crate) arguments: Owned,
    /// A dictionary, if there are any.
    pub(crate) keywords: Option<Owned>,
    /// The contextvars.Context that the call runs in. `None`: the context of the thread.
    pub(crate) context: Option<Owned>,
    pub(crate) submitted: Instant,
    /// The number of the pool that the call was submitted to.
    pub(crate) pool: u64,
    /// The task of a group that the call is, if it is one.
    pub(crate) task: Option<Task>,
}

impl Work for Call {
    fn pending(&self) -> Option<Box<dyn FnOnce() -> PendingWork>> {
        // SAFETY: whoever asks is attached to the interpreter: see `Owned`.
        let py = unsafe { Python::assume_attached() };
        let (pool, function) = (self.pool, self.function.object().clone_ref(py));
        Some(Box::new(move || {
            // SAFETY: as above; it is called at once.
            let function = function.into_bound(unsafe { Python::assume_attached() });
            let name = name_of(&function);
            foreign::release(function);
            PendingWork { pool, name }
        }))
    }
}

/// What a report calls the function. It runs no code of the program: it asks only types of the interpreter.
pub(crate) fn name_of(function: &Bound<'_, PyAny>) -> String {
    if let Some(within) = StandIn::find(function) {
        return name_of(&within);
    }
    let class = function.get_type();
    let class_name = (class.name().ok()).map_or_else(String::new, |name| name.to_string());
    // SAFETY: attached, and the type of an object is alive.
    let is_built_in =
        unsafe { ffi::PyType_HasFeature(class.as_type_ptr(), ffi::Py_TPFLAGS_HEAPTYPE) } == 0;
    if is_built_in
        && class_name == "method"
        && let Ok(within) = function.getattr("__func__")
    {
        return name_of(&within);
    }
    if let Ok(class) = function.cast_exact::<PyType>() {
        return (class.qualname()).map_or(class_name, |name| name.to_string());
    }
    let is_plain = function.is_exact_instance_of::<PyFunction>()
        || function.is_exact_instance_of::<PyCFunction>()
        || function.is_exact_instance_of::<Function>();
    let name = if is_plain {
        function.getattr("__qualname__").ok()
    } else {
        None
    };
    let name = name.and_then(|name| name.cast_into_exact::<PyString>().ok());
    let text = name.and_then(|name| name.to_str().map(str::to_owned).ok());
    text.unwrap_or(class_name)
}

impl Call {
    /// A call that is submitted now.
    #[inline]
    pub(crate) fn new(
        function: Bound<'_, PyAny>,
        arguments: Bound<'_, PyTuple>,
        keywords: Option<Bound<'_, PyDict>>,
        context: Option<Owned>,
        pool: u64,
        task: Option<Task>,
    ) -> Self {
        Self {
            function: function.into(),
            arguments: arguments.into_any().into(),
            keywords: keywords.map(|keywords| keywords.into_any().into()),
            context,
            submitted: Instant::now(),
            pool,
            task,
        }
    }

    /// Whether the call was submitted to the pool with this number.
    pub(crate) fn is_of(&self, pool: u64) -> bool {
        self.pool == pool
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let required = [&self.function, &self.arguments].into_iter();
        required
            .chain(&self.keywords)
            .chain(&self.context)
            .try_for_each(|object| visit.call(object.object()))
    }
}

/// The result of starting the call that a future carries.
pub(crate) enum Started {
    /// The caller must run it.
    Call(Call),
    /// Another thread runs it, or has run it.
    Elsewhere,
    /// It was cancelled. The call will not run.
    Cancelled(Call),
}

/// What a future means to workers of a pool that wait for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolStatus {
    /// It is done, so it delays nobody.
    Settled,
    /// Its call is pending in the pool.
    Pending,
    /// A worker of the pool is running its call.
    Running,
    /// Threads other than the workers may finish it, as far as can be known here.
    Elsewhere,
}

impl Job for Py<Future> {
    fn is_done_elsewhere(&self) -> bool {
        !self.get().inner.has_work()
    }
}

impl Future {
    /// Stores the call in the future.
    pub(crate) fn carry(&self, call: Call) {
        self.inner.carry(call);
    }

    /// Takes the call out of the future. The caller then decides whether it is ever run.
    pub(crate) fn take_call(&self) -> Option<Call> {
        self.inner.take_work()
    }

    /// Takes what the call is to a group of tasks, if it is one of its tasks and has not begun. To drop it ends the task.
    pub(crate) fn take_task(&self) -> Option<Task> {
        if !self.inner.has_work() {
            return None;
        }
        self.inner.with(|record| record.work.as_mut()?.task.take())
    }

    /// Whether the future is that of a task of a group, which has not begun.
    pub(super) fn is_pending_task(&self) -> bool {
        let is_task = |call: &Call| call.task.is_some();
        self.inner.has_work()
            && self
                .inner
                .with(|record| record.work.as_ref().is_some_and(is_task))
    }

    /// What the future means to the workers of the pool with this number. `is_running` tells whether one of them
    /// runs its call; workers publish that before they start a call.
    pub(super) fn pool_status(
        slf: &Bound<'_, Self>,
        pool: u64,
        is_running: impl FnOnce() -> bool,
    ) -> PoolStatus {
        let check = || {
            slf.get().inner.with_native(|record| {
                let is_there = |call: &Call| call.is_of(pool);
                if record.work.as_ref().is_some_and(is_there) {
                    PoolStatus::Pending
                } else if record.state.is_settled() {
                    PoolStatus::Settled
                } else {
                    PoolStatus::Elsewhere
                }
            })
        };
        match check() {
            Ok(PoolStatus::Elsewhere) if is_running() => PoolStatus::Running,
            // The call may have ended between the two checks.
            Ok(PoolStatus::Elsewhere) => match check() {
                Ok(PoolStatus::Settled) => PoolStatus::Settled,
                _ => PoolStatus::Elsewhere,
            },
            Ok(pool_status) => pool_status,
            Err(FellBack) => PoolStatus::Elsewhere,
        }
    }

    /// Takes the call and marks the future as running.
    ///
    /// # Errors
    /// RuntimeError, if some other code had begun or finished the future but had not taken the call.
    pub(crate) fn start(slf: &Bound<'_, Self>) -> PyResult<Started> {
        match slf.get().inner.start() {
            Start::Begun(call) => Ok(Started::Call(call)),
            Start::TakenBefore => Ok(Started::Elsewhere),
            Start::Cancelled(call) => Ok(Started::Cancelled(call)),
            Start::Refused(refused, call) => {
                if Self::begin_refused(slf, refused)? {
                    Ok(Started::Call(call))
                } else {
                    Ok(Started::Cancelled(call))
                }
            }
        }
    }
}
