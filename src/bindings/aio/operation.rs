//! An operation without its type: before it waits ([`Start`]) and while it waits ([`Running`]).
//!
//! Whatever an event loop may wait for is a [`Start`], so nothing else here knows the kinds of objects.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::entry::Notify;
use super::held::Held;
use crate::wait::deadline::Deadline;
use crate::wait::observe::{Facts, Resource, ThreadNumber};
use crate::wait::{Operation, Pending};

/// What a completed operation gives to the program.
pub(super) type Outcome = PyResult<Py<PyAny>>;

/// An operation that nobody has awaited yet.
pub(super) trait Start: Send + Sync {
    /// Does the operation if that needs no wait.
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome>;

    /// Makes the wait. Whoever completes it calls `notify`.
    fn begin(self: Box<Self>, notify: Notify) -> Box<dyn Running>;

    /// The objects that it has, for the collector.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// What is done already, with this result.
pub(super) struct Done(pub(super) Py<PyAny>);

impl Start for Done {
    fn try_now(&mut self, py: Python<'_>) -> Option<Outcome> {
        Some(Ok(self.0.clone_ref(py)))
    }

    fn begin(self: Box<Self>, _notify: Notify) -> Box<dyn Running> {
        unreachable!("it never waits")
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

/// An operation that waits. Dropped, it gives back what it was given.
pub(super) trait Running: Send + Sync {
    /// Completes the operation if that is possible now.
    fn poll(&mut self, py: Python<'_>) -> Option<Outcome>;

    /// When to poll it although it was not woken.
    fn due(&self) -> Deadline;

    /// As for [`Start`].
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;

    /// The same, as reports, profiles and traces see it.
    fn observable(&self) -> &dyn Observable;
}

/// A wait without its type, as reports, profiles and traces see it.
pub(super) trait Observable {
    /// What it waits for.
    fn resource(&self) -> Resource;

    /// What is known of that. The caller holds no leaf lock.
    fn facts(&self) -> Facts;

    /// As [`Pending::waiter_address`].
    fn waiter_address(&self) -> usize;

    /// As [`Pending::take_waker`].
    fn take_waker(&self) -> (Option<ThreadNumber>, u32);
}

impl<O: Operation> Observable for Pending<O> {
    fn resource(&self) -> Resource {
        self.operation().resource()
    }

    fn facts(&self) -> Facts {
        Facts::of(self.operation())
    }

    fn waiter_address(&self) -> usize {
        Self::waiter_address(self)
    }

    fn take_waker(&self) -> (Option<ThreadNumber>, u32) {
        Self::take_waker(self)
    }
}

/// The wait of an operation for an object.
pub(super) struct Polled<O: Operation, T> {
    pending: Pending<O>,
    object: Held<T>,
    /// What the output means.
    finish: fn(Python<'_>, &Py<T>, O::Output) -> Outcome,
    /// The other objects that the operation has, for the collector.
    visit_more: fn(&O, &PyVisit<'_>) -> Result<(), PyTraverseError>,
}

impl<O: Operation, T> Polled<O, T> {
    pub(super) fn new(
        operation: O,
        object: Held<T>,
        notify: Notify,
        finish: fn(Python<'_>, &Py<T>, O::Output) -> Outcome,
    ) -> Self {
        Self {
            pending: Pending::new(operation, notify),
            object,
            finish,
            visit_more: |_, _| Ok(()),
        }
    }

    /// With other objects that the operation has, besides the one that it waits for.
    pub(super) fn visiting(
        mut self,
        visit_more: fn(&O, &PyVisit<'_>) -> Result<(), PyTraverseError>,
    ) -> Self {
        self.visit_more = visit_more;
        self
    }
}

impl<O: Operation + Send + Sync, T: Send + Sync> Running for Polled<O, T> {
    fn poll(&mut self, py: Python<'_>) -> Option<Outcome> {
        let output = self.pending.poll()?;
        Some((self.finish)(py, self.object.object(), output))
    }

    fn due(&self) -> Deadline {
        self.pending.due()
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.object.visit(visit)?;
        (self.visit_more)(self.pending.operation(), visit)
    }

    fn observable(&self) -> &dyn Observable {
        &self.pending
    }
}
