//! The calling thread, as the primitives know it.

use pyo3::prelude::*;

use crate::bindings::threading::caller;
use crate::primitives::holder::Holder;
use crate::wait::observe::ThreadNumber;

/// The number of the calling thread. Once all numbers of threads are used up, what the system calls it, above all numbers.
#[inline]
pub(super) fn holder(py: Python<'_>) -> Holder {
    match ThreadNumber::current_or_zero() {
        0 => caller(py) | (1 << 63),
        number => Holder::from(number),
    }
}
