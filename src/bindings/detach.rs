//! The only place that lets go of the interpreter to block, and that looks at signals.

#[cfg(not(Py_GIL_DISABLED))]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[cfg(Py_3_13)]
use pyo3::ffi;
use pyo3::prelude::*;

use super::{errors, user_code};
use crate::primitives::deadline::{Deadline, Wait};
use crate::primitives::spin;
use crate::primitives::waiter::{self, Operation, Parked, Waiter};

/// How long a lock that must be owned is waited for after a signal handler has raised, before
/// another exception gives it up.
const INSISTENCE: Duration = Duration::from_secs(1);

/// How long the main thread sleeps at first before it looks for signals of its own accord.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// The longest that the main thread sleeps without a look.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// When the main thread looks for signals of its own accord, in one wait.
///
/// A signal ends a sleep, but one that came between the last look and the sleep does not. So the main
/// thread, where Python's handlers run, looks again after a while, and then less and less often; anew once
/// a signal has come, for another may follow.
/// Where the parker does not tell of signals, every sleep is short anyhow.
struct Lookout {
    /// The length of the next sleep; `None`: as long as the parker likes.
    next: Option<Duration>,
}

impl Lookout {
    fn new() -> Self {
        let needed = waiter::TELLS_OF_SIGNALS && is_main_thread();
        Self {
            next: needed.then_some(FIRST_LOOK),
        }
    }

    fn park(&mut self, waiter: &Waiter, deadline: Deadline) -> Parked {
        match self.next {
            Some(slice) if deadline.remaining().is_none_or(|left| left > slice) => {
                let parked = waiter.park(Deadline::after(slice));
                self.next = Some(match parked {
                    Parked::TimedOut => (slice * 2).min(LONGEST_SLEEP),
                    _ => FIRST_LOOK,
                });
                if parked == Parked::TimedOut {
                    Parked::Interrupted
                } else {
                    parked
                }
            }
            _ => waiter.park(deadline),
        }
    }
}

/// Whether this is the first thread of the process, where Python's signal handlers run.
#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: getpid has no precondition.
    let process = unsafe { libc::getpid() };
    // SAFETY: gettid has no precondition.
    process == unsafe { libc::gettid() }
}

/// Nobody asks: [`waiter::TELLS_OF_SIGNALS`] is true on Linux alone.
#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    false
}

/// How often threads have let go of the interpreter here.
#[cfg(not(Py_GIL_DISABLED))]
static RELEASES: AtomicU32 = AtomicU32::new(0);

/// Whether to look before the sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// For the time that is worth while.
    Look,
    /// What is waited for takes longer.
    Sleep,
}

/// How long a thread that has been woken waits for the waker to let go of the interpreter. That mostly
/// sleeps soon, and to wait for the GIL asleep would cost as much as what was saved.
#[cfg(not(Py_GIL_DISABLED))]
const AFTER_WAKE: Duration = Duration::from_micros(5);

/// The number of this release of the interpreter.
fn count_release() -> u32 {
    #[cfg(not(Py_GIL_DISABLED))]
    return RELEASES.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    #[cfg(Py_GIL_DISABLED)]
    0
}

/// Looks whether the waiter is unparked, as long as a sleep would cost.
fn look_before_sleep(waiter: &Waiter, deadline: Deadline) {
    #[cfg(not(Py_GIL_DISABLED))]
    let mut before = count_release();
    let Some(look) = spin::look() else { return };
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
    look.learn(succeeded);
}

/// Sleeps until the waiter is unparked, with the interpreter released.
///
/// # Errors
/// Where nobody is left who could unpark it: while the interpreter is being finalized no other thread
/// runs Python code, so a wait without end would be a hang. Python 3.15 ends those with a deadline
/// too, unless it has passed, and those of its own locks in the same way.
fn sleep(
    py: Python<'_>,
    waiter: &Waiter,
    deadline: Deadline,
    lookout: &mut Lookout,
    before: Before,
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
        match before {
            Before::Look => look_before_sleep(waiter, deadline),
            Before::Sleep => {
                count_release();
            }
        }
        lookout.park(waiter, deadline)
    }))
}

/// Drives `operation` to its end with the interpreter released; `None`: the deadline passed.
///
/// A signal ends the sleep at once; its handlers run while the operation is in no list, so that
/// they can use the same object, and afterwards it waits on, in its old place, towards its old
/// deadline.
///
/// # Errors
/// What a signal handler raised; or that nobody is left who could complete it. It was not completed.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
) -> PyResult<Option<O::Output>> {
    wait_after(py, operation, deadline, Before::Look)
}

/// As [`wait`], for what takes so long that it is better to sleep at once.
///
/// # Errors
/// As of [`wait`].
pub(crate) fn wait_asleep<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
) -> PyResult<Option<O::Output>> {
    wait_after(py, operation, deadline, Before::Sleep)
}

fn wait_after<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
    before: Before,
) -> PyResult<Option<O::Output>> {
    let mut lookout = Lookout::new();
    loop {
        let mut hopeless = None;
        let outcome = waiter::wait(operation, deadline, |waiter, deadline| {
            sleep(py, waiter, deadline, &mut lookout, before).unwrap_or_else(|error| {
                hopeless = Some(error);
                Parked::Interrupted
            })
        });
        match (outcome, hopeless) {
            (Wait::Ready(output), _) => return Ok(Some(output)),
            (Wait::TimedOut, _) => return Ok(None),
            (Wait::Interrupted, Some(error)) => return Err(error),
            (Wait::Interrupted, None) => user_code::check_signals(py)?,
        }
    }
}

/// How a wait ended that kept its place in the list throughout.
pub(crate) struct Stay<T> {
    /// What the operation yielded; `None`: the deadline passed, or something was raised.
    pub(crate) outcome: Option<T>,
    /// What a signal handler raised, or the step before the sleep.
    pub(crate) raised: Option<PyErr>,
}

/// As [`wait`], for operations that can be completed only while they are in the list: signal
/// handlers run while they stay there. So an operation may have been completed although something
/// was raised.
///
/// `prepare` is called once, between joining the list and the first sleep.
pub(crate) fn stay<O: Operation>(
    py: Python<'_>,
    operation: &mut O,
    deadline: Deadline,
    prepare: impl FnOnce() -> PyResult<()>,
) -> Stay<O::Output> {
    let mut prepare = Some(prepare);
    let mut raised = None;
    let mut lookout = Lookout::new();
    let outcome = waiter::wait(operation, deadline, |parking, deadline| {
        let mut step = prepare.take().map_or(Ok(()), |prepare| prepare());
        loop {
            match step.and_then(|()| sleep(py, parking, deadline, &mut lookout, Before::Look)) {
                Ok(Parked::Interrupted) => {
                    step = waiter::staying(parking, || user_code::check_signals(py));
                }
                Ok(parked) => return parked,
                Err(error) => {
                    raised = Some(error);
                    return Parked::Interrupted;
                }
            }
        }
    });
    let outcome = match outcome {
        Wait::Ready(output) => Some(output),
        Wait::TimedOut | Wait::Interrupted => None,
    };
    Stay { outcome, raised }
}

/// Takes a lock that must be owned afterwards, whatever signal handlers raise meanwhile; whether it
/// is. They run at once, and the last exception is left in `raised`, with the one before as its
/// context.
///
/// It gives up, so that a lock that is never released does not make a program deaf to Ctrl-C, when
/// something is raised more than [`INSISTENCE`] after the first exception.
pub(crate) fn insist<O: Operation>(
    py: Python<'_>,
    mut operation: impl FnMut() -> O,
    raised: &mut Option<PyErr>,
) -> bool {
    let mut first = raised.is_some().then(Instant::now);
    loop {
        let Err(error) = wait(py, &mut operation(), Deadline::NEVER) else {
            return true;
        };
        let hopeless = errors::is_finalizing(&error, py);
        let first = *first.get_or_insert_with(Instant::now);
        *raised = Some(errors::after(py, error, raised.take()));
        if hopeless || first.elapsed() >= INSISTENCE {
            return false;
        }
    }
}
