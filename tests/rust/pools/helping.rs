//! Workers that wait for jobs of their own pool, and help.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::pool::{AsWorker, Awaited, ORDINARY, Pool, Staffing};

use super::staffed;
use crate::support::{block_counting, block_for_ever, until_parked};

#[test]
fn of_workers_that_all_wait_one_that_can_is_chosen_to_help() {
    let (pool, _workers) = staffed(2);
    let (never, event) = (Event::new(), Event::new());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        until_parked(&parked, 1);
        // The other is not blocked: nobody has to help.
        assert_eq!(parked.load(Ordering::SeqCst), 1);
        let other = scope.spawn(|| {
            let mut wait = never.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || false), &parked)
        });
        assert_eq!(helper.join().unwrap(), Awaited::Help);
        // It is not blocked any more; when it is again, and cannot help, all wait.
        let again = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || false), &parked)
        });
        until_parked(&parked, 3);
        event.set().unwrap();
        assert!(matches!(again.join().unwrap(), Awaited::Done(_)));
        never.set().unwrap();
        assert!(matches!(other.join().unwrap(), Awaited::Done(_)));
    });
}

#[test]
fn a_worker_helps_at_once_if_all_others_wait_already() {
    let (pool, _workers) = staffed(1);
    let event = Event::new();
    let mut wait = event.wait();
    let outcome = block_for_ever(AsWorker::new(&pool, &mut wait, || true));
    assert_eq!(outcome, Awaited::Help);
    event.set().unwrap();
    let outcome = block_for_ever(AsWorker::new(&pool, &mut event.wait(), || true));
    assert!(matches!(outcome, Awaited::Done(_)));
}

#[test]
fn the_last_worker_that_is_not_blocked_leaves_the_rest_to_help() {
    let (pool, workers) = staffed(2);
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        until_parked(&parked, 1);
        pool.leave(&workers[1]);
        assert_eq!(helper.join().unwrap(), Awaited::Help);
    });
}

#[test]
fn a_start_that_failed_leaves_the_blocked_to_help() {
    let pool = Pool::new(2);
    assert_eq!(pool.submit(0, ORDINARY), Ok(Staffing::Start));
    pool.end_start(true);
    let _worker = pool.arrive().unwrap();
    assert_eq!(pool.submit(1, ORDINARY), Ok(Staffing::Start));
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        // A worker is expected, which may come for the job.
        until_parked(&parked, 1);
        pool.end_start(false);
        assert_eq!(helper.join().unwrap(), Awaited::Help);
    });
}
