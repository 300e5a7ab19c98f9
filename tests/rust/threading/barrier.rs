use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::barrier::{Barrier, BarrierOutcome, Remains};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, drive};

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
                        let BarrierOutcome::Passed(number) = block_for_ever(barrier.wait()) else {
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

/// Runs `body` while all threads but one have arrived at the barrier, and checks that each wait ends as
/// `expected`.
fn with_waiters(barrier: &Barrier, expected: fn(u32) -> BarrierOutcome, body: impl FnOnce()) {
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..barrier.parties() - 1 {
            let parked = &parked;
            scope.spawn(move || {
                let outcome = block_counting(barrier.wait(), parked);
                assert_eq!(outcome, expected(number));
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
                let outcome = block_counting(barrier.wait(), &parked);
                assert_eq!(outcome, BarrierOutcome::Broken);
            });
        }
        until_parked(&parked, 2);
        assert_eq!(block(barrier.wait(), soon()), Wait::TimedOut);
    });
    assert!(barrier.is_broken());
    assert_eq!(barrier.waiting(), 0);
    assert_eq!(block_for_ever(barrier.wait()), BarrierOutcome::Broken);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
    with_waiters(&barrier, BarrierOutcome::Passed, || {
        assert_eq!(block_for_ever(barrier.wait()), BarrierOutcome::Passed(3));
    });
}

#[test]
fn an_abort_and_a_reset_break_the_waits_that_have_begun() {
    let barrier = Barrier::new(3);
    let broken = |_| BarrierOutcome::Broken;
    with_waiters(&barrier, broken, || barrier.reset().unwrap());
    assert!(!barrier.is_broken());
    with_waiters(&barrier, broken, || barrier.abort().unwrap());
    assert!(barrier.is_broken());
    assert_eq!(block_for_ever(barrier.wait()), BarrierOutcome::Broken);
    barrier.reset_for(2).unwrap();
    with_waiters(&barrier, BarrierOutcome::Passed, || {
        assert_eq!(block_for_ever(barrier.wait()), BarrierOutcome::Passed(1));
    });
}

#[test]
fn an_arrival_that_crosses_a_time_out_counts_and_an_interrupted_wait_does_not() {
    let barrier = Barrier::new(2);
    let outcome = drive(&mut barrier.wait(), Deadline::NEVER, |_, _| {
        assert_eq!(block_for_ever(barrier.wait()), BarrierOutcome::Passed(1));
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::Ready(BarrierOutcome::Passed(0)));
    assert!(!barrier.is_broken());
    let outcome = drive(&mut barrier.wait(), Deadline::NEVER, |_, _| {
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
                    // In each round one thread comes a little later, until its arrival coincides with the
                    // deadline of the others.
                    if start.wait().is_leader() {
                        let delay = Duration::from_micros(round % 200);
                        let begin = Instant::now();
                        spin_until(|| begin.elapsed() >= delay);
                    }
                    let deadline = Deadline::after(Duration::from_micros(20));
                    let outcome = block(barrier.wait(), deadline);
                    if matches!(outcome, Wait::Ready(BarrierOutcome::Passed(_))) {
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
fn a_barrier_that_falls_back_sends_its_waiters_elsewhere_with_their_numbers() {
    let barrier = Barrier::new(3);
    let moved = |number| BarrierOutcome::FellBack(Some(number));
    with_waiters(&barrier, moved, || {
        let remains = Remains {
            arrived: 2,
            broken: false,
        };
        assert_eq!(barrier.fall_back(), Some(remains));
    });
    assert!(barrier.has_fallen_back());
    assert_eq!(barrier.fall_back(), None);
    assert_eq!(
        block_for_ever(barrier.wait()),
        BarrierOutcome::FellBack(None)
    );
    assert_eq!(barrier.abort(), Err(FellBack));
    assert_eq!(barrier.reset(), Err(FellBack));
    assert_eq!(barrier.reset_for(1), Err(FellBack));
}
