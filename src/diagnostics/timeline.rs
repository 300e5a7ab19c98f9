//! Single waits: who waited when, for how long, and who ended it. For pictures of what happened when.
//!
//! A profile keeps them only if it is asked to. Each takes 32 bytes, and there are at most so many. When there is no more
//! room, the shorter half of them is dropped and counted, and from then on what is shorter than those that are kept. So
//! the waits that are kept are spread over the whole time, and are those that can be seen in a picture of it.
//!
//! A wait that sleeps more than once is one here, too: from the beginning of the first sleep to the end of the last. What
//! signal handlers do in between is part of that, unless they wait themselves: then there is a wait before and one after.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::wait::observe::ThreadNumber;

/// The most waits that are kept.
pub const MOST_WAITS: usize = 1_000_000;

/// One wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Single {
    /// When it began, in nanoseconds since the profile did.
    pub begin: u64,
    /// How long it lasted, in nanoseconds.
    pub length: u64,
    /// How many seconds of that the thread was awake, and waited for the interpreter.
    pub interpreter: f32,
    /// The thread that waited.
    pub thread: ThreadNumber,
    /// The thread that ended it. `None`: a deadline, a signal, or nothing so far.
    pub by: Option<ThreadNumber>,
    /// The number of its site; `sites` of the profile has it.
    pub site: u16,
    /// Whether it had ended when the profile did.
    pub has_ended: bool,
}

const _: () = assert!(size_of::<Single>() == 32);

/// A sleep of a wait that has ended, or that the end of the profile has cut off.
pub struct Sleep {
    /// The thread that slept.
    pub thread: ThreadNumber,
    /// The number of the site.
    pub site: usize,
    /// When it began.
    pub since: Instant,
    /// When it ended.
    pub until: Instant,
    /// For how long the thread was awake, and waited for the interpreter.
    pub interpreter: Duration,
    /// The thread that ended it.
    pub by: Option<ThreadNumber>,
    /// Whether it is one more sleep of the last wait of this thread.
    pub continues: bool,
    /// Whether it has ended by itself, and not with the profile.
    pub has_ended: bool,
}

/// The waits of all threads.
pub struct Timeline {
    began: Instant,
    most: usize,
    waits: Vec<Single>,
    /// The last wait of each thread, which may go on.
    last: HashMap<ThreadNumber, Single>,
    /// Waits that are shorter than this, in nanoseconds, find no room.
    shortest: u64,
    /// How many waits were dropped.
    pub dropped: u64,
    /// How long these took together, in nanoseconds.
    pub dropped_length: u64,
    /// The longest of them, in nanoseconds.
    pub longest_dropped: u64,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Timeline {
    /// A timeline that begins now, and keeps at most so many waits: two at least.
    pub fn new(began: Instant, most: usize) -> Self {
        Self {
            began,
            most: most.max(2),
            waits: Vec::new(),
            last: HashMap::new(),
            shortest: 0,
            dropped: 0,
            dropped_length: 0,
            longest_dropped: 0,
        }
    }

    /// Adds a sleep.
    #[cold] // most profiles keep no single waits
    pub fn add(&mut self, sleep: &Sleep) {
        let since = |moment: Instant| nanoseconds(moment.saturating_duration_since(self.began));
        let (begin, end) = (since(sleep.since), since(sleep.until));
        let mut wait = Single {
            begin,
            length: end.saturating_sub(begin),
            interpreter: sleep.interpreter.as_secs_f32(),
            thread: sleep.thread,
            by: sleep.by,
            // There are fewer sites than that.
            site: u16::try_from(sleep.site).unwrap_or_default(),
            has_ended: sleep.has_ended,
        };
        if let Some(before) = self.last.remove(&sleep.thread) {
            if sleep.continues {
                wait.begin = before.begin;
                wait.length = end.saturating_sub(before.begin);
                wait.interpreter += before.interpreter;
            } else {
                self.keep(before);
            }
        }
        self.last.insert(sleep.thread, wait);
    }

    /// This thread has ended.
    pub fn forget(&mut self, thread: ThreadNumber) {
        if let Some(last) = self.last.remove(&thread) {
            self.keep(last);
        }
    }

    fn keep(&mut self, wait: Single) {
        if self.waits.len() >= self.most {
            self.make_room();
        }
        if wait.length < self.shortest {
            self.count_dropped(wait.length);
        } else {
            self.waits.push(wait);
        }
    }

    fn count_dropped(&mut self, length: u64) {
        self.dropped += 1;
        self.dropped_length = self.dropped_length.saturating_add(length);
        self.longest_dropped = self.longest_dropped.max(length);
    }

    /// Drops the shorter half of the waits.
    fn make_room(&mut self) {
        let mut lengths: Vec<u64> = self.waits.iter().map(|wait| wait.length).collect();
        let half = lengths.len() / 2;
        let (shorter, median, _) = lengths.select_nth_unstable(half);
        let median = *median;
        // Of those that are as long as the median, so many go that half of all go.
        let mut more = shorter.iter().filter(|length| **length == median).count();
        for wait in std::mem::take(&mut self.waits) {
            let is_more = wait.length == median && more > 0;
            more -= usize::from(is_more);
            if wait.length < median || is_more {
                self.count_dropped(wait.length);
            } else {
                self.waits.push(wait);
            }
        }
        self.shortest = median;
    }

    /// Nothing is added any more: puts the waits in order.
    pub fn close(&mut self) {
        let last = std::mem::take(&mut self.last);
        let mut last: Vec<Single> = last.into_values().collect();
        last.sort_unstable_by_key(|wait| wait.thread.number());
        for wait in last {
            self.keep(wait);
        }
        self.waits
            .sort_by_key(|wait| (wait.thread.number(), wait.begin, u64::MAX - wait.length));
    }

    /// The waits by thread, in the order in which they began; of those that began together, the longer one first. Only
    /// after [`Timeline::close`].
    pub fn waits(&self) -> &[Single] {
        &self.waits
    }

    /// The waits of each thread as bytes, with how many they are. Only after [`Timeline::close`].
    ///
    /// Each wait is five numbers: the nanoseconds from the beginning of the wait before to its own, how long it lasted, the
    /// number of its site, who ended it, and which share of it was waiting for the interpreter. Who ended it is zero for
    /// nobody, one if it had not ended, and otherwise one more than the number of the thread. The share is one byte, of
    /// which 255 is the whole. Each of the others has seven bits a byte, the lowest first; the highest bit of a byte says
    /// that more follow.
    pub fn packed(&self, site: impl Fn(u16) -> u64) -> Vec<(ThreadNumber, u64, Vec<u8>)> {
        let of_threads = self.waits.chunk_by(|one, other| one.thread == other.thread);
        of_threads
            .map(|waits| {
                let mut bytes = Vec::new();
                let mut before = 0;
                for wait in waits {
                    pack(&mut bytes, wait.begin - before);
                    pack(&mut bytes, wait.length);
                    pack(&mut bytes, site(wait.site));
                    let by = wait.by.map_or(0, |by| u64::from(by.number()) + 1);
                    pack(&mut bytes, if wait.has_ended { by } else { 1 });
                    bytes.push(share(wait));
                    before = wait.begin;
                }
                (waits[0].thread, waits.len() as u64, bytes)
            })
            .collect()
    }
}

fn pack(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// Which share of the wait was waiting for the interpreter, of 255.
fn share(wait: &Single) -> u8 {
    if wait.length == 0 {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share of 255 is not precise")]
    let share = f64::from(wait.interpreter) * 1e9 / wait.length as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 255"
    )]
    let share = (share * 255.0).round().clamp(0.0, 255.0) as u8;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(number: u32) -> ThreadNumber {
        ThreadNumber::from_number(number).unwrap()
    }

    /// A timeline with a wait for each length, in nanoseconds, one after the other.
    fn with_lengths(most: usize, lengths: &[u64]) -> Timeline {
        let began = Instant::now();
        let mut timeline = Timeline::new(began, most);
        let mut since = began;
        for length in lengths {
            let until = since + Duration::from_nanos(*length);
            timeline.add(&sleep(since, until, false));
            since = until;
        }
        timeline
    }

    fn sleep(since: Instant, until: Instant, continues: bool) -> Sleep {
        Sleep {
            thread: thread(1),
            site: 2,
            since,
            until,
            interpreter: (until - since) / 2,
            by: Some(thread(2)),
            continues,
            has_ended: true,
        }
    }

    #[test]
    fn the_shortest_are_dropped_and_counted() {
        let lengths: Vec<u64> = (1..=1000).map(|number| number * 3 % 1001).collect();
        let mut timeline = with_lengths(64, &lengths);
        timeline.close();
        let waits = timeline.waits();
        assert!(waits.len() <= 64 && waits.len() >= 32, "{}", waits.len());
        assert!(waits.iter().any(|wait| wait.length == 1000));
        assert!((waits.iter()).all(|wait| wait.length >= timeline.longest_dropped));
        assert!(waits.is_sorted_by_key(|wait| wait.begin));
        assert_eq!(timeline.dropped + waits.len() as u64, 1000);
        let kept: u64 = waits.iter().map(|wait| wait.length).sum();
        assert_eq!(kept + timeline.dropped_length, lengths.iter().sum::<u64>());
    }

    #[test]
    fn there_is_room_again_if_all_are_as_long() {
        let mut timeline = with_lengths(8, &[5; 1000]);
        timeline.close();
        assert!(timeline.waits.len() <= 8 && timeline.waits.len() >= 4);
        assert_eq!(timeline.dropped + timeline.waits.len() as u64, 1000);
        assert_eq!(timeline.dropped_length, timeline.dropped * 5);
    }

    #[test]
    fn one_wait_may_sleep_more_than_once() {
        let began = Instant::now();
        let at = |nanoseconds| began + Duration::from_nanos(nanoseconds);
        let mut timeline = Timeline::new(began, 10);
        timeline.add(&sleep(at(10), at(20), false));
        timeline.add(&sleep(at(22), at(30), true));
        timeline.add(&sleep(at(40), at(50), false));
        timeline.forget(thread(1));
        // What it continues was that of an earlier thread; it is a wait of its own.
        timeline.add(&sleep(at(60), at(61), true));
        timeline.close();
        let waits = timeline.waits();
        let found: Vec<_> = (waits.iter())
            .map(|wait| (wait.begin, wait.length))
            .collect();
        assert_eq!(found, [(10, 20), (40, 10), (60, 1)]);
        assert!((waits[0].interpreter - 9e-9).abs() < 1e-10);
    }

    #[test]
    fn packed_waits_can_be_unpacked() {
        let began = Instant::now();
        let at = |nanoseconds| began + Duration::from_nanos(nanoseconds);
        let mut timeline = Timeline::new(began, 10);
        timeline.add(&sleep(at(5), at(5 + 300), false));
        timeline.add(&Sleep {
            thread: thread(3),
            has_ended: false,
            interpreter: Duration::ZERO,
            ..sleep(at(1 << 40), at((1 << 40) + 1), false)
        });
        timeline.close();
        let packed = timeline.packed(|site| u64::from(site) + 1);
        // 300 is 2 * 128 + 44.
        let first = (thread(1), 1, vec![5, 44 | 0x80, 2, 3, 3, 128]);
        let begin = [0x80, 0x80, 0x80, 0x80, 0x80, 32];
        let second = (thread(3), 1, [&begin[..], &[1, 3, 1, 0]].concat());
        assert_eq!(packed, [first, second]);
    }
}
