//! Workers that wait for jobs of their own pool, and help.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::pool::{AsWorker, Awaited, Next, ORDINARY, Pool, Scaling, Worker};
use _oxthreads::wait::deadline::Wait;

use super::with_workers;
use crate::support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

/// Creates a pool whose workers help.
fn helping(workers: usize) -> (Pool<i32>, Vec<Arc<Worker>>) {
    let (pool, workers) = with_workers(workers);
    pool.set_helping(true);
    (pool, workers)
}

#[test]
fn of_workers_that_all_wait_one_that_can_is_chosen_to_help() {
    let (pool, _workers) = helping(2);
    let (never, event) = (Event::new(), Event::new());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        until_parked(&parked, 1);
        // The other worker is not blocked, so no worker must help.
        assert_eq!(parked.load(Ordering::SeqCst), 1);
        let other = scope.spawn(|| {
            let mut wait = never.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || false), &parked)
        });
        assert_eq!(helper.join().unwrap(), Awaited::Help);
        // The helper is not blocked any more. It blocks again and now cannot help, so all workers wait.
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
    let (pool, _workers) = helping(1);
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
    let (pool, workers) = helping(2);
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
    pool.set_helping(true);
    assert_eq!(pool.submit(0, ORDINARY), Ok(Scaling::Start));
    pool.end_start(true);
    let _worker = pool.arrive().unwrap();
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        // A worker is expected, which may take the job.
        until_parked(&parked, 1);
        pool.end_start(false);
        assert_eq!(helper.join().unwrap(), Awaited::Help);
    });
}

#[test]
fn nobody_helps_unless_told_to() {
    let (pool, _workers) = with_workers(1);
    let event = Event::new();
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut wait = event.wait();
            block_counting(AsWorker::new(&pool, &mut wait, || true), &parked)
        });
        until_parked(&parked, 1);
        event.set().unwrap();
        assert!(matches!(waiter.join().unwrap(), Awaited::Done(_)));
    });
    // Workers do not help in a pool that has fallen back either.
    let (pool, _workers) = helping(1);
    pool.fall_back();
    let never = Event::new();
    let mut wait = never.wait();
    let outcome = block(AsWorker::new(&pool, &mut wait, || true), soon());
    assert_eq!(outcome, Wait::TimedOut);
}

#[test]
fn a_pool_knows_what_its_workers_do() {
    let (pool, workers) = helping(2);
    assert!(!pool.does(5));
    workers[1].take_up(5);
    workers[1].take_up(6);
    assert!(pool.does(5) && pool.does(6));
    workers[1].put_down();
    assert!(pool.does(5) && !pool.does(6));
    pool.leave(&workers[1]);
    assert!(!pool.does(5));
}

#[test]
fn put_adds_a_job_even_to_a_full_or_closed_pool() {
    let (pool, workers) = with_workers(1);
    pool.set_backlog(1);
    for job in 1..=3 {
        pool.put(job).unwrap();
    }
    pool.close();
    pool.put(4).unwrap();
    for job in 1..=4 {
        assert_eq!(pool.try_take_as(&workers[0]), Some(job));
    }
    assert_eq!(block_for_ever(pool.take()), Next::Closed);
}

#[test]
fn put_wakes_an_idle_worker_or_has_one_started() {
    let pool = Pool::new(2);
    pool.put(1).unwrap();
    assert_eq!(pool.scale_for_pending(), Scaling::Start);
    assert_eq!(pool.scale_for_pending(), Scaling::Enough);
    pool.end_start(true);
    let worker = pool.arrive().unwrap();
    assert_eq!(pool.try_take_as(&worker), Some(1));
    thread::scope(|scope| {
        let idle = scope.spawn(|| block_for_ever(pool.take()));
        while pool.idle() == 0 {
            thread::yield_now();
        }
        pool.put(2).unwrap();
        assert_eq!(pool.scale_for_pending(), Scaling::Enough);
        assert_eq!(idle.join().unwrap(), Next::Job(2));
    });
}

#[test]
fn a_worker_that_leaves_stays_if_a_job_has_counted_on_it() {
    let (pool, workers) = with_workers(1);
    pool.close();
    assert_eq!(block_for_ever(pool.take()), Next::Closed);
    // The worker is about to end, but still counts.
    pool.reopen();
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    pool.leave(&workers[0]);
    let again = pool.stay().unwrap();
    assert!(pool.stay().is_none());
    assert_eq!(pool.try_take_as(&again), Some(1));
    pool.leave(&again);
    assert!(pool.stay().is_none());
}

#[test]
fn a_mark_is_there_until_a_worker_has_nothing_to_do() {
    let (pool, _workers) = with_workers(1);
    pool.mark();
    assert_eq!((pool.len(), pool.pending()), (1, 0));
    assert!(pool.take_mark());
    assert!(!pool.take_mark());
    pool.mark();
    assert_eq!(block(pool.take(), soon()), Wait::Ready(Next::Again));
    assert!(pool.is_empty());
    // A thread that is not a worker may wait for a mark.
    thread::scope(|scope| {
        let other = scope.spawn(|| block_for_ever(pool.take().or_mark()));
        while pool.idle() == 0 {
            thread::yield_now();
        }
        pool.mark();
        assert_eq!(other.join().unwrap(), Next::Mark);
    });
    pool.close();
    pool.mark();
    assert_eq!(block_for_ever(pool.take()), Next::Closed);
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_closed_pool_wakes_its_workers_and_not_those_who_wait_for_a_mark() {
    for fall_back in [false, true] {
        let (pool, workers) = with_workers(2);
        let parked = AtomicUsize::new(0);
        thread::scope(|scope| {
            // They are older than the workers in the list, so they would be woken first.
            let others: [_; 2] = std::array::from_fn(|_| {
                scope.spawn(|| block_counting(pool.take().or_mark(), &parked))
            });
            until_parked(&parked, 2);
            let ends: Vec<_> = (workers.iter())
                .map(|worker| {
                    scope.spawn(|| {
                        let next = block_for_ever(pool.take());
                        pool.leave(worker);
                        next
                    })
                })
                .collect();
            spin_until(|| pool.idle() == 4);
            if fall_back {
                pool.fall_back();
            } else {
                pool.close();
            }
            for end in ends {
                let expected = if fall_back {
                    Next::FellBack
                } else {
                    Next::Closed
                };
                assert_eq!(end.join().unwrap(), expected);
            }
            assert_eq!(pool.idle(), 2);
            assert_eq!(parked.load(Ordering::SeqCst), 2);
            pool.mark();
            pool.mark();
            for other in others {
                assert_eq!(other.join().unwrap(), Next::Mark);
            }
        });
    }
}
