//! How long queues are, and how many items pass through them: a part of a profile.
//!
//! The thread of the watch looks at the queues ten times a second. Nothing is counted when an item is put. When one is
//! taken, a queue that is observed counts that, and looks how long it was. So the number of items that were put follows, and
//! the greatest length is exact: between two takes a queue only grows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::profile;
use crate::primitives::queue::{Flow, Left};

/// The most queues. Of later ones nothing is known.
const MOST_QUEUES: usize = 1_000;

/// The most samples of the length of one queue.
pub const MOST_SAMPLES: usize = 256;

/// Lengths over time. When there are too many, each two are joined.
#[derive(Default)]
pub struct Series {
    samples: Vec<(Duration, usize)>,
    /// How many looks each sample but the last stands for, if there has been more than one; and the last.
    together: usize,
    of_last: usize,
}

impl Series {
    fn add(&mut self, at: Duration, length: usize) {
        let together = self.together.max(1);
        match self.samples.last_mut() {
            Some(last) if self.of_last < together => {
                if length > last.1 {
                    *last = (at, length);
                }
                self.of_last += 1;
                return;
            }
            _ => {}
        }
        if self.samples.len() >= MOST_SAMPLES {
            let longer = |pair: &[(Duration, usize)]| {
                let first = pair[0];
                pair.last()
                    .copied()
                    .filter(|last| last.1 > first.1)
                    .unwrap_or(first)
            };
            self.samples = self.samples.chunks(2).map(longer).collect();
            self.together = 2 * together;
        }
        self.samples.push((at, length));
        self.of_last = 1;
    }

    /// The samples: the time since the beginning of the profile, and the length.
    pub fn samples(&self) -> impl Iterator<Item = (Duration, usize)> {
        self.samples.iter().copied()
    }
}

/// One queue.
pub struct Queue {
    /// Its address.
    pub address: usize,
    /// How many objects had this address before, as far as is known.
    pub generation: u32,
    /// When it was seen first, since the beginning of the profile.
    pub begins: Duration,
    /// When it was seen last.
    pub ends: Duration,
    /// Whether it was dropped.
    pub is_gone: bool,
    /// How long it was over time.
    pub series: Series,
    first: Flow,
    last: Flow,
}

impl Queue {
    /// How many items were put.
    pub fn puts(&self) -> u64 {
        let left = |flow: &Flow| flow.left.taken + flow.left.removed;
        let more = left(&self.last).saturating_sub(left(&self.first)) + self.last.length as u64;
        more.saturating_sub(self.first.length as u64)
    }

    /// How many items were taken.
    pub fn gets(&self) -> u64 {
        (self.last.left.taken).saturating_sub(self.first.left.taken)
    }

    /// How many items it had at last.
    pub fn length(&self) -> usize {
        self.last.length
    }

    /// How many it may have; zero: no limit.
    pub fn capacity(&self) -> usize {
        self.last.capacity
    }

    /// The most items that it had.
    pub fn greatest(&self) -> usize {
        let samples = self.series.samples.iter().map(|(_, length)| *length);
        (samples.max().unwrap_or_default()).max(self.last.left.greatest)
    }

    fn look(&mut self, at: Duration, flow: Flow) {
        self.ends = at;
        self.last = flow;
        self.series.add(at, flow.length);
    }
}

/// The queues of a profile.
#[derive(Default)]
pub struct Queues {
    /// The queues, in the order in which they were seen.
    pub queues: Vec<Queue>,
    /// For how many there was no room.
    pub dropped: u64,
    /// By the address, the last queue that was there.
    by_address: HashMap<usize, usize>,
}

impl Queues {
    fn begins(&mut self, address: usize, generation: u32, at: Duration, flow: Flow) {
        let mut queue = Queue {
            address,
            generation,
            begins: at,
            ends: at,
            is_gone: false,
            series: Series::default(),
            first: flow,
            last: flow,
        };
        queue.look(at, flow);
        if self.queues.len() < MOST_QUEUES {
            self.by_address.insert(address, self.queues.len());
            self.queues.push(queue);
            return;
        }
        self.dropped += 1;
        self.by_address.remove(&address);
    }

    fn present(&mut self, address: usize) -> Option<&mut Queue> {
        let index = *self.by_address.get(&address)?;
        self.queues.get_mut(index).filter(|queue| !queue.is_gone)
    }
}

/// The queue with this address is followed from now on.
pub fn begins(address: usize, flow: Flow) {
    let now = Instant::now();
    profile::with(|profile| {
        let at = now.saturating_duration_since(profile.since);
        let generation = profile.generation(address);
        profile.queues.begins(address, generation, at, flow);
    });
}

/// The queue with this address is like this now.
pub fn look(address: usize, flow: Flow) {
    let now = Instant::now();
    profile::with(|profile| {
        let at = now.saturating_duration_since(profile.since);
        if let Some(queue) = profile.queues.present(address) {
            queue.look(at, flow);
        }
    });
}

/// The queue with this address is dropped. What it had is gone with it, and counts as never put.
pub fn ends(address: usize, left: Left) {
    let now = Instant::now();
    profile::with(|profile| {
        let at = now.saturating_duration_since(profile.since);
        if let Some(queue) = profile.queues.present(address) {
            let capacity = queue.capacity();
            let length = 0;
            queue.look(
                at,
                Flow {
                    length,
                    capacity,
                    left,
                },
            );
            queue.is_gone = true;
        }
    });
}
