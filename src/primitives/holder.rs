//! Who holds something, where that may outlive the numbers of threads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wait::observe::ThreadNumber;
use crate::wait::{generation, threads};

/// Identifies who holds something: the number of a thread, or a greater one that is no thread's. Never zero.
pub type Holder = u64;

/// The number of the thread, if it has one.
pub(super) fn thread_of(holder: Holder) -> Option<ThreadNumber> {
    ThreadNumber::from_number(u32::try_from(holder).ok()?)
}

/// Where the number of a coroutine has the fork generation, with fewer bits; and a bit that only such numbers have.
const GENERATION: u32 = 48;
const COROUTINE: Holder = 1 << 62;

/// A holder that is a coroutine. No other one of this process has the same number.
pub fn new_coroutine() -> Holder {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % (1 << GENERATION);
    COROUTINE | of_this_process() << GENERATION | number
}

/// The fork generation, with 14 bits.
fn of_this_process() -> Holder {
    Holder::from(generation()) & 0x3fff
}

/// Whether this is a thread or a coroutine that a fork has left behind.
pub(super) fn is_of_parent(holder: Holder) -> bool {
    if holder & (COROUTINE | 1 << 63) == COROUTINE {
        return (holder & !COROUTINE) >> GENERATION != of_this_process();
    }
    thread_of(holder).is_some_and(threads::is_of_parent)
}
