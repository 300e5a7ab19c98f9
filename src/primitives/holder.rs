//! Who holds something, where that may outlive the numbers of threads.

use crate::wait::observe::ThreadNumber;
use crate::wait::threads;

/// Identifies who holds something: the number of a thread, or a greater one that is no thread's. Never zero.
pub type Holder = u64;

/// The number of the thread, if it has one.
pub(super) fn thread_of(holder: Holder) -> Option<ThreadNumber> {
    ThreadNumber::from_number(u32::try_from(holder).ok()?)
}

/// Whether this is a thread that a fork has left behind.
pub(super) fn is_of_parent(holder: Holder) -> bool {
    thread_of(holder).is_some_and(threads::is_of_parent)
}
