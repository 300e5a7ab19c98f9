//! A queue whose items can be taken when their time has come.
//!
//! The items are in a tree, by their times and then by the order in which they were put. So the next one is found, and any
//! one is removed, in logarithmic time.
//!
//! Getters stand in a [`Line`]: the first one sleeps until the time of the first item, the others until it calls them. An
//! item that becomes the first one calls the first getter, which then sleeps for a shorter time. Putters of a full queue
//! stand in another line.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, Instant};

use super::queue::{Item, TaskDoneError};
use crate::wait::deadline::Deadline;
use crate::wait::line::{Line, Turn};
use crate::wait::observe::{Owned, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{
    self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// The time of an item: nanoseconds after the queue was made. The greatest one never comes.
pub type Nanoseconds = i64;

/// By what an item is found: its time, and a number that no other item of the queue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    time: Nanoseconds,
    number: u64,
}

impl Key {
    /// The time of the item.
    pub fn time(self) -> Nanoseconds {
        self.time
    }
}

/// Why no item was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError {
    /// The time of none has come.
    Empty,
    /// There is no item, and the queue was shut down.
    ShutDown,
}

/// Why an item was not put. The item comes back in the error.
#[derive(Debug, PartialEq, Eq)]
pub enum PutError<T> {
    /// There is no room.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
}

/// A queue of items that have times.
pub struct DelayQueue<T> {
    /// The moment from which times are counted.
    begin: Instant,
    state: Monitor<State<T>>,
}

struct State<T> {
    items: BTreeMap<Key, T>,
    next_number: u64,
    /// The greatest number of items; zero or less means no limit.
    capacity: i64,
    /// Since when there is room. It matters only while putters wait.
    room_since: Instant,
    unfinished: i64,
    shut_down: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
    getters: Line<()>,
    putters: Line<()>,
    joiners: WaiterList,
}

impl<T> wait::State for State<T> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        // Items belong to no thread, and the lists pass over waiters of another process.
    }
}

/// What a getter finds.
enum Found {
    /// The time of the first item has come.
    Ready(Key),
    /// The time of the first item, if there is one and it comes at all.
    Later(Option<Instant>),
    ShutDown,
}

impl<T> State<T> {
    /// The moment at which the first item can be taken.
    fn first_due(&self, begin: Instant) -> Option<Instant> {
        let (first, _) = self.items.first_key_value()?;
        match u64::try_from(first.time) {
            Err(_) => Some(begin),
            Ok(_) if first.time == Nanoseconds::MAX => None,
            Ok(time) => begin.checked_add(Duration::from_nanos(time)),
        }
    }

    fn find(&self, begin: Instant, now: Instant) -> Found {
        match self.items.first_key_value() {
            None if self.shut_down => Found::ShutDown,
            None => Found::Later(None),
            Some((first, _)) => match self.first_due(begin) {
                Some(due) if due <= now => Found::Ready(*first),
                due => Found::Later(due),
            },
        }
    }

    fn has_room(&self) -> bool {
        match usize::try_from(self.capacity) {
            Ok(0) | Err(_) => true,
            Ok(capacity) => self.items.len() < capacity,
        }
    }

    fn insert(&mut self, time: Nanoseconds, item: T, wakes: &mut Wakes) -> Key {
        let number = self.next_number;
        self.next_number += 1;
        let key = Key { time, number };
        self.items.insert(key, item);
        self.unfinished += 1;
        if (self.items.first_key_value()).is_some_and(|(first, _)| *first == key) {
            self.getters.call_next(wakes);
        }
        key
    }

    /// Items were removed, or the capacity changed.
    fn call_putter(&mut self, wakes: &mut Wakes) {
        if !self.putters.is_empty() && self.has_room() {
            self.room_since = Instant::now();
            self.putters.call_next(wakes);
        }
    }

    fn remove(&mut self, key: Key, wakes: &mut Wakes) -> Option<T> {
        let item = self.items.remove(&key);
        self.after_removal(wakes);
        item
    }

    fn after_removal(&mut self, wakes: &mut Wakes) {
        self.call_putter(wakes);
        if self.shut_down && self.items.is_empty() {
            // Nothing follows.
            self.getters.call_all(wakes);
        }
    }

    /// So many items will not be worked on.
    fn count_done(&mut self, count: usize, wakes: &mut Wakes) {
        let done = i64::try_from(count).unwrap_or(i64::MAX);
        self.unfinished = self.unfinished.saturating_sub(done).max(0);
        if self.unfinished == 0 {
            self.joiners.drain(wakes);
        }
    }

    fn drop_all(&mut self, wakes: &mut Wakes) -> BTreeMap<Key, T> {
        let dropped = std::mem::take(&mut self.items);
        self.count_done(dropped.len(), wakes);
        self.after_removal(wakes);
        dropped
    }
}

impl<T> DelayQueue<T> {
    /// Creates an empty queue.
    pub fn new(capacity: i64) -> Self {
        let begin = Instant::now();
        Self {
            begin,
            state: Monitor::new(State {
                items: BTreeMap::new(),
                next_number: 0,
                capacity,
                room_since: begin,
                unfinished: 0,
                shut_down: false,
                generation: generation(),
                getters: Line::new(),
                putters: Line::new(),
                joiners: WaiterList::new(),
            }),
        }
    }

    /// The present time, as the items count it.
    pub fn now(&self) -> Nanoseconds {
        Nanoseconds::try_from(self.begin.elapsed().as_nanos()).unwrap_or(Nanoseconds::MAX)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State<T>, &mut Wakes) -> R) -> R {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        change(state, wakes)
    }

    /// Puts an item if there is room, also before those who wait for room.
    ///
    /// # Errors
    /// The [`PutError`] that applies, with the item.
    pub fn try_put(&self, time: Nanoseconds, item: T) -> Result<Key, PutError<T>> {
        self.put_now(time, item, true)
    }

    /// As [`DelayQueue::try_put`], but not before those who wait for room.
    ///
    /// # Errors
    /// Those of [`DelayQueue::try_put`].
    pub fn try_put_in_turn(&self, time: Nanoseconds, item: T) -> Result<Key, PutError<T>> {
        self.put_now(time, item, false)
    }

    fn put_now(&self, time: Nanoseconds, item: T, may_overtake: bool) -> Result<Key, PutError<T>> {
        self.change(|state, wakes| {
            if state.shut_down {
                return Err(PutError::ShutDown(item));
            }
            if !state.has_room() || !may_overtake && !state.putters.is_empty() {
                return Err(PutError::Full(item));
            }
            Ok(state.insert(time, item, wakes))
        })
    }

    /// Takes the first item if its time has come, also before those who wait for it.
    ///
    /// # Errors
    /// The [`GetError`] that applies.
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_now(true)
    }

    /// As [`DelayQueue::try_get`], but not before those who wait for it.
    ///
    /// # Errors
    /// Those of [`DelayQueue::try_get`].
    pub fn try_get_in_turn(&self) -> Result<T, GetError> {
        self.get_now(false)
    }

    fn get_now(&self, may_overtake: bool) -> Result<T, GetError> {
        let now = Instant::now();
        self.change(|state, wakes| match state.find(self.begin, now) {
            Found::ShutDown => Err(GetError::ShutDown),
            Found::Ready(key) if may_overtake || state.getters.is_empty() => {
                state.remove(key, wakes).ok_or(GetError::Empty)
            }
            Found::Later(_) | Found::Ready(_) => Err(GetError::Empty),
        })
    }

    /// Removes an item. `None`: it was taken before, or removed.
    pub fn cancel(&self, key: Key) -> Option<T> {
        self.change(|state, wakes| {
            let item = state.remove(key, wakes)?;
            state.count_done(1, wakes);
            Some(item)
        })
    }

    /// Whether the item is in the queue.
    pub fn contains(&self, key: Key) -> bool {
        self.state.enter().items.contains_key(&key)
    }

    /// Removes all items; each counts as a task done. Returns them, for the caller to drop.
    pub fn clear(&self) -> BTreeMap<Key, T> {
        self.change(|state, wakes| state.drop_all(wakes))
    }

    /// Shuts the queue down: puts end immediately, gets once the queue is empty. If `immediate` is set, all items are
    /// returned, for the caller to drop; each counts as a task done.
    pub fn shut_down(&self, immediate: bool) -> BTreeMap<Key, T> {
        self.change(|state, wakes| {
            state.shut_down = true;
            let dropped = if immediate {
                state.drop_all(wakes)
            } else {
                BTreeMap::new()
            };
            state.getters.call_all(wakes);
            state.putters.call_all(wakes);
            dropped
        })
    }

    /// Whether [`DelayQueue::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.state.enter().shut_down
    }

    /// Marks a task as done. The last one completes the joins.
    ///
    /// # Errors
    /// [`TaskDoneError::TooMany`].
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        self.change(|state, wakes| {
            if state.unfinished <= 0 {
                return Err(TaskDoneError::TooMany);
            }
            state.count_done(1, wakes);
            Ok(())
        })
    }

    /// The number of items that were put and whose tasks are not done.
    pub fn unfinished(&self) -> i64 {
        self.state.enter().unfinished
    }

    /// The number of items, whether or not their time has come.
    pub fn len(&self) -> usize {
        self.state.enter().items.len()
    }

    /// Whether the queue has no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a put would have to wait.
    pub fn is_full(&self) -> bool {
        !self.state.enter().has_room()
    }

    /// The number of items whose time has come.
    pub fn ready(&self) -> usize {
        let now = Key {
            time: self.now().min(Nanoseconds::MAX - 1),
            number: u64::MAX,
        };
        self.state.enter().items.range(..=now).count()
    }

    /// The time of the first item.
    pub fn first_time(&self) -> Option<Nanoseconds> {
        let state = self.state.enter();
        state.items.first_key_value().map(|(first, _)| first.time)
    }

    /// The greatest number of items; zero or less means no limit.
    pub fn capacity(&self) -> i64 {
        self.state.enter().capacity
    }

    /// Changes the capacity, and calls putters that now have room.
    pub fn set_capacity(&self, capacity: i64) {
        self.change(|state, wakes| {
            state.capacity = capacity;
            state.call_putter(wakes);
        });
    }

    /// Takes all items out and wakes no waiter: for the garbage collector.
    pub fn take_items(&self) -> BTreeMap<Key, T> {
        std::mem::take(&mut self.state.enter().items)
    }

    /// Calls `visit` with each item until it fails. It runs under the leaf lock and must keep its rules.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn try_for_each<E>(&self, visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.state
            .enter_unchecked()
            .items
            .values()
            .try_for_each(visit)
    }
}

impl<T: Item> DelayQueue<T> {
    /// Another handle to the first item, if its time has come.
    ///
    /// # Errors
    /// The [`GetError`] that applies.
    pub fn try_peek(&self) -> Result<T, GetError> {
        let now = Instant::now();
        let state = self.state.enter();
        match state.find(self.begin, now) {
            Found::ShutDown => Err(GetError::ShutDown),
            Found::Later(_) => Err(GetError::Empty),
            Found::Ready(key) => state.items.get(&key).map(T::share).ok_or(GetError::Empty),
        }
    }
}

/// No thread has a queue; but it can be asked for its length.
impl<T: Send + 'static> Owned for DelayQueue<T> {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A wait for an item whose time has come, to take it or to look at it.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Get<T, Q: Deref<Target = DelayQueue<T>>> {
    queue: Q,
    /// Whether the item stays in the queue.
    only_looks: bool,
    ticket: Ticket,
    due: Deadline,
    /// It may be in line.
    has_joined: bool,
    items: PhantomData<fn() -> T>,
}

impl<T, Q: Deref<Target = DelayQueue<T>>> Get<T, Q> {
    /// The wait that has not begun.
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            only_looks: false,
            ticket: Ticket::next(),
            due: Deadline::NEVER,
            has_joined: false,
            items: PhantomData,
        }
    }

    /// The same, for one that leaves the item there.
    pub fn only_looking(mut self) -> Self {
        self.only_looks = true;
        self
    }

    fn leave_line(&mut self) {
        if std::mem::take(&mut self.has_joined) {
            self.queue.change(|state, wakes| {
                if state.getters.leave(self.ticket) {
                    state.getters.call_next(wakes);
                }
            });
        }
    }
}

impl<T: Item + Send + 'static, Q: Deref<Target = DelayQueue<T>>> Operation for Get<T, Q> {
    /// The error is never `Empty`.
    type Output = Result<T, GetError>;

    /// Others wait behind it.
    const KEEPS: bool = false;

    fn due(&self) -> Deadline {
        self.due
    }

    fn stays(&self) -> bool {
        self.has_joined
    }

    fn resource(&self) -> Resource {
        Resource::owned("item of a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let (begin, now) = (self.queue.begin, Instant::now());
        let mut entered = self.queue.state.enter();
        let (state, wakes) = entered.parts();
        let first_due = state.first_due(begin);
        let is_thread = waiter.is_thread();
        let turn = (state.getters).turn(Some(self.ticket), is_thread, now, |()| first_due);
        let output = match (state.find(begin, now), turn) {
            (Found::ShutDown, _) => Err(GetError::ShutDown),
            (Found::Ready(key), Turn::Mine) => {
                let item = if self.only_looks {
                    state.items.get(&key).map(T::share)
                } else {
                    state.remove(key, wakes)
                };
                item.ok_or(GetError::Empty)
            }
            (found, turn) => {
                self.due = match (found, turn) {
                    (Found::Later(Some(due)), Turn::Mine) => Deadline::at(due),
                    (_, Turn::MineAt(moment)) => Deadline::at(moment),
                    _ => Deadline::NEVER,
                };
                state.getters.join(self.ticket, waiter, (), now);
                self.has_joined = true;
                return None;
            }
        };
        state.getters.leave(self.ticket);
        state.getters.call_next(wakes);
        self.has_joined = false;
        Some(output)
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        if parked != Parked::Unparked {
            self.leave_line();
        }
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.leave_line();
        None
    }
}

impl<T, Q: Deref<Target = DelayQueue<T>>> Drop for Get<T, Q> {
    fn drop(&mut self) {
        self.leave_line();
    }
}

/// A wait for room.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Put<T, Q: Deref<Target = DelayQueue<T>>> {
    queue: Q,
    time: Nanoseconds,
    /// The item, until it is in the queue or comes back with an error.
    item: Option<T>,
    ticket: Ticket,
    due: Deadline,
    /// It may be in line.
    has_joined: bool,
}

impl<T, Q: Deref<Target = DelayQueue<T>>> Put<T, Q> {
    /// The wait that has not begun. Without an item it was done already, and is not to be polled.
    pub fn new(queue: Q, time: Nanoseconds, item: Option<T>) -> Self {
        Self {
            queue,
            time,
            item,
            ticket: Ticket::next(),
            due: Deadline::NEVER,
            has_joined: false,
        }
    }

    /// The item, unless it was put.
    pub fn item(&self) -> Option<&T> {
        self.item.as_ref()
    }

    fn leave_line(&mut self) {
        if std::mem::take(&mut self.has_joined) {
            self.queue.change(|state, wakes| {
                if state.putters.leave(self.ticket) {
                    state.call_putter(wakes);
                }
            });
        }
    }
}

impl<T: Send + 'static, Q: Deref<Target = DelayQueue<T>>> Operation for Put<T, Q> {
    /// The error is never `Full`.
    type Output = Result<Key, PutError<T>>;

    /// Others wait behind it.
    const KEEPS: bool = false;

    fn due(&self) -> Deadline {
        self.due
    }

    fn stays(&self) -> bool {
        self.has_joined
    }

    fn resource(&self) -> Resource {
        Resource::owned("room in a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let item = self.item.take()?;
        let now = Instant::now();
        let mut entered = self.queue.state.enter();
        let (state, wakes) = entered.parts();
        let room_since = state.has_room().then_some(state.room_since);
        let is_thread = waiter.is_thread();
        let turn = (state.putters).turn(Some(self.ticket), is_thread, now, |()| room_since);
        let output = if state.shut_down {
            Err(PutError::ShutDown(item))
        } else if room_since.is_some() && turn == Turn::Mine {
            Ok(state.insert(self.time, item, wakes))
        } else {
            self.due = match turn {
                Turn::MineAt(moment) => Deadline::at(moment),
                Turn::Mine | Turn::Behind => Deadline::NEVER,
            };
            self.item = Some(item);
            state.putters.join(self.ticket, waiter, (), now);
            self.has_joined = true;
            return None;
        };
        state.putters.leave(self.ticket);
        state.call_putter(wakes);
        self.has_joined = false;
        Some(output)
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        if parked != Parked::Unparked {
            self.leave_line();
        }
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.leave_line();
        None
    }
}

impl<T, Q: Deref<Target = DelayQueue<T>>> Drop for Put<T, Q> {
    fn drop(&mut self) {
        self.leave_line();
    }
}

/// A wait for the last task.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Join<Q> {
    queue: Q,
    ticket: Ticket,
}

impl<Q> Join<Q> {
    /// The wait that has not begun.
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            ticket: Ticket::next(),
        }
    }
}

impl<T: Send + 'static, Q: Deref<Target = DelayQueue<T>>> Operation for Join<Q> {
    type Output = ();

    fn resource(&self) -> Resource {
        Resource::owned("end of the work of a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut state = self.queue.state.enter();
        if state.unfinished <= 0 {
            return Some(());
        }
        state.joiners.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        match self.queue.state.enter().joiners.leave(self.ticket) {
            Some(()) => None,
            None => Some(()),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
