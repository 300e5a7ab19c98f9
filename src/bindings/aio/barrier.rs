//! The wait at a `Barrier`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Outcome, Polled, Running, Start};
use super::queue::fell_back;
use super::wait::Wait;
use crate::bindings::runtime::errors;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::Barrier;
use crate::primitives::barrier::{BarrierOutcome, BarrierWait};

struct Passed(Py<Barrier>);

impl Start for Passed {
    fn try_now(&mut self, _py: Python<'_>) -> Option<Outcome> {
        None // the wait looks first, too
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        let held = Held::new(self.0);
        let operation = BarrierWait::new(held.clone());
        Box::new(Polled::new(
            operation,
            held,
            notify,
            |py, _, outcome| match outcome {
                BarrierOutcome::Passed(index) => Ok(index.into_pyobject(py)?.into_any().unbind()),
                BarrierOutcome::Broken => Err(errors::broken_barrier(py)),
                BarrierOutcome::FellBack(_) => Err(fell_back("barrier")),
            },
        ))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// Return a wait at the barrier, which has not arrived yet. It gives the number in the order of arrival.
///
/// # Errors
/// TypeError: the barrier has fallen back.
#[pyfunction]
#[pyo3(signature = (barrier, /))]
pub(crate) fn wait_at_barrier(barrier: Py<Barrier>) -> PyResult<Wait> {
    if barrier.get().primitive().has_fallen_back() {
        return Err(fell_back("barrier"));
    }
    Ok(Wait::of("AsyncBarrier.wait", Passed(barrier)))
}
