//! How an executor makes a future without the cost of `type.__call__`.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::bindings::fallback::HasFallback;
use crate::bindings::future::{Future, class};
use crate::bindings::runtime::{foreign, type_question};

/// The functions that make an instance of the class and initialize it.
fn slots(class: &Bound<'_, PyType>) -> (Option<ffi::newfunc>, Option<ffi::initproc>) {
    let class = class.as_type_ptr();
    // SAFETY: attached, as the lifetime shows, and the class is alive. CPython puts another function
    // into a class in use only under the GIL or, where there is none, with every other attached thread
    // stopped (`apply_type_slot_updates`).
    let new = unsafe { (*class).tp_new };
    // SAFETY: as above.
    let initialize = unsafe { (*class).tp_init };
    (new, initialize)
}

fn same<T: Copy>(one: Option<T>, other: Option<T>, address: impl Fn(T) -> usize) -> bool {
    one.is_some() && one.map(&address) == other.map(&address)
}

/// The version that our class had when it was last found to make its objects as the native class does. As long as the
/// class has this version, it has not changed.
static PLAIN_VERSION: AtomicU32 = AtomicU32::new(0);

/// Whether an object of the class is made and initialized by the native class, and runs natively.
fn is_plain(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let version = type_question::version_of(class);
    if version != 0 && version == PLAIN_VERSION.load(Ordering::Relaxed) {
        return Ok(true);
    }
    check_plain(class)
}

#[cold]
fn check_plain(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let (new, initialize) = slots(class);
    let (native_new, native_initialize) = slots(&class.py().get_type::<Future>());
    let is_plain = same(new, native_new, |function| function as usize)
        && same(initialize, native_initialize, |function| function as usize);
    if !is_plain || !Future::runs_natively().ask(class)? {
        return Ok(false);
    }
    // If the class changed during the question, the answer is not stored under this version, and `is_known` is false.
    let version = type_question::version_of(class);
    if Future::runs_natively().is_known(class) {
        PLAIN_VERSION.store(version, Ordering::Relaxed);
    }
    Ok(true)
}

impl Future {
    /// `Future()`, but without looking up and calling the methods that the class does not override.
    ///
    /// # Errors
    /// What it raises.
    pub(crate) fn make(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let class = class(py)?;
        if is_plain(class)?
            && let (Some(new), _) = slots(class)
        {
            let none = PyTuple::empty(py);
            // SAFETY: attached; it is the function of this class, called as `type.__call__` does, with
            // a tuple and without keywords.
            let object = unsafe { new(class.as_type_ptr(), none.as_ptr(), ptr::null_mut()) };
            // SAFETY: attached; it returned a new reference, or null with an exception set.
            let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
            // What `__init__` does, if no subclass overrides it.
            if object.cast::<Self>()?.get().inner.reset().is_ok() {
                return Ok(object);
            }
        }
        foreign::call(class.as_any(), &PyTuple::empty(py), None)
    }
}
