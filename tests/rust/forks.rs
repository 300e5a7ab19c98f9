//! What a forked child finds. Each test forks with waiters parked in the parent.
#![cfg(all(unix, not(loom)))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use _oxthreads::primitives::deadline::{Deadline, Wait};
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::pool::{Pool, Staffing};
use _oxthreads::primitives::queue::{GetError, Queue};
use _oxthreads::primitives::waiter::{Operation, Waiter, follow_forks, wait};

/// Runs `child` in a forked process, which must return `true` within ten seconds.
fn in_child(child: impl FnOnce() -> bool) {
    // SAFETY: the child only uses the primitives and `_exit`s; the process's other threads are
    // parked in the primitives and hold neither the allocator's locks nor any other.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        // SAFETY: both calls are async-signal-safe. The alarm ends a child that hangs.
        let verdict = unsafe {
            libc::alarm(10);
            child()
        };
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!verdict)) }
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer, and `pid` a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "the child failed or hung: {status:#x}"
    );
}

fn block<O: Operation>(mut operation: O) -> Option<O::Output> {
    match wait(
        &mut operation,
        Deadline::after(Duration::from_secs(5)),
        Waiter::park,
    ) {
        Wait::Ready(output) => Some(output),
        _ => None,
    }
}

fn park<O: Operation>(mut operation: O, parked: &AtomicUsize) -> Option<O::Output> {
    let suspend = |waiter: &Waiter, deadline| {
        parked.fetch_add(1, Ordering::SeqCst);
        waiter.park(deadline)
    };
    match wait(&mut operation, Deadline::NEVER, suspend) {
        Wait::Ready(output) => Some(output),
        _ => None,
    }
}

fn until_parked(parked: &AtomicUsize, count: usize) {
    while parked.load(Ordering::SeqCst) < count {
        thread::yield_now();
    }
}

#[test]
fn the_parents_waiters_are_gone_in_the_child() {
    follow_forks();
    let (lock, event) = (Lock::new(), Event::new());
    let (empty, full) = (Queue::new(0), Queue::new(1));
    full.try_put(1).unwrap();
    assert!(lock.try_acquire());
    let parked = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| park(lock.acquire(), &parked));
        scope.spawn(|| park(event.wait(), &parked));
        scope.spawn(|| park(empty.get(), &parked));
        scope.spawn(|| park(full.put(2), &parked));
        until_parked(&parked, 4);
        in_child(|| {
            // The lock is not handed to a waiter who does not exist here.
            lock.release().unwrap();
            let free = lock.try_acquire();
            // An item is not granted to one, and none comes from one.
            empty.try_put(7).unwrap();
            let got = empty.try_get() == Ok(7);
            let first = full.try_get() == Ok(1);
            let nothing = full.try_get() == Err(GetError::Empty);
            event.set().unwrap();
            // And a thread of the child is woken.
            let parked = AtomicUsize::new(0);
            let woken = thread::scope(|scope| {
                let waiter = scope.spawn(|| park(empty.get(), &parked) == Some(Ok(8)));
                until_parked(&parked, 1);
                empty.try_put(8).unwrap();
                waiter.join().unwrap_or(false)
            });
            free && got && first && nothing && woken && block(event.wait()).is_some()
        });
        // In the parent nothing has changed.
        lock.release().unwrap();
        event.set().unwrap();
        empty.try_put(1).unwrap();
        assert_eq!(full.try_get(), Ok(1));
    });
    assert_eq!(full.try_get(), Ok(2));
}

#[test]
fn an_item_granted_to_a_waiter_of_the_parent_is_free_in_the_child() {
    follow_forks();
    let queue = Queue::new(0);
    let outcome = wait(&mut queue.get(), Deadline::NEVER, |waiter, deadline| {
        queue.try_put(1).unwrap();
        assert_eq!(queue.try_get(), Err(GetError::Empty));
        in_child(|| queue.try_get() == Ok(1));
        waiter.park(deadline)
    });
    assert_eq!(outcome, Wait::Ready(Ok(1)));
}

#[test]
fn a_pool_starts_anew_in_the_child() {
    follow_forks();
    let pool = Pool::new(1);
    assert_eq!(pool.submit(1), Ok(Staffing::Start));
    assert_eq!(pool.submit(2), Ok(Staffing::Enough));
    in_child(|| {
        // The parent's jobs are the parent's, and its worker is not here.
        pool.try_take().is_none()
            && pool.submit(3) == Ok(Staffing::Start)
            && block(pool.take()) == Some(Some(3))
    });
    assert_eq!(pool.pending(), 2);
}
