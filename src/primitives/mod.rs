//! The objects that threads wait for, built on the wait engine ([`crate::wait`]). They know nothing of
//! Python.
//!
//! * [`lock`]: a mutex that any thread may release.
//! * [`rlock`]: a mutex that its owner may take again.
//! * [`rwlock`]: many readers, or one writer.
//! * [`single_run`]: work that one thread does for all who ask for it.
//! * [`condition`]: waiters that are notified one by one.
//! * [`semaphore`]: permits, taken one at a time.
//! * [`limiter`]: acquisitions at a pace.
//! * [`event`]: a flag that threads wait for.
//! * [`barrier`]: a meeting point for a fixed number of threads.
//! * [`queue`]: bounded queues with a count of unfinished tasks and a shutdown.
//! * [`delay_queue`]: a queue whose items can be taken when their time has come.
//! * [`channel`]: items from senders to receivers, with an end; also without room in between.
//! * [`broadcast`]: items that each subscriber receives.
//! * [`watch`]: a value whose changes threads wait for.
//! * [`future`]: a result that is set once.
//! * [`completion`]: one thread's wait for many futures.
//! * [`progress`]: how many calls have ended, and when to report it.
//! * [`pool`]: pending jobs, and the workers that wait for them.
//! * [`task_group`]: the tasks of a group, and a wait until all have ended.
//! * [`sleeping`]: a wait that only its time ends.
//! * [`holder`]: who holds a lock, or does such work.
//! * [`kept_threads`]: operating system threads that are used again; [`thread_state`]: what tells whether one can be.

pub mod barrier;
pub mod broadcast;
pub mod channel;
pub mod completion;
pub mod condition;
pub mod delay_queue;
pub mod event;
pub mod future;
pub mod holder;
pub mod kept_threads;
pub mod limiter;
pub mod lock;
pub mod pool;
pub mod progress;
pub mod queue;
pub mod rlock;
pub mod rwlock;
pub mod semaphore;
pub mod single_run;
pub mod sleeping;
pub mod task_group;
pub mod thread_state;
pub mod watch;

/// The primitive has fallen back: another implementation has taken its state over, and the caller must turn to
/// that one. Waiters are woken to learn this, except those of an event or a condition, which stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBack;
