//! The profile of waiting, as Python gets it.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::bindings::future::Future;
use crate::bindings::{aio, executor, queue};
use crate::diagnostics::pools::{self, Calls, POOLS_OF_GROUPS, Times};
use crate::diagnostics::profile::{self, Profile, Site};
use crate::diagnostics::queues::Queue;
use crate::diagnostics::timeline::{self, Timeline};
use crate::diagnostics::{group_names, origins};
use crate::primitives::pool::Pool;

/// A function of a thread: the file, the line, and the name.
type PlaceInCode = (String, u32, String);

/// A site: what is waited for, the address, the generation of that, the number of the stack, whether the waits are for
/// work, the seconds of all waits, of the longest, and those of waiting for the interpreter; pairs of the length of a wait
/// in seconds and how many were about as long; for each holder the number of the stack, that of the thread, and the
/// seconds that others waited; for each thread that ended waits the number of the stack, that of the thread, and how many;
/// and whether no later object has the address.
type DescribedSite = (
    &'static str,
    usize,
    u32,
    u32,
    bool,
    f64,
    f64,
    f64,
    Vec<(f64, u64)>,
    Vec<(u32, u32, f64)>,
    Vec<(u32, u32, u64)>,
    bool,
);

/// Durations: pairs of a length in seconds and how many were about as long, the seconds of all, and of the longest.
type DescribedTimes = (Vec<(f64, u64)>, f64, f64);

/// A pool: its number, its address, the generation of that, whether no later object has the address; how many workers
/// there were, and the seconds for which they were there, had no call, and waited for something else; and how many calls
/// are pending.
type DescribedPool = (u64, usize, u32, bool, u64, f64, f64, f64, usize);

/// The calls of one function in one pool: the number of the pool, the function, how long the calls were pending, how long
/// they ran, and how many have failed, have not ended, and were cancelled.
type DescribedCalls = (
    u64,
    Option<PlaceInCode>,
    DescribedTimes,
    DescribedTimes,
    u64,
    u64,
    u64,
);

/// A queue: its address, the generation of that, whether no later object has the address; the greatest number of items that
/// it may have; the seconds from the beginning of the profile until it was seen first and last; how many items were put,
/// taken, and in it at last, and the most; and how many there were over time.
type DescribedQueue = (
    usize,
    u32,
    bool,
    usize,
    f64,
    f64,
    u64,
    u64,
    usize,
    usize,
    Vec<(f64, usize)>,
);

/// Single waits: for each thread its number, how many waits, and these as bytes; how many waits were dropped, the seconds
/// of these, and those of the longest of these.
type DescribedTimeline = (Vec<(u32, u64, Cow<'static, [u8]>)>, u64, f64, f64);

/// A profile: how long it ran, its sites, its stacks, the names of the threads by their numbers, the seconds for which
/// no holder is known because there was no room for it, its pools, the calls in them, its queues, the number of those
/// for which there was no room, and single waits if they were kept.
type Described = (
    f64,
    Vec<DescribedSite>,
    Vec<Vec<PlaceInCode>>,
    Vec<(u32, Option<String>)>,
    f64,
    Vec<DescribedPool>,
    Vec<DescribedCalls>,
    Vec<DescribedQueue>,
    u64,
    Option<DescribedTimeline>,
);

#[expect(
    clippy::cast_precision_loss,
    reason = "a length is known to three percent, and a sum need not be known to the nanosecond"
)]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn described_times(times: &Times) -> DescribedTimes {
    let counts = times.histogram.counts();
    (
        counts
            .map(|(length, count)| (seconds(length), count))
            .collect(),
        times.total.as_secs_f64(),
        times.longest.as_secs_f64(),
    )
}

fn described_pools(profile: &Profile) -> Vec<DescribedPool> {
    let there = executor::pools();
    let pools = profile.pools.pools.iter();
    pools
        .map(|(number, pool)| {
            let is_it = |pool: &&Arc<Pool<Py<Future>>>| pools::counted_as(pool.number()) == *number;
            let now = there
                .iter()
                .find(is_it)
                .filter(|_| *number < POOLS_OF_GROUPS);
            let address = now.map_or(pool.address, |pool| std::ptr::from_ref(&**pool).addr());
            let pending = there.iter().filter(is_it).map(|pool| pool.pending()).sum();
            (
                *number,
                address,
                pool.generation,
                pool.generation == profile.generation(address),
                pool.workers,
                pool.alive.as_secs_f64(),
                pool.idle.as_secs_f64(),
                pool.waited.as_secs_f64(),
                pending,
            )
        })
        .collect()
}

fn described_calls(calls: &Calls) -> DescribedCalls {
    let function = calls.function.as_ref();
    (
        calls.pool,
        function.map(|function| {
            (
                function.file.to_string(),
                function.line,
                function.name.to_string(),
            )
        }),
        described_times(&calls.wait),
        described_times(&calls.run),
        calls.failed,
        calls.running,
        calls.cancelled,
    )
}

fn described_queue(profile: &Profile, queue: &Queue) -> DescribedQueue {
    let samples = queue.series.samples();
    (
        queue.address,
        queue.generation,
        !queue.is_gone && queue.generation == profile.generation(queue.address),
        queue.capacity(),
        queue.begins.as_secs_f64(),
        queue.ends.as_secs_f64(),
        queue.puts(),
        queue.gets(),
        queue.length(),
        queue.greatest(),
        samples
            .map(|(at, length)| (at.as_secs_f64(), length))
            .collect(),
    )
}

fn described_site(profile: &Profile, site: &Site) -> DescribedSite {
    let counts = site.histogram.counts();
    let holders = site.holders.iter();
    let wakers = site.wakers.iter();
    (
        site.key.what,
        site.key.address,
        site.key.generation,
        site.key.stack,
        site.is_idle,
        site.total.as_secs_f64(),
        site.longest.as_secs_f64(),
        site.interpreter.as_secs_f64(),
        counts
            .map(|(length, count)| (seconds(length), count))
            .collect(),
        holders
            .map(|((stack, thread), lost)| (*stack, thread.number(), lost.as_secs_f64()))
            .collect(),
        wakers
            .map(|((stack, thread), count)| (*stack, thread.number(), *count))
            .collect(),
        site.key.generation == profile.generation(site.key.address),
    )
}

fn is_used(site: &Site) -> bool {
    site.histogram.count() > 0
}

fn described_timeline(profile: &Profile, timeline: &Timeline) -> DescribedTimeline {
    // The waits of a site that is not described are none.
    let mut numbers = vec![0];
    for site in &profile.sites {
        numbers.push(numbers[numbers.len() - 1] + u64::from(is_used(site)));
    }
    let packed = timeline.packed(|site| numbers[usize::from(site)]);
    (
        packed
            .into_iter()
            .map(|(thread, count, bytes)| (thread.number(), count, Cow::Owned(bytes)))
            .collect(),
        timeline.dropped,
        seconds(timeline.dropped_length),
        seconds(timeline.longest_dropped),
    )
}

fn described(profile: &Profile) -> Described {
    let used = profile.sites.iter().filter(|site| is_used(site));
    let timeline = profile.timeline.as_ref();
    let stacks = profile.stacks.iter();
    let names = profile.names.iter();
    let queues = profile.queues.queues.iter();
    (
        profile.since.elapsed().as_secs_f64(),
        used.map(|site| described_site(profile, site)).collect(),
        stacks
            .map(|frames| {
                let frames = frames.iter();
                frames
                    .map(|frame| {
                        (
                            frame.file.to_string(),
                            frame.line,
                            frame.function.to_string(),
                        )
                    })
                    .collect()
            })
            .collect(),
        names
            .map(|(thread, name)| (thread.number(), name.as_deref().map(str::to_owned)))
            .collect(),
        profile.holders_dropped.as_secs_f64(),
        described_pools(profile),
        profile.pools.calls.iter().map(described_calls).collect(),
        queues
            .map(|queue| described_queue(profile, queue))
            .collect(),
        profile.queues.dropped,
        timeline.map(|timeline| described_timeline(profile, timeline)),
    )
}

/// Begin a profile of waiting. Return whether it has begun (bool): not if one runs already. `record_waits` must have been
/// called before.
///
/// Args:
///     timeline (bool): whether single waits are kept.
#[pyfunction]
#[pyo3(signature = (timeline=false))]
pub(crate) fn start_profile(py: Python<'_>, timeline: bool) -> bool {
    let has_begun = if timeline {
        profile::start_with_timeline(timeline::MOST_WAITS)
    } else {
        profile::start()
    };
    if has_begun {
        executor::tell_workers();
        queue::begin_to_follow(py);
        aio::show_all(py);
    }
    has_begun
}

/// Whether a profile runs in this process (bool).
#[pyfunction]
pub(crate) fn profile_runs() -> bool {
    profile::is_on()
}

/// End the profile and return it as a tuple, or None if none runs in this process:
///
/// * the seconds that it ran (float);
/// * the sites, each a tuple: what was waited for (str), the address of that (int), its generation (int), the number of the
///   stack (int), whether the waits were for work (bool), the seconds of all waits, of the longest, and those of waiting for
///   the interpreter (float each), the lengths of waits with how many were about as long (list of (float, int)), the holders
///   as number of the stack, number of the thread and seconds (list of (int, int, float)), and the threads that ended waits
///   with the number of the stack and how many (list of (int, int, int)), and whether no later object has the address (bool);
/// * the stacks by their numbers, each a list of file, line and function, the innermost first;
/// * the numbers of threads with their names (list of (int, str or None));
/// * the seconds of waiting for which there was no room to remember the holder (float);
/// * the pools, each a tuple: its number (int), its address (int), the generation of that (int), whether no later object has
///   the address (bool), how many workers there were (int), the seconds for which they were there, had no call, and waited
///   for something else (float each), and how many calls are pending now (int);
/// * the calls of each function in each pool, as tuples: the number of the pool (int), the file, the line and the name of
///   the function (tuple, or None for others), how long the calls were pending and how long they ran, each as lengths
///   with how many were about as long (list of (float, int)), the seconds of all, and of the longest; and how many have
///   failed, have not ended, and were cancelled (int each);
/// * the queues, as tuples: the address (int), its generation (int), whether no later object has the address (bool), the
///   greatest number of items that it may have (int, 0 for no limit), the seconds from the beginning of the profile until
///   it was seen first and last (float each), how many items were put, taken, and in it at last, and the most (int each),
///   and how many there were over time (list of (float, int));
/// * the number of queues for which there was no room (int);
/// * None, or single waits, if they were kept: for each thread its number, how many waits (int), and these (bytes, which
///   `Timeline::packed` describes; the number of a site is its place in the list of sites); how many waits were dropped
///   (int), the seconds of these together, and those of the longest of these (float).
#[pyfunction]
pub(crate) fn stop_profile(py: Python<'_>) -> Option<Described> {
    queue::look_at_all(py);
    profile::stop().as_ref().map(described)
}

/// Return the name of groups of tasks with this number (str; None for zero): what a profile has instead of the address of a
/// group, and after 2**63 as the number of the pools of such groups.
#[pyfunction]
pub(crate) fn group_name(number: usize) -> Option<String> {
    group_names::name(number).map(|name| name.to_string())
}

/// Return how many objects are known to have had this address before the present one (int).
#[pyfunction]
pub(crate) fn generation_of(address: usize) -> u32 {
    origins::generation(address)
}
