//! A short wait on the processor before the sleep in the kernel.
//!
//! A hand-over between two threads that both run costs a fraction of a microsecond; to sleep and be
//! woken costs ten. So a thread that is about to sleep looks for a while whether it has to: for about
//! as long as the sleep would cost, which is at most twice the best that could be done (Karlin, Li,
//! Manasse and Owicki, "Empirical Studies of Competitive Spinning", SOSP 1991), and less and less often
//! where it was in vain.

use std::cell::Cell;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::deadline::Deadline;

/// How long a thread looks whether it has been woken.
const BEFORE_SLEEP: Duration = Duration::from_micros(20);

/// Looks between two readings of the clock, which cost as much as a look.
const LOOKS: u32 = 8;

/// A wait in vain is followed by at most so many, less one, without a look.
const LONGEST_REST: u32 = 32;

/// Whether there is a second processor, without which nobody can wake a thread that runs.
static CAN_SUCCEED: LazyLock<bool> =
    LazyLock::new(|| thread::available_parallelism().is_ok_and(|processors| processors.get() > 1));

thread_local! {
    static EXPERIENCE: Cell<Experience> = const { Cell::new(Experience { rest: 1, left: 1 }) };
}

/// What a thread's waits have been like.
#[derive(Clone, Copy)]
struct Experience {
    /// Every so many waits it looks.
    rest: u32,
    /// The number of waits until it does.
    left: u32,
}

impl Experience {
    /// One more wait; whether to look in it.
    fn next(mut self) -> (bool, Self) {
        self.left = self.left.saturating_sub(1);
        (self.left == 0, self)
    }

    /// What came of the look.
    fn learn(succeeded: bool, before: Self) -> Self {
        let rest = if succeeded {
            1
        } else {
            (before.rest * 2).min(LONGEST_REST)
        };
        Self { rest, left: rest }
    }
}

/// Whether the condition came to hold while this thread looked: for [`BEFORE_SLEEP`] or until the deadline,
/// if that is sooner, but not at all where there is one processor, or where earlier looks were in vain.
pub fn before_sleep(deadline: Deadline, condition: impl FnMut() -> bool) -> bool {
    if !*CAN_SUCCEED {
        return false;
    }
    let (look, experience) = EXPERIENCE.get().next();
    EXPERIENCE.set(experience);
    if !look {
        return false;
    }
    let limit = deadline.remaining().unwrap_or(BEFORE_SLEEP);
    let succeeded = until(limit.min(BEFORE_SLEEP), condition);
    EXPERIENCE.set(Experience::learn(succeeded, experience));
    succeeded
}

/// Whether the condition came to hold within `limit`.
fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if condition() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() >= limit {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_vain_is_done_less_and_less_often() {
        let mut experience = Experience { rest: 1, left: 1 };
        let mut looks = Vec::new();
        for wait in 0..200 {
            let (look, next) = experience.next();
            experience = if look {
                looks.push(wait);
                Experience::learn(false, next)
            } else {
                next
            };
        }
        assert_eq!(looks, [0, 2, 6, 14, 30, 62, 94, 126, 158, 190]);
        let (look, next) = Experience::learn(true, experience).next();
        assert!(look);
        assert_eq!(next.rest, 1);
    }

    #[test]
    fn a_condition_that_holds_ends_the_look() {
        assert!(until(Duration::from_secs(3600), || true));
        assert!(!until(Duration::ZERO, || false));
    }
}
