//! asyncio and trio: which of them runs the present task, and how a task of it is suspended and woken.
//!
//! anyio's tasks are tasks of one of them, and uvloop is an event loop of asyncio.

use std::sync::Arc;

use pyo3::exceptions::{PyMemoryError, PyRecursionError, PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefMethods, PyWeakrefReference};

use super::alarm::Alarm;
use super::bell::{self, Bell};
use super::entry::Entry;
use super::inbox::{Inbox, Look, OwnedInbox};
use super::raise_later::raise_later;
use super::signal::Signal;
use super::watched::{self, Library};
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::{Lazy, LazyImport};
use crate::bindings::threading::caller;
use crate::wait::observe;

static MODULES: LazyImport<PyDict> = LazyImport::new(("sys", "modules"));
static RUNNING_LOOP: LazyImport = LazyImport::new(("asyncio.events", "_get_running_loop"));
static CURRENT_TASK: LazyImport = LazyImport::new(("asyncio.tasks", "current_task"));
static TRIO_TASK: LazyImport = LazyImport::new(("trio.lowlevel", "current_task"));
static TRIO_TOKEN: LazyImport = LazyImport::new(("trio.lowlevel", "current_trio_token"));
static TRIO_WAIT: LazyImport = LazyImport::new(("trio.lowlevel", "wait_task_rescheduled"));
static TRIO_RESCHEDULE: LazyImport = LazyImport::new(("trio.lowlevel", "reschedule"));
static TRIO_RUN_VARIABLE: LazyImport = LazyImport::new(("trio.lowlevel", "RunVar"));
static TRIO_ABORT: LazyImport = LazyImport::new(("trio.lowlevel", "Abort"));
static TRIO_FINISHED: LazyImport<PyType> = LazyImport::new(("trio", "RunFinishedError"));
static MAIN_THREAD: LazyImport = LazyImport::new(("threading", "main_thread"));

/// How often the loop is asked again to look into its inbox when a signal handler has raised in the middle of that.
const ATTEMPTS: u32 = 8;

/// An event loop, as its inbox knows it: not so that it would be kept alive.
pub(super) enum Loop {
    Asyncio {
        event_loop: Py<PyWeakrefReference>,
        bell: Option<Bell>,
    },
    /// The token of a run, which does not keep the run alive.
    Trio(Py<PyAny>),
}

/// Whether a loop was told something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    Yes,
    /// The loop is closed.
    Closed,
    /// It failed for another reason, and must be tried again later.
    No,
}

/// How a coroutine was suspended.
pub(super) struct Suspension {
    pub(super) by: SuspendedBy,
    /// What wakes it at a certain time.
    pub(super) alarm: Option<Alarm>,
}

/// What suspends a coroutine.
pub(super) enum SuspendedBy {
    /// By a [`Signal`], which asyncio has. The inbox, if the loop cannot keep it.
    Asyncio(Option<Py<OwnedInbox>>),
    /// By a coroutine of trio, which receives what trio sends next.
    Trio(Py<PyAny>),
}

fn is_imported(py: Python<'_>, module: &Bound<'_, pyo3::types::PyString>) -> PyResult<bool> {
    MODULES.get(py)?.contains(module)
}

fn call0<'py>(py: Python<'py>, function: &LazyImport) -> PyResult<Bound<'py, PyAny>> {
    function.get(py)?.call0()
}

fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    if !is_imported(py, intern!(py, "asyncio.events"))? {
        return Ok(None);
    }
    let running = call0(py, &RUNNING_LOOP)?;
    Ok(Some(running).filter(|running| !running.is_none()))
}

fn trio_task(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    if !is_imported(py, intern!(py, "trio"))? {
        return Ok(None);
    }
    match call0(py, &TRIO_TASK) {
        Ok(task) => Ok(Some(task)),
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

fn runs_task(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let task = CURRENT_TASK.get(event_loop.py())?.call1((event_loop,))?;
    Ok(!task.is_none())
}

/// Suspends the present task, whose wait this is. Returns what the coroutine must yield. `None`: the wait was woken in the
/// meantime.
///
/// # Errors
/// RuntimeError: no known event loop runs.
pub(super) fn suspend<'py>(
    py: Python<'py>,
    entry: &Arc<Entry>,
) -> PyResult<Option<(Bound<'py, PyAny>, Suspension)>> {
    let running = running_loop(py)?;
    // trio may run as a guest in the callbacks of a loop of asyncio, and asyncio in a task of trio.
    if let Some(event_loop) = &running
        && (!is_imported(py, intern!(py, "trio"))? || runs_task(event_loop)?)
    {
        return suspend_in_asyncio(event_loop, entry);
    }
    if let Some(task) = trio_task(py)? {
        return suspend_in_trio(&task, entry);
    }
    match running {
        Some(event_loop) => suspend_in_asyncio(&event_loop, entry),
        None => Err(PyRuntimeError::new_err(
            "no event loop of asyncio or trio runs in this thread",
        )),
    }
}

fn suspend_in_asyncio<'py>(
    event_loop: &Bound<'py, PyAny>,
    entry: &Arc<Entry>,
) -> PyResult<Option<(Bound<'py, PyAny>, Suspension)>> {
    let py = event_loop.py();
    let (inbox, kept_here) = inbox_of_loop(event_loop)?;
    let signal = Bound::new(py, Signal::new(event_loop.clone().unbind()))?.into_any();
    let alarm = Alarm::set(py, Some(event_loop), entry)?;
    let key = inbox.add(signal.clone().unbind(), Arc::clone(entry));
    if !entry.suspend(&inbox, key) {
        drop(inbox.remove(key));
        cancel(py, alarm);
        return Ok(None);
    }
    if observe::is_on_for_everything() {
        let task = || CURRENT_TASK.get(py)?.call1((event_loop,));
        watched::begin(py, entry, Library::Asyncio, task);
    }
    let by = SuspendedBy::Asyncio(kept_here);
    Ok(Some((signal, Suspension { by, alarm })))
}

fn cancel(py: Python<'_>, alarm: Option<Alarm>) {
    if let Some(alarm) = alarm {
        alarm.cancel(py);
    }
}

/// The inbox of the loop, and the object that must be kept if the loop cannot keep it.
fn inbox_of_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<(Arc<Inbox>, Option<Py<OwnedInbox>>)> {
    let py = event_loop.py();
    let name = intern!(py, "_oxthreads_inbox");
    if let Ok(Some(found)) = event_loop.getattr_opt(name)
        && let Ok(found) = found.cast_exact::<OwnedInbox>()
        && found.get().0.is_of_this_process()
    {
        return Ok((Arc::clone(&found.get().0), None));
    }
    let bell = bell::for_loop(event_loop)?;
    let event_loop_here = Loop::Asyncio {
        event_loop: PyWeakrefReference::new(event_loop)?.unbind(),
        bell,
    };
    let inbox = Inbox::new(py, event_loop_here)?;
    if let Loop::Asyncio {
        bell: Some(bell), ..
    } = inbox.event_loop()
    {
        let look = Bound::new(py, Look::for_bell(&inbox))?;
        foreign::call_method(event_loop, "add_reader", (bell.number(), look), None)?;
    }
    let owned = Bound::new(py, OwnedInbox(Arc::clone(&inbox)))?;
    let kept_here = match event_loop.setattr(name, &owned) {
        Ok(()) => None,
        Err(_) => Some(owned.unbind()),
    };
    Ok((inbox, kept_here))
}

fn suspend_in_trio<'py>(
    task: &Bound<'py, PyAny>,
    entry: &Arc<Entry>,
) -> PyResult<Option<(Bound<'py, PyAny>, Suspension)>> {
    let py = task.py();
    let inbox = inbox_of_run(py)?;
    let abort = Bound::new(py, Abort(Arc::clone(entry)))?;
    let waiting = TRIO_WAIT.get(py)?.call1((abort,))?;
    let alarm = Alarm::set(py, None, entry)?;
    let key = inbox.add(task.clone().unbind(), Arc::clone(entry));
    if !entry.suspend(&inbox, key) {
        drop(inbox.remove(key));
        cancel(py, alarm);
        foreign::call_method(&waiting, "close", (), None)?;
        return Ok(None);
    }
    if observe::is_on_for_everything() {
        watched::begin(py, entry, Library::Trio, || Ok(task.clone()));
    }
    match foreign::call_method(&waiting, "send", (py.None(),), None) {
        Ok(yielded) => {
            let by = SuspendedBy::Trio(waiting.unbind());
            Ok(Some((yielded, Suspension { by, alarm })))
        }
        Err(error) => {
            entry.resume();
            cancel(py, alarm);
            Err(error)
        }
    }
}

fn inbox_of_run(py: Python<'_>) -> PyResult<Arc<Inbox>> {
    static VARIABLE: Lazy<Py<PyAny>> = Lazy::new();
    let variable = VARIABLE.get_or_make(|| {
        let class = TRIO_RUN_VARIABLE.get(py)?;
        Ok(class.call1(("inbox of oxthreads",))?.unbind())
    })?;
    let variable = variable.bind(py);
    let found = variable.call_method1(intern!(py, "get"), (py.None(),))?;
    if let Ok(found) = found.cast_exact::<OwnedInbox>()
        && found.get().0.is_of_this_process()
    {
        return Ok(Arc::clone(&found.get().0));
    }
    let inbox = Inbox::new(py, Loop::Trio(call0(py, &TRIO_TOKEN)?.unbind()))?;
    let owned = Bound::new(py, OwnedInbox(Arc::clone(&inbox)))?;
    variable.call_method1(intern!(py, "set"), (owned,))?;
    Ok(inbox)
}

/// Goes on after a suspension, with what the event loop sends.
///
/// # Errors
/// What trio raises in its task.
pub(super) fn go_on(
    py: Python<'_>,
    mut suspension: Suspension,
    sent: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    cancel(py, suspension.alarm.take());
    let SuspendedBy::Trio(waiting) = suspension.by else {
        return Ok(());
    };
    let none = py.None().into_bound(py);
    match foreign::call_method(waiting.bind(py), "send", (sent.unwrap_or(&none),), None) {
        Ok(_) => Err(PyRuntimeError::new_err(
            "trio has resumed a task that waits",
        )),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Loop {
    /// Imports what is needed to understand a failure.
    pub(super) fn prepare(&self, py: Python<'_>) -> PyResult<()> {
        MAIN_THREAD.get(py)?;
        match self {
            Self::Asyncio { .. } => Ok(()),
            Self::Trio(_) => {
                TRIO_RESCHEDULE.get(py)?;
                TRIO_FINISHED.get(py).map(drop)
            }
        }
    }

    /// Whether this thread is running a task of the loop. Then the loop looks at its tasks before it sleeps. (In a signal
    /// handler the loop may be asleep, but not while it runs a task.)
    pub(super) fn runs_task_here(&self, py: Python<'_>) -> bool {
        match self {
            Self::Asyncio { event_loop, .. } => {
                let Ok(Some(running)) = running_loop(py) else {
                    return false;
                };
                (event_loop.bind(py).upgrade()).is_some_and(|this| this.is(&running))
                    && runs_task(&running).unwrap_or(false)
            }
            Self::Trio(token) => {
                trio_task(py).is_ok_and(|task| task.is_some())
                    && call0(py, &TRIO_TOKEN).is_ok_and(|running| running.is(token))
            }
        }
    }

    /// The loop of asyncio; `None` for trio, or if it is gone.
    pub(super) fn of_asyncio<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Asyncio { event_loop, .. } => event_loop.bind(py).upgrade(),
            Self::Trio(_) => None,
        }
    }

    /// Wakes a task, in the thread of the loop.
    pub(super) fn wake(
        &self,
        py: Python<'_>,
        handle: &Py<PyAny>,
        raised: &mut Option<PyErr>,
    ) -> Reached {
        let handle = handle.bind(py);
        match self {
            Self::Asyncio { .. } => self.attempt(py, raised, || match handle.cast_exact() {
                Ok(signal) => Signal::wake(signal),
                Err(_) => Ok(()),
            }),
            Self::Trio(_) => {
                let reschedule = || {
                    let arguments = PyTuple::new(py, [handle])?;
                    foreign::call(TRIO_RESCHEDULE.get(py)?, &arguments, None).map(drop)
                };
                match reschedule() {
                    Ok(()) => Reached::Yes,
                    Err(error) if self.has_refused(py, &error) => Reached::Closed,
                    Err(error) if is_too_deep(py, &error) => Reached::No,
                    // trio does not allow to do it twice.
                    Err(error) => {
                        *raised = Some(error);
                        Reached::Yes
                    }
                }
            }
        }
    }

    /// Asks the loop, from any thread, to look into its inbox soon.
    pub(super) fn schedule(&self, py: Python<'_>, inbox: &Arc<Inbox>) -> Reached {
        let mut raised = None;
        let reached = self.attempt(py, &mut raised, || self.ask_to_look(py, inbox));
        if let Some(error) = raised {
            keep(py, error);
        }
        reached
    }

    /// Does what is to be done once, but may be done twice, until no signal handler raises in the middle of it. Puts the
    /// last exception of these into `raised`. The caller raises it afterwards: earlier, it would be raised in the next
    /// attempt.
    fn attempt(
        &self,
        py: Python<'_>,
        raised: &mut Option<PyErr>,
        action: impl Fn() -> PyResult<()>,
    ) -> Reached {
        for _ in 0..ATTEMPTS {
            match action() {
                Ok(()) => return Reached::Yes,
                Err(error) if self.has_refused(py, &error) => return Reached::Closed,
                Err(error) if is_too_deep(py, &error) => return Reached::No,
                Err(error) => *raised = Some(error),
            }
        }
        Reached::No
    }

    fn ask_to_look(&self, py: Python<'_>, inbox: &Arc<Inbox>) -> PyResult<()> {
        match self {
            Self::Asyncio {
                bell: Some(bell), ..
            } if !self.is_closed(py) => {
                bell.ring();
                Ok(())
            }
            Self::Asyncio { event_loop, .. } => {
                let Some(event_loop) = event_loop.bind(py).upgrade() else {
                    return Err(PyRuntimeError::new_err("the event loop is gone"));
                };
                let look = Bound::new(py, Look::new(inbox))?;
                foreign::call_method(&event_loop, "call_soon_threadsafe", (&look,), None)?;
                look.get().is_accepted();
                Ok(())
            }
            Self::Trio(token) => {
                let look = Bound::new(py, Look::new(inbox))?;
                foreign::call_method(token.bind(py), "run_sync_soon", (&look,), None)?;
                look.get().is_accepted();
                Ok(())
            }
        }
    }

    /// Empties what the loop was asked by.
    pub(super) fn has_looked(&self) {
        if let Self::Asyncio {
            bell: Some(bell), ..
        } = self
        {
            bell.silence();
        }
    }

    /// Whether a loop of asyncio is closed. trio only says so when it refuses.
    pub(super) fn is_closed(&self, py: Python<'_>) -> bool {
        match self {
            Self::Asyncio { event_loop, .. } => match event_loop.bind(py).upgrade() {
                None => true,
                Some(event_loop) => foreign::call_method(&event_loop, "is_closed", (), None)
                    .and_then(|closed| closed.is_truthy())
                    .unwrap_or(false),
            },
            Self::Trio(_) => false,
        }
    }

    /// Whether the exception means that the loop is closed. Any RuntimeError may be that of a signal handler. The loop may
    /// also have been closed while such a handler ran, whose exception must not be lost.
    fn has_refused(&self, py: Python<'_>, error: &PyErr) -> bool {
        match self {
            Self::Asyncio { .. } => {
                error.is_instance_of::<PyRuntimeError>(py) && self.is_closed(py)
            }
            Self::Trio(_) => TRIO_FINISHED
                .get(py)
                .is_ok_and(|class| error.is_instance(py, class.as_any())),
        }
    }
}

/// Whether it was this thread that could not do it, and another can.
fn is_too_deep(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyRecursionError>(py) || error.is_instance_of::<PyMemoryError>(py)
}

/// Raises the exception later.
pub(super) fn keep(py: Python<'_>, error: PyErr) {
    let is_main = || -> PyResult<bool> {
        let main: u64 = call0(py, &MAIN_THREAD)?
            .getattr(intern!(py, "ident"))?
            .extract()?;
        Ok(main == caller(py))
    };
    let is_main = is_main().unwrap_or_else(|other| {
        // A signal handler has raised again: that happens in the main thread only.
        let is_main = !is_too_deep(py, &other);
        if is_main {
            raise_later(py, other, true);
        }
        is_main
    });
    raise_later(py, error, is_main);
}

/// What trio calls when it cancels a task that waits.
#[pyclass(frozen, module = "oxthreads._oxthreads", name = "_Abort")]
struct Abort(Arc<Entry>);

#[pymethods]
impl Abort {
    #[pyo3(signature = (*_arguments))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        _arguments: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.end();
        TRIO_ABORT.get(py)?.getattr(intern!(py, "SUCCEEDED"))
    }
}
