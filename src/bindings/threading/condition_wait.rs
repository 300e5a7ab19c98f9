//! `Condition.wait`

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use super::super::argument::Argument;
use super::super::detach::Stay;
use super::super::timeout::{self, Blocking};
use super::super::{detach, errors, standard_form, user_code};
use super::any_lock::AnyLock;
use super::condition::Condition;
use super::condition_waiter::ConditionWaiter;
use crate::primitives::Retired;
use crate::primitives::deadline::Deadline;
use crate::primitives::waiter::Ticket;

impl Condition {
    /// `wait(timeout)`, while waiting is native.
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
            // The lock is given up all the same: others may want to get something done.
            Blocking::No => Deadline::now(),
        };
        let inner = &slf.get().inner;
        let mut wait = inner.wait();
        let ticket = wait.ticket();
        let mut hold = None;
        let Stay {
            outcome,
            mut raised,
        } = detach::stay(py, &mut wait, deadline, || {
            hold = Some(lock.release_all(py)?);
            Ok(())
        });
        if let Some(Err(Retired)) = outcome {
            return standard_form::call(slf, "wait", (timeout,), None)?.extract();
        }
        let owned = match hold {
            None => true,
            Some(hold) if Self::any_lock(slf)?.is(lock.object()) => {
                lock.insist(py, hold, &mut raised)
            }
            // It was initialized again meanwhile: another lock is what the caller will release.
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
            && inner.is_retired()
            && let Err(later) = Self::forget(slf, ticket)
        {
            raised = Some(errors::after(py, later, raised));
        }
        match raised {
            None => Ok(notified),
            Some(error) => {
                // This wait will not look at what it was woken for.
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

    /// Takes a waiter that has gone out of the standard form's list.
    #[cold]
    fn forget(slf: &Bound<'_, Self>, ticket: Ticket) -> PyResult<()> {
        let waiter = ConditionWaiter::new(slf, ticket);
        let waiters = user_code::attribute(slf.as_any(), intern!(slf.py(), "_waiters"))?;
        match user_code::call_method(&waiters, "remove", (waiter,), None) {
            Err(error) if error.is_instance_of::<PyValueError>(slf.py()) => Ok(()),
            result => result.map(drop),
        }
    }
}
