//! `Event`

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::super::at_once::{self, Arguments, Attempt, at_once};
use super::super::standard_form::HasStandardForm;
use super::super::timeout::{self, Blocking};
use super::super::{detach, standard_form};
use super::lock::Lock;
use crate::bindings::user_code;
use crate::primitives::Retired;
use crate::primitives::event as core;

/// The native half of oxthreads.threading.Event.
#[pyclass(subclass, frozen, name = "Event", module = "oxthreads._oxthreads")]
pub(crate) struct Event {
    inner: core::Event,
}

impl HasStandardForm for Event {
    const ATTRIBUTES: &[&str] = &["_cond"];

    fn has_taken_it(&self) -> bool {
        self.inner.is_retired()
    }
}

at_once! {
    IsSet: Event, c"is_set", Event::is_set_at_once;
    Set: Event, c"set", Event::set_at_once;
    Clear: Event, c"clear", Event::clear_at_once;
    Wait: Event, c"wait", Event::wait_at_once;
}

impl Event {
    #[inline]
    fn is_set_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        arguments.answer(slf.get().inner.is_set())
    }

    #[inline]
    fn set_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        slf.get().inner.set().ok()?;
        arguments.done()
    }

    #[inline]
    fn clear_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        slf.get().inner.clear().ok()?;
        arguments.done()
    }

    /// Only who has to wait looks at the timeout.
    #[inline]
    fn wait_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.len() > 1 || !slf.get().inner.is_set() {
            return None;
        }
        arguments.answer(true)
    }

    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<IsSet>(class)?;
        at_once::install::<Set>(class)?;
        at_once::install::<Clear>(class)?;
        at_once::install::<Wait>(class)
    }
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
            standard_form::call(slf, "__init__", (), None).map(drop)
        } else if event.is_set() {
            Self::clear(slf) // initialized again
        } else {
            Ok(())
        }
    }

    /// Return true if and only if the internal flag is true.
    fn is_set(&self) -> bool {
        self.inner.is_set()
    }

    /// Set the internal flag to true, and wake every thread that waits for it.
    fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.set() {
            Ok(()) => Ok(()),
            Err(Retired) => standard_form::call(slf, "set", (), None).map(drop),
        }
    }

    /// Reset the internal flag to false.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.clear() {
            Ok(()) => Ok(()),
            Err(Retired) => standard_form::call(slf, "clear", (), None).map(drop),
        }
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
        let outcome = if event.is_far_off() {
            detach::wait_asleep(slf.py(), &mut event.wait(), deadline)?
        } else {
            detach::wait(slf.py(), &mut event.wait(), deadline)?
        };
        match outcome {
            Some(Ok(())) => Ok(true),
            None => Ok(false),
            Some(Err(Retired)) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                standard_form::call(slf, "wait", (left,), None)?.extract()
            }
        }
    }

    /// It will be set when a thread has begun: who waits for that had better sleep at once.
    fn _set_far_off(&self) {
        self.inner.set_far_off();
    }

    /// Leave the waiting to the standard class: see `standard_form::take`.
    fn _retire(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let event = &slf.get().inner;
        let retire = || event.retire().then(|| (attributes.as_any(), Vec::new()));
        standard_form::take(slf.as_any(), attributes, Some(mutex.get()), retire)
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

    #[getter(_flag)]
    fn get_flag(&self) -> bool {
        self.inner.is_set()
    }

    #[setter(_flag)]
    fn set_flag(&self, flag: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.overwrite(user_code::truth(flag)?);
        Ok(())
    }
}
