use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::pool::{AsWorker, Awaited, Next, ORDINARY, Pool, Scaling, Worker};
use loom::sync::Arc;

use crate::spawn;
use crate::support::{block_for_ever, give_up, model};

/// Creates a pool whose workers have arrived and wake each other one by one.
fn with_workers_woken_one_by_one(count: usize) -> (Pool<i32>, Vec<Arc<Worker>>) {
    let (pool, workers) = with_workers(count);
    (pool.waking_one_by_one(), workers)
}

/// Creates a pool whose workers have arrived.
fn with_workers(count: usize) -> (Pool<i32>, Vec<Arc<Worker>>) {
    let pool = Pool::new(count);
    let workers = (0..count)
        .map(|_| {
            assert_eq!(pool.submit(0, ORDINARY), Ok(Scaling::Start));
            pool.end_start(true);
            let worker = pool.arrive().unwrap();
            assert_eq!(pool.try_take_as(&worker), Some(0));
            worker
        })
        .collect();
    (pool, workers)
}

#[test]
fn a_job_wakes_the_worker_that_is_idle_or_about_to_be() {
    model(|| {
        let pool = Arc::new(with_workers(1).0);
        let worker = spawn(&pool, |pool| block_for_ever(pool.take()));
        assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
        assert_eq!(worker.join().unwrap(), Next::Job(1));
    });
}

#[test]
fn two_jobs_find_two_workers_though_only_one_is_woken_at_a_time() {
    model(|| {
        let pool = Arc::new(with_workers_woken_one_by_one(2).0);
        // Each worker takes one job, which never ends.
        let other = spawn(&pool, |pool| block_for_ever(pool.take()));
        let submitter = spawn(&pool, |pool| {
            assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
            assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
        });
        let taken = [block_for_ever(pool.take()), other.join().unwrap()];
        submitter.join().unwrap();
        assert!(taken == [Next::Job(1), Next::Job(2)] || taken == [Next::Job(2), Next::Job(1)]);
    });
}

#[test]
fn a_woken_worker_whose_time_is_up_leaves_the_job_to_another() {
    model(|| {
        let pool = Arc::new(with_workers_woken_one_by_one(2).0);
        let impatient = spawn(&pool, |pool| give_up(pool.take()));
        let patient = spawn(&pool, |pool| block_for_ever(pool.take()));
        assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
        let taken = impatient.join().unwrap();
        if taken == Some(Next::Job(1)) {
            assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
            assert_eq!(patient.join().unwrap(), Next::Job(2));
        } else {
            assert_eq!(patient.join().unwrap(), Next::Job(1));
        }
    });
}

#[test]
fn a_worker_whose_time_is_up_goes_only_if_no_submission_counts_on_it() {
    model(|| {
        let shared = Arc::new(with_workers_woken_one_by_one(2));
        let impatient = spawn(&shared, |(pool, workers)| {
            loop {
                match give_up(pool.take().or_leave(&workers[0])) {
                    Some(Next::Again) => {}
                    next => return next,
                }
            }
        });
        // This worker takes one job, which never ends.
        let patient = spawn(&shared, |(pool, _)| block_for_ever(pool.take()));
        let pool = &shared.0;
        let to_start = [1, 2]
            .into_iter()
            .filter(|job| pool.submit(*job, ORDINARY) == Ok(Scaling::Start))
            .count();
        let taken = usize::from(matches!(impatient.join().unwrap(), Some(Next::Job(_))));
        assert!(matches!(patient.join().unwrap(), Next::Job(_)));
        assert!(taken + to_start >= 1);
    });
}

#[test]
fn a_worker_whose_time_is_up_has_the_job_or_another_is_to_be_started_for_it() {
    model(|| {
        let shared = Arc::new(with_workers(1));
        let worker = spawn(&shared, |(pool, workers)| {
            loop {
                match give_up(pool.take().or_leave(&workers[0])) {
                    Some(Next::Again) => {}
                    next => return next,
                }
            }
        });
        match shared.0.submit(1, ORDINARY) {
            Ok(Scaling::Enough) => assert_eq!(worker.join().unwrap(), Some(Next::Job(1))),
            _ => assert_eq!(worker.join().unwrap(), Some(Next::Dismissed)),
        }
    });
}

#[test]
fn whoever_waits_for_room_gets_it_or_hears_of_the_end() {
    model(|| {
        let (pool, _workers) = with_workers(1);
        pool.set_backlog(1);
        assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
        let pool = Arc::new(pool);
        let submission = spawn(&pool, |pool| {
            block_for_ever(pool.submit_when_room(2, ORDINARY)).is_ok()
        });
        let worker = spawn(&pool, |pool| pool.try_take());
        pool.close();
        assert_eq!(worker.join().unwrap(), Some(1));
        let accepted = submission.join().unwrap();
        assert_eq!(pool.try_take(), accepted.then_some(2));
    });
}

#[test]
fn workers_that_wait_for_each_other_do_not_wait_for_ever() {
    model(|| {
        let shared = Arc::new((with_workers(2).0, Event::new(), Event::new()));
        shared.0.set_helping(true);
        // One worker waits for a pending job, the other for a job that runs after it.
        let helper = spawn(&shared, |(pool, pending, following)| {
            match block_for_ever(AsWorker::new(pool, &mut pending.wait(), || true)) {
                Awaited::Help => following.set().unwrap(),
                Awaited::Done(_) => unreachable!("nobody else does it"),
            }
        });
        let (pool, _, following) = &*shared;
        let outcome = block_for_ever(AsWorker::new(pool, &mut following.wait(), || false));
        assert!(matches!(outcome, Awaited::Done(_)));
        helper.join().unwrap();
    });
}

#[test]
fn a_pool_that_is_closed_ends_workers_that_are_idle_or_about_to_be() {
    model(|| {
        let pool = Arc::new(with_workers(2).0);
        let other = spawn(&pool, |pool| block_for_ever(pool.take()));
        let closer = spawn(&pool, |pool| pool.close());
        assert_eq!(block_for_ever(pool.take()), Next::Closed);
        assert_eq!(other.join().unwrap(), Next::Closed);
        closer.join().unwrap();
    });
}

#[test]
fn a_worker_that_gives_up_leaves_the_end_of_the_pool_to_another() {
    model(|| {
        let pool = Arc::new(with_workers(2).0);
        let impatient = spawn(&pool, |pool| give_up(pool.take()));
        let patient = spawn(&pool, |pool| block_for_ever(pool.take()));
        pool.close();
        assert_eq!(patient.join().unwrap(), Next::Closed);
        impatient.join().unwrap();
    });
}
