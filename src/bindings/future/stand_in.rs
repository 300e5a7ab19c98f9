//! What a pool runs in the place of another function.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The base of callables that a pool of threads runs in the place of another function. Reports, profiles and traces show
/// that function. For pools that are made of a pool of threads.
#[pyclass(frozen, subclass, module = "oxthreads._oxthreads")]
pub(crate) struct StandIn {
    function: Py<PyAny>,
}

impl StandIn {
    /// The function that the object stands for, if it does.
    pub(crate) fn find<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let found = object.cast::<Self>().ok()?;
        Some(found.get().function.bind(object.py()).clone())
    }
}

#[pymethods]
impl StandIn {
    #[new]
    #[pyo3(signature = (function, /, *_arguments))]
    fn new(function: Py<PyAny>, _arguments: &Bound<'_, PyTuple>) -> Self {
        Self { function }
    }

    /// The function.
    #[getter]
    fn function(&self, py: Python<'_>) -> Py<PyAny> {
        self.function.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)
    }
}
