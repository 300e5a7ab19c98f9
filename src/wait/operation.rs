//! A blocking operation, and the loop that drives it.

use std::any::Any;

use super::deadline::{Deadline, Wait};
use super::observe::{self, Resource};
use super::sync::Arc;
use super::{Parked, Waiter};

/// A blocking operation, which [`drive`] drives. It must be in no list when it is dropped between calls (but see
/// [`Operation::leave`]).
pub trait Operation {
    /// The result of the completed operation.
    type Output;

    /// Whether the operation may keep what it was given while foreign code runs, before `leave` or `abandon`.
    /// If not, it is abandoned before the foreign code runs, and attempted again afterwards.
    const KEEPS: bool = true;

    /// Whether the wait ends when a scope of its thread is cancelled. That of a lock does not: after it, the program
    /// relies on having the lock.
    const IS_CANCELLATION_POINT: bool = true;

    /// The waiter of the thread that is about to wait. It is asked for anew after each interruption.
    fn waiter(&self) -> Arc<Waiter> {
        Waiter::new()
    }

    /// Whether an attempt may ever run foreign code.
    fn may_call_out(&self) -> bool {
        false
    }

    /// Whether an attempt that is made now would run foreign code.
    fn calls_out(&self) -> bool {
        false
    }

    /// When to attempt it again although nobody has woken it, if it has joined. It is asked after each attempt.
    fn due(&self) -> Deadline {
        Deadline::NEVER
    }

    /// Whether another thread completes it for good, so that `abandon` cannot undo it. Then an attempt that completes it
    /// must have claimed its own wait before ([`Waiter::claim_own`]).
    fn is_final(&self) -> bool {
        false
    }

    /// Whether it is still in its list after [`Operation::leave`] has returned `None`: see there. Then
    /// [`Operation::abandon`] takes it out.
    fn stays(&self) -> bool {
        false
    }

    /// What it is to give away, as long as it has that, for a garbage collector.
    fn offer(&self) -> Option<&dyn Any> {
        None
    }

    /// What it waits for, for an observer.
    fn resource(&self) -> Resource;

    /// Completes the operation now, or joins a list with `waiter` and returns `None`. Both the check and the
    /// join happen in one leaf section, so a wake cannot fall between them.
    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output>;

    /// Leaves the list, after a sleep that ended as `parked` says. Returns the output if the operation was
    /// completed before it could leave.
    ///
    /// An operation that no other thread ever completes may stay in its list after [`Parked::Unparked`], because it is
    /// attempted again. Then it leaves the list when it is dropped instead, and [`Operation::stays`] tells of it.
    fn leave(&mut self, parked: Parked) -> Option<Self::Output>;

    /// Leaves the list when the thread will not use what it was given: gives that back, or passes it on to
    /// the next waiter. Afterwards the operation counts as not completed, and may be attempted again with its
    /// old ticket. Returns the output if the completion cannot be undone, or need not be because no other
    /// thread loses anything by it.
    fn abandon(&mut self) -> Option<Self::Output>;
}

/// An operation that is in a list. If a panic drops this, the operation leaves the list. Otherwise a
/// completion that is meant for the waiters of the object could go to one that no longer exists.
struct Joined<'a, O: Operation>(&'a mut O);

impl<O: Operation> Drop for Joined<'_, O> {
    #[cold]
    fn drop(&mut self) {
        drop(self.0.abandon());
    }
}

/// Drives `operation` until it is completed, the deadline passes or a signal arrives.
///
/// [`Wait::Interrupted`] means that it was not completed, or has given back what it was given.
///
/// `suspend` parks the waiter. A caller that must release something while the thread sleeps (Python's lock)
/// does so in there. `suspend` must return normally, or never: it must not unwind.
pub fn drive<O: Operation>(
    operation: &mut O,
    deadline: Deadline,
    mut suspend: impl FnMut(&Arc<Waiter>, Deadline) -> Parked,
) -> Wait<O::Output> {
    let waiter = operation.waiter();
    let mut has_slept = false;
    loop {
        if let Some(output) = operation.attempt(&waiter) {
            if has_slept {
                observe::completed(|| operation.resource(), false);
            }
            return Wait::Ready(output);
        }
        has_slept = true;
        let joined = Joined(operation);
        let due = joined.0.due();
        let until = deadline.earlier(due);
        let sleep = observe::begin_sleep(&waiter, || joined.0.resource(), until);
        let parked = match suspend(&waiter, until) {
            // Its own time, and not the end of the wait: that comes only if the attempt fails.
            Parked::TimedOut if due.has_passed() => Parked::Unparked,
            parked => parked,
        };
        if let Some(sleep) = sleep {
            sleep.end(waiter.take_waker(), waiter.waker_place());
        }
        // Leave first, whatever ended the sleep: the list is the truth about completion, and a wake that came
        // together with a time-out or a signal must not be lost.
        let left = match parked {
            Parked::Raising => joined.0.abandon(),
            _ => joined.0.leave(parked),
        };
        std::mem::forget(joined);
        if let Some(output) = left {
            observe::completed(|| operation.resource(), false);
            return Wait::Ready(output);
        }
        match parked {
            Parked::Unparked => {}
            Parked::TimedOut => {
                observe::completed(|| operation.resource(), true);
                return Wait::TimedOut;
            }
            Parked::Interrupted | Parked::Raising => return Wait::Interrupted,
        }
    }
}
