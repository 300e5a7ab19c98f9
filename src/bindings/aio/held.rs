//! How an operation owns the object that it waits for.

use std::ops::Deref;
use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::bindings::runtime::observed::Observed;

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

impl<T: Observed> Deref for Held<T> {
    type Target = T::Primitive;

    #[inline]
    fn deref(&self) -> &T::Primitive {
        self.0.get().primitive()
    }
}
