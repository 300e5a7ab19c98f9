use _oxthreads::primitives::FellBack;
use _oxthreads::primitives::semaphore::{AcquireError, ReleaseError, Semaphore};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, drive};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{block_for_ever, give_up, model};
use crate::{increment, spawn};

fn acquire(semaphore: &Semaphore) {
    if semaphore.try_acquire().is_err() {
        block_for_ever(semaphore.acquire()).unwrap();
    }
}

#[test]
fn a_semaphore_of_one_permit_has_one_owner_and_no_lost_wake_up() {
    model(|| {
        let work = |shared: &(Semaphore, UnsafeCell<usize>)| {
            acquire(&shared.0);
            increment(&shared.1);
            shared.0.release(1).unwrap();
        };
        let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0)));
        let others = [(); 2].map(|()| spawn(&shared, work));
        work(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.0.permits(), 1);
    });
}

#[test]
fn a_semaphore_has_no_more_owners_than_permits() {
    model(|| {
        let work = |shared: &(Semaphore, AtomicUsize)| {
            acquire(&shared.0);
            assert!(shared.1.fetch_add(1, Ordering::Relaxed) < 2);
            shared.1.fetch_sub(1, Ordering::Relaxed);
            shared.0.release(1).unwrap();
        };
        let shared = Arc::new((Semaphore::new(2), AtomicUsize::new(0)));
        let others = [(); 2].map(|()| spawn(&shared, work));
        work(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.0.permits(), 2);
    });
}

#[test]
fn one_permit_serves_two_who_hand_it_on() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let acquirers = [(); 2].map(|()| {
            spawn(&semaphore, |semaphore| {
                block_for_ever(semaphore.acquire()).unwrap();
                semaphore.release(1).unwrap();
            })
        });
        semaphore.release(1).unwrap();
        for acquirer in acquirers {
            acquirer.join().unwrap();
        }
        assert_eq!(semaphore.permits(), 1);
    });
}

#[test]
fn two_permits_at_once_serve_two() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let acquirers = [(); 2].map(|()| spawn(&semaphore, acquire));
        semaphore.release(2).unwrap();
        for acquirer in acquirers {
            acquirer.join().unwrap();
        }
        assert_eq!(semaphore.try_acquire(), Err(AcquireError::NoPermit));
    });
}

#[test]
fn an_acquire_that_gives_up_leaves_the_permit_to_another() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let hasty = spawn(&semaphore, |semaphore| give_up(semaphore.acquire()));
        let patient = spawn(&semaphore, acquire);
        semaphore.release(1).unwrap();
        match hasty.join().unwrap() {
            None => {}
            Some(outcome) => {
                assert_eq!(outcome, Ok(()));
                semaphore.release(1).unwrap();
            }
        }
        patient.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn a_permit_is_not_lost_to_barging_nor_to_one_who_is_handed_it_and_gives_up() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let hasty = spawn(&semaphore, |semaphore| {
            give_up(semaphore.acquire()).is_some_and(|outcome| outcome.is_ok())
        });
        let patient = spawn(&semaphore, acquire);
        semaphore.release(1).unwrap();
        if semaphore.try_acquire().is_ok() {
            semaphore.release(1).unwrap();
        }
        if hasty.join().unwrap() {
            semaphore.release(1).unwrap();
        }
        patient.join().unwrap();
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn an_acquirer_that_has_lost_is_handed_the_permit() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut sleeps = 0;
        let outcome = drive(
            &mut semaphore.acquire(),
            Deadline::NEVER,
            |waiter, deadline| {
                sleeps += 1;
                semaphore.release(1).unwrap();
                if sleeps == 1 {
                    assert_eq!(semaphore.try_acquire(), Ok(()));
                    return Parked::Unparked;
                }
                // In no interleaving of what follows does another thread get the permit.
                let barger = spawn(&semaphore, |semaphore| semaphore.try_acquire());
                let parked = waiter.park(deadline);
                assert_eq!(barger.join().unwrap(), Err(AcquireError::NoPermit));
                parked
            },
        );
        assert_eq!((outcome, sleeps), (Wait::Ready(Ok(())), 2));
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn a_semaphore_that_falls_back_conserves_permits() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let patient = spawn(&semaphore, |semaphore| {
            block_for_ever(semaphore.acquire()).is_ok()
        });
        let hasty = spawn(&semaphore, |semaphore| {
            give_up(semaphore.acquire()).is_some_and(|outcome| outcome.is_ok())
        });
        let releaser = spawn(&semaphore, |semaphore| semaphore.release(1));
        let left = semaphore.fall_back().unwrap();
        assert_eq!(semaphore.fall_back(), None);
        let released = match releaser.join().unwrap() {
            Ok(()) => 1,
            Err(error) => {
                assert_eq!(error, ReleaseError::FellBack);
                0
            }
        };
        let acquired = [patient, hasty].map(|one| i64::from(one.join().unwrap()));
        assert_eq!(left + acquired.iter().sum::<i64>(), released);
        assert_eq!(semaphore.try_acquire(), Err(AcquireError::FellBack));
        assert_eq!(block_for_ever(semaphore.acquire()), Err(FellBack));
        assert_eq!(semaphore.permits(), 0);
    });
}
