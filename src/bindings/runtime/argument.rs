//! An optional argument for which `None` is an ordinary value.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::{Borrowed, types::PyAny};

use crate::bindings::runtime::foreign;

/// An argument, if the caller passed one.
pub(crate) enum Argument<'py> {
    Absent,
    Given(Bound<'py, PyAny>),
}

impl Argument<'_> {
    /// The truth value of the argument; `default` if it is absent.
    #[inline]
    pub(crate) fn is_true_or(&self, default: bool) -> PyResult<bool> {
        match self {
            Self::Absent => Ok(default),
            Self::Given(value) => foreign::truth(value),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Argument<'py> {
    type Error = Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(object.to_owned()))
    }
}
