//! `Condition.wait`, for conditions that run natively.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::fallback;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::block::QueuedWait;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::{block, errors, foreign};
use crate::bindings::threading::any_lock::AnyLock;
use crate::bindings::threading::condition::Condition;
use crate::bindings::threading::condition_waiter::ConditionWaiter;
use crate::primitives::FellBack;
use crate::wait::Ticket;
use crate::wait::deadline::Deadline;

impl Condition {
    /// `wait(timeout)` of a condition that runs natively.
    pub(super) fn wait_with(
        slf: &Bound<'_, Self>,
        lock: &AnyLock,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let py = slf.py();
        if !lock.is_owned(py) {
            return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
        }
        let deadline = match timeout::of_condition(timeout)? {
            Blocking::Until(deadline) => deadline,
            // The lock is still released for a moment, so that other threads can make progress.
            Blocking::No => Deadline::now(),
        };
        let inner = &slf.get().inner;
        let mut wait = inner.wait();
        let ticket = wait.ticket();
        let mut hold = None;
        let QueuedWait {
            outcome,
            mut raised,
        } = block::wait_while_queued(py, &mut wait, deadline, || {
            hold = Some(lock.release_all(py)?);
            Ok(())
        });
        if let Some(Err(FellBack)) = outcome {
            return fallback::call(slf, "wait", (timeout,), None)?.extract();
        }
        let owned = match hold {
            None => true,
            Some(hold) if Self::any_lock(slf)?.is(lock.object()) => {
                lock.reacquire(py, hold, &mut raised)
            }
            // `__init__` was called again during the wait: the caller will release another lock.
            Some(hold) => {
                let state = (hold.count, hold.owner);
                match Self::standard_hook(slf, "_acquire_restore", (state,)) {
                    Ok(_) => true,
                    Err(later) => {
                        raised = Some(errors::after(py, later, raised));
                        false
                    }
                }
            }
        };
        let notified = outcome.is_some();
        if !notified
            && inner.has_fallen_back()
            && let Err(later) = Self::forget(slf, ticket)
        {
            raised = Some(errors::after(py, later, raised));
        }
        match raised {
            None => Ok(notified),
            Some(error) => {
                // This thread will not act on the notification, so another waiter gets it.
                let passed_on = if notified && owned {
                    Self::notify(slf, Argument::Absent)
                } else {
                    Ok(())
                };
                match passed_on {
                    Ok(()) => Err(error),
                    Err(later) => Err(errors::after(py, later, Some(error))),
                }
            }
        }
    }

    /// Removes a wait that has ended from the `_waiters` of the stdlib fallback.
    #[cold]
    fn forget(slf: &Bound<'_, Self>, ticket: Ticket) -> PyResult<()> {
        let waiter = ConditionWaiter::new(slf, ticket);
        let waiters = foreign::attribute(slf.as_any(), intern!(slf.py(), "_waiters"))?;
        match foreign::call_method(&waiters, "remove", (waiter,), None) {
            Err(error) if error.is_instance_of::<PyValueError>(slf.py()) => Ok(()),
            result => result.map(drop),
        }
    }
}
