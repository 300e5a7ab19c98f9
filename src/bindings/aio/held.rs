//! How an operation owns the object that it waits for.

use std::ops::Deref;
use std::sync::Arc;

use pyo3::PyClass;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use crate::bindings::future::{Call, Future};
use crate::bindings::queue::{Item, Queue, SimpleQueue};
use crate::bindings::runtime::foreign::Owned;
use crate::bindings::threading::{Barrier, Condition, Event, Lock, Semaphore};
use crate::primitives::{barrier, condition, event, future, lock, queue, semaphore};

/// A native class, and the primitive that its objects have.
pub(super) trait HasCore: PyClass<Frozen = True> + Send + Sync + 'static {
    type Core: 'static;

    fn core(&self) -> &Self::Core;
}

macro_rules! has_core {
    ($($class:ty: $core:ty,)*) => {
        $(impl HasCore for $class {
            type Core = $core;

            #[inline]
            fn core(&self) -> &Self::Core {
                self.primitive()
            }
        })*
    };
}

has_core! {
    Queue: queue::Queue<Item>,
    SimpleQueue: queue::Queue<Item>,
    Lock: lock::Lock,
    Semaphore: semaphore::Semaphore,
    Event: event::Event,
    Condition: condition::Condition,
    Barrier: barrier::Barrier,
    Future: future::Future<Owned, Owned, Call>,
}

/// An object that several parts of one wait share. They have one reference to it together, so the collector counts right.
pub(super) struct Held<T>(Arc<Py<T>>);

impl<T> Held<T> {
    pub(super) fn new(object: Py<T>) -> Self {
        Self(Arc::new(object))
    }

    pub(super) fn object(&self) -> &Py<T> {
        &self.0
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.0)
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: HasCore> Deref for Held<T> {
    type Target = T::Core;

    #[inline]
    fn deref(&self) -> &T::Core {
        self.0.get().core()
    }
}
