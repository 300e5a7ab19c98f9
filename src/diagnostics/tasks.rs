//! Waits of tasks, as event loops run them: no thread sleeps in them.
//!
//! A wait is known from the first suspension of its coroutine until it is over, or was given up. A profile and a trace show
//! a task as they show a thread, so it has a [`ThreadNumber`] of its own there. The functions here are called only while
//! there is an observer.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::place::{Frame, Place, next_number};
use super::{naming, profile, trace};
use crate::wait::generation;
use crate::wait::observe::{Facts, Resource, ThreadNumber};

/// Whether a profile or a trace shows tasks.
pub fn are_shown() -> bool {
    profile::is_on() || trace::is_on()
}

/// The wait of a task.
pub struct TaskWait {
    number: u64,
    generation: u32,
    /// The thread that runs the task.
    pub runs_in: Option<ThreadNumber>,
    /// What the task waits for. The object is alive while the operation of the wait is.
    pub resource: Resource,
    /// The functions that the task is in, the innermost first.
    pub frames: Vec<Frame>,
    since: Instant,
    /// The address of what wakes it.
    waiter: usize,
    /// The task, if a profile or a trace knows it.
    place: OnceLock<Place>,
    woken: Mutex<Option<Instant>>,
    is_over: AtomicBool,
    /// The number of the last trace that knows of it.
    traced_in: AtomicU32,
}

impl TaskWait {
    /// The wait of a task that this thread runs. It begins now.
    pub fn new(
        runs_in: Option<ThreadNumber>,
        resource: Resource,
        frames: Vec<Frame>,
        waiter: usize,
    ) -> Self {
        Self {
            number: next_number(),
            generation: generation(),
            runs_in,
            resource,
            frames,
            since: Instant::now(),
            waiter,
            place: OnceLock::new(),
            woken: Mutex::new(None),
            is_over: AtomicBool::new(false),
            traced_in: AtomicU32::new(0),
        }
    }

    /// How long it has lasted.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Tells the profile and the trace that run, unless they know of the wait already. `facts`: what is known of the object
    /// now.
    pub fn show(&self, task: ThreadNumber, name: &Arc<str>, facts: &Facts) {
        let place = self.place.get_or_init(|| {
            let place = Place::new(task);
            let _ = place.name.set(Arc::clone(name));
            place
        });
        if profile::is_on() {
            // A profile finds out by itself whether it knows the wait.
            profile::begins_for_task(
                place,
                self.number,
                self.resource,
                &self.frames,
                &self.is_over,
            );
        }
        let trace = trace::number_of_run();
        if trace::is_on()
            && self.traced_in.swap(trace, Ordering::SeqCst) != trace
            && !self.is_over.load(Ordering::SeqCst)
        {
            let (resource, frames) = (self.resource, &self.frames);
            trace::begins_for_task(place, self.runs_in, self.waiter, resource, frames, facts);
        }
        naming::is_waited_for_by_task(self.resource);
    }

    /// It was woken, and its task goes on soon.
    pub fn woken(&self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        *woken = Some(Instant::now());
    }

    /// It is over: it was completed, or was given up. `by`: the thread that has woken it last, and where that was.
    pub fn end(&self, is_completed: bool, by: (Option<ThreadNumber>, u32)) {
        if self.is_over.swap(true, Ordering::SeqCst) || self.generation != generation() {
            return;
        }
        let Some(place) = self.place.get() else {
            return;
        };
        let woken = *self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (woken, by) = if is_completed {
            (woken, by)
        } else {
            (None, (None, 0))
        };
        if profile::is_on() {
            profile::ends_for_task(place.thread(), self.number, woken, by.0, by.1);
        }
        if trace::is_on() {
            trace::ends_for_task(place.thread(), woken, by.0, is_completed);
        }
    }
}
