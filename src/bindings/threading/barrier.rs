//! `Barrier`: the native half, which uses `primitives/barrier.rs`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PySuper, PyTuple};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall};
use crate::bindings::hooks;
use crate::bindings::runtime::block::QueuedWait;
use crate::bindings::runtime::foreign::Owned;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::runtime::{block, errors, foreign};
use crate::bindings::threading::Lock;
use crate::primitives::FellBack;
use crate::primitives::barrier::{self, BarrierOutcome};
use crate::wait::deadline::Deadline;
use crate::wait::sync::Mutex;

/// The native half of oxthreads.threading.Barrier.
///
/// A barrier with an action uses the stdlib fallback from the beginning: while the action runs, no other thread may
/// enter the barrier or read its state. The lock of the standard class ensures that.
#[pyclass(subclass, frozen, name = "Barrier", module = "oxthreads._oxthreads")]
pub(crate) struct Barrier {
    inner: barrier::Barrier,
    /// The timeout of a wait that gives none; `None` means no limit.
    timeout: Mutex<Option<Owned>>,
}

lazy_imports! {
    for Barrier, with function::IMPORTS, errors::BROKEN_BARRIER, timeout::IMPORTS;
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
            // Only a thread that has to wait rejects a wrong timeout.
            Err(error) if !barrier.is_broken() && barrier.waiting() + 1 < barrier.parties() => {
                return Err(error);
            }
            Ok(Blocking::No) | Err(_) => Deadline::now(),
        };
        let mut wait = barrier.wait();
        let QueuedWait { outcome, raised } =
            block::wait_while_queued(py, &mut wait, deadline, || Ok(()));
        match (outcome, raised) {
            (Some(BarrierOutcome::FellBack(Some(_))), Some(error)) => {
                match foreign::call_method(slf, hooks::WITHDRAW, (), None) {
                    Ok(_) => Err(error),
                    Err(later) => Err(errors::after(py, later, Some(error))),
                }
            }
            (_, Some(error)) => Err(error),
            (Some(BarrierOutcome::Passed(index)), None) => Ok(index.into_pyobject(py)?.into_any()),
            (Some(BarrierOutcome::Broken) | None, None) => Err(errors::broken_barrier(py)),
            (Some(BarrierOutcome::FellBack(index)), None) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                match index {
                    Some(index) => foreign::call_method(slf, hooks::WAIT_ON, (index, left), None),
                    None => fallback::call(slf, "wait", (timeout,), None),
                }
            }
        }
    }

    /// Reads the property `getter` of the standard class.
    fn standard<'py>(slf: &Bound<'py, Self>, getter: &str) -> PyResult<Bound<'py, PyAny>> {
        let standard = PySuper::new(&slf.py().get_type::<Self>(), slf.as_any())?;
        foreign::attribute(&standard, &PyString::new(slf.py(), getter))
    }
}

impl HasFallback for Barrier {
    const ATTRIBUTES: &[&str] = &[
        "_cond", "_action", "_timeout", "_parties", "_state", "_count", "_enter", "_release",
        "_wait", "_exit", "_break",
    ];
    const STATE: &[&str] = &[];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.has_fallen_back()
    }
}

impl HasFunctions for Barrier {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        Vec::new()
    }
}

impl Barrier {
    /// The primitive, for the waits of coroutines.
    pub(crate) fn primitive(&self) -> &barrier::Barrier {
        &self.inner
    }
}

impl Observed for Barrier {
    fn primitive_address(&self) -> usize {
        std::ptr::from_ref(&self.inner).addr()
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(parties, action=None, timeout=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: barrier::Barrier::new(1),
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
        let this = slf.get();
        let number = parties
            .cast_exact::<PyInt>()
            .ok()
            .and_then(|parties| parties.extract::<u32>().ok());
        if let Some(number) = number
            && number > 0
            && action.is_none()
            && Self::runs_natively().is_yes_for(slf.as_any())?
            && this.inner.reset_for(number).is_ok()
        {
            let before = std::mem::replace(&mut *this.timeout.lock(), timeout.map(Owned::from));
            drop(before); // not under the leaf lock
            return Ok(());
        }
        this.inner.fall_back();
        fallback::call(slf, "__init__", (parties, action, timeout), None).map(drop)
    }

    /// Wait until as many threads wait as the barrier was made for.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means the timeout that was given
    ///         to the constructor.
    ///
    /// Returns:
    ///     int: a number from 0 to parties - 1, different for each of these threads.
    ///
    /// Raises:
    ///     BrokenBarrierError: the wait timed out (which breaks the barrier), or the barrier was broken or
    ///         reset.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if this.inner.has_fallen_back() {
            return fallback::call(slf, "wait", (timeout,), None);
        }
        if timeout.is_some() {
            return Self::native_wait(slf, timeout);
        }
        let own = this.timeout.lock().as_ref().map(Owned::share);
        Self::native_wait(slf, own.as_ref().map(|own| own.object().bind(py)))
    }

    /// Return the barrier to its initial, empty state. Threads that wait get a BrokenBarrierError.
    fn reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.reset() {
            Ok(()) => Ok(()),
            Err(FellBack) => fallback::call(slf, "reset", (), None).map(drop),
        }
    }

    /// Break the barrier: threads that wait now, or call wait() later, get a BrokenBarrierError.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.abort() {
            Ok(()) => Ok(()),
            Err(FellBack) => fallback::call(slf, "abort", (), None).map(drop),
        }
    }

    /// The number of threads (int) that the barrier was made for.
    #[getter]
    fn parties<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.has_fallen_back() {
            false => Ok(slf
                .get()
                .inner
                .parties()
                .into_pyobject(slf.py())?
                .into_any()),
            true => Self::standard(slf, "parties"),
        }
    }

    /// The number of threads (int) that wait now.
    #[getter]
    fn n_waiting<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.has_fallen_back() {
            false => Ok(slf
                .get()
                .inner
                .waiting()
                .into_pyobject(slf.py())?
                .into_any()),
            true => Self::standard(slf, "n_waiting"),
        }
    }

    /// True if the barrier is broken.
    #[getter]
    fn broken<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.has_fallen_back() {
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
        fallback::set_attribute(slf, name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        fallback::set_attribute(slf, name, None)
    }

    /// Hand the waits over to the standard class; see `fallback::install`.
    fn _oxthreads_hand_over(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let this = slf.get();
        let timeout = this.timeout.lock().as_ref().map(Owned::share);
        attributes.set_item("_timeout", timeout.as_ref().map(Owned::object))?;
        attributes.set_item("_parties", this.inner.parties())?;
        fallback::install(
            slf.as_any(),
            attributes,
            Some(mutex.get().primitive()),
            || {
                let remains = this.inner.fall_back()?;
                // This cannot fail: the dictionary is a plain dict that the caller made, and the names are strings.
                let _ = attributes.set_item("_count", remains.arrived);
                let _ = attributes.set_item("_state", if remains.broken { -2 } else { 0 });
                Some((attributes.as_any(), Vec::new()))
            },
        )
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
