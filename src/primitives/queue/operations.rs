//! The waits of a queue. In each, being taken out of the list by another thread is completion;
//! being woken inside it means to look again.

use super::super::Retired;
use super::super::sync::Arc;
use super::super::waiter::{Operation, Parked, Ticket, Waiter, Wakes};
use super::{GetError, PutError, Queue};

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

impl<T> Operation for Get<'_, T> {
    /// The error is never `Empty`.
    type Output = Result<T, GetError>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut wakes = Wakes::new();
        let mut state = self.queue.state();
        let result = state.get(&mut wakes);
        if matches!(result, Err(GetError::Empty)) {
            state.getters.join(self.ticket, waiter, ());
            return None;
        }
        drop(state);
        wakes.wake();
        Some(result)
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut wakes = Wakes::new();
        let mut state = self.queue.state();
        if state.getters.leave(self.ticket).is_some() {
            return None;
        }
        // Granted. Should the items be gone (taken out at a shutdown, by the collector, with a
        // retired queue), the grant is void and the next attempt tells why.
        state.granted = state.granted.saturating_sub(1);
        let result = state.get(&mut wakes);
        drop(state);
        wakes.wake();
        (!matches!(result, Err(GetError::Empty))).then_some(result)
    }
}

/// A thread's wait for room.
pub struct Put<'a, T> {
    queue: &'a Queue<T>,
    ticket: Ticket,
    /// Here while it is not in the queue's list.
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

impl<T> Operation for Put<'_, T> {
    /// The error is never `Full`.
    type Output = Result<(), PutError<T>>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let item = self.item.take()?;
        let mut wakes = Wakes::new();
        let mut state = self.queue.state();
        let result = state.put(item, &mut wakes);
        if let Err(PutError::Full(item)) = result {
            state.putters.join(self.ticket, waiter, item);
            return None;
        }
        drop(state);
        wakes.wake();
        Some(result)
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        self.item = self.queue.state().putters.leave(self.ticket);
        match self.item {
            Some(_) => None,
            None => Some(Ok(())),
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

impl<T> Operation for Join<'_, T> {
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
