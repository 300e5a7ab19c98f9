//! What the methods of everything that is acquired and released do at once.

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use super::super::at_once::{Arguments, Attempt};

/// A class that is acquired and released.
pub(super) trait Held: PyClass<Frozen = True> + Sync {
    /// Acquires it, if it is free; whether it was.
    fn try_acquire(&self, py: Python<'_>) -> bool;

    /// Releases it, if the caller may; whether it may.
    fn try_release(&self, py: Python<'_>) -> bool;
}

/// `acquire()` and `__enter__()`.
#[inline]
pub(super) fn acquire<'py, T: Held>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    if arguments.are_none() && slf.get().try_acquire(slf.py()) {
        arguments.answer(true)
    } else {
        None
    }
}

/// `release()`.
#[inline]
pub(super) fn release<'py, T: Held>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    if arguments.are_none() && slf.get().try_release(slf.py()) {
        arguments.done()
    } else {
        None
    }
}

/// `__exit__(type, value, traceback)`.
#[inline]
pub(super) fn exit<'py, T: Held>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    if arguments.len() == 3 && slf.get().try_release(slf.py()) {
        arguments.done()
    } else {
        None
    }
}
