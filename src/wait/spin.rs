//! A short spin before the sleep in the kernel.
//!
//! A hand-over between two running threads costs a fraction of a microsecond; a sleep and a wake cost ten
//! microseconds. So before a thread sleeps, it checks for a while whether it still has to. It spins for about as long as a
//! sleep would cost. Then the total cost is at most twice the best possible one (Karlin, Li, Manasse and
//! Owicki, "Empirical Studies of Competitive Spinning", SOSP 1991). A thread whose spins fail spins less
//! and less often.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Waiter;

/// The longest that a thread spins before it sleeps.
pub const BEFORE_SLEEP: Duration = Duration::from_micros(20);

/// The longest that a thread spins for the begin or the end of a task of another thread. That is longer than
/// [`BEFORE_SLEEP`], because the task's own steps come on top of the hand-over: the start and the join of a thread that
/// does nothing take 16 to 50 us together.
pub const FOR_TASK: Duration = Duration::from_micros(60);

/// Checks between two readings of the clock. A reading costs as much as a check.
const CHECKS_PER_CLOCK_READ: u32 = 8;

/// The longest period: after many failed spins, a thread spins in one wait out of this many.
const LONGEST_PERIOD: u32 = 32;

/// The number of processors; zero until a thread asks. This is not a `LazyLock`: if another thread were
/// initializing that during a fork, the child's would never be initialized.
static PROCESSORS: AtomicUsize = AtomicUsize::new(0);

/// Whether there is a second processor. Without one, no other thread can wake this one while it spins.
pub fn can_succeed() -> bool {
    let mut processors = PROCESSORS.load(Ordering::Relaxed);
    if processors == 0 {
        processors = thread::available_parallelism().map_or(1, NonZero::get);
        PROCESSORS.store(processors, Ordering::Relaxed);
    }
    processors > 1
}

/// The experience of a new thread. It does not spin in its first wait, which may be its only one.
const NEW_THREAD: Experience = Experience {
    period: 1,
    waits_left: 2,
};

thread_local! {
    static EXPERIENCE: Cell<Experience> = const { Cell::new(NEW_THREAD) };
}

/// How useful spinning has been for a thread.
#[derive(Clone, Copy)]
struct Experience {
    /// The thread spins in one wait out of this many.
    period: u32,
    /// The number of waits until the next spin.
    waits_left: u32,
}

impl Experience {
    /// Counts one more wait. Returns whether to spin in it.
    fn next(mut self) -> (bool, Self) {
        self.waits_left = self.waits_left.saturating_sub(1);
        (self.waits_left == 0, self)
    }

    /// The experience after a spin with this result.
    fn learn(succeeded: bool, before: Self) -> Self {
        let period = if succeeded {
            1
        } else {
            (before.period * 2).min(LONGEST_PERIOD)
        };
        Self {
            period,
            waits_left: period,
        }
    }
}

/// The permission to spin in this wait.
#[must_use = "record whether the spin succeeded"]
pub struct Look(Experience);

/// Counts one more wait of this thread. `None` means: do not spin. There is only one processor, or earlier
/// spins of this thread failed.
pub fn look() -> Option<Look> {
    let (due, experience) = EXPERIENCE.get().next();
    EXPERIENCE.set(experience);
    (due && can_succeed()).then_some(Look(experience))
}

impl Look {
    /// Records whether the spin succeeded.
    pub fn learn(self, succeeded: bool) {
        EXPERIENCE.set(Experience::learn(succeeded, self.0));
    }
}

/// Spins before the owner of the waiter parks, if that was of use to this thread before.
pub fn before_park(waiter: &Waiter) {
    if_of_use(BEFORE_SLEEP, || waiter.is_notified());
}

/// Spins until `condition` holds, for at most `limit`, if spinning was of use to this thread before.
pub fn if_of_use(limit: Duration, condition: impl FnMut() -> bool) {
    if let Some(look) = look() {
        look.learn(until(limit, condition));
    }
}

/// Spins until `condition` holds, for at most `limit`. Returns whether it came to hold.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..CHECKS_PER_CLOCK_READ {
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
    fn a_thread_whose_spins_fail_spins_less_often() {
        let mut experience = NEW_THREAD;
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
        assert_eq!(next.period, 1);
    }

    #[test]
    fn a_condition_that_holds_ends_the_spin() {
        assert!(until(Duration::from_secs(3600), || true));
        assert!(!until(Duration::ZERO, || false));
    }
}
