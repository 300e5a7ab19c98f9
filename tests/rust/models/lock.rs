use _oxthreads::primitives::lock::Lock;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::support::{block_for_ever, give_up, model};
use crate::{increment, spawn};

#[test]
fn a_lock_has_one_owner_and_no_lost_wake_up() {
    model(|| {
        let work = |shared: &(Lock, UnsafeCell<usize>)| {
            if !shared.0.try_acquire() {
                block_for_ever(shared.0.acquire());
            }
            increment(&shared.1);
            shared.0.release().unwrap();
        };
        let shared = Arc::new((Lock::new(), UnsafeCell::new(0)));
        let others = [(); 2].map(|()| spawn(&shared, work));
        work(&shared);
        for other in others {
            other.join().unwrap();
        }
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn an_acquire_that_gives_up_passes_the_wake_on() {
    model(|| {
        let lock = Arc::new(Lock::new());
        assert!(lock.try_acquire());
        let hasty = spawn(&lock, |lock| {
            if give_up(lock.acquire()).is_some() {
                lock.release().unwrap();
            }
        });
        let patient = spawn(&lock, |lock| {
            block_for_ever(lock.acquire());
            lock.release().unwrap();
        });
        lock.release().unwrap();
        hasty.join().unwrap();
        patient.join().unwrap();
        assert!(lock.try_acquire());
    });
}
