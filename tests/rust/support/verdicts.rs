//! Waits that an observer may end.

use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, Parked, Waiter, drive, observe};

use crate::support;

/// Drives `operation` as the bindings do. `Err`: the wait was ended, for this reason.
pub(crate) fn block<O: Operation>(operation: O) -> Result<O::Output, String> {
    match block_until(operation, Deadline::NEVER)? {
        Wait::Ready(output) => Ok(output),
        _ => unreachable!("no deadline, and no signal on these threads"),
    }
}

/// The same with a deadline.
pub(crate) fn block_until<O: Operation>(
    mut operation: O,
    deadline: Deadline,
) -> Result<Wait<O::Output>, String> {
    let mut verdict = None;
    let suspend = |waiter: &_oxthreads::wait::sync::Arc<Waiter>, deadline| {
        let parked = observe::parked(|| support::sleep(waiter, deadline));
        verdict = observe::verdict();
        if verdict.is_some() {
            Parked::Raising
        } else {
            parked
        }
    };
    let outcome = drive(&mut operation, deadline, suspend);
    match verdict {
        Some(reason) if matches!(outcome, Wait::Interrupted) => Err(reason),
        _ => Ok(outcome),
    }
}
