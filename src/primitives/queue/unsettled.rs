//! Heaps that are changed by their own comparisons.
//!
//! Normally an operation plans its change again after each comparison. It comes to an end because sooner or
//! later the heap is one for which it knows all answers. A comparison that puts or gets an item each time
//! prevents this. So after some of these, the operation makes its change first. Then it moves the one item
//! that is not in its place there, step by step, and each step is valid at the moment when it is made. In the
//! meantime other threads may find that item too early or too late, but nothing is lost. If a comparison
//! fails now, the item stays where it is.

use super::order::Place;
use super::state::Grant;
use super::{Item, NotInserted, NotTaken, Queue};

/// More than the depth of any heap.
const STEPS: usize = 128;

impl<T: Item> Queue<T> {
    #[cold]
    pub(super) fn insert_unsettled(&self, item: T, grant: Grant) -> Result<(), NotInserted<'_, T>> {
        let entered = item.share();
        let mut state = self.state();
        if let Err(refusal) = state.check_put(grant) {
            // `item` lives on, so dropping `entered` does not drop the last handle.
            return Err(Self::refuse_entry(state, item, refusal, grant));
        }
        let bottom = Place::at(state.items.len());
        let (inner, wakes) = state.parts();
        inner.accept(item, bottom, grant, wakes);
        drop(state);
        for _ in 0..STEPS {
            let parent = self.state().items.parent_of(&entered);
            let Some(parent) = parent else { break };
            if !matches!(entered.is_less(&parent), Ok(true)) {
                break;
            }
            self.state().items.exchange(&parent, &entered);
        }
        Ok(())
    }

    #[cold]
    pub(super) fn take_unsettled(&self, grant: Grant) -> Result<T, NotTaken<'_, T>> {
        let mut state = self.state();
        if let Err(refusal) = state.check_get(grant) {
            return Err(Self::refuse_taking(state, refusal, grant));
        }
        let (inner, wakes) = state.parts();
        let item = inner.give(Place::at(0), grant, wakes);
        let moved = state.items.iter().next().map(Item::share);
        drop(state);
        if let Some(moved) = moved {
            self.sink(&moved);
        }
        item.ok_or(NotTaken::Refused(super::GetError::Empty))
    }

    fn sink(&self, item: &T) {
        for _ in 0..STEPS {
            let children = self.state().items.children_of(item);
            let child = match children {
                (None, _) => return,
                (Some(only), None) => only,
                (Some(left), Some(right)) => match left.is_less(&right) {
                    Ok(true) => left,
                    Ok(false) => right,
                    Err(_) => return,
                },
            };
            if !matches!(child.is_less(item), Ok(true)) {
                return;
            }
            self.state().items.exchange(item, &child);
        }
    }
}
