//! What an observer of waits is told.
#![cfg(not(loom))]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::queue::Queue;
use _oxthreads::primitives::rlock::{Hold, RLock};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::observe::{
    Observer, Occupied, Owned, Resource, ThreadNumber, observe, set_observer,
};
use _oxthreads::wait::{Operation, Parked, Waiter};

mod support;

use support::{block, block_counting, block_for_ever, soon, until_parked};

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Blocked(Resource, bool),
    Resumed(Resource, Option<ThreadNumber>),
}

/// The number of the calling thread.
fn me() -> ThreadNumber {
    ThreadNumber::current().unwrap()
}

/// Keeps what each thread was told, by the number of the thread.
struct Recorder(Mutex<Vec<(ThreadNumber, Told)>>);

impl Recorder {
    /// What the calling thread was told since it asked last.
    fn take(&self) -> Vec<Told> {
        let me = me();
        let mut told = self.0.lock().unwrap();
        let (mine, others) = told.drain(..).partition(|(thread, _)| *thread == me);
        *told = others;
        Vec::into_iter(mine).map(|(_, told)| told).collect()
    }
}

impl Observer for Recorder {
    fn blocked(&self, _: &Arc<Waiter>, resource: Resource, deadline: Deadline) {
        let told = Told::Blocked(resource, deadline == Deadline::NEVER);
        (self.0.lock().unwrap()).push((me(), told));
    }

    fn resumed(&self, resource: Resource, slept: Duration, by: Option<ThreadNumber>) {
        assert!(slept < Duration::from_secs(60));
        let told = Told::Resumed(resource, by);
        (self.0.lock().unwrap()).push((me(), told));
    }
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

/// One test, for there is one observer.
#[test]
fn an_observer_is_told_who_waits_for_what_and_who_ended_it() {
    observe(true);
    let event = Event::new();
    assert!(matches!(block(event.wait(), soon()), Wait::TimedOut));
    assert_eq!(RECORDER.take(), [], "before there is one");

    assert_eq!(set_observer(&RECORDER), Ok(()));
    assert_eq!(set_observer(&RECORDER), Err(Occupied));

    // A wait that need not sleep is none.
    event.set().unwrap();
    block_for_ever(event.wait()).unwrap();
    assert_eq!(RECORDER.take(), []);

    // A deadline that passes.
    event.clear().unwrap();
    assert!(matches!(block(event.wait(), soon()), Wait::TimedOut));
    let resource = Resource::new("Event", &event);
    let told = [
        Told::Blocked(resource, false),
        Told::Resumed(resource, None),
    ];
    assert_eq!(RECORDER.take(), told);

    // A thread that is woken by another.
    let queue = Queue::new(0);
    let parked = std::sync::atomic::AtomicUsize::new(0);
    let resource = Resource::owned("item of a queue", &queue);
    let told = thread::scope(|scope| {
        let getter = scope.spawn(|| {
            assert_eq!(block_counting(queue.get(), &parked), Ok(1));
            RECORDER.take()
        });
        until_parked(&parked, 1);
        queue.try_put(1).unwrap();
        getter.join().unwrap()
    });
    assert_eq!(
        told,
        [
            Told::Blocked(resource, true),
            Told::Resumed(resource, Some(me()))
        ]
    );

    // Nobody is told any more.
    observe(false);
    assert!(matches!(block(event.wait(), soon()), Wait::TimedOut));
    assert_eq!(RECORDER.take(), []);
}

#[test]
fn no_two_threads_have_one_number() {
    let numbers = |_| me().number();
    let mut all: Vec<u32> = (0..50)
        .map(|_| thread::spawn(move || numbers(())).join().unwrap())
        .collect();
    all.push(numbers(()));
    assert_eq!(me().number(), numbers(()));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 51);
}

#[test]
fn a_lock_says_which_thread_has_it() {
    let lock = Lock::new();
    assert_eq!(lock.owner(), None);
    assert!(lock.try_acquire());
    assert_eq!(lock.owner(), Some(me()));
    let parked = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            block_counting(lock.acquire(), &parked);
            // Any thread may release it.
            (me(), lock.owner())
        });
        until_parked(&parked, 1);
        lock.release().unwrap();
        let (other, owner) = other.join().unwrap();
        assert_eq!(owner, Some(other));
        assert_eq!(lock.owner(), Some(other));
    });
    lock.release().unwrap();
    assert_eq!(lock.owner(), None);

    // Handed over to a thread that has waited for long.
    assert!(lock.try_acquire());
    let mut waiting = lock.acquire();
    assert!(waiting.attempt(&Waiter::new()).is_none());
    lock.release().unwrap();
    assert!(lock.try_acquire());
    thread::sleep(HAND_OFF_AFTER);
    assert_eq!(waiting.leave(Parked::Unparked), None);
    assert!(waiting.attempt(&Waiter::new()).is_none());
    thread::scope(|scope| {
        scope.spawn(|| lock.release().unwrap());
    });
    assert_eq!(waiting.leave(Parked::Unparked), Some(()));
    assert_eq!(lock.owner(), Some(me()));
    lock.reset();
    assert_eq!(lock.owner(), None);
}

#[test]
fn a_reentrant_lock_says_which_thread_has_it() {
    let lock = RLock::new();
    assert_eq!(lock.try_acquire(1), Ok(true));
    assert_eq!(lock.try_acquire(1), Ok(true));
    assert_eq!(lock.owner(), Some(me()));
    let waiting = lock.acquire(Hold::once(2));
    let resource = waiting.resource();
    // SAFETY: the operation, which keeps the lock alive, is there.
    let owner = unsafe { resource.owner.unwrap().thread() };
    assert_eq!(owner, Some(me()));
    lock.release(1).unwrap();
    lock.release(1).unwrap();
    assert_eq!(lock.owner(), None);
}
