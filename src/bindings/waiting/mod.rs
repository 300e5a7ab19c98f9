//! `select`: waits for the first of several objects.
//!
//! * `source`: what can be waited for, and what the natural wait of each object is.
//! * `arms`: `put` and `get`, which describe other waits of a queue.
//! * `timer`: `after` and `every`.
//! * `files`: sockets and other files, by `poll`.

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{block, timeout};
use crate::wait::Select;
use crate::wait::deadline::Deadline;

mod arms;
mod files;
mod source;
mod timer;

pub(crate) use arms::{GetMany, Put};
pub(crate) use timer::Timer;

use files::Sleep;
use source::Source;

lazy_imports! {
    /// What waits for several objects look up.
    pub(crate) IMPORTS, with source::IMPORTS, timeout::IMPORTS;
}

/// A number that differs from call to call, for the choice among sources that are ready.
fn random() -> usize {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
    }
    // xorshift64 (Marsaglia, 2003).
    STATE.with(|state| {
        let mut number = state.get();
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        state.set(number);
        usize::try_from(number >> 33).unwrap_or(0)
    })
}

/// The sources in the order in which they are preferred: that of the arguments, from `first` on.
fn rotated(count: usize, first: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| {
        let number = first + step;
        if number < count {
            number
        } else {
            number - count
        }
    })
}

/// Wait until the first of several sources is ready. Take what it has, and nothing of the others.
#[pyfunction]
#[pyo3(signature = (*sources, timeout=None, default=Argument::Absent, fair=true),
       text_signature = "(*sources, timeout=None, default=<raise TimeoutError>, fair=True)")]
pub(crate) fn select<'py>(
    py: Python<'py>,
    sources: &Bound<'py, PyTuple>,
    timeout: Option<&Bound<'py, PyAny>>,
    default: Argument<'py>,
    fair: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let count = sources.len();
    if count == 0 {
        return Err(PyValueError::new_err("select() needs at least one source"));
    }
    if let Some(timeout) = timeout {
        timeout::check_of_queue(timeout)?;
    }
    let first = if fair { random() % count } else { 0 };
    // Usually one of the first is ready, and the others need not be looked at. But a wrong one must be found.
    let found: Vec<Source<'py>> = sources
        .iter_borrowed()
        .map(|object| Source::of(&object))
        .collect::<PyResult<_>>()?;
    for slot in rotated(count, first) {
        if let Some(value) = found[slot].take_now(py, &*sources.get_borrowed_item(slot)?)? {
            return answer(sources, slot, value);
        }
    }
    let deadline = match timeout {
        None => Some(Deadline::NEVER),
        Some(timeout) => timeout::positive(timeout)?,
    };
    if let Some(deadline) = deadline
        && let Some((slot, value)) = wait(py, sources, &found, first, deadline)?
    {
        return answer(sources, slot, value);
    }
    match default {
        Argument::Given(default) => Ok(default),
        Argument::Absent => Err(PyTimeoutError::new_err("no source was ready in time")),
    }
}

fn answer<'py>(
    sources: &Bound<'py, PyTuple>,
    slot: usize,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let source = sources.get_item(slot)?;
    Ok(PyTuple::new(sources.py(), [source, value])?.into_any())
}

/// Sleeps until a source is ready. `None`: the deadline passed.
#[cold]
fn wait<'py>(
    py: Python<'py>,
    sources: &Bound<'py, PyTuple>,
    found: &[Source<'py>],
    first: usize,
    deadline: Deadline,
) -> PyResult<Option<(usize, Bound<'py, PyAny>)>> {
    let mut sleep = Sleep::new(found.iter().filter_map(Source::file))?;
    let mut arms = Vec::with_capacity(found.len());
    for (source, object) in found.iter().zip(sources) {
        arms.push(source.operation(&object)?);
    }
    let mut select = Select::new(arms, first);
    if let Some(target) = sleep.target() {
        select = select.waking(target);
    }
    loop {
        // A timer has no list of waiters: whoever waits for it wakes up by itself.
        let next = found
            .iter()
            .filter_map(Source::due)
            .fold(deadline, Deadline::earlier);
        let completed = block::wait_in(py, &mut select, next, &mut sleep)?;
        if let Some((slot, outcome)) = completed {
            let object = sources.get_item(slot)?;
            return Ok(Some((slot, found[slot].value(py, &object, outcome)?)));
        }
        for slot in rotated(found.len(), first) {
            if found[slot].due().is_some()
                && let Some(value) = found[slot].take_now(py, &sources.get_item(slot)?)?
            {
                return Ok(Some((slot, value)));
            }
        }
        if deadline.has_passed() {
            return Ok(None);
        }
        // Another thread has taken what the timer had.
    }
}
