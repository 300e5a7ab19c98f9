//! What reports, profiles and traces know of the coroutines that wait.
//!
//! A report finds the coroutines in the inboxes of their loops, so nothing has to be noted for it. With an observer, each wait
//! notes when it began, and where: a running coroutine can be looked at only with a GIL.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType, PyWeakrefMethods, PyWeakrefReference};

use super::entry::Entry;
use super::inbox::Inbox;
use super::library::keep;
use super::signal::Signal;
use crate::bindings::runtime::lazy::LazyImport;
use crate::bindings::runtime::{code, collector};
use crate::diagnostics::sleepers::Frame;
use crate::diagnostics::tasks;
use crate::wait::PerProcess;
use crate::wait::observe::ThreadNumber;

static ASYNCIO_TASK: LazyImport<PyType> = LazyImport::new(("asyncio.tasks", "Task"));

/// The most frames that are remembered of a wait.
const DEEPEST: usize = 50;

/// The flags of the code of generators, coroutines and asynchronous generators.
const SUSPENDABLE: u32 = 0x20 | 0x80 | 0x100 | 0x200;

/// The file of the function of trio that runs tasks, which is a generator itself.
const RUNS_TASKS: [&str; 2] = ["trio/_core/_run.py", "trio\\_core\\_run.py"];

/// The inboxes of all loops in which a coroutine has waited.
fn inboxes() -> MutexGuard<'static, Vec<Weak<Inbox>>> {
    static INBOXES: PerProcess<Mutex<Vec<Weak<Inbox>>>> = PerProcess::new();
    let inboxes = INBOXES.get(Mutex::default).lock();
    inboxes.unwrap_or_else(PoisonError::into_inner)
}

/// A loop has got this inbox.
pub(super) fn add(inbox: &Arc<Inbox>) {
    let mut inboxes = inboxes();
    inboxes.retain(|inbox| inbox.strong_count() > 0);
    inboxes.push(Arc::downgrade(inbox));
}

/// The suspended coroutines: the loop of each, what wakes it, and its wait.
fn suspended(py: Python<'_>) -> Vec<(Arc<Inbox>, Py<PyAny>, Arc<Entry>)> {
    let inboxes: Vec<Arc<Inbox>> = inboxes().iter().filter_map(Weak::upgrade).collect();
    let mut found = Vec::new();
    for inbox in inboxes {
        if !inbox.is_closed() && inbox.is_of_this_process() {
            for (handle, entry) in inbox.suspended(py) {
                if entry.is_asleep() {
                    found.push((Arc::clone(&inbox), handle, entry));
                }
            }
        }
    }
    found
}

/// Whether the code is that of a function in a task: the event loop called the outermost.
fn belongs_to_task(code: &Bound<'_, PyAny>) -> bool {
    let py = code.py();
    let flags = code.getattr(intern!(py, "co_flags"));
    let is_suspendable = flags
        .and_then(|flags| flags.extract::<u32>())
        .is_ok_and(|flags| flags & SUSPENDABLE != 0);
    is_suspendable && {
        let file = code.getattr(intern!(py, "co_filename"));
        let file = file.and_then(|file| file.extract::<String>());
        !file.is_ok_and(|file| RUNS_TASKS.iter().any(|end| file.ends_with(end)))
    }
}

/// The coroutine of the running task, which was just suspended by this wait, is observed.
#[cold]
pub(super) fn begin<'py>(
    py: Python<'py>,
    entry: &Entry,
    library: Library,
    task: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) {
    if entry.observed().is_none() {
        // It makes frame objects. No code of the program may run here.
        let frames = collector::paused(py, || code::frames(py, DEEPEST, belongs_to_task));
        entry.observe(frames, ThreadNumber::current());
        if tasks::are_shown() {
            match task() {
                // What cannot be found out about a task makes no difference to it.
                Ok(task) => drop(show(entry, library, &task)),
                // On Python 3.11 this runs Python code, and so signal handlers.
                Err(error) => keep(py, error),
            }
        }
    }
}

/// The numbers of tasks, by their addresses, with weak references to tell a task from a later one.
type Numbers = HashMap<usize, (Py<PyWeakrefReference>, ThreadNumber)>;

fn numbers() -> MutexGuard<'static, Numbers> {
    static NUMBERS: PerProcess<Mutex<Numbers>> = PerProcess::new();
    let numbers = NUMBERS.get(Mutex::default).lock();
    numbers.unwrap_or_else(PoisonError::into_inner)
}

/// How many numbers of tasks there are before those of tasks that are gone are looked for.
const MANY: usize = 1024;

/// The number of the task, which is the same in all its waits.
fn number_of(task: &Bound<'_, PyAny>) -> PyResult<Option<ThreadNumber>> {
    let py = task.py();
    let address = task.as_ptr().addr();
    // Nothing of Python is dropped under the lock: that may end a task, which runs code of the program.
    let known = numbers()
        .get(&address)
        .map(|(reference, number)| (reference.bind(py).upgrade(), *number));
    if let Some((Some(other), number)) = known
        && other.is(task)
    {
        return Ok(Some(number));
    }
    let reference = PyWeakrefReference::new(task)?.unbind();
    let Some(number) = ThreadNumber::for_task() else {
        return Ok(None);
    };
    let mut numbers = numbers();
    let many = if numbers.len() >= MANY && numbers.len() == numbers.capacity() {
        std::mem::take(&mut *numbers)
    } else {
        Numbers::new()
    };
    let before = numbers.insert(address, (reference, number));
    drop(numbers);
    drop(before);
    forget_gone(py, many);
    Ok(Some(number))
}

/// Puts back those of the tasks that there are still.
fn forget_gone(py: Python<'_>, mut many: Numbers) {
    many.retain(|_, (reference, _)| reference.bind(py).upgrade().is_some());
    let mut outdated = Vec::new();
    let mut numbers = numbers();
    for (address, entry) in many {
        match numbers.entry(address) {
            // Another task is there now.
            MapEntry::Occupied(_) => outdated.push(entry),
            MapEntry::Vacant(place) => {
                place.insert(entry);
            }
        }
    }
    drop(numbers);
    drop(outdated);
}

/// Whose task it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    Asyncio,
    Trio,
}

/// What the library calls the task.
fn name_of(library: Library, task: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = task.py();
    let name = match library {
        Library::Trio => task.getattr(intern!(py, "name"))?,
        Library::Asyncio => {
            let class = ASYNCIO_TASK.get(py)?;
            class.call_method1(intern!(py, "get_name"), (task,))?
        }
    };
    Ok(name
        .cast_exact::<PyString>()?
        .to_string_lossy()
        .into_owned())
}

/// Tells a profile and a trace of the wait of this task.
fn show(entry: &Entry, library: Library, task: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(observed) = entry.observed() else {
        return Ok(());
    };
    let name = name_of(library, task).unwrap_or_default();
    if let Some(number) = number_of(task)?
        && let Some(facts) = entry.look(|wait| wait.facts())
    {
        observed.show(number, &format!("task {name}").trim_end().into(), &facts);
    }
    Ok(())
}

/// The task that is woken by this. `None`: it is woken already, or is no known task.
fn task_of(py: Python<'_>, handle: &Py<PyAny>) -> Option<(Library, Py<PyAny>)> {
    match handle.bind(py).cast_exact::<Signal>() {
        // The method of the task that goes on.
        Ok(signal) => {
            let callback = signal.get().callback(py)?;
            let task = callback.getattr(py, intern!(py, "__self__")).ok()?;
            Some((Library::Asyncio, task))
        }
        Err(_) => Some((Library::Trio, handle.clone_ref(py))),
    }
}

/// Tells a profile or a trace that has just begun of the waits that last already.
pub(crate) fn show_all(py: Python<'_>) {
    for (inbox, handle, entry) in suspended(py) {
        if entry.observed().is_none() {
            entry.observe(Vec::new(), inbox.thread);
        }
        if let Some((library, task)) = task_of(py, &handle) {
            let _ = show(&entry, library, task.bind(py));
        }
    }
}

/// A function of a coroutine: the file, the line, and the name.
type PlaceInCode = (String, u32, String);

/// Who has a lock, as in `Pin.holders`.
type Holders = (bool, Vec<u32>, Option<u32>);

/// A coroutine that waits, as `waiting_coroutines` returns it.
type Described = (
    Py<PyAny>,
    Option<Py<PyAny>>,
    Option<u32>,
    (&'static str, usize),
    Option<f64>,
    Option<u32>,
    Option<Holders>,
    Option<(u64, String)>,
    Vec<(&'static str, usize)>,
    Vec<PlaceInCode>,
);

fn described_frame(frame: &Frame) -> PlaceInCode {
    (
        frame.file.to_string(),
        frame.line,
        frame.function.to_string(),
    )
}

/// Return the coroutines that wait for objects of oxthreads, as tuples: the task (of asyncio or trio); its event loop of asyncio,
/// or None for trio; the number of the thread that runs it (int or None); what it waits for (str) and the address of that (int),
/// as a tuple; the seconds since the wait began (float), or None if that is not known; the number of the thread that has the
/// object (int or None); who has it and the call, as `Pin.holders` and `Pin.pending` return them; the sources, as `Pin.arms`
/// returns them; and the functions that it is in, as tuples of file, line and name, the innermost first, if they were noted.
#[pyfunction]
pub(crate) fn waiting_coroutines(py: Python<'_>) -> Vec<Described> {
    let mut found = Vec::new();
    for (inbox, handle, entry) in suspended(py) {
        let event_loop = inbox.event_loop().of_asyncio(py);
        let Some((library, task)) = task_of(py, &handle) else {
            continue;
        };
        // The loop may be gone.
        if (library == Library::Asyncio) != event_loop.is_some() {
            continue;
        }
        let looked = entry.look(|wait| (wait.resource(), wait.facts()));
        let Some((resource, facts)) = looked else {
            continue;
        };
        let observed = entry.observed();
        let thread = observed.map_or(inbox.thread, |observed| observed.runs_in);
        let has_begun = observed.filter(|observed| !observed.frames.is_empty());
        found.push((
            task,
            event_loop.map(Bound::unbind),
            thread.map(ThreadNumber::number),
            (resource.what, resource.address),
            has_begun.map(|observed| observed.age().as_secs_f64()),
            facts.owner.map(ThreadNumber::number),
            facts.holders.map(|holders| {
                let threads = holders.threads.into_iter();
                let next = holders.next.map(ThreadNumber::number);
                let threads = threads.map(ThreadNumber::number).collect();
                (holders.is_exclusive, threads, next)
            }),
            (facts.pending).map(|pending| (pending.pool, pending.name)),
            (facts.arms.iter())
                .map(|arm| (arm.what, arm.address))
                .collect(),
            observed.map_or_else(Vec::new, |observed| {
                observed.frames.iter().map(described_frame).collect()
            }),
        ));
    }
    found
}
