//! What a future has come to, and the wait for it.

use pyo3::prelude::*;

use super::Future;
use crate::bindings::executor::{self, Call};
use crate::bindings::standard_form;
use crate::bindings::timeout::{self, Blocking};
use crate::bindings::user_code::Owned;
use crate::primitives::Retired;
use crate::primitives::deadline::Deadline;
use crate::primitives::future::{Record, State};
use crate::primitives::waiter::Operation;

/// What a reader finds.
pub(super) enum Seen {
    NotDone,
    Cancelled,
    Value(Owned),
    Error(Owned),
}

pub(super) fn look(py: Python<'_>, record: &Record<Owned, Owned, Call>) -> Seen {
    match record.state {
        State::Pending | State::Running => Seen::NotDone,
        State::Cancelled | State::CancelledAndNotified => Seen::Cancelled,
        State::Finished => match (&record.error, &record.value) {
            (Some(error), _) => Seen::Error(error.share()),
            (None, Some(value)) => Seen::Value(value.share()),
            (None, None) => Seen::Value(py.None().into()),
        },
    }
}

/// Sleeps until `operation`, a wait for a future or for several, is completed; `None`: the deadline
/// passed. Every such wait comes through here. `pending` finds a future among them whose call is pending
/// in the pool of the given number.
///
/// # Errors
/// As of [`executor::wait`].
pub(super) fn block<'py, O: Operation>(
    py: Python<'py>,
    operation: &mut O,
    deadline: Deadline,
    pending: impl FnMut(u64) -> Option<Bound<'py, Future>>,
) -> PyResult<Option<O::Output>> {
    executor::wait(py, operation, deadline, pending)
}

impl Future {
    /// What the state says, or the standard class of a future that was never initialized.
    #[inline]
    pub(super) fn ask(
        slf: &Bound<'_, Self>,
        method: &str,
        look: impl FnOnce(State) -> bool,
    ) -> PyResult<bool> {
        match slf.get().inner.with_made(|record| look(record.state)) {
            Ok(answer) => Ok(answer),
            Err(Retired) => standard_form::call(slf, method, (), None)?.extract(),
        }
    }

    /// What there is after waiting as long as asked; `Err(Retired)` with what is left of it.
    pub(super) fn await_outcome(
        slf: &Bound<'_, Self>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Result<Seen, Option<f64>>> {
        let py = slf.py();
        let future = &slf.get().inner;
        match future.with_native(|record| look(py, record)) {
            Ok(Seen::NotDone) => {}
            Ok(seen) => return Ok(Ok(seen)),
            Err(Retired) => return Ok(Err(None)),
        }
        let Blocking::Until(deadline) = timeout::of_condition(timeout)? else {
            return Ok(Ok(future.with(|record| look(py, record))));
        };
        let pending = |pool| slf.get().is_pending_in(pool).then(|| slf.clone());
        match block(py, &mut future.wait(), deadline, pending)? {
            None => Ok(Ok(Seen::NotDone)),
            Some(Ok(())) => Ok(Ok(future.with(|record| look(py, record)))),
            Some(Err(Retired)) => Ok(Err(deadline.remaining().map(|left| left.as_secs_f64()))),
        }
    }
}
