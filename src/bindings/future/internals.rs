//! The standard internals of a future: what it keeps in `_state`, `_result`, `_exception`, and how it
//! takes its standard form.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::{Future, Observer, name};
use crate::bindings::errors;
use crate::bindings::executor::Call;
use crate::bindings::standard_form::{self, HasStandardForm};
use crate::bindings::user_code::{self, Owned};
use crate::primitives::Retired;
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
    pub(super) fn read_state<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyString>> {
        let py = slf.py();
        let Ok(state) = slf.get().inner.with_made(|record| record.state) else {
            return Err(errors::no_attribute(slf, "_state"));
        };
        let name = match state {
            State::Pending => intern!(py, "PENDING"),
            State::Running => intern!(py, "RUNNING"),
            State::Cancelled => intern!(py, "CANCELLED"),
            State::CancelledAndNotified => intern!(py, "CANCELLED_AND_NOTIFIED"),
            State::Finished => intern!(py, "FINISHED"),
        };
        Ok(name.clone())
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
        Self::prepare_to_write(slf)?;
        slf.get().inner.with(|record| record.state = state);
        Ok(())
    }

    pub(super) fn read(
        slf: &Bound<'_, Self>,
        name: &str,
        field: impl FnOnce(&Record<Owned, Owned, Call>) -> &Option<Owned>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let share = |record: &mut Record<Owned, Owned, Call>| Some(field(record).as_ref()?.share());
        match slf.get().inner.with_made(share) {
            Ok(object) => Ok(object.map(|object| object.into_bound(slf.py()).unbind())),
            Err(Retired) => Err(errors::no_attribute(slf, name)),
        }
    }

    pub(super) fn write(
        slf: &Bound<'_, Self>,
        field: impl FnOnce(&mut Record<Owned, Owned, Call>) -> &mut Option<Owned>,
        object: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        Self::prepare_to_write(slf)?;
        let object = object.map(Owned::from);
        let former = slf
            .get()
            .inner
            .with(|record| std::mem::replace(field(record), object));
        drop(former);
        Ok(())
    }

    pub(super) fn retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        callbacks: &Bound<'_, PyList>,
        waiters: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut lost = Ok(());
        let retire = || {
            let (taken, observers) = slf.get().inner.retire()?;
            for observer in observers {
                // An object that the collector does not count.
                let observer = Bound::new(py, Observer::new(observer));
                lost = observer.and_then(|observer| waiters.append(observer));
            }
            let taken = taken.into_iter().map(|each| each.into_bound(py).unbind());
            Some((callbacks.as_any(), taken))
        };
        standard_form::take(slf.as_any(), attributes, None, retire)?;
        lost
    }

    /// What the standard class's `_get_snapshot` makes of the internals.
    #[cfg(Py_3_15)]
    pub(super) fn snapshot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let snapshot = slf.get().inner.with_made(|record| {
            let share = |object: &Option<Owned>| Some(object.as_ref()?.share());
            let finished = record.state == State::Finished;
            let outcome = finished.then(|| (share(&record.value), share(&record.error)));
            (record.state.is_done(), record.state.is_cancelled(), outcome)
        });
        let Ok((done, cancelled, outcome)) = snapshot else {
            return standard_form::call(slf, "_get_snapshot", (), None);
        };
        let (value, error) = outcome.unwrap_or_default();
        let object = |object: Option<Owned>| object.map(|object| object.into_bound(py));
        let snapshot = (done, cancelled, object(value), object(error));
        Ok(snapshot.into_pyobject(py)?.into_any())
    }

    /// Writing to the standard internals is for the standard form only: there, whoever writes
    /// holds the condition. A subclass that does so instead of calling `__init__` makes the others too.
    fn prepare_to_write(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.leave_unmade();
        Self::take_standard_form(slf)
    }

    pub(super) fn take_standard_form(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().inner.with_native(|_| ()).is_ok() {
            user_code::call_method(slf, "_take_standard_form", (), None)?;
        }
        Ok(())
    }
}
