//! The threads that sleep now, and what each of them waits for.
//!
//! Each thread has a place of its own ([`Sleeper`]) with a stack of waits: a signal handler that runs during a wait may
//! wait, too. A thread *is asleep* while it has released the interpreter in its innermost wait. Each such sleep has a
//! number of its own. So a reader that sees the same number twice knows that the thread has slept all the time in
//! between, and has run no code.
//!
//! A reader may *pin* a sleep. Then the thread does not go on before the pin is dropped, whatever wakes it. It waits
//! for that without the interpreter, so the reader may acquire the interpreter meanwhile. What the thread waits for
//! stays alive as long, and so do the frames of its functions.
//!
//! After a fork, the child has no sleepers. A wait in which the fork happened (in a signal handler) is not known there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::watcher;
use crate::wait::deadline::Deadline;
use crate::wait::observe::{self, Observer, PendingWork, Resource, ThreadNumber};
use crate::wait::{PerProcess, Waiter, generation, sync};

/// A function that a thread was in when it fell asleep.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The file of the code.
    pub file: Arc<str>,
    /// The name of the function.
    pub function: Arc<str>,
    /// The line, from one; zero if it is not known.
    pub line: u32,
}

/// What is known of a thread when it falls asleep.
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

/// Has `look` called whenever a thread falls asleep. Only the first call has an effect.
pub fn look_by(look: Look) {
    let _ = LOOK.set(look);
}

/// The functions that the calling thread is in, the innermost first.
pub(super) fn frames_here(deepest: usize) -> Vec<Frame> {
    LOOK.get()
        .map_or_else(Vec::new, |look| look(deepest, false).frames)
}

/// One wait of a thread.
struct Wait {
    number: u64,
    frames: Vec<Frame>,
    resource: Resource,
    deadline: Deadline,
    since: Instant,
    /// Whom to wake if the wait must end. `None`: the thread asks for a verdict by itself, if ever.
    waiter: Option<sync::Arc<Waiter>>,
    can_end: bool,
    /// Why the wait must be ended by an error.
    verdict: Option<String>,
}

/// The innermost wait of a thread, as a reader sees it.
#[derive(Clone, Debug)]
pub struct Sleep {
    /// The number of the thread.
    pub thread: ThreadNumber,
    /// The number of the sleep; no other sleep of the process has the same.
    pub number: u64,
    /// The number of the wait. A wait may sleep more than once.
    pub wait: u64,
    /// What it waits for.
    pub resource: Resource,
    /// When the wait ends by itself.
    pub deadline: Deadline,
    /// How long the wait has lasted.
    pub age: Duration,
    /// Whether [`Pin::end`] can end the wait.
    pub can_end: bool,
}

/// A thread with its innermost wait, as it was when the wait began. For a report that must do without the interpreter.
#[derive(Clone, Debug)]
pub struct Description {
    /// The number of the thread.
    pub thread: ThreadNumber,
    /// The name that the thread had at its first wait.
    pub name: Option<Arc<str>>,
    /// What it waits for; `None`: nothing.
    pub sleep: Option<Sleep>,
    /// Where it waits.
    pub frames: Vec<Frame>,
}

/// What is known of a thread's waits.
#[derive(Default)]
struct State {
    waits: Vec<Wait>,
    /// The number of the present sleep; zero: the thread is not asleep.
    sleep: u64,
    pins: usize,
    /// The last wait, and when it ended, if nothing had ended it: a signal, perhaps. It goes on if the thread waits for
    /// the same again at once.
    interrupted: Option<(Wait, Instant)>,
    /// How many times, one inside the other, the thread has left a wait to run signal handlers.
    handling: u32,
}

/// If a thread waits for the same again within this time after a signal, it is the same wait.
const SAME_WAIT_WITHIN: Duration = Duration::from_millis(100);

/// The place of one thread.
struct Sleeper {
    thread: ThreadNumber,
    name: OnceLock<Arc<str>>,
    generation: u32,
    state: Mutex<State>,
    unpinned: Condvar,
}

/// A number for a wait or a sleep, unique in the process.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Wait {
    fn new(resource: Resource, deadline: Deadline) -> Self {
        Self {
            number: next_number(),
            frames: Vec::new(),
            resource,
            deadline,
            since: Instant::now(),
            waiter: None,
            can_end: false,
            verdict: None,
        }
    }
}

impl Sleeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut wait: Wait) {
        if let Some(look) = LOOK.get() {
            let scene = look(DEEPEST, self.name.get().is_none());
            wait.frames = scene.frames;
            if let Some(name) = scene.name {
                let _ = self.name.set(name);
            }
        }
        let mut state = self.state();
        if let Some((before, ended)) = state.interrupted.take()
            && before.resource == wait.resource
            && ended.elapsed() < SAME_WAIT_WITHIN
        {
            wait.number = before.number;
            wait.since = before.since;
        }
        state.waits.push(wait);
    }

    /// Ends the innermost wait. `was_ended`: another thread ended it, and not a signal or the deadline.
    fn pop(&self, was_ended: bool) {
        let mut state = self.state();
        let wait = state.waits.pop().map(|wait| Wait {
            waiter: None,
            ..wait
        });
        state.interrupted = wait
            .filter(|wait| !was_ended && wait.verdict.is_none())
            .map(|wait| (wait, Instant::now()));
    }

    fn fall_asleep(&self) {
        let mut state = self.state();
        if !state.waits.is_empty() {
            state.sleep = next_number();
        }
    }

    fn wake_up(&self) {
        let mut state = self.state();
        while state.pins > 0 {
            state = (self.unpinned.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleep = 0;
    }

    /// The present sleep. A thread that was woken, and could not go on yet, is not asleep.
    fn sleep(&self, state: &State) -> Option<Sleep> {
        let wait = state.waits.last()?;
        let was_woken = (wait.waiter.as_ref()).is_some_and(|waiter| waiter.was_woken());
        (state.sleep != 0 && !was_woken).then(|| self.described(state, wait))
    }

    fn described(&self, state: &State, wait: &Wait) -> Sleep {
        Sleep {
            thread: self.thread,
            number: state.sleep,
            wait: wait.number,
            resource: wait.resource,
            deadline: wait.deadline,
            age: wait.since.elapsed(),
            can_end: wait.can_end,
        }
    }
}

fn sleepers() -> MutexGuard<'static, Vec<Arc<Sleeper>>> {
    static SLEEPERS: PerProcess<Mutex<Vec<Arc<Sleeper>>>> = PerProcess::new();
    let sleepers = SLEEPERS.get(Mutex::default).lock();
    sleepers.unwrap_or_else(PoisonError::into_inner)
}

/// The place of the calling thread; it is taken out of the list when the thread ends.
struct Own(Arc<Sleeper>);

impl Drop for Own {
    fn drop(&mut self) {
        if self.0.generation == generation() {
            sleepers().retain(|sleeper| !Arc::ptr_eq(sleeper, &self.0));
        }
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// The place of the calling thread. `None`: the thread is ending, or has no number.
fn own(make: bool) -> Option<Arc<Sleeper>> {
    let find = |own: &RefCell<Option<Own>>| {
        let mut own = own.try_borrow_mut().ok()?;
        let present = own.as_ref().filter(|own| own.0.generation == generation());
        if let Some(present) = present {
            return Some(Arc::clone(&present.0));
        }
        // Of a parent: its lock may be held for ever.
        std::mem::forget(own.take());
        if !make {
            return None;
        }
        let sleeper = Arc::new(Sleeper {
            thread: ThreadNumber::current()?,
            name: OnceLock::new(),
            generation: generation(),
            state: Mutex::default(),
            unpinned: Condvar::new(),
        });
        sleepers().push(Arc::clone(&sleeper));
        *own = Some(Own(Arc::clone(&sleeper)));
        Some(sleeper)
    };
    OWN.try_with(find).ok().flatten()
}

/// The observer that keeps the list of sleepers.
pub struct Recorder;

impl Observer for Recorder {
    fn blocked(&self, waiter: &sync::Arc<Waiter>, resource: Resource, deadline: Deadline) {
        if let Some(own) = own(true) {
            own.push(Wait {
                waiter: Some(sync::Arc::clone(waiter)),
                can_end: !observe::must_succeed(),
                ..Wait::new(resource, deadline)
            });
            if watcher::is_calling() {
                if let Some(wait) = own.state().waits.last_mut() {
                    wait.verdict = Some("the thread of the watch may not wait".to_owned());
                }
                waiter.unpark();
            }
        }
        if deadline == Deadline::NEVER {
            watcher::ensure();
        }
    }

    fn resumed(&self, _: Resource, _: Duration, by: Option<ThreadNumber>) {
        if let Some(own) = own(false) {
            own.pop(by.is_some());
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
        }
    }

    fn handles_signals(&self, begins: bool) {
        if let Some(own) = own(false) {
            let mut state = own.state();
            state.handling = if begins {
                state.handling + 1
            } else {
                state.handling.saturating_sub(1)
            };
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
    let own = own(false)?;
    let state = own.state();
    let interrupted = state.interrupted.as_ref().map(|(wait, _)| wait);
    let wait = state.waits.last().or(interrupted)?;
    Some(wait.since.elapsed())
}

/// The innermost wait of the calling thread, which runs a signal handler or a destructor in it; and the thread that
/// has what it waits for. The caller is attached to the interpreter.
pub fn own_wait() -> Option<(Sleep, Option<ThreadNumber>)> {
    let own = own(false)?;
    let state = own.state();
    let left = (state.handling > 0).then_some(state.interrupted.as_ref());
    let wait = state
        .waits
        .last()
        .or(left.flatten().map(|(wait, _)| wait))?;
    let sleep = own.described(&state, wait);
    drop(state);
    // SAFETY: the wait has not ended: the call in which the thread waits is below this one on its stack, and keeps the
    // object alive. The caller is attached.
    let owner = (sleep.resource.owner).and_then(|owner| unsafe { owner.thread() });
    Some((sleep, owner))
}

/// Why the innermost wait of the calling thread must be ended by an error, if it must.
pub fn take_verdict() -> Option<String> {
    own(false)?.state().waits.last_mut()?.verdict.take()
}

/// A wait of the calling thread outside the engine, in a call of the standard library.
///
/// It lasts until [`OutsideWait::end`]. The caller must not hold the interpreter then, because a reader may have
/// pinned the wait.
pub struct OutsideWait(Arc<Sleeper>);

impl OutsideWait {
    /// Begins a wait. `can_end`: the thread will ask for a verdict ([`take_verdict`]) now and then. `None`: the thread
    /// has no number.
    pub fn begin(resource: Resource, deadline: Deadline, can_end: bool) -> Option<Self> {
        let own = own(true)?;
        own.push(Wait {
            can_end,
            ..Wait::new(resource, deadline)
        });
        own.fall_asleep();
        if deadline == Deadline::NEVER {
            watcher::ensure();
        }
        Some(Self(own))
    }

    /// Ends it.
    pub fn end(self) {
        if self.0.generation == generation() {
            self.0.wake_up();
            self.0.pop(true);
        }
    }
}

/// The threads that are asleep now.
pub fn asleep() -> Vec<Sleep> {
    let all = sleepers().clone();
    let sleeps = all.iter().map(|sleeper| sleeper.sleep(&sleeper.state()));
    sleeps.flatten().collect()
}

/// The threads that have ever waited and are alive, with what they wait for now.
pub fn descriptions() -> Vec<Description> {
    let all = sleepers().clone();
    let described = all.iter().map(|sleeper| {
        let state = sleeper.state();
        // Also if the thread is not asleep: it may have woken to look for signals, and wait for the interpreter.
        let wait = state.waits.last();
        let sleep = wait.map(|wait| sleeper.described(&state, wait));
        let frames = wait.map_or_else(Vec::new, |wait| wait.frames.clone());
        Description {
            thread: sleeper.thread,
            name: sleeper.name.get().cloned(),
            sleep,
            frames,
        }
    });
    described.collect()
}

/// Sleeps that do not end while this value lives.
pub struct Pin(Vec<(Arc<Sleeper>, Sleep)>);

impl Pin {
    /// Pins those of the sleeps with these numbers that have not ended.
    pub fn new(numbers: &[u64]) -> Self {
        let all = sleepers().clone();
        let pinned = all.into_iter().filter_map(|sleeper| {
            let mut state = sleeper.state();
            let sleep = sleeper.sleep(&state)?;
            let wanted = numbers.contains(&sleep.number);
            state.pins += usize::from(wanted);
            drop(state);
            wanted.then_some((sleeper, sleep))
        });
        Self(pinned.collect())
    }

    /// The pinned sleeps.
    pub fn sleeps(&self) -> impl Iterator<Item = &Sleep> {
        self.0.iter().map(|(_, sleep)| sleep)
    }

    /// The thread that now has what this sleep waits for. The caller is attached to the interpreter.
    pub fn owner(&self, number: u64) -> Option<ThreadNumber> {
        let (_, sleep) = self.0.iter().find(|(_, sleep)| sleep.number == number)?;
        // SAFETY: the pin keeps the wait from ending, and the caller is attached.
        sleep
            .resource
            .owner
            .and_then(|owner| unsafe { owner.thread() })
    }

    /// The work of the future that this sleep waits for, if it has not begun. The caller is attached to the
    /// interpreter.
    pub fn pending(&self, number: u64) -> Option<PendingWork> {
        let (_, sleep) = self.0.iter().find(|(_, sleep)| sleep.number == number)?;
        // SAFETY: the pin keeps the wait from ending, and the caller is attached.
        sleep
            .resource
            .owner
            .and_then(|owner| unsafe { owner.pending() })
    }

    /// Ends the wait of this sleep by an error, once the pin is dropped. Returns whether that is possible.
    pub fn end(&self, number: u64, reason: String) -> bool {
        let Some((sleeper, _)) = self.0.iter().find(|(_, sleep)| sleep.number == number) else {
            return false;
        };
        let mut state = sleeper.state();
        let Some(wait) = state.waits.last_mut().filter(|wait| wait.can_end) else {
            return false;
        };
        let waiter = wait.waiter.clone();
        wait.verdict = Some(reason);
        drop(state);
        // It looks again, finds the verdict, and leaves.
        if let Some(waiter) = waiter {
            waiter.unpark();
        }
        true
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        for (sleeper, _) in &self.0 {
            let mut state = sleeper.state();
            state.pins -= 1;
            drop(state);
            sleeper.unpinned.notify_all();
        }
    }
}
