//! `Semaphore` and `BoundedSemaphore`

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple, PyType};

use super::super::argument::Argument;
use super::super::at_once::{self, at_once};
use super::super::kept::Kept;
use super::super::standard_form::HasStandardForm;
use super::super::timeout::{self, Blocking};
use super::super::{detach, errors, standard_form, user_code};
use super::Lock;
use super::held::{self, Held};
use crate::primitives::Retired;
use crate::primitives::deadline::Deadline;
use crate::primitives::semaphore::{self as core, AcquireError, ReleaseError};

/// The native half of oxthreads.threading.Semaphore and BoundedSemaphore.
#[pyclass(subclass, frozen, name = "Semaphore", module = "oxthreads._oxthreads")]
pub(crate) struct Semaphore {
    inner: core::Semaphore,
}

/// A number that the primitive can count with: a plain int of 64 bits.
fn plain(number: &Bound<'_, PyAny>) -> Option<i64> {
    number.cast_exact::<PyInt>().ok()?.extract().ok()
}

impl Semaphore {
    #[inline]
    fn acquire_with(slf: &Bound<'_, Self>, blocking: Blocking) -> PyResult<bool> {
        let semaphore = &slf.get().inner;
        match semaphore.try_acquire() {
            Ok(()) => return Ok(true),
            Err(AcquireError::NoPermit) => {}
            Err(AcquireError::Retired) => return Self::acquire_standard(slf, blocking),
        }
        let Blocking::Until(deadline) = blocking else {
            return Ok(false);
        };
        match detach::wait(slf.py(), &mut semaphore.acquire(), deadline)? {
            Some(Ok(())) => Ok(true),
            None => Ok(false),
            Some(Err(Retired)) => Self::acquire_standard(slf, blocking),
        }
    }

    #[cold]
    fn acquire_standard(slf: &Bound<'_, Self>, blocking: Blocking) -> PyResult<bool> {
        let result = match blocking {
            Blocking::No => standard_form::call(slf, "acquire", (false,), None),
            Blocking::Until(deadline) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                standard_form::call(slf, "acquire", (true, left), None)
            }
        };
        result?.extract()
    }

    fn release_permits(slf: &Bound<'_, Self>, n: i64) -> PyResult<()> {
        Self::judge(slf, slf.get().inner.release(n), n)
    }

    #[inline]
    fn judge(slf: &Bound<'_, Self>, released: Result<(), ReleaseError>, n: i64) -> PyResult<()> {
        match released {
            Ok(()) => Ok(()),
            Err(ReleaseError::AboveBound) if slf.get().inner.bound() < i64::MAX => {
                Err(PyValueError::new_err("Semaphore released too many times"))
            }
            // More than can be counted here, or it was given up before.
            Err(ReleaseError::AboveBound | ReleaseError::Retired) => {
                Self::release_standard(slf, &n.into_pyobject(slf.py())?.into_any())
            }
        }
    }

    #[cold]
    fn release_standard(slf: &Bound<'_, Self>, n: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::take_standard_form(slf)?;
        standard_form::call(slf, "release", (n,), None).map(drop)
    }

    /// Takes the standard form, or waits until another thread has done so.
    fn take_standard_form(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().inner.is_retired() || !standard_form::has(slf.as_any(), "_value")? {
            user_code::call_method(slf.as_any(), "_take_standard_form", (), None)?;
        }
        Ok(())
    }

    /// An attribute that is native in one form, and an entry of the dictionary in the other.
    fn entry<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let dictionary = standard_form::dictionary(slf.as_any())?;
        if let Some(value) = dictionary.get_item(name)? {
            return Ok(value);
        }
        // Another thread may be about to make it.
        Self::take_standard_form(slf)?;
        dictionary
            .get_item(name)?
            .ok_or_else(|| errors::no_attribute(slf, name))
    }
}

impl HasStandardForm for Semaphore {
    const ATTRIBUTES: &[&str] = &["_cond", "release"];

    fn has_taken_it(&self) -> bool {
        self.inner.is_retired()
    }
}

impl Held for Semaphore {
    #[inline]
    fn try_acquire(&self, _py: Python<'_>) -> bool {
        self.inner.try_acquire().is_ok()
    }

    #[inline]
    fn try_release(&self, _py: Python<'_>) -> bool {
        self.inner.release(1).is_ok()
    }
}

at_once! {
    Acquire: Semaphore, c"acquire", held::acquire;
    Release: Semaphore, c"release", held::release;
    Enter: Semaphore, c"__enter__", held::acquire;
    Exit: Semaphore, c"__exit__", held::exit;
}

impl Semaphore {
    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Acquire>(class)?;
        at_once::install::<Release>(class)?;
        at_once::install::<Enter>(class)?;
        at_once::install::<Exit>(class)
    }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(value=1)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Semaphore::new(1),
        }
    }

    #[pyo3(signature = (value=Argument::Absent))]
    fn __init__(slf: &Bound<'_, Self>, value: Argument<'_>) -> PyResult<()> {
        let value = match value {
            Argument::Absent => 1_i64.into_pyobject(slf.py())?.into_any(),
            Argument::Given(value) => value,
        };
        let semaphore = &slf.get().inner;
        if let Some(permits) = plain(&value)
            && permits >= 0
            && semaphore.set_permits(permits).is_ok()
        {
            return Ok(());
        }
        // A number of another kind, which the standard class counts with or refuses. If it does, it
        // is as if it had not been asked: the object may have been initialized before.
        if user_code::holds("lt", &value, 0)? {
            return Err(PyValueError::new_err(
                "semaphore initial value must be >= 0",
            ));
        }
        semaphore.retire();
        // By name, as BoundedSemaphore of the standard library does: under the patch it names this.
        static STANDARD: Kept<Py<PyType>> = Kept::new();
        let standard = STANDARD.import(slf.py(), "oxthreads.threading", "_StandardSemaphore")?;
        let init = standard.getattr("__init__")?;
        user_code::call(&init, &(slf, value).into_pyobject(slf.py())?, None).map(drop)
    }

    /// Take a permit, waiting for one if need be; whether one was taken.
    ///
    /// blocking: if false, do not wait.
    /// timeout: wait at most so many seconds (int or float); None means without end, zero and
    /// below not at all.
    ///
    /// Raises ValueError for a timeout that is given with blocking=False, or is NaN; TypeError for
    /// what is not a number; OverflowError above threading.TIMEOUT_MAX.
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
            // Only who has to wait looks at the timeout.
            Err(AcquireError::NoPermit) => Self::acquire_with(slf, timeout::of_clock(timeout)?),
            Err(AcquireError::Retired) => {
                standard_form::call(slf, "acquire", (true, timeout), None)?.extract()
            }
        }
    }

    /// Give back a permit, or several: one for each thread that waits.
    ///
    /// n: how many (int); not necessarily ones that the caller has taken.
    ///
    /// Raises ValueError if n is below one, or, of a bounded semaphore, if there would be more
    /// permits than at first.
    #[pyo3(signature = (n=Argument::Absent), text_signature = "($self, n=1)")]
    fn release(slf: &Bound<'_, Self>, n: Argument<'_>) -> PyResult<()> {
        let Argument::Given(n) = n else {
            return Self::release_permits(slf, 1);
        };
        let plain = plain(&n);
        if plain.map_or_else(|| user_code::holds("lt", &n, 1), |n| Ok(n < 1))? {
            return Err(PyValueError::new_err("n must be one or more"));
        }
        match plain {
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
        match slf.get().inner.release(1) {
            // There, somebody may have put another release() in the place of this one.
            Err(ReleaseError::Retired) => {
                let none = slf.py().None();
                standard_form::call(slf, "__exit__", (&none, &none, &none), None).map(drop)
            }
            released => Self::judge(slf, released, 1),
        }
    }

    #[getter(_value)]
    fn get_value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Looked at first: a semaphore that is not retired afterwards was not so before.
        let permits = slf.get().inner.permits();
        if slf.get().inner.is_retired() {
            return Self::entry(slf, "_value");
        }
        Ok(permits.into_pyobject(slf.py())?.into_any())
    }

    #[setter(_value)]
    fn set_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(permits) = plain(value)
            && permits >= 0
            && slf.get().inner.set_permits(permits).is_ok()
        {
            return Ok(());
        }
        Self::take_standard_form(slf)?;
        standard_form::dictionary(slf.as_any())?.set_item("_value", value)
    }

    #[getter(_initial_value)]
    fn get_initial_value<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.bound() {
            i64::MAX => Self::entry(slf, "_initial_value"),
            bound => Ok(bound.into_pyobject(slf.py())?.into_any()),
        }
    }

    #[setter(_initial_value)]
    fn set_initial_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(bound) = plain(value)
            && bound < i64::MAX
        // which means that there is none
        {
            slf.get().inner.set_bound(bound);
            return Ok(());
        }
        slf.get().inner.set_bound(i64::MAX);
        Self::take_standard_form(slf)?;
        standard_form::dictionary(slf.as_any())?.set_item("_initial_value", value)
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
        standard_form::take(slf.as_any(), attributes, Some(mutex.get()), || {
            let permits = slf.get().inner.retire()?;
            // The dictionary is a plain one of the caller's, and the name a string.
            let _ = attributes.set_item("_value", permits);
            Some((attributes.as_any(), Vec::new()))
        })
    }
}
