use _oxthreads::primitives::single_run::{SingleRun, Turn};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::support::{block_for_ever, give_up, model};
use crate::{increment, spawn};

/// Work, and how often it was begun.
type Shared = (SingleRun, UnsafeCell<usize>);

fn shared() -> Arc<Shared> {
    Arc::new((SingleRun::new("test"), UnsafeCell::new(0)))
}

fn begin(run: &SingleRun, caller: u64) -> Turn {
    match run.try_begin(caller).unwrap() {
        Some(turn) => turn,
        None => block_for_ever(run.begin(caller)).unwrap(),
    }
}

fn count(shared: &Shared) -> usize {
    // SAFETY: whoever has begun has also ended. Loom checks that.
    shared.1.with(|count| unsafe { std::ptr::read(count) })
}

/// Does the work, and sees that it is done.
fn work(shared: &Shared, caller: u64) {
    if begin(&shared.0, caller) == Turn::Mine {
        increment(&shared.1);
        shared.0.finish();
    }
    assert!(count(shared) > 0);
}

#[test]
fn the_work_is_done_once() {
    model(|| {
        let shared = shared();
        let others = [2, 3].map(|caller| spawn(&shared, move |shared| work(shared, caller)));
        work(&shared, 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(count(&shared), 1);
    });
}

#[test]
fn a_turn_that_is_passed_on_goes_to_one_that_waits_or_comes() {
    model(|| {
        let shared = shared();
        let failing = spawn(&shared, |shared| {
            if begin(&shared.0, 1) == Turn::Mine {
                increment(&shared.1);
                shared.0.pass_on();
            }
        });
        let other = spawn(&shared, |shared| work(shared, 2));
        work(&shared, 3);
        failing.join().unwrap();
        other.join().unwrap();
        assert!(count(&shared) <= 2);
    });
}

#[test]
fn one_that_gives_up_does_not_keep_the_turn() {
    model(|| {
        let shared = shared();
        let hasty = spawn(&shared, |shared| {
            let turn = match shared.0.try_begin(1).unwrap() {
                None => give_up(shared.0.begin(1)).map(Result::unwrap),
                turn => turn,
            };
            if turn == Some(Turn::Mine) {
                increment(&shared.1);
                shared.0.pass_on();
            }
        });
        let failing = spawn(&shared, |shared| {
            if begin(&shared.0, 2) == Turn::Mine {
                increment(&shared.1);
                shared.0.pass_on();
            }
        });
        work(&shared, 3);
        hasty.join().unwrap();
        failing.join().unwrap();
    });
}

#[test]
fn who_comes_while_it_is_closed_is_told_so() {
    model(|| {
        let shared = shared();
        let other = spawn(&shared, |shared| match begin(&shared.0, 1) {
            Turn::Mine => {
                if !shared.0.pass_on_to_waiter() {
                    shared.0.close();
                }
            }
            turn => assert_eq!(turn, Turn::Closed),
        });
        match begin(&shared.0, 2) {
            Turn::Mine => {
                if !shared.0.pass_on_to_waiter() {
                    shared.0.close();
                }
            }
            turn => assert_eq!(turn, Turn::Closed),
        }
        other.join().unwrap();
        assert_eq!(shared.0.try_begin(3), Ok(Some(Turn::Closed)));
    });
}
