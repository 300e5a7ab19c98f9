//! How long threads have waited, for what, and for whom.
#![cfg(not(loom))]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::diagnostics::profile::{self, Profile, Site};
use _oxthreads::diagnostics::sleepers::{Recorder, asleep};
use _oxthreads::diagnostics::timeline::Single;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::observe::{self, ThreadNumber};

#[expect(dead_code, reason = "these tests drive their waits as the bindings do")]
mod support;
#[path = "support/verdicts.rs"]
mod verdicts;

use support::spin_until;
use verdicts::{block, block_until};

/// How long a wait lasts at least, if it is to be found.
const LONG: Duration = Duration::from_millis(20);

/// Waits are recorded from now on. A process has one profile at a time, so the tests run one after another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static RECORDER: Recorder = Recorder;
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = observe::set_observer(&RECORDER);
    guard
}

fn address_of<T>(object: &T) -> usize {
    std::ptr::from_ref(object).addr()
}

fn until_asleep_for<T>(object: &T, count: usize) {
    let address = address_of(object);
    spin_until(|| {
        let found = asleep();
        let there =
            |sleep: &&_oxthreads::diagnostics::sleepers::Sleep| sleep.resource.address == address;
        found.iter().filter(there).count() == count
    });
}

/// The only site of the waits for this object.
fn site_of<'a, T>(found: &'a Profile, object: &T) -> &'a Site {
    let address = address_of(object);
    let mut sites = (found.sites.iter()).filter(|site| site.key.address == address);
    let site = sites.next().unwrap();
    assert!(sites.next().is_none());
    site
}

#[test]
fn the_holder_of_a_lock_is_charged_with_the_waits() {
    let _alone = alone();
    assert!(profile::start());
    assert!(!profile::start());
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let mut kept = Duration::ZERO;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                block(lock.acquire()).unwrap();
                lock.release().unwrap();
            });
        }
        until_asleep_for(&lock, 3);
        let since = Instant::now();
        thread::sleep(LONG);
        kept = since.elapsed();
        lock.release().unwrap();
    });
    let found = profile::stop().unwrap();
    assert!(profile::stop().is_none());
    let site = site_of(&found, &lock);
    assert_eq!(site.key.what, "Lock");
    assert!(!site.is_idle);
    assert_eq!(site.histogram.count(), 3);
    assert!(site.total >= 3 * kept);
    assert!(site.longest >= kept);
    let own = ThreadNumber::current().unwrap();
    let by_this_thread: Duration = (site.holders.iter())
        .filter(|((_, thread), _)| *thread == own)
        .map(|(_, lost)| *lost)
        .sum();
    // The thread that was woken may have gone before the charge, here where there is no interpreter.
    assert!(by_this_thread >= 2 * kept, "{by_this_thread:?} {kept:?}");
    assert!(site.wakers.keys().any(|(_, thread)| *thread == own));
}

#[test]
fn each_wait_that_times_out_counts() {
    let _alone = alone();
    let event = Event::new();
    assert!(profile::start());
    for _ in 0..3 {
        let deadline = Deadline::after(Duration::from_millis(1));
        let waited = block_until(event.wait(), deadline).unwrap();
        assert!(matches!(waited, Wait::TimedOut));
    }
    let found = profile::stop().unwrap();
    let site = site_of(&found, &event);
    assert_eq!(site.histogram.count(), 3);
    assert!(site.total >= Duration::from_millis(3));
    assert!(site.wakers.is_empty());
}

#[test]
fn a_wait_that_goes_on_counts_from_the_beginning_of_the_profile_to_its_end() {
    let _alone = alone();
    let event = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| block(event.wait()).unwrap().unwrap());
        until_asleep_for(&event, 1);
        thread::sleep(LONG);
        let since = Instant::now();
        assert!(profile::start());
        let started = Instant::now();
        thread::sleep(LONG);
        let least = started.elapsed();
        let found = profile::stop().unwrap();
        let most = since.elapsed();
        let site = site_of(&found, &event);
        assert_eq!(site.histogram.count(), 1);
        assert!(site.total >= least && site.total <= most);
        event.set().unwrap();
    });
}

#[test]
fn nothing_is_known_of_waits_without_a_profile() {
    let _alone = alone();
    let event = Event::new();
    let deadline = Deadline::after(Duration::from_millis(1));
    block_until(event.wait(), deadline).unwrap();
    assert!(!profile::is_on());
    assert!(profile::start());
    let found = profile::stop().unwrap();
    assert!(found.sites.iter().all(|site| site.histogram.count() == 0));
}

#[test]
fn single_waits_are_kept_if_that_is_asked_for() {
    let _alone = alone();
    let (event, lock) = (Event::new(), Lock::new());
    assert!(profile::start_with_timeline(100));
    for _ in 0..3 {
        let deadline = Deadline::after(Duration::from_millis(1));
        block_until(event.wait(), deadline).unwrap();
    }
    assert!(lock.try_acquire());
    let found = thread::scope(|scope| {
        let taker = scope.spawn(|| {
            block(lock.acquire()).unwrap();
            lock.release().unwrap();
        });
        until_asleep_for(&lock, 1);
        lock.release().unwrap();
        taker.join().unwrap();
        scope.spawn(|| block(event.wait()).unwrap().unwrap());
        until_asleep_for(&event, 1);
        let found = profile::stop().unwrap();
        event.set().unwrap();
        found
    });
    let timeline = found.timeline.as_ref().unwrap();
    assert_eq!(timeline.dropped, 0);
    let own = ThreadNumber::current().unwrap();
    let what = |wait: &Single| found.sites[usize::from(wait.site)].key.what;
    let (timed_out, others): (Vec<Single>, Vec<Single>) =
        (timeline.waits().iter()).partition(|wait| wait.thread == own);
    assert_eq!(timed_out.len(), 3);
    for wait in &timed_out {
        assert!(what(wait) == "Event" && wait.length >= 1_000_000);
        assert!(wait.has_ended && wait.by.is_none());
    }
    let ends: Vec<u64> = timed_out
        .iter()
        .map(|wait| wait.begin + wait.length)
        .collect();
    assert!(timed_out[1].begin >= ends[0] && timed_out[2].begin >= ends[1]);
    let of = |wanted: &str| others.iter().find(|wait| what(wait) == wanted).unwrap();
    assert!(of("Lock").has_ended && of("Lock").by == Some(own));
    assert!(!of("Event").has_ended && of("Event").by.is_none());
    // Each site has as many waits as are kept.
    for (number, site) in found.sites.iter().enumerate() {
        let kept = (timeline.waits().iter()).filter(|wait| usize::from(wait.site) == number);
        assert_eq!(kept.count() as u64, site.histogram.count());
    }
}
