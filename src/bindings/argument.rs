//! An argument that may be left out, where `None` is a value like any other.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::{Borrowed, types::PyAny};

use super::user_code;

/// What the caller passed, if anything.
pub(crate) enum Argument<'py> {
    Absent,
    Given(Bound<'py, PyAny>),
}

impl Argument<'_> {
    /// Its truth value; `default` if absent.
    #[inline]
    pub(crate) fn is_true_or(&self, default: bool) -> PyResult<bool> {
        match self {
            Self::Absent => Ok(default),
            Self::Given(value) => user_code::truth(value),
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
