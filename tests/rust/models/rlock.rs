use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::rlock::{Hold, NotOwned, Owner, RLock};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::drive;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::support::{block_for_ever, give_up, model};
use crate::{increment, spawn};

fn acquire(rlock: &RLock, me: Owner) {
    if !rlock.try_acquire(me).unwrap() {
        block_for_ever(rlock.acquire(Hold::once(me)));
    }
}

#[test]
fn an_rlock_has_one_owner_and_no_lost_wake_up() {
    model(|| {
        let work = |shared: &(RLock, UnsafeCell<usize>), me| {
            acquire(&shared.0, me);
            increment(&shared.1);
            shared.0.release(me).unwrap();
        };
        let shared = Arc::new((RLock::new(), UnsafeCell::new(0)));
        let others = [2, 3].map(|me| spawn(&shared, move |shared| work(shared, me)));
        work(&shared, 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.0.hold(), Hold { count: 0, owner: 0 });
    });
}

#[test]
fn an_rlock_lets_its_owner_in_again_and_nobody_else() {
    model(|| {
        let work = |shared: &(RLock, UnsafeCell<usize>), me| {
            let (rlock, count) = shared;
            assert_eq!(rlock.release(me), Err(NotOwned));
            acquire(rlock, me);
            assert_eq!(rlock.try_acquire(me), Ok(true));
            increment(count);
            rlock.release(me).unwrap();
            assert!(rlock.is_owned_by(me));
            increment(count);
            rlock.release(me).unwrap();
            assert!(!rlock.is_owned_by(me));
        };
        let shared = Arc::new((RLock::new(), UnsafeCell::new(0)));
        let other = spawn(&shared, move |shared| work(shared, 2));
        work(&shared, 1);
        other.join().unwrap();
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn an_rlock_acquire_that_gives_up_passes_the_wake_on() {
    model(|| {
        let rlock = Arc::new(RLock::new());
        assert_eq!(rlock.try_acquire(1), Ok(true));
        let hasty = spawn(&rlock, |rlock| {
            let owned = give_up(rlock.acquire(Hold::once(2))).is_some();
            assert_eq!(rlock.is_owned_by(2), owned);
            assert_eq!(rlock.release(2).is_ok(), owned);
        });
        let patient = spawn(&rlock, |rlock| {
            block_for_ever(rlock.acquire(Hold::once(3)));
            rlock.release(3).unwrap();
        });
        rlock.release(1).unwrap();
        hasty.join().unwrap();
        patient.join().unwrap();
        assert_eq!(rlock.try_acquire(1), Ok(true));
    });
}

#[test]
fn an_rlock_is_given_up_whole_and_taken_again_whole_around_a_wait() {
    model(|| {
        let shared = Arc::new((RLock::new(), Condition::new()));
        let (rlock, condition) = &*shared;
        let hold = Hold { count: 2, owner: 1 };
        block_for_ever(rlock.acquire(hold));
        let other = spawn(&shared, |(rlock, condition)| {
            acquire(rlock, 2);
            // The lock is free only because the other thread waits.
            assert!(condition.notify_one());
            assert_eq!(rlock.hold(), Hold::once(2));
            rlock.release(2).unwrap();
        });
        let outcome = drive(
            &mut condition.wait(),
            Deadline::NEVER,
            |waiter, deadline| {
                assert_eq!(rlock.release_all(1), Ok(hold));
                waiter.park(deadline)
            },
        );
        block_for_ever(rlock.acquire(hold));
        assert_eq!(outcome, Wait::Ready(Ok(())));
        assert_eq!(rlock.hold(), hold);
        other.join().unwrap();
    });
}
