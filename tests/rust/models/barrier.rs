use _oxthreads::primitives::barrier::{Barrier, BarrierOutcome, Remains};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::spawn;
use crate::support::{block_for_ever, give_up, model};

/// Whether all these waits have passed, each with a number of its own.
fn all_passed<const N: usize>(outcomes: [BarrierOutcome; N]) -> bool {
    let numbers = 0..u32::try_from(N).unwrap();
    numbers
        .map(BarrierOutcome::Passed)
        .all(|one| outcomes.contains(&one))
}

fn none_passed<const N: usize>(outcomes: [BarrierOutcome; N]) -> bool {
    let passed = |outcome: &BarrierOutcome| matches!(outcome, BarrierOutcome::Passed(_));
    !outcomes.iter().any(passed)
}

#[test]
fn all_pass_a_barrier_together_and_see_what_the_others_did_before() {
    model(|| {
        let work = |shared: &(Barrier, AtomicUsize)| {
            shared.1.fetch_add(1, Ordering::Relaxed);
            let outcome = block_for_ever(shared.0.wait());
            assert_eq!(shared.1.load(Ordering::Relaxed), 3);
            outcome
        };
        let shared = Arc::new((Barrier::new(3), AtomicUsize::new(0)));
        let others = [(); 2].map(|()| spawn(&shared, work));
        let mine = work(&shared);
        let [second, third] = others.map(|other| other.join().unwrap());
        assert!(all_passed([mine, second, third]));
        assert_eq!(shared.0.waiting(), 0);
    });
}

#[test]
fn a_barrier_keeps_its_rounds_apart() {
    model(|| {
        let work = |barrier: &Barrier| [(); 3].map(|()| block_for_ever(barrier.wait()));
        let barrier = Arc::new(Barrier::new(2));
        let other = spawn(&barrier, work);
        let mine = work(&barrier);
        for (mine, theirs) in mine.into_iter().zip(other.join().unwrap()) {
            assert!(all_passed([mine, theirs]));
        }
    });
}

#[test]
fn a_time_out_breaks_the_barrier_for_all_or_all_pass() {
    model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let hasty = spawn(&barrier, |barrier| give_up(barrier.wait()));
        let patient = spawn(&barrier, |barrier| block_for_ever(barrier.wait()));
        let mine = block_for_ever(barrier.wait());
        let hasty = hasty.join().unwrap().unwrap_or(BarrierOutcome::Broken);
        let outcomes = [mine, patient.join().unwrap(), hasty];
        match barrier.is_broken() {
            false => assert!(all_passed(outcomes)),
            true => assert_eq!(outcomes, [BarrierOutcome::Broken; 3]),
        }
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn of_two_that_time_out_one_breaks_the_barrier() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = spawn(&barrier, |barrier| give_up(barrier.wait()));
        let outcomes = [give_up(barrier.wait()), other.join().unwrap()];
        match outcomes {
            [Some(mine), Some(theirs)] => {
                assert!(all_passed([mine, theirs]) && !barrier.is_broken());
            }
            [None, Some(BarrierOutcome::Broken)] | [Some(BarrierOutcome::Broken), None] => {
                assert!(barrier.is_broken());
            }
            _ => panic!("{outcomes:?}"),
        }
    });
}

#[test]
fn an_abort_comes_before_the_last_arrival_or_after() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let waiters = [(); 2].map(|()| spawn(&barrier, |barrier| block_for_ever(barrier.wait())));
        barrier.abort().unwrap();
        let outcomes = waiters.map(|waiter| waiter.join().unwrap());
        assert!(all_passed(outcomes) || outcomes == [BarrierOutcome::Broken; 2]);
        assert!(barrier.is_broken());
    });
}

#[test]
fn a_reset_sends_those_who_wait_back_and_leaves_a_barrier_that_works() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let waiters = [(); 2].map(|()| {
            spawn(&barrier, |barrier| match block_for_ever(barrier.wait()) {
                BarrierOutcome::Broken => (block_for_ever(barrier.wait()), 1),
                outcome => (outcome, 0),
            })
        });
        barrier.reset().unwrap();
        let [(first, broken), (second, broken_too)] = waiters.map(|waiter| waiter.join().unwrap());
        assert!(all_passed([first, second]));
        // The second thread to arrive is the last one and does not wait, so at most one of them can find the
        // barrier broken.
        assert!(broken + broken_too <= 1);
        assert!(!barrier.is_broken());
    });
}

#[test]
fn each_wait_passes_or_continues_where_the_barrier_fell_back_to() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let waiters = [(); 2].map(|()| spawn(&barrier, |barrier| block_for_ever(barrier.wait())));
        let remains = barrier.fall_back().unwrap();
        assert_eq!(barrier.fall_back(), None);
        let mut outcomes = waiters.map(|waiter| waiter.join().unwrap());
        if outcomes[0] == BarrierOutcome::FellBack(None) {
            outcomes.reverse();
        }
        assert!(!remains.broken);
        match remains.arrived {
            0 => assert!(all_passed(outcomes) || outcomes == [BarrierOutcome::FellBack(None); 2]),
            _ => assert_eq!(
                (remains.arrived, outcomes),
                (
                    1,
                    [
                        BarrierOutcome::FellBack(Some(0)),
                        BarrierOutcome::FellBack(None)
                    ]
                )
            ),
        }
    });
}

#[test]
fn a_barrier_breaks_before_it_falls_back_or_not_at_all() {
    model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let hasty = spawn(&barrier, |barrier| give_up(barrier.wait()));
        let patient = spawn(&barrier, |barrier| block_for_ever(barrier.wait()));
        let Remains { arrived, broken } = barrier.fall_back().unwrap();
        let (hasty, patient) = (hasty.join().unwrap(), patient.join().unwrap());
        assert_eq!(hasty.is_none(), broken);
        let outcomes = [hasty.unwrap_or(BarrierOutcome::Broken), patient];
        assert!(none_passed(outcomes));
        assert!(broken || !outcomes.contains(&BarrierOutcome::Broken));
        let mut numbers: Vec<_> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                BarrierOutcome::FellBack(number) => number,
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..arrived).collect::<Vec<_>>());
    });
}
