//! A wait for two objects, completed by one of them.

use _oxthreads::wait::deadline::Deadline;
use _oxthreads::wait::sync::Arc;
use _oxthreads::wait::{Arm, Claim, Operation, Parked, Slot, Waiter};

/// Which of two operations was completed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Completes the first of two operations that can be completed. `None`: the deadline passed.
pub(crate) fn either<A: Operation, B: Operation>(
    mut first: A,
    mut second: B,
    deadline: Deadline,
) -> Option<Either<A::Output, B::Output>> {
    let waiter = Waiter::new();
    let claim = Arc::new(Claim::new());
    let arms = [0, 1].map(|slot| Waiter::of(Arm::new(&claim, Slot(slot), &waiter)));
    loop {
        claim.reopen();
        if let Some(output) = first.attempt(&arms[0]) {
            return Some(Either::First(output));
        }
        if let Some(output) = second.attempt(&arms[1]) {
            claim.close();
            // Another thread may have claimed the first arm in the meantime. What it was given goes to the
            // next waiter.
            first.abandon();
            return Some(Either::Second(output));
        }
        let parked = super::sleep(&waiter, deadline);
        let claimed = claim.close();
        // An arm that was not claimed is still in its list.
        let first_output = first.leave(parked);
        let second_output = second.leave(parked);
        assert!(first_output.is_none() || claimed == Some(Slot(0)));
        assert!(second_output.is_none() || claimed == Some(Slot(1)));
        match (first_output, second_output) {
            (Some(output), _) => return Some(Either::First(output)),
            (_, Some(output)) => return Some(Either::Second(output)),
            _ if parked == Parked::TimedOut => return None,
            _ => {}
        }
    }
}
