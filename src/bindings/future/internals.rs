//! The standard internals of a future (`_state`, `_result`, `_exception`), and how a future falls back to the
//! standard library.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::bindings::fallback::{self, HasFallback};
use crate::bindings::future::{Call, Future, Observer};
use crate::bindings::runtime::errors;
use crate::bindings::runtime::foreign::Owned;
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::primitives::FellBack;
use crate::primitives::future::{Record, State};

const STATES: [State; 5] = [
    State::Pending,
    State::Running,
    State::Cancelled,
    State::CancelledAndNotified,
    State::Finished,
];

/// The standard library's name of a state: an interned string, because programs may compare it by `is`.
fn state_name(py: Python<'_>, state: State) -> &Bound<'_, PyString> {
    match state {
        State::Pending => intern!(py, "PENDING"),
        State::Running => intern!(py, "RUNNING"),
        State::Cancelled => intern!(py, "CANCELLED"),
        State::CancelledAndNotified => intern!(py, "CANCELLED_AND_NOTIFIED"),
        State::Finished => intern!(py, "FINISHED"),
    }
}

impl HasFallback for Future {
    const ATTRIBUTES: &[&str] = &[
        "_condition",
        "_waiters",
        "_done_callbacks",
        "_invoke_callbacks",
    ];
    const STATE: &[&str] = &["_state", "_result", "_exception"];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.with_native(|_| ()).is_err()
    }

    fn leave_uninitialized(&self) {
        self.inner.leave_unmade();
    }
}

impl Future {
    pub(super) fn read_state<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.with_native(|record| record.state) {
            Ok(state) => Ok(state_name(slf.py(), state).clone().into_any()),
            Err(FellBack) => Self::read_entry(slf, "_state"),
        }
    }

    pub(super) fn read<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        field: impl FnOnce(&Record<Owned, Owned, Call>) -> &Option<Owned>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let share = |record: &mut Record<Owned, Owned, Call>| Some(field(record).as_ref()?.share());
        match slf.get().inner.with_native(share) {
            Ok(Some(object)) => Ok(object.into_bound(py)),
            Ok(None) => Ok(py.None().into_bound(py)),
            Err(FellBack) => Self::read_entry(slf, name),
        }
    }

    /// An attribute of a future that has fallen back. AttributeError if the future was never initialized.
    fn read_entry<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().inner.is_unmade() {
            return Err(errors::no_attribute(slf, name));
        }
        fallback::entry(slf, name)
    }

    /// Sets a standard internal. The future falls back first, because the standard class writes these only while
    /// it holds the condition. A subclass may set them instead of calling `__init__`; then it sets the others too.
    pub(super) fn write(
        slf: &Bound<'_, Self>,
        name: &str,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        slf.get().inner.leave_unmade();
        fallback::fall_back(slf)?;
        fallback::set_entry(slf.as_any(), name, value)
    }

    pub(super) fn fall_back(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        callbacks: &Bound<'_, PyList>,
        waiters: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut lost = Ok(());
        let mut known = None;
        // Made in advance if necessary: making a name may release the interpreter.
        let names = STATES.map(|state| (state, state_name(py, state)));
        let name_of = |state| names.iter().find(|(each, _)| *each == state);
        let fall_back = || {
            let remains = slf.get().inner.fall_back()?;
            for observer in remains.observers {
                // The collector does not track this object, so making it starts no collection.
                let observer = Bound::new(py, Observer::new(observer));
                lost = observer.and_then(|observer| waiters.append(observer));
            }
            // This cannot fail: the dictionary is a plain dict that the caller made, and the names are strings.
            let object =
                |object: &Option<Owned>| object.as_ref().map(|it| it.object().clone_ref(py));
            let _ = attributes.set_item("_state", name_of(remains.state).map(|(_, name)| name));
            let _ = attributes.set_item("_result", object(&remains.value));
            let _ = attributes.set_item("_exception", object(&remains.error));
            known = Some((remains.value, remains.error)); // dropped later, outside of this step
            let taken = remains.callbacks.into_iter();
            Some((
                callbacks.as_any(),
                taken.map(|each| each.into_bound(py).unbind()),
            ))
        };
        fallback::install(slf.as_any(), attributes, None, fall_back)?;
        drop(known);
        lost
    }

    /// The same result as `_get_snapshot` of the standard class.
    #[cfg(Py_3_15)]
    pub(super) fn snapshot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let snapshot = slf.get().inner.with_native(|record| {
            let share = |object: &Option<Owned>| Some(object.as_ref()?.share());
            let finished = record.state == State::Finished;
            let outcome = finished.then(|| (share(&record.value), share(&record.error)));
            (record.state.is_done(), record.state.is_cancelled(), outcome)
        });
        let Ok((done, cancelled, outcome)) = snapshot else {
            return fallback::call(slf, "_get_snapshot", (), None);
        };
        let (value, error) = outcome.unwrap_or_default();
        let object = |object: Option<Owned>| object.map(|object| object.into_bound(py));
        let snapshot = (done, cancelled, object(value), object(error));
        Ok(snapshot.into_pyobject(py)?.into_any())
    }
}
