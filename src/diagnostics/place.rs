//! The waits of one thread, and the pins that keep it from going on.
//!
//! A thread *is asleep* while it has released the interpreter in its innermost wait. Each such sleep has a number of its
//! own. So a reader that sees the same number twice knows that the thread has slept all the time in between, and has run
//! no code.
//!
//! A reader may *pin* a sleep. Then the thread does not go on before the pin is dropped, whatever wakes it. It waits for
//! that without the interpreter, so the reader may acquire the interpreter meanwhile. What the thread waits for stays
//! alive as long, and so do the frames of its functions.
//!
//! Each place has one mutex for all of this. The models in `tests/rust/pin_models.rs` try the interleavings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::wait::deadline::Deadline;
use crate::wait::observe::{Holders, PendingWork, Resource, ThreadNumber};
use crate::wait::sync::standard::{Condvar, Mutex, MutexGuard};
use crate::wait::{Waiter, generation, sync};

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

/// One wait of a thread.
pub struct Wait {
    number: u64,
    pub(super) frames: Vec<Frame>,
    resource: Resource,
    deadline: Deadline,
    /// When a scope ends it, if it is in one.
    scope: Option<Deadline>,
    since: Instant,
    /// Whom to wake if the wait must end. `None`: the thread asks for a verdict by itself, if ever.
    waiter: Option<sync::Arc<Waiter>>,
    can_end: bool,
    /// Why the wait must be ended by an error.
    verdict: Option<String>,
}

/// A wait that lasts when a profile or a trace begins.
pub(super) struct Lasting {
    pub(super) number: u64,
    pub(super) resource: Resource,
    pub(super) since: Instant,
    pub(super) frames: Vec<Frame>,
    /// See [`Wait::waiter_address`].
    pub(super) waiter: usize,
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
    /// When a scope ends it, at the latest. `None`: the thread is in no scope, or in one that does not end such waits.
    pub scope: Option<Deadline>,
    /// How long the wait has lasted.
    pub age: Duration,
    /// Whether [`Pin::end`] can end the wait.
    pub can_end: bool,
}

impl Sleep {
    /// When the wait ends by itself, or by a scope.
    pub fn ends(&self) -> Deadline {
        self.scope
            .map_or(self.deadline, |scope| scope.earlier(self.deadline))
    }

    /// Whether nothing ends the wait but another thread.
    pub fn is_endless(&self) -> bool {
        // The end of a scope cancels the tasks, and whoever waits for them goes on waiting.
        let ends = if self.resource.what == GROUP {
            self.deadline
        } else {
            self.ends()
        };
        ends == Deadline::NEVER
    }
}

/// What a wait for the tasks of a group is for.
pub(super) const GROUP: &str = "TaskGroup";

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
pub struct Place {
    thread: ThreadNumber,
    pub(super) name: OnceLock<Arc<str>>,
    generation: u32,
    state: Mutex<State>,
    unpinned: Condvar,
}

/// A number for a wait or a sleep, unique in the process.
pub(super) fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Wait {
    /// A wait that begins now, and is in no place yet. `can_end`: [`Pin::end`] may end it.
    pub fn new(resource: Resource, deadline: Deadline, can_end: bool) -> Self {
        Self {
            number: next_number(),
            frames: Vec::new(),
            resource,
            deadline,
            scope: None,
            since: Instant::now(),
            waiter: None,
            can_end,
            verdict: None,
        }
    }

    /// The same, with whom to wake if the wait must end.
    #[must_use]
    pub fn of(self, waiter: &sync::Arc<Waiter>) -> Self {
        Self {
            waiter: Some(sync::Arc::clone(waiter)),
            ..self
        }
    }

    /// The address of what wakes the thread; zero if that is not known.
    pub(super) fn waiter_address(&self) -> usize {
        let waiter = self.waiter.as_ref();
        waiter.map_or(0, |waiter| std::ptr::from_ref::<Waiter>(waiter).addr())
    }
}

impl Place {
    /// The place of this thread, which does not wait.
    pub fn new(thread: ThreadNumber) -> Self {
        Self {
            thread,
            name: OnceLock::new(),
            generation: generation(),
            state: Mutex::new(State::default()),
            unpinned: Condvar::new(),
        }
    }

    /// Whether it was made in this process, and not in a parent.
    pub fn is_of_this_process(&self) -> bool {
        self.generation == generation()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a wait of the thread, inside the one that it is in.
    ///
    /// Returns the number of the wait.
    pub fn push(&self, mut wait: Wait) -> u64 {
        let mut state = self.state();
        if let Some((before, ended)) = state.interrupted.take()
            && before.resource == wait.resource
            && ended.elapsed() < SAME_WAIT_WITHIN
        {
            wait.number = before.number;
            wait.since = before.since;
        }
        let number = wait.number;
        state.waits.push(wait);
        number
    }

    /// Ends the innermost wait. `was_ended`: another thread ended it, and not a signal or the deadline.
    ///
    /// Returns the number of the wait.
    pub fn pop(&self, was_ended: bool) -> Option<u64> {
        let mut state = self.state();
        let wait = state.waits.pop().map(|wait| Wait {
            waiter: None,
            ..wait
        });
        let number = wait.as_ref().map(|wait| wait.number);
        state.interrupted = wait
            .filter(|wait| !was_ended && wait.verdict.is_none())
            .map(|wait| (wait, Instant::now()));
        number
    }

    /// The number of the thread.
    pub(super) fn thread(&self) -> ThreadNumber {
        self.thread
    }

    /// The waits that the thread is in, the outermost first, as a profile is told of them.
    pub(super) fn waits(&self) -> Vec<Lasting> {
        let state = self.state();
        let waits = state.waits.iter();
        waits
            .map(|wait| Lasting {
                number: wait.number,
                resource: wait.resource,
                since: wait.since,
                frames: wait.frames.clone(),
                waiter: wait.waiter_address(),
            })
            .collect()
    }

    /// Whether the thread is in a wait with one of these numbers, which may have been left to look for signals.
    pub(super) fn is_in(&self, numbers: &[u64]) -> bool {
        let state = self.state();
        let interrupted = (state.interrupted.as_ref())
            .filter(|(_, ended)| ended.elapsed() < SAME_WAIT_WITHIN)
            .map(|(wait, _)| wait);
        let mut waits = state.waits.iter().chain(interrupted);
        waits.any(|wait| numbers.contains(&wait.number))
    }

    /// A scope ends the innermost wait at that moment at the latest. The thread itself calls this, before it sleeps.
    pub(super) fn is_in_scope(&self, until: Deadline) {
        if let Some(wait) = self.state().waits.last_mut() {
            wait.scope = Some(until);
        }
    }

    /// Begins a sleep of the innermost wait.
    pub fn fall_asleep(&self) {
        let mut state = self.state();
        if !state.waits.is_empty() {
            state.sleep = next_number();
        }
    }

    /// Ends the sleep, once nobody pins it.
    pub fn wake_up(&self) {
        let mut state = self.state();
        while state.pins > 0 {
            state = (self.unpinned.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleep = 0;
    }

    /// The present sleep. A thread that was woken, and could not go on yet, is not asleep.
    pub fn sleep(&self) -> Option<Sleep> {
        self.sleep_in(&self.state())
    }

    fn sleep_in(&self, state: &State) -> Option<Sleep> {
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
            scope: wait.scope,
            age: wait.since.elapsed(),
            can_end: wait.can_end,
        }
    }

    /// The thread, with what it waits for now.
    pub fn description(&self) -> Description {
        let state = self.state();
        // Also if the thread is not asleep: it may have woken to look for signals, and wait for the interpreter.
        let wait = state.waits.last();
        let sleep = wait.map(|wait| self.described(&state, wait));
        let frames = wait.map_or_else(Vec::new, |wait| wait.frames.clone());
        Description {
            thread: self.thread,
            name: self.name.get().cloned(),
            sleep,
            frames,
        }
    }

    /// Whether the thread is awake in its innermost wait although nobody has woken it: it looks for signals, or runs their
    /// handlers.
    pub(super) fn looks_for_signals(&self) -> bool {
        let state = self.state();
        let wait = state.waits.last();
        let is_in_wait = wait.is_some_and(|wait| {
            let waiter = wait.waiter.as_ref();
            !waiter.is_some_and(|waiter| waiter.was_woken())
        });
        state.sleep == 0 && is_in_wait
    }

    /// How long the innermost wait has lasted, or the one that a signal has just ended.
    pub fn age(&self) -> Option<Duration> {
        let state = self.state();
        let interrupted = state.interrupted.as_ref().map(|(wait, _)| wait);
        let wait = state.waits.last().or(interrupted)?;
        Some(wait.since.elapsed())
    }

    /// Signal handlers begin to run in the thread, which has left its wait, or have run.
    pub(super) fn handle_signals(&self, begins: bool) {
        let mut state = self.state();
        state.handling = if begins {
            state.handling + 1
        } else {
            state.handling.saturating_sub(1)
        };
    }

    /// The innermost wait of the calling thread, whose place this is, and which runs a signal handler or a destructor
    /// in that wait; and the thread that has what it waits for. The caller is attached to the interpreter.
    pub(super) fn own_wait(&self) -> Option<(Sleep, Option<ThreadNumber>)> {
        let state = self.state();
        let left = (state.handling > 0).then_some(state.interrupted.as_ref());
        let wait = (state.waits.last()).or(left.flatten().map(|(wait, _)| wait))?;
        let sleep = self.described(&state, wait);
        drop(state);
        // SAFETY: the wait has not ended: the call in which the thread waits is below this one on its stack, and keeps
        // the object alive. The caller is attached.
        let owner = (sleep.resource.owner).and_then(|owner| unsafe { owner.thread() });
        Some((sleep, owner))
    }

    /// Notes why the innermost wait must be ended by an error. The thread itself calls this.
    pub(super) fn refuse(&self, reason: &str) {
        if let Some(wait) = self.state().waits.last_mut() {
            wait.verdict = Some(reason.to_owned());
        }
    }

    /// Why the innermost wait must be ended by an error, if it must.
    pub fn take_verdict(&self) -> Option<String> {
        self.state().waits.last_mut()?.verdict.take()
    }
}

/// Sleeps that do not end while this value lives.
pub struct Pin(Vec<(Arc<Place>, Sleep)>);

impl Pin {
    /// Pins those of the sleeps with these numbers that have not ended and are in these places.
    pub fn among(places: impl IntoIterator<Item = Arc<Place>>, numbers: &[u64]) -> Self {
        let pinned = places.into_iter().filter_map(|place| {
            let mut state = place.state();
            let sleep = place.sleep_in(&state)?;
            let wanted = numbers.contains(&sleep.number);
            state.pins += usize::from(wanted);
            drop(state);
            wanted.then_some((place, sleep))
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

    /// Who has the lock that this sleep waits for, if several threads may have it at once. The caller is attached to the
    /// interpreter.
    pub fn holders(&self, number: u64) -> Option<Holders> {
        let (_, sleep) = self.0.iter().find(|(_, sleep)| sleep.number == number)?;
        // SAFETY: the pin keeps the wait from ending, and the caller is attached.
        sleep
            .resource
            .owner
            .and_then(|owner| unsafe { owner.holders() })
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

    /// What this sleep is for, if it is for the first of several objects. The caller is attached to the interpreter.
    pub fn arms(&self, number: u64) -> Vec<Resource> {
        let Some((_, sleep)) = self.0.iter().find(|(_, sleep)| sleep.number == number) else {
            return Vec::new();
        };
        // SAFETY: the pin keeps the wait from ending, and the caller is attached.
        (sleep.resource.owner).map_or_else(Vec::new, |owner| unsafe { owner.arms() })
    }

    /// Ends the wait of this sleep by an error, once the pin is dropped. Returns whether that is possible.
    pub fn end(&self, number: u64, reason: String) -> bool {
        let Some((place, _)) = self.0.iter().find(|(_, sleep)| sleep.number == number) else {
            return false;
        };
        let mut state = place.state();
        // A signal handler may wait inside a wait outside the engine, also while that is pinned.
        let is_innermost = state.sleep == number;
        let Some(wait) = (state.waits.last_mut()).filter(|wait| is_innermost && wait.can_end)
        else {
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
        for (place, _) in &self.0 {
            let mut state = place.state();
            state.pins -= 1;
            drop(state);
            place.unpinned.notify_all();
        }
    }
}
