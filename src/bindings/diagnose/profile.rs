//! The profile of waiting, as Python gets it.

use std::borrow::Cow;

use pyo3::prelude::*;

use crate::diagnostics::profile::{self, Profile, Site};
use crate::diagnostics::timeline::{self, Timeline};

/// A function of a thread: the file, the line, and the name.
type PlaceInCode = (String, u32, String);

/// A site: what is waited for, the address, the generation of that, the number of the stack, whether the waits are for
/// work, the seconds of all waits, of the longest, and those of waiting for the interpreter; pairs of the length of a wait
/// in seconds and how many were about as long; for each holder the number of the stack, that of the thread, and the
/// seconds that others waited; for each thread that ended waits, how many; and whether no later object has the address.
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
    Vec<(u32, u64)>,
    bool,
);

/// Single waits: for each thread its number, how many waits, and these as bytes; how many waits were dropped, the seconds
/// of these, and those of the longest of these.
type DescribedTimeline = (Vec<(u32, u64, Cow<'static, [u8]>)>, u64, f64, f64);

/// A profile: how long it ran, its sites, its stacks, the names of the threads by their numbers, the seconds for which
/// no holder is known because there was no room for it, and single waits if they were kept.
type Described = (
    f64,
    Vec<DescribedSite>,
    Vec<Vec<PlaceInCode>>,
    Vec<(u32, Option<String>)>,
    f64,
    Option<DescribedTimeline>,
);

#[expect(
    clippy::cast_precision_loss,
    reason = "a length is known to three percent, and a sum need not be known to the nanosecond"
)]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
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
            .map(|(thread, count)| (thread.number(), *count))
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
pub(crate) fn start_profile(timeline: bool) -> bool {
    if timeline {
        profile::start_with_timeline(timeline::MOST_WAITS)
    } else {
        profile::start()
    }
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
///   with how many (list of (int, int)), and whether no later object has the address (bool);
/// * the stacks by their numbers, each a list of file, line and function, the innermost first;
/// * the numbers of threads with their names (list of (int, str or None));
/// * the seconds of waiting for which there was no room to remember the holder (float);
/// * None, or single waits, if they were kept: for each thread its number, how many waits (int), and these (bytes, which
///   `Timeline::packed` describes; the number of a site is its place in the list of sites); how many waits were dropped
///   (int), the seconds of these together, and those of the longest of these (float).
#[pyfunction]
pub(crate) fn stop_profile() -> Option<Described> {
    profile::stop().as_ref().map(described)
}

/// Return how many objects are known to have had this address before the present one (int).
#[pyfunction]
pub(crate) fn profile_generation(address: usize) -> u32 {
    profile::generation_at(address)
}
