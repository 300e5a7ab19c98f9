//! A wait for the first of several operations.

use std::sync::OnceLock;

use super::observe::{Owned, Resource, ThreadNumber};
use super::sync::Arc;
use super::{Arm, Claim, Operation, Parked, Slot, Waiter};

/// An operation whose type is not known: [`Operation`] as a trait object.
pub trait AnyOperation {
    /// The result of the completed operation.
    type Output;

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

/// No thread has all of it.
impl Owned for Listed {
    fn owner(&self) -> Option<ThreadNumber> {
        None
    }

    fn arms(&self) -> Vec<Resource> {
        self.0.clone()
    }
}

/// A wait for the first of several operations, of which exactly one is completed.
///
/// It is an operation itself, so a thread can sleep in it ([`drive`](super::drive)), and so can a wait without a thread
/// ([`Pending`](super::Pending)). The output is the number of the operation, and its output.
///
/// Each operation stands in the list of its object by its own ticket. So the wait is served in turn with the waits for
/// one object.
pub struct Select<A> {
    arms: Vec<A>,
    /// Which arm is attempted first. The others follow in their order.
    first: usize,
    claim: Arc<Claim>,
    /// Whom the arms wake. `None`: the waiter of each attempt.
    target: Option<Arc<Waiter>>,
    /// The waiter of the last attempt, and a waiter for each arm.
    waiters: Option<(Arc<Waiter>, Vec<Arc<Waiter>>)>,
    /// What it waits for, if an observer has asked. In a box, whose address stays.
    listed: OnceLock<Box<Listed>>,
}

impl<A> Select<A> {
    /// The wait that has not begun. If several operations can be completed, `first` is preferred, and then those that
    /// follow it.
    pub fn new(arms: Vec<A>, first: usize) -> Self {
        Self {
            first: first.checked_rem(arms.len()).unwrap_or(0),
            arms,
            claim: Arc::new(Claim::new()),
            target: None,
            waiters: None,
            listed: OnceLock::new(),
        }
    }

    /// The same, for a thread that does not sleep on the waiter that it is given, but in another way: `target` is woken
    /// instead of that waiter.
    pub fn waking(mut self, target: Arc<Waiter>) -> Self {
        self.target = Some(target);
        self
    }

    /// The operations.
    pub fn arms(&self) -> &[A] {
        &self.arms
    }

    /// Makes a waiter for each arm, which wakes `waiter`, or what is woken instead; unless that was done before.
    fn prepare(&mut self, waiter: &Arc<Waiter>) {
        if !(self.waiters.as_ref()).is_some_and(|(of, _)| Arc::ptr_eq(of, waiter)) {
            let target = self.target.as_ref().unwrap_or(waiter);
            let waiters = (0..self.arms.len())
                .map(|slot| Waiter::arm(Arm::new(&self.claim, Slot(slot), target)))
                .collect();
            self.waiters = Some((Arc::clone(waiter), waiters));
        }
    }
}

impl<A: AnyOperation> Operation for Select<A> {
    type Output = (usize, A::Output);

    /// The list of a queue must not wait for a waiter that has a chance and runs a signal handler.
    const KEEPS: bool = false;

    fn resource(&self) -> Resource {
        let list = || Box::new(Listed(self.arms.iter().map(A::resource).collect()));
        Resource {
            // There is no object of which a profile could tell this wait from others.
            address: 0,
            ..Resource::owned("one of several sources", &**self.listed.get_or_init(list))
        }
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        self.prepare(waiter);
        let (_, waiters) = self.waiters.as_ref()?;
        // No arm is in a list.
        self.claim.reopen();
        let count = self.arms.len();
        for step in 0..count {
            let slot = (self.first + step) % count;
            let Some(output) = self.arms[slot].attempt(&waiters[slot]) else {
                continue;
            };
            // Another thread may have claimed an arm that was attempted before. What that was given goes to the next
            // waiter, as if the thread had come a moment later.
            self.claim.close();
            for before in 0..step {
                drop(self.arms[(self.first + before) % count].abandon());
            }
            return Some((slot, output));
        }
        None
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        // From here on, no other thread completes an arm.
        self.claim.close();
        let mut completed = None;
        for (slot, arm) in self.arms.iter_mut().enumerate() {
            if let Some(output) = arm.leave(parked) {
                completed = Some((slot, output));
            }
        }
        completed
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.claim.close();
        let mut completed = None;
        for (slot, arm) in self.arms.iter_mut().enumerate() {
            if let Some(output) = arm.abandon() {
                completed = Some((slot, output));
            }
        }
        completed
    }
}
