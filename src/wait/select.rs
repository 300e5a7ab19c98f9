//! A wait for the first of several operations.

use std::any::Any;
use std::sync::OnceLock;

use super::deadline::Deadline;
use super::observe::{Owned, Resource, ThreadNumber};
use super::sync::Arc;
use super::{Arm, Claim, Operation, Parked, Slot, Waiter};

/// An operation whose type is not known: [`Operation`] as a trait object.
pub trait AnyOperation {
    /// The result of the completed operation.
    type Output;

    /// As [`Operation::may_call_out`].
    fn may_call_out(&self) -> bool;

    /// As [`Operation::calls_out`].
    fn calls_out(&self) -> bool;

    /// As [`Operation::due`].
    fn due(&self) -> Deadline;

    /// As [`Operation::is_final`].
    fn is_final(&self) -> bool;

    /// As [`Operation::stays`].
    fn stays(&self) -> bool;

    /// As [`Operation::offer`].
    fn offer(&self) -> Option<&dyn Any>;

    /// As [`Operation::resource`].
    fn resource(&self) -> Resource;

    /// As [`Operation::attempt`].
    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output>;

    /// As [`Operation::leave`].
    fn leave(&mut self, parked: Parked) -> Option<Self::Output>;

    /// As [`Operation::abandon`].
    fn abandon(&mut self) -> Option<Self::Output>;
}

impl<O: Operation> AnyOperation for O {
    type Output = O::Output;

    fn may_call_out(&self) -> bool {
        Operation::may_call_out(self)
    }

    fn calls_out(&self) -> bool {
        Operation::calls_out(self)
    }

    fn due(&self) -> Deadline {
        Operation::due(self)
    }

    fn is_final(&self) -> bool {
        Operation::is_final(self)
    }

    fn stays(&self) -> bool {
        Operation::stays(self)
    }

    fn offer(&self) -> Option<&dyn Any> {
        Operation::offer(self)
    }

    fn resource(&self) -> Resource {
        Operation::resource(self)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        Operation::attempt(self, waiter)
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        Operation::leave(self, parked)
    }

    fn abandon(&mut self) -> Option<Self::Output> {
        Operation::abandon(self)
    }
}

impl<D: AnyOperation + ?Sized> Operation for Box<D> {
    type Output = D::Output;

    /// Not every operation may.
    const KEEPS: bool = false;

    fn may_call_out(&self) -> bool {
        (**self).may_call_out()
    }

    fn calls_out(&self) -> bool {
        (**self).calls_out()
    }

    fn due(&self) -> Deadline {
        (**self).due()
    }

    fn is_final(&self) -> bool {
        (**self).is_final()
    }

    fn stays(&self) -> bool {
        (**self).stays()
    }

    fn offer(&self) -> Option<&dyn Any> {
        (**self).offer()
    }

    fn resource(&self) -> Resource {
        (**self).resource()
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<D::Output> {
        (**self).attempt(waiter)
    }

    fn leave(&mut self, parked: Parked) -> Option<D::Output> {
        (**self).leave(parked)
    }

    fn abandon(&mut self) -> Option<D::Output> {
        (**self).abandon()
    }
}

/// An operation whose output is converted.
pub struct Converted<O, F> {
    operation: O,
    convert: F,
}

impl<O, F> Converted<O, F> {
    /// The operation, with what its output is converted by.
    pub fn new(operation: O, convert: F) -> Self {
        Self { operation, convert }
    }
}

impl<O: Operation, T, F: Fn(O::Output) -> T> Operation for Converted<O, F> {
    type Output = T;

    const KEEPS: bool = O::KEEPS;

    const IS_CANCELLATION_POINT: bool = O::IS_CANCELLATION_POINT;

    fn waiter(&self) -> Arc<Waiter> {
        self.operation.waiter()
    }

    fn may_call_out(&self) -> bool {
        self.operation.may_call_out()
    }

    fn calls_out(&self) -> bool {
        self.operation.calls_out()
    }

    fn due(&self) -> Deadline {
        self.operation.due()
    }

    fn is_final(&self) -> bool {
        self.operation.is_final()
    }

    fn stays(&self) -> bool {
        self.operation.stays()
    }

    fn offer(&self) -> Option<&dyn Any> {
        self.operation.offer()
    }

    fn resource(&self) -> Resource {
        self.operation.resource()
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<T> {
        self.operation.attempt(waiter).map(&self.convert)
    }

    fn leave(&mut self, parked: Parked) -> Option<T> {
        self.operation.leave(parked).map(&self.convert)
    }

    fn abandon(&mut self) -> Option<T> {
        self.operation.abandon().map(&self.convert)
    }
}

/// What a wait is for, for an observer.
struct Listed(Vec<Resource>);

impl Listed {
    /// A number instead of an address: the same for waits for the same objects, so that a profile adds them up. It is odd,
    /// which no address is.
    fn number(&self) -> usize {
        let mix = |number: usize, resource: &Resource| {
            let kind = resource.what.len();
            number.rotate_left(7).wrapping_mul(31) ^ resource.address ^ kind
        };
        self.0.iter().fold(0, mix) | 1
    }
}

/// No thread has all of it.
impl Owned for Listed {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn arms(&self) -> Vec<Resource> {
        self.0.clone()
    }
}

/// An operation of a wait for several.
struct Part<A> {
    operation: A,
    /// Whether it is in its list, or was taken out of it by another thread.
    joined: bool,
}

impl<A: AnyOperation> Part<A> {
    /// Whether it has to leave its list. Some operations stay there between two attempts.
    fn must_leave(&self) -> bool {
        self.joined || self.operation.stays()
    }
}

/// A wait for the first of several operations, of which exactly one is completed.
///
/// It is an operation itself, so a thread can sleep in it ([`drive`](super::drive)), and so can a wait without a thread
/// ([`Pending`](super::Pending)). The output is the number of the operation, and its output.
///
/// Each operation stands in the list of its object by its own ticket. So the wait is served in turn with the waits for
/// one object.
pub struct Select<A: AnyOperation> {
    parts: Vec<Part<A>>,
    /// The order in which the operations are attempted.
    order: Vec<usize>,
    /// Whether one of them may run foreign code.
    may_call_out: bool,
    claim: Arc<Claim>,
    /// Makes the waiter of the thread, if it does not sleep as usual.
    waiter: Option<Box<dyn Fn() -> Arc<Waiter> + Send + Sync>>,
    /// The waiter of the last attempt, and a waiter for each operation.
    waiters: Option<(Arc<Waiter>, Vec<Arc<Waiter>>)>,
    /// What it waits for, if an observer has asked. In a box, whose address stays.
    listed: OnceLock<Box<Listed>>,
}

impl<A: AnyOperation> Select<A> {
    /// The wait that has not begun. If several operations can be completed, `first` is preferred, and then those that
    /// follow it.
    ///
    /// Operations that others complete for good ([`Operation::is_final`]) join their lists last. Otherwise another thread
    /// could complete one of them while the attempt of the next one takes effect, too.
    pub fn new(operations: Vec<A>, first: usize) -> Self {
        let rotated = |step| (first + step) % operations.len();
        let mut order: Vec<usize> = (0..operations.len()).map(rotated).collect();
        order.sort_by_key(|slot| operations[*slot].is_final());
        Self {
            order,
            may_call_out: operations.iter().any(A::may_call_out),
            parts: (operations.into_iter())
                .map(|operation| Part {
                    operation,
                    joined: false,
                })
                .collect(),
            claim: Arc::new(Claim::new()),
            waiter: None,
            waiters: None,
            listed: OnceLock::new(),
        }
    }

    /// The same, for a thread that sleeps in another way than on its waiter: `waiter` makes what is woken.
    pub fn woken_by(mut self, waiter: impl Fn() -> Arc<Waiter> + Send + Sync + 'static) -> Self {
        self.waiter = Some(Box::new(waiter));
        self
    }

    /// The operations.
    pub fn operations(&self) -> impl Iterator<Item = &A> {
        self.parts.iter().map(|part| &part.operation)
    }

    /// Makes a waiter for each operation, which wakes `waiter`; unless that was done before.
    fn prepare(&mut self, waiter: &Arc<Waiter>) {
        if !(self.waiters.as_ref()).is_some_and(|(of, _)| Arc::ptr_eq(of, waiter)) {
            let waiters = (0..self.parts.len())
                .map(|slot| Waiter::arm(Arm::new(&self.claim, Slot(slot), waiter)))
                .collect();
            self.waiters = Some((Arc::clone(waiter), waiters));
        }
    }

    /// Attempts this operation. If it is not complete, it is in its list afterwards.
    fn attempt_one(&mut self, slot: usize) -> Option<A::Output> {
        let (_, waiters) = self.waiters.as_ref()?;
        let part = &mut self.parts[slot];
        let output = part.operation.attempt(&waiters[slot]);
        part.joined = output.is_none();
        output
    }

    /// The operation to attempt next. `None`: all are in their lists.
    ///
    /// While foreign code runs, no operation may be in a list, because it would be given what it cannot use in time. So an
    /// operation that runs such code comes first, and those that have joined leave for it. So do those that have stayed in
    /// their lists since the last attempt: others wait behind them, perhaps even the code itself.
    fn next_to_attempt(&mut self, from: usize) -> Option<usize> {
        if !self.may_call_out {
            return self.order.get(from).copied();
        }
        let mut rest = (self.order.iter().copied()).filter(|slot| !self.parts[*slot].joined);
        let first = rest.next()?;
        let calls_out = |slot: &usize| self.parts[*slot].operation.calls_out();
        let Some(calling) = std::iter::once(first).chain(rest).find(calls_out) else {
            return Some(first);
        };
        if self.parts.iter().any(Part::must_leave) {
            drop(self.leave_by(A::abandon));
            self.claim.reopen();
        }
        Some(calling)
    }

    /// Takes all operations out of their lists by `leave`. Returns the one that was completed.
    ///
    /// An operation that was given a chance may use it as it leaves, and run foreign code for that. So it is the last one, and
    /// those that would stay in their lists leave before.
    fn leave_by(
        &mut self,
        leave: impl Fn(&mut A) -> Option<A::Output>,
    ) -> Option<(usize, A::Output)> {
        // From here on, no other thread completes one of them.
        let claimed = self.claim.close().map(|Slot(slot)| slot);
        let calling = claimed.filter(|slot| self.parts[*slot].operation.may_call_out());
        let others = (0..self.parts.len()).filter(|slot| Some(*slot) != calling);
        let mut completed = None;
        for slot in others.chain(calling) {
            let part = &mut self.parts[slot];
            let must_leave = part.must_leave();
            // Once only, even if one of them panics and all are abandoned afterwards.
            part.joined = false;
            if must_leave && let Some(output) = leave(&mut part.operation) {
                completed = Some((slot, output));
            }
            if calling.is_some() && part.operation.stays() {
                drop(part.operation.abandon());
            }
        }
        completed
    }
}

/// An attempt that has not ended. If it ends with a completed operation, or by a panic, the others leave their lists:
/// another thread may have claimed one of them. What that was given goes to the next waiter.
struct Attempt<'a, A: AnyOperation>(&'a mut Select<A>);

impl<A: AnyOperation> Drop for Attempt<'_, A> {
    fn drop(&mut self) {
        drop(self.0.leave_by(A::abandon));
    }
}

impl<A: AnyOperation> Operation for Select<A> {
    type Output = (usize, A::Output);

    /// The list of a queue must not wait for a waiter that has a chance and runs a signal handler.
    const KEEPS: bool = false;

    fn waiter(&self) -> Arc<Waiter> {
        self.waiter.as_ref().map_or_else(Waiter::new, |make| make())
    }

    fn due(&self) -> Deadline {
        let dues = self.parts.iter().map(|part| part.operation.due());
        dues.fold(Deadline::NEVER, Deadline::earlier)
    }

    fn resource(&self) -> Resource {
        let resources = self.parts.iter().map(|part| part.operation.resource());
        let list = || Box::new(Listed(resources.collect()));
        let listed = self.listed.get_or_init(list);
        Resource {
            address: listed.number(),
            ..Resource::owned("one of several sources", &**listed)
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        self.prepare(waiter);
        // No operation is in a list.
        self.claim.reopen();
        let attempt = Attempt(self);
        let mut attempted = 0;
        while let Some(slot) = attempt.0.next_to_attempt(attempted) {
            attempted += 1;
            if let Some(output) = attempt.0.attempt_one(slot) {
                return Some((slot, output));
            }
        }
        std::mem::forget(attempt);
        None
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        self.leave_by(|operation| operation.leave(parked))
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.leave_by(A::abandon)
    }
}
