//! The only place that lets go of the interpreter to block, and that looks at signals.

use pyo3::prelude::*;

use crate::primitives::deadline::{Deadline, Wait};
use crate::primitives::waiter::{self, Operation};

/// Drives `operation` to its end with the interpreter released; `None`: the deadline passed.
///
/// A signal ends the sleep at once; its handlers run while the operation is in no list, so that
/// they can use the same object, and afterwards it waits on, in its old place, towards its old
/// deadline.
///
/// # Errors
/// What a signal handler raised. The operation was not completed.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
) -> PyResult<Option<O::Output>> {
    loop {
        let outcome = waiter::wait(operation, deadline, |waiter, deadline| {
            py.detach(|| waiter.park(deadline))
        });
        match outcome {
            Wait::Ready(output) => return Ok(Some(output)),
            Wait::TimedOut => return Ok(None),
            Wait::Interrupted => py.check_signals()?,
        }
    }
}
