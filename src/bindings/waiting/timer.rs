//! `after(seconds)` and `every(seconds)`: sources that are ready by the clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::bindings::runtime::timeout;
use crate::bindings::waiting::source::Outcome;
use crate::wait::deadline::Deadline;
use crate::wait::observe::Resource;
use crate::wait::sync::{Arc, AtomicU64, Ordering};
use crate::wait::{Operation, Parked, Waiter};

/// No further time.
const NEVER: u64 = u64::MAX;

/// The source that `after` and `every` make.
///
/// No thread runs for it. A wait for it ends when its time has come, and then takes what it has: one thread, if several
/// wait.
#[pyclass(frozen, name = "Timer", module = "oxthreads.waiting")]
pub(crate) struct Timer {
    /// When it is ready next: nanoseconds after [`begin`].
    next: AtomicU64,
    /// Nanoseconds between two times; zero: there is only one.
    period: u64,
    seconds: f64,
}

/// The moment that the nanoseconds of timers are counted from.
fn begin() -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    *BEGIN.get_or_init(Instant::now)
}

fn now() -> u64 {
    nanoseconds(begin().elapsed())
}

/// Beyond 584 years it is [`NEVER`].
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[pymethods]
impl Timer {
    /// Args:
    ///     seconds (float): the time until it is ready, and, if it repeats, between two times.
    ///     repeats (bool): whether it is ready again and again.
    #[new]
    #[pyo3(signature = (seconds, repeats=false))]
    fn new(seconds: &Bound<'_, PyAny>, repeats: bool) -> PyResult<Self> {
        // What can be added to the clock, as the timeout of a queue.
        let seconds = timeout::number(&timeout::sum(seconds)?)?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err(
                "'seconds' must be a non-negative number",
            ));
        }
        if repeats && seconds == 0.0 {
            return Err(PyValueError::new_err("'seconds' must be a positive number"));
        }
        let wait = Duration::try_from_secs_f64(seconds).map_or(NEVER, nanoseconds);
        Ok(Self {
            next: AtomicU64::new(now().saturating_add(wait)),
            period: if repeats { wait.max(1) } else { 0 },
            seconds,
        })
    }

    fn __repr__(&self) -> String {
        let name = if self.period == 0 { "after" } else { "every" };
        format!("oxthreads.waiting.{name}({})", self.seconds)
    }
}

impl Timer {
    /// When it is ready.
    fn due(&self) -> Deadline {
        match self.next.load(Ordering::Acquire) {
            NEVER => Deadline::NEVER,
            next => Deadline::at(begin() + Duration::from_nanos(next)),
        }
    }

    /// Takes what it has, if its time has come: for `every`, how many times have come since the last call.
    pub(super) fn take(&self) -> Option<Outcome> {
        loop {
            let next = self.next.load(Ordering::Acquire);
            let now = now();
            if next == NEVER || now < next {
                return None;
            }
            let (times, later) = match self.period {
                0 => (1, NEVER),
                period => {
                    let times = (now - next) / period + 1;
                    (times, next.saturating_add(times.saturating_mul(period)))
                }
            };
            // Another thread that waits for it may have been faster.
            if self
                .next
                .compare_exchange(next, later, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
            {
                continue;
            }
            return Some(match self.period {
                0 => Outcome::Done,
                _ => Outcome::Times(times),
            });
        }
    }
}

/// The wait for a timer. It is in no list: it wakes up by itself, and then takes what no other one has taken.
pub(super) struct WaitForTime(Py<Timer>);

impl WaitForTime {
    pub(super) fn new(timer: &Bound<'_, Timer>) -> Self {
        Self(timer.clone().unbind())
    }
}

impl Operation for WaitForTime {
    type Output = Outcome;

    fn due(&self) -> Deadline {
        self.0.get().due()
    }

    fn resource(&self) -> Resource {
        Resource::new("timer", self.0.get())
    }

    fn attempt(&mut self, _waiter: &Arc<Waiter>) -> Option<Outcome> {
        self.0.get().take()
    }

    fn leave(&mut self, _parked: Parked) -> Option<Outcome> {
        None
    }

    fn abandon(&mut self) -> Option<Outcome> {
        None
    }
}
