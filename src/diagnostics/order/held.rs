//! The locks that one thread holds, in the order in which it has acquired them.
//!
//! Only the thread itself uses this, with one exception: another thread may release a lock that this one has acquired, or
//! drop it while it is locked. Then it leaves a letter in the mailbox of this thread, which looks into that before it adds
//! a lock. The letter comes before the lock is free. So it is about an acquisition that the thread has noted already.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::graph::{Before, Moment};
use crate::diagnostics::place::Frame;
use crate::wait::generation;

/// How many combinations of locks a thread remembers that it has told of.
const REMEMBERED: usize = 1024;

/// A lock that the thread holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) address: usize,
    /// What it is: "Lock".
    pub(super) what: &'static str,
    /// Where the thread has acquired it, if that was noted.
    pub(super) place: Option<Frame>,
}

/// Where other threads note which locks this thread does not hold any more.
#[derive(Default)]
pub(super) struct Mailbox {
    is_used: AtomicBool,
    released: Mutex<Vec<usize>>,
}

impl Mailbox {
    pub(super) fn leave(&self, lock: usize) {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        released.push(lock);
        self.is_used.store(true, Ordering::Release);
    }

    fn take(&self) -> Vec<usize> {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_used.store(false, Ordering::Relaxed);
        std::mem::take(&mut released)
    }
}

/// What a thread knows of itself.
pub(super) struct Own {
    held: Vec<Held>,
    /// The sum of the scattered addresses of the locks that are held.
    sum: usize,
    /// The combinations of locks that the graph has, by their lowest bits. Zero: none.
    remembered: Vec<usize>,
    /// What the graph has forgotten since makes `remembered` wrong.
    epoch: u32,
    /// The watch for which this was begun.
    session: u32,
    generation: u32,
    pub(super) mailbox: Arc<Mailbox>,
    segment: u32,
    before: Before,
    /// Whether the graph has takes of the present segment.
    has_takes: bool,
}

/// An odd number without a pattern: the golden ratio.
#[cfg(target_pointer_width = "64")]
const SPREAD: usize = 0x9e37_79b9_7f4a_7c15;
#[cfg(not(target_pointer_width = "64"))]
const SPREAD: usize = 0x9e37_79b9;

/// Spreads the bits of an address.
fn scattered(address: usize) -> usize {
    let mixed = address.rotate_right(3).wrapping_mul(SPREAD);
    mixed ^ mixed >> 29
}

impl Own {
    pub(super) fn new(session: u32) -> Self {
        Self {
            held: Vec::new(),
            sum: 0,
            remembered: Vec::new(),
            epoch: 0,
            session,
            generation: generation(),
            mailbox: Arc::default(),
            segment: 1,
            before: Before::default(),
            has_takes: false,
        }
    }

    /// Whether it was begun in this process, and for this watch.
    pub(super) fn is_of(&self, session: u32) -> bool {
        self.session == session && self.generation == generation()
    }

    /// Begins anew: for another watch, or in a forked child. The locks are those that the thread has acquired while there
    /// was a watch. The child has those of the thread that forked it.
    pub(super) fn begin(&mut self, session: u32) {
        if self.session != session {
            self.held.clear();
            self.sum = 0;
        }
        self.session = session;
        self.generation = generation();
        // Another thread of the parent may have been about to use that one.
        self.mailbox = Arc::default();
        self.remembered.clear();
        self.has_takes = false;
    }

    /// Removes what other threads have released.
    #[inline]
    pub(super) fn read_mail(&mut self) {
        if self.mailbox.is_used.load(Ordering::Acquire) {
            for lock in self.mailbox.take() {
                if let Some(position) = self.held.iter().position(|held| held.address == lock) {
                    self.remove_at(position);
                }
            }
        }
    }

    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn held(&self) -> &[Held] {
        &self.held
    }

    pub(super) fn push(&mut self, lock: Held) {
        // It cannot be there: the thread does not hold a lock twice. Unless it was free for an instant, without a GIL, and
        // nobody knew who had had it.
        self.remove(lock.address);
        self.sum = self.sum.wrapping_add(scattered(lock.address));
        self.held.push(lock);
    }

    pub(super) fn remove(&mut self, lock: usize) {
        if let Some(position) = self.held.iter().rposition(|held| held.address == lock) {
            self.remove_at(position);
        }
    }

    fn remove_at(&mut self, position: usize) {
        let removed = self.held.remove(position);
        self.sum = self.sum.wrapping_sub(scattered(removed.address));
    }

    /// A number for the locks that are held together with one that is acquired.
    pub(super) fn combination(&self, acquired: usize) -> usize {
        (self.sum.rotate_left(17) ^ scattered(acquired)) | 1
    }

    /// Whether the graph has this combination of this thread.
    pub(super) fn remembers(&self, combination: usize, epoch: u32) -> bool {
        self.epoch == epoch
            && (self.remembered.get(Self::place_of(combination)))
                .is_some_and(|known| *known == combination)
    }

    /// Notes that it has. `epoch`: that of the moment before it was asked.
    pub(super) fn remember(&mut self, combination: usize, epoch: u32) {
        if self.epoch != epoch || self.remembered.is_empty() {
            self.remembered.clear();
            self.remembered.resize(REMEMBERED, 0);
            self.epoch = epoch;
        }
        self.remembered[Self::place_of(combination)] = combination;
    }

    fn place_of(combination: usize) -> usize {
        (combination >> 1) % REMEMBERED
    }

    pub(super) fn moment(&mut self, thread: u32) -> Moment {
        self.has_takes = true;
        Moment {
            thread,
            segment: self.segment,
            before: Arc::clone(&self.before),
        }
    }

    /// Ends the segment. Returns what has happened before all that follows it.
    pub(super) fn end_segment(&mut self, thread: u32) -> Before {
        if self.has_takes {
            let mut before: HashMap<u32, u32> = (*self.before).clone();
            before.insert(thread, self.segment);
            self.segment += 1;
            self.has_takes = false;
            self.remembered.clear();
            // A thread knows this of itself anyway; but the next segment need not copy it again.
            self.before = Arc::new(before);
        }
        Arc::clone(&self.before)
    }

    /// Notes that all of this has happened before what the thread does from now on.
    pub(super) fn follow(&mut self, other: &Before) {
        let is_new = |(thread, segment): &(&u32, &u32)| {
            self.before.get(thread).is_none_or(|known| known < segment)
        };
        if other.iter().any(|each| is_new(&each)) {
            let mut before: HashMap<u32, u32> = (*self.before).clone();
            for (thread, segment) in other.iter() {
                let known = before.entry(*thread).or_default();
                *known = (*known).max(*segment);
            }
            self.before = Arc::new(before);
            self.remembered.clear();
        }
    }
}
