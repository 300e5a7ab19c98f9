use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::rwlock::{Access, HoldsForReading, NotHeld, RwLock};
use _oxthreads::wait::deadline::Wait;
use _oxthreads::wait::{Parked, drive};

use crate::support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

const READ: Access = Access::Read;
const WRITE: Access = Access::Write;

fn assert_free(lock: &RwLock) {
    assert_eq!(
        (lock.writer(), lock.readers(), lock.waiting()),
        (None, vec![], 0)
    );
}

#[test]
fn readers_share_it_and_a_writer_has_it_alone() {
    let lock = RwLock::new();
    let (readers, writers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for holder in 1..=4 {
            let (lock, readers, writers) = (&lock, &readers, &writers);
            scope.spawn(move || {
                for round in 0..2_000_u64 {
                    let access = if (round + holder) % 3 == 0 {
                        WRITE
                    } else {
                        READ
                    };
                    if !lock.try_acquire(access, holder).unwrap() {
                        block_for_ever(lock.acquire(access, holder)).unwrap();
                    }
                    let mine = if access == READ { readers } else { writers };
                    mine.fetch_add(1, Ordering::SeqCst);
                    if access == WRITE {
                        assert_eq!(readers.load(Ordering::SeqCst), 0);
                        assert_eq!(writers.load(Ordering::SeqCst), 1);
                    } else {
                        assert_eq!(writers.load(Ordering::SeqCst), 0);
                    }
                    mine.fetch_sub(1, Ordering::SeqCst);
                    lock.release(access, holder).unwrap();
                }
            });
        }
    });
    assert_free(&lock);
}

#[test]
fn a_stream_of_readers_does_not_keep_a_writer_out() {
    let lock = RwLock::new();
    let parked = AtomicUsize::new(0);
    assert_eq!(lock.try_acquire(READ, 1), Ok(true));
    thread::scope(|scope| {
        let writer = scope.spawn(|| block_counting(lock.acquire(WRITE, 2), &parked));
        until_parked(&parked, 1);
        // A new reader has to wait, and one that reads already has not.
        assert_eq!(lock.try_acquire(READ, 3), Ok(false));
        assert_eq!(lock.try_acquire(READ, 1), Ok(true));
        lock.release(READ, 1).unwrap();
        lock.release(READ, 1).unwrap();
        assert_eq!(writer.join().unwrap(), Ok(()));
        assert_eq!(lock.writer(), Some(2));
    });
    lock.release(WRITE, 2).unwrap();
    assert_free(&lock);
}

#[test]
fn a_writer_that_times_out_lets_the_readers_behind_it_in() {
    let lock = RwLock::new();
    let parked = AtomicUsize::new(0);
    assert_eq!(lock.try_acquire(READ, 1), Ok(true));
    thread::scope(|scope| {
        let outcome = drive(&mut lock.acquire(WRITE, 2), soon(), |waiter, deadline| {
            scope.spawn(|| block_counting(lock.acquire(READ, 3), &parked));
            until_parked(&parked, 1);
            waiter.park(deadline);
            Parked::TimedOut
        });
        assert_eq!(outcome, Wait::TimedOut);
        spin_until(|| lock.readers().len() == 2);
    });
    lock.release(READ, 1).unwrap();
    lock.release(READ, 3).unwrap();
    assert_free(&lock);
}

#[test]
fn who_reads_is_not_let_write_even_if_it_waits_already() {
    let lock = RwLock::new();
    assert_eq!(lock.try_acquire(READ, 1), Ok(true));
    assert_eq!(lock.try_acquire(WRITE, 1), Err(HoldsForReading));
    assert_eq!(lock.try_acquire(READ, 2), Ok(true));
    assert_eq!(lock.try_acquire(WRITE, 1), Err(HoldsForReading));
    assert_eq!(
        block(lock.acquire(WRITE, 1), soon()),
        Wait::Ready(Err(HoldsForReading))
    );
    lock.release(READ, 1).unwrap();
    lock.release(READ, 2).unwrap();
    assert_free(&lock);
}

#[test]
fn what_is_not_held_is_not_released() {
    let lock = RwLock::new();
    for access in [READ, WRITE] {
        assert_eq!(lock.release(access, 1), Err(NotHeld));
        assert_eq!(lock.try_acquire(access, 1), Ok(true));
        assert_eq!(lock.release(access, 2), Err(NotHeld));
        assert_eq!(lock.downgrade(2), Err(NotHeld));
        let other = if access == READ { WRITE } else { READ };
        assert_eq!(lock.release(other, 1), Err(NotHeld));
        assert!(lock.is_held(access, 1) && !lock.is_held(other, 1) && !lock.is_held(access, 2));
        lock.release(access, 1).unwrap();
    }
    assert_free(&lock);
}

#[test]
fn holders_that_are_no_threads_have_numbers_above_those_of_all_threads() {
    let lock = RwLock::new();
    let (one, other) = (1 << 63 | 5, 5);
    assert_eq!(lock.try_acquire(WRITE, one), Ok(true));
    assert_eq!(lock.try_acquire(READ, other), Ok(false));
    assert!(lock.is_held(WRITE, one) && !lock.is_held(WRITE, other));
    lock.downgrade(one).unwrap();
    assert_eq!(lock.try_acquire(READ, other), Ok(true));
    lock.release(READ, one).unwrap();
    lock.release(READ, other).unwrap();
    assert_free(&lock);
}

#[test]
fn a_lock_that_is_reset_is_as_new() {
    let lock = RwLock::new();
    for access in [READ, WRITE] {
        assert_eq!(lock.try_acquire(access, 1), Ok(true));
        lock.reset();
        assert_free(&lock);
        assert_eq!(lock.release(access, 1), Err(NotHeld));
    }
}
