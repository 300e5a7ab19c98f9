//! How an object takes its standard form, and how calls reach the standard class.

use std::ptr;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyString, PySuper, PyTuple, PyType};
use pyo3::{PyClass, PyTypeInfo, ffi};

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
    let standard = PySuper::new(&T::type_object(object.py()), object.as_any())?;
    let method = user_code::attribute(&standard, &PyString::new(object.py(), method))?;
    user_code::call(&method, arguments, keywords)
}

/// The instance's dictionary, which is made when it is first asked for.
///
/// Before Python 3.12 a collection may start while the interpreter makes it. Garbage that asked for
/// the dictionary of the same object then would be given another, and both would have the one array
/// of values for their own: what is in there would be counted twice by the collector, and freed with
/// the first of them. So no collection starts in here.
///
/// # Errors
/// If the instance has none, as of a subclass that is none of ours.
#[pyfunction]
#[pyo3(signature = (object, /))]
pub(crate) fn dictionary<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: attached, as `object` shows.
    let paused = cfg!(not(Py_3_12)) && unsafe { ffi::PyGC_Disable() } != 0;
    // SAFETY: attached; it is a live object, and the function does not look at the other argument. It
    // runs no Python code, and does not let go of the GIL: nobody sees that the collector pauses.
    let dictionary = unsafe { ffi::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut()) };
    if paused {
        // SAFETY: attached, as above.
        unsafe { ffi::PyGC_Enable() };
    }
    // SAFETY: attached; the function returned a new reference, or null with an exception set.
    let dictionary = unsafe { Bound::from_owned_ptr_or_err(object.py(), dictionary) }?;
    Ok(dictionary.cast_into()?)
}

/// Whether the instance's dictionary has the attribute.
///
/// # Errors
/// If it has no dictionary.
pub(crate) fn has(object: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    dictionary(object)?.contains(name)
}

/// Whether the class, a subclass of ours, overrides what the standard methods call on themselves. A
/// native class itself, which `copyreg` may make, does not.
///
/// # Errors
/// What the look-up raised.
pub(crate) fn overrides_hooks(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let name = intern!(class.py(), "_overrides_hooks");
    match user_code::attribute_or_none(class.as_any(), name)? {
        Some(overrides) => overrides.is_truthy(),
        None => Ok(false),
    }
}

/// Gives the instance its standard form: the attributes that the standard class would have made,
/// among them a container, into which go what `retire` takes out of the primitive. Where it returns
/// `None` the object has that form already, and nothing happens.
///
/// All of it is one step for everybody else. With the GIL, because no Python code runs in here: not
/// even a collection, since nothing is made that the collector counts. Without, because the
/// dictionary is locked meanwhile: whoever finds the primitive retired, and an attribute missing,
/// comes here too, and waits for what is being done. `mutex` is held as well.
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
    let dictionary = dictionary(object)?;
    // Whatever is replaced is dropped at the end.
    let _former = dictionary.copy()?;
    // Nobody else has the mutex: it is new.
    let held = mutex.filter(|mutex| mutex.primitive().try_acquire());
    let taken = with_critical_section(&dictionary, || {
        let Some((container, items)) = retire() else {
            return Ok(());
        };
        // Filled first, for a reader who does not ask for the mutex.
        for item in items {
            container.call_method1("append", (item,))?;
        }
        // Not `update`, which locks both dictionaries anew, and lets go of this one for that.
        for (name, value) in attributes {
            dictionary.set_item(name, value)?;
        }
        Ok(())
    });
    if let Some(mutex) = held {
        let _ = mutex.primitive().release();
    }
    taken
}

/// A native half whose objects can take the standard form.
pub(crate) trait HasStandardForm: PyClass<Frozen = True> + Sync {
    /// The `StandardAttribute`s of its Python class, and the methods that only the standard class
    /// looks up when it calls them.
    const ATTRIBUTES: &[&str];

    /// Whether the object has taken it.
    fn has_taken_it(&self) -> bool;
}

/// `object.name = value`, or without a value `del object.name`. An object that has not got its
/// standard form takes it first, if the name is that of an attribute which only that form has: a
/// value in the dictionary of an object that runs natively would have no effect.
///
/// # Errors
/// What either raises.
pub(crate) fn set_attribute<T: HasStandardForm>(
    object: &Bound<'_, T>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    if name
        .to_str()
        .is_ok_and(|name| T::ATTRIBUTES.contains(&name))
        && !object.get().has_taken_it()
    {
        user_code::call_method(object.as_any(), "_take_standard_form", (), None)?;
    }
    let value = value.map_or(ptr::null_mut(), Bound::as_ptr);
    // SAFETY: attached, as the lifetimes show; all are live objects, the name a string, and for the
    // value null means to delete.
    match unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(object.py())),
    }
}
