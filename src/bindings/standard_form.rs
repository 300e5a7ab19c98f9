//! How an object takes its standard form, and how calls reach the standard class.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PySuper, PyTuple};
use pyo3::{PyTypeInfo, ffi};

use super::threading::Lock;
use super::user_code;

/// Calls the method of the class that follows the native half `T` in the method resolution
/// order: the standard library's.
///
/// # Errors
/// What it raised.
pub(crate) fn call<'py, T, A>(
    object: &Bound<'py, T>,
    method: &str,
    arguments: A,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>>
where
    T: PyTypeInfo,
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
{
    let arguments = arguments.into_pyobject(object.py()).map_err(Into::into)?;
    call_with(object, method, &arguments, keywords)
}

/// As [`call`], with the arguments in a tuple.
///
/// # Errors
/// What it raised.
pub(crate) fn call_with<'py, T: PyTypeInfo>(
    object: &Bound<'py, T>,
    method: &str,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let method = PySuper::new(&T::type_object(object.py()), object.as_any())?.getattr(method)?;
    user_code::call(&method, arguments, keywords)
}

/// Gives the instance its standard form: the attributes that the standard class would have made,
/// among them a container, into which go what `retire` takes out of the primitive. Where it returns
/// `None` the object has that form already, and nothing happens.
///
/// All of it is one step for everybody else. With the GIL, because no Python code runs in here: not
/// even a collection, whose finalizers might come to the same object. Without, because `mutex`, or
/// a lock of the caller's, is held meanwhile, which the standard methods take first.
///
/// # Errors
/// If the instance has no dictionary, as of a subclass that is none of ours.
pub(crate) fn take<'a, 'py: 'a, I>(
    object: &Bound<'py, PyAny>,
    attributes: &Bound<'py, PyDict>,
    mutex: Option<&Lock>,
    retire: impl FnOnce() -> Option<(&'a Bound<'py, PyAny>, I)>,
) -> PyResult<()>
where
    I: IntoIterator<Item = Py<PyAny>>,
{
    let dictionary = object.getattr("__dict__")?.cast_into::<PyDict>()?;
    let _no_collection = NoCollection::new(object.py());
    // Nobody else has the mutex: it is new.
    let held = mutex.filter(|mutex| mutex.primitive().try_acquire());
    let taken = retire().map_or(Ok(()), |(container, items)| {
        dictionary.update(attributes.as_mapping())?;
        items
            .into_iter()
            .try_for_each(|item| container.call_method1("append", (item,)).map(drop))
    });
    if let Some(mutex) = held {
        let _ = mutex.primitive().release();
    }
    taken
}

/// While it lives, the collector of garbage does not start by itself.
struct NoCollection {
    was_enabled: bool,
}

impl NoCollection {
    fn new(_attached: Python<'_>) -> Self {
        // SAFETY: attached, as the argument shows; it returns whether collection was enabled.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled }
    }
}

impl Drop for NoCollection {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: attached, as when this was made: it does not outlive the call it serves.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
