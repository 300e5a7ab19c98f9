//! Who took the items of a queue that are not done: for reports of hangs.

use crate::wait::observe::ThreadNumber;

/// The most threads that are remembered for one queue.
const MOST: usize = 64;

/// How many items each thread has taken for which it has not called `task_done`.
///
/// The items themselves are not followed. So this is a guess if one thread takes an item and another one calls
/// `task_done` for it. Then nothing is [known](Takers::known) any more.
#[derive(Default)]
pub(super) struct Takers {
    /// The number of each thread, and of its items.
    threads: Vec<(u32, usize)>,
    is_unknown: bool,
}

impl Takers {
    /// The calling thread takes items.
    pub(super) fn take(&mut self, count: usize) {
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

    fn forget(&mut self) {
        self.is_unknown = true;
        self.threads = Vec::new();
    }

    /// The number of each thread that has such items, and of its items. Empty if that is not known.
    pub(super) fn known(&self) -> Vec<(u32, usize)> {
        self.threads.clone()
    }
}
