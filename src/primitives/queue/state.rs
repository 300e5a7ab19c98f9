//! What the leaf lock of a queue guards, and how it changes. Nothing in here waits.

use std::collections::VecDeque;

use super::super::FellBack;
use super::GetError;
use super::order::{Item, Items, Order, Place};
use super::takers::Takers;
use crate::wait::sync::Arc;
use crate::wait::{self, Ticket, Waiter, WaiterList, Wakes, generation, observe};

/// One woken waiter is enough for this many items or places.
///
/// Without a GIL, one waiter is enough for any number: it runs at once and then wakes the next. To wake
/// several costs more than they find left. With a GIL, all woken waiters first wait for the GIL. If there is
/// plenty for each, it is better that they wait for it together: then other load on the machine delays the
/// program less. But in a short queue, a waiter that comes after another mostly finds nothing.
const ITEMS_PER_WAITER: usize = if cfg!(all(feature = "python", not(Py_GIL_DISABLED), not(loom))) {
    16
} else {
    usize::MAX
};

/// What a waiter does with the next item or room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// It tries to take it.
    Chance,
    /// It takes it by hand-off.
    HandOff,
    /// It only looks, and takes nothing. So it is woken in its turn and counts for nothing: those behind it are
    /// woken as if it were not there.
    Look,
}

impl Wants {
    /// `handed`: the answer of [`HandOff::join`](crate::wait::hand_off::HandOff::join).
    pub(super) fn to_take(handed: bool) -> Self {
        if handed { Self::HandOff } else { Self::Chance }
    }
}

/// The waiters on one side of a queue, for items or for room, and what is on its way to them.
///
/// As long as something is free and a waiter is in the list, a waiter is on its way. To keep this true, a
/// thread that frees something wakes a waiter if needed, and a waiter that has tried wakes the next one if
/// something is left.
pub(super) struct Side {
    pub(super) waiters: WaiterList<Wants>,
    /// The number of threads that were woken to try, and have not tried yet.
    trying: u32,
    /// The same for waiters that are no threads. A busy event loop may let them wait for long, so each of them is enough
    /// for one item only: the threads behind them must not wait for that loop.
    trying_elsewhere: u32,
    /// The number of items or places that were handed to waiters and have not been taken yet.
    handed: u32,
}

impl Side {
    fn new() -> Self {
        Self {
            waiters: WaiterList::new(),
            trying: 0,
            trying_elsewhere: 0,
            handed: 0,
        }
    }

    /// Whether something is handed to a waiter.
    #[inline]
    pub(super) fn has_handed(&self) -> bool {
        self.handed > 0
    }

    /// How much is handed to other threads than the one with this grant.
    #[inline]
    fn handed_to_others(&self, grant: Grant) -> usize {
        self.handed
            .saturating_sub(u32::from(grant == Grant::Handed)) as usize
    }

    /// Whether no waiter must be woken, with this many items or places (including the handed ones).
    #[inline]
    pub(super) fn needs_no_wake(&self, there: usize) -> bool {
        match self.waiters.first() {
            None => true,
            Some(wants) => *wants == Wants::Chance && self.enough_are_trying(there),
        }
    }

    /// Whether enough waiters are on their way for this many items or places.
    #[inline]
    fn enough_are_trying(&self, there: usize) -> bool {
        let spoken_for = self.handed as usize + self.trying_elsewhere as usize;
        let free = there.saturating_sub(spoken_for);
        free <= ITEMS_PER_WAITER.saturating_mul(self.trying as usize)
    }

    /// Wakes waiters for this many items or places.
    #[inline(never)]
    fn wake(&mut self, there: usize, wakes: &mut Wakes) {
        while there > self.handed as usize {
            let may_try = !self.enough_are_trying(there);
            let may_go = |wants: &Wants| *wants != Wants::Chance || may_try;
            let Some((waiter, wants)) = self.waiters.pop_if(may_go) else {
                return;
            };
            match wants {
                Wants::Look => {}
                Wants::HandOff => self.handed += 1,
                Wants::Chance if waiter.is_thread() => self.trying += 1,
                Wants::Chance => self.trying_elsewhere += 1,
            }
            wakes.push(waiter);
        }
    }

    /// A waiter that was woken runs.
    #[inline]
    pub(super) fn arrive(&mut self, grant: Grant) {
        match grant {
            Grant::Chance => self.trying = self.trying.saturating_sub(1),
            Grant::ChanceElsewhere => {
                self.trying_elsewhere = self.trying_elsewhere.saturating_sub(1);
            }
            Grant::None | Grant::Handed => {}
        }
    }

    /// A waiter that was woken will take nothing. The caller must wake the next one.
    pub(super) fn give_back(&mut self, grant: Grant) {
        self.arrive(grant);
        self.end_hand_off(grant);
    }

    /// The waiter takes what it was handed, or will not take it.
    #[inline]
    pub(super) fn end_hand_off(&mut self, grant: Grant) {
        if grant == Grant::Handed {
            self.handed = self.handed.saturating_sub(1);
        }
    }

    /// Makes all hand-offs void.
    pub(super) fn void_hand_offs(&mut self) {
        self.handed = 0;
    }
}

/// What a thread that takes or puts an item was woken for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// It was not woken.
    None,
    /// To try. Afterwards it wakes the next waiter if something is left.
    Chance,
    /// The same, for a waiter that is no thread.
    ChanceElsewhere,
    /// To take what was handed to it.
    Handed,
}

impl Grant {
    #[inline]
    fn is_chance(self) -> bool {
        matches!(self, Self::Chance | Self::ChanceElsewhere)
    }
}

pub(super) struct State<T> {
    pub(super) items: Items<T>,
    /// The greatest number of items; zero or less means no limit.
    pub(super) capacity: i64,
    pub(super) unfinished: i64,
    pub(super) shut_down: bool,
    pub(super) fallen_back: bool,
    /// See [`super::Queue::with_settled_end`].
    pub(super) has_settled_end: bool,
    /// The number of watchers: see [`super::Queue::watch`].
    pub(super) watchers: u16,
    /// The generation of the process that this state belongs to.
    generation: u32,
    /// The waits for items.
    pub(super) getters: Side,
    /// The waits for room.
    pub(super) putters: Side,
    pub(super) joiners: WaiterList,
    /// Who took the items that are not done. It is recorded only while waits are observed.
    pub(super) takers: Option<Box<Takers>>,
}

/// Why no item can be put.
pub(super) enum PutRefusal {
    Full,
    ShutDown,
    FellBack,
}

/// Why no item can be taken.
pub(super) enum GetRefusal {
    Empty,
    ShutDown,
    FellBack,
}

impl<E> From<GetRefusal> for GetError<E> {
    fn from(refusal: GetRefusal) -> Self {
        match refusal {
            GetRefusal::Empty => Self::Empty,
            GetRefusal::ShutDown => Self::ShutDown,
            GetRefusal::FellBack => Self::FellBack,
        }
    }
}

impl<T> wait::State for State<T> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.watchers = 0;
        // The waiters that were woken before the fork exist only in the parent.
        for side in [&mut self.getters, &mut self.putters] {
            side.trying = 0;
            side.trying_elsewhere = 0;
            side.handed = 0;
        }
    }
}

impl<T: Item> State<T> {
    pub(super) fn new(order: Order, capacity: i64) -> Self {
        Self {
            items: Items::new(order),
            capacity,
            unfinished: 0,
            shut_down: false,
            fallen_back: false,
            has_settled_end: false,
            watchers: 0,
            generation: generation(),
            getters: Side::new(),
            putters: Side::new(),
            joiners: WaiterList::new(),
            takers: None,
        }
    }

    /// Notes, if waits are observed, that the calling thread takes items.
    #[inline(always)]
    fn note_taken(&mut self, count: usize) {
        if observe::is_on_for_everything() {
            self.note_taken_observed(count);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_taken_observed(&mut self, count: usize) {
        let length = self.items.len();
        self.takers.get_or_insert_default().take(count, length);
    }

    /// Takes all items out, and wakes no waiter.
    pub(super) fn remove_all(&mut self) -> VecDeque<T> {
        let items = self.items.take();
        if let Some(takers) = &mut self.takers {
            let flow = &mut takers.flow;
            flow.removed += items.len() as u64;
            flow.greatest = flow.greatest.max(items.len());
        }
        items
    }

    /// Forgets who took the items that are not done.
    pub(super) fn forget_takers(&mut self) {
        if let Some(takers) = &mut self.takers {
            takers.begin_anew();
        }
    }

    /// Notes, if waits are observed, that a task of the calling thread is done.
    #[inline]
    pub(super) fn note_done(&mut self) {
        if let Some(takers) = &mut self.takers {
            takers.finish();
        }
    }

    /// Takes the item at the end, and wakes no putter.
    #[inline(always)]
    pub(super) fn remove_at_end(&mut self) -> Option<T> {
        let item = self.items.remove_at_end()?;
        self.note_taken(1);
        Some(item)
    }

    pub(super) fn check(&self) -> Result<(), FellBack> {
        if self.fallen_back {
            Err(FellBack)
        } else {
            Ok(())
        }
    }

    /// The number of items that are not handed to a getter.
    #[inline]
    pub(super) fn free_items(&self) -> usize {
        self.items
            .len()
            .saturating_sub(self.getters.handed as usize)
    }

    /// How many more items fit in. This includes the room that is handed to putters.
    #[inline]
    fn places(&self) -> usize {
        match usize::try_from(self.capacity) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(capacity) => capacity.saturating_sub(self.items.len()),
        }
    }

    /// How many more items fit in, without the room that is handed to putters.
    #[inline]
    fn room(&self) -> usize {
        self.places().saturating_sub(self.putters.handed as usize)
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Whether an item may be put now by the thread with this grant.
    #[inline]
    pub(super) fn check_put(&self, grant: Grant) -> Result<(), PutRefusal> {
        if self.fallen_back {
            return Err(PutRefusal::FellBack);
        }
        if self.shut_down {
            return Err(PutRefusal::ShutDown);
        }
        // Room that was handed out is void if it no longer exists, because the capacity was made smaller.
        let handed = self.putters.handed_to_others(grant);
        let fits = match usize::try_from(self.capacity) {
            Ok(0) | Err(_) => true,
            Ok(capacity) => self.items.len() + handed < capacity,
        };
        if fits { Ok(()) } else { Err(PutRefusal::Full) }
    }

    /// Whether an item may be taken now by the thread with this grant.
    #[inline]
    pub(super) fn check_get(&self, grant: Grant) -> Result<(), GetRefusal> {
        if self.fallen_back {
            return Err(GetRefusal::FellBack);
        }
        if self.items.len() > self.getters.handed_to_others(grant) {
            return Ok(());
        }
        // Items that are handed to others do not help: after a shutdown, no item follows them. But they may come back.
        let is_settled = !self.has_settled_end || self.items.len() == 0;
        Err(if self.shut_down && is_settled {
            GetRefusal::ShutDown
        } else {
            GetRefusal::Empty
        })
    }

    /// Another handle to the item that a get would take now.
    pub(super) fn look(&self) -> Result<T, GetRefusal> {
        self.check_get(Grant::None)?;
        self.items.next().map(T::share).ok_or(GetRefusal::Empty)
    }

    /// Takes all items out, and counts each as a task done.
    pub(super) fn drop_all(&mut self, wakes: &mut Wakes) -> VecDeque<T> {
        let dropped = self.remove_all();
        let done = i64::try_from(dropped.len()).unwrap_or(i64::MAX);
        self.unfinished = self.unfinished.saturating_sub(done).max(0);
        self.complete_joins(wakes);
        dropped
    }

    /// Whether items enter and leave only at the ends.
    #[inline]
    fn is_ordered_by_arrival(&self) -> bool {
        self.items.order() != Order::Heap
    }

    /// Whether an item that may be put goes to the end and wakes no getter.
    pub(super) fn is_simple_to_insert(&self) -> bool {
        self.is_ordered_by_arrival() && self.getters.needs_no_wake(self.items.len() + 1)
    }

    /// Whether an item that may be taken is at an end and its room wakes no putter.
    pub(super) fn is_simple_to_remove(&self) -> bool {
        self.is_ordered_by_arrival() && self.putters.needs_no_wake(self.places().saturating_add(1))
    }

    /// Whether an item may be put at the end while no getter waits. Hand-offs from before a fork count, so
    /// the answer may be "no" where "yes" would be right.
    #[inline(always)]
    pub(super) fn can_insert_at_end(&self) -> bool {
        self.check_put(Grant::None).is_ok()
            && self.is_ordered_by_arrival()
            && self.getters.waiters.is_empty()
    }

    /// Puts the item at the end and wakes no getter.
    #[inline(always)]
    pub(super) fn insert_at_end(&mut self, item: T) {
        self.items.insert_at_end(item);
        self.unfinished += 1;
    }

    /// Whether an item may be taken from an end while no putter waits. As for [`State::can_insert_at_end`],
    /// the answer may be "no" where "yes" would be right.
    #[inline(always)]
    pub(super) fn can_remove_at_end(&self) -> bool {
        self.check_get(Grant::None).is_ok()
            && self.is_ordered_by_arrival()
            && self.putters.waiters.is_empty()
    }

    /// Puts the item at the place that was found for it.
    #[inline]
    pub(super) fn accept(&mut self, item: T, place: Place, grant: Grant, wakes: &mut Wakes) {
        self.putters.end_hand_off(grant);
        self.items.insert(item, place);
        self.unfinished += 1;
        self.wake_getters(wakes);
        if grant.is_chance() {
            self.wake_putters(wakes);
        }
    }

    /// Takes the next item out. `place` was found for the removal.
    #[inline]
    pub(super) fn give(&mut self, place: Place, grant: Grant, wakes: &mut Wakes) -> Option<T> {
        self.getters.end_hand_off(grant);
        let item = self.items.remove(place);
        self.note_taken(1);
        self.settle(grant, wakes);
        self.wake_putters(wakes);
        if grant.is_chance() {
            self.wake_getters(wakes);
        }
        item
    }

    /// What was handed to a getter was taken, or will not be taken: those that wait for that after a shutdown look again.
    #[inline]
    pub(super) fn settle(&self, grant: Grant, wakes: &mut Wakes) {
        if grant == Grant::Handed && self.shut_down && self.has_settled_end {
            self.getters.waiters.wake_in_place(wakes);
        }
    }

    /// Takes the oldest item out, and puts this one at the end. Only for a queue in which items keep their order.
    pub(super) fn replace_oldest(&mut self, item: T) -> Option<T> {
        let oldest = self.items.remove_at_end();
        if let Some(takers) = &mut self.takers {
            takers.flow.removed += 1;
        }
        // As many items as before are there, for as many getters.
        self.items.insert_at_end(item);
        oldest
    }

    /// Wakes getters if there are items for them.
    #[inline]
    pub(super) fn wake_getters(&mut self, wakes: &mut Wakes) {
        let items = self.items.len();
        if !self.getters.needs_no_wake(items) {
            self.getters.wake(items, wakes);
            self.tell_watchers();
        }
    }

    /// Wakes putters if there is room for them.
    #[inline]
    pub(super) fn wake_putters(&mut self, wakes: &mut Wakes) {
        let places = self.places();
        if !self.putters.needs_no_wake(places) {
            self.putters.wake(places, wakes);
            self.tell_watchers();
        }
    }

    /// Whether a get would not wait now.
    fn is_ready(&self) -> bool {
        self.free_items() > 0 || self.shut_down || self.fallen_back
    }

    /// Tells the watchers, if there are any, whether a get would not wait.
    #[inline]
    pub(super) fn tell_watchers(&self) {
        if self.watchers > 0 {
            self.getters.waiters.tell(self.is_ready());
        }
    }

    /// See [`super::Queue::watch`].
    pub(super) fn watch(&mut self, ticket: Ticket, watcher: &Arc<Waiter>) {
        self.watchers = self.watchers.saturating_add(1);
        // On both sides: no fast path may put or take an item without telling.
        for side in [&mut self.getters, &mut self.putters] {
            side.waiters.join(ticket, watcher, Wants::Chance);
        }
        self.tell_watchers();
    }

    /// Removes a watcher.
    pub(super) fn unwatch(&mut self, ticket: Ticket) {
        for side in [&mut self.getters, &mut self.putters] {
            side.waiters.leave(ticket);
        }
        self.watchers = self.watchers.saturating_sub(1);
    }

    pub(super) fn complete_joins(&mut self, wakes: &mut Wakes) {
        if !self.fallen_back && self.unfinished <= 0 {
            self.joiners.drain(wakes);
        }
    }

    /// Puts as many items as there is room for, from the front of `new`. Not for a heap.
    pub(super) fn accept_many(&mut self, new: &mut VecDeque<T>, wakes: &mut Wakes) {
        let count = self.room().min(new.len());
        self.items.insert_many(count, new);
        self.unfinished += i64::try_from(count).unwrap_or(i64::MAX);
        self.wake_getters(wakes);
    }

    /// Takes up to `most` free items. Not for a heap.
    pub(super) fn give_many(&mut self, most: usize, taken: &mut VecDeque<T>, wakes: &mut Wakes) {
        let count = most.min(self.free_items());
        self.items.remove_many(count, taken);
        self.note_taken(count);
        self.wake_putters(wakes);
    }
}
