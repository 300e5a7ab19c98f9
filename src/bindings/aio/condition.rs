//! The wait for a notification of a `Condition`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::fell_back;
use super::wait::Wait;
use crate::bindings::threading::Condition;
use crate::primitives::FellBack;
use crate::primitives::condition::WaitNotified;

struct Notified(Py<Condition>);

impl Start for Notified {
    fn try_now(&mut self, _py: Python<'_>) -> Option<Outcome> {
        None
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = WaitNotified::new(held.clone());
        Box::new(Polled::new(
            operation,
            held,
            notify,
            |py, _, result| match result {
                Ok(()) => Ok(py.None()),
                Err(FellBack) => Err(fell_back("condition")),
            },
        ))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// Return a wait for a notification of the condition, which counts from now on. The caller has the lock, and releases it
/// then.
///
/// # Errors
/// TypeError: the condition has fallen back.
#[pyfunction]
#[pyo3(signature = (condition, /))]
pub(crate) fn wait_notified(py: Python<'_>, condition: Py<Condition>) -> PyResult<Wait> {
    let mut wait = Wait::of("AsyncCondition.wait", Notified(condition));
    wait.join(py)?;
    Ok(wait)
}
