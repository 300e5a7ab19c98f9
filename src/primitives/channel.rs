//! Channels: one thread sends items, another one receives them, and either can close the channel.
//!
//! * A channel with room is a [`Queue`] that can be closed, with a choice of what a full one does ([`OnFull`]).
//! * A channel without room is a *rendezvous*: an item goes from the sender to the receiver, and is in the channel at no
//!   time.
//!
//! # The rendezvous
//!
//! A sender that waits stands in a list, with its item. It wakes a receiver, which has a *chance*: it takes the sender that
//! has waited longest out of the list, and its item. So only a thread that runs, and is about to return the item, completes
//! the two waits. If the receiver gives up instead, the item is still the sender's, and the next receiver is woken. If the
//! channel is closed meanwhile, the item stays with the sender, too.
//!
//! So this holds: if a sender is in the list and a receiver of another wait is in its list, then a receiver is on its way.
//!
//! The receiver claims the sender before it takes the item. That cannot be undone, so a sender is [final](
//! Operation::is_final). A receiver claims nothing for itself: it has been claimed when it was woken, or it attempts its
//! work before anything final of the same wait is in a list.
//!
//! A sender that does not wait ([`Channel::try_send`]) hands its item to a receiver that does. If that receiver gives up
//! at that very moment, the item stays in the channel for the next one, also after the end.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::{self, GetError, Item, PutError, Queue};
use crate::wait::observe::{Owned, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{
    self, Entered, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// What a send does that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// It waits.
    Block,
    /// It fails.
    Raise,
    /// It takes the place of the item that has been there longest.
    DropOldest,
    /// Its item is dropped.
    DropNewest,
}

/// Why an item was not sent. It comes back in the error.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError<T> {
    /// There is no room, or nobody waits to receive.
    Full(T),
    /// The channel was closed.
    Closed(T),
}

/// Why no item was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    /// There is no item.
    Empty,
    /// There is no item, and the channel was closed.
    Closed,
}

/// A channel of `T`.
///
/// It may be [made](Channel::make) later than it comes into being. Its address does not change, for observers.
pub struct Channel<T> {
    made: OnceLock<Made<T>>,
    /// How many items were dropped because there was no room.
    dropped: AtomicU64,
}

struct Made<T> {
    inner: Inner<T>,
    capacity: Option<usize>,
    on_full: OnFull,
}

enum Inner<T> {
    Buffered(Queue<T>),
    Rendezvous(Monitor<Meeting<T>>),
}

/// Those who wait for each other.
struct Meeting<T> {
    /// The senders, each with a handle to its item.
    senders: WaiterList<T>,
    receivers: WaiterList,
    /// See [`Channel::watch`].
    watchers: WaiterList,
    /// Items that were handed to receivers, and that these have not taken yet.
    handed: VecDeque<T>,
    closed: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

impl<T> wait::State for Meeting<T> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.senders.forget_other_processes();
        self.receivers.forget_other_processes();
        self.watchers.forget_other_processes();
    }
}

impl<T> Meeting<T> {
    fn new() -> Self {
        Self {
            senders: WaiterList::new(),
            receivers: WaiterList::new(),
            watchers: WaiterList::new(),
            handed: VecDeque::new(),
            closed: false,
            generation: generation(),
        }
    }

    /// Whether a receive would not wait.
    fn is_ready(&self) -> bool {
        self.closed || !self.handed.is_empty() || !self.senders.is_empty()
    }

    /// Tells those who watch, if there are any.
    fn tell_watchers(&self) {
        if !self.watchers.is_empty() {
            self.watchers.tell(self.is_ready());
        }
    }

    /// Takes an item: one that was handed to a receiver, or that of the sender that has waited longest.
    fn take(&mut self, wakes: &mut Wakes) -> Result<T, ReceiveError> {
        let taken = if let Some(item) = self.handed.pop_front() {
            Ok(item)
        } else if self.closed {
            // The items of senders that wait are theirs.
            Err(ReceiveError::Closed)
        } else if let Some((sender, item)) = self.senders.pop() {
            wakes.push(sender);
            Ok(item)
        } else {
            return Err(ReceiveError::Empty);
        };
        self.tell_watchers();
        taken
    }

    /// Hands the item to a receiver that waits.
    fn hand(&mut self, item: T, wakes: &mut Wakes) -> Result<(), SendError<T>> {
        if self.closed {
            return Err(SendError::Closed(item));
        }
        let Some((receiver, ())) = self.receivers.pop() else {
            return Err(SendError::Full(item));
        };
        wakes.push(receiver);
        self.handed.push_back(item);
        self.tell_watchers();
        Ok(())
    }

    /// A receiver that was woken takes nothing: the next one may.
    fn pass_on(&mut self, wakes: &mut Wakes) {
        if self.is_ready()
            && !self.closed
            && let Some((receiver, ())) = self.receivers.pop()
        {
            wakes.push(receiver);
        }
    }

    fn close(&mut self, wakes: &mut Wakes) {
        self.closed = true;
        self.senders.wake_in_place(wakes);
        self.receivers.wake_in_place(wakes);
        self.tell_watchers();
    }
}

/// No thread has a channel; but it can be asked for its length.
impl<T: Item + Send + 'static> Owned for Channel<T> {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

impl<T: Item> Made<T> {
    fn new(capacity: Option<usize>, on_full: OnFull) -> Self {
        let limit = capacity.map_or(0, |capacity| i64::try_from(capacity).unwrap_or(0));
        Self {
            inner: if capacity == Some(0) {
                Inner::Rendezvous(Monitor::new(Meeting::new()))
            } else {
                Inner::Buffered(Queue::with_settled_end(limit))
            },
            capacity,
            on_full,
        }
    }
}

impl<T: Item + 'static> Channel<T> {
    /// Creates an empty channel. It allocates nothing for the capacity, however large.
    ///
    /// `capacity`: how many items it holds; `Some(0)` makes a rendezvous, and `None` means no limit.
    pub fn new(capacity: Option<usize>, on_full: OnFull) -> Self {
        let channel = Self::unmade();
        channel.make(capacity, on_full);
        channel
    }

    /// One that is made later. If it is used before, it is a rendezvous that blocks.
    pub const fn unmade() -> Self {
        Self {
            made: OnceLock::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Makes it, as [`Channel::new`] does. Returns whether it was not made before.
    pub fn make(&self, capacity: Option<usize>, on_full: OnFull) -> bool {
        self.made.set(Made::new(capacity, on_full)).is_ok()
    }

    #[inline]
    fn made(&self) -> &Made<T> {
        self.made.get_or_init(|| Made::new(Some(0), OnFull::Block))
    }

    /// How many items it holds. `None`: there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        self.made().capacity
    }

    /// What a send does that finds no room.
    pub fn on_full(&self) -> OnFull {
        self.made().on_full
    }

    /// How many items were dropped because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of items in it.
    pub fn len(&self) -> usize {
        match &self.made().inner {
            Inner::Buffered(queue) => queue.len(),
            Inner::Rendezvous(meeting) => meeting.enter().handed.len(),
        }
    }

    /// Whether it has no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        match &self.made().inner {
            Inner::Buffered(queue) => queue.is_shut_down(),
            Inner::Rendezvous(meeting) => meeting.enter().closed,
        }
    }

    /// Closes it. Sends that wait end with their items; receives end when no item is left.
    pub fn close(&self) {
        match &self.made().inner {
            Inner::Buffered(queue) => drop(queue.shut_down(false)),
            Inner::Rendezvous(meeting) => {
                let mut meeting = meeting.enter();
                let (state, wakes) = meeting.parts();
                state.close(wakes);
            }
        }
    }

    /// Sends the item without a wait. Returns the item that was dropped instead of it, or because of it.
    ///
    /// # Errors
    /// The [`SendError`] that applies. A full channel is one only for [`OnFull::Block`] and [`OnFull::Raise`].
    #[inline]
    pub fn try_send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        let sent = match &self.made().inner {
            Inner::Buffered(queue) => queue.try_put(item).map_err(put_error),
            Inner::Rendezvous(meeting) => {
                let mut meeting = meeting.enter();
                let (state, wakes) = meeting.parts();
                state.hand(item, wakes)
            }
        };
        match sent {
            Ok(()) => Ok(None),
            Err(SendError::Full(item)) => self.send_over(item),
            Err(error) => Err(error),
        }
    }

    /// As [`Channel::try_send`], but for a rendezvous that blocks: whoever waits to send there waits until the item was
    /// received, so nothing is sent, and the error is `Full`.
    ///
    /// # Errors
    /// The [`SendError`] that applies.
    #[inline]
    pub fn try_send_if_kept(&self, item: T) -> Result<Option<T>, SendError<T>> {
        match &self.made().inner {
            Inner::Rendezvous(meeting) if self.made().on_full == OnFull::Block => {
                if meeting.enter().closed {
                    Err(SendError::Closed(item))
                } else {
                    Err(SendError::Full(item))
                }
            }
            _ => self.try_send(item),
        }
    }

    /// What becomes of an item for which there is no room.
    #[cold]
    fn send_over(&self, item: T) -> Result<Option<T>, SendError<T>> {
        match (self.made().on_full, &self.made().inner) {
            (OnFull::Block | OnFull::Raise, _) => Err(SendError::Full(item)),
            (OnFull::DropOldest, Inner::Buffered(queue)) => {
                let dropped = queue.put_over_oldest(item).map_err(put_error)?;
                if dropped.is_some() {
                    self.count_dropped();
                }
                Ok(dropped)
            }
            // In a rendezvous there is no older one.
            (OnFull::DropOldest | OnFull::DropNewest, _) => {
                self.count_dropped();
                Ok(Some(item))
            }
        }
    }

    /// Receives an item without a wait.
    ///
    /// # Errors
    /// The [`ReceiveError`] that applies.
    #[inline]
    pub fn try_receive(&self) -> Result<T, ReceiveError> {
        match &self.made().inner {
            Inner::Buffered(queue) => queue.try_get().map_err(get_error),
            Inner::Rendezvous(meeting) => {
                let mut meeting = meeting.enter();
                let (state, wakes) = meeting.parts();
                state.take(wakes)
            }
        }
    }

    /// The operation that waits until the item is sent.
    pub fn send(&self, item: T) -> Sending<&Self, T> {
        Sending::new(self, item)
    }

    /// The operation that waits for an item.
    pub fn receive(&self) -> Receiving<&Self, T> {
        Receiving::new(self)
    }

    /// From now on `watcher` is told whether a receive would not wait, as by [`Queue::watch`].
    pub fn watch(&self, ticket: Ticket, watcher: &Arc<Waiter>) {
        match &self.made().inner {
            Inner::Buffered(queue) => drop(queue.watch(ticket, watcher)),
            Inner::Rendezvous(meeting) => {
                let mut meeting = meeting.enter();
                meeting.watchers.join(ticket, watcher, ());
                meeting.tell_watchers();
            }
        }
    }

    /// Ends what [`Channel::watch`] began.
    pub fn unwatch(&self, ticket: Ticket) {
        match &self.made().inner {
            Inner::Buffered(queue) => queue.unwatch(ticket),
            Inner::Rendezvous(meeting) => {
                meeting.enter().watchers.leave(ticket);
            }
        }
    }

    /// Takes all items out and wakes nobody: for the garbage collector.
    pub fn take_items(&self) -> VecDeque<T> {
        match self.made.get().map(|made| &made.inner) {
            None => VecDeque::new(),
            Some(Inner::Buffered(queue)) => queue.take_items(),
            Some(Inner::Rendezvous(meeting)) => std::mem::take(&mut meeting.enter().handed),
        }
    }

    /// Calls `visit` with each item until it fails, and with those of the senders of a rendezvous. `visit` runs under the
    /// leaf lock and must keep its rules.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        match self.made.get().map(|made| &made.inner) {
            None => Ok(()),
            Some(Inner::Buffered(queue)) => queue.try_for_each(visit),
            Some(Inner::Rendezvous(meeting)) => {
                let state = meeting.enter_unchecked();
                (state.handed.iter())
                    .chain(state.senders.payloads())
                    .try_for_each(&mut visit)
            }
        }
    }

    /// The number of bytes that items and waiters take, in addition to the channel itself.
    pub fn allocated(&self) -> usize {
        match &self.made().inner {
            Inner::Buffered(queue) => queue.allocated(),
            Inner::Rendezvous(meeting) => {
                let state = meeting.enter();
                state.handed.capacity() * size_of::<T>()
                    + state.senders.allocated()
                    + state.receivers.allocated()
            }
        }
    }

    fn meeting(&self) -> Option<Entered<'_, Meeting<T>>> {
        match &self.made().inner {
            Inner::Buffered(_) => None,
            Inner::Rendezvous(meeting) => Some(meeting.enter()),
        }
    }

    fn is_rendezvous(&self) -> bool {
        matches!(self.made().inner, Inner::Rendezvous(_))
    }
}

/// A channel has no order that compares items, and falls back to nothing.
fn put_error<T, E>(error: PutError<T, E>) -> SendError<T> {
    match error {
        PutError::Full(item) => SendError::Full(item),
        PutError::ShutDown(item) | PutError::FellBack(item) | PutError::Comparison(item, _) => {
            SendError::Closed(item)
        }
    }
}

fn get_error<E>(error: GetError<E>) -> ReceiveError {
    match error {
        GetError::Empty => ReceiveError::Empty,
        GetError::ShutDown | GetError::FellBack | GetError::Comparison(_) => ReceiveError::Closed,
    }
}

/// The queue of a channel with room.
struct Buffer<C>(C);

impl<T: Item + 'static, C: Deref<Target = Channel<T>>> Deref for Buffer<C> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        match &self.0.made().inner {
            Inner::Buffered(queue) => queue,
            Inner::Rendezvous(_) => unreachable!("the operation was made for a queue"),
        }
    }
}

/// A thread's wait until its item is sent.
///
/// `C`: a reference to the channel, or whatever else keeps it alive.
pub struct Sending<C, T>(Way<C, T>);

enum Way<C, T> {
    /// To wait for room.
    Room(queue::Put<Buffer<C>, T>),
    /// To wait for a receiver. The item is there until it was received.
    Receiver {
        channel: C,
        ticket: Ticket,
        item: Option<T>,
    },
    /// Not to wait.
    Now { channel: C, item: Option<T> },
}

impl<T: Item + 'static, C: Deref<Target = Channel<T>>> Sending<C, T> {
    /// The wait that has not begun.
    pub fn new(channel: C, item: T) -> Self {
        Self::of(channel, Some(item))
    }

    /// The wait that has not begun, with an item that may have been sent already. Then it is not to be polled.
    pub fn of(channel: C, item: Option<T>) -> Self {
        Self(match (channel.made().on_full, &channel.made().inner) {
            (OnFull::Block, Inner::Buffered(_)) => Way::Room(queue::Put::of(Buffer(channel), item)),
            (OnFull::Block, Inner::Rendezvous(_)) => Way::Receiver {
                channel,
                ticket: Ticket::next(),
                item,
            },
            _ => Way::Now { channel, item },
        })
    }

    /// The item, unless it was sent.
    pub fn item(&self) -> Option<&T> {
        match &self.0 {
            Way::Room(put) => put.item(),
            Way::Receiver { item, .. } | Way::Now { item, .. } => item.as_ref(),
        }
    }

    /// Leaves the list of senders. `Some`: the item was received.
    fn leave_receivers(&mut self) -> Option<Result<Option<T>, SendError<T>>> {
        let Way::Receiver {
            channel,
            ticket,
            item,
        } = &mut self.0
        else {
            return None;
        };
        let mut meeting = channel.meeting()?;
        let left = meeting.senders.leave(*ticket);
        meeting.tell_watchers();
        // `left` is another handle to the item, so no item is dropped before the leaf lock is released.
        drop(meeting);
        if left.is_none() {
            drop(item.take());
            return Some(Ok(None));
        }
        None
    }
}

impl<T: Item + Send + 'static, C: Deref<Target = Channel<T>>> Operation for Sending<C, T> {
    /// See [`Channel::try_send`]. The error is `Full` only if the channel does not block.
    type Output = Result<Option<T>, SendError<T>>;

    /// As for `Put` of a queue.
    const KEEPS: bool = false;

    fn is_final(&self) -> bool {
        matches!(self.0, Way::Receiver { .. })
    }

    fn offer(&self) -> Option<&dyn Any> {
        self.item().map(|item| item as &dyn Any)
    }

    fn resource(&self) -> Resource {
        match &self.0 {
            Way::Room(put) => Resource {
                what: "room in a channel",
                ..Resource::owned("", &*put.queue().0)
            },
            Way::Receiver { channel, .. } | Way::Now { channel, .. } => {
                Resource::owned("room in a channel", &**channel)
            }
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        match &mut self.0 {
            Way::Room(put) => Operation::attempt(put, waiter).map(sent),
            Way::Now { channel, item } => Some(channel.try_send(item.take()?)),
            Way::Receiver {
                channel,
                ticket,
                item,
            } => {
                let mut meeting = channel.meeting()?;
                let (state, wakes) = meeting.parts();
                // Not if another arm of the same wait has taken effect.
                if state.closed && waiter.claim_own() {
                    drop(meeting);
                    return Some(Err(SendError::Closed(item.take()?)));
                }
                (state.senders).join(*ticket, waiter, item.as_ref()?.share());
                if let Some((receiver, ())) = state.receivers.pop_of_another(waiter) {
                    wakes.push(receiver);
                }
                state.tell_watchers();
                None
            }
        }
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        match &mut self.0 {
            Way::Room(put) => Operation::leave(put, parked).map(sent),
            _ => self.leave_receivers(),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        match &mut self.0 {
            Way::Room(put) => Operation::abandon(put).map(sent),
            // What was received cannot be taken back.
            _ => self.leave_receivers(),
        }
    }
}

fn sent<T, E>(put: Result<(), PutError<T, E>>) -> Result<Option<T>, SendError<T>> {
    put.map(|()| None).map_err(put_error)
}

/// A thread's wait for an item.
///
/// `C`: a reference to the channel, or whatever else keeps it alive.
pub struct Receiving<C, T>(Origin<C>, std::marker::PhantomData<fn() -> T>);

enum Origin<C> {
    Queue(queue::Get<Buffer<C>>),
    Sender { channel: C, ticket: Ticket },
}

impl<T: Item + 'static, C: Deref<Target = Channel<T>>> Receiving<C, T> {
    /// The wait that has not begun.
    pub fn new(channel: C) -> Self {
        let from = if channel.is_rendezvous() {
            Origin::Sender {
                channel,
                ticket: Ticket::next(),
            }
        } else {
            Origin::Queue(queue::Get::new(Buffer(channel)))
        };
        Self(from, std::marker::PhantomData)
    }
}

impl<T: Item + Send + 'static, C: Deref<Target = Channel<T>>> Operation for Receiving<C, T> {
    /// The error is never `Empty`.
    type Output = Result<T, ReceiveError>;

    /// As long as a woken receiver has not looked, no other one is woken for the item.
    const KEEPS: bool = false;

    fn resource(&self) -> Resource {
        match &self.0 {
            Origin::Queue(get) => Resource::owned("item of a channel", &*get.queue().0),
            Origin::Sender { channel, .. } => Resource::owned("item of a channel", &**channel),
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        match &mut self.0 {
            Origin::Queue(get) => {
                Operation::attempt(get, waiter).map(|taken| taken.map_err(get_error))
            }
            Origin::Sender { channel, ticket } => {
                let mut meeting = channel.meeting()?;
                let (state, wakes) = meeting.parts();
                match state.take(wakes) {
                    Err(ReceiveError::Empty) => {
                        state.receivers.join(*ticket, waiter, ());
                        None
                    }
                    taken => Some(taken),
                }
            }
        }
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        match &mut self.0 {
            Origin::Queue(get) => {
                Operation::leave(get, parked).map(|taken| taken.map_err(get_error))
            }
            Origin::Sender { channel, ticket } => {
                let mut meeting = channel.meeting()?;
                let (state, wakes) = meeting.parts();
                if state.receivers.leave(*ticket).is_some() {
                    return None;
                }
                // Whatever ended the sleep: no other receiver was woken for the item.
                match state.take(wakes) {
                    Err(ReceiveError::Empty) => None,
                    taken => Some(taken),
                }
            }
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        match &mut self.0 {
            Origin::Queue(get) => drop(Operation::abandon(get)),
            Origin::Sender { channel, ticket } => {
                if let Some(mut meeting) = channel.meeting() {
                    let (state, wakes) = meeting.parts();
                    if state.receivers.leave(*ticket).is_none() {
                        state.pass_on(wakes);
                    }
                }
            }
        }
        None
    }
}
