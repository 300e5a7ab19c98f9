use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::primitives::Retired;
use _oxthreads::primitives::barrier::{Barrier, Passage, Remains};
use _oxthreads::primitives::deadline::{Deadline, Wait};
use _oxthreads::primitives::waiter::{Parked, wait};

use crate::support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

#[test]
fn a_barrier_is_used_again_and_again() {
    const ROUNDS: usize = 2_000;
    for parties in 2..=4 {
        let barrier = Barrier::new(parties);
        let numbers: Vec<_> = (0..ROUNDS).map(|_| AtomicU32::new(0)).collect();
        let arrivals = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..parties {
                scope.spawn(|| {
                    for (round, numbers) in numbers.iter().enumerate() {
                        arrivals.fetch_add(1, Ordering::SeqCst);
                        let Passage::Passed(number) = block_for_ever(barrier.wait()) else {
                            panic!("nobody breaks it");
                        };
                        let expected = (round + 1) * parties as usize;
                        assert!(arrivals.load(Ordering::SeqCst) >= expected);
                        numbers.fetch_or(1 << number, Ordering::SeqCst);
                    }
                });
            }
        });
        for numbers in numbers {
            assert_eq!(numbers.into_inner(), (1 << parties) - 1);
        }
        assert_eq!(barrier.waiting(), 0);
    }
}

/// Threads that have come to a barrier for one more end as `expected`, once `body` has run.
fn with_waiters(barrier: &Barrier, expected: fn(u32) -> Passage, body: impl FnOnce()) {
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..barrier.parties() - 1 {
            let parked = &parked;
            scope.spawn(move || {
                let passage = block_counting(barrier.wait(), parked);
                assert_eq!(passage, expected(number));
            });
            until_parked(parked, number as usize + 1);
        }
        assert_eq!(barrier.waiting(), barrier.parties() - 1);
        body();
    });
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_time_out_breaks_a_barrier_until_it_is_reset() {
    let barrier = Barrier::new(4);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let passage = block_counting(barrier.wait(), &parked);
                assert_eq!(passage, Passage::Broken);
            });
        }
        until_parked(&parked, 2);
        assert_eq!(block(barrier.wait(), soon()), Wait::TimedOut);
    });
    assert!(barrier.is_broken());
    assert_eq!(barrier.waiting(), 0);
    assert_eq!(block_for_ever(barrier.wait()), Passage::Broken);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
    with_waiters(&barrier, Passage::Passed, || {
        assert_eq!(block_for_ever(barrier.wait()), Passage::Passed(3));
    });
}

#[test]
fn an_abort_and_a_reset_break_the_waits_that_have_begun() {
    let barrier = Barrier::new(3);
    let broken = |_| Passage::Broken;
    with_waiters(&barrier, broken, || barrier.reset().unwrap());
    assert!(!barrier.is_broken());
    with_waiters(&barrier, broken, || barrier.abort().unwrap());
    assert!(barrier.is_broken());
    assert_eq!(block_for_ever(barrier.wait()), Passage::Broken);
    barrier.reset_for(2).unwrap();
    with_waiters(&barrier, Passage::Passed, || {
        assert_eq!(block_for_ever(barrier.wait()), Passage::Passed(1));
    });
}

#[test]
fn an_arrival_that_crosses_a_time_out_counts_and_an_interrupted_wait_does_not() {
    let barrier = Barrier::new(2);
    let outcome = wait(&mut barrier.wait(), Deadline::NEVER, |_, _| {
        assert_eq!(block_for_ever(barrier.wait()), Passage::Passed(1));
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::Ready(Passage::Passed(0)));
    assert!(!barrier.is_broken());
    let outcome = wait(&mut barrier.wait(), Deadline::NEVER, |_, _| {
        Parked::Interrupted
    });
    assert_eq!(outcome, Wait::Interrupted);
    assert!(!barrier.is_broken());
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_round_passes_or_breaks_as_a_whole() {
    let barrier = Barrier::new(3);
    let start = std::sync::Barrier::new(3);
    let (passed, torn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..2_000 {
                    let before = passed.load(Ordering::SeqCst);
                    // Each time one comes a little later, until it meets the others' deadline.
                    if start.wait().is_leader() {
                        let delay = Duration::from_micros(round % 200);
                        let begin = Instant::now();
                        spin_until(|| begin.elapsed() >= delay);
                    }
                    let deadline = Deadline::after(Duration::from_micros(20));
                    let outcome = block(barrier.wait(), deadline);
                    if matches!(outcome, Wait::Ready(Passage::Passed(_))) {
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                    start.wait();
                    let here = passed.load(Ordering::SeqCst) - before;
                    if here != if barrier.is_broken() { 0 } else { 3 } {
                        torn.fetch_add(1, Ordering::SeqCst);
                    }
                    if start.wait().is_leader() {
                        barrier.reset().unwrap();
                    }
                    start.wait();
                }
            });
        }
    });
    assert_eq!(torn.into_inner(), 0);
}

#[test]
fn a_retired_barrier_sends_those_who_wait_elsewhere_with_their_numbers() {
    let barrier = Barrier::new(3);
    let moved = |number| Passage::Retired(Some(number));
    with_waiters(&barrier, moved, || {
        let remains = Remains {
            arrived: 2,
            broken: false,
        };
        assert_eq!(barrier.retire(), Some(remains));
    });
    assert!(barrier.is_retired());
    assert_eq!(barrier.retire(), None);
    assert_eq!(block_for_ever(barrier.wait()), Passage::Retired(None));
    assert_eq!(barrier.abort(), Err(Retired));
    assert_eq!(barrier.reset(), Err(Retired));
    assert_eq!(barrier.reset_for(1), Err(Retired));
}
