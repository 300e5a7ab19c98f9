//! Where a thread is when it falls asleep: copied, so that it can be shown without the interpreter.

use std::sync::{Arc, OnceLock};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::bindings::fallback;
use crate::bindings::runtime::{code, collector};
use crate::bindings::threading::caller;
use crate::diagnostics::sleepers::Scene;

/// `threading._active`: the threads, by their identifiers.
static THREADS: OnceLock<Py<PyDict>> = OnceLock::new();

/// Has the names of threads read from this dictionary, `threading._active`.
pub(super) fn read_names_from(threads: Py<PyDict>) {
    let _ = THREADS.set(threads);
}

/// What the calling thread is doing: a [`Look`](crate::diagnostics::sleepers::Look).
pub(super) fn look(deepest: usize, asks_name: bool) -> Scene {
    // The caller is attached: it is about to sleep, or wakes another thread. If it were not, it could not wait for the
    // interpreter here.
    // SAFETY: it has no precondition.
    let is_attached = unsafe { ffi::PyGILState_Check() } != 0;
    // This only counts that.
    let scene = if is_attached {
        Python::try_attach(|py| Scene {
            // It makes frame objects. No code of the program may run here.
            frames: collector::paused(py, || code::frames(py, deepest, |_| true)),
            name: asks_name.then(|| name(py)).flatten(),
        })
    } else {
        None
    };
    scene.unwrap_or_else(|| Scene {
        frames: Vec::new(),
        name: None,
    })
}

/// The name of the calling thread, if `threading` knows the thread. No code of the program runs: the thread is in the
/// list of an object, and must not be interrupted.
fn name(py: Python<'_>) -> Option<Arc<str>> {
    let threads = THREADS.get()?.bind(py);
    let thread = threads.get_item(caller(py)).ok()??;
    let name = fallback::dictionary(&thread)
        .ok()?
        .get_item("_name")
        .ok()??;
    let name = name
        .cast_exact::<PyString>()
        .ok()?
        .to_str()
        .ok()?
        .to_owned();
    Some(name.into())
}
