//! Waits that an observer may end.

use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, Parked, Waiter, drive, observe};

use crate::support;

/// Drives `operation` as the bindings do. `Err`: the wait was ended, for this reason.
pub(crate) fn block<O: Operation>(mut operation: O) -> Result<O::Output, String> {
    let mut verdict = None;
    let suspend = |waiter: &Waiter, deadline| {
        let parked = observe::parked(|| support::sleep(waiter, deadline));
        verdict = observe::verdict();
        if verdict.is_some() {
            Parked::Raising
        } else {
            parked
        }
    };
    match drive(&mut operation, Deadline::NEVER, suspend) {
        Wait::Ready(output) => Ok(output),
        _ => Err(verdict.expect("nothing else ends the wait")),
    }
}
