//! `select` for coroutines.

use std::any::Any;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entry::Notify;
use super::held::Held;
use super::operation::{Observable, Outcome, Running, Start};
use super::wait::Wait;
use crate::bindings::queue::Item;
use crate::bindings::waiting::{self, Arm, Source};
use crate::wait::deadline::Deadline;
use crate::wait::{Operation, Pending, Select};

/// A `select` that nobody has awaited yet.
struct Selection {
    sources: Py<PyTuple>,
    fair: bool,
    /// Which source is preferred, and the arms, if none was ready.
    arms: Option<(usize, Vec<Arm>)>,
    kept: KeptByArms,
}

/// The objects that the arms keep alive. It has a reference of its own to each.
#[derive(Default)]
struct KeptByArms(Vec<Py<PyAny>>);

impl KeptByArms {
    /// While the arms live.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in &self.0 {
            visit.call(object)?; // its own reference
            visit.call(object)?; // that of the arm
        }
        Ok(())
    }
}

/// Visits the items that the arms are to put, as long as they have them.
fn visit_offers<'a>(
    arms: impl IntoIterator<Item = &'a Arm>,
    visit: &PyVisit<'_>,
) -> Result<(), PyTraverseError> {
    for arm in arms {
        if let Some(item) = Operation::offer(arm).and_then(<dyn Any>::downcast_ref::<Item>) {
            visit.call(item.object())?;
        }
    }
    Ok(())
}

impl Selection {
    fn try_sources(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let sources = self.sources.bind(py);
        let first = waiting::first(sources.len(), self.fair);
        let found = waiting::sources_of(sources)?;
        if let Some(answer) = waiting::take_now(sources, &found, first)? {
            return Ok(Some(answer.unbind()));
        }
        let mut arms = Vec::with_capacity(found.len());
        let mut kept = Vec::with_capacity(found.len());
        for (source, object) in found.iter().zip(sources) {
            arms.push(source.operation(&object)?);
            kept.extend(source.kept_by_arm(py).map(Bound::unbind));
        }
        self.arms = Some((first, arms));
        self.kept = KeptByArms(kept);
        Ok(None)
    }
}

impl Start for Selection {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        self.try_sources(py).transpose()
    }

    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running> {
        // Without arms it would never be complete; but whoever begins it has tried it before.
        let (first, arms) = self.arms.unwrap_or_default();
        Box::new(Selecting {
            pending: Pending::new(Select::new(arms, first), notify),
            sources: Held::new(self.sources),
            kept: self.kept,
        })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.sources)?;
        visit_offers(self.arms.iter().flat_map(|(_, arms)| arms), visit)?;
        self.kept.visit(visit)
    }
}

/// A `select` that waits.
struct Selecting {
    pending: Pending<Select<Arm>>,
    sources: Held<PyTuple>,
    kept: KeptByArms,
}

impl Running for Selecting {
    fn poll(&mut self, py: Python<'_>) -> Option<Outcome> {
        let (slot, outcome) = self.pending.poll()?;
        let sources = self.sources.object().bind(py);
        Some(waiting::answer(sources, slot, outcome).map(Bound::unbind))
    }

    fn due(&self) -> Deadline {
        self.pending.due()
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.sources.visit(visit)?;
        visit_offers(self.pending.operation().operations(), visit)?;
        self.kept.visit(visit)
    }

    fn observable(&self) -> &dyn Observable {
        &self.pending
    }
}

/// Wait for the first of the sources. Return an awaitable of the source and its value.
///
/// Args:
///     sources (tuple): the sources.
///     fair (bool): whether the choice among those that are ready is random.
#[pyfunction]
#[pyo3(signature = (sources, fair, /))]
pub(crate) fn select_async(sources: Bound<'_, PyTuple>, fair: bool) -> Wait {
    let sources = sources.unbind();
    let arms = None;
    Wait::of(
        "select",
        Selection {
            sources,
            fair,
            arms,
            kept: KeptByArms::default(),
        },
    )
}

/// Raise the error for what is no source of a coroutine.
///
/// Raises:
///     TypeError: an object is none.
#[pyfunction]
#[pyo3(signature = (sources, /))]
pub(crate) fn refuse_files(sources: &Bound<'_, PyTuple>) -> PyResult<()> {
    let found = waiting::sources_of(sources)?;
    found.iter().try_for_each(Source::refuse_file)
}
