//! `Watch`, and the `WatchReader` that its `subscribe` returns.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::{Timeout, called_twice, cannot_pickle, closed, is_closed, timed_out};
use crate::bindings::queue::{Item, basic_size};
use crate::bindings::runtime::lazy::{HasImports, Imports};
use crate::bindings::runtime::observed::{Kept, Observed};
use crate::bindings::runtime::{asynchronous, block, cancellation, foreign};
use crate::primitives::watch::{self, Closed, Reader};
use crate::wait::deadline::Deadline;

const KIND: &str = "watched value";

/// A value that one thread sets and others watch.
///
/// Who watches sees the newest value. It may miss values in between, but never the last one. For a setting, a state, a
/// progress: for items of which each one counts, use a `Channel` or a `Broadcast`.
///
/// Args:
///     value: the first value, any object.
///
/// All methods may be called by any thread, by signal handlers and by `__del__` methods.
///
/// Example:
///
///     >>> from oxthreads.channels import Watch
///     >>> from oxthreads.threading import Thread
///     >>> progress = Watch(0)
///     >>> def work():
///     ...     for percent in range(101):
///     ...         progress.set(percent)
///     >>> Thread(target=work).start()
///     >>> progress.wait_for(lambda percent: percent == 100)
///     100
///
/// It is modelled on tokio's watch channel.
#[pyclass(subclass, frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct Watch {
    inner: watch::Watch<Item>,
    /// Whether `__init__` has set the first value.
    is_made: AtomicBool,
}

impl HasImports for Watch {
    const IMPORTS: Imports = super::IMPORTS;
}

impl Observed for Watch {
    type Primitive = watch::Watch<Item>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

fn none(py: Python<'_>) -> Item {
    Item::new(py.None().into_bound(py))
}

/// The error of a value that is closed.
#[cold]
pub(crate) fn watch_closed(py: Python<'_>) -> PyErr {
    closed(py, KIND)
}

/// What `wait_for` waits for.
pub(crate) struct Predicate(Py<PyAny>);

impl Predicate {
    pub(crate) fn new(predicate: &Bound<'_, PyAny>) -> Self {
        Self(predicate.clone().unbind())
    }

    pub(crate) fn object(&self) -> &Py<PyAny> {
        &self.0
    }

    /// The value, if this is true of it.
    ///
    /// # Errors
    /// What the program's function raised.
    pub(crate) fn accept<'py>(
        &self,
        py: Python<'py>,
        value: Item,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = value.into_bound(py);
        let arguments = PyTuple::new(py, [&value])?;
        let answer = foreign::call(self.0.bind(py), &arguments, None)?;
        Ok(foreign::is_true(answer)?.then_some(value))
    }
}

#[pymethods]
impl Watch {
    #[classmethod]
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(value)")]
    fn new(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: watch::Watch::new(none(class.py())),
            is_made: AtomicBool::new(false),
        }
    }

    fn __init__(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_made.swap(true, Ordering::AcqRel) {
            return Err(called_twice(KIND));
        }
        drop(self.inner.replace(Item::new(value)));
        Ok(())
    }

    /// The present value.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.primitive().get().0.into_bound(py)
    }

    /// Set the value, which wakes all that wait for a change, also if it equals the one before.
    ///
    /// Args:
    ///     value: any object.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: it is closed.
    fn set(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        match self.primitive().set(Item::new(value)) {
            Ok(before) => {
                drop(before);
                Ok(())
            }
            Err(_) => Err(watch_closed(py)),
        }
    }

    /// Set the value to what a function makes of the present one, in one step.
    ///
    /// If another thread sets the value meanwhile, the function is called again, with the new one. So it must have no effect
    /// but its result.
    ///
    /// Args:
    ///     function (callable): called with the present value; returns the new one.
    ///
    /// Returns:
    ///     The new value.
    ///
    /// Raises:
    ///     oxthreads.channels.ClosedError: it is closed.
    ///     BaseException: what the function raised. Nothing was set.
    ///
    /// Example:
    ///
    ///     >>> from oxthreads.channels import Watch
    ///     >>> clients = Watch(frozenset())
    ///     >>> sorted(clients.update(lambda names: names | {"tea", "milk"}))
    ///     ['milk', 'tea']
    fn update<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        loop {
            let (value, version) = self.primitive().get();
            let arguments = PyTuple::new(py, [value.into_bound(py)])?;
            let new = foreign::call(function, &arguments, None)?;
            match self.primitive().set_if(version, Item::new(new.clone())) {
                Ok(Ok(before)) => {
                    drop(before);
                    return Ok(new);
                }
                Ok(Err(_)) => asynchronous::check(py)?,
                Err(_) => return Err(watch_closed(py)),
            }
        }
    }

    /// Return a reader, for which the present value counts as seen.
    ///
    /// Each reader remembers what it has seen. So it misses no change that comes while it does something else.
    ///
    /// Returns:
    ///     WatchReader: its method `changed` waits for the next value.
    fn subscribe(slf: &Bound<'_, Self>) -> WatchReader {
        WatchReader {
            inner: Reader::new(Kept::new(slf)),
        }
    }

    /// Wait until the value is one of which the predicate is true.
    ///
    /// The predicate is called with the present value, and after that with each new one that the thread sees. A value that is
    /// replaced before it was seen is missed.
    ///
    /// Args:
    ///     predicate (callable): called with a value; returns whether to wait no longer.
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit. With 0, it is called once.
    ///
    /// Returns:
    ///     The value.
    ///
    /// Raises:
    ///     TimeoutError: there was no such value in time.
    ///     oxthreads.channels.ClosedError: it is closed, and the predicate is false of the last value.
    ///     ValueError: timeout is negative.
    ///     BaseException: what the predicate raised.
    #[pyo3(signature = (predicate, timeout=None))]
    fn wait_for<'py>(
        slf: &Bound<'py, Self>,
        predicate: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        // Once for the whole wait, however often the value changes.
        let deadline = Timeout::new(timeout)?
            .begin()?
            .unwrap_or_else(Deadline::now);
        let predicate = Predicate::new(predicate);
        let (first, version) = slf.get().primitive().get();
        let reader = Reader::since(Kept::new(slf), version);
        let mut value = first;
        loop {
            if let Some(value) = predicate.accept(py, value)? {
                return Ok(value);
            }
            if deadline.has_passed() {
                // No other value will follow if it is closed. A loop without waits must be told that, too.
                return Err(match reader.try_changed() {
                    Err(Closed) => watch_closed(py),
                    Ok(_) => timed_out("the value was not accepted in time"),
                });
            }
            // The value may change so often that the thread never sleeps.
            asynchronous::check(py)?;
            cancellation::check(py)?;
            value = match block::wait(py, &mut reader.changed(), deadline)? {
                Some(Ok(value)) => value,
                Some(Err(Closed)) => return Err(watch_closed(py)),
                None => return Err(timed_out("the value was not accepted in time")),
            };
        }
    }

    /// Close it: the value cannot be set any more. Who waits for a change gets ClosedError, after the last value. A second
    /// call does nothing.
    fn close(&self) {
        self.primitive().close();
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.primitive().is_closed()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Close it.
    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = if slf.get().closed() { "closed " } else { "" };
        Ok(format!(
            "<{state}{} at {:p}>",
            slf.get_type().fully_qualified_name()?,
            slf.as_ptr()
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(cannot_pickle(slf.as_any()))
    }

    /// Return the size in bytes, with the list of waiting threads.
    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(basic_size(slf.as_any())? + slf.get().primitive().allocated())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inner.with(|value| visit.call(value.object()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.inner.replace(none(py)));
    }
}

/// What `Watch.subscribe` returns: it knows which value was seen last.
///
/// It is an iterator, too, over the values as they change. Several threads may share one: then each change is seen by one
/// of them.
///
/// Example:
///
///     >>> from oxthreads.channels import Watch
///     >>> level = Watch("info")
///     >>> reader = level.subscribe()
///     >>> level.set("debug")
///     >>> level.set("error")
///     >>> reader.changed()
///     'error'
///     >>> reader.has_changed
///     False
#[pyclass(frozen, weakref, generic, module = "oxthreads.channels")]
pub(crate) struct WatchReader {
    inner: Reader<Kept<Watch>>,
}

impl Observed for WatchReader {
    type Primitive = Reader<Kept<Watch>>;

    #[inline]
    fn primitive(&self) -> &Self::Primitive {
        &self.inner
    }
}

#[pymethods]
impl WatchReader {
    /// What it reads.
    #[getter]
    fn watch<'py>(&self, py: Python<'py>) -> &Bound<'py, Watch> {
        self.inner.watch().object().bind(py)
    }

    /// The present value. Whether that counts as seen does not change.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.inner.watch().get().0.into_bound(py)
    }

    /// Whether there is a value that was not seen here.
    #[getter]
    fn has_changed(&self) -> bool {
        self.inner.has_changed()
    }

    /// Wait for a value that was not seen here, and return the newest. It counts as seen then.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit.
    ///
    /// Returns:
    ///     The value.
    ///
    /// Raises:
    ///     TimeoutError: the value was not set in time.
    ///     oxthreads.channels.ClosedError: it is closed, and the last value was seen.
    ///     ValueError: timeout is negative.
    #[pyo3(signature = (timeout=None))]
    fn changed<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = Timeout::new(timeout)?;
        match self.inner.try_changed() {
            Ok(Some(value)) => return Ok(value.into_bound(py)),
            Ok(None) => {}
            Err(Closed) => return Err(watch_closed(py)),
        }
        let outcome = match timeout.begin()? {
            None => None,
            Some(deadline) => block::wait(py, &mut self.inner.changed(), deadline)?,
        };
        match outcome {
            Some(Ok(value)) => Ok(value.into_bound(py)),
            Some(Err(Closed)) => Err(watch_closed(py)),
            None => Err(timed_out("the value was not set in time")),
        }
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        // A loop in C runs no bytecode, so check here.
        asynchronous::check(py)?;
        match slf.get().changed(py, None) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_closed(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let seen = if slf.get().has_changed() {
            "not seen"
        } else {
            "seen"
        };
        Ok(format!(
            "<{} of a value that was {seen} at {:p}>",
            slf.get_type().fully_qualified_name()?,
            slf.as_ptr()
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(cannot_pickle(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.inner.watch().object())
    }
}
