//! The call that a future of an executor carries until somebody begins it.

use pyo3::prelude::*;

use super::Future;
use crate::bindings::executor::Call;
use crate::primitives::future::Start;
use crate::primitives::pool::Job;

/// What came of beginning the call that a future carries.
pub(crate) enum Started {
    /// It is to be done.
    Call(Call),
    /// Somebody else does it, or has done it.
    Elsewhere,
    /// It was cancelled.
    Cancelled,
}

impl Job for Py<Future> {
    fn is_done_elsewhere(&self) -> bool {
        !self.get().inner.has_work()
    }
}

impl Future {
    /// From now on it carries the call.
    pub(crate) fn carry(&self, call: Call) {
        self.inner.carry(call);
    }

    /// The call, which somebody else will begin, if ever.
    pub(crate) fn take_call(&self) -> Option<Call> {
        self.inner.take_work()
    }

    /// Whether it carries a call that was submitted to the pool of this number.
    pub(crate) fn is_pending_in(&self, pool: u64) -> bool {
        let is_there = |call: &Call| call.is_of(pool);
        self.inner
            .with(|record| record.work.as_ref().is_some_and(is_there))
    }

    /// Begins the call.
    ///
    /// # Errors
    /// RuntimeError, if the future had been begun or ended by somebody else, who has not taken the call.
    pub(crate) fn start(slf: &Bound<'_, Self>) -> PyResult<Started> {
        match slf.get().inner.start() {
            Start::Begun(call) => Ok(Started::Call(call)),
            Start::TakenBefore => Ok(Started::Elsewhere),
            Start::Cancelled(_) => Ok(Started::Cancelled),
            Start::Refused(refused, call) => {
                if Self::begin_refused(slf, refused)? {
                    Ok(Started::Call(call))
                } else {
                    Ok(Started::Cancelled)
                }
            }
        }
    }
}
