//! Questions about a type, whose answers are stored until the type changes.
//!
//! A program may put a hook into a class in many ways: by a `class` statement, by a decorator, or by assignment to
//! the class or to one of its bases. The interpreter gives a type a new version whenever the type or one of its
//! bases has changed, and it never uses a version number again. So an answer is stored under the version of the
//! type. A lookup takes a few instructions, and every change is noticed, whatever made it.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::Lazy;

/// How many versions are remembered at a time; a power of two. If a version was forgotten, the question is asked
/// again.
const REMEMBERED: usize = 64;

/// No type has this version: the interpreter counts from 1, and stops long before this number.
const NO_VERSION: u32 = u32::MAX;

/// A question, and the versions of the types for which the answer was yes.
pub(crate) struct TypeQuestion {
    yes: [AtomicU32; REMEMBERED],
    /// The Python function that answers: it is called with a type and returns a bool. And the native class, for which
    /// the answer is always yes, without a call.
    ask: Lazy<(Py<PyAny>, Py<PyType>)>,
}

/// The version of the type; 0 if it has none at present.
///
/// # Safety
/// Attached, and the type is alive.
#[inline]
unsafe fn version(class: *mut ffi::PyTypeObject) -> u32 {
    // SAFETY: the caller guarantees that it is a live type; this makes a pointer, and reads nothing.
    let version = unsafe { &raw mut (*class).tp_version_tag };
    // SAFETY: it points into that type, and is aligned as the field is. Without a GIL, other threads may write the
    // number at the same time, by atomic instructions, as this reads it.
    unsafe { AtomicU32::from_ptr(version) }.load(Ordering::Relaxed)
}

/// The version of the type; 0 if it has none at present.
#[inline]
pub(crate) fn version_of(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: attached, as the lifetime shows; it is a live type.
    unsafe { version(class.as_type_ptr()) }
}

impl TypeQuestion {
    pub(crate) const fn new() -> Self {
        Self {
            yes: [const { AtomicU32::new(NO_VERSION) }; REMEMBERED],
            ask: Lazy::new(),
        }
    }

    /// Sets the function that answers. Later calls have no effect.
    pub(crate) fn set(&self, ask: Bound<'_, PyAny>, native: Bound<'_, PyType>) -> PyResult<()> {
        let answer = || Ok((ask.unbind(), native.unbind()));
        self.ask.get_or_make(answer).map(drop)
    }

    /// Whether the answer for the type of this object is stored, and is yes.
    ///
    /// # Safety
    /// Attached, and the object is alive.
    #[inline]
    pub(crate) unsafe fn is_known_for(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: guaranteed by the caller; a live object keeps its type alive.
        let class = unsafe { ffi::Py_TYPE(object) };
        // SAFETY: as above.
        let version = unsafe { version(class) };
        self.remembers(version)
    }

    /// The answer for the type of this object.
    ///
    /// # Errors
    /// What asking raised.
    #[inline]
    pub(crate) fn is_yes_for(&self, object: &Bound<'_, PyAny>) -> PyResult<bool> {
        // SAFETY: attached, as the lifetime shows; it is a live object.
        if unsafe { self.is_known_for(object.as_ptr()) } {
            return Ok(true);
        }
        self.ask(&object.get_type())
    }

    /// Like [`is_known_for`](Self::is_known_for), for a safe reference.
    #[inline]
    pub(crate) fn is_known_for_object(&self, object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: attached, as the lifetime shows; it is a live object.
        unsafe { self.is_known_for(object.as_ptr()) }
    }

    /// Whether the answer for the type is stored, and is yes.
    #[inline]
    pub(crate) fn is_known(&self, class: &Bound<'_, PyType>) -> bool {
        self.remembers(version_of(class))
    }

    #[inline]
    fn remembers(&self, version: u32) -> bool {
        self.yes[version as usize % REMEMBERED].load(Ordering::Relaxed) == version
    }

    /// The answer for the type.
    ///
    /// # Errors
    /// What asking raised.
    #[cold]
    #[inline(never)]
    pub(crate) fn ask(&self, class: &Bound<'_, PyType>) -> PyResult<bool> {
        let py = class.py();
        let Some((ask, native)) = self.ask.get() else {
            return Ok(true); // the class is still being made, and has no subclass yet
        };
        if class.is(native) {
            return Ok(true);
        }
        // The lookup of an attribute gives the type a version, if it has none. `type.__getattribute__` does so
        // whatever the metaclass overrides.
        let lookup = py
            .get_type::<PyType>()
            .getattr(intern!(py, "__getattribute__"))?;
        lookup.call1((class, intern!(py, "__hash__")))?;
        let before = version_of(class);
        let answer = foreign::call(ask.bind(py), &PyTuple::new(py, [class])?, None)?;
        let answer = answer.is_truthy()?;
        let after = version_of(class);
        if answer && before == after && before != 0 {
            self.yes[before as usize % REMEMBERED].store(before, Ordering::Relaxed);
        }
        Ok(answer)
    }
}
