//! Bounded queues, with a count of unfinished tasks and a shutdown.
//!
//! * [`Queue`]: the operations that do not wait.
//! * [`order`]: the items: first in first out, last in first out, or the smallest first.
//! * `state`: what the leaf lock guards, and how it changes.
//! * [`operations`]: the waits: for an item, for a look at it, for room, for the last task.
//! * `takers`: who took the items that are not done, and how many were taken, for reports of hangs and profiles.
//! * `unsettled`: heaps that are changed by their own comparisons.
//! * `batches`: many items in one leaf section.
//!
//! A `put` wakes the getter that has waited longest, unless enough getters have been woken and have not
//! looked yet (mostly one: `state::ITEMS_PER_WAITER`). A `get` wakes a putter in the same way. A woken waiter
//! has only a chance: another running thread may take the item or the room first. After a waiter has used its
//! chance, it wakes the next one if something is left. So a stream of items costs only as many wakes as the
//! waiters can make use of, not one for each item. As long as no other thread competes, waiters are served in
//! the order in which they came.
//!
//! A waiter that has lost its chance and has waited long enough ([`crate::wait::hand_off`]) is *handed* the
//! next item, or the room. This then belongs to it, and no other thread can take it.

use std::collections::VecDeque;
use std::convert::Infallible;

use crate::wait::observe::{Owned, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{Entered, Monitor, Ticket, Unchecked, Waiter, Wakes};

mod batches;
pub mod operations;
pub mod order;
mod state;
mod takers;
mod unsettled;

pub use operations::{Get, Join, Peek, Put};
pub use order::{Item, Order};
pub use takers::Left;

use order::{Answers, Place, Settled};
use state::{GetRefusal, Grant, PutRefusal, State};
use takers::Takers;

/// A queue of `T`.
pub struct Queue<T> {
    state: Monitor<State<T>>,
}

/// No thread has a queue; but it can be asked for its length.
impl<T: Item + Send + 'static> Owned for Queue<T> {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// How many items a queue has, and how many it had; see [`Queue::flow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The number of items.
    pub length: usize,
    /// The greatest number of items that it may have; zero: no limit.
    pub capacity: usize,
    /// How many have left it.
    pub left: Left,
}

/// Why an item was not put. The item comes back in the error.
#[derive(Debug, PartialEq, Eq)]
pub enum PutError<T, E = Infallible> {
    /// There is no room.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
    /// See [`super::FellBack`].
    FellBack(T),
    /// The item could not be compared with the items in the queue.
    Comparison(T, E),
}

/// Why no item was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError<E = Infallible> {
    /// There is no item, or all items are handed to other getters.
    Empty,
    /// There is no item, and the queue was shut down.
    ShutDown,
    /// See [`super::FellBack`].
    FellBack,
    /// The items could not be compared. They stay in the queue.
    Comparison(E),
}

/// Why a task could not be marked as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskDoneError {
    /// More tasks were done than items put.
    TooMany,
    /// See [`super::FellBack`].
    FellBack,
}

/// The result of [`Queue::insert`] if the item was not put.
enum NotInserted<'a, T: Item> {
    /// There is no room. The leaf lock is still held.
    Full(T, Entered<'a, State<T>>),
    Refused(PutError<T, T::Error>),
}

/// The result of [`Queue::take`] if there was no item.
enum NotTaken<'a, T: Item> {
    /// There is no item. The leaf lock is still held.
    Empty(Entered<'a, State<T>>),
    Refused(GetError<T::Error>),
}

impl<T: Item> Queue<T> {
    /// Creates an empty queue, first in first out. It allocates nothing for the capacity, however large.
    pub fn new(capacity: i64) -> Self {
        Self::ordered(Order::Fifo, capacity)
    }

    /// Creates an empty queue with this order.
    pub fn ordered(order: Order, capacity: i64) -> Self {
        Self {
            state: Monitor::new(State::new(order, capacity)),
        }
    }

    /// As [`Queue::new`], with an end that is final: after a shutdown a get is told of it only when no item can come back,
    /// from a getter that was handed one and gives up.
    pub fn with_settled_end(capacity: i64) -> Self {
        let queue = Self::new(capacity);
        queue.state().has_settled_end = true;
        queue
    }

    #[inline]
    fn state(&self) -> Entered<'_, State<T>> {
        self.state.enter()
    }

    /// Changes the state, and then wakes the waiters that `change` has collected.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut State<T>, &mut Wakes) -> R) -> R {
        let mut state = self.state();
        let (state, wakes) = state.parts();
        change(state, wakes)
    }

    /// Puts the item if there is room. `state` is the state of this queue.
    #[inline]
    fn insert<'a>(
        &'a self,
        mut state: Entered<'a, State<T>>,
        item: T,
        grant: Grant,
    ) -> Result<(), NotInserted<'a, T>> {
        let mut answers = Answers::new();
        loop {
            let question = match state.check_put(grant) {
                Ok(()) => match state.items.place_for(&item, &mut answers) {
                    Ok(place) => {
                        let (inner, wakes) = state.parts();
                        inner.accept(item, place, grant, wakes);
                        // Before the answers, which may hold the last handles to items.
                        drop(state);
                        return Ok(());
                    }
                    Err(question) => question,
                },
                Err(_) if answers.has_any() => {
                    // The answers may hold the last handles to items, which must not be dropped under the
                    // leaf lock.
                    drop(state);
                    answers = Answers::new();
                    state = self.state();
                    continue;
                }
                Err(refusal) => return Err(Self::refuse_entry(state, item, refusal, grant)),
            };
            drop(state);
            match answers.ask(question) {
                Ok(Settled::Yes) => state = self.state(),
                Ok(Settled::No) => {
                    // What comes back may hold the leaf lock.
                    drop(answers);
                    return self.insert_unsettled(item, grant);
                }
                Err(error) => {
                    self.give_up_room(grant);
                    return Err(NotInserted::Refused(PutError::Comparison(item, error)));
                }
            }
        }
    }

    fn refuse_entry(
        mut state: Entered<'_, State<T>>,
        item: T,
        refusal: PutRefusal,
        grant: Grant,
    ) -> NotInserted<'_, T> {
        // The hand-off is void. No other waiter needs it: there is no room, or the queue takes no more items.
        state.putters.end_hand_off(grant);
        match refusal {
            PutRefusal::Full => NotInserted::Full(item, state),
            PutRefusal::ShutDown => NotInserted::Refused(PutError::ShutDown(item)),
            PutRefusal::FellBack => NotInserted::Refused(PutError::FellBack(item)),
        }
    }

    /// A putter that was woken will put nothing, so the next putter may.
    #[cold]
    fn give_up_room(&self, grant: Grant) {
        if grant != Grant::None {
            self.change(|state, wakes| {
                state.putters.end_hand_off(grant);
                state.wake_putters(wakes);
            });
        }
    }

    /// Takes the next item if one is free. `state` is the state of this queue.
    #[inline]
    fn take<'a>(
        &'a self,
        mut state: Entered<'a, State<T>>,
        grant: Grant,
    ) -> Result<T, NotTaken<'a, T>> {
        let mut answers = Answers::new();
        loop {
            let question = match state.check_get(grant) {
                Ok(()) => match state.items.place_after_removal(&mut answers) {
                    Ok(place) => {
                        let (inner, wakes) = state.parts();
                        let item = inner.give(place, grant, wakes);
                        drop(state);
                        return item.ok_or(NotTaken::Refused(GetError::Empty));
                    }
                    Err(question) => question,
                },
                Err(_) if answers.has_any() => {
                    // As in `insert`.
                    drop(state);
                    answers = Answers::new();
                    state = self.state();
                    continue;
                }
                Err(refusal) => return Err(Self::refuse_taking(state, refusal, grant)),
            };
            drop(state);
            match answers.ask(question) {
                Ok(Settled::Yes) => state = self.state(),
                Ok(Settled::No) => {
                    // As in `insert`.
                    drop(answers);
                    return self.take_unsettled(grant);
                }
                Err(error) => {
                    self.give_up_item(grant);
                    return Err(NotTaken::Refused(GetError::Comparison(error)));
                }
            }
        }
    }

    fn refuse_taking(
        mut state: Entered<'_, State<T>>,
        refusal: GetRefusal,
        grant: Grant,
    ) -> NotTaken<'_, T> {
        // The items may be gone: taken out by a shutdown, by the garbage collector, or because the queue fell
        // back. Then the hand-off is void.
        state.getters.end_hand_off(grant);
        let (inner, wakes) = state.parts();
        inner.settle(grant, wakes);
        match refusal {
            GetRefusal::Empty => NotTaken::Empty(state),
            GetRefusal::ShutDown => NotTaken::Refused(GetError::ShutDown),
            GetRefusal::FellBack => NotTaken::Refused(GetError::FellBack),
        }
    }

    /// A getter that was woken will take nothing, so the next getter may.
    #[cold]
    fn give_up_item(&self, grant: Grant) {
        if grant != Grant::None {
            self.change(|state, wakes| {
                state.getters.end_hand_off(grant);
                state.settle(grant, wakes);
                state.wake_getters(wakes);
            });
        }
    }

    /// Puts the item if there is room.
    ///
    /// # Errors
    /// The [`PutError`] that applies, with the item.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T, T::Error>> {
        let mut state = self.state.enter_unchecked();
        if state.can_insert_at_end() {
            state.insert_at_end(item);
            return Ok(());
        }
        self.try_put_slow(state, item)
    }

    #[inline(never)]
    fn try_put_slow<'a>(
        &'a self,
        state: Unchecked<'a, State<T>>,
        item: T,
    ) -> Result<(), PutError<T, T::Error>> {
        self.insert(state.check(), item, Grant::None)
            .map_err(|refused| match refused {
                NotInserted::Full(item, _) => PutError::Full(item),
                NotInserted::Refused(error) => error,
            })
    }

    /// Takes the next item if one is free.
    ///
    /// # Errors
    /// The [`GetError`] that applies.
    #[inline]
    pub fn try_get(&self) -> Result<T, GetError<T::Error>> {
        let mut state = self.state.enter_unchecked();
        if state.can_remove_at_end()
            && let Some(item) = state.remove_at_end()
        {
            return Ok(item);
        }
        self.try_get_slow(state)
    }

    #[inline(never)]
    fn try_get_slow<'a>(&'a self, state: Unchecked<'a, State<T>>) -> Result<T, GetError<T::Error>> {
        self.take(state.check(), Grant::None)
            .map_err(|refused| match refused {
                NotTaken::Empty(_) => GetError::Empty,
                NotTaken::Refused(error) => error,
            })
    }

    /// Returns another handle to the item that a get would take now, and leaves it there.
    ///
    /// # Errors
    /// The [`GetError`] that applies; items are not compared.
    pub fn try_peek(&self) -> Result<T, GetError<T::Error>> {
        self.state().look().map_err(GetError::from)
    }

    /// Puts the item. If there is no room, it takes the place of the oldest one, which is returned. Only for a queue whose
    /// order is that of arrival.
    ///
    /// # Errors
    /// The [`PutError`] that applies, with the item. It is never `Full`.
    pub fn put_over_oldest(&self, item: T) -> Result<Option<T>, PutError<T, T::Error>> {
        let mut state = self.state();
        match state.check_put(Grant::None) {
            Ok(()) => {
                let place = Place::AT_END;
                let (inner, wakes) = state.parts();
                inner.accept(item, place, Grant::None, wakes);
                Ok(None)
            }
            Err(PutRefusal::Full) => Ok(state.replace_oldest(item)),
            Err(PutRefusal::ShutDown) => Err(PutError::ShutDown(item)),
            Err(PutRefusal::FellBack) => Err(PutError::FellBack(item)),
        }
    }

    /// Puts the item if there is room and no foreign code is needed.
    ///
    /// # Errors
    /// The item, if it was not put.
    #[inline(always)]
    pub fn put_fast(&self, item: T) -> Result<(), T> {
        let mut state = self.state.enter_unchecked();
        if state.can_insert_at_end() {
            state.insert_at_end(item);
            return Ok(());
        }
        Self::put_slow(state, item)
    }

    #[inline(never)]
    fn put_slow(state: Unchecked<'_, State<T>>, item: T) -> Result<(), T> {
        let mut state = state.check();
        if state.check_put(Grant::None).is_err() {
            return Err(item);
        }
        if state.is_simple_to_insert() {
            state.insert_at_end(item);
            return Ok(());
        }
        let question = match state.items.place_for(&item, &mut Answers::new()) {
            Ok(place) => {
                let (state, wakes) = state.parts();
                state.accept(item, place, Grant::None, wakes);
                Ok(())
            }
            Err(question) => Err((item, question)),
        };
        // The question may hold the last handles to items, so release the leaf lock before it is dropped.
        drop(state);
        question.map_err(|(item, _)| item)
    }

    /// Takes the next item if one is free and no foreign code is needed.
    #[inline(always)]
    pub fn get_fast(&self) -> Option<T> {
        let mut state = self.state.enter_unchecked();
        if state.can_remove_at_end() {
            return state.remove_at_end();
        }
        Self::get_slow(state)
    }

    #[inline(never)]
    fn get_slow(state: Unchecked<'_, State<T>>) -> Option<T> {
        let mut state = state.check();
        if state.check_get(Grant::None).is_err() {
            return None;
        }
        if state.is_simple_to_remove() {
            return state.remove_at_end();
        }
        let item = match state.items.place_after_removal(&mut Answers::new()) {
            Ok(place) => {
                let (state, wakes) = state.parts();
                Ok(state.give(place, Grant::None, wakes))
            }
            Err(question) => Err(question),
        };
        // Release the leaf lock before the question is dropped, as above.
        drop(state);
        item.unwrap_or(None)
    }

    /// Whether a get that is tried now would compare items.
    fn get_compares(&self) -> bool {
        let state = self.state();
        state.items.order() == Order::Heap && state.check_get(Grant::None).is_ok()
    }

    /// Whether a put that is tried now would compare items.
    fn put_compares(&self) -> bool {
        let state = self.state();
        state.items.order() == Order::Heap && state.check_put(Grant::None).is_ok()
    }

    /// The operation that waits for room and puts `item`.
    pub fn put(&self, item: T) -> Put<&Self, T> {
        Put::new(self, item)
    }

    /// The operation that waits for an item.
    pub fn get(&self) -> Get<&Self> {
        Get::new(self)
    }

    /// The operation that waits for an item, and leaves it there.
    pub fn peek(&self) -> Peek<&Self> {
        Peek::new(self)
    }

    /// The operation that waits until no task is unfinished.
    pub fn join(&self) -> Join<&Self> {
        Join::new(self)
    }

    /// From now on `watcher` is told ([`Wake::tell`](crate::wait::Wake::tell)) whether a get would not wait, until
    /// [`Queue::unwatch`] with the same ticket, which is one of [`Ticket::last`]. It takes nothing, and must refuse to be
    /// claimed. In a forked child it is forgotten.
    ///
    /// While a getter that was woken has not looked yet, an item may be there that it is not told of: that one is for the
    /// getter.
    ///
    /// # Errors
    /// [`super::FellBack`].
    pub fn watch(&self, ticket: Ticket, watcher: &Arc<Waiter>) -> Result<(), super::FellBack> {
        let mut state = self.state();
        state.check()?;
        state.watch(ticket, watcher);
        Ok(())
    }

    /// Ends what [`Queue::watch`] began.
    pub fn unwatch(&self, ticket: Ticket) {
        self.state().unwatch(ticket);
    }

    /// Marks a task as done. The last one completes the joins.
    ///
    /// # Errors
    /// The [`TaskDoneError`] that applies.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        self.change(|state, wakes| {
            if state.fallen_back {
                return Err(TaskDoneError::FellBack);
            }
            if state.unfinished <= 0 {
                return Err(TaskDoneError::TooMany);
            }
            state.unfinished -= 1;
            state.note_done();
            state.complete_joins(wakes);
            Ok(())
        })
    }

    /// The threads that have taken items whose tasks are not done: the number of each thread, and of its items. Empty
    /// if that is not known.
    pub fn takers(&self) -> Vec<(u32, usize)> {
        let state = self.state();
        (state.takers.as_ref()).map_or_else(Vec::new, |takers| takers.known())
    }

    /// How many items it has and may have, and how many have left it while waits were observed.
    pub fn flow(&self) -> Flow {
        let state = self.state();
        Flow {
            length: state.items.len(),
            capacity: usize::try_from(state.capacity).unwrap_or_default(),
            left: (state.takers.as_ref()).map_or_else(Left::default, |takers| takers.flow),
        }
    }

    /// As [`Queue::flow`], after it has begun to look for the greatest length anew. When the queue is dropped, `tell` is
    /// called with `number`, and with how many items have left it; those that it has then are not among them.
    pub fn follow(&self, number: usize, tell: fn(usize, Left)) -> Flow {
        // Made and dropped without the leaf lock.
        let mut spare = Some(Box::<Takers>::default());
        let mut state = self.state();
        if state.takers.is_none() {
            state.takers = spare.take();
        }
        if let Some(takers) = &mut state.takers {
            takers.at_end = Some((number, tell));
            takers.flow.greatest = 0;
        }
        drop(state);
        drop(spare);
        self.flow()
    }

    /// The number of items, without those that are handed to getters.
    #[inline]
    pub fn len(&self) -> usize {
        let state = self.state.enter_unchecked();
        if state.getters.has_handed() {
            return state.check().free_items();
        }
        state.items.len()
    }

    /// Whether the queue has no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a `put` would have to wait.
    pub fn is_full(&self) -> bool {
        !self.state().has_room()
    }

    /// The greatest number of items; zero or less means no limit.
    pub fn capacity(&self) -> i64 {
        self.state().capacity
    }

    /// Changes the capacity, and wakes putters that now have room.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn set_capacity(&self, capacity: i64) -> Result<(), super::FellBack> {
        self.change(|state, wakes| {
            state.check()?;
            state.capacity = capacity;
            state.wake_putters(wakes);
            Ok(())
        })
    }

    /// The order in which items come out.
    pub fn order(&self) -> Order {
        self.state().items.order()
    }

    /// The number of items that were put and whose tasks are not done.
    pub fn unfinished(&self) -> i64 {
        self.state().unfinished
    }

    /// Sets the count of unfinished tasks.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn set_unfinished(&self, unfinished: i64) -> Result<(), super::FellBack> {
        self.change(|state, wakes| {
            state.check()?;
            state.unfinished = unfinished;
            state.forget_takers();
            state.complete_joins(wakes);
            Ok(())
        })
    }

    /// Whether [`Queue::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.state().shut_down
    }

    /// Sets whether the queue is shut down. All waiters look again.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn set_shut_down(&self, shut_down: bool) -> Result<(), super::FellBack> {
        self.change(|state, wakes| {
            state.check()?;
            state.shut_down = shut_down;
            state.tell_watchers();
            state.getters.waiters.wake_in_place(wakes);
            state.putters.waiters.wake_in_place(wakes);
            state.wake_putters(wakes);
            Ok(())
        })
    }

    /// Shuts the queue down: puts end immediately, gets once the queue is empty, and all waiters look again.
    /// If `immediate` is set, all items are returned, for the caller to drop; each counts as a task done.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn shut_down(&self, immediate: bool) -> Result<VecDeque<T>, super::FellBack> {
        self.change(|state, wakes| {
            if state.fallen_back {
                return Err(super::FellBack);
            }
            let mut dropped = VecDeque::new();
            state.shut_down = true;
            if immediate {
                dropped = state.drop_all(wakes);
            }
            state.tell_watchers();
            state.getters.waiters.wake_in_place(wakes);
            state.putters.waiters.wake_in_place(wakes);
            Ok(dropped)
        })
    }

    /// Removes all items, and those that are handed to getters, too. Each counts as a task done. Returns the items, for
    /// the caller to drop.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn clear(&self) -> Result<VecDeque<T>, super::FellBack> {
        self.change(|state, wakes| {
            state.check()?;
            let dropped = state.drop_all(wakes);
            state.wake_putters(wakes);
            state.tell_watchers();
            Ok(dropped)
        })
    }

    /// Makes the queue empty and open, as if it were new, with this capacity. Waiting getters continue, and
    /// waiting putters are woken. Returns the items, for the caller to drop.
    ///
    /// # Errors
    /// [`super::FellBack`], and nothing is changed.
    pub fn reset(&self, capacity: i64) -> Result<VecDeque<T>, super::FellBack> {
        self.change(|state, wakes| {
            if state.fallen_back {
                return Err(super::FellBack);
            }
            let items = state.remove_all();
            state.getters.void_hand_offs();
            state.putters.void_hand_offs();
            state.capacity = capacity;
            state.unfinished = 0;
            state.forget_takers();
            state.shut_down = false;
            state.tell_watchers();
            state.complete_joins(wakes);
            state.wake_putters(wakes);
            Ok(items)
        })
    }

    /// Gives the queue up to another implementation: present and later operations end as fallen back. Returns
    /// the items, in the order in which they were put, or as a heap. `None` if the queue had fallen back
    /// before.
    pub fn fall_back(&self) -> Option<VecDeque<T>> {
        self.change(|state, wakes| {
            if std::mem::replace(&mut state.fallen_back, true) {
                return None;
            }
            state.getters.void_hand_offs();
            state.putters.void_hand_offs();
            state.tell_watchers();
            state.getters.waiters.wake_in_place(wakes);
            state.putters.waiters.wake_in_place(wakes);
            state.joiners.wake_in_place(wakes);
            Some(state.remove_all())
        })
    }

    /// Whether [`Queue::fall_back`] was called.
    pub fn has_fallen_back(&self) -> bool {
        self.state().fallen_back
    }

    /// The number of bytes that items and waiters take, in addition to the queue itself.
    pub fn allocated(&self) -> usize {
        let state = self.state();
        state.items.allocated()
            + state.getters.waiters.allocated()
            + state.putters.waiters.allocated()
            + state.joiners.allocated()
    }

    /// Takes all items out and wakes no waiter: for the garbage collector.
    pub fn take_items(&self) -> VecDeque<T> {
        self.state().remove_all()
    }

    /// Calls `visit` with each item until it fails. The items of waiting putters are not included. `visit`
    /// runs under the leaf lock and must keep its rules.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.state
            .enter_unchecked()
            .items
            .iter()
            .try_for_each(&mut visit)
    }
}
