//! Waits that are abandoned give back what they were given: one test for each operation.
#![cfg(not(loom))]

use std::cell::Cell;

use _oxthreads::primitives::barrier::{Barrier, BarrierOutcome};
use _oxthreads::primitives::completion::{Completions, Until};
use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::future::{Future, Outcome};
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::pool::{AsWorker, Awaited, Next, ORDINARY, Pool, Scaling};
use _oxthreads::primitives::queue::{GetError, Order, Queue};
use _oxthreads::primitives::rlock::{Hold, RLock};
use _oxthreads::primitives::rwlock::{Access, RwLock};
use _oxthreads::primitives::semaphore::Semaphore;
use _oxthreads::primitives::single_run::{SingleRun, Turn};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::{Operation, Parked, Waiter, drive};

/// Makes the operation join its list.
fn joined<O: Operation>(mut operation: O) -> O {
    assert!(operation.attempt(&Waiter::new()).is_none());
    operation
}

#[test]
fn a_wait_that_raises_gives_back_and_may_continue_at_its_place() {
    let queue = Queue::new(0);
    let mut first = queue.get();
    let outcome = drive(&mut first, Deadline::NEVER, |_, _| {
        queue.try_put(1).unwrap();
        Parked::Raising
    });
    assert_eq!(outcome, Wait::Interrupted);
    assert_eq!(queue.try_get(), Ok(1));
    let mut second = joined(queue.get());
    assert!(first.attempt(&Waiter::new()).is_none());
    // The first getter is woken because it came first. It takes the item and wakes no other.
    queue.try_put(2).unwrap();
    assert_eq!(first.leave(Parked::Unparked), Some(Ok(2)));
    assert_eq!(second.abandon(), None);
}

#[test]
fn a_panic_in_a_wait_gives_back() {
    let semaphore = Semaphore::new(0);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drive(&mut semaphore.acquire(), Deadline::NEVER, |_, _| {
            semaphore.release(1).unwrap();
            panic!("expected");
        })
    }));
    assert!(outcome.is_err());
    assert_eq!(semaphore.permits(), 1);
}

#[test]
fn a_get_leaves_its_item_in_its_place_for_the_next() {
    for order in [Order::Fifo, Order::Lifo, Order::Heap] {
        let queue = Queue::ordered(order, 0);
        let mut first = joined(queue.get());
        let mut second = joined(queue.get());
        queue.try_put(1).unwrap();
        assert_eq!(first.abandon(), None);
        // The chance has gone to the second getter.
        assert_eq!(second.leave(Parked::Unparked), Some(Ok(1)));
        // A getter that was given nothing only leaves the list.
        let mut third = joined(queue.get());
        assert_eq!(third.abandon(), None);
        queue.try_put(2).unwrap();
        assert_eq!(queue.try_get(), Ok(2));
    }
}

#[test]
fn a_put_is_withdrawn_and_its_room_goes_to_the_next() {
    for order in [Order::Fifo, Order::Lifo, Order::Heap] {
        let queue = Queue::ordered(order, 1);
        queue.try_put(1).unwrap();
        let mut first = joined(queue.put(2));
        let mut second = joined(queue.put(3));
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(first.abandon(), None);
        assert_eq!(first.into_item(), Some(2));
        assert_eq!(second.leave(Parked::Unparked), Some(Ok(())));
        assert_eq!(queue.unfinished(), 2);
        assert_eq!(queue.try_get(), Ok(3));
        assert!(queue.is_empty());
    }
}

#[test]
fn what_was_handed_over_goes_to_the_next() {
    for order in [Order::Fifo, Order::Lifo, Order::Heap] {
        let queue = Queue::ordered(order, 1);
        let mut first = joined(queue.get());
        queue.try_put(1).unwrap();
        assert_eq!(queue.try_get(), Ok(1)); // another thread is faster
        assert_eq!(first.leave(Parked::Unparked), None);
        std::thread::sleep(HAND_OFF_AFTER);
        assert!(first.attempt(&Waiter::new()).is_none());
        let mut second = joined(queue.get());
        queue.try_put(2).unwrap();
        assert_eq!(queue.try_get(), Err(GetError::Empty)); // it is handed to the first getter
        assert_eq!(first.abandon(), None);
        assert_eq!(second.leave(Parked::Unparked), Some(Ok(2)));
    }
}

#[test]
fn a_join_has_taken_nothing() {
    let queue = Queue::new(0);
    queue.try_put(1).unwrap();
    let mut waiting = joined(queue.join());
    assert_eq!(waiting.abandon(), None);
    let mut ended = joined(queue.join());
    queue.task_done().unwrap();
    assert_eq!(ended.abandon(), Some(Ok(())));
}

#[test]
fn a_lock_goes_to_the_next_whether_it_was_a_chance_or_handed_over() {
    for handed in [false, true] {
        let lock = Lock::new();
        assert!(lock.try_acquire());
        let mut first = joined(lock.acquire());
        if handed {
            // The first waiter loses a race and waits long enough to be handed the lock.
            lock.release().unwrap();
            assert!(lock.try_acquire());
            assert_eq!(first.leave(Parked::Unparked), None);
            std::thread::sleep(std::time::Duration::from_millis(2));
            assert_eq!(first.attempt(&Waiter::new()), None);
        }
        let mut second = joined(lock.acquire());
        lock.release().unwrap();
        assert_eq!(lock.is_locked(), handed);
        assert_eq!(first.abandon(), None);
        assert_eq!(second.leave(Parked::Unparked), Some(()));
        assert!(lock.is_locked());
        // A waiter that was given nothing only leaves the list.
        let mut third = joined(lock.acquire());
        assert_eq!(third.abandon(), None);
        lock.release().unwrap();
        assert!(!lock.is_locked());
    }
}

#[test]
fn a_chance_lost_to_barging_goes_to_the_next_waiter_at_the_release() {
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let mut first = joined(lock.acquire());
    let mut second = joined(lock.acquire());
    lock.release().unwrap();
    assert!(lock.try_acquire());
    assert_eq!(first.abandon(), None);
    lock.release().unwrap();
    assert_eq!(second.leave(Parked::Unparked), Some(()));
}

#[test]
fn an_rlock_goes_to_the_next() {
    let rlock = RLock::new();
    assert_eq!(rlock.try_acquire(1), Ok(true));
    let mut first = joined(rlock.acquire(Hold::once(2)));
    let mut second = joined(rlock.acquire(Hold::once(3)));
    rlock.release(1).unwrap();
    assert_eq!(first.abandon(), None);
    assert!(!rlock.is_owned_by(2));
    assert_eq!(second.leave(Parked::Unparked), Some(()));
    assert!(rlock.is_owned_by(3));
}

#[test]
fn an_rwlock_goes_to_the_next_and_readers_do_not_wait_behind_an_abandoned_writer() {
    let lock = RwLock::new();
    assert_eq!(lock.try_acquire(Access::Write, 1), Ok(true));
    let mut first = joined(lock.acquire(Access::Write, 2));
    let mut second = joined(lock.acquire(Access::Write, 3));
    lock.release(Access::Write, 1).unwrap();
    assert_eq!(lock.writer(), Some(2));
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(())));
    lock.downgrade(3).unwrap();
    let mut writer = joined(lock.acquire(Access::Write, 4));
    let mut reader = joined(lock.acquire(Access::Read, 5));
    assert_eq!(writer.abandon(), None);
    assert_eq!(reader.leave(Parked::Unparked), Some(Ok(())));
    // An abandoned wait comes before those who have come after it.
    let mut later = joined(lock.acquire(Access::Write, 6));
    assert!(writer.attempt(&Waiter::new()).is_none());
    lock.release(Access::Read, 3).unwrap();
    lock.release(Access::Read, 5).unwrap();
    assert_eq!(writer.leave(Parked::Unparked), Some(Ok(())));
    assert_eq!(later.abandon(), None);
    assert_eq!((lock.writer(), lock.waiting()), (Some(4), 0));
}

#[test]
fn a_turn_goes_to_the_next() {
    let run = SingleRun::new("test");
    assert_eq!(run.try_begin(1), Ok(Some(Turn::Mine)));
    let mut first = joined(run.begin(2));
    let mut second = joined(run.begin(3));
    assert!(run.pass_on());
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(Turn::Mine)));
    let mut third = joined(run.begin(4));
    run.finish();
    assert_eq!(third.abandon(), None);
    assert_eq!(third.attempt(&Waiter::new()), Some(Ok(Turn::Done)));
}

#[test]
fn a_permit_goes_to_the_next_also_where_there_is_a_bound() {
    let semaphore = Semaphore::new(1);
    semaphore.set_bound(1);
    semaphore.try_acquire().unwrap();
    let mut first = joined(semaphore.acquire());
    let mut second = joined(semaphore.acquire());
    semaphore.release(1).unwrap();
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(())));
    let mut third = joined(semaphore.acquire());
    assert_eq!(third.abandon(), None);
    semaphore.release(1).unwrap();
    assert_eq!(semaphore.permits(), 1);
}

#[test]
fn a_notification_goes_to_the_next() {
    let condition = Condition::new();
    let mut first = joined(condition.wait());
    let mut second = joined(condition.wait());
    assert!(condition.notify_one());
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(())));
    let mut third = joined(condition.wait());
    assert_eq!(third.abandon(), None);
    assert!(!condition.notify_one());
}

#[test]
fn an_event_has_been_set_for_one_who_abandons_its_wait() {
    let event = Event::new();
    let mut waiting = joined(event.wait());
    assert_eq!(waiting.abandon(), None);
    let mut completed = joined(event.wait());
    event.set().unwrap();
    assert_eq!(completed.abandon(), Some(Ok(())));
}

#[test]
fn a_barrier_that_was_passed_stays_passed() {
    let barrier = Barrier::new(2);
    let mut waiting = joined(barrier.wait());
    assert_eq!(waiting.abandon(), None);
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
    let mut passed = joined(barrier.wait());
    assert_eq!(
        barrier.wait().attempt(&Waiter::new()),
        Some(BarrierOutcome::Passed(1))
    );
    assert_eq!(passed.abandon(), Some(BarrierOutcome::Passed(0)));
}

#[test]
fn a_future_is_done_for_one_who_abandons_its_wait() {
    let future: Future<i32, ()> = Future::new();
    let mut waiting = joined(future.wait());
    assert_eq!(waiting.abandon(), None);
    let mut completed = joined(future.wait());
    future.finish(Outcome::Value(1)).unwrap();
    assert_eq!(completed.abandon(), Some(Ok(())));
}

#[test]
fn what_has_finished_stays_in_the_chain() {
    let completions = Completions::new(1, Until::First);
    let mut waiting = joined(completions.wait());
    assert_eq!(waiting.abandon(), None);
    let mut completed = joined(completions.wait());
    assert!(completions.complete(0, false));
    completions.wake();
    assert_eq!(completed.abandon(), Some(()));
    assert_eq!(completions.take().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_worker_has_taken_no_job() {
    let pool = Pool::new(2);
    let _workers = [(); 2].map(|()| {
        let worker = pool.arrive().unwrap();
        assert_eq!(pool.try_take_as(&worker), None);
        worker
    });
    let mut second = joined(pool.take());
    let mut first = joined(pool.take());
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Enough));
    assert_eq!(first.abandon(), None);
    drop(first);
    assert_eq!(second.leave(Parked::Unparked), None);
    assert_eq!(second.attempt(&Waiter::new()), Some(Next::Job(1)));
}

#[test]
fn a_worker_that_has_left_stays_if_jobs_are_pending_that_nobody_else_comes_for() {
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    let worker = pool.arrive().unwrap();
    pool.end_start(true);
    pool.leave(&worker);
    let again = pool.stay().unwrap();
    assert_eq!(pool.try_take_as(&again), Some(1));
    pool.leave(&again);
    assert!(pool.stay().is_none());
    assert_eq!(pool.statistics().workers, 0);
}

#[test]
fn a_submission_that_waits_for_room_takes_its_job_back_or_has_taken_place() {
    let pool = Pool::new(1);
    let worker = pool.arrive().unwrap();
    assert_eq!(pool.try_take_as(&worker), None);
    pool.set_backlog(1);
    pool.submit(1, ORDINARY).unwrap();
    let mut waiting = joined(pool.submit_when_room(2, ORDINARY));
    assert_eq!(waiting.abandon(), None);
    assert_eq!(waiting.into_job(), Some(2));
    let mut moved_in = joined(pool.submit_when_room(3, ORDINARY));
    assert_eq!(pool.try_take(), Some(1));
    assert_eq!(moved_in.abandon(), Some(Ok(Scaling::Enough)));
    assert_eq!(pool.try_take(), Some(3));
}

#[test]
fn a_wait_for_starts_has_taken_nothing() {
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    let mut waiting = joined(pool.wait_for_starts());
    assert_eq!(waiting.abandon(), None);
    let mut completed = joined(pool.wait_for_starts());
    pool.end_start(true);
    assert_eq!(completed.abandon(), Some(()));
}

#[test]
fn a_worker_that_abandons_a_wait_is_not_blocked_and_its_operation_is_abandoned() {
    let pool: Pool<i32> = Pool::new(1);
    pool.set_helping(true);
    let worker = pool.arrive().unwrap();
    assert_eq!(pool.try_take_as(&worker), None);
    let queue = Queue::new(0);
    let (mut get, can_help) = (queue.get(), Cell::new(false));
    let mut waiting = joined(AsWorker::new(&pool, &mut get, || can_help.get()));
    queue.try_put(1).unwrap();
    assert_eq!(waiting.abandon(), None);
    assert_eq!(queue.try_get(), Ok(1));
    // The worker does not count as blocked any more. When it blocks again, it is chosen to help.
    can_help.set(true);
    assert_eq!(waiting.attempt(&Waiter::new()), Some(Awaited::Help));
}
