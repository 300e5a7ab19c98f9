//! `ConditionWaiter`

use pyo3::prelude::*;

use super::super::errors;
use super::condition::Condition;
use crate::primitives::waiter::Ticket;

/// A thread that waited natively when the condition took its standard form: what stands for it in
/// `_waiters`, among the locks that the standard class puts there.
///
/// The collector need not know of it: whoever waits keeps the condition alive anyway, and takes this
/// out of the list when it goes. So making one starts no collection.
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
    /// Raises RuntimeError if it does not wait any more.
    fn release(&self) -> PyResult<()> {
        if self.condition.get().inner.notify_waiter(self.ticket) {
            Ok(())
        } else {
            Err(errors::release_unlocked_lock())
        }
    }

    /// Whether the thread still waits.
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
