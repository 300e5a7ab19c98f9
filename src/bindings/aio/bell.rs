//! How uvloop is woken by another thread without a GIL, where its `call_soon_threadsafe` is not safe: by a descriptor, which
//! its own thread watches.

use pyo3::prelude::*;

/// What wakes an event loop, if it needs such a thing.
#[cfg(unix)]
pub(super) use crate::bindings::runtime::bell::Bell;

/// The bell for a loop that needs one.
///
/// # Errors
/// OSError, if the system has no more descriptors.
#[cfg(unix)]
pub(super) fn for_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Bell>> {
    if !cfg!(Py_GIL_DISABLED) {
        return Ok(None);
    }
    let mut classes = event_loop.get_type().mro().iter();
    let is_uvloop = classes.any(|class| {
        let module = class.getattr("__module__");
        module.is_ok_and(|name| {
            name.extract::<String>()
                .is_ok_and(|name| name.starts_with("uvloop"))
        })
    });
    is_uvloop.then(Bell::new).transpose()
}

/// No loop needs one: there is no uvloop on Windows.
#[cfg(not(unix))]
pub(super) enum Bell {}

#[cfg(not(unix))]
impl Bell {
    pub(super) fn number(&self) -> i32 {
        match *self {}
    }

    pub(super) fn ring(&self) {
        match *self {}
    }

    pub(super) fn silence(&self) {
        match *self {}
    }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on other systems")]
pub(super) fn for_loop(_event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Bell>> {
    Ok(None)
}
