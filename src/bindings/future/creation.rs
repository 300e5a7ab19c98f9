//! How an executor makes a future.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::{Future, class};
use crate::bindings::user_code;

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

impl Future {
    /// `Future()`, without looking up and calling what the class does not override.
    ///
    /// # Errors
    /// What it raises.
    pub(crate) fn make(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let class = class(py)?;
        let (new, initialize) = slots(class);
        let (native_new, native_initialize) = slots(&py.get_type::<Self>());
        if same(new, native_new, |function| function as usize)
            && same(initialize, native_initialize, |function| function as usize)
            && let Some(new) = new
        {
            let none = PyTuple::empty(py);
            // SAFETY: attached; it is the function of this class, called as `type.__call__` does, with
            // a tuple and without keywords.
            let object = unsafe { new(class.as_type_ptr(), none.as_ptr(), ptr::null_mut()) };
            // SAFETY: attached; it returned a new reference, or null with an exception set.
            let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
            // What `__init__` does where no subclass is concerned.
            if object.cast::<Self>()?.get().inner.reset().is_ok() {
                return Ok(object);
            }
        }
        user_code::call(class.as_any(), &PyTuple::empty(py), None)
    }
}
