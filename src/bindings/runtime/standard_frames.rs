//! The frames that the standard library's functions leave in tracebacks.
//!
//! Our functions do in Rust what the standard ones do in Python, so they leave no frames. What a C function raised
//! in a pool would have no traceback at all. People read tracebacks. So do programs: the frame `run` of
//! `thread.py` tells them that an error comes from a pool. So this module runs the standard functions once, with
//! arguments that make them raise (`concurrent/_standard_frames.py`), and stores their frames. For an error of
//! ours it makes traceback entries that refer to these frames, and puts them before the error's own.
//!
//! All errors share the frames. The frames have finished and were cleared, so they have no local variables. One
//! reader can change nothing for another, except what a debugger writes into their `f_locals`, or sets as their
//! `f_trace`, which will never be called. New frames for each error would cost more than the whole of a call that
//! fails.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::exceptions::{PyBaseException, PyMemoryError, PyRecursionError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTraceback, PyTuple};

use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::{Lazy, lazy_imports};

macro_rules! raisers {
    ($($(#[$doc:meta])* $raiser:ident: $name:literal,)*) => {
        /// A place in the standard library where an exception would be raised.
        #[derive(Clone, Copy)]
        pub(crate) enum Raiser {
            $($(#[$doc])* $raiser,)*
        }

        impl Raiser {
            /// The names of the raisers in `standard_frames`, in the same order.
            const ALL: &[(Self, &str)] = &[$((Self::$raiser, $name),)*];
        }
    };
}

raisers! {
    /// The submitted call raised, in `_WorkItem.run`.
    Call: "call",
    /// `Future.result` raised what the call had raised; and so on.
    Result: "result",
    ResultCancelled: "result cancelled",
    ResultTimeout: "result timeout",
    ExceptionCancelled: "exception cancelled",
    ExceptionTimeout: "exception timeout",
    /// A done callback raised; for the log.
    Callback: "callback",
    /// A callback raised that `add_done_callback` called immediately.
    LateCallback: "late callback",
    /// `Future.set_result` raised what a callback had raised; and so on.
    SetResultCallback: "set_result callback",
    SetExceptionCallback: "set_exception callback",
    CancelCallback: "cancel callback",
    /// `Future.set_result` raised because the future is done.
    SetResultRefused: "set_result refused",
    SetExceptionRefused: "set_exception refused",
    /// `_WorkItem.run` raised what `Future.set_result` had raised.
    RunSetResult: "run set_result",
    RunSetException: "run set_exception",
    /// The loop of a worker raised what `_WorkItem.run` had raised.
    Worker: "worker",
    /// A worker raised what the initializer had raised.
    Initializer: "initializer",
    /// The iterator of `Executor.map` raised what a call had raised.
    Map: "map",
    MapTimeout: "map timeout",
    AsCompleted: "as_completed",
}

/// A traceback entry without its link to the next one: a frame, and the position in it.
struct Entry {
    frame: Py<PyAny>,
    instruction: Py<PyAny>,
    line: Py<PyAny>,
}

struct Frames {
    /// By raiser, with the innermost frame first.
    entries: Vec<Vec<Entry>>,
    /// The generator that called the functions. It must stay suspended as long as the frames are used: only then
    /// does its frame, to which the others refer, not refer to the frame of the code that resumed it.
    _generator: Py<PyAny>,
}

static FRAMES: Lazy<Frames> = Lazy::new();

lazy_imports! {
    /// What the frames are made by.
    pub(crate) IMPORTS;
    STANDARD_FRAMES: PyAny = "oxthreads.concurrent._standard_frames", "standard_frames";
    NEXT: PyAny = "builtins", "next";
}

/// How often the frames are tried to be made, if code of a program gets in the way.
const ATTEMPTS: u8 = 3;

static FAILURES: AtomicU8 = AtomicU8::new(0);

impl Frames {
    fn make(py: Python<'_>) -> PyResult<Self> {
        let generator = foreign::call(STANDARD_FRAMES.get(py)?, &PyTuple::empty(py), None)?;
        let found = foreign::call(NEXT.get(py)?, &PyTuple::new(py, [&generator])?, None)?;
        let found = found.cast::<PyDict>()?;
        let entries = Raiser::ALL.iter().map(|(_, name)| {
            let Some(frames) = found.get_item(name)? else {
                return Ok(Vec::new());
            };
            let mut entries = Vec::new();
            for entry in frames.try_iter()? {
                let (frame, instruction, line) = entry?.extract()?;
                entries.push(Entry {
                    frame,
                    instruction,
                    line,
                });
            }
            entries.reverse();
            Ok(entries)
        });
        Ok(Self {
            entries: entries.collect::<PyResult<_>>()?,
            _generator: generator.unbind(),
        })
    }

    /// The frames, if they could be made. They are made on first use.
    ///
    /// # Errors
    /// What was raised while they were made: by a signal handler, or by another thread for this one.
    fn get(py: Python<'_>) -> PyResult<Option<&'static Self>> {
        match FRAMES.get() {
            Some(frames) => Ok(Some(frames)),
            None => Self::first(py),
        }
    }

    #[cold]
    fn first(py: Python<'_>) -> PyResult<Option<&'static Self>> {
        if FAILURES.load(Ordering::Relaxed) >= ATTEMPTS {
            return Ok(None);
        }
        match FRAMES.get_or_make(|| Self::make(py)) {
            Ok(frames) => Ok(Some(frames)),
            // The stack or the memory is nearly used up: try again another time.
            Err(error)
                if error.is_instance_of::<PyRecursionError>(py)
                    || error.is_instance_of::<PyMemoryError>(py) =>
            {
                Ok(None)
            }
            Err(error) => {
                FAILURES.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn of(&self, raiser: Raiser) -> &[Entry] {
        self.entries.get(raiser as usize).map_or(&[], Vec::as_slice)
    }

    /// The traceback with the entries put before it; with only the `outermost` ones, if that is fewer.
    fn before<'py>(
        &self,
        raiser: Raiser,
        outermost: usize,
        traceback: Option<Bound<'py, PyAny>>,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let class = py.get_type::<PyTraceback>();
        let entries = self.of(raiser);
        let entries = &entries[entries.len().saturating_sub(outermost)..];
        entries.iter().try_fold(traceback, |next, entry| {
            let Entry {
                frame,
                instruction,
                line,
            } = entry;
            class.call1((next, frame, instruction, line)).map(Some)
        })
    }
}

/// Puts the frames of the raiser before those of the error. If there are no frames, the error stays as it is.
///
/// # Errors
/// What was raised while the frames were made, which happens once.
#[cold]
pub(crate) fn put_before(py: Python<'_>, error: &PyErr, raiser: Raiser) -> PyResult<()> {
    let Some(frames) = Frames::get(py)? else {
        return Ok(());
    };
    let own = error.traceback(py).map(Bound::into_any);
    if let Ok(Some(traceback)) = frames.before(raiser, usize::MAX, own, py)
        && let Ok(traceback) = traceback.cast_into()
    {
        error.set_traceback(py, Some(traceback));
    }
    Ok(())
}

/// The error with the frames of the raiser before its own. If something is raised meanwhile, that exception, with the
/// error as its context.
#[cold]
pub(crate) fn raised_by(py: Python<'_>, error: PyErr, raiser: Raiser) -> PyErr {
    match put_before(py, &error, raiser) {
        Ok(()) => error,
        Err(between) => errors::after(py, between, Some(error)),
    }
}

/// Let the traceback of an error begin with frames of the standard library instead of frames of this package. For a
/// function of this package that is about to raise the error again.
///
/// Args:
///     error (BaseException): the error.
///     raiser (str): which frames; see `standard_frames`.
///     own (int): how many frames of the package the error has passed through. If the traceback has fewer, it gets
///         only as many standard frames.
///
/// Raises:
///     ValueError: there is no such raiser.
///     BaseException: what a signal handler raised meanwhile.
#[pyfunction]
#[pyo3(signature = (error, raiser, own, /))]
pub(crate) fn put_standard_frames(
    py: Python<'_>,
    error: Bound<'_, PyBaseException>,
    raiser: &str,
    own: usize,
) -> PyResult<()> {
    let Some((raiser, _)) = Raiser::ALL.iter().find(|(_, name)| *name == raiser) else {
        return Err(PyValueError::new_err(raiser.to_owned()));
    };
    let error = PyErr::from_value(error.into_any());
    let Some(frames) = Frames::get(py)? else {
        return Ok(());
    };
    let mut rest = error.traceback(py).map(Bound::into_any);
    let mut passed = 0;
    let mut file = None;
    while passed < own
        && let Some(traceback) = &rest
    {
        let code = traceback
            .getattr(intern!(py, "tb_frame"))?
            .getattr(intern!(py, "f_code"))?;
        let this = code.getattr(intern!(py, "co_filename"))?;
        if !file.get_or_insert_with(|| this.clone()).eq(this)? {
            break;
        }
        let next = traceback.getattr(intern!(py, "tb_next"))?;
        rest = (!next.is_none()).then_some(next);
        passed += 1;
    }
    let outermost = if passed < own { passed } else { usize::MAX };
    if let Ok(traceback) = frames.before(*raiser, outermost, rest, py) {
        let traceback = traceback.map(Bound::cast_into).transpose()?;
        error.set_traceback(py, traceback);
        // Before Python 3.12 this stores the traceback in the exception itself.
        drop(error.into_value(py).into_bound(py));
    }
    Ok(())
}
