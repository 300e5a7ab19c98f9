//! What the leaf lock of a queue guards, and how it changes. Nothing in here waits.

use std::collections::VecDeque;

use super::super::waiter::{WaiterList, Wakes, generation};
use super::order::{Item, Items, Order, Place};

pub(super) struct State<T> {
    pub(super) items: Items<T>,
    /// Items that belong to getters which were woken and have not run yet.
    pub(super) granted: usize,
    /// Room in a heap that belongs to putters which were woken and have not run yet.
    pub(super) reserved: usize,
    /// At most this many items; zero or less means any number.
    pub(super) capacity: i64,
    pub(super) unfinished: i64,
    pub(super) shut_down: bool,
    pub(super) retired: bool,
    /// The process that the grants were made in.
    generation: u32,
    pub(super) getters: WaiterList,
    /// With their items; those of a heap keep theirs.
    pub(super) putters: WaiterList<Option<T>>,
    pub(super) joiners: WaiterList,
}

/// Why no item can be taken in.
pub(super) enum Closed {
    Full,
    ShutDown,
    Retired,
}

/// Why no item can be given out.
pub(super) enum Nothing {
    Empty,
    ShutDown,
    Retired,
}

impl<T: Item> State<T> {
    pub(super) fn new(order: Order, capacity: i64) -> Self {
        Self {
            items: Items::new(order),
            granted: 0,
            reserved: 0,
            capacity,
            unfinished: 0,
            shut_down: false,
            retired: false,
            generation: generation(),
            getters: WaiterList::new(),
            putters: WaiterList::new(),
            joiners: WaiterList::new(),
        }
    }

    /// Those that grants were made to before a fork stayed in the parent.
    #[inline]
    pub(super) fn follow_forks(&mut self) {
        if self.generation != generation() {
            self.generation = generation();
            self.granted = 0;
            self.reserved = 0;
        }
    }

    /// How many more items there is room for.
    #[inline]
    fn room(&self) -> usize {
        match usize::try_from(self.capacity) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(capacity) => capacity.saturating_sub(self.items.len() + self.reserved),
        }
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Whether an item may come in now; `holds` says whether room is reserved for it.
    #[inline]
    pub(super) fn admits(&self, holds: bool) -> Result<(), Closed> {
        if self.retired {
            return Err(Closed::Retired);
        }
        if self.shut_down {
            return Err(Closed::ShutDown);
        }
        // A reservation is void if there is no room after all: of a capacity made smaller.
        let reserved = self.reserved.saturating_sub(usize::from(holds));
        let fits = match usize::try_from(self.capacity) {
            Ok(0) | Err(_) => true,
            Ok(capacity) => self.items.len() + reserved < capacity,
        };
        if fits { Ok(()) } else { Err(Closed::Full) }
    }

    /// Whether an item may be had now; `holds` says whether one is granted to who asks.
    #[inline]
    pub(super) fn offers(&self, holds: bool) -> Result<(), Nothing> {
        if self.retired {
            return Err(Nothing::Retired);
        }
        if self.items.len() > self.granted.saturating_sub(usize::from(holds)) {
            return Ok(());
        }
        // What is granted to others is no hope: nothing comes after a shutdown.
        Err(if self.shut_down {
            Nothing::ShutDown
        } else {
            Nothing::Empty
        })
    }

    /// Whether an item that may come in goes to the end, and nobody waits for it.
    #[inline]
    pub(super) fn is_simple_to_put(&self) -> bool {
        self.items.order() != Order::Heap && self.getters.is_empty()
    }

    /// Whether an item that may go out is at an end, and nobody waits for its room.
    #[inline]
    pub(super) fn is_simple_to_get(&self) -> bool {
        self.items.order() != Order::Heap && self.putters.is_empty()
    }

    /// Takes the item in, at the place found for it.
    #[inline]
    pub(super) fn accept(&mut self, item: T, place: Place, wakes: &mut Wakes) {
        self.items.insert(item, place);
        self.unfinished += 1;
        self.grant(wakes);
    }

    /// Gives the next item out; `place` was found for the removal.
    #[inline]
    pub(super) fn give(&mut self, place: Place, wakes: &mut Wakes) -> Option<T> {
        let item = self.items.remove(place);
        self.admit(wakes);
        item
    }

    /// Grants items that nobody has a claim on to those who wait.
    #[inline]
    pub(super) fn grant(&mut self, wakes: &mut Wakes) {
        while self.items.len() > self.granted
            && let Some((getter, ())) = self.getters.pop()
        {
            self.granted += 1;
            wakes.push(getter);
        }
    }

    /// Lets in the items of waiting putters while there is room; those of a heap, which have to
    /// be compared first, are promised the room.
    #[inline]
    pub(super) fn admit(&mut self, wakes: &mut Wakes) {
        // Putters of a queue that was shut down or retired have been woken to hear it, and take
        // their items with them.
        while !self.shut_down && !self.retired && !self.putters.is_empty() && self.has_room() {
            match self.putters.pop() {
                Some((putter, Some(item))) => {
                    self.accept(item, Place::IN_TURN, wakes);
                    wakes.push(putter);
                }
                Some((putter, None)) => {
                    self.reserved += 1;
                    wakes.push(putter);
                }
                None => {}
            }
        }
    }

    /// A getter gives up the item granted to it, which the next may have.
    pub(super) fn renounce_grant(&mut self, wakes: &mut Wakes) {
        self.granted = self.granted.saturating_sub(1);
        if !self.retired {
            self.grant(wakes);
        }
    }

    /// A putter gives up the room reserved for it, which the next may have.
    pub(super) fn renounce_room(&mut self, wakes: &mut Wakes) {
        self.reserved = self.reserved.saturating_sub(1);
        self.admit(wakes);
    }

    pub(super) fn complete_joins(&mut self, wakes: &mut Wakes) {
        if !self.retired && self.unfinished <= 0 {
            self.joiners.drain(wakes);
        }
    }

    /// Takes in as many as there is room for, from the front of `new`; not for a heap.
    pub(super) fn accept_many(&mut self, new: &mut VecDeque<T>, wakes: &mut Wakes) {
        let count = self.room().min(new.len());
        self.items.insert_many(count, new);
        self.unfinished += i64::try_from(count).unwrap_or(i64::MAX);
        self.grant(wakes);
    }

    /// Gives out up to `most` free items; not of a heap.
    pub(super) fn give_many(&mut self, most: usize, taken: &mut VecDeque<T>, wakes: &mut Wakes) {
        let free = self.items.len() - self.granted.min(self.items.len());
        self.items.remove_many(most.min(free), taken);
        self.admit(wakes);
    }
}
