//! Reading the outcome of a future, and waiting for it.

use pyo3::prelude::*;

use crate::bindings::fallback;
use crate::bindings::future::helping::{self, Dependency, PoolMember};
use crate::bindings::future::work::PoolStatus;
use crate::bindings::future::{Call, Future};
use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::standard_frames::{Raiser, raised_by};
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::primitives::FellBack;
use crate::primitives::future::{Record, State};

/// The outcome of a future, as a reader finds it.
pub(super) enum Seen {
    NotDone,
    Cancelled,
    Value(Owned),
    Error(Owned),
}

pub(super) fn read_outcome(py: Python<'_>, record: &Record<Owned, Owned, Call>) -> Seen {
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

/// The CancelledError.
#[cold]
#[inline(never)]
pub(super) fn cancelled(py: Python<'_>, raiser: Raiser) -> PyErr {
    raised_by(py, errors::cancelled(py), raiser)
}

/// The TimeoutError of a wait whose deadline has passed.
#[cold]
#[inline(never)]
pub(super) fn timed_out(py: Python<'_>, raiser: Raiser) -> PyErr {
    raised_by(py, errors::timed_out(py), raiser)
}

impl Future {
    /// The end of `result()`, for all outcomes.
    #[cold]
    #[inline(never)]
    pub(super) fn result_of<'py>(
        slf: &Bound<'py, Self>,
        seen: Seen,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match seen {
            Seen::Value(value) => Ok(value.into_bound(py)),
            // From Python 3.14 on, the standard class does not test the truth value of an exception.
            Seen::Error(error)
                if cfg!(not(Py_3_14)) && !foreign::truth(error.object().bind(py))? =>
            {
                fallback::fall_back(slf)?;
                fallback::call(slf, "result", (0,), None)
            }
            Seen::Error(error) => {
                let error = errors::raise(error.object().bind(py));
                Err(raised_by(py, error, Raiser::Result))
            }
            Seen::Cancelled => Err(cancelled(py, Raiser::ResultCancelled)),
            Seen::NotDone => Err(timed_out(py, Raiser::ResultTimeout)),
        }
    }

    /// Answers a question about the state. If the future has fallen back, the standard method answers.
    #[inline]
    pub(super) fn ask(
        slf: &Bound<'_, Self>,
        method: &str,
        answer: impl FnOnce(State) -> bool,
    ) -> PyResult<bool> {
        match slf.get().inner.with_native(|record| answer(record.state)) {
            Ok(answer) => Ok(answer),
            Err(FellBack) => fallback::call(slf, method, (), None)?.extract(),
        }
    }

    /// Waits up to `timeout`, and returns the outcome. `Err`: the future has fallen back; with the seconds that
    /// are left of the timeout.
    pub(super) fn await_outcome(
        slf: &Bound<'_, Self>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Result<Seen, Option<f64>>> {
        let py = slf.py();
        let future = &slf.get().inner;
        match future.with_native(|record| read_outcome(py, record)) {
            Ok(Seen::NotDone) => {}
            Ok(seen) => return Ok(Ok(seen)),
            Err(FellBack) => return Ok(Err(None)),
        }
        let Blocking::Until(deadline) = timeout::of_condition(timeout)? else {
            return Ok(future
                .with_native(|record| read_outcome(py, record))
                .map_err(|FellBack| Some(0.0)));
        };
        let dependency = |worker: &PoolMember| match worker.pool_status(slf) {
            PoolStatus::Pending => Dependency::OwnPool(Some(slf.clone())),
            PoolStatus::Running | PoolStatus::Settled => Dependency::OwnPool(None),
            PoolStatus::Elsewhere => Dependency::Others,
        };
        match helping::wait(py, &mut future.wait(), deadline, dependency)? {
            None => Ok(Ok(Seen::NotDone)),
            Some(Ok(())) => Ok(future
                .with_native(|record| read_outcome(py, record))
                .map_err(|FellBack| None)),
            Some(Err(FellBack)) => Ok(Err(deadline.remaining().map(|left| left.as_secs_f64()))),
        }
    }
}
