//! Which threads sleep, for what, and that a pinned sleep does not end.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use _oxthreads::diagnostics::sleepers::{
    OutsideWait, Pin, Recorder, Sleep, asleep, descriptions, own_age, take_verdict,
};
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::observe::{self, Resource, ThreadNumber};
use _oxthreads::wait::{Parked, drive, threads};

#[expect(dead_code, reason = "these tests drive their waits as the bindings do")]
mod support;
#[path = "support/verdicts.rs"]
mod verdicts;

use support::spin_until;
use verdicts::block;

/// Waits are recorded from now on.
fn record() {
    static RECORDER: Recorder = Recorder;
    let _ = observe::set_observer(&RECORDER);
}

/// The sleep for this object, once there is one.
fn sleep_for<T>(object: &T) -> Sleep {
    let address = std::ptr::from_ref(object).addr();
    let find = || {
        asleep()
            .into_iter()
            .find(|sleep| sleep.resource.address == address)
    };
    spin_until(|| find().is_some());
    find().unwrap()
}

#[test]
fn a_pinned_sleep_does_not_end() {
    record();
    let event = Event::new();
    let goes_on = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            block(event.wait()).unwrap().unwrap();
            goes_on.store(true, Ordering::SeqCst);
        });
        let sleep = sleep_for(&event);
        assert_eq!(sleep.resource.what, "Event");
        assert_eq!(sleep.deadline, Deadline::NEVER);
        assert!(sleep.can_end);
        let pin = Pin::new(&[sleep.number]);
        assert_eq!(pin.sleeps().count(), 1);
        let second = Pin::new(&[sleep.number]);
        event.set().unwrap();
        // It was woken, so it does not count as asleep; but it does not go on.
        assert!(asleep().iter().all(|each| each.number != sleep.number));
        assert_eq!(Pin::new(&[sleep.number]).sleeps().count(), 0);
        drop(second);
        for _ in 0..1000 {
            thread::yield_now();
        }
        assert!(!goes_on.load(Ordering::SeqCst));
        drop(pin);
        spin_until(|| goes_on.load(Ordering::SeqCst));
    });
}

#[test]
fn a_pin_tells_who_has_what_is_waited_for() {
    record();
    let lock = Lock::new();
    assert!(lock.try_acquire());
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            block(lock.acquire()).unwrap();
            lock.release().unwrap();
        });
        let sleep = sleep_for(&lock);
        let pin = Pin::new(&[sleep.number]);
        assert_eq!(pin.owner(sleep.number), ThreadNumber::current());
        assert_eq!(pin.owner(sleep.number + 1), None);
        drop(pin);
        lock.release().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_wait_that_is_ended_leaves_its_place_to_the_next() {
    record();
    let lock = Lock::new();
    assert!(lock.try_acquire());
    thread::scope(|scope| {
        let first = scope.spawn(|| block(lock.acquire()));
        let sleep = sleep_for(&lock);
        let pin = Pin::new(&[sleep.number]);
        assert!(pin.end(sleep.number, "a reason".to_owned()));
        assert!(!pin.end(sleep.number + 1, "a reason".to_owned()));
        drop(pin);
        assert_eq!(first.join().unwrap(), Err("a reason".to_owned()));
        let second = scope.spawn(|| block(lock.acquire()));
        assert_ne!(sleep_for(&lock).number, sleep.number);
        lock.release().unwrap();
        assert_eq!(second.join().unwrap(), Ok(()));
        lock.release().unwrap();
    });
}

#[test]
fn a_wait_goes_on_after_a_signal() {
    record();
    let event = Event::new();
    let mut waits = Vec::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut operation = event.wait();
            let mut rounds = 0;
            let outcome = drive(&mut operation, Deadline::NEVER, |_, _| {
                observe::parked(|| {
                    rounds += 1;
                    let own = ThreadNumber::current();
                    let own = asleep().into_iter().find(|sleep| Some(sleep.thread) == own);
                    waits.push(own.unwrap());
                });
                Parked::Interrupted
            });
            assert!(matches!(outcome, Wait::Interrupted));
            assert!(own_age().is_some());
            let _ = drive(&mut event.wait(), Deadline::NEVER, |_, _| {
                observe::parked(|| {
                    let own = ThreadNumber::current();
                    let own = asleep().into_iter().find(|sleep| Some(sleep.thread) == own);
                    waits.push(own.unwrap());
                });
                Parked::Interrupted
            });
        });
        waiting.join().unwrap();
    });
    assert_eq!(waits[0].wait, waits[1].wait);
    assert_ne!(waits[0].number, waits[1].number);
    assert!(waits[0].age <= waits[1].age);
}

#[test]
fn a_wait_outside_the_engine_is_known_until_it_ends() {
    record();
    let object = 0;
    let wait = OutsideWait::begin(Resource::new("join", &object), Deadline::NEVER, true).unwrap();
    let sleep = sleep_for(&object);
    assert_eq!(Some(sleep.thread), ThreadNumber::current());
    assert_eq!(take_verdict(), None);
    assert!(Pin::new(&[sleep.number]).end(sleep.number, "a reason".to_owned()));
    assert_eq!(take_verdict(), Some("a reason".to_owned()));
    let described = descriptions();
    let own = described
        .iter()
        .find(|each| Some(each.thread) == ThreadNumber::current());
    assert_eq!(own.unwrap().sleep.as_ref().unwrap().number, sleep.number);
    wait.end();
    assert!(asleep().iter().all(|each| each.number != sleep.number));
    let wait = OutsideWait::begin(Resource::new("exit", &object), Deadline::NEVER, false).unwrap();
    let sleep = sleep_for(&object);
    assert!(!Pin::new(&[sleep.number]).end(sleep.number, "a reason".to_owned()));
    wait.end();
}

#[test]
fn only_the_wait_that_is_meant_is_ended() {
    record();
    let (object, event, go) = (0, Event::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let resource = Resource::new("join", &object);
            let wait = OutsideWait::begin(resource, Deadline::NEVER, true).unwrap();
            spin_until(|| go.load(Ordering::SeqCst));
            // As a signal handler, in the middle of the join.
            let inner = block(event.wait());
            wait.end();
            inner.unwrap().unwrap();
        });
        let outer = sleep_for(&object);
        let pin = Pin::new(&[outer.number]);
        assert_eq!(pin.sleeps().count(), 1);
        go.store(true, Ordering::SeqCst);
        assert_ne!(sleep_for(&event).number, outer.number);
        assert!(!pin.end(outer.number, "a reason".to_owned()));
        drop(pin);
        event.set().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn threads_are_known_while_they_live() {
    let is_alive = |number: ThreadNumber| {
        let alive = threads::alive();
        alive.iter().any(|thread| thread.number == number.number())
    };
    let own = ThreadNumber::current().unwrap();
    assert!(is_alive(own));
    assert!(!threads::is_of_parent(own));
    let go = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&go);
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        sender.send(ThreadNumber::current().unwrap()).unwrap();
        spin_until(|| seen.load(Ordering::SeqCst));
    });
    let number = receiver.recv().unwrap();
    assert!(is_alive(number));
    go.store(true, Ordering::SeqCst);
    other.join().unwrap();
    // The list is changed by a destructor, which may run a little later.
    spin_until(|| !is_alive(number));
}
