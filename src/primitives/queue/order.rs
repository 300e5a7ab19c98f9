//! Which item comes out next: the first put, the last put, or the smallest.
//!
//! To compare items may be to run foreign code, which takes long, fails, or comes back to this
//! very queue. It cannot run under the leaf lock, and nobody may rely on what another thread is
//! comparing, since that may in turn wait for him. So every operation of a heap plans its whole
//! change under the leaf lock, from the items as they are at that moment, with the comparisons
//! that it knows the answers of; and if it knows them all, it makes the change in the same leaf
//! section. If one is missing, it leaves the leaf lock, has the two items compared, remembers the
//! answer, and plans anew. The queue is at any moment a heap of which nothing is missing,
//! whatever a comparison does, and one that fails has changed nothing.
//!
//! (What if the comparisons themselves change the queue, time and again: see `unsettled`.)
//!
//! Each answer is asked for once, so an operation that others overtake asks only about what is
//! new to it. The plan follows CPython's `heapq` step by step: equal items come out in the same order,
//! and the list is the same list.

use std::cell::Cell;
use std::collections::VecDeque;

/// Which item comes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that was put first.
    Fifo,
    /// The one that was put last.
    Lifo,
    /// The smallest.
    Heap,
}

/// What a queue holds. The comparisons matter to [`Order::Heap`] alone.
pub trait Item: Sized {
    /// Why two items could not be compared.
    type Error;

    /// Whether this is less than the other, if that can be told within a few instructions and
    /// without foreign code: it is asked under the leaf lock.
    fn is_less_at_once(&self, other: &Self) -> Option<bool>;

    /// Whether this is less than the other.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn is_less(&self, other: &Self) -> Result<bool, Self::Error>;

    /// Whether both are the same object.
    fn is_same(&self, other: &Self) -> bool;

    /// Another handle to the same object. It is made under the leaf lock.
    fn share(&self) -> Self;
}

impl<T: PartialOrd + Clone> Item for T {
    type Error = std::convert::Infallible;

    fn is_less_at_once(&self, other: &Self) -> Option<bool> {
        Some(self < other)
    }

    fn is_less(&self, other: &Self) -> Result<bool, Self::Error> {
        Ok(self < other)
    }

    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn share(&self) -> Self {
        self.clone()
    }
}

/// So many comparisons that have changed a heap an operation puts up with.
const OWN_CHANGES: usize = 16;

/// So many comparisons an operation makes before it gives up planning. A heap of any size needs
/// fewer than 130; what is beyond is for other threads that change it meanwhile.
const PATIENCE: usize = 2_000;

thread_local! {
    /// How often this thread has changed a heap: whether a comparison did so is what matters.
    static CHANGES: Cell<usize> = const { Cell::new(0) };
}

/// Whether it is worth while to plan once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// See `unsettled`.
    No,
}

/// Two items whose order must be known.
pub(super) struct Question<T> {
    item: T,
    other: T,
}

/// What an operation knows of the order of the items.
pub(super) struct Answers<T> {
    known: Vec<(Question<T>, bool)>,
    /// The answer that a repeated plan will need next, if nothing has changed.
    next: usize,
    /// How many of the comparisons have changed a heap.
    own_changes: usize,
}

impl<T: Item> Answers<T> {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            known: Vec::new(),
            next: 0,
            own_changes: 0,
        }
    }

    #[inline]
    pub(super) fn has_any(&self) -> bool {
        !self.known.is_empty()
    }

    /// Whether `item` is less than `other`; the question, if that is not known.
    fn is_less(&mut self, item: &T, other: &T) -> Result<bool, Question<T>> {
        let answers = |known: &Question<T>| known.item.is_same(item) && known.other.is_same(other);
        if let Some((known, less)) = self.known.get(self.next)
            && answers(known)
        {
            self.next += 1;
            return Ok(*less);
        }
        if let Some(less) = item.is_less_at_once(other) {
            return Ok(less);
        }
        if let Some(place) = self.known.iter().position(|(known, _)| answers(known)) {
            self.next = place + 1;
            return Ok(self.known[place].1);
        }
        Err(Question {
            item: item.share(),
            other: other.share(),
        })
    }

    /// Finds an answer out. Foreign code runs in here: not under the leaf lock.
    pub(super) fn ask(&mut self, question: Question<T>) -> Result<Settled, T::Error> {
        let before = CHANGES.get();
        let less = question.item.is_less(&question.other)?;
        self.own_changes += usize::from(CHANGES.get() != before);
        self.known.push((question, less));
        self.next = 0;
        let settled = self.own_changes < OWN_CHANGES && self.known.len() < PATIENCE;
        Ok(if settled { Settled::Yes } else { Settled::No })
    }
}

/// The items, in their order.
pub(super) struct Items<T> {
    order: Order,
    /// From the first put to the last; or as a heap.
    entries: VecDeque<T>,
}

/// An item's place, found in the same leaf section; it means something to a heap alone.
pub(super) struct Place(usize);

impl Place {
    /// At the end: where an item goes that need not be compared.
    pub(super) const IN_TURN: Self = Self(0);

    /// In a heap, whether or not it is right there.
    pub(super) const fn at(place: usize) -> Self {
        Self(place)
    }
}

/// The most entries for which room is kept when the last item has been taken.
const KEPT: usize = 1_024;

impl<T: Item> Items<T> {
    pub(super) const fn new(order: Order) -> Self {
        Self {
            order,
            entries: VecDeque::new(),
        }
    }

    #[inline]
    pub(super) fn order(&self) -> Order {
        self.order
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// How many bytes are reserved.
    pub(super) fn allocated(&self) -> usize {
        self.entries.capacity() * size_of::<T>()
    }

    /// Takes all out: in the order they were put, or as a heap.
    pub(super) fn take(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.entries)
    }

    /// Where `item` would go.
    #[inline]
    pub(super) fn place_for(
        &mut self,
        item: &T,
        answers: &mut Answers<T>,
    ) -> Result<Place, Question<T>> {
        match self.order {
            Order::Fifo | Order::Lifo => Ok(Place::IN_TURN),
            Order::Heap => place_of_new(self.entries.make_contiguous(), item, answers).map(Place),
        }
    }

    /// Puts it at the end; not of a heap.
    #[inline]
    pub(super) fn insert_in_turn(&mut self, item: T) {
        self.entries.push_back(item);
    }

    #[inline]
    pub(super) fn insert(&mut self, item: T, Place(place): Place) {
        self.entries.push_back(item);
        if self.order == Order::Heap {
            CHANGES.set(CHANGES.get().wrapping_add(1));
            let heap = self.entries.make_contiguous();
            let mut here = heap.len() - 1;
            while here > place {
                heap.swap(here, parent(here));
                here = parent(here);
            }
        }
    }

    /// Where the last item goes when the next one is removed.
    #[inline]
    pub(super) fn place_after_removal(
        &mut self,
        answers: &mut Answers<T>,
    ) -> Result<Place, Question<T>> {
        match self.order {
            Order::Fifo | Order::Lifo => Ok(Place::IN_TURN),
            Order::Heap => place_of_last(self.entries.make_contiguous(), answers).map(Place),
        }
    }

    /// Removes the item that comes next.
    #[inline]
    pub(super) fn remove(&mut self, Place(place): Place) -> Option<T> {
        if self.order != Order::Heap {
            return self.remove_in_turn();
        }
        let item = self.remove_smallest(place);
        self.release_if_empty();
        item
    }

    /// Removes the item that comes next, which is at an end; not of a heap.
    #[inline(always)]
    pub(super) fn remove_in_turn(&mut self) -> Option<T> {
        let item = match self.order {
            Order::Fifo => self.entries.pop_front(),
            _ => self.entries.pop_back(),
        };
        self.release_if_empty();
        item
    }

    #[inline(always)]
    fn release_if_empty(&mut self) {
        if self.entries.capacity() > KEPT && self.entries.is_empty() {
            self.release();
        }
    }

    #[cold]
    fn release(&mut self) {
        self.entries = VecDeque::new();
    }

    fn remove_smallest(&mut self, mut place: usize) -> Option<T> {
        let mut carried = self.entries.pop_back()?;
        CHANGES.set(CHANGES.get().wrapping_add(1));
        let heap = self.entries.make_contiguous();
        if !heap.is_empty() {
            loop {
                std::mem::swap(&mut heap[place], &mut carried);
                if place == 0 {
                    break;
                }
                place = parent(place);
            }
        }
        Some(carried)
    }

    fn find(&self, item: &T) -> Option<usize> {
        self.entries.iter().position(|entry| entry.is_same(item))
    }

    /// What is above the item in a heap.
    pub(super) fn parent_of(&self, item: &T) -> Option<T> {
        let place = self.find(item)?.checked_sub(1)?;
        self.entries.get(place / 2).map(T::share)
    }

    /// What is below the item in a heap.
    pub(super) fn children_of(&self, item: &T) -> (Option<T>, Option<T>) {
        let child = |which| {
            let place = 2 * self.find(item)? + which;
            self.entries.get(place).map(T::share)
        };
        (child(1), child(2))
    }

    /// Has `lower` and what is above it change places, if that is `upper`.
    pub(super) fn exchange(&mut self, upper: &T, lower: &T) {
        if let Some(place) = self.find(lower)
            && place > 0
            && self.entries[parent(place)].is_same(upper)
        {
            self.entries.swap(place, parent(place));
        }
    }

    /// Moves up to `most` items that come next to `taken`; not of a heap.
    pub(super) fn remove_many(&mut self, most: usize, taken: &mut VecDeque<T>) {
        if self.order == Order::Fifo && taken.is_empty() && most >= self.entries.len() {
            std::mem::swap(taken, &mut self.entries);
            return;
        }
        for _ in 0..most.min(self.entries.len()) {
            taken.extend(self.remove_in_turn());
        }
    }

    /// Moves up to `most` items in, from the front of `new`; not of a heap.
    pub(super) fn insert_many(&mut self, most: usize, new: &mut VecDeque<T>) {
        if most >= new.len() {
            self.entries.append(new);
        } else {
            self.entries.extend(new.drain(..most));
        }
    }
}

fn parent(place: usize) -> usize {
    (place - 1) / 2
}

/// `heapq.heappush`: it goes up as long as it is less than what is above.
fn place_of_new<T: Item>(
    heap: &[T],
    item: &T,
    answers: &mut Answers<T>,
) -> Result<usize, Question<T>> {
    let mut place = heap.len();
    while place > 0 && answers.is_less(item, &heap[parent(place)])? {
        place = parent(place);
    }
    Ok(place)
}

/// `heapq.heappop`: the smaller children move up, along a path to the bottom, and the last item
/// takes the place on it that is its own.
fn place_of_last<T: Item>(heap: &[T], answers: &mut Answers<T>) -> Result<usize, Question<T>> {
    let Some((last, rest)) = heap.split_last() else {
        return Ok(0);
    };
    let mut place = 0;
    loop {
        let mut child = 2 * place + 1;
        if child >= rest.len() {
            break;
        }
        if child + 1 < rest.len() && !answers.is_less(&rest[child], &rest[child + 1])? {
            child += 1;
        }
        place = child;
    }
    while place > 0 && answers.is_less(last, &rest[place])? {
        place = parent(place);
    }
    Ok(place)
}
