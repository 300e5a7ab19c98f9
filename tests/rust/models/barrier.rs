use _oxthreads::primitives::barrier::{Barrier, Passage, Remains};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::spawn;
use crate::support::{block_for_ever, give_up, model};

/// All `passages` are through, each with a number of its own.
fn all_passed<const N: usize>(passages: [Passage; N]) -> bool {
    let numbers = 0..u32::try_from(N).unwrap();
    numbers
        .map(Passage::Passed)
        .all(|one| passages.contains(&one))
}

fn none_passed<const N: usize>(passages: [Passage; N]) -> bool {
    let passed = |passage: &Passage| matches!(passage, Passage::Passed(_));
    !passages.iter().any(passed)
}

#[test]
fn all_pass_a_barrier_together_and_see_what_the_others_did_before() {
    model(|| {
        let work = |shared: &(Barrier, AtomicUsize)| {
            shared.1.fetch_add(1, Ordering::Relaxed);
            let passage = block_for_ever(shared.0.wait());
            assert_eq!(shared.1.load(Ordering::Relaxed), 3);
            passage
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
        let hasty = hasty.join().unwrap().unwrap_or(Passage::Broken);
        let passages = [mine, patient.join().unwrap(), hasty];
        match barrier.is_broken() {
            false => assert!(all_passed(passages)),
            true => assert_eq!(passages, [Passage::Broken; 3]),
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
            [None, Some(Passage::Broken)] | [Some(Passage::Broken), None] => {
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
        let passages = waiters.map(|waiter| waiter.join().unwrap());
        assert!(all_passed(passages) || passages == [Passage::Broken; 2]);
        assert!(barrier.is_broken());
    });
}

#[test]
fn a_reset_sends_those_who_wait_back_and_leaves_a_barrier_that_works() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let waiters = [(); 2].map(|()| {
            spawn(&barrier, |barrier| match block_for_ever(barrier.wait()) {
                Passage::Broken => (block_for_ever(barrier.wait()), 1),
                passage => (passage, 0),
            })
        });
        barrier.reset().unwrap();
        let [(first, broken), (second, broken_too)] = waiters.map(|waiter| waiter.join().unwrap());
        assert!(all_passed([first, second]));
        // The second to come is the last, and does not wait.
        assert!(broken + broken_too <= 1);
        assert!(!barrier.is_broken());
    });
}

#[test]
fn each_wait_passes_a_barrier_or_goes_on_where_it_was_retired_to() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let waiters = [(); 2].map(|()| spawn(&barrier, |barrier| block_for_ever(barrier.wait())));
        let remains = barrier.retire().unwrap();
        assert_eq!(barrier.retire(), None);
        let mut passages = waiters.map(|waiter| waiter.join().unwrap());
        if passages[0] == Passage::Retired(None) {
            passages.reverse();
        }
        assert!(!remains.broken);
        match remains.arrived {
            0 => assert!(all_passed(passages) || passages == [Passage::Retired(None); 2]),
            _ => assert_eq!(
                (remains.arrived, passages),
                (1, [Passage::Retired(Some(0)), Passage::Retired(None)])
            ),
        }
    });
}

#[test]
fn a_barrier_breaks_before_it_is_retired_or_not_at_all() {
    model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let hasty = spawn(&barrier, |barrier| give_up(barrier.wait()));
        let patient = spawn(&barrier, |barrier| block_for_ever(barrier.wait()));
        let Remains { arrived, broken } = barrier.retire().unwrap();
        let (hasty, patient) = (hasty.join().unwrap(), patient.join().unwrap());
        assert_eq!(hasty.is_none(), broken);
        let passages = [hasty.unwrap_or(Passage::Broken), patient];
        assert!(none_passed(passages));
        assert!(broken || !passages.contains(&Passage::Broken));
        let mut numbers: Vec<_> = passages
            .into_iter()
            .filter_map(|passage| match passage {
                Passage::Retired(number) => number,
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..arrived).collect::<Vec<_>>());
    });
}
