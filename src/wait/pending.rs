//! A wait that no thread sleeps in: it is owned, polled and dropped, as a coroutine or an event loop does.

use std::sync::Arc as StdArc;

use super::deadline::Deadline;
use super::fork::generation;
use super::observe::ThreadNumber;
use super::sync::Arc;
use super::{Operation, Parked, Waiter, Wake};

/// The wake of a wait, for each waiter that it has.
struct Shared(StdArc<dyn Wake>);

impl Wake for Shared {
    fn claim(&self) -> bool {
        self.0.claim()
    }

    fn wake(&self) {
        self.0.wake();
    }
}

/// An operation that waits without a thread.
///
/// Whoever owns it polls it: at first, whenever its [`Wake`] was called, and when it is [due](Pending::due). An operation that owns its object (by an
/// `Arc`, say) makes a wait that can be moved and kept anywhere. Dropped before it is complete, it leaves the list, and
/// what it was given goes to the next. (An output that cannot be given back is dropped; see [`Operation::abandon`].)
/// In a forked child it is as if it had never been polled.
pub struct Pending<O: Operation> {
    operation: O,
    wake: StdArc<dyn Wake>,
    waiter: Arc<Waiter>,
    /// The process that the waiter was made in.
    generation: u32,
    /// Whether it is in a list, or was taken out of it by whoever completes it.
    is_queued: bool,
}

impl<O: Operation> Pending<O> {
    /// A wait that has not begun. `wake` is called when it is worth while to poll it.
    pub fn new(operation: O, wake: impl Wake + 'static) -> Self {
        let wake: StdArc<dyn Wake> = StdArc::new(wake);
        Self {
            operation,
            waiter: Waiter::of(Shared(StdArc::clone(&wake))),
            wake,
            generation: generation(),
            is_queued: false,
        }
    }

    /// What waits.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Does the operation, if it can be done now; else it is in the list afterwards.
    ///
    /// After it has given the output it is not to be polled again, unless the operation may be attempted again.
    pub fn poll(&mut self) -> Option<O::Output> {
        self.follow_forks();
        if self.is_queued {
            self.is_queued = false;
            if let Some(output) = self.operation.leave(Parked::Unparked) {
                return Some(output);
            }
        }
        let output = self.operation.attempt(&self.waiter);
        self.is_queued = output.is_none();
        output
    }

    /// When to poll it although it was not woken: see [`Operation::due`].
    pub fn due(&self) -> Deadline {
        if self.is_queued {
            self.operation.due()
        } else {
            Deadline::NEVER
        }
    }

    /// Who has woken the wait since the last call, while there is an observer, and where that was, as a number of the observer.
    pub fn take_waker(&self) -> (Option<ThreadNumber>, u32) {
        (self.waiter.take_waker(), self.waiter.waker_place())
    }

    /// The address of what wakes it.
    pub fn waiter_address(&self) -> usize {
        std::ptr::from_ref::<Waiter>(&self.waiter).addr()
    }

    /// Ends the wait because its time is over. `Some`: it was completed before.
    pub fn expire(mut self) -> Option<O::Output> {
        self.follow_forks();
        if !std::mem::take(&mut self.is_queued) {
            return None;
        }
        self.operation.leave(Parked::TimedOut)
    }
}

impl<O: Operation> Pending<O> {
    /// In a child the lists have forgotten the waiter, or pass it over.
    fn follow_forks(&mut self) {
        if self.generation != generation() {
            self.generation = generation();
            self.waiter = Waiter::of(Shared(StdArc::clone(&self.wake)));
            self.is_queued = false;
        }
    }
}

impl<O: Operation> Drop for Pending<O> {
    fn drop(&mut self) {
        self.follow_forks();
        if self.is_queued {
            drop(self.operation.abandon());
        }
    }
}
