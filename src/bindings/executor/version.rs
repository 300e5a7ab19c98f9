//! Whether classes have changed since they were last checked.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::bindings::runtime::type_question::version_of;

/// Return the version (int) of each class. CPython changes the version whenever the class or one of its bases
/// changes; a class that has no version has zero here. If no version has changed, and none is zero, no class has
/// changed.
#[pyfunction]
#[pyo3(signature = (classes, /))]
pub(crate) fn versions<'py>(classes: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    let versions = classes
        .iter()
        .map(|class| Ok(version_of(&class.cast_into::<PyType>()?)));
    PyTuple::new(classes.py(), versions.collect::<PyResult<Vec<_>>>()?)
}
