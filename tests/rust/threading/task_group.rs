use std::sync::atomic::AtomicUsize;
use std::thread;

use _oxthreads::primitives::task_group::{Awaited, TaskGroup};

use crate::support::{block_counting, block_for_ever, until_parked};

#[test]
fn what_is_kept_of_tasks() {
    let group: TaskGroup<&str, &str> = TaskGroup::new();
    let (first, second) = (group.add().unwrap(), group.add().unwrap());
    assert_eq!(group.keep(first, "first"), None);
    assert_eq!(group.keep(second, "second"), None);
    assert_eq!(group.keep(second, "again"), Some("again"));
    assert_eq!(group.begin(first, "runs"), Ok(Some("first")));
    assert_eq!(group.begin(first, "again"), Err("again"));
    assert_eq!(group.counts(), (2, 1));
    assert_eq!(group.take_pending(), Some("second"));
    assert_eq!(group.take_pending(), None);
    let mut kept = Vec::new();
    group.for_each(|pending, running| kept.push((pending.copied(), running.copied())));
    assert_eq!(kept, [(None, Some("runs")), (None, None)]);
    assert_eq!(group.end(second), (None, None));
    assert_eq!(group.withdraw(first), None);
    assert_eq!(group.end(first), (None, Some("runs")));
    assert_eq!(group.counts(), (0, 0));
}

#[test]
fn a_task_that_was_withdrawn_does_not_begin_in_the_place_of_another() {
    let group: TaskGroup<u32, u32> = TaskGroup::new();
    let other = group.add().unwrap();
    let withdrawn = group.add().unwrap();
    group.keep(withdrawn, 1);
    assert_eq!(group.withdraw(withdrawn), Some(1));
    let next = group.add().unwrap();
    assert_eq!(group.begin(withdrawn, 1), Err(1));
    assert_eq!(group.end(withdrawn), (None, None));
    assert_eq!(group.counts(), (2, 0));
    assert_eq!(group.begin(next, 2), Ok(None));
    assert_eq!(group.end(next), (None, Some(2)));
    assert_eq!(group.end(other), (None, None));
    assert_eq!(block_for_ever(group.wait(false)), Awaited::Ended);
}

#[test]
fn a_wait_lasts_until_all_tasks_have_ended() {
    let group: TaskGroup<(), ()> = TaskGroup::new();
    let parked = AtomicUsize::new(0);
    let places: Vec<_> = (0..3).map(|_| group.add().unwrap()).collect();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| block_counting(group.wait(false), &parked));
        until_parked(&parked, 1);
        for place in places {
            assert!(!waiter.is_finished());
            let _ = group.begin(place, ());
            group.end(place);
        }
        assert_eq!(waiter.join().unwrap(), Awaited::Ended);
    });
    // It is closed in the same moment, so that no task is left behind.
    assert!(group.add().is_none());
}

#[test]
fn a_thread_that_helps_is_woken_for_a_new_task() {
    let group: TaskGroup<&str, ()> = TaskGroup::new();
    let parked = AtomicUsize::new(0);
    let running = group.add().unwrap();
    let _ = group.begin(running, ());
    thread::scope(|scope| {
        let helper = scope.spawn(|| block_counting(group.wait(true), &parked));
        until_parked(&parked, 1);
        let place = group.add().unwrap();
        group.keep(place, "new");
        assert_eq!(helper.join().unwrap(), Awaited::Pending);
        assert_eq!(group.take_pending(), Some("new"));
        group.end(place);
    });
    group.end(running);
}
