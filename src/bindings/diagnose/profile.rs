//! The profile of waiting, as Python gets it.

use pyo3::prelude::*;

use crate::diagnostics::origins;
use crate::diagnostics::profile::{self, Profile, Site};

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

/// A profile: how long it ran, its sites, its stacks, the names of the threads by their numbers, and the seconds for which
/// no holder is known because there was no room for it.
type Described = (
    f64,
    Vec<DescribedSite>,
    Vec<Vec<PlaceInCode>>,
    Vec<(u32, Option<String>)>,
    f64,
);

fn described_site(site: &Site) -> DescribedSite {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a length is known to three percent"
    )]
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
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
        site.key.generation == origins::generation(site.key.address),
    )
}

fn described(profile: &Profile) -> Described {
    let sites = profile.sites.iter();
    let used = sites.filter(|site| site.histogram.count() > 0);
    let stacks = profile.stacks.iter();
    let names = profile.names.iter();
    (
        profile.since.elapsed().as_secs_f64(),
        used.map(described_site).collect(),
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
    )
}

/// Begin a profile of waiting. Return whether it has begun (bool): not if one runs already. `record_waits` must have been
/// called before.
#[pyfunction]
pub(crate) fn start_profile() -> bool {
    profile::start()
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
/// * the seconds of waiting for which there was no room to remember the holder (float).
#[pyfunction]
pub(crate) fn stop_profile() -> Option<Described> {
    profile::stop().as_ref().map(described)
}

/// Return how many objects are known to have had this address before the present one (int).
#[pyfunction]
pub(crate) fn generation_of(address: usize) -> u32 {
    origins::generation(address)
}
