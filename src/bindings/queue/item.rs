//! The items of a queue, and how a priority queue compares them.

use std::cmp::Ordering;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};
use pyo3::{Borrowed, ffi};

use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::primitives::queue;

/// An item of a queue: any Python object.
pub(crate) struct Item(Owned);

impl Item {
    #[inline]
    pub(crate) fn new(object: Bound<'_, PyAny>) -> Self {
        Self(object.into())
    }

    #[inline]
    pub(crate) fn into_bound(self, py: Python<'_>) -> Bound<'_, PyAny> {
        self.0.into_bound(py)
    }

    #[inline]
    pub(crate) fn object(&self) -> &Py<PyAny> {
        self.0.object()
    }
}

lazy_imports! {
    /// What comparing items looks up.
    pub(super) IMPORTS;
    LESS_THAN: PyAny = "operator", "lt";
}

impl queue::Item for Item {
    type Error = PyErr;

    #[inline]
    fn is_less_fast(&self, other: &Self) -> Option<bool> {
        let py = self.0.attached();
        let (item, other) = (self.object(), other.object());
        compare_fast(item.bind_borrowed(py), other.bind_borrowed(py), NESTED)
            .map(|ordering| ordering == Some(Ordering::Less))
    }

    fn is_less(&self, other: &Self) -> PyResult<bool> {
        let py = self.0.attached();
        let less_than = LESS_THAN.get(py)?;
        let pair = PyTuple::new(py, [self.object(), other.object()])?;
        let less = foreign::call(less_than, &pair, None)?;
        foreign::is_true(less)
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

/// How deeply nested a tuple may be for the fast comparison.
const NESTED: u32 = 2;
/// How long a tuple or a string may be for the fast comparison.
const SHORT: usize = 64;

/// Compares plain numbers, strings and tuples of them, with the result of their `<` and `==`. It takes a few
/// instructions, runs no code but the interpreter's own, and makes no object. `Some(None)`: neither less, nor
/// equal, nor greater (NaN). `None`: the fast comparison does not apply to these objects.
#[inline]
fn compare_fast(
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
    // SAFETY: attached, as `item` shows. It is a live int, so the call runs no code of a program. An int that is
    // too large is reported in `overflow`, not by an exception.
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
        // When tuples are compared, an object is equal to itself, whatever its `__eq__` says.
        if mine.is(&*theirs) {
            continue;
        }
        match compare_fast(mine, theirs, nested)? {
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
    // SAFETY: attached; both are live strings of exactly that type, so the call runs no other code. It fails only
    // if a string of Python 3.11 cannot be converted into its final form; both are in that form, because their
    // lengths were read above.
    let ordering = unsafe { ffi::PyUnicode_Compare(item.as_ptr(), other.as_ptr()) };
    Some(Some(ordering.cmp(&0)))
}
