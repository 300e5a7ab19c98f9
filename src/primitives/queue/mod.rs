//! Bounded first-in first-out hand-over, with a count of unfinished tasks and a shutdown.
//!
//! * [`Queue`]: the items, the capacity, the counts, and what changes them without waiting.
//! * [`operations`]: the three waits: for an item, for room, for the last task.
//!
//! A `put` *grants* an item to the getter that waits longest, and leaves the item in place: the
//! getter takes the front item when it runs. Others get only what is not granted, so waiters are
//! served in the order they came, while the length stays what an observer expects. A `get` makes
//! room by moving in the item of the putter that waits longest, so items enter in the order
//! their putters came.

use std::collections::VecDeque;

use super::sync::{Mutex, MutexGuard};
use super::waiter::{WaiterList, Wakes, generation};

pub mod operations;
pub use operations::{Get, Join, Put};

/// A queue of `T`.
pub struct Queue<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    /// Items that belong to getters which were woken and have not run yet.
    granted: usize,
    /// At most this many items; zero or less means any number.
    capacity: i64,
    unfinished: i64,
    shut_down: bool,
    retired: bool,
    /// The process that the grants were made in.
    generation: u32,
    getters: WaiterList,
    putters: WaiterList<T>,
    joiners: WaiterList,
}

/// Why an item was not taken in; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum PutError<T> {
    /// There is no room.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
    /// See [`super::Retired`].
    Retired(T),
}

/// Why no item was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError {
    /// There is none, or all are granted to getters that came first.
    Empty,
    /// There is none, and the queue was shut down.
    ShutDown,
    /// See [`super::Retired`].
    Retired,
}

/// Why a task could not be marked as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskDoneError {
    /// More tasks done than items put.
    TooMany,
    /// See [`super::Retired`].
    Retired,
}

impl<T> Queue<T> {
    /// An empty queue. Nothing is reserved for the capacity, however large.
    pub fn new(capacity: i64) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                granted: 0,
                capacity,
                unfinished: 0,
                shut_down: false,
                retired: false,
                generation: generation(),
                getters: WaiterList::new(),
                putters: WaiterList::new(),
                joiners: WaiterList::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        let mut state = self.state.lock();
        if state.generation != generation() {
            // The getters that these items were granted to stayed in the parent.
            state.generation = generation();
            state.granted = 0;
        }
        state
    }

    /// Takes the item in, if there is room.
    ///
    /// # Errors
    /// The [`PutError`] that applies, with the item.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        let result = state.put(item, &mut wakes);
        drop(state);
        wakes.wake();
        result
    }

    /// Gives out the item at the front, if one is free.
    ///
    /// # Errors
    /// The [`GetError`] that applies.
    #[inline]
    pub fn try_get(&self) -> Result<T, GetError> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        let result = state.get(&mut wakes);
        drop(state);
        wakes.wake();
        result
    }

    /// The wait for room for `item`.
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put::new(self, item)
    }

    /// The wait for an item.
    pub fn get(&self) -> Get<'_, T> {
        Get::new(self)
    }

    /// The wait until no task is unfinished.
    pub fn join(&self) -> Join<'_, T> {
        Join::new(self)
    }

    /// Marks a task as done; the last one completes the joins.
    ///
    /// # Errors
    /// The [`TaskDoneError`] that applies.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if state.retired {
            return Err(TaskDoneError::Retired);
        }
        if state.unfinished <= 0 {
            return Err(TaskDoneError::TooMany);
        }
        state.unfinished -= 1;
        state.complete_joins(&mut wakes);
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// How many items there are, granted ones included.
    #[inline]
    pub fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a `put` would have to wait.
    pub fn is_full(&self) -> bool {
        !self.state().has_room()
    }

    /// At most this many items; zero or less means any number.
    pub fn capacity(&self) -> i64 {
        self.state().capacity
    }

    /// Changes the capacity; putters for whom there is room now are let in.
    pub fn set_capacity(&self, capacity: i64) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.capacity = capacity;
        state.admit(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Items put whose tasks are not done.
    pub fn unfinished(&self) -> i64 {
        self.state().unfinished
    }

    /// Overrides the count of unfinished tasks.
    pub fn set_unfinished(&self, unfinished: i64) {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        state.unfinished = unfinished;
        state.complete_joins(&mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Whether [`Queue::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.state().shut_down
    }

    /// Records the shutdown of an implementation that took over from a retired queue.
    pub fn set_shut_down(&self, shut_down: bool) {
        self.state().shut_down = shut_down;
    }

    /// Ends puts at once and gets once the queue is empty; every waiter hears of it.
    /// If `immediate`, the items are given back to be dropped, each counted as a task done.
    ///
    /// # Errors
    /// [`super::Retired`], and nothing is changed.
    pub fn shut_down(&self, immediate: bool) -> Result<VecDeque<T>, super::Retired> {
        let mut wakes = Wakes::new();
        let mut dropped = VecDeque::new();
        let mut state = self.state();
        if state.retired {
            return Err(super::Retired);
        }
        state.shut_down = true;
        if immediate {
            dropped = std::mem::take(&mut state.items);
            let done = i64::try_from(dropped.len()).unwrap_or(i64::MAX);
            state.unfinished = state.unfinished.saturating_sub(done).max(0);
            state.complete_joins(&mut wakes);
        }
        state.getters.poke(&mut wakes);
        state.putters.poke(&mut wakes);
        drop(state);
        wakes.wake();
        Ok(dropped)
    }

    /// Empty and open, as it was made; those who wait wait on. The items come back to be dropped.
    ///
    /// # Errors
    /// [`super::Retired`].
    pub fn reset(&self) -> Result<VecDeque<T>, super::Retired> {
        let mut state = self.state();
        if state.retired {
            return Err(super::Retired);
        }
        state.granted = 0;
        state.unfinished = 0;
        state.shut_down = false;
        Ok(std::mem::take(&mut state.items))
    }

    /// Gives the queue up: the items come out, and every operation, also those that wait, ends as
    /// retired. `None` if that was done before.
    pub fn retire(&self) -> Option<VecDeque<T>> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if std::mem::replace(&mut state.retired, true) {
            return None;
        }
        state.granted = 0;
        let items = std::mem::take(&mut state.items);
        state.getters.poke(&mut wakes);
        state.putters.poke(&mut wakes);
        state.joiners.poke(&mut wakes);
        drop(state);
        wakes.wake();
        Some(items)
    }

    /// Whether [`Queue::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// Takes the items out without a word to anyone: for the collector of garbage.
    pub fn take_items(&self) -> VecDeque<T> {
        std::mem::take(&mut self.state().items)
    }

    /// Shows each item to `visit`, those of waiting putters included, until it fails.
    /// `visit` runs under the leaf lock, and must be as careful.
    ///
    /// # Errors
    /// The first of `visit`'s.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        let state = self.state.lock();
        state
            .items
            .iter()
            .chain(state.putters.payloads())
            .try_for_each(&mut visit)
    }
}

impl<T> State<T> {
    fn has_room(&self) -> bool {
        self.capacity <= 0
            || i64::try_from(self.items.len()).is_ok_and(|length| length < self.capacity)
    }

    #[inline]
    fn put(&mut self, item: T, wakes: &mut Wakes) -> Result<(), PutError<T>> {
        if self.retired {
            Err(PutError::Retired(item))
        } else if self.shut_down {
            Err(PutError::ShutDown(item))
        } else if self.has_room() {
            self.accept(item, wakes);
            Ok(())
        } else {
            Err(PutError::Full(item))
        }
    }

    #[inline]
    fn get(&mut self, wakes: &mut Wakes) -> Result<T, GetError> {
        if self.retired {
            return Err(GetError::Retired);
        }
        if self.items.len() > self.granted
            && let Some(item) = self.items.pop_front()
        {
            self.admit(wakes);
            return Ok(item);
        }
        // What is granted to others is no hope: nothing comes after a shutdown.
        Err(if self.shut_down {
            GetError::ShutDown
        } else {
            GetError::Empty
        })
    }

    #[inline]
    fn accept(&mut self, item: T, wakes: &mut Wakes) {
        self.items.push_back(item);
        self.unfinished += 1;
        if self.items.len() > self.granted
            && let Some((getter, ())) = self.getters.pop()
        {
            self.granted += 1;
            wakes.push(getter);
        }
    }

    /// Lets in the items of waiting putters while there is room.
    #[inline]
    fn admit(&mut self, wakes: &mut Wakes) {
        // Putters of a queue that was shut down or retired have been woken to hear it, and take
        // their items with them.
        while !self.shut_down && !self.retired && !self.putters.is_empty() && self.has_room() {
            if let Some((putter, item)) = self.putters.pop() {
                self.accept(item, wakes);
                wakes.push(putter);
            }
        }
    }

    fn complete_joins(&mut self, wakes: &mut Wakes) {
        if !self.retired && self.unfinished <= 0 {
            self.joiners.drain(wakes);
        }
    }
}
