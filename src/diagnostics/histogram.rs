//! How many durations there were of each length, in little memory.

use std::time::Duration;

/// Each power of two is divided into so many parts. So a length is known to about three percent.
const PARTS: u64 = 16;
const BITS: u32 = PARTS.trailing_zeros();

/// A histogram of durations. It has only the buckets that are in use, in order.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Vec<(u16, u64)>);

/// The bucket of a duration.
fn bucket(duration: Duration) -> u16 {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanoseconds < PARTS {
        return u16::try_from(nanoseconds).unwrap_or(0);
    }
    let shift = nanoseconds.ilog2() - BITS;
    let number = (u64::from(shift) + 1) * PARTS + ((nanoseconds >> shift) & (PARTS - 1));
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: u16) -> u64 {
    let number = u64::from(bucket);
    if number < PARTS {
        return number;
    }
    let shift = number / PARTS - 1;
    let lowest = (PARTS + number % PARTS) << shift;
    lowest + ((1 << shift) >> 1)
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        let wanted = bucket(duration);
        match self.0.binary_search_by_key(&wanted, |(bucket, _)| *bucket) {
            Ok(index) => self.0[index].1 += 1,
            Err(index) => self.0.insert(index, (wanted, 1)),
        }
    }

    /// Undoes [`Histogram::add`].
    pub fn remove(&mut self, duration: Duration) {
        let wanted = bucket(duration);
        if let Ok(index) = self.0.binary_search_by_key(&wanted, |(bucket, _)| *bucket) {
            self.0[index].1 -= 1;
            if self.0[index].1 == 0 {
                self.0.remove(index);
            }
        }
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The lengths in nanoseconds, in order, with how many durations had about this length.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0
            .iter()
            .map(|(bucket, count)| (middle(*bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_known_to_three_percent() {
        for power in 0..63_u32 {
            for offset in [0, 1, 7, 1 << (power / 2)] {
                let nanoseconds = (1_u64 << power) + offset;
                let mut histogram = Histogram::default();
                histogram.add(Duration::from_nanos(nanoseconds));
                let counts: Vec<_> = histogram.counts().collect();
                let [(length, 1)] = counts[..] else {
                    panic!("{counts:?}")
                };
                assert!(
                    length.abs_diff(nanoseconds) * 32 <= nanoseconds,
                    "{length} {nanoseconds}"
                );
            }
        }
    }

    #[test]
    fn what_is_removed_is_not_counted() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_millis(1));
        histogram.add(Duration::from_millis(2));
        histogram.remove(Duration::from_millis(1));
        assert_eq!(histogram.count(), 1);
        assert_eq!(histogram.counts().count(), 1);
    }
}
