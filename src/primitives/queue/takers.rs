//! Who took the items of a queue that are not done, for reports of hangs; and how many were taken, for profiles.

use crate::wait::observe::ThreadNumber;

/// The most threads that are remembered for one queue.
const MOST: usize = 64;

/// How many items have left a queue, while waits are observed.
///
/// Nothing is counted when an item is put: as many were put as have left the queue and are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// How many were taken by `get`.
    pub taken: u64,
    /// How many were removed otherwise, by a shutdown for example.
    pub removed: u64,
    /// The greatest number of items that were in the queue when one was taken.
    pub greatest: usize,
}

/// A function to call at the end of a queue, and its first argument.
pub(super) type AtEnd = (usize, fn(usize, Left));

/// How many items each thread has taken for which it has not called `task_done`.
///
/// The items themselves are not followed. So this is a guess if one thread takes an item and another one calls
/// `task_done` for it. Then nothing is [known](Takers::known) any more.
#[derive(Default)]
pub(super) struct Takers {
    /// How many items have left the queue.
    pub(super) flow: Left,
    /// Whom to tell how many items have left the queue, when the queue is dropped: with this number.
    pub(super) at_end: Option<AtEnd>,
    /// The number of each thread, and of its items.
    threads: Vec<(u32, usize)>,
    is_unknown: bool,
}

impl Takers {
    /// The calling thread has taken items, and so many are left.
    pub(super) fn take(&mut self, count: usize, length: usize) {
        self.flow.taken += count as u64;
        self.flow.greatest = self.flow.greatest.max(length + count);
        if count == 0 || self.is_unknown {
            return;
        }
        let thread = ThreadNumber::current_or_zero();
        if let Some((_, items)) = self.threads.iter_mut().find(|(taker, _)| *taker == thread) {
            *items += count;
        } else if self.threads.len() < MOST {
            self.threads.push((thread, count));
        } else {
            self.forget();
        }
    }

    /// The calling thread has done a task.
    pub(super) fn finish(&mut self) {
        if self.is_unknown {
            return;
        }
        let thread = ThreadNumber::current_or_zero();
        match (self.threads.iter()).position(|(taker, _)| *taker == thread) {
            Some(place) if self.threads[place].1 > 1 => self.threads[place].1 -= 1,
            Some(place) => {
                self.threads.swap_remove(place);
            }
            None => self.forget(),
        }
    }

    /// Forgets who took what.
    pub(super) fn begin_anew(&mut self) {
        self.is_unknown = false;
        self.threads = Vec::new();
    }

    fn forget(&mut self) {
        self.is_unknown = true;
        self.threads = Vec::new();
    }

    /// The number of each thread that has such items, and of its items. Empty if that is not known.
    pub(super) fn known(&self) -> Vec<(u32, usize)> {
        self.threads.clone()
    }
}

impl Drop for Takers {
    fn drop(&mut self) {
        if let Some((number, tell)) = self.at_end {
            tell(number, self.flow);
        }
    }
}
