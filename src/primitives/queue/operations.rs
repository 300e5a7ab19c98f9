//! The waits of a queue. In each, being taken out of the list by another thread is completion, or
//! in a heap, the promise of it; being woken inside it means to look again.

use super::super::Retired;
use super::super::sync::Arc;
use super::super::waiter::{Operation, Parked, Ticket, Waiter};
use super::{GetError, Item, NotEntered, NotTaken, Order, PutError, Queue};

/// A thread's wait for an item.
pub struct Get<'a, T> {
    queue: &'a Queue<T>,
    ticket: Ticket,
}

impl<'a, T> Get<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>) -> Self {
        Self {
            queue,
            ticket: Ticket::next(),
        }
    }
}

impl<T: Item> Operation for Get<'_, T> {
    /// The error is never `Empty`.
    type Output = Result<T, GetError<T::Error>>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        match self.queue.take(false) {
            Ok(item) => Some(Ok(item)),
            Err(NotTaken::Refused(error)) => Some(Err(error)),
            Err(NotTaken::Empty(mut state)) => {
                state.getters.join(self.ticket, waiter, ());
                None
            }
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        if self.queue.state().getters.leave(self.ticket).is_some() {
            return None;
        }
        // Granted. If the grant turns out to be void, the next attempt tells why.
        match self.queue.take(true) {
            Ok(item) => Some(Ok(item)),
            Err(NotTaken::Refused(error)) => Some(Err(error)),
            Err(NotTaken::Empty(_)) => None,
        }
    }
}

/// A thread's wait for room.
pub struct Put<'a, T> {
    queue: &'a Queue<T>,
    ticket: Ticket,
    /// Here while it is not in the queue's list; all the time, if the queue is a heap.
    item: Option<T>,
}

impl<'a, T> Put<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>, item: T) -> Self {
        Self {
            queue,
            ticket: Ticket::next(),
            item: Some(item),
        }
    }

    /// The item that was not taken in, after a wait that was not completed.
    pub fn into_item(self) -> Option<T> {
        self.item
    }
}

impl<T: Item> Operation for Put<'_, T> {
    /// The error is never `Full`.
    type Output = Result<(), PutError<T, T::Error>>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        match self.queue.enter(self.item.take()?, false) {
            Ok(()) => Some(Ok(())),
            Err(NotEntered::Refused(error)) => Some(Err(error)),
            Err(NotEntered::Full(item, mut state)) => {
                let brought = if state.items.order() == Order::Heap {
                    self.item = Some(item);
                    None
                } else {
                    Some(item)
                };
                state.putters.join(self.ticket, waiter, brought);
                None
            }
        }
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let left = self.queue.state().putters.leave(self.ticket);
        if let Some(brought) = left {
            self.item = self.item.take().or(brought);
            return None;
        }
        // The item has been moved in, or there is room for it, at least if nothing happened since.
        let Some(item) = self.item.take() else {
            return Some(Ok(()));
        };
        match self.queue.enter(item, true) {
            Ok(()) => Some(Ok(())),
            Err(NotEntered::Refused(error)) => Some(Err(error)),
            Err(NotEntered::Full(item, _)) => {
                self.item = Some(item);
                None
            }
        }
    }
}

/// A thread's wait for the last task.
pub struct Join<'a, T> {
    queue: &'a Queue<T>,
    ticket: Ticket,
}

impl<'a, T> Join<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>) -> Self {
        Self {
            queue,
            ticket: Ticket::next(),
        }
    }
}

impl<T: Item> Operation for Join<'_, T> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.queue.state();
        if state.retired {
            return Some(Err(Retired));
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
}
