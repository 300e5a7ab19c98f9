//! `ConditionWaiter`: a native wait in the waiters list of a condition that has fallen back.

use pyo3::prelude::*;

use crate::bindings::runtime::errors;
use crate::bindings::threading::condition::Condition;
use crate::wait::Ticket;

/// A thread that waited natively when its condition fell back to the standard library. In `_waiters` it takes the
/// place of the lock that the standard class would put there.
///
/// The collector does not need to know about it: the waiting thread keeps the condition alive, and removes this
/// object from the list when its wait ends. Because the object is not tracked, making one cannot start a collection.
#[pyclass(frozen, name = "ConditionWaiter", module = "oxthreads._oxthreads")]
pub(crate) struct ConditionWaiter {
    condition: Py<Condition>,
    ticket: Ticket,
}

impl ConditionWaiter {
    pub(super) fn new(condition: &Bound<'_, Condition>, ticket: Ticket) -> Self {
        Self {
            condition: condition.clone().unbind(),
            ticket,
        }
    }
}

#[pymethods]
impl ConditionWaiter {
    /// Wake the thread.
    ///
    /// Raises:
    ///     RuntimeError: the thread does not wait any more.
    fn release(&self) -> PyResult<()> {
        if self.condition.get().inner.notify_waiter(self.ticket) {
            Ok(())
        } else {
            Err(errors::release_unlocked_lock())
        }
    }

    /// Return whether the thread still waits.
    fn locked(&self) -> bool {
        self.condition.get().inner.is_waiting(self.ticket)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().ticket == self.ticket)
    }

    fn __hash__(&self) -> u64 {
        self.ticket.number()
    }
}
