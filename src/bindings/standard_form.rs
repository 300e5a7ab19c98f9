//! How an object takes its standard form, and how calls reach the standard class.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySuper, PyTuple};

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

/// Gives the instance the attributes that the standard class would have made.
///
/// # Errors
/// If the instance has no dictionary, as of a subclass that is none of ours.
pub(crate) fn adopt(object: &Bound<'_, PyAny>, attributes: &Bound<'_, PyDict>) -> PyResult<()> {
    object
        .getattr("__dict__")?
        .cast_into::<PyDict>()?
        .update(attributes.as_mapping())
}
