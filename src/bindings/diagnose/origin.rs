//! Records where objects are made.
//!
//! Nothing of this is on the way to an object as long as nobody watches. [`record`] replaces the function of the type that
//! makes objects (`tp_new`) in each class, and in those that are derived from it. A class that is derived later inherits
//! the new one.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use crate::bindings::channels::{Broadcast, Channel, Watch};
use crate::bindings::diagnose::{address_of, order};
use crate::bindings::executor::ThreadPoolExecutor;
use crate::bindings::queue::{self, DelayQueue, Queue, SimpleQueue};
use crate::bindings::runtime::foreign;
use crate::bindings::tasks::TaskGroup;
use crate::bindings::threading::{
    Barrier, Condition, Event, Limiter, Lock, RLock, RWLock, Semaphore,
};
use crate::diagnostics::origins;
use crate::wait::observe;

/// A native class, and the function that makes its objects.
struct Original {
    class: usize,
    new: ffi::newfunc,
}

static ORIGINALS: OnceLock<Vec<Original>> = OnceLock::new();

/// Records from now on where locks, `RWLock`s, conditions, semaphores, limiters, events, barriers, queues, pools, channels
/// and groups of tasks are made.
pub(super) fn record(py: Python<'_>) -> PyResult<()> {
    let classes = [
        py.get_type::<Lock>(),
        py.get_type::<RLock>(),
        py.get_type::<RWLock>(),
        py.get_type::<Condition>(),
        py.get_type::<Semaphore>(),
        py.get_type::<Limiter>(),
        py.get_type::<Event>(),
        py.get_type::<Barrier>(),
        py.get_type::<Queue>(),
        py.get_type::<SimpleQueue>(),
        py.get_type::<DelayQueue>(),
        py.get_type::<ThreadPoolExecutor>(),
        py.get_type::<Channel>(),
        py.get_type::<Broadcast>(),
        py.get_type::<Watch>(),
        py.get_type::<TaskGroup>(),
    ];
    let originals = ORIGINALS.get_or_init(|| {
        let original = |class: &Bound<'_, PyType>| {
            // SAFETY: attached, and the class is alive.
            let new = unsafe { (*class.as_type_ptr()).tp_new }?;
            let class = class.as_type_ptr().addr();
            Some(Original { class, new })
        };
        classes.iter().filter_map(original).collect()
    });
    for class in &classes {
        if let Some(original) = original_of(originals, class.as_type_ptr()) {
            replace(class, original)?;
        }
    }
    Ok(())
}

/// The function that makes objects of a class, by the native class that it is derived from.
fn original_of(originals: &[Original], mut class: *mut ffi::PyTypeObject) -> Option<ffi::newfunc> {
    while !class.is_null() {
        if let Some(original) = (originals.iter()).find(|original| original.class == class.addr()) {
            return Some(original.new);
        }
        // SAFETY: the class is alive, and keeps its base alive. The base of a class with objects does not change
        // its layout, so it has the same native class among its bases.
        class = unsafe { (*class).tp_base };
    }
    None
}

/// Puts [`make`] into the class, and into those derived from it, where they make objects by this function.
fn replace(class: &Bound<'_, PyType>, original: ffi::newfunc) -> PyResult<()> {
    // SAFETY: the class is alive.
    let slot = unsafe { &raw mut (*class.as_type_ptr()).tp_new };
    // SAFETY: as above; a function pointer, or null for none, has the form of a pointer. Other threads read it while this
    // one writes, if there is no GIL, and see the one or the other function.
    let slot = unsafe { AtomicPtr::from_ptr(slot.cast::<*mut c_void>()) };
    // A class that has a `__new__` of the program has another function there.
    let (original_pointer, ours) = (original as *mut c_void, make as ffi::newfunc as *mut c_void);
    let _ = slot.compare_exchange(original_pointer, ours, Ordering::AcqRel, Ordering::Relaxed);
    // Not the method of the class: a metaclass may have one of its own.
    let subclasses = class
        .py()
        .get_type::<PyType>()
        .getattr("__subclasses__")?
        .call1((class,))?;
    for subclass in subclasses.cast::<PyList>()? {
        replace(subclass.cast::<PyType>()?, original)?;
    }
    Ok(())
}

/// The `tp_new` of the classes: makes an object, and notes where.
unsafe extern "C" fn make(
    class: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let original = ORIGINALS
        .get()
        .and_then(|originals| original_of(originals, class));
    // It is in no other class than those that are derived from one of these.
    let Some(original) = original else {
        return std::ptr::null_mut();
    };
    // SAFETY: the interpreter calls this with the arguments of a `tp_new`, which are passed on.
    let object = unsafe { original(class, arguments, keywords) };
    if object.is_null() {
        return object;
    }
    // SAFETY: the interpreter calls this attached.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: attached; the object has just been made, and the caller gets its reference below.
    let made = unsafe { Bound::from_borrowed_ptr(py, object) };
    if let Some(address) = address_of(&made) {
        origins::note(address);
        if observe::follows_locks() {
            order::follow(&made);
        }
        queue::note_made(&made);
    }
    foreign::release(made);
    object
}
