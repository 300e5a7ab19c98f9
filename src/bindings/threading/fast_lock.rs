//! The fast paths of `acquire`, `release`, `__enter__` and `__exit__`, for all classes that have them.

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use crate::bindings::runtime::fast_path::{Arguments, Attempt};
use crate::wait::observe::Acquisition;

/// A class with a fast path to acquire and release it.
pub(super) trait FastLock: PyClass<Frozen = True> + Sync {
    /// Acquires it if it is free. Returns whether it was acquired. `forever`: how the thread acquires it that would wait
    /// for ever otherwise.
    fn begin_acquire(&self, py: Python<'_>, forever: Acquisition) -> bool;

    /// Releases it if the caller may release it. Returns whether it was released.
    fn try_release(&self, py: Python<'_>) -> bool;
}

/// `acquire()`.
#[inline]
pub(super) fn acquire<'py, T: FastLock>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    begin(slf, arguments, Acquisition::Called)
}

/// `__enter__()`.
#[inline]
pub(super) fn enter<'py, T: FastLock>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    begin(slf, arguments, Acquisition::Entered)
}

#[inline]
fn begin<'py, T: FastLock>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
    forever: Acquisition,
) -> Attempt<'py> {
    if arguments.are_none() && slf.get().begin_acquire(slf.py(), forever) {
        arguments.answer(true)
    } else {
        None
    }
}

/// `release()`.
#[inline]
pub(super) fn release<'py, T: FastLock>(
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
pub(super) fn exit<'py, T: FastLock>(
    slf: &Bound<'py, T>,
    arguments: Arguments<'_, 'py>,
) -> Attempt<'py> {
    if arguments.len() == 3 && slf.get().try_release(slf.py()) {
        arguments.done()
    } else {
        None
    }
}
