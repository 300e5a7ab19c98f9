//! The calls that follow once a future is done.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Future, logger};
use crate::bindings::user_code;

impl Future {
    pub(super) fn run_callbacks(slf: &Bound<'_, Self>, callbacks: Vec<Py<PyAny>>) -> PyResult<()> {
        callbacks
            .into_iter()
            .try_for_each(|callback| Self::run_callback(slf, callback.bind(slf.py())))
    }

    pub(super) fn run_callback(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let arguments = PyTuple::new(slf.py(), [slf])?;
        match user_code::call(callback, &arguments, None) {
            Ok(_) => Ok(()),
            Err(error) => Self::log_callback_error(slf, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn log_callback_error(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        if !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.into_value(py))?;
        user_code::call_method(
            &logger(py)?,
            "error",
            ("exception calling callback for %r", slf),
            Some(&keywords),
        )?;
        Ok(())
    }
}
