//! The stdlib fallback: how an object falls back to the standard library, and how calls then reach the standard
//! class.
//!
//! An object falls back when a program uses something that only the standard implementation has, or immediately if its
//! class overrides what the primitive would do. Then the Python class makes the attributes of the standard class
//! (`_oxthreads_fall_back`), and [`install`] moves the state of the primitive into them. From then on the methods of
//! the standard class serve the object.

use std::ptr;

use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyString, PySuper, PyTuple};
use pyo3::{PyClass, PyTypeInfo, ffi};

use crate::bindings::hooks;
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::runtime::{collector, errors, foreign};
use crate::primitives::lock::Lock;

/// Calls the method of the standard class, which follows the native half `T` in the method resolution order.
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

/// Like [`call`], with the arguments in a tuple.
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
    let method = foreign::attribute(&standard, &PyString::new(object.py(), method))?;
    foreign::call(&method, arguments, keywords)
}

/// Return the dictionary of an instance. The interpreter makes it when it is first requested.
///
/// No garbage collection starts in here. Otherwise one might start while the interpreter makes the dictionary. If
/// garbage then requested the dictionary of the same object, it would get another one, and both dictionaries would
/// own the same array of values. The collector would count the values twice, and the first dictionary to go would
/// free them.
///
/// # Errors
/// If the instance has no dictionary; for example, an instance of a subclass that is not ours.
#[pyfunction]
#[pyo3(signature = (object, /))]
pub(crate) fn dictionary<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let dictionary = collector::paused(object.py(), || {
        // SAFETY: attached; it is a live object, and the function does not use the other argument.
        unsafe { ffi::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut()) }
    });
    // SAFETY: attached; the function returned a new reference, or null with an exception set.
    let dictionary = unsafe { Bound::from_owned_ptr_or_err(object.py(), dictionary) }?;
    Ok(dictionary.cast_into()?)
}

/// Removes an attribute of the instance, if it has it, as `object.__delattr__` does: the class has a say only if it has a
/// descriptor of that name.
///
/// The interpreter does not make a dictionary for that. What a thread allocates and leaves behind makes its end slower on
/// a free-threaded build: see `_set_ident` of `threading.py`.
pub(crate) fn forget_entry(object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) {
    // SAFETY: attached; both are live objects, and null means that the attribute is removed.
    let status =
        unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), ptr::null_mut()) };
    if status < 0 {
        drop(PyErr::take(object.py()));
    }
}

/// Whether the instance's dictionary has the attribute.
///
/// # Errors
/// If it has no dictionary.
pub(crate) fn has(object: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    dictionary(object)?.contains(name)
}

/// Reads an attribute of an object that has fallen back.
///
/// # Errors
/// AttributeError, if the object has no such attribute.
pub(crate) fn entry<'py, T: HasFallback>(
    object: &Bound<'py, T>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let dictionary = dictionary(object.as_any())?;
    if let Some(value) = dictionary.get_item(name)? {
        return Ok(value);
    }
    // Another thread may be in the middle of the fall back; this waits for it.
    foreign::call_method(object.as_any(), hooks::FALL_BACK, (), None)?;
    dictionary
        .get_item(name)?
        .ok_or_else(|| errors::no_attribute(object.as_any(), name))
}

/// Sets an attribute of an object that has fallen back.
///
/// # Errors
/// If the object has no dictionary.
pub(crate) fn set_entry(
    object: &Bound<'_, PyAny>,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let dictionary = dictionary(object)?;
    let former = dictionary.get_item(name)?;
    dictionary.set_item(name, value)?;
    if let Some(former) = former {
        foreign::release(former);
    }
    Ok(())
}

/// Makes the object fall back to the standard library, unless it has done so.
///
/// # Errors
/// What that raised.
pub(crate) fn fall_back<T: HasFallback>(object: &Bound<'_, T>) -> PyResult<()> {
    if !object.get().has_fallen_back() {
        foreign::call_method(object.as_any(), hooks::FALL_BACK, (), None)?;
    }
    Ok(())
}

/// Installs the stdlib fallback in the instance: the attributes that the standard class would have made. One of
/// them is a container, to which the items are appended that `fall_back` takes out of the primitive. If
/// `fall_back` returns `None`, the object has fallen back already, and nothing happens.
///
/// For other threads all of this is one step. With the GIL, because no Python code runs in here; not even a garbage
/// collection, because nothing is made that the collector tracks. Without a GIL, because the dictionary is locked
/// in the meantime: a thread that finds that the primitive has fallen back, but misses an attribute, comes here
/// too, and waits for this thread. `mutex` is held as well.
///
/// # Errors
/// If the instance has no dictionary; for example, an instance of a subclass that is not ours.
pub(crate) fn install<'a, 'py: 'a, I>(
    object: &Bound<'py, PyAny>,
    attributes: &Bound<'py, PyDict>,
    mutex: Option<&Lock>,
    fall_back: impl FnOnce() -> Option<(&'a Bound<'py, PyAny>, I)>,
) -> PyResult<()>
where
    I: IntoIterator<Item = Py<PyAny>>,
{
    let dictionary = dictionary(object)?;
    // Values that are replaced live until the end of this function, and are dropped there.
    let _former = dictionary.copy()?;
    // This succeeds: the mutex is new, so no other thread has it.
    let held = mutex.filter(|mutex| mutex.try_acquire());
    let taken = with_critical_section(&dictionary, || {
        let Some((container, items)) = fall_back() else {
            return Ok(());
        };
        // Fill the container first, for a reader that does not acquire the mutex.
        for item in items {
            container.call_method1("append", (item,))?;
        }
        // Not `update`: it locks both dictionaries again, and releases this one for that.
        for (name, value) in attributes {
            dictionary.set_item(name, value)?;
        }
        Ok(())
    });
    if let Some(mutex) = held {
        let _ = mutex.release();
    }
    taken
}

/// A native half whose objects can fall back to the standard library.
pub(crate) trait HasFallback: PyClass<Frozen = True> + Sync {
    /// The attributes that can be set or deleted only in the fallback: the `StandardAttribute`s of the Python
    /// class, and the methods that only the standard class looks up by name.
    const ATTRIBUTES: &[&str];

    /// The attributes of the standard class whose values the primitive stores. They can be set natively and in the
    /// fallback, and deleted only in the fallback.
    const STATE: &[&str];

    /// Whether objects of a type run natively.
    fn runs_natively() -> &'static TypeQuestion;

    /// Whether the object has fallen back.
    fn has_fallen_back(&self) -> bool;

    /// Makes sure that an object that was not initialized never runs natively.
    fn leave_uninitialized(&self) {}

    /// Whether the object agrees with its class, if the class runs natively. It does not if `__class__` was set
    /// and objects of the new class are made in another way.
    ///
    /// # Errors
    /// What the lookup raised.
    fn matches_its_class(_object: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(true)
    }
}

/// Makes the object fall back to the standard library if it runs natively, and its class has changed so that it
/// must not.
///
/// # Errors
/// What that raised.
#[inline]
pub(crate) fn follow_class<T: HasFallback>(object: &Bound<'_, T>) -> PyResult<()> {
    if T::runs_natively().is_yes_for(object.as_any())? {
        return Ok(());
    }
    fall_back(object)
}

/// `object.name = value`, or without a value `del object.name`. If only the fallback has an attribute of that
/// name, the object falls back first: a value in the dictionary of an object that runs natively would have no effect.
///
/// # Errors
/// What the fall back or the assignment raised.
pub(crate) fn set_attribute<T: HasFallback>(
    object: &Bound<'_, T>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let text = name.to_str().unwrap_or_default();
    // An object that shares its dictionary with another one also shares what the standard class stores there.
    if text == "__dict__" {
        object.get().leave_uninitialized();
    }
    if T::ATTRIBUTES.contains(&text) || text == "__dict__" {
        fall_back(object)?;
    }
    let Some(value) = value else {
        if T::STATE.contains(&text) && T::runs_natively().is_yes_for(object.as_any())? {
            fall_back(object)?;
            let dictionary = dictionary(object.as_any())?;
            let Some(former) = dictionary.get_item(name)? else {
                return Err(errors::no_attribute(object.as_any(), text));
            };
            dictionary.del_item(name)?;
            foreign::release(former);
            return Ok(());
        }
        return foreign::set_attribute_generically(object.as_any(), name, None);
    };
    foreign::set_attribute_generically(object.as_any(), name, Some(value))?;
    if text == "__class__" {
        follow_class(object)?;
        if !T::matches_its_class(object)? {
            fall_back(object)?;
        }
    }
    Ok(())
}
