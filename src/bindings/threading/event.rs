//! `Event`: the native half, which uses `primitives/event.rs`.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::runtime::block;
use crate::bindings::runtime::fast_path::{Arguments, Attempt};
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::threading::lock::Lock;
use crate::primitives::FellBack;
use crate::primitives::event;
use crate::wait::scope::Inside;

/// The native half of oxthreads.threading.Event.
#[pyclass(subclass, frozen, name = "Event", module = "oxthreads._oxthreads")]
pub(crate) struct Event {
    inner: event::Event,
}

lazy_imports! {
    for Event, with function::IMPORTS, timeout::IMPORTS;
}

impl HasFallback for Event {
    const ATTRIBUTES: &[&str] = &["_cond"];
    const STATE: &[&str] = &["_flag"];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.has_fallen_back()
    }
}

fast_methods! {
    IsSet: Event, Event::is_set_fast;
    Set: Event, Event::set_fast;
    Clear: Event, Event::clear_fast;
    Wait: Event, Event::wait_fast;
}

impl Event {
    #[inline]
    fn is_set_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        arguments.answer(slf.get().inner.state().ok()?)
    }

    #[inline]
    fn set_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        slf.get().inner.set().ok()?;
        arguments.done()
    }

    #[inline]
    fn clear_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if !arguments.are_none() {
            return None;
        }
        slf.get().inner.clear().ok()?;
        arguments.done()
    }

    /// Does not check the timeout: only a thread that has to wait does.
    #[inline]
    fn wait_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.len() > 1 || !slf.get().inner.is_set() {
            return None;
        }
        arguments.answer(true)
    }
}

/// Whether `wait` of a type is the native one, so that other code need not call it by name.
static WAITS_ITSELF: TypeQuestion = TypeQuestion::new();

impl Event {
    /// Whether a wait for the event may use the primitive, and need not call `wait`.
    pub(crate) fn is_direct(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!slf.get().inner.has_fallen_back() && WAITS_ITSELF.is_yes_for(slf.as_any())?)
    }
}

impl HasFunctions for Event {
    fn other_questions() -> Vec<(&'static str, &'static TypeQuestion)> {
        vec![("waits_itself", &WAITS_ITSELF)]
    }

    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![
            ("is_set", call::<IsSet>),
            ("set", call::<Set>),
            ("clear", call::<Clear>),
            ("wait", call::<Wait>),
        ]
    }
}

impl Observed for Event {
    type Primitive = event::Event;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: event::Event::new(),
        }
    }

    fn __init__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let event = &slf.get().inner;
        if !Self::runs_natively().is_yes_for(slf.as_any())? {
            event.fall_back();
        }
        if event.has_fallen_back() {
            fallback::call(slf, "__init__", (), None).map(drop)
        } else if event.is_set() {
            Self::clear(slf) // `__init__` is called a second time
        } else {
            Ok(())
        }
    }

    /// Return True if the internal flag is true, else False.
    fn is_set<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.state() {
            Ok(set) => Ok(PyBool::new(slf.py(), set).to_owned().into_any()),
            Err(FellBack) => fallback::call(slf, "is_set", (), None),
        }
    }

    /// Set the internal flag to true, and wake all threads that wait for it.
    fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.set() {
            Ok(()) => Ok(()),
            Err(FellBack) => fallback::call(slf, "set", (), None).map(drop),
        }
    }

    /// Reset the internal flag to false.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().inner.clear() {
            Ok(()) => Ok(()),
            Err(FellBack) => fallback::call(slf, "clear", (), None).map(drop),
        }
    }

    /// Wait until the internal flag is true.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit; zero or less means
    ///         no wait.
    ///
    /// Returns:
    ///     bool: True if the flag is true, False if the wait timed out.
    ///
    /// Raises:
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let event = &slf.get().inner;
        let answer = |set: bool| Ok(PyBool::new(slf.py(), set).to_owned().into_any());
        match event.state() {
            Ok(true) => return answer(true),
            Ok(false) => {}
            Err(FellBack) => return fallback::call(slf, "wait", (timeout,), None),
        }
        let Blocking::Until(deadline) = timeout::of_condition(timeout)? else {
            return answer(event.is_set());
        };
        let outcome = if event.has_no_spin() {
            // A thread starts in any case, so that its starter has to know it: no scope ends this wait.
            let _outside = Inside::none();
            block::wait_asleep(slf.py(), &mut event.wait(), deadline)?
        } else {
            block::wait(slf.py(), &mut event.wait(), deadline)?
        };
        match outcome {
            Some(Ok(())) => answer(true),
            None => answer(false),
            Some(Err(FellBack)) => {
                let left = deadline.remaining().map(|left| left.as_secs_f64());
                fallback::call(slf, "wait", (left,), None)
            }
        }
    }

    /// Do not spin in waits for this event, and let no cancel scope end them. For the event that a starting thread sets:
    /// starting takes longer than a spin, and goes on in any case.
    fn _oxthreads_set_no_spin(&self) {
        self.inner.set_no_spin();
    }

    /// Hand the waits over to the standard class; see `fallback::install`.
    fn _oxthreads_hand_over(
        slf: &Bound<'_, Self>,
        attributes: &Bound<'_, PyDict>,
        mutex: &Bound<'_, Lock>,
    ) -> PyResult<()> {
        let fall_back = || {
            let flag = slf.get().inner.fall_back()?;
            // This cannot fail: the dictionary is a plain dict that the caller made, and the name is a string.
            let _ = attributes.set_item("_flag", flag);
            Some((attributes.as_any(), Vec::new()))
        };
        fallback::install(
            slf.as_any(),
            attributes,
            Some(mutex.get().primitive()),
            fall_back,
        )
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

    #[getter(_flag)]
    fn get_flag<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().inner.state() {
            Ok(set) => Ok(PyBool::new(slf.py(), set).to_owned().into_any()),
            Err(FellBack) => fallback::entry(slf, "_flag"),
        }
    }

    #[setter(_flag)]
    fn set_flag(slf: &Bound<'_, Self>, flag: &Bound<'_, PyAny>) -> PyResult<()> {
        fallback::fall_back(slf)?;
        fallback::set_entry(slf.as_any(), "_flag", flag)?;
        if foreign::truth(flag)? {
            slf.get().inner.complete_former_waits();
        }
        Ok(())
    }
}
