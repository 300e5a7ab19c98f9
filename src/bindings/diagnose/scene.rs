//! Where a thread is when it falls asleep: copied, so that it can be shown without the interpreter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::bindings::fallback;
use crate::bindings::runtime::collector;
use crate::bindings::threading::caller;
use crate::diagnostics::sleepers::{Frame, Scene};
use crate::wait::PerProcess;

/// The most code objects whose names are remembered.
const MOST_CODES: usize = 10_000;

/// The names of a code object: its file, and its function.
type Names = (Arc<str>, Arc<str>);

/// The names of code objects, by their addresses. The objects are kept, so that no other gets such an address.
type Codes = HashMap<usize, (Py<PyAny>, Names)>;

fn codes() -> MutexGuard<'static, Codes> {
    static CODES: PerProcess<Mutex<Codes>> = PerProcess::new();
    let codes = CODES.get(Mutex::default).lock();
    codes.unwrap_or_else(PoisonError::into_inner)
}

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
            frames: collector::paused(py, || frames(py, deepest)),
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

fn frames(py: Python<'_>, deepest: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    // SAFETY: attached; it returns a borrowed reference, or null if no Python function runs.
    let innermost = unsafe { ffi::PyEval_GetFrame() };
    // SAFETY: attached; the frame is alive, because it runs.
    let mut next = unsafe { Bound::from_borrowed_ptr_or_opt(py, innermost.cast()) };
    while let Some(frame) = next
        && frames.len() < deepest
    {
        let pointer = frame.as_ptr().cast();
        // SAFETY: attached, and it is a frame.
        let line = unsafe { ffi::PyFrame_GetLineNumber(pointer) };
        // SAFETY: attached, and it is a frame.
        let code = unsafe { ffi::PyFrame_GetCode(pointer) };
        // SAFETY: attached; it is a new reference, and never null.
        let code = unsafe { Bound::from_owned_ptr(py, code.cast()) };
        if let Some((file, function)) = names(&code) {
            frames.push(Frame {
                file,
                function,
                line: u32::try_from(line).unwrap_or(0),
            });
        }
        // SAFETY: attached, and it is a frame.
        let back = unsafe { ffi::PyFrame_GetBack(pointer) };
        // SAFETY: attached; it is a new reference, or null.
        next = unsafe { Bound::from_owned_ptr_or_opt(py, back.cast()) };
    }
    frames
}

/// The file and the first line of the code object. `None`: it is no code object.
pub(crate) fn code_place(code: &Bound<'_, PyAny>) -> Option<(Arc<str>, u32)> {
    let (file, _) = names(code)?;
    let line = code.getattr("co_firstlineno").ok()?.extract().ok()?;
    Some((file, line))
}

/// The names of the code object. `None` if they are no text.
fn names(code: &Bound<'_, PyAny>) -> Option<Names> {
    let address = code.as_ptr().addr();
    if let Some((_, names)) = codes().get(&address) {
        return Some(names.clone());
    }
    let text = |name: &str| code.getattr(name).ok()?.extract::<String>().ok();
    let names: Names = (text("co_filename")?.into(), text("co_name")?.into());
    let kept = code.clone().unbind();
    let mut codes = codes();
    if codes.len() < MOST_CODES {
        // A code object that is there already is the same, so nothing of Python is dropped under the lock.
        codes.entry(address).or_insert((kept, names.clone()));
    }
    Some(names)
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
