//! Jobs that others do without taking them out of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::pool::{Job, ORDINARY, Pool};

use crate::support::{block_counting, until_parked};

/// A job that others can do without taking it out.
#[derive(Default)]
struct Shared {
    done: Arc<AtomicBool>,
}

impl Job for Shared {
    fn is_done_elsewhere(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

/// A pool with so many jobs, and what says of each that it is done; every third job is no ordinary one.
fn shared(jobs: usize) -> (Pool<Shared>, Vec<Arc<AtomicBool>>) {
    let pool = Pool::new(0);
    let done = (0..jobs)
        .map(|job| {
            let shared = Shared::default();
            let done = Arc::clone(&shared.done);
            assert!(pool.submit(shared, i64::from(job % 3 == 0)).is_ok());
            done
        })
        .collect();
    (pool, done)
}

#[test]
fn jobs_done_elsewhere_are_not_pending_and_do_not_come_out() {
    let (pool, done) = shared(4);
    for leftover in [0, 1] {
        done[leftover].store(true, Ordering::SeqCst);
        pool.count_leftover();
    }
    assert_eq!(pool.pending(), 2);
    // This one begins elsewhere in the moment when it comes out.
    let late = pool.try_take().unwrap();
    late.done.store(true, Ordering::SeqCst);
    pool.count_leftover();
    pool.forget_leftover();
    assert_eq!(pool.pending(), 1);
    assert!(
        pool.try_take()
            .is_some_and(|last| Arc::ptr_eq(&last.done, &done[3]))
    );
    assert!(pool.try_take().is_none());
    assert_eq!(pool.pending(), 0);
}

#[test]
fn many_leftovers_are_cleared_away() {
    let (pool, done) = shared(300);
    for (number, leftover) in done.iter().enumerate() {
        if number % 10 != 0 {
            leftover.store(true, Ordering::SeqCst);
            pool.count_leftover();
        }
    }
    let kept = done
        .iter()
        .filter(|done| Arc::strong_count(done) > 1)
        .count();
    assert!(kept < 100, "{kept}");
    assert_eq!(pool.pending(), 30);
    let taken = std::iter::from_fn(|| pool.try_take()).count();
    assert_eq!((taken, pool.pending()), (30, 0));
}

#[test]
fn a_leftover_makes_room() {
    let pool = Pool::new(0);
    pool.set_backlog(1);
    let job = Shared::default();
    let done = Arc::clone(&job.done);
    assert!(pool.submit(job, ORDINARY).is_ok());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            block_counting(pool.submit_when_room(Shared::default(), ORDINARY), &parked).is_ok()
        });
        until_parked(&parked, 1);
        done.store(true, Ordering::SeqCst);
        pool.count_leftover();
        assert!(waiting.join().unwrap());
    });
    assert_eq!(pool.pending(), 1);
}
