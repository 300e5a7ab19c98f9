//! `select`: waits for the first of several objects.
//!
//! * `source`: what can be waited for, and what the natural wait of each object is.
//! * `arms`: `put` and `get`, which describe other waits of a queue.
//! * `timer`: `after` and `every`.
//! * `files`: sockets and other files, by `poll`.
//! * `readable`: such a descriptor for a source.

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;

use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{block, timeout};
use crate::wait::Select;
use crate::wait::deadline::Deadline;

mod arms;
mod files;
#[cfg(unix)]
mod readable;
mod source;
mod timer;

pub(crate) use arms::{GetMany, Put, broadcast_of, channel_of, delay_queue_of, limiter_of};
#[cfg(unix)]
pub(crate) use readable::Readable;
pub(crate) use source::{Arm, Outcome, Source};
pub(crate) use timer::Timer;

use files::Sleep;

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

/// Wait until the first of several sources is ready. Do what it is ready for, and nothing with the others.
///
/// A source is ready when a wait for it alone would end. What ``select`` does with it, and the value:
///
/// * ``Queue``, ``LifoQueue``, ``PriorityQueue``, ``SimpleQueue``, ``DelayQueue``: gets an item; the item.
/// * ``put(queue, item)``: puts the item; None. ``get(queue, max_items)``: gets several items; the list of them.
/// * ``Channel``, ``Subscription``: receives an item; the item. ``put(channel, item)``, ``put(broadcast, item)``: sends the
///   item; None.
/// * ``WatchReader``: there is a value that was not seen; the value, which counts as seen then.
/// * ``Event``: the flag is set; True.
/// * ``Lock``, ``Semaphore``, ``BoundedSemaphore``: acquires it; True. ``Limiter``: acquires one; True.
/// * ``Future``: it is done, also if it failed or was cancelled; None. Call ``result()`` then.
/// * ``Thread``: it has ended; None.
/// * ``after(seconds)``: the time is over; None. ``every(seconds)``: how many times have come, an int.
/// * a socket, a pipe, or another object with ``fileno()``: there is something to read, or its end; None. Not on Windows.
///
/// Exactly one source is used, ever: an item that was not returned is still in its queue, and a lock is still free. While
/// a thread sleeps here, it has its place in the order of waiters of each source. If a signal arrives, its handlers
/// run while the thread has left all of them; afterwards it returns to its places.
///
/// Args:
///     *sources: what to wait for, at least one. The same object may be there more than once.
///     timeout (int, float or None): the longest wait, in seconds. None means no limit; 0 looks once.
///     default: what to return if no source was ready in time. Without it, TimeoutError is raised.
///     fair (bool): if several sources are ready, False takes the first one in the order of the arguments. True begins
///         at a random one of them, so that none is neglected.
///
/// Returns:
///     tuple: the source, as it was given, and its value.
///
/// Raises:
///     TimeoutError: no source was ready in time.
///     queue.ShutDown: a queue is shut down, and has no item to get. The attribute ``source`` says which. For a channel it
///         is oxthreads.channels.ClosedError, which is a ShutDown.
///     queue.Full: ``put`` of a channel with on_full="raise" that has no room.
///     oxthreads.channels.Lagged: a subscription has missed items.
///     TypeError: an object is no source. An RLock may be the thread's already; a Condition and a Barrier have no
///         wait of one step. An object of the standard library, or one that has fallen back to it (docs/fallback.md),
///         cannot be waited for together with others. Nor can a class that overrides ``get``, ``put``, ``wait`` or
///         ``acquire``, because they would not be called.
///     NotImplementedError: a source is a file, on Windows.
///     ValueError: there is no source; or timeout is negative; or a file is closed.
///     RuntimeError: a thread has not been started, or is the calling one.
///     OSError: a file cannot be polled.
///
/// Thread-safe. A worker of a pool with ``nested="run"`` does not run the calls of its own pool that it waits for here, as
/// it does in ``result()``.
///
/// Example:
///
///     >>> from oxthreads.queue import Queue
///     >>> from oxthreads.threading import Event, Thread
///     >>> from oxthreads.waiting import select
///     >>> jobs, stop = Queue(), Event()
///     >>> done = []
///     >>> def work():
///     ...     while True:
///     ...         source, value = select(jobs, stop, fair=False)
///     ...         if source is stop:
///     ...             return
///     ...         done.append(value)
///     >>> worker = Thread(target=work)
///     >>> jobs.put("the dishes")
///     >>> stop.set()
///     >>> worker.start()
///     >>> worker.join()
///     >>> done
///     ['the dishes']
///
/// The protocol is that of ``select!`` in the Rust crate crossbeam-channel.
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
    let first = first(count, fair);
    let found = sources_of(sources)?;
    if let Some(answer) = take_now(sources, &found, first)? {
        return Ok(answer);
    }
    let deadline = match timeout {
        None => Some(Deadline::NEVER),
        Some(timeout) => timeout::positive(timeout)?,
    };
    if let Some(deadline) = deadline
        && let Some(answer) = wait(py, sources, &found, first, deadline)?
    {
        return Ok(answer);
    }
    match default {
        Argument::Given(default) => Ok(default),
        Argument::Absent => Err(PyTimeoutError::new_err("no source was ready in time")),
    }
}

/// Which of so many sources is preferred.
pub(crate) fn first(count: usize, fair: bool) -> usize {
    if fair && count > 0 {
        random() % count
    } else {
        0
    }
}

/// The sources that these objects are.
///
/// # Errors
/// If one of them is none. All are looked at, so that a wrong one is found even if another one is ready.
pub(crate) fn sources_of<'py>(
    objects: &Bound<'py, PyTuple>,
) -> PyResult<SmallVec<[Source<'py>; 6]>> {
    let mut found = SmallVec::with_capacity(objects.len());
    for object in objects.iter_borrowed() {
        found.push(Source::of(&object)?);
    }
    Ok(found)
}

/// Takes what the first source has that is ready. Returns what `select` returns.
///
/// # Errors
/// If a source ends the wait by an error.
pub(crate) fn take_now<'py>(
    objects: &Bound<'py, PyTuple>,
    found: &[Source<'py>],
    first: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for slot in rotated(found.len(), first) {
        let object = objects.get_borrowed_item(slot)?;
        if let Some(value) = found[slot].take_now(objects.py(), &object)? {
            return pair(objects, slot, value).map(Some);
        }
    }
    Ok(None)
}

/// What `select` returns when the arm of this slot was completed.
///
/// # Errors
/// If it was completed by an error.
pub(crate) fn answer<'py>(
    objects: &Bound<'py, PyTuple>,
    slot: usize,
    outcome: Outcome,
) -> PyResult<Bound<'py, PyAny>> {
    let object = objects.get_item(slot)?;
    pair(objects, slot, source::value(&object, outcome)?)
}

fn pair<'py>(
    objects: &Bound<'py, PyTuple>,
    slot: usize,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let source = objects.get_item(slot)?;
    Ok(PyTuple::new(objects.py(), [source, value])?.into_any())
}

/// Sleeps until a source is ready. `None`: the deadline passed.
#[cold]
fn wait<'py>(
    py: Python<'py>,
    objects: &Bound<'py, PyTuple>,
    found: &[Source<'py>],
    first: usize,
    deadline: Deadline,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut sleep = Sleep::new(found.iter().filter_map(Source::file))?;
    let mut arms = Vec::with_capacity(found.len());
    for (source, object) in found.iter().zip(objects) {
        arms.push(source.operation(&object)?);
    }
    let mut select = Select::new(arms, first);
    if let Some(waiter) = sleep.waiter() {
        select = select.woken_by(waiter);
    }
    loop {
        let completed = block::wait_in(py, &mut select, deadline, &mut sleep)?;
        if let Some((slot, outcome)) = completed {
            return answer(objects, slot, outcome).map(Some);
        }
        sleep.check()?;
        if deadline.has_passed() {
            return Ok(None);
        }
    }
}
