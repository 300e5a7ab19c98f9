//! How the scopes of a thread end its waits: which of them are cancelled, and whether the code that waits is cleaning up
//! after just that.
//!
//! Code that handles the cancellation of a scope, in an `except` or a `finally` block, may wait: for a queue to take the
//! last item, for example. Such a wait is not ended again by the same scope, until the time is over that the scope gives
//! for cleaning up. The interpreter knows which exception a thread handles. A group of exceptions, and what was raised
//! while the cancellation was handled, leads to it.

use std::sync::OnceLock;
use std::time::Duration;

use pyo3::exceptions::{PyBaseException, PyBaseExceptionGroup};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::runtime::errors;
use crate::wait::deadline::Deadline;
use crate::wait::scope::{self, CleaningUp, Registration, Run, Scope};
use crate::wait::sync::Arc;
use crate::wait::{Operation, Waiter};

/// How many exceptions are looked at, at most: a chain of contexts may have a cycle.
const LOOK_AT: usize = 1000;

/// Raised in a thread to end the scope that it is in. It is no `Exception`, so that code which handles errors does not
/// handle it by accident.
///
/// It ends at the scope: ``with move_on_after(1)``, for example, goes on after its block. Code that catches it to clean
/// up must raise it again. Waits in such an ``except`` block, or in a ``finally`` block, are not ended again, unless they
/// take longer than the ``grace`` of the scope.
#[pyclass(extends = PyBaseException, frozen, module = "oxthreads.tasks")]
pub(crate) struct Cancelled {
    delivery: OnceLock<Delivery>,
}

/// What was cancelled, and who was told.
struct Delivery {
    scope: Arc<Scope>,
    /// The innermost scope of the thread.
    innermost: Arc<Scope>,
    run: Run,
    /// Until then, code that handles it may wait.
    until: Deadline,
}

#[pymethods]
impl Cancelled {
    #[new]
    #[pyo3(signature = (*_args))]
    fn new(_args: &Bound<'_, PyTuple>) -> Self {
        Self {
            delivery: OnceLock::new(),
        }
    }
}

impl Cancelled {
    /// Whether this ends that scope.
    pub(crate) fn is_of(&self, scope: &Arc<Scope>) -> bool {
        (self.delivery.get()).is_some_and(|delivery| Arc::ptr_eq(&delivery.scope, scope))
    }
}

/// The error that ends the scope in the calling thread.
fn error(py: Python<'_>, scope: &Arc<Scope>, innermost: &Arc<Scope>, until: Deadline) -> PyErr {
    let why = if scope.deadline().has_passed() {
        "the time of a scope is over"
    } else {
        "a scope was cancelled"
    };
    let made = Bound::new(
        py,
        PyClassInitializer::from(Cancelled {
            delivery: OnceLock::from(Delivery {
                scope: Arc::clone(scope),
                innermost: Arc::clone(innermost),
                run: scope::current_run(),
                until,
            }),
        }),
    );
    match made.and_then(|made| made.setattr(intern!(py, "args"), (why,)).map(|()| made)) {
        Ok(made) => PyErr::from_value(made.into_any()),
        Err(error) => error,
    }
}

/// Calls `look` with each cancellation that the exception leads to, until it returns something.
pub(crate) fn find<'py, R>(
    exception: Bound<'py, PyAny>,
    with_context: bool,
    mut look: impl FnMut(&Bound<'py, Cancelled>) -> Option<R>,
) -> Option<R> {
    let py = exception.py();
    let mut next = vec![exception];
    let mut seen = Vec::new();
    while let Some(exception) = next.pop() {
        if seen.contains(&exception.as_ptr().addr()) || seen.len() == LOOK_AT {
            continue;
        }
        seen.push(exception.as_ptr().addr());
        if let Ok(cancelled) = exception.cast::<Cancelled>()
            && let Some(found) = look(cancelled)
        {
            return Some(found);
        }
        if exception.is_instance_of::<PyBaseExceptionGroup>()
            && let Ok(inner) = exception.getattr(intern!(py, "exceptions"))
            && let Ok(inner) = inner.cast_into::<PyTuple>()
        {
            next.extend(inner.iter());
        }
        if with_context {
            let context = exception.getattr(intern!(py, "__context__")).ok();
            next.extend(context.filter(|context| !context.is_none()));
        }
    }
    None
}

/// Finds out whether the code that runs now handles the cancellation of a scope that the thread is still in.
fn handles(py: Python<'_>, innermost: &Arc<Scope>) -> Option<CleaningUp> {
    let run = scope::current_run();
    find(errors::handled(py)?, true, |cancelled| {
        let delivery = cancelled.get().delivery.get()?;
        let is_it = delivery.run == run && innermost.is_inside(&delivery.scope);
        is_it.then(|| CleaningUp {
            innermost: Arc::clone(&delivery.innermost),
            until: delivery.until,
        })
    })
}

/// If the code that runs now cleans up, so does what is inside of the scope, which is about to be entered.
pub(crate) fn pass_on_to(py: Python<'_>, scope: &Arc<Scope>) {
    let after = scope::current().and_then(|innermost| handles(py, &innermost));
    if let Some(after) = after {
        scope.cleans_up(after);
    }
}

/// What the scope that is innermost, and those around it, allow: to wait until then.
///
/// # Errors
/// [`Cancelled`].
fn allowed(py: Python<'_>, innermost: &Arc<Scope>) -> Result<Deadline, PyErr> {
    let found = Scope::look(innermost);
    let mut deadline = found.deadline;
    if found.cancelled.is_empty() {
        return Ok(deadline);
    }
    let handled = handles(py, innermost);
    // The outermost first: it ends all the others.
    for scope in found.cancelled.iter().rev() {
        let until = match &handled {
            // All that it was in when it was told: it may clean up, whatever else is cancelled meanwhile.
            Some(handled) if handled.covers(scope) => handled.until,
            _ => return Err(error(py, scope, innermost, Deadline::after(scope.grace()))),
        };
        if until.has_passed() {
            return Err(error(py, scope, innermost, until));
        }
        deadline = deadline.earlier(until);
    }
    Ok(deadline)
}

/// Raises the cancellation of a scope that the calling thread is in, if there is one. As at the beginning of a wait.
///
/// # Errors
/// [`Cancelled`].
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    if !scope::is_cancelled_here() {
        return Ok(());
    }
    match scope::current() {
        Some(innermost) => allowed(py, &innermost).map(drop),
        None => Ok(()),
    }
}

/// How a wait depends on the scopes of its thread.
pub(crate) struct Watch {
    innermost: Option<Arc<Scope>>,
    error: Option<PyErr>,
}

impl Watch {
    /// For a wait of the calling thread for that operation.
    #[inline]
    pub(crate) fn new<O: Operation>() -> Self {
        Self {
            innermost: if O::IS_CANCELLATION_POINT {
                scope::current()
            } else {
                None
            },
            error: None,
        }
    }

    /// Whether a scope may end the wait.
    #[inline]
    pub(crate) fn is_in_scope(&self) -> bool {
        self.innermost.is_some()
    }

    /// Makes the cancellation of a scope wake the waiter, as long as the returned value lives.
    #[inline]
    pub(crate) fn register(&self, waiter: &Arc<Waiter>) -> Option<Registration<'_>> {
        (self.innermost.as_ref()).map(|innermost| Registration::new(innermost, waiter))
    }

    /// The thread is about to sleep. Returns until when it may; `None`: the wait must end, as if its time were over.
    #[inline]
    pub(crate) fn allowed(&self, py: Python<'_>, deadline: Deadline) -> Result<Deadline, PyErr> {
        match &self.innermost {
            None => Ok(deadline),
            Some(innermost) => allowed(py, innermost).map(|until| until.earlier(deadline)),
        }
    }

    /// The wait ends by this error, unless it was completed at the same moment.
    #[cold]
    pub(crate) fn end_by(&mut self, error: PyErr) {
        self.error = Some(error);
    }

    /// The error by which the wait, which was not completed, ends.
    pub(crate) fn take_error(&mut self) -> Option<PyErr> {
        self.error.take()
    }
}

/// How long code that handles a cancellation may wait, if nothing else is said.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
