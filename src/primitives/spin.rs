//! A short wait on the processor before the sleep in the kernel.
//!
//! A hand-over between two threads that both run costs a fraction of a microsecond; to sleep and be
//! woken costs ten. So a thread that is about to sleep looks for a while whether it has to: for about
//! as long as the sleep would cost, which is at most twice the best that could be done (Karlin, Li,
//! Manasse and Owicki, "Empirical Studies of Competitive Spinning", SOSP 1991), and less and less often
//! where it was in vain.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread looks whether it has been woken.
pub const BEFORE_SLEEP: Duration = Duration::from_micros(20);

/// Looks between two readings of the clock, which cost as much as a look.
const LOOKS: u32 = 8;

/// A wait in vain is followed by at most so many, less one, without a look.
const LONGEST_REST: u32 = 32;

/// The number of processors; zero as long as nobody has asked. No `LazyLock`: a fork while another thread
/// fills it would leave the child one that is never filled.
static PROCESSORS: AtomicUsize = AtomicUsize::new(0);

/// Whether there is a second processor, without which nobody can wake a thread that runs.
fn can_succeed() -> bool {
    let mut processors = PROCESSORS.load(Ordering::Relaxed);
    if processors == 0 {
        processors = thread::available_parallelism().map_or(1, NonZero::get);
        PROCESSORS.store(processors, Ordering::Relaxed);
    }
    processors > 1
}

/// That of a new thread. It does not look in its first wait, which may be its only one.
const NONE: Experience = Experience { rest: 1, left: 2 };

thread_local! {
    static EXPERIENCE: Cell<Experience> = const { Cell::new(NONE) };
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

/// A look that is worth while, as far as this thread knows.
#[must_use = "what came of it has to be learned"]
pub struct Look(Experience);

/// One more wait. `None`: there is one processor, or earlier looks of this thread were in vain.
pub fn look() -> Option<Look> {
    let (due, experience) = EXPERIENCE.get().next();
    EXPERIENCE.set(experience);
    (due && can_succeed()).then_some(Look(experience))
}

impl Look {
    /// Whether it was worth while.
    pub fn learn(self, succeeded: bool) {
        EXPERIENCE.set(Experience::learn(succeeded, self.0));
    }
}

/// Whether the condition came to hold within `limit`.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
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
        let mut experience = NONE;
        let mut looks = Vec::new();
        for wait in 0..100 {
            let (look, next) = experience.next();
            experience = if look {
                looks.push(wait);
                Experience::learn(false, next)
            } else {
                next
            };
        }
        assert_eq!(looks, [1, 3, 7, 15, 31, 63, 95]);
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
