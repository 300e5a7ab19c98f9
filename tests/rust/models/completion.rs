use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::completion::{Completions, Until};
use _oxthreads::primitives::future::{Future, Outcome};
use loom::sync::Arc;
use loom::thread;

use crate::support::{block_for_ever, model};

type Work = Future<i32, ()>;

fn finish(future: &Arc<Work>, outcome: Outcome<i32>) -> thread::JoinHandle<()> {
    let future = Arc::clone(future);
    thread::spawn(move || assert!(future.finish(outcome).is_ok()))
}

#[test]
fn each_future_that_finishes_is_found_once() {
    model(|| {
        let futures = [Arc::new(Work::new()), Arc::new(Work::new())];
        let completions = Completions::new(2, Until::First);
        let finishers: Vec<_> = futures
            .iter()
            .map(|future| finish(future, Outcome::Value(1)))
            .collect();
        for (entry, future) in futures.iter().enumerate() {
            assert_eq!(future.observe(&completions, entry), Ok(()));
        }
        let mut found = Vec::new();
        while found.len() < 2 {
            block_for_ever(completions.wait());
            let before = found.len();
            found.extend(completions.take());
            assert!(found.len() > before, "woken in vain");
        }
        found.sort_unstable();
        assert_eq!(found, [0, 1]);
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn the_last_of_all_wakes_and_all_are_there() {
    model(|| {
        let futures = [Arc::new(Work::new()), Arc::new(Work::new())];
        let completions = Completions::new(2, Until::All);
        for (entry, future) in futures.iter().enumerate() {
            assert_eq!(future.observe(&completions, entry), Ok(()));
        }
        let finishers: Vec<_> = futures
            .iter()
            .map(|future| finish(future, Outcome::Value(1)))
            .collect();
        block_for_ever(completions.wait());
        assert_eq!(completions.take().count(), 2);
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn a_failure_wakes_whether_it_is_the_first_or_the_last() {
    model(|| {
        let futures = [Arc::new(Work::new()), Arc::new(Work::new())];
        let completions = Completions::new(3, Until::FirstFailure);
        for (entry, future) in futures.iter().enumerate() {
            assert_eq!(future.observe(&completions, entry), Ok(()));
        }
        let finishers = [
            finish(&futures[0], Outcome::Value(1)),
            finish(&futures[1], Outcome::Error(2)),
        ];
        block_for_ever(completions.wait());
        assert!(completions.take().any(|entry| entry == 1));
        for finisher in finishers {
            finisher.join().unwrap();
        }
    });
}

#[test]
fn a_forgotten_future_has_finished_before_or_is_never_reported() {
    model(|| {
        let future = Arc::new(Work::new());
        let completions = Completions::new(1, Until::First);
        assert_eq!(future.observe(&completions, 0), Ok(()));
        let finisher = finish(&future, Outcome::Value(1));
        assert_eq!(future.forget(&completions), Ok(()));
        let found = completions.take().count();
        finisher.join().unwrap();
        assert_eq!(completions.take().count(), 0);
        assert!(found <= 1);
        assert_eq!(Arc::strong_count(&completions), 1);
    });
}

#[test]
fn the_observers_of_a_future_that_falls_back_go_with_it() {
    model(|| {
        let future = Arc::new(Work::new());
        let completions = Completions::new(1, Until::First);
        let fall_back = {
            let future = Arc::clone(&future);
            thread::spawn(move || future.fall_back().map(|remains| remains.observers))
        };
        let observed = future.observe(&completions, 0);
        let observers: Vec<_> = fall_back.join().unwrap().unwrap().into_iter().collect();
        assert_eq!(observers.len(), usize::from(observed == Ok(())));
        assert_eq!(future.forget(&completions), Err(FellBack));
        for observer in &observers {
            assert!(observer.complete(false));
            assert!(!observer.complete(false), "it is told once");
        }
        assert_eq!(completions.take().count(), observers.len());
    });
}

#[test]
fn a_cancellation_counts_once_it_is_seen() {
    model(|| {
        let future = Arc::new(Work::new());
        let completions = Completions::new(1, Until::All);
        assert!(future.cancel().is_ok());
        let worker = {
            let future = Arc::clone(&future);
            thread::spawn(move || assert_eq!(future.begin(), Ok(false)))
        };
        assert_eq!(future.observe(&completions, 0), Ok(()));
        block_for_ever(completions.wait());
        assert_eq!(completions.take().collect::<Vec<_>>(), [0]);
        worker.join().unwrap();
    });
}
