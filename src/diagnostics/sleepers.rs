//! The threads that sleep now, and what each of them waits for.
//!
//! Each thread has a place of its own ([`Place`]) with a stack of waits: a signal handler that runs during a wait may
//! wait, too. This is the list of all places. `place.rs` says what a sleep is, and how it is pinned.
//!
//! After a fork, the child has no sleepers. A wait in which the fork happened (in a signal handler) is not known there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use super::place::{Description, Frame, Pin, Sleep};
use super::place::{Place, Wait};
use super::{metrics, order, pools, profile, trace, watcher};
use crate::wait::deadline::Deadline;
use crate::wait::observe::{self, Acquisition, Observer, Resource, ThreadNumber};
use crate::wait::{PerProcess, Waiter, sync};

/// What is known of a thread when it falls asleep.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The functions that the thread is in, the innermost first.
    pub frames: Vec<Frame>,
    /// The name of the thread.
    pub name: Option<Arc<str>>,
}

/// A function that looks at the calling thread, which is attached to the interpreter. Its arguments: how many frames are
/// wanted at most, and whether the name is.
pub type Look = fn(usize, bool) -> Scene;

static LOOK: OnceLock<Look> = OnceLock::new();

/// The most frames that are remembered of a sleep.
const DEEPEST: usize = 50;

/// The most frames that are looked at of a thread that frees a lock: the innermost may be those of oxthreads.
const DEEPEST_HOLDER: usize = 6;

/// Has `look` called whenever a thread falls asleep. Only the first call has an effect.
pub fn look_by(look: Look) {
    let _ = LOOK.set(look);
}

/// The functions that the calling thread is in, the innermost first.
pub(super) fn frames_here(deepest: usize) -> Vec<Frame> {
    LOOK.get()
        .map_or_else(Vec::new, |look| look(deepest, false).frames)
}

/// The functions that the calling thread is in, and its name.
pub(super) fn scene_here(deepest: usize) -> Scene {
    LOOK.get()
        .map_or_else(Scene::default, |look| look(deepest, true))
}

fn sleepers() -> MutexGuard<'static, Vec<Arc<Place>>> {
    static SLEEPERS: PerProcess<Mutex<Vec<Arc<Place>>>> = PerProcess::new();
    let sleepers = SLEEPERS.get(Mutex::default).lock();
    sleepers.unwrap_or_else(PoisonError::into_inner)
}

/// The place of the calling thread; it is taken out of the list when the thread ends.
struct Own(Arc<Place>);

impl Drop for Own {
    fn drop(&mut self) {
        if self.0.is_of_this_process() {
            sleepers().retain(|place| !Arc::ptr_eq(place, &self.0));
            if profile::is_on() {
                profile::forget(self.0.thread());
            }
        }
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// The place of the calling thread. `None`: the thread is ending, or has no number.
fn own(make: bool) -> Option<Arc<Place>> {
    let find = |own: &RefCell<Option<Own>>| {
        let mut own = own.try_borrow_mut().ok()?;
        let present = own.as_ref().filter(|own| own.0.is_of_this_process());
        if let Some(present) = present {
            return Some(Arc::clone(&present.0));
        }
        // Of a parent: its lock may be held for ever.
        std::mem::forget(own.take());
        if !make {
            return None;
        }
        let place = Arc::new(Place::new(ThreadNumber::current()?));
        sleepers().push(Arc::clone(&place));
        *own = Some(Own(Arc::clone(&place)));
        Some(place)
    };
    OWN.try_with(find).ok().flatten()
}

/// The functions that the calling thread is in, which has this place. Notes its name, too.
fn look_for(own: &Place, deepest: usize) -> Vec<Frame> {
    let Some(look) = LOOK.get() else {
        return Vec::new();
    };
    let scene = look(deepest, own.name.get().is_none());
    if let Some(name) = scene.name {
        let _ = own.name.set(name);
    }
    scene.frames
}

/// The name of the calling thread.
pub(super) fn name_here() -> Option<Arc<str>> {
    LOOK.get()?(0, true).name
}

/// How many items are in the queue that the calling thread waits for, if a trace wants to know.
fn length(resource: Resource) -> Option<usize> {
    if !trace::is_on() {
        return None;
    }
    // SAFETY: the operation of the wait keeps the object alive, and the thread is attached: the driver calls this.
    unsafe { resource.owner?.length() }
}

/// Begins a wait of the calling thread, which has this place.
fn begin(own: &Place, mut wait: Wait, resource: Resource) {
    wait.frames = look_for(own, DEEPEST);
    // It is in the place first: a profile or a trace that begins now finds it there.
    let profiled = profile::is_on().then(|| wait.frames.clone());
    let traced = trace::is_on().then(|| (wait.waiter_address(), wait.frames.clone()));
    let number = own.push(wait);
    if let Some(frames) = profiled {
        profile::begins(own, number, resource, frames);
    }
    if let Some((waiter, frames)) = traced {
        // SAFETY: as in `length`.
        let owner = (resource.owner).and_then(|owner| unsafe { owner.thread() });
        trace::begins(own, waiter, resource, &frames, owner, length(resource));
    }
}

/// Ends the innermost wait of the calling thread, which has this place.
fn end(own: &Place, by: Option<ThreadNumber>, was_ended: bool) {
    let number = own.pop(was_ended);
    if let Some(number) = number
        && profile::is_on()
    {
        profile::ends(own.thread(), number, by);
    }
}

/// All threads that have ever waited and are alive.
pub(super) fn places() -> Vec<Arc<Place>> {
    sleepers().clone()
}

/// The observer that keeps the list of sleepers, and counts waits for metrics.
pub struct Recorder;

/// The only one of the process.
pub static RECORDER: Recorder = Recorder;

impl Observer for Recorder {
    fn blocked(&self, waiter: &sync::Arc<Waiter>, resource: Resource, deadline: Deadline) {
        if metrics::is_on() {
            metrics::begins(resource);
        }
        if !observe::is_on_for_everything() {
            return;
        }
        if let Some(own) = own(true) {
            let wait = Wait::new(resource, deadline, !observe::must_succeed());
            begin(&own, wait.of(waiter), resource);
            if watcher::is_calling() {
                own.refuse("the thread of the watch may not wait");
                waiter.unpark();
            }
        }
        if deadline == Deadline::NEVER {
            watcher::ensure();
        }
    }

    fn sleeps_in_scope(&self, until: Deadline) {
        if let Some(own) = own(false) {
            own.is_in_scope(until);
        }
    }

    fn resumed(&self, resource: Resource, slept: Duration, by: Option<ThreadNumber>) {
        if metrics::is_on() {
            metrics::resumes(slept);
        }
        if let Some(own) = own(false) {
            end(&own, by, by.is_some());
            if trace::is_on() {
                trace::goes_on(resource, by, length(resource));
            }
        }
    }

    fn place_of_waker(&self) -> u32 {
        if profile::is_on()
            && !watcher::is_calling()
            && let Some(own) = own(true)
        {
            let mut frames = look_for(&own, DEEPEST_HOLDER);
            frames.extend(pools::ended_call());
            profile::mark(&own, frames)
        } else {
            0
        }
    }

    fn woken_from(&self, place: u32) {
        profile::woken_from(place);
    }

    fn completed(&self, resource: Resource, timed_out: bool) {
        if metrics::is_on() {
            metrics::completes();
        }
        if profile::is_on() {
            profile::completed();
        }
        if trace::is_on() {
            trace::is_over(resource, timed_out, length(resource));
        }
    }

    fn released(&self, address: usize) {
        let is_profiled = profile::is_on() && profile::is_waited_for(address);
        let is_traced = trace::is_on();
        if (is_profiled || is_traced)
            && let Some(own) = own(true)
        {
            let frames = look_for(&own, DEEPEST_HOLDER);
            if is_traced {
                trace::freed(address, &frames);
            }
            if is_profiled {
                profile::released(&own, address, frames);
            }
        }
    }

    fn woke(&self, waiter: usize, at: Instant) {
        if trace::is_on() {
            trace::woke(waiter, at);
        }
    }

    fn parks(&self) {
        if let Some(own) = own(false) {
            own.fall_asleep();
        }
    }

    fn unparks(&self) {
        if let Some(own) = own(false) {
            own.wake_up();
            if profile::is_on() {
                profile::wakes();
            }
            if trace::is_on() {
                trace::wakes_up();
            }
        }
    }

    fn handles_signals(&self, begins: bool) {
        if metrics::is_on() {
            metrics::handles_signals(begins);
        }
        if let Some(own) = own(false) {
            own.handle_signals(begins);
        }
    }

    fn verdict(&self) -> Option<String> {
        take_verdict()
    }

    fn missed(&self, address: usize) {
        let frame = frames_here(1).pop();
        let mut missed = missed();
        if missed.len() < MOST_MISSED || missed.contains_key(&address) {
            missed.insert(address, (Instant::now(), frame));
        }
    }

    fn gone(&self, address: usize) {
        missed().remove(&address);
    }

    fn acquired(&self, lock: Resource, how: Acquisition) {
        order::acquired(lock, how);
    }

    fn releases(&self, address: usize, owner: Option<ThreadNumber>) {
        order::releases(address, owner);
    }

    fn enters(&self, lock: Resource, writes: bool, how: Acquisition) {
        order::enters(lock, writes, how);
    }

    fn leaves(&self, address: usize) {
        order::leaves(address);
    }

    fn access_lock_gone(&self, address: usize, holders: &[ThreadNumber]) {
        order::access_lock_gone(address, holders);
    }

    fn lock_gone(&self, address: usize, owner: Option<ThreadNumber>) {
        order::gone(address, owner);
    }
}

/// The most objects of which a notification that found nobody is remembered.
const MOST_MISSED: usize = 10_000;

type Missed = HashMap<usize, (Instant, Option<Frame>)>;

/// The last notifications that found nobody, by the addresses of their objects.
fn missed() -> MutexGuard<'static, Missed> {
    static MISSED: PerProcess<Mutex<Missed>> = PerProcess::new();
    let missed = MISSED.get(Mutex::default).lock();
    missed.unwrap_or_else(PoisonError::into_inner)
}

/// How long ago the last notification of the object with this address was that found nobody, and where it was made.
pub fn last_missed(address: usize) -> Option<(Duration, Option<Frame>)> {
    let missed = missed();
    let (when, frame) = missed.get(&address)?;
    Some((when.elapsed(), frame.clone()))
}

/// How long the innermost wait of the calling thread has lasted, or the one that a signal has just ended.
pub fn own_age() -> Option<Duration> {
    own(false)?.age()
}

/// The innermost wait of the calling thread, which runs a signal handler or a destructor in it; and the thread that
/// has what it waits for. The caller is attached to the interpreter.
pub fn own_wait() -> Option<(Sleep, Option<ThreadNumber>)> {
    own(false)?.own_wait()
}

/// Why the innermost wait of the calling thread must be ended by an error, if it must.
pub fn take_verdict() -> Option<String> {
    own(false)?.take_verdict()
}

/// A wait of the calling thread outside the engine, in a call of the standard library.
///
/// It lasts until [`OutsideWait::end`]. The caller must not hold the interpreter then, because a reader may have
/// pinned the wait.
pub struct OutsideWait(Arc<Place>, Resource);

impl OutsideWait {
    /// Begins a wait. `can_end`: the thread will ask for a verdict ([`take_verdict`]) now and then. `None`: the thread
    /// has no number.
    pub fn begin(resource: Resource, deadline: Deadline, can_end: bool) -> Option<Self> {
        let own = own(true)?;
        begin(&own, Wait::new(resource, deadline, can_end), resource);
        own.fall_asleep();
        if deadline == Deadline::NEVER {
            watcher::ensure();
        }
        Some(Self(own, resource))
    }

    /// Ends it.
    pub fn end(self) {
        if self.0.is_of_this_process() {
            self.0.wake_up();
            end(&self.0, None, true);
            if profile::is_on() {
                profile::completed();
            }
            if trace::is_on() {
                trace::goes_on(self.1, None, None);
                trace::is_over(self.1, false, None);
            }
        }
    }
}

/// How many threads are in a wait with one of these numbers.
pub fn going_on(numbers: &[u64]) -> usize {
    let all = sleepers().clone();
    all.iter().filter(|place| place.is_in(numbers)).count()
}

/// How many other threads are awake in a wait although nobody has woken them: they look for signals, mostly for a moment.
pub fn looking_for_signals() -> usize {
    let own = ThreadNumber::current();
    let all = sleepers().clone();
    let looking = |place: &&Arc<Place>| Some(place.thread()) != own && place.looks_for_signals();
    all.iter().filter(looking).count()
}

/// The threads that are asleep now.
pub fn asleep() -> Vec<Sleep> {
    let all = sleepers().clone();
    all.iter().filter_map(|place| place.sleep()).collect()
}

/// The threads that have ever waited and are alive, with what they wait for now.
pub fn descriptions() -> Vec<Description> {
    let all = sleepers().clone();
    all.iter().map(|place| place.description()).collect()
}

impl Pin {
    /// Pins those of the sleeps with these numbers that have not ended.
    pub fn new(numbers: &[u64]) -> Self {
        let all = sleepers().clone();
        Self::among(all, numbers)
    }
}
