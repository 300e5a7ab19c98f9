//! Pools of workers, used by threads.
#![cfg(not(loom))]

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::primitives::future::{Future, Outcome, Start};
use _oxthreads::primitives::pool::{Next, ORDINARY, Pool, Scaling, SubmitError, Worker};
use _oxthreads::wait::deadline::Wait;
use _oxthreads::wait::{Operation, Parked, Waiter};
use support::{block, block_counting, block_for_ever, soon, spin_until, until_parked};

mod helping;
mod stale;
#[path = "../support/mod.rs"]
mod support;

/// Creates a pool whose workers have arrived and wake each other one by one.
fn with_workers_woken_one_by_one(count: usize) -> (Pool<i32>, Vec<Arc<Worker>>) {
    let (pool, workers) = with_workers(count);
    (pool.waking_one_by_one(), workers)
}

/// Creates a pool whose workers have arrived.
fn with_workers(workers: usize) -> (Pool<i32>, Vec<Arc<Worker>>) {
    let pool = Pool::new(workers);
    let arrived = (0..workers)
        .map(|_| {
            assert_eq!(pool.submit(0, ORDINARY), Ok(Scaling::Start));
            pool.end_start(true);
            let worker = pool.arrive().unwrap();
            assert_eq!(pool.try_take_as(&worker), Some(0));
            worker
        })
        .collect();
    (pool, arrived)
}

#[test]
fn workers_are_started_as_needed_and_let_go_when_it_is_closed() {
    let pool = Arc::new(Pool::new(2));
    let done = Arc::new(AtomicI32::new(0));
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(3, ORDINARY), Ok(Scaling::Enough));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            thread::spawn(move || {
                let worker = pool.arrive().unwrap();
                while let Next::Job(job) = block_for_ever(pool.take()) {
                    done.fetch_add(job, Ordering::SeqCst);
                }
                pool.leave(&worker);
            })
        })
        .collect();
    spin_until(|| done.load(Ordering::SeqCst) == 6);
    pool.close();
    assert_eq!(pool.submit(4, ORDINARY), Err((SubmitError::Closed, 4)));
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(pool.statistics().workers, 0);
}

#[test]
fn a_worker_whose_start_was_given_up_is_sent_away() {
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    pool.end_start(false);
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    assert!(pool.arrive().is_some());
    assert!(pool.arrive().is_none());
}

#[test]
fn the_wait_for_starts_ends_with_the_last_and_not_with_the_workers_arrival() {
    let pool = Pool::new(3);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    assert!(pool.arrive().is_some());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| block_counting(pool.wait_for_starts(), &parked));
        until_parked(&parked, 1);
        pool.end_start(true);
        assert_eq!(block(pool.wait_for_starts(), soon()), Wait::TimedOut);
        pool.end_start(true);
        waiter.join().unwrap();
    });
    // One worker has not arrived; it may have died on its way.
    block_for_ever(pool.wait_for_starts());
    assert!(pool.arrive().is_some());
}

#[test]
fn lower_priorities_come_first_and_equal_ones_in_order() {
    let pool = Pool::new(0);
    for (job, priority) in [
        (1, ORDINARY),
        (2, 5),
        (3, -1),
        (4, ORDINARY),
        (5, -1),
        (6, i64::MIN),
        (7, i64::MAX),
        (8, 5),
    ] {
        assert_eq!(pool.submit(job, priority), Ok(Scaling::Enough));
    }
    assert_eq!(pool.pending(), 8);
    let order: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
    assert_eq!(order, [6, 3, 5, 1, 4, 2, 8, 7]);
}

#[test]
fn a_full_pool_refuses_and_those_that_wait_come_in_in_order() {
    let (pool, _workers) = with_workers(1);
    pool.set_backlog(2);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(3, ORDINARY), Err((SubmitError::Full, 3)));
    assert_eq!(
        block(pool.submit_when_room(4, ORDINARY), soon()),
        Wait::TimedOut
    );
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let submissions: Vec<_> = (5..8)
            .map(|job| {
                let parked = &parked;
                let pool = &pool;
                let submission = scope
                    .spawn(move || block_counting(pool.submit_when_room(job, ORDINARY), parked));
                until_parked(parked, job as usize - 4);
                submission
            })
            .collect();
        // A later submission does not pass the waiting ones.
        assert_eq!(pool.try_take(), Some(1));
        assert_eq!(pool.submit(8, ORDINARY), Err((SubmitError::Full, 8)));
        let order: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
        assert_eq!(order, [2, 5, 6, 7]);
        for submission in submissions {
            assert_eq!(submission.join().unwrap(), Ok(Scaling::Enough));
        }
    });
}

#[test]
fn a_submission_that_waits_is_refused_when_the_pool_is_closed() {
    let (pool, _workers) = with_workers(1);
    pool.set_backlog(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_counting(pool.submit_when_room(2, ORDINARY), &parked));
        until_parked(&parked, 1);
        pool.close();
        assert_eq!(waiting.join().unwrap(), Err((SubmitError::Closed, 2)));
    });
}

#[test]
fn an_idle_worker_is_dismissed_and_another_is_started_for_the_next_job() {
    let (pool, workers) = with_workers(1);
    let outcome = block(pool.take().or_leave(&workers[0]), soon());
    assert_eq!(outcome, Wait::Ready(Next::Dismissed));
    assert_eq!(pool.statistics().workers, 0);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
}

#[test]
fn no_job_is_lost_between_a_submission_and_a_dismissal() {
    for _ in 0..200 {
        let (pool, workers) = with_workers(1);
        let barrier = Barrier::new(2);
        let (found, scaling) = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                barrier.wait();
                loop {
                    match block(pool.take().or_leave(&workers[0]), soon()) {
                        Wait::Ready(Next::Again) => {}
                        Wait::Ready(next) => return next,
                        _ => unreachable!("a deadline that passes is the worker's end"),
                    }
                }
            });
            barrier.wait();
            thread::sleep(Duration::from_micros(4_900));
            let scaling = pool.submit(1, ORDINARY);
            (worker.join().unwrap(), scaling)
        });
        match found {
            Next::Job(1) => assert_eq!(scaling, Ok(Scaling::Enough)),
            Next::Dismissed => assert_eq!(scaling, Ok(Scaling::Start)),
            next => panic!("{next:?}"),
        }
    }
}

#[test]
fn the_worker_that_was_idle_last_is_woken_first() {
    let (pool, _workers) = with_workers(2);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let first = scope.spawn(|| block_counting(pool.take(), &parked));
        until_parked(&parked, 1);
        spin_until(|| pool.idle() == 1);
        let second = scope.spawn(|| block_counting(pool.take(), &parked));
        until_parked(&parked, 2);
        assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
        assert_eq!(second.join().unwrap(), Next::Job(1));
        assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
        assert_eq!(first.join().unwrap(), Next::Job(2));
    });
}

#[test]
fn a_worker_that_was_woken_and_takes_a_job_wakes_the_next_if_more_are_pending() {
    let (pool, _workers) = with_workers_woken_one_by_one(3);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Each worker takes one job, which never ends as far as the others know.
        let workers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| block_counting(pool.take(), &parked)))
            .collect();
        until_parked(&parked, 3);
        spin_until(|| pool.idle() == 3);
        for job in 1..=3 {
            assert_eq!(pool.submit(job, ORDINARY), Ok(Scaling::Enough));
        }
        let mut taken: Vec<_> = workers
            .into_iter()
            .map(|worker| match worker.join().unwrap() {
                Next::Job(job) => job,
                next => panic!("{next:?}"),
            })
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3]);
    });
}

#[test]
fn a_woken_worker_is_enough_for_one_job_and_not_for_two() {
    let pool = Pool::new(2);
    assert_eq!(pool.submit(0, ORDINARY), Ok(Scaling::Start));
    pool.end_start(true);
    assert_eq!(pool.try_take(), Some(0));
    let _worker = pool.arrive().unwrap();
    let mut take = pool.take();
    assert_eq!(take.attempt(&Waiter::new()), None);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    pool.end_start(true);
    assert_eq!(take.leave(Parked::Unparked), None);
    assert_eq!(take.attempt(&Waiter::new()), Some(Next::Job(1)));
}

#[test]
fn a_woken_worker_that_does_not_look_wakes_another() {
    let (pool, _workers) = with_workers_woken_one_by_one(2);
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let second = scope.spawn(|| block_counting(pool.take(), &parked));
        until_parked(&parked, 1);
        spin_until(|| pool.idle() == 1);
        let mut take = pool.take();
        assert_eq!(take.attempt(&Waiter::new()), None);
        // This worker was idle last, so it is woken.
        assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
        assert_eq!(take.leave(Parked::Interrupted), None);
        drop(take);
        assert_eq!(second.join().unwrap(), Next::Job(1));
    });
}

#[test]
fn an_idle_worker_whose_time_is_up_stays_if_a_submission_has_counted_on_it() {
    for jobs in 1..=2 {
        let (pool, workers) = with_workers_woken_one_by_one(2);
        let (mut first, mut second) = (pool.take().or_leave(&workers[0]), pool.take());
        assert_eq!(first.attempt(&Waiter::new()), None);
        assert_eq!(second.attempt(&Waiter::new()), None);
        for job in 0..jobs {
            assert_eq!(pool.submit(job, ORDINARY), Ok(Scaling::Enough));
        }
        let next = if jobs == 1 {
            Next::Dismissed
        } else {
            Next::Again
        };
        assert_eq!(first.leave(Parked::TimedOut), Some(next));
        assert_eq!(second.leave(Parked::Unparked), None);
        assert_eq!(second.attempt(&Waiter::new()), Some(Next::Job(0)));
    }
}

#[test]
fn workers_that_are_not_woken_yet_have_room_for_as_many_jobs_and_no_more() {
    let (pool, _workers) = with_workers_woken_one_by_one(2);
    pool.set_backlog(1);
    let (mut first, mut second) = (pool.take(), pool.take());
    assert_eq!(first.attempt(&Waiter::new()), None);
    assert_eq!(second.attempt(&Waiter::new()), None);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(3, ORDINARY), Err((SubmitError::Full, 3)));
    assert_eq!(second.leave(Parked::Unparked), None);
    assert_eq!(second.attempt(&Waiter::new()), Some(Next::Job(1)));
    assert_eq!(first.leave(Parked::Unparked), None);
    assert_eq!(first.attempt(&Waiter::new()), Some(Next::Job(2)));
}

#[test]
fn workers_that_are_being_started_have_room_for_as_many_jobs_and_no_more() {
    let pool = Pool::new(3);
    for job in 0..3 {
        assert_eq!(pool.submit(job, ORDINARY), Ok(Scaling::Start));
        pool.end_start(true);
    }
    let first = pool.arrive().unwrap();
    for job in 0..3 {
        assert_eq!(pool.try_take_as(&first), Some(job));
    }
    pool.set_backlog(1);
    let second = pool.arrive().unwrap();
    assert_eq!(pool.submit(3, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(pool.submit(4, ORDINARY), Ok(Scaling::Enough));
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_counting(pool.submit_when_room(5, ORDINARY), &parked));
        until_parked(&parked, 1);
        // Now there are two workers for one job.
        assert_eq!(pool.try_take_as(&first), Some(3));
        assert_eq!(waiting.join().unwrap(), Ok(Scaling::Enough));
    });
    assert_eq!(pool.submit(6, ORDINARY), Err((SubmitError::Full, 6)));
    assert_eq!(pool.try_take_as(&second), Some(4));
    assert_eq!(pool.submit(6, ORDINARY), Err((SubmitError::Full, 6)));
    pool.leave(&pool.arrive().unwrap());
    assert_eq!(pool.submit(6, ORDINARY), Ok(Scaling::Start));
}

#[test]
fn a_start_that_failed_is_tried_again_once_for_those_who_count_on_it() {
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    pool.end_start(false);
    assert_eq!(pool.scale_again(), Scaling::Enough);
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(3, ORDINARY), Ok(Scaling::Enough));
    pool.end_start(false);
    assert_eq!(pool.scale_again(), Scaling::Start);
    pool.end_start(false);
    // No place stays reserved, and nothing waits for a start.
    block_for_ever(pool.wait_for_starts());
    assert_eq!(pool.submit(4, ORDINARY), Ok(Scaling::Start));
    pool.end_start(true);
    let worker = pool.arrive().unwrap();
    let taken: Vec<_> = std::iter::from_fn(|| pool.try_take_as(&worker)).collect();
    assert_eq!(taken, [1, 2, 3, 4]);
}

#[test]
fn a_start_that_failed_is_tried_again_also_where_a_busy_worker_is_there() {
    let (pool, _workers) = with_workers(1);
    pool.set_capacity(2);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
    pool.end_start(false);
    assert_eq!(pool.scale_again(), Scaling::Start);
    pool.end_start(true);
    assert!(pool.arrive().is_some());
}

#[test]
fn a_worker_whose_place_was_given_up_takes_another_that_is_free() {
    let pool = Pool::new(2);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    let first = pool.arrive().unwrap();
    assert_eq!(pool.try_take_as(&first), Some(1));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Start));
    // The first start has raised an exception after its worker had arrived.
    pool.end_start(false);
    pool.end_start(true);
    let second = pool.arrive().unwrap();
    assert_eq!(pool.try_take_as(&second), Some(2));
    assert!(pool.arrive().is_none());
}

#[test]
fn a_larger_pool_has_room_for_those_who_wait() {
    let (pool, _workers) = with_workers(1);
    pool.set_backlog(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let submissions: Vec<_> = (2..5)
            .map(|job| {
                let parked = &parked;
                let pool = &pool;
                let submission = scope
                    .spawn(move || block_counting(pool.submit_when_room(job, ORDINARY), parked));
                until_parked(parked, job as usize - 1);
                submission
            })
            .collect();
        pool.set_capacity(3);
        let mut scaling = submissions.into_iter().map(|each| each.join().unwrap());
        let mut starts = 0;
        for _ in 0..2 {
            starts += usize::from(scaling.next() == Some(Ok(Scaling::Start)));
        }
        assert_eq!(starts, 2);
        assert_eq!(pool.pending(), 3);
        pool.close();
        assert_eq!(scaling.next(), Some(Err((SubmitError::Closed, 4))));
    });
}

#[test]
fn the_stats_include_workers_that_have_ended() {
    let (pool, workers) = with_workers(2);
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let outer = workers[0].begin(start, at(10));
    assert_eq!(pool.statistics().busy, 1);
    let inner = workers[0].begin(at(10), at(15));
    workers[0].end(inner, at(18));
    assert_eq!(pool.statistics().busy, 1);
    workers[0].end(outer, at(20));
    let other = workers[1].begin(at(5), at(6));
    workers[1].end(other, at(26));
    pool.leave(&workers[1]);
    let statistics = pool.statistics();
    assert_eq!((statistics.workers, statistics.busy), (1, 0));
    let work = statistics.work;
    assert_eq!(work.done, 3);
    assert_eq!(work.queue_wait.total, Duration::from_millis(10 + 5 + 1));
    assert_eq!(work.queue_wait.maximum, Duration::from_millis(10));
    assert_eq!(work.run_time.total, Duration::from_millis(10 + 3 + 20));
    assert_eq!(work.run_time.maximum, Duration::from_millis(20));
}

#[test]
fn the_work_of_a_future_is_begun_once() {
    for _ in 0..500 {
        let future = Future::<i32, (), i32>::new();
        future.carry(7);
        let barrier = Barrier::new(3);
        let begun: usize = thread::scope(|scope| {
            let starts: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        future.start()
                    })
                })
                .collect();
            barrier.wait();
            let cancelled = future.cancel().is_ok();
            let starts: Vec<_> = (starts.into_iter().map(|start| start.join().unwrap())).collect();
            assert!(starts.contains(&Start::TakenBefore));
            assert_eq!(cancelled, starts.contains(&Start::Cancelled(7)));
            starts
                .iter()
                .filter(|start| **start == Start::Begun(7))
                .count()
        });
        assert_eq!(begun == 1, future.finish(Outcome::Value(1)).is_ok());
    }
}
