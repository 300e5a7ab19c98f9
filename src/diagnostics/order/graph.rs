//! Which locks threads have acquired while they held which others, and the cycles in that.
//!
//! For each pair of locks there are *takes*: a thread held the first lock and others, and acquired the second. A cycle of
//! takes can become a deadlock if all of these can be in progress at once:
//!
//! * each is of another thread;
//! * no two of these threads held the same lock meanwhile (a *gate*): only one of them could have had that;
//! * no take was over before another one could begin, because its thread was joined, or the other one was started later.
//!
//! This is the algorithm that is known as `GoodLock`, with the order of starts and joins.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::diagnostics::sleepers::{Frame, Scene};

/// The most takes that are kept.
pub const MOST_TAKES: usize = 20_000;

/// The most takes of one pair of locks.
const MOST_OF_PAIR: usize = 16;

/// The most takes of one pair with the same locks held: of the latest threads. A cycle needs no more than this many threads
/// to choose from, unless it is very long.
const MOST_ALIKE: usize = 4;

/// The most locks in a cycle that is looked for.
const LONGEST: usize = 8;

/// The most takes that are looked at in one search.
const MOST_STEPS: usize = 20_000;

/// The most cycles of which it is remembered that they were found. Later ones are not told.
const MOST_FOUND: usize = 10_000;

/// What happened before a moment in a thread: by the number of another thread, the last of its *segments* that was over. A
/// segment of a thread ends when it starts another thread.
pub type Before = Arc<HashMap<u32, u32>>;

/// A moment in a thread.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The number of the thread.
    pub thread: u32,
    /// The segment of the thread.
    pub segment: u32,
    /// What had happened before.
    pub before: Before,
}

impl Moment {
    /// Whether everything in this segment happened before the other moment.
    fn is_before(&self, other: &Self) -> bool {
        (other.before.get(&self.thread)).is_some_and(|segment| *segment >= self.segment)
    }

    /// Whether both could be at once.
    fn is_beside(&self, other: &Self) -> bool {
        self.thread != other.thread && !self.is_before(other) && !other.is_before(self)
    }
}

/// A thread held a lock and acquired another.
#[derive(Clone, Debug)]
pub struct Take {
    /// When.
    pub moment: Moment,
    /// All locks that it held, sorted by address.
    pub held: Arc<[usize]>,
    /// Where it was.
    pub scene: Arc<Scene>,
    /// Where it had acquired the first lock, if that is known.
    pub first: Option<Frame>,
}

impl Take {
    fn can_be_beside(&self, other: &Self) -> bool {
        self.moment.is_beside(&other.moment) && are_disjoint(&self.held, &other.held)
    }
}

/// The bit that tells, of a lock that several may read at once, that for which its writers wait. No address of a lock has
/// it: with 64 bits it is the highest, which addresses do not use, and otherwise the lowest, because locks are at even ones.
pub const TO_WRITE: usize = if usize::BITS == 64 {
    1 << (usize::BITS - 1)
} else {
    1
};

/// Whether no lock keeps two threads from holding these locks at the same time.
fn are_disjoint(one: &[usize], other: &[usize]) -> bool {
    one.iter().all(|lock| {
        let has = |locks: &[usize], lock| locks.binary_search(&lock).is_ok();
        // Two readers do not keep each other out: one of the two must write, and keep out readers, too.
        let is_exclusive =
            || lock & TO_WRITE == 0 || has(one, lock & !TO_WRITE) || has(other, lock & !TO_WRITE);
        !(has(other, *lock) && is_exclusive())
    })
}

/// One step of a cycle: the thread of the take held the first lock and acquired the second.
#[derive(Clone, Debug)]
pub struct Step {
    /// The address of the lock that it held.
    pub first: usize,
    /// The address of the lock that it acquired.
    pub second: usize,
    /// How.
    pub take: Take,
}

#[derive(Default)]
struct Node {
    /// What was acquired by those who held this lock.
    after: HashMap<usize, Vec<Take>>,
    /// What those held who acquired this lock.
    before: HashSet<usize>,
    /// It is in a cycle that was found.
    is_in_cycle: bool,
}

/// The takes of a process.
#[derive(Default)]
pub struct Graph {
    nodes: HashMap<usize, Node>,
    /// The number of takes.
    takes: usize,
    /// The locks that another thread has released than the one that had acquired them. Such a lock is a signal, and does
    /// not keep threads from being at one place at once.
    signals: HashSet<usize>,
    /// The cycles that were found, as sorted addresses.
    found: HashSet<Vec<usize>>,
    dropped: u64,
}

impl Graph {
    /// How many takes there are.
    pub fn len(&self) -> usize {
        self.takes
    }

    /// Whether there is no take.
    pub fn is_empty(&self) -> bool {
        self.takes == 0
    }

    /// How many takes were not kept because there was no room for them.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Which of these locks, that a thread holds, are not known to have been held in this way when the second lock was
    /// acquired.
    pub fn unknown(&self, moment: &Moment, held: &[usize], second: usize) -> Vec<usize> {
        if self.signals.contains(&second) {
            return Vec::new();
        }
        let mut sorted = held.to_vec();
        sorted.sort_unstable();
        let is_known = |first: &usize| {
            let takes = self
                .nodes
                .get(first)
                .and_then(|node| node.after.get(&second));
            takes.is_some_and(|takes| {
                takes.iter().any(|take| {
                    take.moment.thread == moment.thread
                        && take.moment.segment == moment.segment
                        && Arc::ptr_eq(&take.moment.before, &moment.before)
                        && *take.held == *sorted
                })
            })
        };
        let firsts = held.iter().copied();
        firsts
            .filter(|first| *first != second && !self.signals.contains(first) && !is_known(first))
            .collect()
    }

    /// Which locks have been acquired, in several steps perhaps, by those who held this one. Those too far away for a cycle
    /// are left out.
    pub fn reachable(&self, from: usize) -> HashSet<usize> {
        let mut seen = HashSet::from([from]);
        let mut here = vec![from];
        for _ in 1..LONGEST {
            let nodes = here.iter().filter_map(|lock| self.nodes.get(lock));
            let next = nodes.flat_map(|node| node.after.keys()).copied();
            let next: HashSet<usize> = next.filter(|lock| !seen.contains(lock)).collect();
            seen.extend(&next);
            here = next.into_iter().collect();
        }
        seen
    }

    /// Adds a take. Returns the shortest cycle that it closes, if that is not known yet: this take first.
    pub fn add(&mut self, first: usize, second: usize, take: Take) -> Option<Vec<Step>> {
        let reachable = self.reachable(second);
        self.add_with(first, second, take, &reachable)
    }

    /// The same, if it is known what is [reachable](Self::reachable) from the second lock: for several first ones.
    pub fn add_with(
        &mut self,
        first: usize,
        second: usize,
        take: Take,
        reachable: &HashSet<usize>,
    ) -> Option<Vec<Step>> {
        if first == second || self.signals.contains(&first) || self.signals.contains(&second) {
            return None;
        }
        let takes = self
            .nodes
            .get(&first)
            .and_then(|node| node.after.get(&second));
        let takes = takes.map_or(&[][..], Vec::as_slice);
        let same =
            |other: &Take| other.moment.thread == take.moment.thread && other.held == take.held;
        let alike = takes.iter().filter(|other| other.held == take.held);
        // A later take of a thread can be beside all later takes that an earlier one of this thread can be beside.
        let replaced = takes.iter().position(same).or_else(|| {
            let oldest = takes.iter().position(|other| other.held == take.held);
            oldest.filter(|_| alike.count() >= MOST_ALIKE)
        });
        if replaced.is_none() && (self.takes >= MOST_TAKES || takes.len() >= MOST_OF_PAIR) {
            self.dropped += 1;
            return None;
        }
        let node = self.nodes.entry(first).or_default();
        let takes = node.after.entry(second).or_default();
        if let Some(position) = replaced {
            // In the order of time.
            takes.remove(position);
        } else {
            self.takes += 1;
        }
        takes.push(take.clone());
        self.nodes.entry(second).or_default().before.insert(first);
        let step = Step {
            first,
            second,
            take,
        };
        if reachable.contains(&first) {
            self.find(step)
        } else {
            None
        }
    }

    /// The shortest cycle with this step that was not found before.
    fn find(&mut self, step: Step) -> Option<Vec<Step>> {
        let distances = self.distances(step.first, step.second)?;
        let shortest = *distances.get(&step.second)?;
        let mut left = MOST_STEPS;
        let mut path = vec![step];
        for length in shortest..LONGEST {
            if self.extend(&mut path, length, &distances, &mut left) {
                self.note_found(&path);
                return Some(path);
            }
            if left == 0 {
                break;
            }
        }
        None
    }

    /// How many takes away a lock is, by the locks from which it can be reached in a cycle that is not too long. `None`:
    /// it cannot be reached from `start`.
    fn distances(&self, goal: usize, start: usize) -> Option<HashMap<usize, usize>> {
        let mut distances = HashMap::from([(goal, 0)]);
        let mut next = VecDeque::from([goal]);
        while let Some(lock) = next.pop_front() {
            let distance = distances[&lock] + 1;
            if distance >= LONGEST {
                continue;
            }
            for before in self
                .nodes
                .get(&lock)
                .into_iter()
                .flat_map(|node| &node.before)
            {
                if !distances.contains_key(before) {
                    distances.insert(*before, distance);
                    next.push_back(*before);
                }
            }
        }
        distances.contains_key(&start).then_some(distances)
    }

    /// Adds this many steps to the path, so that it becomes a cycle. Returns whether that is possible.
    fn extend(
        &self,
        path: &mut Vec<Step>,
        length: usize,
        distances: &HashMap<usize, usize>,
        left: &mut usize,
    ) -> bool {
        let (goal, here) = (path[0].first, path[path.len() - 1].second);
        if here == goal {
            return length == 0 && !self.found.contains(&locks_of(path));
        }
        let Some(node) = self.nodes.get(&here) else {
            return false;
        };
        for (next, takes) in &node.after {
            let is_near = (distances.get(next)).is_some_and(|distance| *distance < length);
            if !is_near || path.iter().any(|step| step.second == *next) {
                continue;
            }
            // The latest first: the threads of the others are more likely to have ended.
            for take in takes.iter().rev() {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                if path.iter().all(|step| step.take.can_be_beside(take)) {
                    path.push(Step {
                        first: here,
                        second: *next,
                        take: take.clone(),
                    });
                    if self.extend(path, length - 1, distances, left) {
                        return true;
                    }
                    path.pop();
                }
            }
        }
        false
    }

    fn note_found(&mut self, path: &[Step]) {
        if self.found.len() < MOST_FOUND {
            let locks = locks_of(path);
            for lock in &locks {
                if let Some(node) = self.nodes.get_mut(lock) {
                    node.is_in_cycle = true;
                }
            }
            self.found.insert(locks);
        }
    }

    /// Forgets a lock that is gone. Returns whether it was known.
    pub fn remove(&mut self, lock: usize) -> bool {
        self.signals.remove(&lock);
        self.remove_takes(lock)
    }

    fn remove_takes(&mut self, lock: usize) -> bool {
        let Some(node) = self.nodes.remove(&lock) else {
            return false;
        };
        for (second, takes) in &node.after {
            self.takes -= takes.len();
            if let Some(after) = self.nodes.get_mut(second) {
                after.before.remove(&lock);
            }
        }
        for first in &node.before {
            let takes = self
                .nodes
                .get_mut(first)
                .and_then(|before| before.after.remove(&lock));
            self.takes -= takes.map_or(0, |takes| takes.len());
        }
        if node.is_in_cycle {
            self.found.retain(|locks| !locks.contains(&lock));
        }
        true
    }

    /// Notes that a thread has released a lock that another thread had acquired. Returns whether that is new.
    pub fn is_signal(&mut self, lock: usize) -> bool {
        self.remove_takes(lock);
        self.signals.insert(lock)
    }
}

fn locks_of(path: &[Step]) -> Vec<usize> {
    let mut locks: Vec<usize> = path.iter().map(|step| step.first).collect();
    locks.sort_unstable();
    locks
}
