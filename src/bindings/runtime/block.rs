//! The only module that releases the interpreter to block. It also checks for signals and for exceptions that other
//! threads have set for this one.
//!
//! The check comes after each sleep, and before the operation takes what it was woken for. So an exception does
//! not cost an item, a permit or a notification. Usually the check is two loads. There are these cases:
//!
//! * An asynchronous exception is set. The operation gives back what it was given, leaves its list, and only then
//!   does the interpreter raise.
//! * A signal has arrived, and the operation was given something. Most signal handlers return. So the handlers run
//!   while the operation keeps what it was given, and the wait then goes on in its place. If a handler raises, the
//!   operation gives it back.
//! * A signal has arrived, and the operation was given nothing. It leaves its list before the handlers run, so that
//!   they can use the same object. The wait of a queue does so in any case: as long as it has a chance that it has
//!   not used, no other waiter of the queue is woken.
//! * The sleep has ended only to look, and there is nothing. The thread sleeps on, and stays in the list: others that
//!   wait behind it, such as readers behind a writer, must not go ahead.
//!
//! Before Python 3.13 it is not known whether there is a signal. Then the main thread behaves after every sleep as if
//! there were one. In no case is a leaf lock held.

#[cfg(not(Py_GIL_DISABLED))]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[cfg(Py_3_13)]
use pyo3::ffi;
use pyo3::prelude::*;

use crate::bindings::runtime::asynchronous::{self, Pending};
use crate::bindings::runtime::cancellation::Watch;
use crate::bindings::runtime::{errors, foreign, interruption};
use crate::wait::deadline::{Deadline, Wait};
use crate::wait::{self, Operation, Parked, Waiter};
use crate::wait::{observe, spin};

/// How long [`reacquire`] continues to wait for a lock after a signal handler has raised. After that, a further
/// exception ends the wait without the lock.
const REACQUIRE_FOR: Duration = Duration::from_secs(1);

/// The length of the main thread's first sleep before it polls for signals.
const FIRST_POLL: Duration = Duration::from_millis(50);

/// The longest sleep of the main thread between two polls.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The signal poll: when the main thread checks for signals without being woken, in one wait.
///
/// A signal ends a sleep. But a signal that arrived between the last check and the start of the sleep does not. So
/// the main thread, where Python's handlers run, checks again after a while, and then less and less often. After a
/// signal it starts again with the short interval, because another signal may follow. If the parker cannot report
/// signals, every sleep is short anyway.
struct SignalPoll {
    /// The length of the next sleep; `None`: the parker decides.
    next: Option<Duration>,
    /// Whether signal handlers may have to run in this thread. For versions whose interpreter does not tell.
    may_have_signals: bool,
}

impl SignalPoll {
    fn new() -> Self {
        let may_have_signals = may_be_main_thread();
        Self {
            next: (wait::REPORTS_SIGNALS && may_have_signals).then_some(FIRST_POLL),
            may_have_signals,
        }
    }

    fn park(&mut self, place: &mut impl Sleep, waiter: &Waiter, deadline: Deadline) -> Parked {
        match self.next {
            Some(slice) if deadline.remaining().is_none_or(|left| left > slice) => {
                let parked = place.park(waiter, Deadline::after(slice));
                self.next = Some(match parked {
                    Parked::TimedOut => (slice * 2).min(LONGEST_SLEEP),
                    _ => FIRST_POLL,
                });
                if parked == Parked::TimedOut {
                    Parked::Interrupted
                } else {
                    parked
                }
            }
            _ => place.park(waiter, deadline),
        }
    }
}

/// Where a thread sleeps.
pub(crate) trait Sleep {
    /// Whether to look for a wake for a short time, before the sleep.
    fn may_spin(&self) -> bool;

    /// Sleeps until the waiter, or what is woken instead of it, is unparked; or for another reason to go on. The
    /// interpreter is released.
    fn park(&mut self, waiter: &Waiter, deadline: Deadline) -> Parked;
}

/// Whether this may be the first thread of the process, where Python's signal handlers run.
#[cfg(target_os = "linux")]
fn may_be_main_thread() -> bool {
    // SAFETY: getpid has no precondition.
    let process = unsafe { libc::getpid() };
    // SAFETY: gettid has no precondition.
    process == unsafe { libc::gettid() }
}

/// The system does not tell.
#[cfg(not(target_os = "linux"))]
fn may_be_main_thread() -> bool {
    true
}

/// How often threads have released the interpreter in this module.
#[cfg(not(Py_GIL_DISABLED))]
static RELEASES: AtomicU32 = AtomicU32::new(0);

/// A thread that sleeps on its waiter. Whether to spin before the sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BeforeSleep {
    /// Spin for a short time, as long as that pays.
    Spin,
    /// Do not spin: the event that is waited for takes longer than a spin.
    NoSpin,
}

impl Sleep for BeforeSleep {
    #[inline]
    fn may_spin(&self) -> bool {
        *self == Self::Spin
    }

    #[inline]
    fn park(&mut self, waiter: &Waiter, deadline: Deadline) -> Parked {
        waiter.park(deadline)
    }
}

/// How long a thread that was woken while it spun waits for the waking thread to release the interpreter. The waking
/// thread usually sleeps soon. To wait for the GIL asleep would cost as much as the spin has saved.
#[cfg(not(Py_GIL_DISABLED))]
const AFTER_WAKE: Duration = Duration::from_micros(5);

/// Counts a release of the interpreter. Returns its number.
pub(crate) fn count_release() -> u32 {
    #[cfg(not(Py_GIL_DISABLED))]
    return RELEASES.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    #[cfg(Py_GIL_DISABLED)]
    0
}

/// What [`await_release`] compares with: how often threads have released the interpreter.
pub(crate) fn releases() -> u32 {
    #[cfg(not(Py_GIL_DISABLED))]
    return RELEASES.load(Ordering::Relaxed);
    #[cfg(Py_GIL_DISABLED)]
    0
}

/// Spins for at most `limit` until a thread has released the interpreter after [`releases`] returned `before`, if
/// spinning was of use to this thread. For a new task, whose starter usually waits for it soon: to ask for the GIL
/// earlier is to sleep in the kernel, and to be woken from there.
pub(crate) fn await_release(before: u32, limit: Duration) {
    #[cfg(not(Py_GIL_DISABLED))]
    spin::if_of_use(limit, || RELEASES.load(Ordering::Relaxed) != before);
    #[cfg(Py_GIL_DISABLED)]
    let _ = (before, limit);
}

/// Spins until the waiter is unparked, at most as long as a sleep would cost.
fn spin_before_sleep(waiter: &Waiter, deadline: Deadline) {
    #[cfg(not(Py_GIL_DISABLED))]
    let mut before = count_release();
    let Some(attempt) = spin::look() else { return };
    let limit = deadline.remaining().unwrap_or(spin::BEFORE_SLEEP);
    let succeeded = spin::until(limit.min(spin::BEFORE_SLEEP), || {
        #[cfg(not(Py_GIL_DISABLED))]
        let releases = RELEASES.load(Ordering::Acquire);
        if waiter.is_notified() {
            return true;
        }
        #[cfg(not(Py_GIL_DISABLED))]
        {
            before = releases;
        }
        false
    });
    #[cfg(not(Py_GIL_DISABLED))]
    let succeeded =
        succeeded && spin::until(AFTER_WAKE, || RELEASES.load(Ordering::Relaxed) != before);
    attempt.learn(succeeded);
}

/// Sleeps until the waiter is unparked, with the interpreter released.
///
/// # Errors
/// PythonFinalizationError, if no thread is left that could unpark it: while the interpreter is being finalized,
/// no other thread runs Python code, so a wait without a deadline would be a hang. Python 3.15 also ends waits
/// that have a deadline, unless it has passed, and treats its own locks in the same way.
fn sleep(
    py: Python<'_>,
    waiter: &Waiter,
    deadline: Deadline,
    signal_poll: &mut SignalPoll,
    place: &mut (impl Sleep + Send),
) -> PyResult<Parked> {
    // SAFETY: attached, as `py` shows; it reads a flag of the runtime.
    #[cfg(Py_3_13)]
    if unsafe { ffi::Py_IsFinalizing() } != 0
        && (deadline == Deadline::NEVER
            || cfg!(Py_3_15) && deadline.remaining() != Some(Duration::ZERO))
    {
        return Err(errors::finalizing(py));
    }
    Ok(py.detach(|| {
        observe::parked(|| {
            if place.may_spin() {
                spin_before_sleep(waiter, deadline);
            } else {
                count_release();
            }
            signal_poll.park(place, waiter, deadline)
        })
    }))
}

/// Runs `operation` to its end, with the interpreter released while it sleeps. `None`: the deadline passed.
///
/// A signal ends the sleep immediately. Its handlers run while the operation is in no list, so that they can use
/// the same object. After that the operation continues to wait, in its old place and until its old deadline.
///
/// # Errors
/// What a signal handler raised; or that no thread is left that could complete the operation. In both cases the
/// operation was not completed.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
) -> PyResult<Option<O::Output>> {
    wait_in(py, operation, deadline, &mut BeforeSleep::Spin)
}

/// Like [`wait()`], but without a spin. For events that take longer than a spin.
///
/// # Errors
/// Those of [`wait()`].
pub(crate) fn wait_asleep<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
) -> PyResult<Option<O::Output>> {
    wait_in(py, operation, deadline, &mut BeforeSleep::NoSpin)
}

/// Like [`wait()`], but the thread sleeps in that place.
///
/// # Errors
/// Those of [`wait()`].
pub(crate) fn wait_in<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
    place: &mut (impl Sleep + Send),
) -> PyResult<Option<O::Output>> {
    let mut signal_poll = SignalPoll::new();
    let mut watch = Watch::new::<O>();
    let mut was_left = false;
    loop {
        let mut finalizing = None;
        let mut raised = None;
        let outcome = wait::drive(operation, deadline, |waiter, deadline| {
            loop {
                let registration = watch.register(waiter);
                let until = match watch.allowed(py, deadline) {
                    Ok(until) => until,
                    Err(error) => {
                        drop(registration);
                        watch.end_by(error);
                        return Parked::TimedOut;
                    }
                };
                if watch.is_in_scope() {
                    observe::sleeps_in_scope(until);
                }
                let slept = sleep(py, waiter, until, &mut signal_poll, place);
                drop(registration);
                match slept {
                    Ok(parked) => {
                        let parked = limited(parked, until, deadline);
                        match check_after_sleep::<O>(py, waiter, parked, &signal_poll, &mut raised)
                        {
                            Parked::Interrupted => {}
                            checked => return checked,
                        }
                    }
                    Err(error) => {
                        finalizing = Some(error);
                        return Parked::Interrupted;
                    }
                }
            }
        });
        if let Some(error) = raised {
            observe::completed(|| operation.resource(), false);
            return Err(error);
        }
        // `drive` does not tell so if it has not slept again since.
        if was_left && !matches!(outcome, Wait::Interrupted) {
            observe::completed(|| operation.resource(), matches!(outcome, Wait::TimedOut));
        }
        match (outcome, finalizing) {
            (Wait::Ready(output), _) => return Ok(Some(output)),
            (Wait::TimedOut, _) => return watch.take_error().map_or(Ok(None), Err),
            (Wait::Interrupted, Some(error)) => return Err(error),
            (Wait::Interrupted, None) => {
                observe::while_handling_signals(|| {
                    asynchronous::check(py).inspect_err(|error| interruption::show(py, error))
                })
                .inspect_err(|_| observe::completed(|| operation.resource(), false))?;
                was_left = true;
            }
        }
    }
}

/// How the sleep ended, if it could last until then at most: that the time of a scope is over is a reason to look again,
/// and not the end of the wait.
#[inline]
fn limited(parked: Parked, until: Deadline, deadline: Deadline) -> Parked {
    if parked == Parked::TimedOut && until != deadline {
        Parked::Interrupted
    } else {
        parked
    }
}

/// Checks after a sleep whether the operation may take what it was woken for. `parked` says how the sleep ended;
/// returns how the operation must treat it. `Interrupted`: there is nothing to do, and it sleeps on.
#[inline]
fn check_after_sleep<O: Operation>(
    py: Python<'_>,
    waiter: &Waiter,
    parked: Parked,
    signal_poll: &SignalPoll,
    raised: &mut Option<PyErr>,
) -> Parked {
    if let Some(reason) = observe::verdict() {
        *raised = Some(errors::deadlock(py, reason));
        return Parked::Raising;
    }
    let Pending {
        exception,
        signals,
        remote,
    } = asynchronous::pending(py);
    if exception || (remote && parked == Parked::Interrupted) {
        return Parked::Raising;
    }
    match signals {
        Some(false) => parked,
        // A signal has come. In a program that embeds Python, the main thread need not be the first of the process.
        None if parked == Parked::Interrupted
            && wait::REPORTS_SIGNALS
            && !signal_poll.may_have_signals =>
        {
            Parked::Raising
        }
        // Without a sign of a signal: an operation whose time is over would otherwise check without end.
        None if parked == Parked::TimedOut || !signal_poll.may_have_signals => parked,
        // If no other thread runs between a wake and this check, an operation that was given something was also
        // woken.
        _ if O::KEEPS && (parked == Parked::Unparked || waiter.is_notified()) => {
            match wait::while_queued(waiter, || foreign::check_signals(py)) {
                Ok(()) => parked,
                Err(error) => {
                    interruption::show(py, &error);
                    *raised = Some(error);
                    Parked::Raising
                }
            }
        }
        _ => Parked::Raising,
    }
}

/// The end of a wait that kept its place in the list throughout.
pub(crate) struct QueuedWait<T> {
    /// What the operation returned; `None`: the deadline passed, or something was raised.
    pub(crate) outcome: Option<T>,
    /// What a signal handler, or the step before the sleep, raised.
    pub(crate) raised: Option<PyErr>,
}

/// Like [`wait()`], for operations that can be completed only while they are in the list. They stay in the list
/// while signal handlers run. So an operation may have been completed although something was raised.
///
/// `prepare` is called once, after the operation joined the list and before the first sleep.
pub(crate) fn wait_while_queued<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
    prepare: impl FnOnce() -> PyResult<()>,
) -> QueuedWait<O::Output> {
    let mut prepare = Some(prepare);
    let mut raised = None;
    let mut signal_poll = SignalPoll::new();
    let mut watch = Watch::new::<O>();
    let outcome = wait::drive(operation, deadline, |parking, deadline| {
        let mut step = prepare.take().map_or(Ok(()), |prepare| prepare());
        loop {
            let registration = watch.register(parking);
            let until = match step.as_ref().map(|()| watch.allowed(py, deadline)) {
                Ok(Err(error)) => {
                    drop(registration);
                    watch.end_by(error);
                    return Parked::TimedOut;
                }
                Ok(Ok(until)) => until,
                Err(_) => deadline,
            };
            if watch.is_in_scope() {
                observe::sleeps_in_scope(until);
            }
            let slept = step.and_then(|()| {
                let parked = sleep(py, parking, until, &mut signal_poll, &mut BeforeSleep::Spin)?;
                let parked = limited(parked, until, deadline);
                if let Some(reason) = observe::verdict() {
                    return Err(errors::deadlock(py, reason));
                }
                let Pending {
                    exception, signals, ..
                } = asynchronous::pending(py);
                if exception
                    || parked == Parked::Interrupted
                    || signals.unwrap_or(signal_poll.may_have_signals)
                {
                    wait::while_queued(parking, || asynchronous::check(py))
                        .inspect_err(|error| interruption::show(py, error))?;
                }
                Ok(parked)
            });
            drop(registration);
            match slept {
                Ok(Parked::Interrupted) => step = Ok(()),
                Ok(parked) => return parked,
                Err(error) => {
                    raised = Some(error);
                    return Parked::Interrupted;
                }
            }
        }
    });
    if raised.is_some() && matches!(outcome, Wait::Interrupted) {
        observe::completed(|| operation.resource(), false);
    }
    let outcome = match outcome {
        Wait::Ready(output) => Some(output),
        Wait::TimedOut | Wait::Interrupted => {
            raised = raised.or(watch.take_error());
            None
        }
    };
    QueuedWait { outcome, raised }
}

/// Acquires a lock that the thread must own afterwards, whatever signal handlers raise in the meantime. Returns
/// whether it was acquired. The handlers run immediately; the last exception is left in `raised`, with the one
/// before as its context.
///
/// A lock that is never released must not make a program deaf to Ctrl-C. So the wait ends without the lock if
/// something is raised more than [`REACQUIRE_FOR`] after the first exception.
pub(crate) fn reacquire<O: Operation>(
    py: Python<'_>,
    mut operation: impl FnMut() -> O,
    raised: &mut Option<PyErr>,
) -> bool {
    let mut first = raised.is_some().then(Instant::now);
    loop {
        let waited = observe::that_must_succeed(|| wait(py, &mut operation(), Deadline::NEVER));
        let Err(error) = waited else {
            return true;
        };
        let finalizing = errors::is_finalizing(&error, py);
        let first = *first.get_or_insert_with(Instant::now);
        *raised = Some(errors::after(py, error, raised.take()));
        if finalizing || first.elapsed() >= REACQUIRE_FOR {
            return false;
        }
    }
}
