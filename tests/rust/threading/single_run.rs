use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::single_run::{Reentrant, SingleRun, Turn};

use crate::support::{block_counting, block_for_ever, until_parked};

#[test]
fn one_does_the_work_and_all_others_wait_for_it() {
    let run = SingleRun::new("test");
    let parked = AtomicUsize::new(0);
    assert_eq!(run.try_begin(1), Ok(Some(Turn::Mine)));
    thread::scope(|scope| {
        let waiters: Vec<_> = (2..6)
            .map(|caller| {
                let (run, parked) = (&run, &parked);
                scope.spawn(move || {
                    assert_eq!(run.try_begin(caller), Ok(None));
                    block_counting(run.begin(caller), parked)
                })
            })
            .collect();
        until_parked(&parked, 4);
        assert_eq!(run.try_begin(1), Err(Reentrant));
        run.finish();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(Turn::Done));
        }
    });
    assert_eq!(run.try_begin(1), Ok(Some(Turn::Done)));
    assert_eq!((parked.into_inner(), run.waiting()), (4, 0));
}

#[test]
fn work_that_fails_is_tried_by_the_next() {
    let run = SingleRun::new("test");
    let (tries, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
    assert_eq!(run.try_begin(1), Ok(Some(Turn::Mine)));
    thread::scope(|scope| {
        for caller in 2..6 {
            let (run, tries, waiting) = (&run, &tries, &waiting);
            scope.spawn(move || {
                let turn = block_counting(run.begin(caller), waiting).unwrap();
                if turn == Turn::Mine {
                    if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                        assert!(run.pass_on());
                    } else {
                        run.finish();
                    }
                }
            });
        }
        until_parked(&waiting, 4);
        assert!(run.pass_on());
    });
    assert_eq!(tries.into_inner(), 3);
}

#[test]
fn if_nobody_waits_the_next_that_comes_has_the_turn() {
    let run = SingleRun::new("test");
    assert_eq!(run.try_begin(1), Ok(Some(Turn::Mine)));
    assert!(!run.pass_on_to_waiter());
    assert_eq!(run.try_begin(1), Err(Reentrant));
    assert!(!run.pass_on());
    assert_eq!(run.try_begin(2), Ok(Some(Turn::Mine)));
    run.close();
    assert_eq!(run.try_begin(3), Ok(Some(Turn::Closed)));
    assert_eq!(block_for_ever(run.begin(3)), Ok(Turn::Closed));
}
