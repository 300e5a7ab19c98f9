//! The calls that follow once a future is done.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Future, logger};
use crate::bindings::errors::Handling;
use crate::bindings::user_code::{self, Owned};

impl Future {
    pub(super) fn run_callbacks(slf: &Bound<'_, Self>, callbacks: Vec<Owned>) -> PyResult<()> {
        callbacks
            .into_iter()
            .try_for_each(|callback| Self::run_callback(slf, &callback))
    }

    pub(super) fn run_callback(slf: &Bound<'_, Self>, callback: &Owned) -> PyResult<()> {
        let py = slf.py();
        let arguments = PyTuple::new(py, [slf])?;
        match user_code::call(callback.object().bind(py), &arguments, None) {
            Ok(returned) => {
                user_code::release(returned);
                Ok(())
            }
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
        let error = Owned::from(error.into_value(py).into_any());
        // The standard class logs it while it handles it.
        let _handling = Handling::new(error.object().bind(py));
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.object())?;
        user_code::call_method(
            logger(py)?,
            "error",
            ("exception calling callback for %r", slf),
            Some(&keywords),
        )?;
        Ok(())
    }
}
