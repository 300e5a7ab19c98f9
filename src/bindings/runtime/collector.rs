//! Steps during which no garbage collection may start.

use pyo3::ffi;
use pyo3::prelude::*;

/// Runs `step`, and no garbage collection starts in it.
///
/// Before Python 3.12 a collection may start wherever an object is made. It visits every object that the collector
/// knows, finished or not, and runs `__del__` methods. From Python 3.12 on a collection starts only between
/// bytecodes, and there is nothing to do.
///
/// The step runs no Python code and does not release the GIL, so no other code can notice that the collector pauses.
pub(crate) fn paused<T>(py: Python<'_>, step: impl FnOnce() -> T) -> T {
    let _pause = cfg!(not(Py_3_12)).then(|| pause(py));
    step()
}

/// No garbage collection starts while this lives, in any thread.
pub(crate) struct Pause<'py> {
    was_enabled: bool,
    _attached: Python<'py>,
}

/// Pauses the collector.
pub(crate) fn pause(py: Python<'_>) -> Pause<'_> {
    Pause {
        // SAFETY: attached, as the token shows.
        was_enabled: unsafe { ffi::PyGC_Disable() } != 0,
        _attached: py,
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: attached, as the token in this value shows.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
