//! What is in a queue, and how a priority queue compares it.

use std::cmp::Ordering;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};
use pyo3::{Borrowed, ffi};

use super::user_code::{self, Owned};
use crate::bindings::kept::Kept;
use crate::primitives::queue::{self as core};

/// Any object.
pub(crate) struct Item(Owned);

impl Item {
    #[inline]
    pub(super) fn new(object: Bound<'_, PyAny>) -> Self {
        Self(object.into())
    }

    #[inline]
    pub(super) fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        self.0.into_bound(py)
    }

    #[inline]
    pub(super) fn object(&self) -> &Py<PyAny> {
        self.0.object()
    }
}

impl core::Item for Item {
    type Error = PyErr;

    #[inline]
    fn is_less_at_once(&self, other: &Self) -> Option<bool> {
        let py = self.0.attached();
        let (item, other) = (self.object(), other.object());
        compare_at_once(item.bind_borrowed(py), other.bind_borrowed(py), NESTED)
            .map(|ordering| ordering == Some(Ordering::Less))
    }

    fn is_less(&self, other: &Self) -> PyResult<bool> {
        static LESS_THAN: Kept<Py<PyAny>> = Kept::new();
        let py = self.0.attached();
        let less_than = LESS_THAN.import(py, "operator", "lt")?;
        let pair = PyTuple::new(py, [self.object(), other.object()])?;
        let less = user_code::call(less_than, &pair, None)?;
        user_code::is_true(less)
    }

    #[inline]
    fn is_same(&self, other: &Self) -> bool {
        self.object().is(other.object())
    }

    #[inline]
    fn share(&self) -> Self {
        Self(self.0.share())
    }
}

/// How deep tuples within tuples are compared at once.
const NESTED: u32 = 2;
/// How long a tuple, and a string, may be to be compared at once.
const SHORT: usize = 64;

/// Compares plain numbers, strings and tuples of them, as `<` and `==` of theirs would: within a
/// few instructions, with no code but the interpreter's own, and without making an object.
/// `Some(None)` is neither less, nor equal, nor greater. For all else the answer is `None`.
#[inline]
fn compare_at_once(
    item: Borrowed<'_, '_, PyAny>,
    other: Borrowed<'_, '_, PyAny>,
    nested: u32,
) -> Option<Option<Ordering>> {
    if let (Some(item), Some(other)) = (small_integer(&item), small_integer(&other)) {
        return Some(Some(item.cmp(&other)));
    }
    if let (Ok(item), Ok(other)) = (item.cast_exact::<PyTuple>(), other.cast_exact::<PyTuple>()) {
        return compare_tuples(&item, &other, nested.checked_sub(1)?);
    }
    if let (Ok(item), Ok(other)) = (item.cast_exact::<PyFloat>(), other.cast_exact::<PyFloat>()) {
        return Some(item.value().partial_cmp(&other.value()));
    }
    if let (Ok(item), Ok(other)) = (
        item.cast_exact::<PyString>(),
        other.cast_exact::<PyString>(),
    ) {
        return compare_strings(&item, &other);
    }
    None
}

#[inline]
fn small_integer(item: &Borrowed<'_, '_, PyAny>) -> Option<i64> {
    if !item.is_exact_instance_of::<PyInt>() && !item.is_exact_instance_of::<PyBool>() {
        return None;
    }
    let mut overflow = 0;
    // SAFETY: attached, as `item` shows; it is a live int, of which the call runs no code, and
    // an int too large is reported in `overflow`, not by an exception.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(item.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

fn compare_tuples(
    item: &Bound<'_, PyTuple>,
    other: &Bound<'_, PyTuple>,
    nested: u32,
) -> Option<Option<Ordering>> {
    if item.len().min(other.len()) > SHORT {
        return None;
    }
    for (mine, theirs) in item.iter_borrowed().zip(other.iter_borrowed()) {
        // To tuples an object is equal to itself, whatever it says.
        if mine.is(&*theirs) {
            continue;
        }
        match compare_at_once(mine, theirs, nested)? {
            Some(Ordering::Equal) => {}
            decided => return Some(decided),
        }
    }
    Some(Some(item.len().cmp(&other.len())))
}

fn compare_strings(
    item: &Bound<'_, PyString>,
    other: &Bound<'_, PyString>,
) -> Option<Option<Ordering>> {
    if item.len().ok()?.min(other.len().ok()?) > SHORT {
        return None;
    }
    // SAFETY: attached; both are live strings of exactly that type, on which it runs no other code. It
    // fails only where a string of Python 3.11 cannot be put into its final form, which the lengths
    // were asked of.
    let ordering = unsafe { ffi::PyUnicode_Compare(item.as_ptr(), other.as_ptr()) };
    Some(Some(ordering.cmp(&0)))
}
