//! What a forked child finds. Each test forks while waiters are parked in the parent.
#![cfg(all(unix, not(loom)))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use _oxthreads::primitives::barrier::{Barrier, BarrierOutcome};
use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::holder::Holder;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::pool::{Next, ORDINARY, Pool, Scaling};
use _oxthreads::primitives::queue::{GetError, Order, Queue};
use _oxthreads::primitives::rlock::{Hold, RLock};
use _oxthreads::primitives::rwlock::{Access, RwLock};
use _oxthreads::primitives::semaphore::Semaphore;
use _oxthreads::primitives::single_run::{SingleRun, Turn};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::observe::ThreadNumber;
use _oxthreads::wait::{Parked, Waiter, drive, follow_forks};
use support::{block_counting, block_for_ever, spin_until, until_parked};

#[expect(dead_code, reason = "nothing times out here")]
mod support;

/// Runs `child` in a forked process. Returns whether it returned `true` within ten seconds. Assert the result
/// only after the parent's waiters have been woken: a panic before that would make the test hang, not fail.
#[must_use]
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only uses the primitives and `_exit`s. The other threads of the process are parked in
    // the primitives, and hold neither the allocator's locks nor any other lock.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        // SAFETY: both calls are async-signal-safe. The alarm ends a child that hangs.
        let succeeded = unsafe {
            libc::alarm(10);
            child()
        };
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!succeeded)) }
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer, and `pid` a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn the_parents_waiters_are_gone_in_the_child() {
    follow_forks();
    let (lock, event) = (Lock::new(), Event::new());
    let (empty, full) = (Queue::new(0), Queue::new(1));
    full.try_put(1).unwrap();
    assert!(lock.try_acquire());
    let parked = AtomicUsize::new(0);
    let mut well = false;
    thread::scope(|scope| {
        scope.spawn(|| block_counting(lock.acquire(), &parked));
        scope.spawn(|| block_counting(event.wait(), &parked));
        scope.spawn(|| block_counting(empty.get(), &parked));
        scope.spawn(|| block_counting(full.put(2), &parked));
        until_parked(&parked, 4);
        well = in_child(|| {
            // The lock is not handed to a waiter that does not exist here.
            lock.release().unwrap();
            let free = lock.try_acquire();
            // No item is reserved for such a waiter, and no item comes from one.
            empty.try_put(7).unwrap();
            let got = empty.try_get() == Ok(7);
            let first = full.try_get() == Ok(1);
            let nothing = full.try_get() == Err(GetError::Empty);
            event.set().unwrap();
            // A waiting thread of the child is woken.
            let parked = AtomicUsize::new(0);
            let woken = thread::scope(|scope| {
                let waiter = scope.spawn(|| block_counting(empty.get(), &parked) == Ok(8));
                until_parked(&parked, 1);
                empty.try_put(8).unwrap();
                waiter.join().unwrap_or(false)
            });
            free && got && first && nothing && woken && block_for_ever(event.wait()).is_ok()
        });
        // In the parent, nothing has changed.
        lock.release().unwrap();
        event.set().unwrap();
        empty.try_put(1).unwrap();
        assert_eq!(full.try_get(), Ok(1));
    });
    assert_eq!(full.try_get(), Ok(2));
    assert!(well);
}

#[test]
fn an_rwlock_of_the_parent_has_no_readers_and_no_waiters_in_the_child() {
    follow_forks();
    let (read, written) = (RwLock::new(), RwLock::new());
    let (parked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut well = false;
    let me = Holder::from(ThreadNumber::current_or_zero());
    assert_eq!(read.try_acquire(Access::Read, me), Ok(true));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let reader = Holder::from(ThreadNumber::current_or_zero());
            assert_eq!(read.try_acquire(Access::Read, reader), Ok(true));
            assert_eq!(written.try_acquire(Access::Write, reader), Ok(true));
            parked.fetch_add(1, Ordering::SeqCst);
            spin_until(|| over.load(Ordering::SeqCst));
            read.release(Access::Read, reader).unwrap();
            written.release(Access::Write, reader).unwrap();
        });
        until_parked(&parked, 1);
        let writer = scope.spawn(|| {
            let writer = Holder::from(ThreadNumber::current_or_zero());
            block_counting(read.acquire(Access::Write, writer), &parked)
        });
        until_parked(&parked, 2);
        well = in_child(|| {
            let mine = read.readers() == [(me, 1)] && read.waiting() == 0;
            read.release(Access::Read, me).unwrap();
            let free = read.try_acquire(Access::Write, me) == Ok(true);
            let locked = written.try_acquire(Access::Read, me) == Ok(false);
            written.reset();
            mine && free && locked && written.try_acquire(Access::Read, me) == Ok(true)
        });
        over.store(true, Ordering::SeqCst);
        read.release(Access::Read, me).unwrap();
        reader.join().unwrap();
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
    assert!(well);
}

#[test]
fn a_lone_reader_of_the_parent_does_not_count_in_the_child() {
    follow_forks();
    let lock = RwLock::new();
    let (entered, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut well = false;
    let me = Holder::from(ThreadNumber::current_or_zero());
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = Holder::from(ThreadNumber::current_or_zero());
            assert_eq!(lock.try_acquire(Access::Read, reader), Ok(true));
            entered.store(true, Ordering::SeqCst);
            spin_until(|| over.load(Ordering::SeqCst));
            lock.release(Access::Read, reader).unwrap();
        });
        spin_until(|| entered.load(Ordering::SeqCst));
        well = in_child(|| lock.try_acquire(Access::Write, me) == Ok(true));
        over.store(true, Ordering::SeqCst);
    });
    assert!(well);
}

#[test]
fn work_that_another_thread_of_the_parent_does_is_done_again_in_the_child() {
    follow_forks();
    let run = SingleRun::new("test");
    let (began, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut well = false;
    let me = Holder::from(ThreadNumber::current_or_zero());
    thread::scope(|scope| {
        scope.spawn(|| {
            let worker = Holder::from(ThreadNumber::current_or_zero());
            assert_eq!(run.try_begin(worker), Ok(Some(Turn::Mine)));
            began.store(true, Ordering::SeqCst);
            spin_until(|| over.load(Ordering::SeqCst));
            run.finish();
        });
        spin_until(|| began.load(Ordering::SeqCst));
        well = in_child(|| run.try_begin(me) == Ok(Some(Turn::Mine)));
        over.store(true, Ordering::SeqCst);
    });
    assert!(well);
    assert_eq!(run.try_begin(me), Ok(Some(Turn::Done)));
}

#[test]
fn an_item_handed_to_a_waiter_of_the_parent_is_free_in_the_child() {
    follow_forks();
    let queue = Queue::new(0);
    let mut waits = 0;
    let outcome = drive(&mut queue.get(), Deadline::NEVER, |waiter, deadline| {
        queue.try_put(1).unwrap();
        waits += 1;
        if waits == 1 {
            assert_eq!(queue.try_get(), Ok(1));
            thread::sleep(HAND_OFF_AFTER);
        } else {
            assert_eq!(queue.try_get(), Err(GetError::Empty));
            assert!(in_child(|| queue.try_get() == Ok(1)));
        }
        waiter.park(deadline)
    });
    assert_eq!((outcome, waits), (Wait::Ready(Ok(1)), 2));
}

#[test]
fn a_waiter_of_the_parent_that_was_woken_does_not_keep_one_of_the_child_from_being_woken() {
    follow_forks();
    let (queue, full) = (Queue::new(0), Queue::new(1));
    full.try_put(1).unwrap();
    let outcome = drive(&mut queue.get(), Deadline::NEVER, |waiter, deadline| {
        queue.try_put(1).unwrap();
        let outcome = drive(&mut full.put(2), Deadline::NEVER, |putter, deadline| {
            assert_eq!(full.try_get(), Ok(1));
            assert!(in_child(|| {
                let mine = queue.try_get() == Ok(1) && full.try_put(3).is_ok();
                let parked = AtomicUsize::new(0);
                thread::scope(|scope| {
                    let get = scope.spawn(|| block_counting(queue.get(), &parked) == Ok(2));
                    until_parked(&parked, 1);
                    let put = scope.spawn(|| block_counting(full.put(4), &parked) == Ok(()));
                    until_parked(&parked, 2);
                    queue.try_put(2).unwrap();
                    let room = full.try_get() == Ok(3);
                    mine && room && get.join().unwrap_or(false) && put.join().unwrap_or(false)
                })
            }));
            putter.park(deadline)
        });
        assert_eq!(outcome, Wait::Ready(Ok(())));
        waiter.park(deadline)
    });
    assert_eq!(outcome, Wait::Ready(Ok(1)));
}

#[test]
fn room_handed_to_a_waiter_of_the_parent_is_free_in_the_child() {
    follow_forks();
    for order in [Order::Fifo, Order::Heap] {
        let queue = Queue::ordered(order, 1);
        queue.try_put(1).unwrap();
        let mut waits = 0;
        let outcome = drive(&mut queue.put(2), Deadline::NEVER, |waiter, deadline| {
            assert_eq!(queue.try_get(), Ok(1));
            waits += 1;
            if waits == 1 {
                queue.try_put(1).unwrap();
                thread::sleep(HAND_OFF_AFTER);
            } else {
                assert!(queue.try_put(3).is_err());
                assert!(in_child(|| {
                    let free = queue.try_put(3).is_ok() && queue.try_put(4).is_err();
                    free && queue.try_get() == Ok(3)
                }));
            }
            waiter.park(deadline)
        });
        assert_eq!((outcome, waits), (Wait::Ready(Ok(())), 2));
        assert_eq!(queue.try_get(), Ok(2));
    }
}

#[test]
fn a_thread_of_the_parent_can_be_woken_in_vain_in_the_child() {
    follow_forks();
    let waiter = Waiter::new();
    let over = AtomicBool::new(false);
    let mut well = true;
    thread::scope(|scope| {
        // At some of the forks the parker of this thread is in use. If it has a mutex, the mutex is locked
        // then.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                waiter.unpark();
                waiter.park(Deadline::NEVER);
            }
        });
        for _ in 0..100 {
            well = well
                && in_child(|| {
                    waiter.unpark();
                    true
                });
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(well);
}

#[test]
fn a_pool_starts_anew_in_the_child() {
    follow_forks();
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1, ORDINARY), Ok(Scaling::Start));
    assert_eq!(pool.submit(2, ORDINARY), Ok(Scaling::Enough));
    assert!(in_child(|| {
        // The parent's jobs belong to the parent, and its worker does not exist here.
        pool.try_take().is_none()
            && pool.submit(3, ORDINARY) == Ok(Scaling::Start)
            && block_for_ever(pool.take()) == Next::Job(3)
    }));
    assert_eq!(pool.pending(), 2);
}

/// Runs `one` in another thread. Once that is parked, runs `other` in this thread, which must let `one` end.
/// Returns whether both returned `true`.
fn both(one: impl FnOnce(&AtomicUsize) -> bool + Send, other: impl FnOnce() -> bool) -> bool {
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let one = scope.spawn(|| one(&parked));
        until_parked(&parked, 1);
        other() && one.join().unwrap_or(false)
    })
}

#[test]
fn an_rlock_works_in_the_child() {
    follow_forks();
    let rlock = RLock::new();
    let waits = |parked: &AtomicUsize, me| {
        block_counting(rlock.acquire(Hold::once(me)), parked);
        rlock.hold() == Hold::once(me) && rlock.release(me).is_ok()
    };
    assert_eq!(rlock.try_acquire(1), Ok(true));
    assert!(both(
        |parked| waits(parked, 2),
        || {
            let owned = in_child(|| {
                // The forking thread still owns the lock, and its release wakes a thread of the child.
                let still_owned = rlock.hold() == Hold::once(1);
                let woken = both(|parked| waits(parked, 3), || rlock.release(1).is_ok());
                still_owned && woken && rlock.try_acquire(1) == Ok(true)
            });
            let made_anew = in_child(|| {
                rlock.reset();
                let free = rlock.hold() == Hold { count: 0, owner: 0 };
                let mine = rlock.try_acquire(4) == Ok(true);
                free && mine && both(|parked| waits(parked, 3), || rlock.release(4).is_ok())
            });
            rlock.release(1).is_ok() && owned && made_anew
        }
    ));
    assert!(!rlock.is_locked());
}

#[test]
fn a_condition_works_in_the_child() {
    follow_forks();
    let condition = Condition::new();
    let waits = |parked: &AtomicUsize| block_counting(condition.wait(), parked) == Ok(());
    let notify_all = || {
        condition.notify_all();
        condition.is_empty()
    };
    assert!(both(waits, || {
        // The parent's waiter does not count in the child, and no notification goes to it.
        let nobody = in_child(|| condition.is_empty() && !condition.notify_one());
        // The notification goes to the next waiter, a thread of the child.
        let one = in_child(|| both(waits, || condition.len() == 1 && condition.notify_one()));
        let all = in_child(|| both(waits, notify_all) && both(waits, notify_all));
        let fallen_back = in_child(|| condition.fall_back() == Some(vec![]));
        let here = condition.len() == 1 && condition.notify_one();
        here && nobody && one && all && fallen_back
    }));
}

#[test]
fn a_semaphore_works_in_the_child() {
    follow_forks();
    let semaphore = Semaphore::new(0);
    let waits = |parked: &AtomicUsize| block_counting(semaphore.acquire(), parked) == Ok(());
    let give = || semaphore.release(1).is_ok();
    assert!(both(waits, || {
        let woken = in_child(|| both(waits, give) && semaphore.permits() == 0);
        let mine = in_child(|| give() && semaphore.try_acquire() == Ok(()));
        give() && woken && mine
    }));
    assert_eq!(semaphore.permits(), 0);
}

/// Waits until a waiter that has lost a race is handed the next thing that is freed.
fn wait_for_hand_off() -> Parked {
    let begin = Instant::now();
    spin_until(|| begin.elapsed() >= HAND_OFF_AFTER);
    Parked::Unparked
}

#[test]
fn nothing_is_handed_to_a_waiter_of_the_parent() {
    follow_forks();
    let lock = Lock::new();
    assert!(lock.try_acquire());
    let mut sleeps = 0;
    let outcome = drive(&mut lock.acquire(), Deadline::NEVER, |waiter, deadline| {
        sleeps += 1;
        if sleeps == 1 {
            lock.release().unwrap();
            assert!(lock.try_acquire());
            return wait_for_hand_off();
        }
        assert!(in_child(|| lock.release().is_ok() && lock.try_acquire()));
        lock.release().unwrap();
        assert!(lock.is_locked());
        waiter.park(deadline)
    });
    assert_eq!((outcome, sleeps), (Wait::Ready(()), 2));

    let semaphore = Semaphore::new(0);
    let mut sleeps = 0;
    let outcome = drive(
        &mut semaphore.acquire(),
        Deadline::NEVER,
        |waiter, deadline| {
            sleeps += 1;
            if sleeps == 1 {
                semaphore.release(1).unwrap();
                semaphore.try_acquire().unwrap();
                return wait_for_hand_off();
            }
            assert!(in_child(
                || semaphore.release(1).is_ok() && semaphore.permits() == 1
            ));
            semaphore.release(1).unwrap();
            assert_eq!(semaphore.permits(), 0);
            waiter.park(deadline)
        },
    );
    assert_eq!((outcome, sleeps), (Wait::Ready(Ok(())), 2));
}

#[test]
fn a_barrier_works_in_the_child() {
    follow_forks();
    let barrier = Barrier::new(2);
    let first =
        |parked: &AtomicUsize| block_counting(barrier.wait(), parked) == BarrierOutcome::Passed(0);
    let second = || block_for_ever(barrier.wait()) == BarrierOutcome::Passed(1);
    assert!(both(first, || {
        // The waiter in the parent has not arrived at the child's barrier.
        let nobody = in_child(|| barrier.waiting() == 0 && !barrier.is_broken());
        let rounds = in_child(|| both(first, second) && both(first, second));
        let fallen_back = in_child(|| {
            barrier
                .fall_back()
                .is_some_and(|remains| remains.arrived == 0)
        });
        second() && nobody && rounds && fallen_back
    }));
}
