//! `Event`

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::super::timeout::{self, Blocking};
use super::super::{detach, standard_form};
use super::lock::Lock;
use crate::primitives::Retired;
use crate::primitives::event as core;

/// The native half of oxthreads.threading.Event.
#[pyclass(subclass, frozen, name = "Event", module = "oxthreads._oxthreads")]
pub(crate) struct Event {
    inner: core::Event,
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Event::new(),
        }
    }

    fn __init__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let event = &slf.get().inner;
        if event.is_retired() {
            standard_form::call(slf, "__init__", (), None)?;
        } else if event.is_set() {
            event.clear(); // initialized again
        }
        Ok(())
    }

    /// Return true if and only if the internal flag is true.
    fn is_set(&self) -> bool {
        self.inner.is_set()
    }

    /// Set the internal flag to true, and wake every thread that waits for it.
    fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().inner.is_retired() {
            standard_form::call(slf, "set", (), None)?;
        } else {
            slf.get().inner.set();
        }
        Ok(())
    }

    /// Reset the internal flag to false.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().inner.is_retired() {
            standard_form::call(slf, "clear", (), None)?;
        } else {
            slf.get().inner.clear();
        }
        Ok(())
    }

    /// Wait until the internal flag is true; whether it became so.
    ///
    /// timeout: wait at most so many seconds (int or float); None means without end, zero and
    /// below not at all.
    ///
    /// Raises TypeError for what is not a number, OverflowError above threading.TIMEOUT_MAX.
    #[pyo3(signature = (timeout=None))]
    fn wait(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let event = &slf.get().inner;
        if event.is_set() {
            return Ok(true);
        }
        let Blocking::Until(deadline) = timeout::of_condition(timeout)? else {
            return Ok(event.is_set());
        };
        match detach::wait(slf.py(), &mut event.wait(), deadline)? {
            Some(Ok(())) => Ok(true),
            None => Ok(false),
            Some(Err(Retired)) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                standard_form::call(slf, "wait", (left,), None)?.extract()
            }
        }
    }

    /// Leave the waiting to the standard class: see `standard_form::take`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let event = &slf.get().inner;
        standard_form::take(slf.as_any(), attributes, Some(mutex.get()), || {
            if event.is_retired() {
                return None;
            }
            event.retire();
            Some((attributes.as_any(), Vec::new()))
        })
    }

    #[getter(_flag)]
    fn get_flag(&self) -> bool {
        self.inner.is_set()
    }

    #[setter(_flag)]
    fn set_flag(&self, flag: &Bound<'_, PyAny>) -> PyResult<()> {
        if flag.is_truthy()? {
            self.inner.set();
        } else {
            self.inner.clear();
        }
        Ok(())
    }
}
