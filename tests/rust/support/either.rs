//! A wait for two objects, completed by one of them.

use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{AnyOperation, Converted, Operation, Select, drive};

/// Which of two operations was completed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

/// One of two operations.
type Arm<'a, A, B> = Box<dyn AnyOperation<Output = Either<A, B>> + 'a>;

/// The operation that completes one of two.
pub(crate) fn either_of<'a, A: Operation + 'a, B: Operation + 'a>(
    first: A,
    second: B,
) -> Select<Arm<'a, A::Output, B::Output>> {
    Select::new(
        vec![
            Box::new(Converted::new(first, Either::First)),
            Box::new(Converted::new(second, Either::Second)),
        ],
        0,
    )
}

/// Completes the first of two operations that can be completed. `None`: the deadline passed.
pub(crate) fn either<A: Operation, B: Operation>(
    first: A,
    second: B,
    deadline: Deadline,
) -> Option<Either<A::Output, B::Output>> {
    match drive(&mut either_of(first, second), deadline, super::sleep) {
        Wait::Ready((_, output)) => Some(output),
        Wait::TimedOut => None,
        Wait::Interrupted => unreachable!("no signal"),
    }
}
