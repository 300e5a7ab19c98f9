use _oxthreads::primitives::holder::Holder;
use _oxthreads::primitives::rwlock::{Access, HoldsForReading, RwLock};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::support::{block_for_ever, give_up, model};
use crate::{increment, spawn};

const READ: Access = Access::Read;
const WRITE: Access = Access::Write;

/// A lock, and a number that only writers change.
type Shared = (RwLock, UnsafeCell<usize>);

fn acquire(lock: &RwLock, access: Access, holder: Holder) {
    if !lock.try_acquire(access, holder).unwrap() {
        block_for_ever(lock.acquire(access, holder)).unwrap();
    }
}

/// Acquires the lock if that needs no sleep. Returns whether it did.
fn try_for_a_moment(lock: &RwLock, access: Access, holder: Holder) -> bool {
    lock.try_acquire(access, holder).unwrap() || give_up(lock.acquire(access, holder)).is_some()
}

fn write(shared: &Shared, holder: Holder) {
    acquire(&shared.0, WRITE, holder);
    increment(&shared.1);
    shared.0.release(WRITE, holder).unwrap();
}

fn read(shared: &Shared, holder: Holder) {
    acquire(&shared.0, READ, holder);
    // SAFETY: a reader holds the lock, so nobody writes. Loom checks that.
    shared.1.with(|number| unsafe { std::ptr::read(number) });
    shared.0.release(READ, holder).unwrap();
}

fn shared() -> Arc<Shared> {
    Arc::new((RwLock::new(), UnsafeCell::new(0)))
}

fn assert_free(lock: &RwLock) {
    assert_eq!(
        (lock.writer(), lock.readers(), lock.waiting()),
        (None, vec![], 0)
    );
}

#[test]
fn nobody_reads_while_somebody_writes() {
    model(|| {
        let shared = shared();
        let writer = spawn(&shared, |shared| write(shared, 1));
        let reader = spawn(&shared, |shared| read(shared, 2));
        write(&shared, 3);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_free(&shared.0);
    });
}

#[test]
fn readers_behind_a_writer_that_gives_up_get_in() {
    model(|| {
        let shared = shared();
        acquire(&shared.0, READ, 1);
        let writer = spawn(&shared, |shared| {
            if try_for_a_moment(&shared.0, WRITE, 2) {
                increment(&shared.1);
                shared.0.release(WRITE, 2).unwrap();
            }
        });
        let reader = spawn(&shared, |shared| read(shared, 3));
        // The first reader goes on to read meanwhile, so it is the writer's end that lets the other one in.
        reader.join().unwrap();
        writer.join().unwrap();
        shared.0.release(READ, 1).unwrap();
        assert_free(&shared.0);
    });
}

#[test]
fn a_writer_that_gives_up_while_it_is_given_the_lock_loses_nothing() {
    model(|| {
        let shared = shared();
        acquire(&shared.0, READ, 1);
        let writer = spawn(&shared, |shared| {
            if try_for_a_moment(&shared.0, WRITE, 2) {
                increment(&shared.1);
                shared.0.release(WRITE, 2).unwrap();
            }
        });
        let reader = spawn(&shared, |shared| read(shared, 3));
        shared.0.release(READ, 1).unwrap();
        reader.join().unwrap();
        writer.join().unwrap();
        assert_free(&shared.0);
    });
}

#[test]
fn who_reads_may_read_again_while_a_writer_waits() {
    model(|| {
        let shared = shared();
        let writer = spawn(&shared, |shared| write(shared, 1));
        acquire(&shared.0, READ, 2);
        read(&shared, 2);
        shared.0.release(READ, 2).unwrap();
        writer.join().unwrap();
        assert_free(&shared.0);
    });
}

#[test]
fn a_writer_may_write_and_read_again() {
    model(|| {
        let shared = shared();
        let reader = spawn(&shared, |shared| read(shared, 1));
        acquire(&shared.0, WRITE, 2);
        acquire(&shared.0, READ, 2);
        write(&shared, 2);
        shared.0.release(WRITE, 2).unwrap();
        // It goes on to read.
        assert_eq!(shared.0.try_acquire(WRITE, 2), Err(HoldsForReading));
        shared.0.release(READ, 2).unwrap();
        reader.join().unwrap();
        assert_free(&shared.0);
    });
}

#[test]
fn a_writer_that_goes_on_to_read_lets_readers_in_and_no_writer() {
    model(|| {
        let shared = shared();
        acquire(&shared.0, WRITE, 1);
        let reader = spawn(&shared, |shared| read(shared, 2));
        let writer = spawn(&shared, |shared| write(shared, 3));
        increment(&shared.1);
        shared.0.downgrade(1).unwrap();
        // SAFETY: as in `read`.
        shared.1.with(|number| unsafe { std::ptr::read(number) });
        shared.0.release(READ, 1).unwrap();
        reader.join().unwrap();
        writer.join().unwrap();
        assert_free(&shared.0);
    });
}
