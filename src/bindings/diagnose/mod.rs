//! What `oxthreads.diagnose` asks the engine: which threads sleep, for what, and who has that.

mod metrics;
mod order;
mod origin;
mod profile;
mod scene;
mod trace;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::bindings::channels::{Broadcast, Channel, Subscription, Watch, WatchReader};
use crate::bindings::executor::{self, ThreadPoolExecutor};
use crate::bindings::future::Future;
use crate::bindings::queue::{self, DelayQueue, Queue, SimpleQueue};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::{collector, errors, foreign, interruption};
use crate::bindings::tasks::TaskGroup;
use crate::bindings::threading::{
    Barrier, Condition, Event, Flights, Limiter, Lock, Once, RLock, RWLock, Semaphore,
};
use crate::diagnostics::sleepers::{self, OutsideWait, RECORDER, Sleep};
use crate::diagnostics::{origins, server, watcher};
use crate::primitives::kept_threads;
use crate::wait::deadline::Deadline;
use crate::wait::observe::{self, Resource, ThreadNumber};
use crate::wait::threads;

pub(crate) use metrics::{
    PoolLedger, forget_label, label_of, set_label, start_metrics, stop_metrics, wait_counts,
    waits_going_on,
};
pub(crate) use order::{
    ThreadOrder, before_start, end_of_thread, follow_lock, follow_thread, lock_order_counts,
    start_lock_order, stop_lock_order,
};
pub(crate) use profile::{generation_of, group_name, profile_runs, start_profile, stop_profile};
pub(crate) use trace::{Recording, start_trace, stop_trace, trace_runs};

/// Record from now on which threads sleep, and for what. It cannot be turned off again.
///
/// Args:
///     threads (dict): `threading._active`, for the names of threads.
///     error (type): what is raised in a wait that must end, `oxthreads.diagnose.DeadlockError`.
#[pyfunction]
pub(crate) fn record_waits(py: Python<'_>, threads: Py<PyDict>, error: Py<PyType>) -> PyResult<()> {
    scene::read_names_from(threads);
    errors::set_deadlock_error(error);
    sleepers::look_by(scene::look);
    // An error means that it was set already: there is no other observer.
    let _ = observe::set_observer(&RECORDER);
    observe::observe(true);
    origin::record(py)
}

/// A sleep as Python sees it: thread, number, wait, what, address, seconds until the deadline (None: no deadline),
/// seconds since the wait began, whether the wait can be ended by an error, and seconds until a scope ends it (None: no
/// scope does).
type Described = (
    u32,
    u64,
    u64,
    &'static str,
    usize,
    Option<f64>,
    f64,
    bool,
    Option<f64>,
);

fn described(sleep: &Sleep) -> Described {
    (
        sleep.thread.number(),
        sleep.number,
        sleep.wait,
        sleep.resource.what,
        sleep.resource.address,
        sleep.deadline.remaining().map(|left| left.as_secs_f64()),
        sleep.age.as_secs_f64(),
        sleep.can_end,
        sleep.scope.map(|until| {
            let left = until.remaining().filter(|_| until != sleep.deadline);
            left.map_or(f64::INFINITY, |left| left.as_secs_f64())
        }),
    )
}

/// Return the present sleeps, as tuples: the number of the thread (int), the number of the sleep (int), the number
/// of the wait, which may sleep more than once (int), what it waits for (str), the address of that (int), the seconds
/// until its deadline (float or None), the seconds since the wait began (float), whether the wait can be ended by an
/// error (bool), and the seconds until a scope ends it (float or None;
/// infinite: only if the scope is cancelled, or the deadline of the wait comes first).
#[pyfunction]
pub(crate) fn asleep() -> Vec<Described> {
    sleepers::asleep().iter().map(described).collect()
}

/// Return how many other threads are awake in a wait although nobody has woken them (int): they look for signals.
#[pyfunction]
pub(crate) fn looking_for_signals() -> usize {
    sleepers::looking_for_signals()
}

/// Return the wait of the calling thread, which runs a signal handler or a destructor in it, as in `asleep`; and the
/// number (int) of the thread that has what it waits for, or None. None if it does not wait.
#[pyfunction]
pub(crate) fn own_wait() -> Option<(Described, Option<u32>)> {
    let (sleep, owner) = sleepers::own_wait()?;
    Some((described(&sleep), owner.map(ThreadNumber::number)))
}

/// Return where the object with this address was made, the innermost function first, as tuples: the file (str), the line
/// (int) and the function (str). Only objects that were made since `record_waits` are known.
#[pyfunction]
pub(crate) fn origin_of(address: usize) -> Vec<(String, u32, String)> {
    let frames = origins::of(address).into_iter();
    frames
        .map(|frame| {
            (
                frame.file.to_string(),
                frame.line,
                frame.function.to_string(),
            )
        })
        .collect()
}

/// Return the threads that have taken items of the queue and have not called `task_done` for them, as tuples: the number
/// of the thread (int), and how many items (int). Empty if that is not known.
#[pyfunction]
#[pyo3(signature = (queue, /))]
pub(crate) fn takers_of(queue: &Bound<'_, Queue>) -> Vec<(u32, usize)> {
    queue.get().takers()
}

/// Return the pools of all executors, as tuples: the number of the pool (int), the address that waits for it have (int),
/// the numbers of the threads of its workers (list of int), and whether it can have no more workers (bool).
#[pyfunction]
pub(crate) fn pools() -> Vec<(u64, usize, Vec<u32>, bool)> {
    executor::pools()
        .into_iter()
        .map(|pool| {
            let workers = pool.workers().into_iter();
            let threads = workers.map(|(thread, ..)| thread).collect();
            let address = std::ptr::from_ref(&*pool).addr();
            (pool.number(), address, threads, pool.is_full())
        })
        .collect()
}

/// Return the threads that are alive and have a number, as tuples: the number (int) and the identifier (int; 0 if it is
/// not known).
#[pyfunction]
pub(crate) fn threads_alive() -> Vec<(u32, u64)> {
    let alive = threads::alive().into_iter();
    alive
        .map(|thread| (thread.number, thread.identifier))
        .collect()
}

/// Return the last notification of the condition with this address that found nobody, as a tuple: the seconds since then
/// (float), the file (str), the line (int) and the function (str) where it was made. None if there was none.
#[pyfunction]
pub(crate) fn last_missed(address: usize) -> Option<(f64, String, u32, String)> {
    let (age, frame) = sleepers::last_missed(address)?;
    let frame = frame?;
    let (file, function) = (frame.file.to_string(), frame.function.to_string());
    Some((age.as_secs_f64(), file, frame.line, function))
}

/// Whether the thread with this number belongs to the process that forked this one.
#[pyfunction]
pub(crate) fn is_of_parent(thread: u32) -> bool {
    ThreadNumber::from_number(thread).is_some_and(threads::is_of_parent)
}

/// Return the number of the calling thread.
#[pyfunction]
pub(crate) fn thread_number() -> u32 {
    ThreadNumber::current_or_zero()
}

/// The address of the object if it is of one of the classes.
macro_rules! address_if {
    ($object:expr, $($class:ident),*) => {{
        let object: &Bound<'_, PyAny> = $object;
        None$(.or_else(|| Some(object.cast::<$class>().ok()?.get().primitive_address())))*
    }};
}

/// Return the address (int) that sleeps for this object have, or None if it is no object of oxthreads.
#[pyfunction]
#[pyo3(signature = (object, /))]
pub(crate) fn address_of(object: &Bound<'_, PyAny>) -> Option<usize> {
    address_if!(
        object,
        Lock,
        RLock,
        RWLock,
        Condition,
        Event,
        Semaphore,
        Limiter,
        Barrier,
        Once,
        Flights,
        Queue,
        SimpleQueue,
        DelayQueue,
        Future,
        ThreadPoolExecutor,
        Channel,
        Broadcast,
        Subscription,
        Watch,
        WatchReader,
        TaskGroup
    )
}

/// Sleeps that do not end before this is released. Use it in a `with` statement.
#[pyclass(frozen)]
pub(crate) struct Pin(Mutex<Option<sleepers::Pin>>);

impl Pin {
    fn with<R>(&self, look: impl FnOnce(&sleepers::Pin) -> R) -> Option<R> {
        let pin = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pin.as_ref().map(look)
    }
}

#[pymethods]
impl Pin {
    /// Pins those of the sleeps with these numbers that have not ended.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the vector")]
    fn new(numbers: Vec<u64>) -> Self {
        Self(Mutex::new(Some(sleepers::Pin::new(&numbers))))
    }

    /// The pinned sleeps, as in `asleep`.
    fn sleeps(&self) -> Vec<Described> {
        (self.with(|pin| pin.sleeps().map(described).collect())).unwrap_or_default()
    }

    /// Return the number (int) of the thread that now has what this sleep waits for, or None.
    fn owner(&self, number: u64) -> Option<u32> {
        let owner = self.with(|pin| pin.owner(number)).flatten();
        owner.map(ThreadNumber::number)
    }

    /// Return who has the lock that this sleep waits for, if several threads may have it at once, as a tuple: whether one
    /// has it alone (bool), the numbers of the threads (list of int; empty if not all are known), and that of the thread
    /// that gets it next (int or None; 0 for a coroutine).
    fn holders(&self, number: u64) -> Option<(bool, Vec<u32>, Option<u32>)> {
        let holders = self.with(|pin| pin.holders(number)).flatten()?;
        Some((
            holders.is_exclusive,
            (holders.threads.into_iter())
                .map(ThreadNumber::number)
                .collect(),
            holders
                .next
                .map(ThreadNumber::number)
                .or(holders.coroutine_is_next.then_some(0)),
        ))
    }

    /// Return the call that this sleep waits for, if it has not begun, as a tuple: the number of its pool (int), and the
    /// name of its function (str).
    fn pending(&self, number: u64) -> Option<(u64, String)> {
        let pending = self.with(|pin| pin.pending(number)).flatten()?;
        Some((pending.pool, pending.name))
    }

    /// Return what this sleep is for, if it is for the first of several objects, as tuples: what (str), and its address
    /// (int).
    fn arms(&self, number: u64) -> Vec<(&'static str, usize)> {
        let arms = self.with(|pin| pin.arms(number)).unwrap_or_default();
        (arms.into_iter())
            .map(|arm| (arm.what, arm.address))
            .collect()
    }

    /// End the wait of this sleep with a DeadlockError when the pin is released. Return whether that is possible.
    fn end(&self, number: u64, reason: String) -> bool {
        self.with(|pin| pin.end(number, reason)) == Some(true)
    }

    /// Let the sleeps end.
    fn release(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.release();
    }
}

fn begin_outside(
    what: &'static str,
    address: usize,
    timeout: Option<f64>,
    can_end: bool,
) -> Option<OutsideWait> {
    let resource = Resource {
        what,
        address,
        owner: None,
    };
    let deadline = match timeout {
        None => Deadline::NEVER,
        Some(seconds) => {
            Duration::try_from_secs_f64(seconds).map_or_else(|_| Deadline::now(), Deadline::after)
        }
    };
    OutsideWait::begin(resource, deadline, can_end)
}

fn end_outside(py: Python<'_>, wait: Option<OutsideWait>) {
    // A reader may have pinned the wait, and may need the interpreter.
    if let Some(wait) = wait {
        py.detach(|| wait.end());
    }
}

/// Return why the wait of the calling thread in `join_outside` must be ended by an error (str); None if it need not.
#[pyfunction]
pub(crate) fn take_verdict() -> Option<String> {
    sleepers::take_verdict()
}

/// Call `function(*arguments)`, which joins a thread and is no wait of the engine. It asks for a verdict now and then.
///
/// Args:
///     identifier (int): the thread that is joined.
///     timeout (float or None): seconds after which the call ends by itself; None means never.
///     function: the callable.
///     *arguments: its arguments.
///
/// Returns:
///     What the function returns.
#[pyfunction]
#[pyo3(signature = (identifier, timeout, function, /, *arguments))]
pub(crate) fn join_outside<'py>(
    identifier: usize,
    timeout: Option<f64>,
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let wait = begin_outside("join", identifier, timeout, timeout.is_none());
    let result = foreign::call(function, arguments, None);
    end_outside(function.py(), wait);
    result
}

/// How long a thread that joins another sleeps before it asks for a verdict.
const JOIN_SLICE: f64 = 0.25;

/// Wait until the thread has ended, by its handle (`threading.Thread._handle`, which there is from Python 3.13 on). For
/// `join_outside`.
///
/// # Errors
/// DeadlockError, if the wait must end; and what a signal handler raises.
#[pyfunction]
pub(crate) fn join_handle(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    loop {
        foreign::call_method(handle, "join", (JOIN_SLICE,), None).map(foreign::release)?;
        if foreign::is_true(foreign::call_method(handle, "is_done", (), None)?)? {
            return Ok(());
        }
        if let Some(reason) = sleepers::take_verdict() {
            return Err(errors::deadlock(handle.py(), reason));
        }
    }
}

/// The wait of the main thread for the other threads when the interpreter exits.
#[pyclass(frozen)]
pub(crate) struct ExitWait(Mutex<Option<OutsideWait>>);

#[pymethods]
impl ExitWait {
    /// Begin the wait.
    #[new]
    fn new() -> Self {
        Self(Mutex::new(begin_outside("exit", 0, None, false)))
    }

    /// End the wait.
    fn end(&self, py: Python<'_>) {
        let wait = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        end_outside(py, wait);
    }
}

/// Calls the Python function in the watcher. `None`: it raised, which is reported as unraisable; or the interpreter is
/// ending.
fn call_in_watcher<T: for<'py> FromPyObjectOwned<'py>>(
    function: &Py<PyAny>,
    arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>>,
) -> Option<T> {
    Python::try_attach(|py| {
        // A collection in this thread would run finalizers of the program, and these may wait for what threads have
        // that are pinned.
        let pause = collector::pause(py);
        let result = arguments(py).and_then(|arguments| function.bind(py).call1(arguments));
        drop(pause);
        let extracted = result.and_then(|result| result.extract::<T>().map_err(Into::into));
        extracted
            .inspect_err(|error| error.clone_ref(py).write_unraisable(py, None))
            .ok()
    })?
}

/// Start the watcher, a thread that calls these functions. Only the functions of the first call are used.
///
/// Args:
///     judge: called with the numbers of the sleeps without a deadline that have lasted for a tenth of a second at
///         least (list of int), whenever threads have fallen asleep for good, or have ended. It returns the seconds
///         (float) after which it wants to be called again although nothing has changed, or None.
///     describe: called without arguments when somebody inspects the process; returns the answer (str), or None.
///     name: called while a profile runs, with the numbers of sleeps whose objects should be given a name (list of int).
///     directory (str or None): where the socket is made through which the process can be inspected. None: nowhere.
#[pyfunction]
pub(crate) fn start_watcher(
    py: Python<'_>,
    judge: Py<PyAny>,
    describe: Py<PyAny>,
    name: Py<PyAny>,
    directory: Option<String>,
) {
    server::listen_in(directory);
    let functions = watcher::Functions {
        judge: Box::new(move |numbers| {
            let again = call_in_watcher::<Option<f64>>(&judge, |py| {
                PyTuple::new(py, [PyList::new(py, numbers)?])
            });
            Duration::try_from_secs_f64(again??).ok()
        }),
        describe: Box::new(move || {
            call_in_watcher::<Option<String>>(&describe, |py| Ok(PyTuple::empty(py)))?
        }),
        name: Box::new(move |numbers| {
            let _ = call_in_watcher::<Option<f64>>(&name, |py| {
                PyTuple::new(py, [PyList::new(py, numbers)?])
            });
        }),
        sample: Box::new(|| {
            // Not at all if no queue is known: it takes the interpreter from a thread that may be using it.
            if queue::knows_any() {
                let _ = Python::try_attach(queue::look_at_all);
            }
        }),
    };
    py.detach(|| watcher::start(functions));
}

/// Call `show()` before Ctrl-C ends a wait that has lasted for more than a second. Only the first call has an effect.
#[pyfunction]
pub(crate) fn call_before_interrupt(show: Py<PyAny>) {
    interruption::call(show);
}

/// Return how many threads of the process are those of the watch, or kept ones without a task (int).
#[pyfunction]
pub(crate) fn own_threads() -> usize {
    watcher::own_threads() + kept_threads::count()
}

/// End the thread of `start_watcher`.
#[pyfunction]
pub(crate) fn stop_watcher(py: Python<'_>) {
    py.detach(watcher::stop);
}

/// End the thread of `start_watcher` for a fork.
#[pyfunction]
pub(crate) fn hold_watcher(py: Python<'_>) {
    py.detach(watcher::hold);
}

/// Let the next wait start the thread again, in the parent of a fork.
#[pyfunction]
pub(crate) fn release_watcher() {
    watcher::release();
}

/// Let the next wait start the thread again, in the child of a fork.
#[pyfunction]
pub(crate) fn release_watcher_in_child() {
    watcher::release_in_child();
}
