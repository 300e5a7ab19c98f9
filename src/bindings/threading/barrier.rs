//! `Barrier`

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PySuper, PyTuple, PyType};

use super::super::detach::Stay;
use super::super::kept::Kept;
use super::super::standard_form::HasStandardForm;
use super::super::timeout::{self, Blocking};
use super::super::{detach, errors, standard_form, user_code};
use super::Lock;
use crate::bindings::user_code::Owned;
use crate::primitives::Retired;
use crate::primitives::barrier::{self as core, Passage};
use crate::primitives::deadline::Deadline;
use crate::primitives::sync::Mutex;

/// The native half of oxthreads.threading.Barrier.
///
/// A barrier with an action has its standard form from the beginning: the action runs while others
/// may neither come nor look, which is what the standard class's lock is for.
#[pyclass(subclass, frozen, name = "Barrier", module = "oxthreads._oxthreads")]
pub(crate) struct Barrier {
    inner: core::Barrier,
    /// The timeout of waits that are given none, unless it is None.
    timeout: Mutex<Option<Owned>>,
}

impl Barrier {
    fn native_wait<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let barrier = &slf.get().inner;
        let deadline = match timeout::of_clock(timeout) {
            Ok(Blocking::Until(deadline)) => deadline,
            // Only who has to wait minds a wrong one.
            Err(error) if !barrier.is_broken() && barrier.waiting() + 1 < barrier.parties() => {
                return Err(error);
            }
            Ok(Blocking::No) | Err(_) => Deadline::now(),
        };
        let mut meet = barrier.wait();
        let Stay { outcome, raised } = detach::stay(py, &mut meet, deadline, || Ok(()));
        match (outcome, raised) {
            (Some(Passage::Retired(Some(_))), Some(error)) => {
                match user_code::call_method(slf, "_withdraw", (), None) {
                    Ok(_) => Err(error),
                    Err(later) => Err(errors::after(py, later, Some(error))),
                }
            }
            (_, Some(error)) => Err(error),
            (Some(Passage::Passed(index)), None) => Ok(index.into_pyobject(py)?.into_any()),
            (Some(Passage::Broken) | None, None) => Err(errors::broken_barrier(py)),
            (Some(Passage::Retired(index)), None) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                match index {
                    Some(index) => user_code::call_method(slf, "_wait_on", (index, left), None),
                    None => standard_form::call(slf, "wait", (timeout,), None),
                }
            }
        }
    }

    /// `getter` of the standard class.
    fn standard<'py>(slf: &Bound<'py, Self>, getter: &str) -> PyResult<Bound<'py, PyAny>> {
        let standard = PySuper::new(&slf.py().get_type::<Self>(), slf.as_any())?;
        user_code::attribute(&standard, &PyString::new(slf.py(), getter))
    }
}

impl HasStandardForm for Barrier {
    const ATTRIBUTES: &[&str] = &[
        "_cond", "_action", "_timeout", "_parties", "_state", "_count", "_enter", "_release",
        "_wait", "_exit", "_break",
    ];

    fn has_taken_it(&self) -> bool {
        self.inner.is_retired()
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(parties, action=None, timeout=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Barrier::new(1),
            timeout: Mutex::new(None),
        }
    }

    #[pyo3(signature = (parties, action=None, timeout=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        parties: &Bound<'_, PyAny>,
        action: Option<&Bound<'_, PyAny>>,
        timeout: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        static PLAIN: Kept<Py<PyType>> = Kept::new();
        let this = slf.get();
        let class = slf.get_type();
        let overrides = !class.is(PLAIN.import(slf.py(), "oxthreads.threading", "Barrier")?)
            && standard_form::overrides_hooks(&class)?;
        let number = parties
            .cast_exact::<PyInt>()
            .ok()
            .and_then(|parties| parties.extract::<u32>().ok());
        if let Some(number) = number
            && number > 0
            && action.is_none()
            && !overrides
            && this.inner.reset_for(number).is_ok()
        {
            let before = std::mem::replace(&mut *this.timeout.lock(), timeout.map(Owned::from));
            drop(before); // not under the leaf lock
            return Ok(());
        }
        this.inner.retire();
        standard_form::call(slf, "__init__", (parties, action, timeout), None).map(drop)
    }

    /// Wait until as many threads have come as the barrier is for; which of them this one was,
    /// from 0 to parties - 1.
    ///
    /// timeout: wait at most so many seconds (int or float); None means as long as was given to
    /// the constructor.
    ///
    /// Raises BrokenBarrierError if the wait times out, which breaks the barrier, or if the barrier
    /// is broken or reset meanwhile.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if this.inner.is_retired() {
            return standard_form::call(slf, "wait", (timeout,), None);
        }
        if timeout.is_some() {
            return Self::native_wait(slf, timeout);
        }
        let own = this.timeout.lock().as_ref().map(Owned::share);
        Self::native_wait(slf, own.as_ref().map(|own| own.object().bind(py)))
    }

    /// Make the barrier as new; whoever waits gets a BrokenBarrierError.
    fn reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.reset() {
            Ok(()) => Ok(()),
            Err(Retired) => standard_form::call(slf, "reset", (), None).map(drop),
        }
    }

    /// Break the barrier: whoever waits, and whoever comes, gets a BrokenBarrierError.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.abort() {
            Ok(()) => Ok(()),
            Err(Retired) => standard_form::call(slf, "abort", (), None).map(drop),
        }
    }

    /// How many threads the barrier is for.
    #[getter]
    fn parties<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.is_retired() {
            false => Ok(slf
                .get()
                .inner
                .parties()
                .into_pyobject(slf.py())?
                .into_any()),
            true => Self::standard(slf, "parties"),
        }
    }

    /// How many threads wait now.
    #[getter]
    fn n_waiting<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.is_retired() {
            false => Ok(slf
                .get()
                .inner
                .waiting()
                .into_pyobject(slf.py())?
                .into_any()),
            true => Self::standard(slf, "n_waiting"),
        }
    }

    /// Whether the barrier is broken.
    #[getter]
    fn broken<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.is_retired() {
            false => {
                let broken = slf.get().inner.is_broken();
                Ok(broken.into_pyobject(slf.py())?.to_owned().into_any())
            }
            true => Self::standard(slf, "broken"),
        }
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        standard_form::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        standard_form::set_attribute(slf, name, None)
    }

    /// Leave the waiting to the standard class: see `standard_form::take`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let this = slf.get();
        let timeout = this.timeout.lock().as_ref().map(Owned::share);
        attributes.set_item("_timeout", timeout.as_ref().map(Owned::object))?;
        attributes.set_item("_parties", this.inner.parties())?;
        standard_form::take(slf.as_any(), attributes, Some(mutex.get()), || {
            let remains = this.inner.retire()?;
            // The dictionary is a plain one of the caller's, and the names are strings.
            let _ = attributes.set_item("_count", remains.arrived);
            let _ = attributes.set_item("_state", if remains.broken { -2 } else { 0 });
            Some((attributes.as_any(), Vec::new()))
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let timeout = self.timeout.lock();
        timeout
            .as_ref()
            .map_or(Ok(()), |own| visit.call(own.object()))
    }

    fn __clear__(&self) {
        let timeout = self.timeout.lock().take();
        drop(timeout); // not under the leaf lock
    }
}
