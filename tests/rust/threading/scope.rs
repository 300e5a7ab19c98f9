use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::wait::deadline::Deadline;
use _oxthreads::wait::scope::{self, Entered, Inside, Left, Scope};

fn new() -> Arc<Scope> {
    Scope::new(Deadline::NEVER, false, Duration::ZERO)
}

fn is_cancelled() -> bool {
    scope::current().is_some_and(|innermost| !Scope::look(&innermost).cancelled.is_empty())
}

#[test]
fn scopes_end_what_is_inside_of_them() {
    let (outer, inner) = (new(), new());
    scope::enter(&outer).unwrap();
    scope::enter(&inner).unwrap();
    assert_eq!(scope::enter(&inner), Err(Entered));
    assert!(outer.cancel());
    assert!(!outer.cancel());
    assert!(is_cancelled());
    inner.set_shield(true);
    assert!(!is_cancelled());
    inner.cancel();
    assert!(is_cancelled());
    assert_eq!(scope::leave(&inner), Left::Innermost);
    assert_eq!(scope::leave(&inner), Left::NotInside);
    assert_eq!(scope::leave(&outer), Left::Innermost);
    assert!(scope::current().is_none());
}

#[test]
fn the_earliest_deadline_counts() {
    let late = Instant::now() + Duration::from_secs(1000);
    let later = late + Duration::from_secs(1);
    let outer = Scope::new(Deadline::at(late), false, Duration::ZERO);
    let inner = Scope::new(Deadline::at(later), false, Duration::ZERO);
    scope::enter(&outer).unwrap();
    scope::enter(&inner).unwrap();
    assert_eq!(Scope::look(&inner).deadline, Deadline::at(late));
    outer.set_deadline(Deadline::now());
    let cancelled = Scope::look(&inner).cancelled;
    assert!(cancelled.len() == 1 && Arc::ptr_eq(&cancelled[0], &outer));
    assert!(outer.is_cancelled());
    scope::leave(&inner);
    scope::leave(&outer);
}

#[test]
fn scopes_that_are_left_out_of_order_count_no_longer() {
    let (outer, inner) = (new(), new());
    scope::enter(&outer).unwrap();
    scope::enter(&inner).unwrap();
    assert_eq!(scope::leave(&outer), Left::OutOfOrder);
    outer.cancel();
    assert!(!is_cancelled());
    // One that its thread will never leave is forgotten.
    inner.end();
    assert!(scope::current().is_none());
}

#[test]
fn a_task_is_inside_the_scopes_of_its_group_alone() {
    let (here, group) = (new(), new());
    scope::enter(&group).unwrap();
    scope::leave(&group);
    scope::enter(&here).unwrap();
    let run = scope::current_run();
    {
        let _task = Inside::new(Some(Arc::clone(&group)));
        assert_ne!(scope::current_run(), run);
        group.cancel();
        assert!(is_cancelled());
        let _outside = Inside::none().unwrap();
        assert!(scope::current().is_none());
        assert!(Inside::none().is_none());
    }
    assert_eq!(scope::current_run(), run);
    assert!(!is_cancelled());
    thread::scope(|threads| {
        threads.spawn(|| assert!(scope::current().is_none()));
    });
    scope::leave(&here);
}
