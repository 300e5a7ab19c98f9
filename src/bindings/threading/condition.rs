//! `Condition`

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::super::argument::Argument;
use super::super::at_once::{self, Arguments, Attempt, at_once};
use super::super::kept::Kept;
use super::super::standard_form::HasStandardForm;
use super::super::timeout::Blocking;
use super::super::{errors, standard_form, user_code};
use super::any_lock::AnyLock;
use super::condition_waiter::ConditionWaiter;
use super::held::{self, Held};
use crate::primitives::condition as core;
use crate::primitives::deadline::Deadline;

/// The native half of oxthreads.threading.Condition.
#[pyclass(subclass, frozen, name = "Condition", module = "oxthreads._oxthreads")]
pub(crate) struct Condition {
    pub(super) inner: core::Condition,
    /// Set by `__init__`, if the lock is one of ours; else the object has its standard form.
    lock: OnceLock<AnyLock>,
}

impl Condition {
    /// The lock, while waiting is native. `None`: the object has its standard form, complete.
    #[inline]
    fn native<'a>(slf: &'a Bound<'_, Self>) -> PyResult<Option<&'a AnyLock>> {
        let this = slf.get();
        if this.inner.is_retired() {
            Self::complete(slf).map(|()| None)
        } else {
            Ok(this.lock.get())
        }
    }

    /// Without the GIL another thread may be in the middle of taking the standard form: then this
    /// waits for it.
    #[cold]
    fn complete(slf: &Bound<'_, Self>) -> PyResult<()> {
        let was_native = slf.get().lock.get().is_some();
        if was_native && !standard_form::has(slf.as_any(), "_waiters")? {
            user_code::call_method(slf.as_any(), "_take_standard_form", (), None)?;
        }
        Ok(())
    }

    /// The lock, whatever it is.
    pub(super) fn any_lock<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        if this.inner.is_retired() {
            let dictionary = standard_form::dictionary(slf.as_any())?;
            if let Some(lock) = dictionary.get_item("_lock")? {
                return Ok(lock);
            }
        }
        match this.lock.get() {
            Some(lock) => Ok(lock.object().bind(slf.py()).clone()),
            None => Err(errors::no_attribute(slf, "_lock")),
        }
    }

    /// Waiting is the standard class's business from now on, which has no waiters yet.
    fn init_standard(slf: &Bound<'_, Self>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().inner.retire();
        standard_form::call(slf, "__init__", (lock,), None).map(drop)
    }

    /// What the standard methods call on themselves: the lock's own, which stands in the dictionary,
    /// or else the class's.
    pub(super) fn standard_hook<'py, A>(
        slf: &Bound<'py, Self>,
        name: &str,
        arguments: A,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
    {
        let dictionary = standard_form::dictionary(slf.as_any())?;
        match dictionary.get_item(name)? {
            Some(hook) => {
                let arguments = arguments.into_pyobject(slf.py()).map_err(Into::into)?;
                user_code::call(&hook, &arguments, None)
            }
            None => standard_form::call(slf, name, arguments, None),
        }
    }
}

impl HasStandardForm for Condition {
    const ATTRIBUTES: &[&str] = &[
        "_waiters",
        "notify",
        "_is_owned",
        "_release_save",
        "_acquire_restore",
    ];

    fn has_taken_it(&self) -> bool {
        self.inner.is_retired()
    }
}

impl Held for Condition {
    #[inline]
    fn try_acquire(&self, py: Python<'_>) -> bool {
        self.native_lock().is_some_and(|lock| lock.try_acquire(py))
    }

    #[inline]
    fn try_release(&self, py: Python<'_>) -> bool {
        self.native_lock().is_some_and(|lock| lock.try_release(py))
    }
}

at_once! {
    Enter: Condition, c"__enter__", held::acquire;
    Exit: Condition, c"__exit__", held::exit;
    Notify: Condition, c"notify", Condition::notify_at_once;
    NotifyAll: Condition, c"notify_all", Condition::notify_all_at_once;
}

impl Condition {
    /// The lock, while waiting is native.
    #[inline]
    fn native_lock(&self) -> Option<&AnyLock> {
        if self.inner.is_retired() {
            None
        } else {
            self.lock.get()
        }
    }

    #[inline]
    fn notify_at_once<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.are_none() && slf.get().native_lock()?.is_owned(arguments.py()) {
            slf.get().inner.notify_one();
            arguments.done()
        } else {
            None
        }
    }

    #[inline]
    fn notify_all_at_once<'py>(
        slf: &Bound<'py, Self>,
        arguments: Arguments<'_, 'py>,
    ) -> Attempt<'py> {
        if arguments.are_none() && slf.get().native_lock()?.is_owned(arguments.py()) {
            slf.get().inner.notify_all();
            arguments.done()
        } else {
            None
        }
    }

    /// See [`at_once`](crate::bindings::at_once).
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Enter>(class)?;
        at_once::install::<Exit>(class)?;
        at_once::install::<Notify>(class)?;
        at_once::install::<NotifyAll>(class)
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(lock=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; __init__ refuses what is not for it.
        Self {
            inner: core::Condition::new(),
            lock: OnceLock::new(),
        }
    }

    #[pyo3(signature = (lock=None))]
    fn __init__(slf: &Bound<'_, Self>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        static PLAIN: Kept<Py<PyType>> = Kept::new();
        static RLOCK: Kept<Py<PyType>> = Kept::new();
        let py = slf.py();
        let this = slf.get();
        let class = slf.get_type();
        if !class.is(PLAIN.import(py, "oxthreads.threading", "Condition")?)
            && standard_form::overrides_hooks(&class)?
        {
            return Self::init_standard(slf, lock);
        }
        let any = match lock {
            Some(lock) => AnyLock::of(lock),
            None => AnyLock::of(&RLOCK.import(py, "oxthreads.threading", "RLock")?.call0()?),
        };
        if !this.inner.is_retired()
            && let Some(any) = any
            && this.lock.set(any).is_ok()
        {
            return Ok(());
        }
        // A lock of another kind; or it is initialized again.
        Self::init_standard(slf, lock)
    }

    /// Lock the lock underneath: its own acquire().
    #[pyo3(signature = (*args, **keywords), text_signature = "($self, blocking=True, timeout=-1)")]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if args.is_empty()
            && keywords.is_none()
            && let Some(lock) = Self::native(slf)?
        {
            let acquired = lock.acquire(py, Blocking::Until(Deadline::NEVER))?;
            return Ok(acquired.into_pyobject(py)?.to_owned().into_any());
        }
        let acquire = user_code::attribute(&Self::any_lock(slf)?, intern!(py, "acquire"))?;
        user_code::call(&acquire, args, keywords)
    }

    /// Release the lock underneath: its own release().
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        match Self::native(slf)? {
            Some(lock) => lock.release(slf.py()),
            None => user_code::call_method(&Self::any_lock(slf)?, "release", (), None)
                .map(user_code::release),
        }
    }

    /// Whether the lock underneath is locked: its own locked().
    fn locked<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        user_code::call_method(&Self::any_lock(slf)?, "locked", (), None)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::native(slf)? {
            Some(lock) => {
                let acquired = lock.acquire(py, Blocking::Until(Deadline::NEVER))?;
                Ok(acquired.into_pyobject(py)?.to_owned().into_any())
            }
            None => user_code::call_method(&Self::any_lock(slf)?, "__enter__", (), None),
        }
    }

    #[pyo3(signature = (exc_type=Argument::Absent, exc_value=Argument::Absent,
                        traceback=Argument::Absent),
           text_signature = "($self, *args)")]
    fn __exit__<'py>(
        slf: &Bound<'py, Self>,
        exc_type: Argument<'py>,
        exc_value: Argument<'py>,
        traceback: Argument<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match Self::native(slf)? {
            Some(lock) => {
                errors::check_exit_arguments([&exc_type, &exc_value, &traceback])?;
                lock.release(slf.py()).map(|()| None)
            }
            None => {
                let given = [exc_type, exc_value, traceback]
                    .into_iter()
                    .filter_map(|argument| match argument {
                        Argument::Given(value) => Some(value),
                        Argument::Absent => None,
                    });
                let arguments = PyTuple::new(slf.py(), given.collect::<Vec<_>>())?;
                let exit =
                    user_code::attribute(&Self::any_lock(slf)?, intern!(slf.py(), "__exit__"))?;
                user_code::call(&exit, &arguments, None).map(Some)
            }
        }
    }

    /// Release the lock, wait until notified, and lock the lock again; whether it was notified.
    ///
    /// timeout: wait at most so many seconds (int or float); None means without end, zero and
    /// below not at all, though the lock is released for a moment.
    ///
    /// Raises RuntimeError if the lock is not locked, TypeError for what is not a number,
    /// OverflowError above threading.TIMEOUT_MAX. The lock is locked again whatever is raised,
    /// by a signal handler too; but if it cannot be had for a second after that, another
    /// exception ends the wait without it.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match Self::native(slf)? {
            Some(lock) => {
                let notified = Self::wait_with(slf, lock, timeout)?;
                Ok(notified.into_pyobject(slf.py())?.to_owned().into_any())
            }
            None => standard_form::call(slf, "wait", (timeout,), None),
        }
    }

    /// Wake the threads that have waited longest.
    ///
    /// n: so many of them, if there are as many.
    ///
    /// Raises RuntimeError if the lock is not locked.
    #[pyo3(signature = (n=Argument::Absent), text_signature = "($self, n=1)")]
    pub(super) fn notify(slf: &Bound<'_, Self>, n: Argument<'_>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let Some(lock) = Self::native(slf)? else {
            return match n {
                Argument::Absent => standard_form::call(slf, "notify", (), None).map(drop),
                Argument::Given(n) => standard_form::call(slf, "notify", (n,), None).map(drop),
            };
        };
        if !lock.is_owned(py) {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        let Argument::Given(mut left) = n else {
            this.inner.notify_one();
            return Ok(());
        };
        // As the standard class counts: whatever can be compared with 0 and lessened by 1 will do.
        let one = 1_i64.into_pyobject(py)?;
        while !this.inner.is_empty() && user_code::holds("gt", &left, 0)? {
            this.inner.notify_one();
            left = user_code::operate("sub", &left, &one)?;
        }
        Ok(())
    }

    /// Wake all threads that wait.
    ///
    /// Raises RuntimeError if the lock is not locked.
    fn notify_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(lock) = Self::native(slf)? else {
            return standard_form::call(slf, "notify_all", (), None).map(drop);
        };
        if !lock.is_owned(slf.py()) {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        slf.get().inner.notify_all();
        Ok(())
    }

    fn _is_owned<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match Self::native(slf)? {
            Some(lock) => {
                let owned = lock.is_owned(slf.py());
                Ok(owned.into_pyobject(slf.py())?.to_owned().into_any())
            }
            None => Self::standard_hook(slf, "_is_owned", ()),
        }
    }

    fn _release_save<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::native(slf)? {
            Some(AnyLock::RLock(rlock)) => rlock.bind(py).call_method0("_release_save"),
            Some(AnyLock::Lock(lock)) => {
                lock.get().release_held()?;
                Ok(py.None().into_bound(py))
            }
            None => Self::standard_hook(slf, "_release_save", ()),
        }
    }

    fn _acquire_restore<'py>(slf: &Bound<'py, Self>, x: Bound<'py, PyAny>) -> PyResult<()> {
        match Self::native(slf)? {
            Some(AnyLock::Lock(lock)) => {
                let forever = Blocking::Until(Deadline::NEVER);
                lock.get().acquire_with(slf.py(), forever).map(drop)
            }
            Some(AnyLock::RLock(rlock)) => rlock
                .bind(slf.py())
                .call_method1("_acquire_restore", (x,))
                .map(drop),
            None => Self::standard_hook(slf, "_acquire_restore", (x,)).map(drop),
        }
    }

    /// Unlock the lock and forget the waiters, in a forked child.
    fn _at_fork_reinit(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.reset();
        match Self::native(slf)? {
            Some(AnyLock::Lock(lock)) => lock.get().primitive().reset(),
            Some(AnyLock::RLock(rlock)) => rlock.get().primitive().reset(),
            None => {
                standard_form::call(slf, "_at_fork_reinit", (), None)?;
            }
        }
        Ok(())
    }

    #[getter(_lock)]
    fn get_lock<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::any_lock(slf)
    }

    #[setter(_lock)]
    fn set_lock(slf: &Bound<'_, Self>, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        if Self::native(slf)?.is_some() {
            user_code::call_method(slf, "_take_standard_form", (), None)?;
        }
        standard_form::dictionary(slf.as_any())?.set_item("_lock", lock)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let waiting = match Self::native(slf)? {
            Some(_) => slf.get().inner.len(),
            None => user_code::attribute(slf.as_any(), intern!(slf.py(), "_waiters"))?.len()?,
        };
        Ok(format!(
            "<Condition({}, {waiting})>",
            user_code::shown(&Self::any_lock(slf)?)?
        ))
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
        waiters: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        standard_form::take(slf.as_any(), attributes, None, || {
            let tickets = slf.get().inner.retire()?;
            let waiting: Vec<_> = tickets
                .into_iter()
                .filter_map(|ticket| {
                    let waiter = Bound::new(slf.py(), ConditionWaiter::new(slf, ticket));
                    waiter.ok().map(|waiter| waiter.into_any().unbind())
                })
                .collect();
            Some((waiters, waiting))
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.lock
            .get()
            .map_or(Ok(()), |lock| visit.call(lock.object()))
    }
}
