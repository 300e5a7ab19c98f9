//! Every interleaving of threads that sleep, that wake them, and that pin their sleeps. Run with `RUSTFLAGS="--cfg loom"
//! cargo test --release --no-default-features --test pin_models`.
//!
//! The waits are those of the engine, with an observer. A process has one observer, and it would be in the way of the
//! other models; so these are a program of their own.
#![cfg(loom)]

use std::cell::RefCell;
use std::sync::Arc as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use _oxthreads::diagnostics::place::{Pin, Place, Wait};
use _oxthreads::primitives::lock::Lock;
use _oxthreads::wait::Waiter;
use _oxthreads::wait::deadline::{Deadline, Wait as Outcome};
use _oxthreads::wait::observe::{self, Observer, Resource, ThreadNumber};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[expect(
    dead_code,
    reason = "these models drive their waits as the bindings do"
)]
mod support;
#[path = "support/verdicts.rs"]
mod verdicts;

use verdicts::{block, block_until};

loom::thread_local! {
    /// The place of the calling thread of the model. A thread without one is not observed.
    static OWN: RefCell<Option<Plain<Place>>> = RefCell::new(None);
}

fn own() -> Option<Plain<Place>> {
    OWN.with(|own| own.borrow().clone())
}

/// It does what `sleepers::Recorder` does. That one finds the place in a thread-local of `std`, which the threads of a
/// model share.
struct Recorder;

impl Observer for Recorder {
    fn blocked(&self, waiter: &Arc<Waiter>, resource: Resource, deadline: Deadline) {
        if let Some(own) = own() {
            own.push(Wait::new(resource, deadline, !observe::must_succeed()).of(waiter));
        }
    }

    fn parks(&self) {
        if let Some(own) = own() {
            own.fall_asleep();
        }
    }

    fn unparks(&self) {
        if let Some(own) = own() {
            own.wake_up();
        }
    }

    fn verdict(&self) -> Option<String> {
        own()?.take_verdict()
    }

    fn resumed(&self, _: Resource, _: Duration, by: Option<ThreadNumber>) {
        if let Some(own) = own() {
            own.pop(by.is_some());
        }
    }
}

/// Runs `program` in every interleaving with this bound on preemptions.
fn model(program: impl Fn() + Sync + Send + 'static) {
    static RECORDER: Recorder = Recorder;
    // The first model sets it.
    let _ = observe::set_observer(&RECORDER);
    support::model(program);
}

/// A thread that waits, and what it has to itself while it runs.
struct Sleeper {
    place: Plain<Place>,
    /// Locked at first, so whoever acquires it sleeps.
    lock: Lock,
    /// How often the thread has gone on. It stands for whatever a thread may do then: free what it waited for, or change
    /// its frames. A reader may look at it while it pins a sleep; otherwise loom reports a data race.
    steps: UnsafeCell<usize>,
}

impl Sleeper {
    fn new() -> Arc<Self> {
        let lock = Lock::new();
        assert!(lock.try_acquire());
        Arc::new(Self {
            place: Plain::new(Place::new(ThreadNumber::current().unwrap())),
            lock,
            steps: UnsafeCell::new(0),
        })
    }

    /// Makes the calling thread the one that waits.
    fn begin(&self) {
        OWN.with(|own| *own.borrow_mut() = Some(Plain::clone(&self.place)));
    }

    /// Waits once, and goes on. `Err`: the wait was ended, for this reason.
    fn wait(&self) -> Result<(), String> {
        let ended = block(self.lock.acquire());
        self.step();
        ended
    }

    /// The same with a sleep that nobody ends: its time is over. (A signal ends a sleep in the same way.)
    fn wait_briefly(&self) -> Result<(), String> {
        let ended = block_until(self.lock.acquire(), Deadline::now());
        self.step();
        ended.map(|outcome| assert_eq!(outcome, Outcome::TimedOut))
    }

    /// Goes on.
    fn step(&self) {
        // SAFETY: this thread alone may change it, and a reader looks only while this thread cannot be here. loom checks
        // that.
        self.steps.with_mut(|steps| unsafe { *steps += 1 });
    }

    /// Pins the sleep that there is now, if there is one.
    fn pin(&self) -> Option<(Pin, u64)> {
        let number = self.place.sleep()?.number;
        Some((self.pin_again(number)?, number))
    }

    /// Pins the sleep with this number, if it has not ended.
    fn pin_again(&self, number: u64) -> Option<Pin> {
        let pin = Pin::among([Plain::clone(&self.place)], &[number]);
        let pinned: Vec<u64> = pin.sleeps().map(|sleep| sleep.number).collect();
        assert!(pinned.is_empty() || pinned == [number]);
        (!pinned.is_empty()).then_some(pin)
    }

    /// How often the thread has gone on. The caller has pinned a sleep.
    fn steps(&self) -> usize {
        // SAFETY: the thread is pinned, so it does not change this. loom checks that.
        self.steps.with(|steps| unsafe { *steps })
    }
}

/// Runs this in a thread of the model.
fn spawn<T: 'static>(
    sleeper: &Arc<Sleeper>,
    work: impl FnOnce(&Sleeper) -> T + 'static,
) -> thread::JoinHandle<T> {
    let sleeper = Arc::clone(sleeper);
    thread::spawn(move || work(&sleeper))
}

/// Counts how many interleavings had each outcome, so that a model in which one of them never happens fails.
struct Outcomes<const COUNT: usize>([AtomicUsize; COUNT]);

impl<const COUNT: usize> Outcomes<COUNT> {
    const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; COUNT])
    }

    fn count(&self, outcome: usize) {
        self.0[outcome].fetch_add(1, Ordering::Relaxed);
    }

    fn check(&self) {
        let counts = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}

#[test]
fn a_pinned_thread_does_not_go_on_whatever_wakes_it() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            sleeper.wait()
        });
        let waking = spawn(&sleeper, |sleeper| sleeper.lock.release().unwrap());
        if let Some((pin, number)) = sleeper.pin() {
            assert_eq!(sleeper.steps(), 0);
            let _ = pin.owner(number);
            assert_eq!(sleeper.steps(), 0);
            OUTCOMES.count(0);
        } else {
            OUTCOMES.count(1);
        }
        waking.join().unwrap();
        assert_eq!(sleeping.join().unwrap(), Ok(()));
        assert!(sleeper.place.sleep().is_none());
    });
    OUTCOMES.check();
}

#[test]
fn a_sleep_that_is_seen_twice_has_lasted_all_the_time() {
    static OUTCOMES: Outcomes<3> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            assert_eq!(sleeper.wait(), Ok(()));
            assert_eq!(sleeper.wait(), Ok(()));
        });
        let reading = spawn(&sleeper, |sleeper| {
            let Some((pin, number)) = sleeper.pin() else {
                return OUTCOMES.count(0);
            };
            let before = sleeper.steps();
            drop(pin);
            let Some(pin) = sleeper.pin_again(number) else {
                return OUTCOMES.count(1);
            };
            assert_eq!(sleeper.steps(), before);
            drop(pin);
            OUTCOMES.count(2);
        });
        sleeper.lock.release().unwrap();
        while !sleeper.lock.is_locked() {
            thread::yield_now();
        }
        sleeper.lock.release().unwrap();
        reading.join().unwrap();
        sleeping.join().unwrap();
    });
    OUTCOMES.check();
}

#[test]
fn a_sleep_that_ends_by_itself_is_pinned_or_not_seen() {
    static OUTCOMES: Outcomes<3> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            assert_eq!(sleeper.wait_briefly(), Ok(()));
            assert_eq!(sleeper.wait_briefly(), Ok(()));
        });
        if let Some((pin, number)) = sleeper.pin() {
            let before = sleeper.steps();
            assert_eq!(sleeper.steps(), before);
            drop(pin);
            if let Some(pin) = sleeper.pin_again(number) {
                assert_eq!(sleeper.steps(), before);
                drop(pin);
                OUTCOMES.count(0);
            } else {
                OUTCOMES.count(1);
            }
        } else {
            OUTCOMES.count(2);
        }
        sleeping.join().unwrap();
        assert!(sleeper.lock.is_locked());
    });
    OUTCOMES.check();
}

#[test]
fn a_wait_that_is_ended_while_its_time_is_over_ends_by_its_verdict() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            sleeper.wait_briefly()
        });
        let ended = sleeper
            .pin()
            .is_some_and(|(pin, number)| pin.end(number, "a reason".to_owned()));
        assert_eq!(sleeping.join().unwrap().is_err(), ended);
        OUTCOMES.count(usize::from(ended));
    });
    OUTCOMES.check();
}

#[test]
fn a_thread_goes_on_after_the_last_of_two_pins() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            sleeper.wait()
        });
        let reading = spawn(&sleeper, |sleeper| {
            let pinned = sleeper.pin();
            let is_pinned = pinned.is_some();
            if is_pinned {
                assert_eq!(sleeper.steps(), 0);
            }
            is_pinned
        });
        let pinned = sleeper.pin();
        sleeper.lock.release().unwrap();
        if pinned.is_some() {
            assert_eq!(sleeper.steps(), 0);
        }
        let both = pinned.is_some();
        drop(pinned);
        let both = reading.join().unwrap() && both;
        assert_eq!(sleeping.join().unwrap(), Ok(()));
        OUTCOMES.count(usize::from(both));
    });
    OUTCOMES.check();
}

#[test]
fn a_wait_that_can_be_ended_ends_by_its_verdict() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            sleeper.wait()
        });
        let ended = sleeper.pin().is_some_and(|(pin, number)| {
            assert!(!pin.end(number + 1, "of no sleep".to_owned()));
            assert!(pin.end(number, "a reason".to_owned()));
            assert_eq!(sleeper.steps(), 0);
            true
        });
        if ended {
            // Nobody releases the lock: the verdict alone ends the wait.
            assert_eq!(sleeping.join().unwrap(), Err("a reason".to_owned()));
            assert!(sleeper.lock.is_locked());
        } else {
            sleeper.lock.release().unwrap();
            assert_eq!(sleeping.join().unwrap(), Ok(()));
        }
        OUTCOMES.count(usize::from(ended));
    });
    OUTCOMES.check();
}

#[test]
fn a_wait_that_is_ended_while_it_is_woken_ends_by_its_verdict_and_gives_back_what_it_got() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            sleeper.wait()
        });
        let waking = spawn(&sleeper, |sleeper| sleeper.lock.release().unwrap());
        let ended = sleeper
            .pin()
            .is_some_and(|(pin, number)| pin.end(number, "a reason".to_owned()));
        waking.join().unwrap();
        let outcome = sleeping.join().unwrap();
        assert_eq!(outcome.is_err(), ended);
        assert_eq!(sleeper.lock.is_locked(), !ended);
        OUTCOMES.count(usize::from(ended));
    });
    OUTCOMES.check();
}

#[test]
fn a_wait_that_must_succeed_is_not_ended() {
    static OUTCOMES: Outcomes<2> = Outcomes::new();
    model(|| {
        let sleeper = Sleeper::new();
        let sleeping = spawn(&sleeper, |sleeper| {
            sleeper.begin();
            observe::that_must_succeed(|| sleeper.wait())
        });
        let pinned = sleeper.pin();
        if let Some((pin, number)) = &pinned {
            assert!(!pin.end(*number, "a reason".to_owned()));
        }
        OUTCOMES.count(usize::from(pinned.is_some()));
        drop(pinned);
        sleeper.lock.release().unwrap();
        assert_eq!(sleeping.join().unwrap(), Ok(()));
    });
    OUTCOMES.check();
}
