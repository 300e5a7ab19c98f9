//! A heap whose comparisons change it.
//!
//! An operation plans its change anew after each comparison, and comes to an end because the
//! heap is sooner or later the one that it knows the answers for. A comparison that puts or gets
//! something each time prevents that. So after some of these the operation makes its change
//! first, and then puts the one item that is not in its place there, step by step, each step
//! valid at the moment that it is made. Meanwhile others may find that item too early or too
//! late, but nothing is lost; if a comparison fails now, the item stays where it is.

use super::super::waiter::Wakes;
use super::order::Place;
use super::{Item, NotEntered, NotTaken, Queue};

/// More than there are between the top and the bottom of any heap.
const STEPS: usize = 128;

impl<T: Item> Queue<T> {
    #[cold]
    pub(super) fn enter_unsettled(&self, item: T, holds: bool) -> Result<(), NotEntered<'_, T>> {
        let entered = item.share();
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if let Err(closed) = state.admits(holds) {
            // `item` lives on, so that `entered` is not the last handle to be dropped.
            return Err(Self::refuse_entry(state, item, closed, holds));
        }
        let bottom = Place::at(state.items.len());
        state.reserved = state.reserved.saturating_sub(usize::from(holds));
        state.accept(item, bottom, &mut wakes);
        drop(state);
        wakes.wake();
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
    pub(super) fn take_unsettled(&self, holds: bool) -> Result<T, NotTaken<'_, T>> {
        let mut wakes = Wakes::new();
        let mut state = self.state();
        if let Err(nothing) = state.offers(holds) {
            return Err(Self::refuse_taking(state, nothing, holds));
        }
        state.granted = state.granted.saturating_sub(usize::from(holds));
        let item = state.give(Place::at(0), &mut wakes);
        let moved = state.items.iter().next().map(Item::share);
        drop(state);
        wakes.wake();
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
