//! Which item comes out next: the first that was put, the last, or the smallest.
//!
//! To compare two items may run foreign code. That may take long, fail, or use this very queue. So it cannot
//! run under the leaf lock. And no thread may depend on a comparison that another thread makes, because that
//! comparison may in turn wait for this thread.
//!
//! So every operation of a heap works like this. Under the leaf lock it plans its whole change, from the
//! items as they are at that moment and from the comparisons whose answers it knows. If it knows all of them,
//! it makes the change in the same leaf section. If one is missing, it releases the leaf lock, compares the
//! two items, remembers the answer, and plans again. So at every moment the list is a valid heap with all its
//! items, whatever a comparison does, and an operation whose comparison fails has changed nothing.
//!
//! (The comparisons themselves may change the queue again and again: see `unsettled`.)
//!
//! Each question is asked once. An operation that other threads overtake asks only about items that are new
//! to it. The plan follows CPython's `heapq` step by step, so equal items come out in the same order, and the
//! list is the same list.

use std::cell::Cell;
use std::collections::VecDeque;

/// The order in which items come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The item that was put first.
    Fifo,
    /// The item that was put last.
    Lifo,
    /// The smallest item.
    Heap,
}

/// An item of a queue. Only [`Order::Heap`] compares items.
pub trait Item: Sized {
    /// Why two items could not be compared.
    type Error;

    /// Whether this is less than `other`, if a few instructions without foreign code can tell. Called under
    /// the leaf lock.
    fn is_less_fast(&self, other: &Self) -> Option<bool>;

    /// Whether this is less than `other`. May run foreign code.
    ///
    /// # Errors
    /// The error of the comparison.
    fn is_less(&self, other: &Self) -> Result<bool, Self::Error>;

    /// Whether both are the same object.
    fn is_same(&self, other: &Self) -> bool;

    /// Returns another handle to the same object. Called under the leaf lock.
    fn share(&self) -> Self;
}

impl<T: PartialOrd + Clone> Item for T {
    type Error = std::convert::Infallible;

    fn is_less_fast(&self, other: &Self) -> Option<bool> {
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

/// After this many comparisons that have changed a heap, an operation stops planning.
const MAX_OWN_CHANGES: usize = 16;

/// After this many comparisons, an operation stops planning. A heap of any size needs fewer than 130; the
/// rest allows for other threads that change the heap in the meantime.
const MAX_COMPARISONS: usize = 2_000;

thread_local! {
    /// How often this thread has changed a heap. It tells whether a comparison did so.
    static CHANGES: Cell<usize> = const { Cell::new(0) };
}

/// Whether planning once more is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// No: see `unsettled`.
    No,
}

/// Two items whose order must be known.
pub(super) struct Question<T> {
    item: T,
    other: T,
}

/// The comparisons whose answers an operation knows.
pub(super) struct Answers<T> {
    known: Vec<(Question<T>, bool)>,
    /// The index of the answer that a repeated plan needs next, if nothing has changed.
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

    /// Whether `item` is less than `other`; an error returns the question if the answer is not known.
    fn is_less(&mut self, item: &T, other: &T) -> Result<bool, Question<T>> {
        let answers = |known: &Question<T>| known.item.is_same(item) && known.other.is_same(other);
        if let Some((known, less)) = self.known.get(self.next)
            && answers(known)
        {
            self.next += 1;
            return Ok(*less);
        }
        if let Some(less) = item.is_less_fast(other) {
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

    /// Asks a question. This runs foreign code, so the caller must not hold the leaf lock.
    pub(super) fn ask(&mut self, question: Question<T>) -> Result<Settled, T::Error> {
        let before = CHANGES.get();
        let less = question.item.is_less(&question.other)?;
        self.own_changes += usize::from(CHANGES.get() != before);
        self.known.push((question, less));
        self.next = 0;
        let settled = self.own_changes < MAX_OWN_CHANGES && self.known.len() < MAX_COMPARISONS;
        Ok(if settled { Settled::Yes } else { Settled::No })
    }
}

/// The items in their order.
pub(super) struct Items<T> {
    order: Order,
    /// From the first put to the last; or as a heap.
    entries: VecDeque<T>,
}

/// The place of an item, found in the same leaf section. Only a heap uses it.
pub(super) struct Place(usize);

impl Place {
    /// The end, for an item that need not be compared.
    pub(super) const AT_END: Self = Self(0);

    /// A place in a heap, which may be the wrong one for its item.
    pub(super) const fn at(place: usize) -> Self {
        Self(place)
    }
}

/// If more entries than this are allocated when the last item is taken, the memory is freed.
const MAX_SPARE_ENTRIES: usize = 1_024;

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

    /// The item that is removed next.
    pub(super) fn next(&self) -> Option<&T> {
        match self.order {
            // The first of a heap is the smallest.
            Order::Fifo | Order::Heap => self.entries.front(),
            Order::Lifo => self.entries.back(),
        }
    }

    /// The number of allocated bytes.
    pub(super) fn allocated(&self) -> usize {
        self.entries.capacity() * size_of::<T>()
    }

    /// Takes all items out, in the order in which they were put, or as a heap.
    pub(super) fn take(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.entries)
    }

    /// Finds the place where `item` would go.
    #[inline]
    pub(super) fn place_for(
        &mut self,
        item: &T,
        answers: &mut Answers<T>,
    ) -> Result<Place, Question<T>> {
        match self.order {
            Order::Fifo | Order::Lifo => Ok(Place::AT_END),
            Order::Heap => place_of_new(self.entries.make_contiguous(), item, answers).map(Place),
        }
    }

    /// Puts the item at the end. Not for a heap.
    #[inline]
    pub(super) fn insert_at_end(&mut self, item: T) {
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

    /// Finds the place where the last item goes when the next one is removed.
    #[inline]
    pub(super) fn place_after_removal(
        &mut self,
        answers: &mut Answers<T>,
    ) -> Result<Place, Question<T>> {
        match self.order {
            Order::Fifo | Order::Lifo => Ok(Place::AT_END),
            Order::Heap => place_of_last(self.entries.make_contiguous(), answers).map(Place),
        }
    }

    /// Removes the next item.
    #[inline]
    pub(super) fn remove(&mut self, Place(place): Place) -> Option<T> {
        if self.order != Order::Heap {
            return self.remove_at_end();
        }
        let item = self.remove_smallest(place);
        self.release_if_empty();
        item
    }

    /// Removes the next item, which is at one end. Not for a heap.
    #[inline(always)]
    pub(super) fn remove_at_end(&mut self) -> Option<T> {
        let item = match self.order {
            Order::Fifo => self.entries.pop_front(),
            _ => self.entries.pop_back(),
        };
        self.release_if_empty();
        item
    }

    #[inline(always)]
    fn release_if_empty(&mut self) {
        if self.entries.capacity() > MAX_SPARE_ENTRIES && self.entries.is_empty() {
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

    /// The parent of the item in a heap.
    pub(super) fn parent_of(&self, item: &T) -> Option<T> {
        let place = self.find(item)?.checked_sub(1)?;
        self.entries.get(place / 2).map(T::share)
    }

    /// The children of the item in a heap.
    pub(super) fn children_of(&self, item: &T) -> (Option<T>, Option<T>) {
        let child = |which| {
            let place = 2 * self.find(item)? + which;
            self.entries.get(place).map(T::share)
        };
        (child(1), child(2))
    }

    /// Swaps `lower` with its parent, if that is `upper`.
    pub(super) fn exchange(&mut self, upper: &T, lower: &T) {
        if let Some(place) = self.find(lower)
            && place > 0
            && self.entries[parent(place)].is_same(upper)
        {
            self.entries.swap(place, parent(place));
        }
    }

    /// Moves up to `most` next items to `taken`. Not for a heap.
    pub(super) fn remove_many(&mut self, most: usize, taken: &mut VecDeque<T>) {
        if self.order == Order::Fifo && taken.is_empty() && most >= self.entries.len() {
            std::mem::swap(taken, &mut self.entries);
            return;
        }
        for _ in 0..most.min(self.entries.len()) {
            taken.extend(self.remove_at_end());
        }
    }

    /// Moves up to `most` items in, from the front of `new`. Not for a heap.
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

/// As `heapq.heappush`: the item moves up as long as it is less than its parent.
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

/// As `heapq.heappop`: the smaller children move up along a path to the bottom, and the last item goes to its
/// place on that path.
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
