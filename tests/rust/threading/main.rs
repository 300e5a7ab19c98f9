//! The primitives under `threading`, except the lock and the event, used by threads. One file for each
//! primitive.
#![cfg(not(loom))]

use _oxthreads::primitives::barrier::Barrier;
use _oxthreads::primitives::condition::Condition;
use _oxthreads::primitives::event::Event;
use _oxthreads::primitives::lock::Lock;
use _oxthreads::primitives::rlock::RLock;
use _oxthreads::primitives::semaphore::Semaphore;

mod barrier;
mod condition;
mod rlock;
mod rwlock;
mod scope;
mod semaphore;
mod single_run;
#[path = "../support/mod.rs"]
mod support;
mod task_group;

#[test]
#[cfg(target_pointer_width = "64")]
fn sizes_stay_small() {
    assert_eq!(size_of::<Lock>(), 16);
    assert_eq!(size_of::<Condition>(), 16);
    assert_eq!(size_of::<Event>(), 24);
    assert_eq!(size_of::<RLock>(), 32);
    assert_eq!(size_of::<Semaphore>(), 40);
    assert_eq!(size_of::<Barrier>(), 32);
}
