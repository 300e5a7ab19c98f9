//! `oxthreads.channels`.
//!
//! * `channel`: `Channel`, which uses `primitives/channel.rs`.
//! * `broadcast`: `Broadcast` and `Subscription`, which use `primitives/broadcast.rs`.
//! * `watch`: `Watch` and `WatchReader`, which use `primitives/watch.rs`.
//!
//! Here is what they share: their errors, and what their arguments mean.

use pyo3::exceptions::{PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyType};

use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{errors, foreign, timeout};
use crate::wait::deadline::Deadline;

mod broadcast;
mod channel;
mod watch;

pub(crate) use broadcast::{
    Broadcast, Subscription, receive_error as broadcast_error_of_receive,
    send_error as broadcast_error_of_send,
};
pub(crate) use channel::{
    Channel, receive_error as channel_error_of_receive, send_error as channel_error_of_send,
};
pub(crate) use watch::{Predicate, Watch, WatchReader, watch_closed};

lazy_imports! {
    /// What channels look up.
    pub(crate) IMPORTS, with timeout::IMPORTS, errors::EMPTY, errors::FULL;
    CLOSED_ERROR: PyType = "oxthreads.channels", "ClosedError";
    LAGGED: PyType = "oxthreads.channels", "Lagged";
}

/// `ClosedError`, for this kind of object.
#[cold]
pub(crate) fn closed(py: Python<'_>, kind: &str) -> PyErr {
    match CLOSED_ERROR.get(py) {
        Ok(class) => PyErr::from_type(class.clone(), format!("the {kind} is closed")),
        Err(error) => error,
    }
}

/// Whether the error is a `ClosedError`.
fn is_closed(py: Python<'_>, error: &PyErr) -> bool {
    (CLOSED_ERROR.get(py)).is_ok_and(|class| error.is_instance(py, class))
}

/// `Lagged`, for a subscription that has missed so many items.
#[cold]
pub(crate) fn lagged(py: Python<'_>, missed: u64) -> PyErr {
    match LAGGED.get(py) {
        Ok(class) => PyErr::from_type(class.clone(), missed),
        Err(error) => error,
    }
}

#[cold]
fn timed_out(what: &'static str) -> PyErr {
    PyTimeoutError::new_err(what)
}

/// The standard error for an object that cannot be copied or pickled.
#[cold]
fn cannot_pickle(object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(class) => PyTypeError::new_err(format!("cannot pickle '{class}' object")),
        Err(error) => error,
    }
}

/// A `timeout`, which is checked before anything is tried.
struct Timeout<'a, 'py>(Option<&'a Bound<'py, PyAny>>);

impl<'a, 'py> Timeout<'a, 'py> {
    /// # Errors
    /// ValueError, if it is negative; TypeError, if it is no number.
    fn new(timeout: Option<&'a Bound<'py, PyAny>>) -> PyResult<Self> {
        if let Some(timeout) = timeout {
            timeout::check_of_queue(timeout)?;
        }
        Ok(Self(timeout))
    }

    /// The wait begins. `None`: there is to be none.
    fn begin(&self) -> PyResult<Option<Deadline>> {
        self.0.map_or(Ok(Some(Deadline::NEVER)), timeout::positive)
    }
}

/// A `capacity`, as the program gave it. `None`: no limit.
///
/// # Errors
/// TypeError, if it is neither an int, nor `math.inf`, nor None; ValueError, if it is less than `least`.
fn capacity(given: Option<&Bound<'_, PyAny>>, least: usize) -> PyResult<Option<usize>> {
    let Some(given) = given else {
        return Ok(None);
    };
    let too_small = || PyValueError::new_err(format!("'capacity' must be at least {least}"));
    if let Ok(number) = given.cast::<PyFloat>()
        && number.value() == f64::INFINITY
    {
        return Ok(None);
    }
    let number = given.cast::<PyInt>().map_err(|_| {
        PyTypeError::new_err(format!(
            "'capacity' must be an int, math.inf or None, not {}",
            given
                .get_type()
                .name()
                .map_or_else(|_| "another object".to_owned(), |name| name.to_string())
        ))
    })?;
    if foreign::compare(foreign::Operator::Less, number.as_any(), 0)? {
        return Err(too_small());
    }
    // What has more places than the machine has bytes is never full.
    let number = i64::try_from(number.extract::<u64>().unwrap_or(u64::MAX));
    match number.map(usize::try_from) {
        Ok(Ok(number)) if number < least => Err(too_small()),
        Ok(Ok(number)) => Ok(Some(number)),
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

/// The `capacity`, as programs see it.
fn shown_capacity(py: Python<'_>, capacity: Option<usize>) -> PyResult<Bound<'_, PyAny>> {
    match capacity {
        Some(capacity) => Ok(capacity.into_pyobject(py)?.into_any()),
        None => Ok(PyFloat::new(py, f64::INFINITY).into_any()),
    }
}

/// One of several words.
///
/// # Errors
/// ValueError, if it is none of them.
fn word<T: Copy>(name: &str, given: &str, words: &[(&'static str, T)]) -> PyResult<T> {
    let found = words.iter().find(|(word, _)| *word == given);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        let (last, others) = known
            .split_last()
            .map_or((&known[0], &known[..0]), |split| split);
        PyValueError::new_err(format!(
            "'{name}' must be {} or {last}, not '{given}'",
            others.join(", ")
        ))
    })
}

/// The word for a meaning.
fn word_of<T: PartialEq>(meaning: &T, words: &[(&'static str, T)]) -> &'static str {
    (words.iter().find(|(_, known)| known == meaning)).map_or("", |(word, _)| word)
}

#[cold]
fn called_twice(kind: &str) -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(format!(
        "the {kind} is in use: __init__() was called twice"
    ))
}
