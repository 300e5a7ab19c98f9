use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use _oxthreads::primitives::rlock::{Hold, NotOwned, Overflow, Owner, RLock};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, drive};

use crate::support::{block_for_ever, soon};

#[test]
fn an_rlock_excludes_all_but_its_owner() {
    let rlock = RLock::new();
    let inside = AtomicBool::new(false);
    let start = Barrier::new(4);
    let acquire = |me| {
        if !rlock.try_acquire(me).unwrap() {
            block_for_ever(rlock.acquire(Hold::once(me)));
        }
    };
    thread::scope(|scope| {
        for me in 1..=4 {
            let (rlock, inside, start, acquire) = (&rlock, &inside, &start, &acquire);
            scope.spawn(move || {
                start.wait();
                for round in 0..3_000 {
                    acquire(me);
                    assert!(!inside.swap(true, Ordering::SeqCst));
                    for _ in 0..round % 4 {
                        acquire(me);
                    }
                    let count = 1 + round % 4;
                    assert_eq!(rlock.hold(), Hold { count, owner: me });
                    for _ in 0..round % 4 {
                        rlock.release(me).unwrap();
                    }
                    inside.store(false, Ordering::SeqCst);
                    rlock.release(me).unwrap();
                    assert_eq!(rlock.release(me), Err(NotOwned));
                }
            });
        }
    });
    assert!(!rlock.is_locked());
    assert_eq!(rlock.hold(), Hold { count: 0, owner: 0 });
}

#[test]
fn only_the_owner_releases_an_rlock_and_its_count_has_a_limit() {
    let (me, other): (Owner, Owner) = (1, 2);
    let rlock = RLock::new();
    assert_eq!(rlock.release(me), Err(NotOwned));
    assert_eq!(rlock.try_acquire(me), Ok(true));
    assert_eq!(rlock.try_acquire(other), Ok(false));
    assert_eq!(rlock.release(other), Err(NotOwned));
    assert_eq!(rlock.release_all(other), Err(NotOwned));
    assert_eq!(rlock.release_all(me), Ok(Hold::once(me)));
    assert!(!rlock.is_locked());

    let most = Hold {
        count: usize::MAX,
        owner: me,
    };
    block_for_ever(rlock.acquire(most));
    assert_eq!(rlock.try_acquire(me), Err(Overflow));
    assert_eq!(rlock.hold(), most);
    rlock.release(me).unwrap();
    assert_eq!(rlock.try_acquire(me), Ok(true));
    assert_eq!(rlock.release_all(me), Ok(most));
    assert_eq!(rlock.try_acquire(other), Ok(true));
}

#[test]
fn an_rlock_whose_wake_crosses_a_time_out_is_owned() {
    let rlock = RLock::new();
    assert_eq!(rlock.try_acquire(1), Ok(true));
    let mut acquire = rlock.acquire(Hold::once(2));
    assert_eq!(
        drive(&mut acquire, soon(), |waiter, deadline| waiter
            .park(deadline)),
        Wait::TimedOut
    );
    assert_eq!(rlock.hold(), Hold::once(1));
    let outcome = drive(&mut acquire, Deadline::NEVER, |_, _| {
        rlock.release(1).unwrap();
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::Ready(()));
    assert_eq!(rlock.hold(), Hold::once(2));
}
