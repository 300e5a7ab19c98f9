//! Many items in one leaf section.

use std::collections::VecDeque;

use super::state::{Grant, PutRefusal};
use super::{GetError, Item, Order, PutError, Queue};

impl<T: Item> Queue<T> {
    /// Puts items from the front of `new`, as many as there is room for. `Ok` means that all were put.
    ///
    /// # Errors
    /// The [`PutError`] for the first item that was not put. That item was taken from the front of `new` and
    /// comes back in the error.
    pub fn try_put_many(&self, new: &mut VecDeque<T>) -> Result<(), PutError<T, T::Error>> {
        if self.order() == Order::Heap {
            while let Some(item) = new.pop_front() {
                self.try_put(item)?;
            }
            return Ok(());
        }
        self.change(|state, wakes| {
            while !new.is_empty() {
                let refusal = match state.check_put(Grant::None) {
                    Ok(()) => {
                        state.accept_many(new, wakes);
                        continue;
                    }
                    Err(refusal) => refusal,
                };
                return new.pop_front().map_or(Ok(()), |item| {
                    Err(match refusal {
                        PutRefusal::Full => PutError::Full(item),
                        PutRefusal::ShutDown => PutError::ShutDown(item),
                        PutRefusal::FellBack => PutError::FellBack(item),
                    })
                });
            }
            Ok(())
        })
    }

    /// Takes up to `most` items and adds them to `taken`. On `Ok` it is at least one, unless `most` is zero.
    ///
    /// # Errors
    /// The [`GetError`] that applies if no item is free. An error of a comparison may also come after some
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
        self.change(|state, wakes| match state.check_get(Grant::None) {
            Ok(()) => {
                state.give_many(most, taken, wakes);
                Ok(())
            }
            Err(refusal) => Err(refusal.into()),
        })
    }
}
