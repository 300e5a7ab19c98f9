//! Stale jobs: another thread runs them without taking them out of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::pool::{Job, ORDINARY, Pool};

use crate::support::{block_counting, until_parked};

/// A job that another thread can run without taking it out.
#[derive(Default)]
struct Shared {
    done: Arc<AtomicBool>,
}

impl Job for Shared {
    fn is_done_elsewhere(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

/// Creates a pool with this many jobs, and returns for each the flag that makes it stale. Every third job is
/// not an ordinary one.
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
    for stale in [0, 1] {
        done[stale].store(true, Ordering::SeqCst);
        pool.count_stale();
    }
    assert_eq!(pool.pending(), 2);
    // This job begins elsewhere at the moment when it comes out.
    let late = pool.try_take().unwrap();
    late.done.store(true, Ordering::SeqCst);
    pool.count_stale();
    pool.forget_stale();
    assert_eq!(pool.pending(), 1);
    assert!(
        pool.try_take()
            .is_some_and(|last| Arc::ptr_eq(&last.done, &done[3]))
    );
    assert!(pool.try_take().is_none());
    assert_eq!(pool.pending(), 0);
}

#[test]
fn many_stale_jobs_are_cleared_away() {
    let (pool, done) = shared(300);
    for (number, stale) in done.iter().enumerate() {
        if number % 10 != 0 {
            stale.store(true, Ordering::SeqCst);
            pool.count_stale();
        }
    }
    let remaining = done
        .iter()
        .filter(|done| Arc::strong_count(done) > 1)
        .count();
    assert!(remaining < 100, "{remaining}");
    assert_eq!(pool.pending(), 30);
    let taken = std::iter::from_fn(|| pool.try_take()).count();
    assert_eq!((taken, pool.pending()), (30, 0));
}

#[test]
fn a_stale_job_makes_room() {
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
        pool.count_stale();
        assert!(waiting.join().unwrap());
    });
    assert_eq!(pool.pending(), 1);
}
