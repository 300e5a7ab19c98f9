//! The standard internals of a future: what it keeps in `_state`, `_result`, `_exception`, and how it
//! takes its standard form.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::{Future, name};
use crate::bindings::standard_form::HasStandardForm;
use crate::bindings::user_code;
use crate::primitives::future::{Record, State};

impl HasStandardForm for Future {
    const ATTRIBUTES: &[&str] = &[
        "_condition",
        "_waiters",
        "_done_callbacks",
        "_invoke_callbacks",
    ];

    fn has_taken_it(&self) -> bool {
        self.inner.with_native(|_| ()).is_err()
    }
}

impl Future {
    pub(super) fn read_state<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.inner.with(|record| record.state) {
            State::Pending => intern!(py, "PENDING"),
            State::Running => intern!(py, "RUNNING"),
            State::Cancelled => intern!(py, "CANCELLED"),
            State::CancelledAndNotified => intern!(py, "CANCELLED_AND_NOTIFIED"),
            State::Finished => intern!(py, "FINISHED"),
        }
        .clone()
    }

    pub(super) fn write_state(slf: &Bound<'_, Self>, state: &str) -> PyResult<()> {
        let known = [
            State::Pending,
            State::Running,
            State::Cancelled,
            State::CancelledAndNotified,
            State::Finished,
        ];
        let Some(state) = known.into_iter().find(|known| name(*known) == state) else {
            let words = format!("{state:?} is no state of a Future");
            return Err(PyValueError::new_err(words));
        };
        Self::take_standard_form(slf)?;
        slf.get().inner.with(|record| record.state = state);
        Ok(())
    }

    pub(super) fn read(
        &self,
        py: Python<'_>,
        field: impl FnOnce(&Record<Py<PyAny>, Py<PyAny>>) -> &Option<Py<PyAny>>,
    ) -> Option<Py<PyAny>> {
        self.inner
            .with(|record| field(record).as_ref().map(|object| object.clone_ref(py)))
    }

    pub(super) fn write(
        slf: &Bound<'_, Self>,
        field: impl FnOnce(&mut Record<Py<PyAny>, Py<PyAny>>) -> &mut Option<Py<PyAny>>,
        object: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        Self::take_standard_form(slf)?;
        let former = slf
            .get()
            .inner
            .with(|record| std::mem::replace(field(record), object));
        drop(former);
        Ok(())
    }

    /// Writing to the standard internals is for the standard form only: there, whoever writes
    /// holds the condition.
    pub(super) fn take_standard_form(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().inner.with_native(|_| ()).is_ok() {
            user_code::call_method(slf, "_take_standard_form", (), None)?;
        }
        Ok(())
    }
}
