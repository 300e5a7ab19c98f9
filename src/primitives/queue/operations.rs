//! The waits of a queue: for an item, for a look at the next item, for room, for the last task. A getter or putter that is taken out of its list has a chance, or owns an item
//! or room by hand-off; one that is woken in place looks again. A wait for the last task is complete once it
//! is taken out.

use std::any::Any;
use std::ops::Deref;

use super::super::FellBack;
use super::state::{GetRefusal, Grant, Wants};
use super::{GetError, Item, NotInserted, NotTaken, Order, PutError, Queue};
use crate::wait::hand_off::HandOff;
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{Operation, Parked, Ticket, Waiter};

/// What a waiter has that was taken out of its list.
fn grant(hand_off: &HandOff, is_thread: bool) -> Grant {
    if hand_off.is_handed() {
        Grant::Handed
    } else if is_thread {
        Grant::Chance
    } else {
        Grant::ChanceElsewhere
    }
}

/// A thread's wait for an item.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Get<Q> {
    queue: Q,
    hand_off: HandOff,
    /// Whether a thread waits: see [`Grant::ChanceElsewhere`].
    is_thread: bool,
}

impl<Q> Get<Q> {
    /// The wait that has not begun.
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            hand_off: HandOff::new(),
            is_thread: true,
        }
    }

    /// What it waits for.
    pub(in crate::primitives) fn queue(&self) -> &Q {
        &self.queue
    }
}

impl<T: Item + Send + 'static, Q: Deref<Target = Queue<T>>> Operation for Get<Q> {
    /// The error is never `Empty`.
    type Output = Result<T, GetError<T::Error>>;

    /// No other getter is woken as long as this one has not used its chance.
    const KEEPS: bool = false;

    fn may_call_out(&self) -> bool {
        self.queue.order() == Order::Heap
    }

    fn calls_out(&self) -> bool {
        self.queue.get_compares()
    }

    fn resource(&self) -> Resource {
        Resource::owned("item of a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        match self.queue.take(self.queue.state(), Grant::None) {
            Ok(item) => Some(Ok(item)),
            Err(NotTaken::Refused(error)) => Some(Err(error)),
            Err(NotTaken::Empty(mut state)) => {
                self.is_thread = waiter.is_thread();
                let handed = self.hand_off.join(waiter);
                (state.getters.waiters).join(
                    self.hand_off.ticket(),
                    waiter,
                    Wants::to_take(handed),
                );
                None
            }
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.queue.state();
        if (state.getters.waiters.leave(self.hand_off.ticket())).is_some() {
            return None;
        }
        // Whatever ended the sleep: the thread that took this waiter out has woken no other for the item.
        let grant = grant(&self.hand_off, self.is_thread);
        state.getters.arrive(grant);
        match self.queue.take(state, grant) {
            Ok(item) => Some(Ok(item)),
            Err(NotTaken::Refused(error)) => Some(Err(error)),
            Err(NotTaken::Empty(_)) => {
                self.hand_off.lose();
                None
            }
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // The item is still in the queue, for the next getter. That counts as a lost race: where signals may be
        // pending after every sleep, the wait uses no chance and could otherwise lose for ever.
        self.queue.change(|state, wakes| {
            if (state.getters.waiters.leave(self.hand_off.ticket())).is_none() {
                let grant = grant(&self.hand_off, self.is_thread);
                state.getters.give_back(grant);
                state.settle(grant, wakes);
                self.hand_off.lose();
                if !state.fallen_back {
                    state.wake_getters(wakes);
                }
            }
        });
        None
    }
}

/// A thread's wait for a look at the next item.
///
/// It stands among the getters by its ticket, but takes nothing. Whoever puts an item wakes it in its turn, and the getters
/// behind it as if it were not there: so no getter depends on it.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Peek<Q> {
    queue: Q,
    ticket: Ticket,
}

impl<Q> Peek<Q> {
    /// The wait that has not begun.
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            ticket: Ticket::next(),
        }
    }
}

impl<T: Item + Send + 'static, Q: Deref<Target = Queue<T>>> Operation for Peek<Q> {
    /// The error is never `Empty`.
    type Output = Result<T, GetError<T::Error>>;

    fn resource(&self) -> Resource {
        Resource::owned("item of a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.queue.state();
        match state.look() {
            Ok(item) => Some(Ok(item)),
            Err(GetRefusal::Empty) => {
                (state.getters.waiters).join(self.ticket, waiter, Wants::Look);
                None
            }
            Err(refusal) => Some(Err(refusal.into())),
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.queue.state();
        if state.getters.waiters.leave(self.ticket).is_some() {
            return None;
        }
        // An item was there. If another thread has taken it since, this one waits on.
        match state.look() {
            Ok(item) => Some(Ok(item)),
            Err(GetRefusal::Empty) => None,
            Err(refusal) => Some(Err(refusal.into())),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // It was given nothing.
        self.queue.state().getters.waiters.leave(self.ticket);
        None
    }
}

/// A thread's wait for room.
///
/// `Q`: a reference to the queue, or whatever else keeps it alive.
pub struct Put<Q, T> {
    queue: Q,
    hand_off: HandOff,
    /// Whether a thread waits: see [`Grant::ChanceElsewhere`].
    is_thread: bool,
    /// The item, until it is in the queue or comes back with an error.
    item: Option<T>,
}

impl<Q, T> Put<Q, T> {
    /// The wait that has not begun.
    pub fn new(queue: Q, item: T) -> Self {
        Self {
            queue,
            hand_off: HandOff::new(),
            is_thread: true,
            item: Some(item),
        }
    }

    /// The wait that has not begun, with an item that may have been put already. Then it is not to be polled.
    pub fn of(queue: Q, item: Option<T>) -> Self {
        Self {
            queue,
            hand_off: HandOff::new(),
            is_thread: true,
            item,
        }
    }

    /// What it waits for.
    pub(in crate::primitives) fn queue(&self) -> &Q {
        &self.queue
    }

    /// The item, unless it was put.
    pub fn item(&self) -> Option<&T> {
        self.item.as_ref()
    }

    /// Returns the item, if the wait was not completed.
    pub fn into_item(self) -> Option<T> {
        self.item
    }
}

impl<T: Item + Send + 'static, Q: Deref<Target = Queue<T>>> Operation for Put<Q, T> {
    /// The error is never `Full`.
    type Output = Result<(), PutError<T, T::Error>>;

    /// As for [`Get`].
    const KEEPS: bool = false;

    fn may_call_out(&self) -> bool {
        self.queue.order() == Order::Heap
    }

    fn calls_out(&self) -> bool {
        self.queue.put_compares()
    }

    fn offer(&self) -> Option<&dyn Any> {
        self.item().map(|item| item as &dyn Any)
    }

    fn resource(&self) -> Resource {
        Resource::owned("room in a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let item = self.item.take()?;
        match self.queue.insert(self.queue.state(), item, Grant::None) {
            Ok(()) => Some(Ok(())),
            Err(NotInserted::Refused(error)) => Some(Err(error)),
            Err(NotInserted::Full(item, mut state)) => {
                self.item = Some(item);
                self.is_thread = waiter.is_thread();
                let handed = self.hand_off.join(waiter);
                (state.putters.waiters).join(
                    self.hand_off.ticket(),
                    waiter,
                    Wants::to_take(handed),
                );
                None
            }
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.queue.state();
        if (state.putters.waiters.leave(self.hand_off.ticket())).is_some() {
            return None;
        }
        // As for `Get`.
        let grant = grant(&self.hand_off, self.is_thread);
        state.putters.arrive(grant);
        match self.queue.insert(state, self.item.take()?, grant) {
            Ok(()) => Some(Ok(())),
            Err(NotInserted::Refused(error)) => Some(Err(error)),
            Err(NotInserted::Full(item, _)) => {
                self.item = Some(item);
                self.hand_off.lose();
                None
            }
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // The item has not entered the queue; the room is for the next putter. It counts as lost, as for `Get`.
        self.queue.change(|state, wakes| {
            if (state.putters.waiters.leave(self.hand_off.ticket())).is_none() {
                state
                    .putters
                    .give_back(grant(&self.hand_off, self.is_thread));
                self.hand_off.lose();
                if !state.fallen_back {
                    state.wake_putters(wakes);
                }
            }
        });
        None
    }
}

/// A thread's wait for the last task.
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

impl<T: Item + Send + 'static, Q: Deref<Target = Queue<T>>> Operation for Join<Q> {
    type Output = Result<(), FellBack>;

    fn resource(&self) -> Resource {
        Resource::owned("end of the work of a queue", &*self.queue)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.queue.state();
        if state.fallen_back {
            return Some(Err(FellBack));
        }
        if state.unfinished <= 0 {
            return Some(Ok(()));
        }
        state.joiners.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        match self.queue.state().joiners.leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
