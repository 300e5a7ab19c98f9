//! Broadcasts: each subscriber receives each item that is sent after it has subscribed.
//!
//! The items are in one ring for all, and each subscription has a number of its own: that of the item it receives next. An
//! item knows how many subscriptions have not received it, and leaves the ring when there are none. Those that come later
//! were never counted for it, and all receive in order. So in the ring this count never falls from one item to the next
//! one, and it is the item in front that leaves first.
//!
//! If the ring is full, its front item is one that somebody has not received. [`OnLag`] says what becomes of it.
//!
//! * *Receivers* are all woken by each item, and have a chance. Each looks for an item of its own subscription, and
//!   if two threads share one, both were woken. So a receiver that gives up need not wake another one.
//! * *Senders* that wait for room stand in a list with their items. Whoever makes room moves the item of the first one into
//!   the ring, which completes that wait for good (it is [final](Operation::is_final)). So senders are served in the order
//!   in which they came, and no other one can take the room first.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::channel::SendError;
use super::queue::Item;
use crate::wait::observe::{Owned, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{
    self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// What a send does if the ring is full, because somebody has not received the oldest item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// It drops that item. Who has missed it is told so by an error.
    Raise,
    /// It waits.
    Block,
    /// It drops that item. Who has missed it goes on with the next one, and can ask how many it has missed.
    Drop,
}

/// Why no item was received from a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    /// There is no item.
    Empty,
    /// There is no item, and no other will follow.
    Closed,
    /// So many items were dropped before it received them. The next receive goes on with the oldest that is left.
    Lagged(u64),
}

/// A broadcast of `T`.
///
/// It may be [made](Broadcast::make) later than it comes into being. Its address does not change, for observers.
pub struct Broadcast<T> {
    state: Monitor<State<T>>,
    /// How many items it keeps, and what a send does then.
    limits: OnceLock<(usize, OnLag)>,
}

/// An item in the ring.
struct Sent<T> {
    item: T,
    /// How many subscriptions have not received it.
    unread: usize,
}

/// How far a subscription is.
struct Cursor {
    /// The number of the item that it receives next.
    next: u64,
    /// How many items it has missed.
    missed: u64,
    /// See [`Subscription::watch`].
    watchers: WaiterList,
}

struct State<T> {
    ring: VecDeque<Sent<T>>,
    /// The number of the item in front.
    first: u64,
    cursors: HashMap<u64, Cursor>,
    /// The number of the next subscription.
    next_key: u64,
    /// Those that wait for an item, each with the number of its subscription.
    receivers: WaiterList<u64>,
    /// Those that wait for room, each with a handle to its item.
    senders: WaiterList<T>,
    /// How many watchers there are.
    watchers: usize,
    closed: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

impl<T> wait::State for State<T> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.receivers.forget_other_processes();
        self.senders.forget_other_processes();
        self.watchers = 0;
        for cursor in self.cursors.values_mut() {
            cursor.watchers.forget_other_processes();
        }
    }
}

impl<T: Item> State<T> {
    /// The number of the item that is sent next.
    fn end(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// Puts the item into the ring, which has room. What nobody will receive goes into `unused`.
    fn push(&mut self, item: T, unused: &mut Vec<T>, wakes: &mut Wakes) {
        let unread = self.cursors.len();
        if unread == 0 {
            unused.push(item);
            return;
        }
        self.ring.push_back(Sent { item, unread });
        self.receivers.drain(wakes);
        self.tell_watchers();
    }

    /// Removes the oldest item.
    fn drop_oldest(&mut self, unused: &mut Vec<T>) {
        if let Some(sent) = self.ring.pop_front() {
            self.first += 1;
            unused.push(sent.item);
        }
    }

    /// Removes what everybody has received, and gives its room to senders that wait.
    fn make_room(&mut self, capacity: usize, unused: &mut Vec<T>, wakes: &mut Wakes) {
        while self.ring.front().is_some_and(|sent| sent.unread == 0) {
            self.drop_oldest(unused);
        }
        if self.closed {
            // The items of senders that wait are theirs.
            return;
        }
        while self.ring.len() < capacity
            && let Some((sender, item)) = self.senders.pop()
        {
            wakes.push(sender);
            self.push(item, unused, wakes);
        }
    }

    /// Whether a receive of this subscription would not wait.
    fn is_ready(&self, cursor: &Cursor) -> bool {
        self.closed || cursor.next < self.end()
    }

    /// Tells those who watch, if there are any.
    fn tell_watchers(&self) {
        if self.watchers > 0 {
            for cursor in self.cursors.values() {
                cursor.watchers.tell(self.is_ready(cursor));
            }
        }
    }
}

impl<T: Item> Broadcast<T> {
    /// Creates a broadcast without subscriptions. It allocates nothing for the capacity, however large.
    ///
    /// # Panics
    /// If the capacity is zero.
    pub fn new(capacity: usize, on_lag: OnLag) -> Self {
        let broadcast = Self::unmade();
        broadcast.make(capacity, on_lag);
        broadcast
    }

    /// Makes it, as [`Broadcast::new`] does. Returns whether it was not made before.
    ///
    /// # Panics
    /// If the capacity is zero.
    pub fn make(&self, capacity: usize, on_lag: OnLag) -> bool {
        assert!(capacity > 0, "a ring has room for an item");
        self.limits.set((capacity, on_lag)).is_ok()
    }

    #[inline]
    fn limits(&self) -> (usize, OnLag) {
        *self.limits.get_or_init(|| (1, OnLag::Raise))
    }

    /// One that is made later. If it is used before, it keeps one item, and raises.
    pub fn unmade() -> Self {
        Self {
            state: Monitor::new(State {
                ring: VecDeque::new(),
                first: 0,
                cursors: HashMap::new(),
                next_key: 0,
                receivers: WaiterList::new(),
                senders: WaiterList::new(),
                watchers: 0,
                closed: false,
                generation: generation(),
            }),
            limits: OnceLock::new(),
        }
    }

    /// How many items it keeps for those that have not received them.
    pub fn capacity(&self) -> usize {
        self.limits().0
    }

    /// What a send does if the ring is full.
    pub fn on_lag(&self) -> OnLag {
        self.limits().1
    }

    /// The number of items that somebody has not received.
    pub fn len(&self) -> usize {
        self.state.enter().ring.len()
    }

    /// Whether everybody has received everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.state.enter().cursors.len()
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state.enter().closed
    }

    /// Closes it. Sends that wait end with their items; each subscription ends when it has received what was sent.
    pub fn close(&self) {
        let mut state = self.state.enter();
        let (state, wakes) = state.parts();
        state.closed = true;
        state.senders.wake_in_place(wakes);
        state.receivers.wake_in_place(wakes);
        state.tell_watchers();
    }

    /// Sends the item to all subscriptions, without a wait.
    ///
    /// # Errors
    /// The [`SendError`] that applies. `Full` is one only for [`OnLag::Block`].
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        // Dropped after the leaf lock was released, and after the wakes.
        let mut unused = Vec::new();
        let mut state = self.state.enter();
        let (state, wakes) = state.parts();
        if state.closed {
            return Err(SendError::Closed(item));
        }
        if state.ring.len() >= self.capacity() {
            if self.on_lag() == OnLag::Block {
                return Err(SendError::Full(item));
            }
            state.drop_oldest(&mut unused);
        }
        state.push(item, &mut unused, wakes);
        Ok(())
    }

    /// The operation that waits until the item is sent.
    pub fn send(&self, item: T) -> Sending<&Self, T> {
        Sending::new(self, item)
    }

    /// Takes all items out and wakes nobody: for the garbage collector.
    pub fn take_items(&self) -> Vec<T> {
        let mut state = self.state.enter();
        let mut unused = Vec::new();
        while !state.ring.is_empty() {
            state.drop_oldest(&mut unused);
        }
        unused
    }

    /// Calls `visit` with each item until it fails, and with those of senders that wait. `visit` runs under the leaf lock
    /// and must keep its rules.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn try_for_each<E>(&self, visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        let state = self.state.enter_unchecked();
        let items = state.ring.iter().map(|sent| &sent.item);
        items.chain(state.senders.payloads()).try_for_each(visit)
    }

    /// The number of bytes that items and waiters take, in addition to the broadcast itself.
    pub fn allocated(&self) -> usize {
        let state = self.state.enter();
        state.ring.capacity() * size_of::<Sent<T>>()
            + state.cursors.capacity() * size_of::<(u64, Cursor)>()
            + state.receivers.allocated()
            + state.senders.allocated()
    }
}

/// No thread has a broadcast; but it can be asked for its length.
impl<T: Item + Send + 'static> Owned for Broadcast<T> {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A subscriber's place in a broadcast. Dropped, it is closed.
///
/// `B`: a reference to the broadcast, or whatever else keeps it alive.
pub struct Subscription<T: Item, B: Deref<Target = Broadcast<T>>> {
    broadcast: B,
    key: u64,
    /// Written under the leaf lock.
    closed: AtomicBool,
}

impl<T: Item, B: Deref<Target = Broadcast<T>>> Subscription<T, B> {
    /// Subscribes: it receives all items that are sent from now on.
    pub fn new(broadcast: B) -> Self {
        let mut state = broadcast.state.enter();
        let key = state.next_key;
        state.next_key += 1;
        let cursor = Cursor {
            next: state.end(),
            missed: 0,
            watchers: WaiterList::new(),
        };
        state.cursors.insert(key, cursor);
        drop(state);
        Self {
            broadcast,
            key,
            closed: AtomicBool::new(false),
        }
    }

    /// What it belongs to.
    pub fn broadcast(&self) -> &B {
        &self.broadcast
    }

    /// Whether it was closed. (The broadcast may be closed or not.)
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it. No sender waits for it any more. A second call does nothing.
    pub fn close(&self) {
        let mut unused = Vec::new();
        let mut state = self.broadcast.state.enter();
        let (state, wakes) = state.parts();
        let Some(cursor) = state.cursors.remove(&self.key) else {
            return;
        };
        self.closed.store(true, Ordering::Release);
        cursor.watchers.tell(true);
        // What it has missed is no longer in the ring.
        let received = cursor.next.saturating_sub(state.first);
        let received = usize::try_from(received).unwrap_or(usize::MAX);
        for sent in state.ring.iter_mut().skip(received) {
            sent.unread -= 1;
        }
        let key = self.key;
        (state.receivers).wake_in_place_where(wakes, false, |other| *other == key);
        state.make_room(self.broadcast.capacity(), &mut unused, wakes);
    }

    /// How many items it has missed so far.
    pub fn missed(&self) -> u64 {
        let state = self.broadcast.state.enter();
        (state.cursors.get(&self.key)).map_or(0, |cursor| {
            cursor.missed + state.first.saturating_sub(cursor.next)
        })
    }

    /// The number of items that it may receive now.
    pub fn len(&self) -> usize {
        let state = self.broadcast.state.enter();
        let waiting = (state.cursors.get(&self.key)).map_or(0, |cursor| {
            state.end().saturating_sub(cursor.next.max(state.first))
        });
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing to receive now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Receives an item without a wait.
    ///
    /// # Errors
    /// The [`SubscriptionError`] that applies.
    pub fn try_receive(&self) -> Result<T, SubscriptionError> {
        let mut unused = Vec::new();
        let mut state = self.broadcast.state.enter();
        let (state, wakes) = state.parts();
        self.take(state, &mut unused, wakes)
    }

    /// `state` is that of the broadcast.
    fn take(
        &self,
        state: &mut State<T>,
        unused: &mut Vec<T>,
        wakes: &mut Wakes,
    ) -> Result<T, SubscriptionError> {
        let first = state.first;
        let Some(cursor) = state.cursors.get_mut(&self.key) else {
            return Err(SubscriptionError::Closed);
        };
        if cursor.next < first {
            let missed = first - cursor.next;
            cursor.missed += missed;
            cursor.next = first;
            if self.broadcast.on_lag() == OnLag::Raise {
                return Err(SubscriptionError::Lagged(missed));
            }
        }
        let index = usize::try_from(cursor.next - first).unwrap_or(usize::MAX);
        let Some(sent) = state.ring.get_mut(index) else {
            return Err(if state.closed {
                SubscriptionError::Closed
            } else {
                SubscriptionError::Empty
            });
        };
        cursor.next += 1;
        sent.unread -= 1;
        // The last one need not share it. Then it is in front.
        let is_last = sent.unread == 0 && index == 0;
        let item = if is_last && let Some(sent) = state.ring.pop_front() {
            state.first += 1;
            sent.item
        } else {
            state.ring[index].item.share()
        };
        state.make_room(self.broadcast.capacity(), unused, wakes);
        state.tell_watchers();
        Ok(item)
    }

    /// The operation that waits for an item.
    pub fn receive(&self) -> Receiving<&Self> {
        Receiving::new(self)
    }

    /// From now on `watcher` is told whether a receive would not wait, until [`Subscription::unwatch`] with the same ticket,
    /// which is one of [`Ticket::last`]. It must refuse to be claimed. In a forked child it is forgotten.
    pub fn watch(&self, ticket: Ticket, watcher: &Arc<Waiter>) {
        let mut state = self.broadcast.state.enter();
        let Some(cursor) = state.cursors.get_mut(&self.key) else {
            // It is closed, and stays so.
            watcher.tell(true);
            return;
        };
        cursor.watchers.join(ticket, watcher, ());
        state.watchers += 1;
        state.tell_watchers();
    }

    /// Ends what [`Subscription::watch`] began.
    pub fn unwatch(&self, ticket: Ticket) {
        let mut state = self.broadcast.state.enter();
        let cursor = state.cursors.get_mut(&self.key);
        if cursor.is_some_and(|cursor| cursor.watchers.leave(ticket).is_some()) {
            state.watchers = state.watchers.saturating_sub(1);
        }
    }
}

impl<T: Item, B: Deref<Target = Broadcast<T>>> Drop for Subscription<T, B> {
    fn drop(&mut self) {
        self.close();
    }
}

/// No thread has a subscription; but it can be asked for its length.
impl<T, B> Owned for Subscription<T, B>
where
    T: Item + Send + 'static,
    B: Deref<Target = Broadcast<T>> + Sync + 'static,
{
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A thread's wait until its item is sent.
///
/// `B`: a reference to the broadcast, or whatever else keeps it alive.
pub struct Sending<B, T> {
    broadcast: B,
    ticket: Ticket,
    /// The item, until it is in the ring or comes back with an error.
    item: Option<T>,
}

impl<B, T> Sending<B, T> {
    /// The wait that has not begun.
    pub fn new(broadcast: B, item: T) -> Self {
        Self::of(broadcast, Some(item))
    }

    /// The wait that has not begun, with an item that may have been sent already. Then it is not to be polled.
    pub fn of(broadcast: B, item: Option<T>) -> Self {
        Self {
            broadcast,
            ticket: Ticket::next(),
            item,
        }
    }

    /// The item, unless it was sent.
    pub fn item(&self) -> Option<&T> {
        self.item.as_ref()
    }
}

impl<T: Item + Send + 'static, B: Deref<Target = Broadcast<T>>> Operation for Sending<B, T> {
    /// The error is never `Full`.
    type Output = Result<(), SendError<T>>;

    /// A signal handler may receive from the subscription that this waits for, and so complete it.
    const KEEPS: bool = false;

    fn is_final(&self) -> bool {
        self.broadcast.on_lag() == OnLag::Block
    }

    fn offer(&self) -> Option<&dyn Any> {
        self.item().map(|item| item as &dyn Any)
    }

    fn resource(&self) -> Resource {
        Resource::owned("room in a broadcast", &*self.broadcast)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        if self.broadcast.on_lag() != OnLag::Block {
            return Some(self.broadcast.try_send(self.item.take()?));
        }
        let mut unused = Vec::new();
        let mut state = self.broadcast.state.enter();
        let (state, wakes) = state.parts();
        let has_room = state.ring.len() < self.broadcast.capacity();
        // Not if another arm of the same wait has taken effect.
        if (state.closed || has_room) && waiter.claim_own() {
            let item = self.item.take()?;
            if state.closed {
                return Some(Err(SendError::Closed(item)));
            }
            state.push(item, &mut unused, wakes);
            return Some(Ok(()));
        }
        let item = self.item.as_ref()?.share();
        state.senders.join(self.ticket, waiter, item);
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.broadcast.state.enter();
        let left = state.senders.leave(self.ticket);
        // Before `left`, which is another handle to the item.
        drop(state);
        if left.is_some() {
            return None;
        }
        drop(self.item.take());
        Some(Ok(()))
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // What was sent cannot be taken back.
        self.leave(Parked::Raising)
    }
}

/// A thread's wait for an item.
///
/// `S`: a reference to the subscription, or whatever else keeps it alive.
pub struct Receiving<S> {
    subscription: S,
    ticket: Ticket,
}

impl<S> Receiving<S> {
    /// The wait that has not begun.
    pub fn new(subscription: S) -> Self {
        Self {
            subscription,
            ticket: Ticket::next(),
        }
    }
}

impl<T, B, S> Operation for Receiving<S>
where
    T: Item + Send + 'static,
    B: Deref<Target = Broadcast<T>> + Sync + 'static,
    S: Deref<Target = Subscription<T, B>>,
{
    /// The error is never `Empty`.
    type Output = Result<T, SubscriptionError>;

    /// A signal handler may receive the item.
    const KEEPS: bool = false;

    fn resource(&self) -> Resource {
        Resource::owned("item of a broadcast", &*self.subscription)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut unused = Vec::new();
        let subscription = &*self.subscription;
        let mut state = subscription.broadcast.state.enter();
        let (state, wakes) = state.parts();
        match subscription.take(state, &mut unused, wakes) {
            Err(SubscriptionError::Empty) => {
                state.receivers.join(self.ticket, waiter, subscription.key);
                None
            }
            received => Some(received),
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut unused = Vec::new();
        let subscription = &*self.subscription;
        let mut state = subscription.broadcast.state.enter();
        let (state, wakes) = state.parts();
        if state.receivers.leave(self.ticket).is_some() {
            return None;
        }
        match subscription.take(state, &mut unused, wakes) {
            // Another thread that shares the subscription was faster.
            Err(SubscriptionError::Empty) => None,
            received => Some(received),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // All that wait for this subscription were woken.
        (self.subscription.broadcast.state.enter().receivers).leave(self.ticket);
        None
    }
}
