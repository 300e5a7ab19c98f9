//! The objects that threads wait for, as other code than their own sees them.

use std::ops::Deref;

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

/// A class whose objects threads wait for.
pub(crate) trait Observed: PyClass<Frozen = True> + Send + Sync {
    /// The primitive that its objects consist of.
    type Primitive;

    /// The primitive of this object.
    fn primitive(&self) -> &Self::Primitive;

    /// The address that waits for the object have in a [`Resource`](crate::wait::observe::Resource).
    fn primitive_address(&self) -> usize {
        std::ptr::from_ref(self.primitive()).addr()
    }
}

/// An object that an operation keeps alive. Its methods are those of the primitive.
pub(crate) struct Kept<C>(Py<C>);

impl<C> Kept<C> {
    pub(crate) fn new(object: &Bound<'_, C>) -> Self {
        Self(object.clone().unbind())
    }

    /// The object.
    pub(crate) fn object(&self) -> &Py<C> {
        &self.0
    }
}

impl<C: Observed> Deref for Kept<C> {
    type Target = C::Primitive;

    #[inline]
    fn deref(&self) -> &C::Primitive {
        self.0.get().primitive()
    }
}
