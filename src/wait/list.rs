//! The waiters of an object, in the order in which they came.
//!
//! To complete a wait, a thread takes the waiter out of the list, and for that it must *claim* the waiter.
//! The waiter of a thread that waits for one object can always be claimed. A wait for several objects is in
//! several lists and can be claimed only once. After that, the other lists pass it over; it stays in them
//! until its own thread takes it out.

use std::collections::VecDeque;

use super::fork::generation;
use super::sync::Arc;
use super::{Ticket, Waiter};

/// Waiters in the order of their tickets, each with a payload.
///
/// An empty list is one null pointer.
pub struct WaiterList<P = ()> {
    /// In a box, so that the list takes only eight bytes in each object.
    entries: Option<Box<Entries<P>>>,
}

struct Entries<P> {
    /// The generation when a waiter last joined; then all waiters were of that process. If it is still the
    /// present one, no waiter is from before a fork.
    generation: u32,
    queue: VecDeque<Entry<P>>,
}

impl<P> Default for Entries<P> {
    fn default() -> Self {
        Self {
            generation: generation(),
            queue: VecDeque::new(),
        }
    }
}

struct Entry<P> {
    ticket: Ticket,
    waiter: Arc<Waiter>,
    payload: P,
}

impl<P> Entry<P> {
    fn parts(self) -> (Arc<Waiter>, P) {
        (self.waiter, self.payload)
    }
}

impl<P> WaiterList<P> {
    /// Creates an empty list.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Whether the list is empty. Waiters from before a fork count until the list has passed them over.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// Adds a waiter at the place that its ticket gives it.
    pub fn join(&mut self, ticket: Ticket, waiter: &Arc<Waiter>, payload: P) {
        if (self.entries.as_ref()).is_some_and(|entries| entries.generation != generation()) {
            self.forget_other_processes();
        }
        let entries = &mut self.entries.get_or_insert_default().queue;
        let entry = Entry {
            ticket,
            waiter: Arc::clone(waiter),
            payload,
        };
        match entries.back() {
            Some(last) if last.ticket > ticket => {
                let place = entries.partition_point(|other| other.ticket < ticket);
                entries.insert(place, entry);
            }
            _ => entries.push_back(entry),
        }
    }

    /// Removes the waiter. `None`: another thread has taken it out before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<P> {
        let index = self.index_of(ticket)?;
        self.remove(index).map(|entry| entry.payload)
    }

    /// Takes out the waiter with this ticket, for the caller to wake. `None` if it is not in the list or
    /// cannot be claimed.
    pub fn take(&mut self, ticket: Ticket) -> Option<(Arc<Waiter>, P)> {
        let index = self.index_of(ticket)?;
        let entry = self.entries.as_ref()?.queue.get(index)?;
        if !entry.waiter.claim() {
            return None;
        }
        self.remove(index).map(Entry::parts)
    }

    /// Takes out the first waiter.
    #[inline]
    pub fn pop(&mut self) -> Option<(Arc<Waiter>, P)> {
        self.pop_if(|_| true)
    }

    /// The payload of the first waiter, which may be one from before a fork.
    #[inline]
    pub fn first(&self) -> Option<&P> {
        let entries = self.entries.as_ref()?;
        entries.queue.front().map(|entry| &entry.payload)
    }

    /// Takes out the first waiter if `wanted` accepts its payload.
    pub fn pop_if(&mut self, wanted: impl Fn(&P) -> bool) -> Option<(Arc<Waiter>, P)> {
        let mut index = 0;
        loop {
            let entry = self.entries.as_ref()?.queue.get(index)?;
            if !entry.waiter.is_of_this_process() {
                self.forget(index);
            } else if !wanted(&entry.payload) {
                return None;
            } else if entry.waiter.claim() {
                return self.remove(index).map(Entry::parts);
            } else {
                index += 1;
            }
        }
    }

    /// Takes out the first waiter that is no arm of the same wait as `own`: a wait for several objects does not
    /// complete itself.
    pub fn pop_of_another(&mut self, own: &Waiter) -> Option<(Arc<Waiter>, P)> {
        let mut index = 0;
        loop {
            let entry = self.entries.as_ref()?.queue.get(index)?;
            if !entry.waiter.is_of_this_process() {
                self.forget(index);
            } else if !entry.waiter.is_of_same_wait(own) && entry.waiter.claim() {
                return self.remove(index).map(Entry::parts);
            } else {
                index += 1;
            }
        }
    }

    /// Takes out the last waiter.
    pub fn pop_last(&mut self) -> Option<(Arc<Waiter>, P)> {
        let mut end = self.entries.as_ref()?.queue.len();
        loop {
            let index = end.checked_sub(1)?;
            let entry = self.entries.as_ref()?.queue.get(index)?;
            if !entry.waiter.is_of_this_process() {
                self.forget(index);
            } else if entry.waiter.claim() {
                return self.remove(index).map(Entry::parts);
            }
            end = index;
        }
    }

    /// Takes out the first waiter whose payload `wanted` accepts.
    pub fn take_first(&mut self, wanted: impl Fn(&P) -> bool) -> Option<(Arc<Waiter>, P)> {
        let queue = &self.entries.as_ref()?.queue;
        let index = queue.iter().position(|entry| {
            entry.waiter.is_of_this_process() && wanted(&entry.payload) && entry.waiter.claim()
        })?;
        self.remove(index).map(Entry::parts)
    }

    fn index_of(&self, ticket: Ticket) -> Option<usize> {
        let queue = &self.entries.as_ref()?.queue;
        queue
            .binary_search_by_key(&ticket, |entry| entry.ticket)
            .ok()
    }

    #[inline]
    fn remove(&mut self, index: usize) -> Option<Entry<P>> {
        let queue = &mut self.entries.as_mut()?.queue;
        let entry = match index {
            0 => queue.pop_front(),
            _ => queue.remove(index),
        };
        self.release_if_empty();
        entry
    }

    /// Takes out a waiter from before a fork, and leaks its payload. A thread of the parent brought the
    /// payload, and its stack frames are never unwound here either. To drop the payload would run a
    /// destructor under a leaf lock.
    #[cold]
    fn forget(&mut self, index: usize) {
        if let Some(entry) = self.remove(index) {
            std::mem::forget(entry.payload);
        }
    }

    /// Removes all waiters from before a fork, and leaks their payloads.
    pub fn forget_other_processes(&mut self) {
        let Some(entries) = self.entries.as_mut() else {
            return;
        };
        entries.generation = generation();
        for _ in 0..entries.queue.len() {
            if let Some(entry) = entries.queue.pop_front() {
                if entry.waiter.is_of_this_process() {
                    entries.queue.push_back(entry);
                } else {
                    std::mem::forget(entry.payload); // see `forget`
                }
            }
        }
        self.release_if_empty();
    }

    /// Takes out all waiters.
    pub fn drain(&mut self, into: &mut Wakes) {
        while let Some((waiter, _)) = self.pop() {
            into.push(waiter);
        }
    }

    /// Wakes all waiters in place: they stay in the list, and look again.
    pub fn wake_in_place(&self, into: &mut Wakes) {
        self.wake_in_place_where(into, false, |_| true);
    }

    /// Wakes in place the waiters whose payload `applies`, or only the first of them.
    pub fn wake_in_place_where(
        &self,
        into: &mut Wakes,
        only_first: bool,
        applies: impl Fn(&P) -> bool,
    ) {
        let chosen = self
            .of_this_process()
            .filter(|entry| applies(&entry.payload));
        for entry in chosen.take(if only_first { 1 } else { usize::MAX }) {
            into.push(Arc::clone(&entry.waiter));
        }
    }

    /// Tells all waiters whether the object is ready. It matters to those that only watch it.
    #[cold]
    pub fn tell(&self, ready: bool) {
        for entry in self.of_this_process() {
            entry.waiter.tell(ready);
        }
    }

    /// Tells each waiter what `ready` says of its payload. It matters to those that only watch the object.
    #[inline]
    pub fn tell_each(&self, ready: impl Fn(&P) -> bool) {
        for entry in self.of_this_process() {
            entry.waiter.tell(ready(&entry.payload));
        }
    }

    /// The number of waiters, without those from before a fork.
    pub fn len(&self) -> usize {
        match &self.entries {
            None => 0,
            Some(entries) if entries.generation == generation() => entries.queue.len(),
            Some(_) => self.of_this_process().count(),
        }
    }

    /// The tickets of the waiters, in order.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.of_this_process().map(|entry| entry.ticket).collect()
    }

    /// Whether the waiter with this ticket is in the list.
    pub fn contains(&self, ticket: Ticket) -> bool {
        let entries = self.entries.as_ref();
        entries
            .zip(self.index_of(ticket))
            .and_then(|(entries, index)| entries.queue.get(index))
            .is_some_and(|entry| entry.waiter.is_of_this_process())
    }

    fn of_this_process(&self) -> impl Iterator<Item = &Entry<P>> {
        self.entries
            .iter()
            .flat_map(|entries| entries.queue.iter())
            .filter(|entry| entry.waiter.is_of_this_process())
    }

    /// The payloads of the waiters.
    pub fn payloads(&self) -> impl Iterator<Item = &P> {
        self.entries
            .iter()
            .flat_map(|entries| entries.queue.iter())
            .map(|entry| &entry.payload)
    }

    /// The payloads of the waiters of this process.
    pub fn present_payloads(&self) -> impl Iterator<Item = &P> {
        self.of_this_process().map(|entry| &entry.payload)
    }

    /// The number of bytes that the list has allocated.
    pub fn allocated(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| {
            size_of::<Entries<P>>() + entries.queue.capacity() * size_of::<Entry<P>>()
        })
    }

    fn release_if_empty(&mut self) {
        if self
            .entries
            .as_ref()
            .is_some_and(|entries| entries.queue.is_empty())
        {
            self.entries = None;
        }
    }
}

impl<P> Default for WaiterList<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Waiters to wake once the leaf lock is released, in the order in which they were added. Dropping this wakes
/// them. Declare it before the guard of the leaf lock: the guard is then dropped first, and the lock
/// released.
#[derive(Default)]
#[must_use = "waiters taken out of a list sleep until they are woken"]
pub struct Wakes(Vec<Arc<Waiter>>);

impl Wakes {
    /// Creates a collection without waiters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a waiter.
    pub fn push(&mut self, waiter: Arc<Waiter>) {
        self.0.push(waiter);
    }

    /// Wakes the waiters now. The caller must hold no leaf lock.
    pub fn wake(self) {}
}

impl Drop for Wakes {
    #[inline]
    fn drop(&mut self) {
        // All are woken from the same place.
        let mut place = None;
        for waiter in &self.0 {
            waiter.unpark_from(&mut place);
        }
    }
}
