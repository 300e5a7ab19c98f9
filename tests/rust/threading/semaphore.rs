use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::semaphore::{AcquireError, ReleaseError, Semaphore};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::{Parked, drive};

use crate::support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

#[test]
fn a_semaphore_has_as_many_owners_as_permits_at_most() {
    let semaphore = Semaphore::new(2);
    let (owners, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..3_000 {
                    if semaphore.try_acquire().is_err() {
                        block_for_ever(semaphore.acquire()).unwrap();
                    }
                    most.fetch_max(1 + owners.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    owners.fetch_sub(1, Ordering::SeqCst);
                    semaphore.release(1).unwrap();
                }
            });
        }
    });
    assert!(most.into_inner() <= 2);
    assert_eq!(semaphore.permits(), 2);
}

#[test]
fn each_permit_wakes_one_waiter() {
    for give in [
        |semaphore: &Semaphore| semaphore.release(2).unwrap(),
        |semaphore: &Semaphore| semaphore.set_permits(2).unwrap(),
    ] {
        let semaphore = Semaphore::new(0);
        let (parked, acquired) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    assert_eq!(block_counting(semaphore.acquire(), &parked), Ok(()));
                    acquired.fetch_add(1, Ordering::SeqCst);
                });
            }
            until_parked(&parked, 3);
            give(&semaphore);
            spin_until(|| acquired.load(Ordering::SeqCst) == 2);
            assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermit));
            semaphore.release(1).unwrap();
        });
        // Each thread was woken for a permit that was there, so no thread slept twice.
        assert_eq!(parked.into_inner(), 3);
        assert_eq!(semaphore.permits(), 0);
    }
}

#[test]
fn an_acquirer_that_loses_is_handed_the_permit() {
    let semaphore = Semaphore::new(0);
    let parked = AtomicUsize::new(0);
    let got = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_counting(semaphore.acquire(), &parked).unwrap();
            got.store(true, Ordering::SeqCst);
            semaphore.release(1).unwrap();
        });
        until_parked(&parked, 1);
        // The owner of the permit releases it and takes it again as fast as it can. Without the limit on
        // barging, the waiter would hardly ever get it.
        spin_until(|| {
            semaphore.release(1).unwrap();
            while semaphore.try_acquire().is_err() {
                if got.load(Ordering::SeqCst) {
                    return true;
                }
            }
            got.load(Ordering::SeqCst)
        });
    });
    assert!(got.into_inner());
}

#[test]
fn a_permit_that_is_handed_over_is_nobody_elses_even_if_the_wait_times_out() {
    let semaphore = Semaphore::new(0);
    let mut sleeps = 0;
    let outcome = drive(&mut semaphore.acquire(), Deadline::NEVER, |_, _| {
        sleeps += 1;
        semaphore.release(1).unwrap();
        if sleeps == 1 {
            semaphore.try_acquire().unwrap();
            let begin = Instant::now();
            spin_until(|| begin.elapsed() >= HAND_OFF_AFTER);
            return Parked::Unparked;
        }
        assert_eq!(semaphore.permits(), 0);
        assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermit));
        Parked::TimedOut
    });
    assert_eq!((outcome, sleeps), (Wait::Ready(Ok(())), 2));
    assert_eq!(semaphore.permits(), 0);
}

#[test]
fn a_permit_whose_wake_crosses_a_time_out_is_not_lost() {
    let semaphore = Semaphore::new(0);
    assert_eq!(block(semaphore.acquire(), soon()), Wait::TimedOut);
    let outcome = drive(&mut semaphore.acquire(), Deadline::NEVER, |_, _| {
        semaphore.release(1).unwrap();
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::Ready(Ok(())));
    assert_eq!(semaphore.permits(), 0);
    // If another thread has taken the permit first, the wait has timed out, and takes no later wake.
    let outcome = drive(&mut semaphore.acquire(), Deadline::NEVER, |_, _| {
        semaphore.release(1).unwrap();
        semaphore.try_acquire().unwrap();
        Parked::TimedOut
    });
    assert_eq!(outcome, Wait::TimedOut);
    semaphore.release(1).unwrap();
    assert_eq!(semaphore.permits(), 1);
}

#[test]
fn an_interrupted_acquire_keeps_its_place() {
    let semaphore = Semaphore::new(0);
    let mut first = semaphore.acquire();
    let interrupted = drive(&mut first, Deadline::NEVER, |_, _| Parked::Interrupted);
    assert_eq!(interrupted, Wait::Interrupted);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| block_counting(semaphore.acquire(), &parked).unwrap());
        until_parked(&parked, 1);
        let outcome = drive(&mut first, Deadline::NEVER, |waiter, _| {
            semaphore.release(1).unwrap();
            // The release has woken this waiter, so it need not sleep at all.
            waiter.park(Deadline::now())
        });
        assert_eq!(outcome, Wait::Ready(Ok(())));
        semaphore.release(1).unwrap();
    });
    assert_eq!(parked.into_inner(), 1);
}

#[test]
fn a_release_above_the_bound_gives_back_nothing() {
    let semaphore = Semaphore::new(3);
    assert_eq!(semaphore.bound(), i64::MAX);
    semaphore.set_bound(3);
    assert_eq!(semaphore.release(1), Err(ReleaseError::AboveBound));
    semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.release(2), Err(ReleaseError::AboveBound));
    assert_eq!(semaphore.permits(), 2);
    assert_eq!(semaphore.release(i64::MAX), Err(ReleaseError::AboveBound));
    assert_eq!(semaphore.permits(), 2);
    semaphore.release(1).unwrap();
    assert_eq!(semaphore.permits(), 3);
    // A number of permits that cannot be counted is above every bound.
    semaphore.set_bound(i64::MAX);
    assert_eq!(semaphore.release(i64::MAX), Err(ReleaseError::AboveBound));
    assert_eq!(semaphore.permits(), 3);
}

#[test]
fn a_semaphore_that_falls_back_returns_its_permits_and_refuses_its_waiters() {
    let semaphore = Semaphore::new(0);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(block_counting(semaphore.acquire(), &parked), Err(FellBack)));
        }
        until_parked(&parked, 2);
        assert_eq!(semaphore.fall_back(), Some(0));
    });
    assert!(semaphore.has_fallen_back());
    assert_eq!(semaphore.fall_back(), None);
    assert_eq!(semaphore.release(1), Err(ReleaseError::FellBack));
    assert_eq!(semaphore.set_permits(1), Err(FellBack));
    assert_eq!(semaphore.try_acquire(), Err(AcquireError::FellBack));

    let semaphore = Semaphore::new(3);
    assert_eq!(semaphore.fall_back(), Some(3));
    assert_eq!(semaphore.try_acquire(), Err(AcquireError::FellBack));
    assert_eq!(semaphore.permits(), 0);
}
