//! Many items in one leaf section.

use std::collections::VecDeque;

use super::state::{Closed, Nothing};
use super::{GetError, Item, Order, PutError, Queue};

impl<T: Item> Queue<T> {
    /// Takes in as many items as there is room for, from the front of `new`; `Ok` means all.
    ///
    /// # Errors
    /// The [`PutError`] that applies to the item that was next, which it brings back, and which
    /// was taken from the front of `new`.
    pub fn try_put_many(&self, new: &mut VecDeque<T>) -> Result<(), PutError<T, T::Error>> {
        if self.order() == Order::Heap {
            while let Some(item) = new.pop_front() {
                self.try_put(item)?;
            }
            return Ok(());
        }
        self.change(|state, wakes| {
            while !new.is_empty() {
                let closed = match state.admits(false) {
                    Ok(()) => {
                        state.accept_many(new, wakes);
                        continue;
                    }
                    Err(closed) => closed,
                };
                return new.pop_front().map_or(Ok(()), |item| {
                    Err(match closed {
                        Closed::Full => PutError::Full(item),
                        Closed::ShutDown => PutError::ShutDown(item),
                        Closed::Retired => PutError::Retired(item),
                    })
                });
            }
            Ok(())
        })
    }

    /// Adds the next items that are free to `taken`, at most `most`; at least one, if it is `Ok`
    /// and `most` is not zero.
    ///
    /// # Errors
    /// The [`GetError`] that applies, if there is none; or a comparison's, which may come after some
    /// items have been taken.
    pub fn try_get_many(
        &self,
        most: usize,
        taken: &mut VecDeque<T>,
    ) -> Result<(), GetError<T::Error>> {
        if most == 0 {
            return Ok(());
        }
        if self.order() == Order::Heap {
            taken.push_back(self.try_get()?);
            for _ in 1..most {
                match self.try_get() {
                    Ok(item) => taken.push_back(item),
                    Err(error @ GetError::Comparison(_)) => return Err(error),
                    Err(_) => break,
                }
            }
            return Ok(());
        }
        self.change(|state, wakes| match state.offers(false) {
            Ok(()) => {
                state.give_many(most, taken, wakes);
                Ok(())
            }
            Err(Nothing::Empty) => Err(GetError::Empty),
            Err(Nothing::ShutDown) => Err(GetError::ShutDown),
            Err(Nothing::Retired) => Err(GetError::Retired),
        })
    }

    fn order(&self) -> Order {
        self.state().items.order()
    }
}
