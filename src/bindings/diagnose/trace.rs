//! The trace, as Python gets it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::bindings::aio;
use crate::diagnostics::chrome::{self, Names};
use crate::diagnostics::{origins, trace};

/// The bytes of the file that are collected before they are written.
const BUFFER: usize = 1 << 20;

/// Begin a trace. `record_waits` must have been called before.
///
/// Args:
///     most_bytes (int or None): the memory for events. None: 64 MiB.
///
/// Returns:
///     bool: whether it has begun; not if one runs already.
#[pyfunction]
#[pyo3(signature = (most_bytes=None))]
pub(crate) fn start_trace(py: Python<'_>, most_bytes: Option<usize>) -> bool {
    let has_begun = trace::start(most_bytes.unwrap_or(trace::MOST_BYTES));
    if has_begun {
        aio::show_all(py);
    }
    has_begun
}

/// Whether a trace runs in this process (bool).
#[pyfunction]
pub(crate) fn trace_runs() -> bool {
    trace::is_on()
}

/// End the trace and return what it has recorded, or None if none runs in this process.
#[pyfunction]
pub(crate) fn stop_trace(py: Python<'_>) -> Option<Recording> {
    let recording = py.detach(trace::stop)?;
    Some(Recording(Mutex::new(Some(recording))))
}

/// An object that threads have waited for: what is waited for, its address, the generation of that, whether no later
/// object has the address, and the name that the program had given to it.
type Described = (&'static str, usize, u32, bool, Option<String>);

/// What a trace has recorded.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Recording(Mutex<Option<trace::Recording>>);

impl Recording {
    fn with<R>(&self, look: impl FnOnce(&trace::Recording) -> R) -> PyResult<R> {
        let recording = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recording.as_ref().map(look).ok_or_else(is_written)
    }
}

fn is_written() -> PyErr {
    PyValueError::new_err("it has been written")
}

/// The error as `open` in Python raises it.
fn of_file(error: &io::Error, path: PathBuf) -> PyErr {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    PyOSError::new_err((error.raw_os_error(), text.to_owned(), path))
}

#[pymethods]
impl Recording {
    /// How many events were recorded (int).
    #[getter]
    fn kept(&self) -> PyResult<usize> {
        self.with(|recording| recording.kept)
    }

    /// How many events found no room (int).
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        self.with(|recording| recording.dropped)
    }

    /// Return what threads have waited for, by the numbers, as tuples: what (str), the address (int), its generation
    /// (int), whether no later object has the address (bool), and the name that the program had given to it (str or None).
    /// The first is none.
    fn objects(&self) -> PyResult<Vec<Described>> {
        self.with(|recording| {
            let objects = recording.objects().iter().zip(recording.labels());
            objects
                .map(|(object, label)| {
                    let is_there = origins::generation(object.address) == object.generation;
                    let label = label.as_ref().map(ToString::to_string);
                    let (what, address) = (object.what, object.address);
                    (what, address, object.generation, is_there, label)
                })
                .collect()
        })
    }

    /// Return the files of all functions in which threads were (list of str).
    fn files(&self) -> PyResult<Vec<String>> {
        self.with(|recording| recording.files().into_iter().map(str::to_owned).collect())
    }

    /// Return the numbers of the threads that have no name (list of int).
    fn unnamed_threads(&self) -> PyResult<Vec<u32>> {
        self.with(|recording| {
            let threads = recording.threads().into_iter();
            let unnamed = threads.filter(|(_, name)| name.is_none());
            unnamed.map(|(thread, _)| thread.number()).collect()
        })
    }

    /// Write the file, once. The interpreter is released meanwhile.
    ///
    /// Args:
    ///     path (str): the file.
    ///     process (str): what the process is called.
    ///     waits (list of str): for each object, what a wait for it is called.
    ///     objects (list of str): for each object, what it is called itself.
    ///     threads (dict of int to str): threads that have no name.
    ///     files (dict of str to str): the files of the program, and how they are shown.
    ///
    /// Raises:
    ///     OSError: the file cannot be written.
    ///     ValueError: it has been written; or there are fewer names than objects.
    #[expect(clippy::too_many_arguments, reason = "each has another meaning")]
    fn write(
        &self,
        py: Python<'_>,
        path: PathBuf,
        process: String,
        waits: Vec<String>,
        objects: Vec<String>,
        threads: HashMap<u32, String>,
        files: HashMap<String, String>,
    ) -> PyResult<()> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut recording = taken.ok_or_else(is_written)?;
        if waits.len().min(objects.len()) < recording.objects().len() {
            return Err(PyValueError::new_err("a name is missing"));
        }
        let names = Names {
            process,
            waits,
            objects,
            threads,
            files,
        };
        let written = py.detach(|| {
            let file = BufWriter::with_capacity(BUFFER, File::create(&path)?);
            chrome::write(&mut recording, &names, file)
        });
        written.map_err(|error| of_file(&error, path))
    }
}
