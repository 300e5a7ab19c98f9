//! What metrics ask the engine: how many waits there were, how long, and what pools have done.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::bindings::diagnose::address_of;
use crate::bindings::executor::{ThreadPoolExecutor, pools};
use crate::diagnostics::labels;
use crate::diagnostics::metrics::{self, Counts, OtherBounds};
use crate::diagnostics::sleepers::{self, RECORDER};
use crate::primitives::pool::ledger;
use crate::wait::observe;

/// Give the object a name for metrics. Return its address (int), or None if it is no object of oxthreads.
#[pyfunction]
pub(crate) fn set_label(object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> Option<usize> {
    let address = address_of(object)?;
    labels::set(address, &name.to_string_lossy());
    Some(address)
}

/// Return the name that the program has given to the object with this address, also for metrics (str), or None.
#[pyfunction]
pub(crate) fn label_of(address: usize) -> Option<String> {
    labels::of(address).map(|label| label.to_string())
}

/// Forget the name of the object with this address, which is about to be freed.
#[pyfunction]
pub(crate) fn forget_label(address: usize) {
    labels::forget(address);
}

/// Count waits from now on. Each call needs one of `stop_metrics`.
///
/// Args:
///     bounds (list of int): the bounds of the buckets in nanoseconds, in order.
///     exactly (bool): whether other bounds, by which waits are counted already, are an error.
///
/// Returns:
///     The bounds by which waits are counted (list of int).
///
/// # Errors
/// ValueError, if waits are counted already by other bounds, and `exactly` is true.
#[pyfunction]
pub(crate) fn start_metrics(mut bounds: Vec<u64>, exactly: bool) -> PyResult<Vec<u64>> {
    while let Err(OtherBounds(others)) = metrics::start(&bounds) {
        if exactly {
            let message = "this process counts waits already, in other buckets";
            return Err(PyValueError::new_err(message));
        }
        bounds = others;
    }
    observe::observe_sleeps(&RECORDER, true);
    Ok(bounds)
}

/// Undo one call of `start_metrics`.
#[pyfunction]
pub(crate) fn stop_metrics() {
    if metrics::stop() {
        observe::observe_sleeps(&RECORDER, false);
        // Another thread may have started in between.
        if metrics::is_on() {
            observe::observe_sleeps(&RECORDER, true);
        }
    }
}

/// Waits of one kind and name: what is waited for, the name, how many have begun, how many of these have not ended, the
/// seconds of those that have, and how many of them are in each bucket.
type Described = (&'static str, String, u64, u64, f64, Vec<u64>);

/// Return the waits that were counted, as tuples: what was waited for (str), the name of the object (str, empty if it has
/// none), how many waits have begun (int), how many go on (int), the seconds of those that have ended (float), and how many
/// of these are in each bucket (list of int; the last one has no bound).
#[pyfunction]
pub(crate) fn wait_counts() -> Vec<Described> {
    let described = |counts: Counts| {
        (
            counts.what,
            counts.label.to_string(),
            counts.begun,
            counts.going,
            counts.total.as_secs_f64(),
            counts.buckets,
        )
    };
    metrics::counts().into_iter().map(described).collect()
}

/// Return how many threads (int) are in one of these waits.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the vector")]
pub(crate) fn waits_going_on(numbers: Vec<u64>) -> usize {
    sleepers::going_on(&numbers)
}

/// Pools of one name: the name, how many there are, how many workers they may have, how many they have, how many of these
/// are busy, the pending calls, the calls that have ended, those of them that have failed, and the seconds that calls were
/// pending and ran.
type Total = (
    String,
    usize,
    usize,
    usize,
    usize,
    usize,
    u64,
    u64,
    f64,
    f64,
);

/// What pools do and have done, by their names. It counts the pools that were added.
#[pyclass(frozen)]
pub(crate) struct PoolLedger(u64);

impl Drop for PoolLedger {
    fn drop(&mut self) {
        ledger::close(self.0);
    }
}

#[pymethods]
impl PoolLedger {
    /// Make a ledger without pools.
    #[new]
    fn new() -> Self {
        Self(ledger::open())
    }

    /// Count all pools of the process from now on (True), or only those that were added (False).
    fn count_all(&self, all: bool) {
        ledger::count_all(self.0, all);
    }

    /// Count the pool. Return its number (int).
    fn add(&self, pool: &Bound<'_, ThreadPoolExecutor>) -> u64 {
        let pool = pool.get().pool();
        ledger::choose(self.0, pool);
        pool.number()
    }

    /// Undo `add` for the pool with this number.
    fn remove(&self, number: u64) {
        ledger::dismiss(self.0, number);
    }

    /// Return the totals by name, as tuples: the name (str, empty if there is none), how many pools there are (int), how
    /// many workers they may have (int), how many they have (int), how many of these are busy (int), how many calls are
    /// pending (int), how many have ended (int), how many of these have failed (int), and the seconds that calls were
    /// pending and ran (float).
    fn totals(&self) -> Vec<Total> {
        let totals = ledger::totals(self.0, &pools());
        let described = totals.into_iter().map(|(name, total)| {
            let statistics = total.statistics;
            let work = statistics.work;
            (
                name.to_string(),
                total.pools,
                total.capacity,
                statistics.workers,
                statistics.busy,
                statistics.queued,
                work.done,
                work.failed,
                work.queue_wait.total.as_secs_f64(),
                work.run_time.total.as_secs_f64(),
            )
        });
        described.collect()
    }
}
