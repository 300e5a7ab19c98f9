//! Bounded hand-over in order, with a count of unfinished tasks and a shutdown.
//!
//! * [`Queue`]: what is done with one without waiting.
//! * [`order`]: the items: first in first out, last in first out, or the smallest first.
//! * `state`: what the leaf lock guards, and how it changes.
//! * [`operations`]: the three waits: for an item, for room, for the last task.
//! * `unsettled`: a heap whose comparisons change it.
//! * `batches`: many items in one leaf section.
//!
//! A `put` *grants* an item to the getter that waits longest, and leaves the item in place: the
//! getter takes the next item when it runs. Others get only what is not granted, so waiters are
//! served in the order they came, while the length stays what an observer expects. A `get` makes
//! room by moving in the item of the putter that waits longest, so items enter in the order
//! their putters came. In a heap it reserves the room for that putter instead, whose own affair
//! it is to have its item compared.

use std::collections::VecDeque;
use std::convert::Infallible;

use super::leaf::{Leaf, LeafGuard};
use super::waiter::Wakes;

mod batches;
pub mod operations;
pub mod order;
mod state;
mod unsettled;

pub use operations::{Get, Join, Put};
pub use order::{Item, Order};

use order::{Answers, Settled};
use state::{Closed, Nothing, State};

/// A queue of `T`.
pub struct Queue<T> {
    state: Leaf<State<T>>,
}

/// Why an item was not taken in; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum PutError<T, E = Infallible> {
    /// There is no room.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
    /// See [`super::Retired`].
    Retired(T),
    /// It could not be compared with those that are there.
    Comparison(T, E),
}

/// Why no item was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError<E = Infallible> {
    /// There is none, or all are granted to getters that came first.
    Empty,
    /// There is none, and the queue was shut down.
    ShutDown,
    /// See [`super::Retired`].
    Retired,
    /// Those that are there could not be compared. They stay.
    Comparison(E),
}

/// Why a task could not be marked as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskDoneError {
    /// More tasks done than items put.
    TooMany,
    /// See [`super::Retired`].
    Retired,
}

/// The outcome of [`Queue::enter`] where the item was not taken in.
enum NotEntered<'a, T: Item> {
    /// There is no room, and the leaf lock is still held.
    Full(T, LeafGuard<'a, State<T>>),
    Refused(PutError<T, T::Error>),
}

/// The outcome of [`Queue::take`] where there was no item.
enum NotTaken<'a, T: Item> {
    /// There is none, and the leaf lock is still held.
    Empty(LeafGuard<'a, State<T>>),
    Refused(GetError<T::Error>),
}

impl<T: Item> Queue<T> {
    /// An empty queue, first in first out. Nothing is reserved for the capacity, however large.
    pub fn new(capacity: i64) -> Self {
        Self::ordered(Order::Fifo, capacity)
    }

    /// An empty queue.
    pub fn ordered(order: Order, capacity: i64) -> Self {
        Self {
            state: Leaf::new(State::new(order, capacity)),
        }
    }

    #[inline]
    fn state(&self) -> LeafGuard<'_, State<T>> {
        let mut state = self.state.lock();
        state.follow_forks();
        state
    }

    /// Changes the state, and then wakes whoever is to hear of it.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut State<T>, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        let result = change(&mut state, &mut wakes);
        drop(state);
        wakes.wake();
        result
    }

    /// Takes the item in, if there is room; `holds`: there is some reserved for it, which is
    /// used or given up.
    #[inline]
    fn enter(&self, item: T, holds: bool) -> Result<(), NotEntered<'_, T>> {
        let mut answers = Answers::new();
        loop {
            let mut wakes = Wakes::new();
            let mut state = self.state();
            let question = match state.admits(holds) {
                Ok(()) => match state.items.place_for(&item, &mut answers) {
                    Ok(place) => {
                        state.reserved = state.reserved.saturating_sub(usize::from(holds));
                        state.accept(item, place, &mut wakes);
                        drop(state);
                        wakes.wake();
                        return Ok(());
                    }
                    Err(question) => question,
                },
                Err(_) if answers.has_any() => {
                    // They may be the last handles to items: not to be dropped in here.
                    drop(state);
                    answers = Answers::new();
                    continue;
                }
                Err(closed) => return Err(Self::refuse_entry(state, item, closed, holds)),
            };
            drop(state);
            match answers.ask(question) {
                Ok(Settled::Yes) => {}
                Ok(Settled::No) => return self.enter_unsettled(item, holds),
                Err(error) => {
                    if holds {
                        self.change(State::renounce_room);
                    }
                    return Err(NotEntered::Refused(PutError::Comparison(item, error)));
                }
            }
        }
    }

    fn refuse_entry(
        mut state: LeafGuard<'_, State<T>>,
        item: T,
        closed: Closed,
        holds: bool,
    ) -> NotEntered<'_, T> {
        // With no room, or with a queue that is given up, nobody else is waiting for what was
        // reserved here.
        state.reserved = state.reserved.saturating_sub(usize::from(holds));
        match closed {
            Closed::Full => NotEntered::Full(item, state),
            Closed::ShutDown => NotEntered::Refused(PutError::ShutDown(item)),
            Closed::Retired => NotEntered::Refused(PutError::Retired(item)),
        }
    }

    /// Gives out the next item, if one is free; `holds`: one is granted to who asks, which is
    /// taken or given up.
    #[inline]
    fn take(&self, holds: bool) -> Result<T, NotTaken<'_, T>> {
        let mut answers = Answers::new();
        loop {
            let mut wakes = Wakes::new();
            let mut state = self.state();
            let question = match state.offers(holds) {
                Ok(()) => match state.items.place_after_removal(&mut answers) {
                    Ok(place) => {
                        state.granted = state.granted.saturating_sub(usize::from(holds));
                        let item = state.give(place, &mut wakes);
                        drop(state);
                        wakes.wake();
                        return item.ok_or(NotTaken::Refused(GetError::Empty));
                    }
                    Err(question) => question,
                },
                Err(_) if answers.has_any() => {
                    // As above.
                    drop(state);
                    answers = Answers::new();
                    continue;
                }
                Err(nothing) => return Err(Self::refuse_taking(state, nothing, holds)),
            };
            drop(state);
            match answers.ask(question) {
                Ok(Settled::Yes) => {}
                Ok(Settled::No) => return self.take_unsettled(holds),
                Err(error) => {
                    if holds {
                        self.change(State::renounce_grant);
                    }
                    return Err(NotTaken::Refused(GetError::Comparison(error)));
                }
            }
        }
    }

    fn refuse_taking(
        mut state: LeafGuard<'_, State<T>>,
        nothing: Nothing,
        holds: bool,
    ) -> NotTaken<'_, T> {
        // Should the items be gone (taken out at a shutdown, by the collector, with a retired
        // queue), the grant is void.
        state.granted = state.granted.saturating_sub(usize::from(holds));
        match nothing {
            Nothing::Empty => NotTaken::Empty(state),
            Nothing::ShutDown => NotTaken::Refused(GetError::ShutDown),
            Nothing::Retired => NotTaken::Refused(GetError::Retired),
        }
    }

    /// Takes the item in, if there is room.
    ///
    /// # Errors
    /// The [`PutError`] that applies, with the item.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T, T::Error>> {
        self.enter(item, false).map_err(|refused| match refused {
            NotEntered::Full(item, _) => PutError::Full(item),
            NotEntered::Refused(error) => error,
        })
    }

    /// Gives out the next item, if one is free.
    ///
    /// # Errors
    /// The [`GetError`] that applies.
    #[inline]
    pub fn try_get(&self) -> Result<T, GetError<T::Error>> {
        self.take(false).map_err(|refused| match refused {
            NotTaken::Empty(_) => GetError::Empty,
            NotTaken::Refused(error) => error,
        })
    }

    /// Takes the item in, if nothing stands against it and no foreign code is needed.
    ///
    /// # Errors
    /// The item.
    #[inline(always)]
    pub fn put_at_once(&self, item: T) -> Result<(), T> {
        let mut state = self.state();
        if state.admits(false).is_err() {
            return Err(item);
        }
        if state.is_simple_to_put() {
            state.items.insert_in_turn(item);
            state.unfinished += 1;
            return Ok(());
        }
        Self::put_with_care(state, item)
    }

    #[cold]
    fn put_with_care(mut state: LeafGuard<'_, State<T>>, item: T) -> Result<(), T> {
        let mut wakes = Wakes::new();
        let question = match state.items.place_for(&item, &mut Answers::new()) {
            Ok(place) => {
                state.accept(item, place, &mut wakes);
                Ok(())
            }
            Err(question) => Err((item, question)),
        };
        drop(state);
        wakes.wake();
        question.map_err(|(item, _)| item)
    }

    /// Gives out the next item, if one is free and no foreign code is needed.
    #[inline(always)]
    pub fn get_at_once(&self) -> Option<T> {
        let mut state = self.state();
        if state.offers(false).is_err() {
            return None;
        }
        if state.is_simple_to_get() {
            return state.items.remove_in_turn();
        }
        Self::get_with_care(state)
    }

    #[cold]
    fn get_with_care(mut state: LeafGuard<'_, State<T>>) -> Option<T> {
        let mut wakes = Wakes::new();
        let item = match state.items.place_after_removal(&mut Answers::new()) {
            Ok(place) => Ok(state.give(place, &mut wakes)),
            Err(question) => Err(question),
        };
        drop(state);
        wakes.wake();
        item.unwrap_or(None)
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
        self.change(|state, wakes| {
            if state.retired {
                return Err(TaskDoneError::Retired);
            }
            if state.unfinished <= 0 {
                return Err(TaskDoneError::TooMany);
            }
            state.unfinished -= 1;
            state.complete_joins(wakes);
            Ok(())
        })
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
        self.change(|state, wakes| {
            state.capacity = capacity;
            state.admit(wakes);
        });
    }

    /// Items put whose tasks are not done.
    pub fn unfinished(&self) -> i64 {
        self.state().unfinished
    }

    /// Overrides the count of unfinished tasks.
    pub fn set_unfinished(&self, unfinished: i64) {
        self.change(|state, wakes| {
            state.unfinished = unfinished;
            state.complete_joins(wakes);
        });
    }

    /// Whether [`Queue::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.state().shut_down
    }

    /// Overrides whether it was shut down; whoever waits looks again.
    pub fn set_shut_down(&self, shut_down: bool) {
        self.change(|state, wakes| {
            state.shut_down = shut_down;
            state.getters.poke(wakes);
            state.putters.poke(wakes);
            state.admit(wakes);
        });
    }

    /// Ends puts at once and gets once the queue is empty; every waiter hears of it.
    /// If `immediate`, the items are given back to be dropped, each counted as a task done.
    ///
    /// # Errors
    /// [`super::Retired`], and nothing is changed.
    pub fn shut_down(&self, immediate: bool) -> Result<VecDeque<T>, super::Retired> {
        self.change(|state, wakes| {
            if state.retired {
                return Err(super::Retired);
            }
            let mut dropped = VecDeque::new();
            state.shut_down = true;
            if immediate {
                dropped = state.items.take();
                let done = i64::try_from(dropped.len()).unwrap_or(i64::MAX);
                state.unfinished = state.unfinished.saturating_sub(done).max(0);
                state.complete_joins(wakes);
            }
            state.getters.poke(wakes);
            state.putters.poke(wakes);
            Ok(dropped)
        })
    }

    /// Empty and open, as it was made, with this capacity. Those who wait for an item wait on,
    /// those who wait for room are let in. The items come back to be dropped.
    ///
    /// # Errors
    /// [`super::Retired`].
    pub fn reset(&self, capacity: i64) -> Result<VecDeque<T>, super::Retired> {
        self.change(|state, wakes| {
            if state.retired {
                return Err(super::Retired);
            }
            let items = state.items.take();
            state.granted = 0;
            state.reserved = 0;
            state.capacity = capacity;
            state.unfinished = 0;
            state.shut_down = false;
            state.complete_joins(wakes);
            state.admit(wakes);
            Ok(items)
        })
    }

    /// Gives the queue up: the items come out, in the order they were put or as a heap, and every
    /// operation, also those that wait, ends as retired. `None` if that was done before.
    pub fn retire(&self) -> Option<VecDeque<T>> {
        self.change(|state, wakes| {
            if std::mem::replace(&mut state.retired, true) {
                return None;
            }
            state.granted = 0;
            state.reserved = 0;
            state.getters.poke(wakes);
            state.putters.poke(wakes);
            state.joiners.poke(wakes);
            Some(state.items.take())
        })
    }

    /// Whether [`Queue::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.state().retired
    }

    /// How many bytes the items and the waiters take, beside the queue itself.
    pub fn allocated(&self) -> usize {
        let state = self.state();
        state.items.allocated()
            + state.getters.allocated()
            + state.putters.allocated()
            + state.joiners.allocated()
    }

    /// Takes the items out without a word to anyone: for the collector of garbage.
    pub fn take_items(&self) -> VecDeque<T> {
        self.state().items.take()
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
            .chain(state.putters.payloads().flatten())
            .try_for_each(&mut visit)
    }
}
