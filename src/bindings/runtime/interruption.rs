//! A report before Ctrl-C ends a long wait, where somebody watches for hangs.

use std::sync::OnceLock;
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::runtime::foreign;
use crate::diagnostics::sleepers;

/// A wait that is shorter needs no explanation.
const LONG: Duration = Duration::from_secs(1);

/// Called before the error is raised.
static HOOK: OnceLock<Py<PyAny>> = OnceLock::new();

/// Sets the function that is called, without arguments, before Ctrl-C ends a long wait. Only the first call has an
/// effect.
pub(crate) fn call(hook: Py<PyAny>) {
    drop(HOOK.set(hook));
}

/// Calls the hook if the error is a `KeyboardInterrupt` and ends a long wait of this thread.
pub(crate) fn show(py: Python<'_>, error: &PyErr) {
    if let Some(hook) = HOOK.get() {
        show_by(hook.bind(py), error);
    }
}

#[cold]
fn show_by(hook: &Bound<'_, PyAny>, error: &PyErr) {
    let py = hook.py();
    let is_long = sleepers::own_age().is_some_and(|age| age >= LONG);
    if is_long && error.is_instance_of::<PyKeyboardInterrupt>(py) {
        match foreign::call(hook, &PyTuple::empty(py), None) {
            Ok(shown) => foreign::release(shown),
            Err(failed) => failed.write_unraisable(py, Some(hook)),
        }
    }
}
