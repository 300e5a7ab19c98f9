//! `Semaphore` and `BoundedSemaphore`: their native half, which uses `primitives/semaphore.rs`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple, PyType};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::hooks;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::block;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::foreign::{self, Operator};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::threading::Lock;
use crate::bindings::threading::fast_lock::{self, FastLock};
use crate::primitives::FellBack;
use crate::primitives::semaphore::{self, AcquireError, ReleaseError};
use crate::wait::deadline::Deadline;
use crate::wait::observe::Acquisition;

/// The native half of oxthreads.threading.Semaphore and BoundedSemaphore.
#[pyclass(subclass, frozen, name = "Semaphore", module = "oxthreads._oxthreads")]
pub(crate) struct Semaphore {
    inner: semaphore::Semaphore,
}

lazy_imports! {
    for Semaphore, with function::IMPORTS, foreign::OPERATORS, timeout::IMPORTS;
    STANDARD: PyType = "oxthreads.threading", "_StandardSemaphore";
}

/// The number, if it is a plain int of 64 bits: the primitive counts with no other.
fn plain_i64(number: &Bound<'_, PyAny>) -> Option<i64> {
    number.cast_exact::<PyInt>().ok()?.extract().ok()
}

impl Semaphore {
    /// The primitive, for the waits of coroutines.
    pub(crate) fn primitive(&self) -> &semaphore::Semaphore {
        &self.inner
    }

    #[inline]
    fn acquire_with(slf: &Bound<'_, Self>, blocking: Blocking) -> PyResult<bool> {
        let semaphore = &slf.get().inner;
        match semaphore.try_acquire() {
            Ok(()) => return Ok(true),
            Err(AcquireError::NoPermit) => {}
            Err(AcquireError::FellBack) => return Self::acquire_standard(slf, blocking),
        }
        let Blocking::Until(deadline) = blocking else {
            return Ok(false);
        };
        match block::wait(slf.py(), &mut semaphore.acquire(), deadline)? {
            Some(Ok(())) => Ok(true),
            None => Ok(false),
            Some(Err(FellBack)) => Self::acquire_standard(slf, blocking),
        }
    }

    #[cold]
    fn acquire_standard(slf: &Bound<'_, Self>, blocking: Blocking) -> PyResult<bool> {
        let result = match blocking {
            Blocking::No => fallback::call(slf, "acquire", (false,), None),
            Blocking::Until(deadline) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                fallback::call(slf, "acquire", (true, left), None)
            }
        };
        result?.extract()
    }

    fn release_permits(slf: &Bound<'_, Self>, n: i64) -> PyResult<()> {
        Self::release_result(slf, slf.get().inner.release(n), n)
    }

    #[inline]
    fn release_result(
        slf: &Bound<'_, Self>,
        released: Result<(), ReleaseError>,
        n: i64,
    ) -> PyResult<()> {
        match released {
            Ok(()) => Ok(()),
            Err(ReleaseError::AboveBound) if slf.get().inner.bound() < i64::MAX => {
                Err(PyValueError::new_err("Semaphore released too many times"))
            }
            // The sum does not fit into an i64, or the semaphore fell back before.
            Err(ReleaseError::AboveBound | ReleaseError::FellBack) => {
                Self::release_standard(slf, &n.into_pyobject(slf.py())?.into_any())
            }
        }
    }

    #[cold]
    fn release_standard(slf: &Bound<'_, Self>, n: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::fall_back_now(slf)?;
        fallback::call(slf, "release", (n,), None).map(drop)
    }

    /// Falls back to the standard library, or waits until another thread has done so.
    fn fall_back_now(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().inner.has_fallen_back() || !fallback::has(slf.as_any(), "_value")? {
            foreign::call_method(slf.as_any(), hooks::FALL_BACK, (), None)?;
        }
        Ok(())
    }
}

impl HasFallback for Semaphore {
    const ATTRIBUTES: &[&str] = &["_cond", "release"];
    const STATE: &[&str] = &["_value", "_initial_value"];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.has_fallen_back()
    }
}

impl FastLock for Semaphore {
    #[inline]
    fn begin_acquire(&self, _py: Python<'_>, _forever: Acquisition) -> bool {
        self.inner.try_acquire().is_ok()
    }

    #[inline]
    fn try_release(&self, _py: Python<'_>) -> bool {
        self.inner.release(1).is_ok()
    }
}

fast_methods! {
    Acquire: Semaphore, fast_lock::acquire;
    Release: Semaphore, fast_lock::release;
}

fast_built_ins! {
    Enter: Semaphore, c"__enter__", fast_lock::acquire;
    Exit: Semaphore, c"__exit__", exit;
}

/// `__exit__(type, value, traceback)`, unless a program has overridden `release`.
#[inline]
fn exit<'py>(slf: &Bound<'py, Semaphore>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if RELEASES_ITSELF.is_known_for_object(slf.as_any()) {
        fast_lock::exit(slf, arguments)
    } else {
        None
    }
}

/// Whether `release` of a type is the native one, so that `__exit__` need not call it by name.
static RELEASES_ITSELF: TypeQuestion = TypeQuestion::new();

impl HasFunctions for Semaphore {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![("acquire", call::<Acquire>), ("release", call::<Release>)]
    }

    fn install_context(derived: &Bound<'_, PyType>) -> PyResult<()> {
        fast_path::install::<Enter>(derived)?;
        fast_path::install::<Exit>(derived)
    }

    fn other_questions() -> Vec<(&'static str, &'static TypeQuestion)> {
        vec![("releases_itself", &RELEASES_ITSELF)]
    }
}

impl Observed for Semaphore {
    fn primitive_address(&self) -> usize {
        std::ptr::from_ref(&self.inner).addr()
    }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(value=1)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: semaphore::Semaphore::new(1),
        }
    }

    #[pyo3(signature = (value=Argument::Absent))]
    fn __init__(slf: &Bound<'_, Self>, value: Argument<'_>) -> PyResult<()> {
        let value = match value {
            Argument::Absent => 1_i64.into_pyobject(slf.py())?.into_any(),
            Argument::Given(value) => value,
        };
        let semaphore = &slf.get().inner;
        if !Self::runs_natively().is_yes_for(slf.as_any())? {
            semaphore.fall_back();
        }
        if let Some(permits) = plain_i64(&value)
            && permits >= 0
            && semaphore.set_permits(permits).is_ok()
        {
            return Ok(());
        }
        // A number of another kind: the standard class counts with it or rejects it. A rejection must change nothing,
        // because the object may have been initialized before.
        if foreign::compare(Operator::Less, &value, 0)? {
            return Err(PyValueError::new_err(
                "semaphore initial value must be >= 0",
            ));
        }
        semaphore.fall_back();
        // Not `super()`: `BoundedSemaphore` of the standard library calls `Semaphore.__init__` by name, and under
        // the patch that name is this class.
        let standard = STANDARD.get(slf.py())?;
        let init = standard.getattr("__init__")?;
        foreign::call(&init, &(slf, value).into_pyobject(slf.py())?, None).map(drop)
    }

    /// Acquire a permit. By default, wait until there is one.
    ///
    /// Args:
    ///     blocking (bool): if False, do not wait.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit; zero or less means
    ///         no wait.
    ///
    /// Returns:
    ///     bool: True if a permit was acquired.
    ///
    /// Raises:
    ///     ValueError: timeout is given with blocking=False, or is NaN.
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    #[pyo3(signature = (blocking=Argument::Absent, timeout=None),
           text_signature = "($self, blocking=True, timeout=None)")]
    fn acquire(
        slf: &Bound<'_, Self>,
        blocking: Argument<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let forever = Blocking::Until(Deadline::NEVER);
        if matches!((&blocking, timeout), (Argument::Absent, None)) {
            return Self::acquire_with(slf, forever);
        }
        if !blocking.is_true_or(true)? {
            if timeout.is_some() {
                return Err(PyValueError::new_err(
                    "can't specify timeout for non-blocking acquire",
                ));
            }
            return Self::acquire_with(slf, Blocking::No);
        }
        match slf.get().inner.try_acquire() {
            Ok(()) => Ok(true),
            // Only a thread that has to wait checks the timeout.
            Err(AcquireError::NoPermit) => Self::acquire_with(slf, timeout::of_clock(timeout)?),
            Err(AcquireError::FellBack) => {
                fallback::call(slf, "acquire", (true, timeout), None)?.extract()
            }
        }
    }

    /// Release one or more permits, and wake as many waiting threads.
    ///
    /// Args:
    ///     n (int): how many permits. The caller need not have acquired them.
    ///
    /// Raises:
    ///     ValueError: n is below one; or, for a bounded semaphore, there would be more permits than at first.
    #[pyo3(signature = (n=Argument::Absent), text_signature = "($self, n=1)")]
    fn release(slf: &Bound<'_, Self>, n: Argument<'_>) -> PyResult<()> {
        let Argument::Given(n) = n else {
            return Self::release_permits(slf, 1);
        };
        let count = plain_i64(&n);
        if count.map_or_else(|| foreign::compare(Operator::Less, &n, 1), |n| Ok(n < 1))? {
            return Err(PyValueError::new_err("n must be one or more"));
        }
        match count {
            Some(n) => Self::release_permits(slf, n),
            None => Self::release_standard(slf, &n),
        }
    }

    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::acquire_with(slf, Blocking::Until(Deadline::NEVER))
    }

    #[pyo3(signature = (_t=Argument::Absent, _v=Argument::Absent, _tb=Argument::Absent),
           text_signature = "($self, t, v, tb)")]
    fn __exit__(
        slf: &Bound<'_, Self>,
        _t: Argument<'_>,
        _v: Argument<'_>,
        _tb: Argument<'_>,
    ) -> PyResult<()> {
        if !RELEASES_ITSELF.is_yes_for(slf.as_any())? {
            return foreign::call_method(slf, "release", (), None).map(foreign::release);
        }
        match slf.get().inner.release(1) {
            // In the stdlib fallback, a program may have put its own `release` into the instance.
            Err(ReleaseError::FellBack) => {
                let none = slf.py().None();
                fallback::call(slf, "__exit__", (&none, &none, &none), None).map(drop)
            }
            released => Self::release_result(slf, released, 1),
        }
    }

    #[getter(_value)]
    fn get_value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Read the permits first: if the semaphore has not fallen back after that, it had not before either.
        let permits = slf.get().inner.permits();
        if slf.get().inner.has_fallen_back() {
            return fallback::entry(slf, "_value");
        }
        Ok(permits.into_pyobject(slf.py())?.into_any())
    }

    #[setter(_value)]
    fn set_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(permits) = plain_i64(value)
            && permits >= 0
            && slf.get().inner.set_permits(permits).is_ok()
        {
            return Ok(());
        }
        Self::fall_back_now(slf)?;
        fallback::set_entry(slf.as_any(), "_value", value)
    }

    /// `_initial_value`. Only a bounded semaphore has it.
    #[getter(_oxthreads_initial_value)]
    fn get_initial_value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let bound = slf.get().inner.bound();
        if bound == i64::MAX || slf.get().inner.has_fallen_back() {
            return fallback::entry(slf, "_initial_value");
        }
        Ok(bound.into_pyobject(slf.py())?.into_any())
    }

    #[setter(_oxthreads_initial_value)]
    fn set_initial_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(bound) = plain_i64(value)
            && bound < i64::MAX // `i64::MAX` means: not bounded
            && !slf.get().inner.has_fallen_back()
        {
            slf.get().inner.set_bound(bound);
            return Ok(());
        }
        slf.get().inner.set_bound(i64::MAX);
        Self::fall_back_now(slf)?;
        fallback::set_entry(slf.as_any(), "_initial_value", value)
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
        fallback::install(
            slf.as_any(),
            attributes,
            Some(mutex.get().primitive()),
            || {
                let permits = slf.get().inner.fall_back()?;
                // This cannot fail: the dictionary is a plain dict that the caller made, and the name is a string.
                let _ = attributes.set_item("_value", permits);
                let bound = slf.get().inner.bound();
                if bound < i64::MAX {
                    let _ = attributes.set_item("_initial_value", bound);
                }
                Some((attributes.as_any(), Vec::new()))
            },
        )
    }
}
