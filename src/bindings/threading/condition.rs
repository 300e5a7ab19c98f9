//! `Condition`: the native half, without `wait`, which is in `condition_wait.rs`.

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::bindings::fallback;
use crate::bindings::fallback::HasFallback;
use crate::bindings::function::{self, HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::hooks;
use crate::bindings::runtime::argument::Argument;
use crate::bindings::runtime::errors;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::foreign::{self, Operator};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::bindings::threading::RLock;
use crate::bindings::threading::any_lock::AnyLock;
use crate::bindings::threading::condition_waiter::ConditionWaiter;
use crate::bindings::threading::fast_lock::{self, FastLock};
use crate::primitives::condition;
use crate::wait::deadline::Deadline;
use crate::wait::observe::Acquisition;

/// The native half of oxthreads.threading.Condition.
#[pyclass(subclass, frozen, name = "Condition", module = "oxthreads._oxthreads")]
pub(crate) struct Condition {
    pub(super) inner: condition::Condition,
    /// Set by `__init__` if the lock is native. Without one, the condition uses the stdlib fallback.
    lock: OnceLock<AnyLock>,
}

lazy_imports! {
    for Condition, with function::IMPORTS, foreign::OPERATORS, timeout::IMPORTS;
    OWN_NAMES: PyDict = MIRROR, "_OWN_NAMES";
    STANDARD_NAMES: PyDict = MIRROR, "_NAMES";
    STANDARD_RLOCK: PyAny = MIRROR, "_StandardRLock";
}

impl Condition {
    /// The lock, if the condition runs natively. `None`: the stdlib fallback is in place, with all its attributes.
    #[inline]
    fn native<'a>(slf: &'a Bound<'_, Self>) -> PyResult<Option<&'a AnyLock>> {
        let this = slf.get();
        if this.inner.has_fallen_back() {
            Self::complete(slf).map(|()| None)
        } else {
            Ok(this.lock.get())
        }
    }

    /// Without a GIL, another thread may be in the middle of the fall back to the standard library. Then this
    /// waits for it.
    #[cold]
    fn complete(slf: &Bound<'_, Self>) -> PyResult<()> {
        let was_native = slf.get().lock.get().is_some();
        if was_native && !fallback::has(slf.as_any(), "_waiters")? {
            foreign::call_method(slf.as_any(), hooks::FALL_BACK, (), None)?;
        }
        Ok(())
    }

    /// The lock, of any kind.
    pub(super) fn any_lock<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match slf.get().native_lock() {
            Some(lock) => Ok(lock.object().bind(slf.py()).clone()),
            None => {
                Self::complete(slf)?;
                fallback::dictionary(slf.as_any())?
                    .get_item("_lock")?
                    .ok_or_else(|| errors::no_attribute(slf, "_lock"))
            }
        }
    }

    /// Uses the stdlib fallback from now on. The condition has no waiters yet.
    fn init_standard(slf: &Bound<'_, Self>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().inner.fall_back();
        fallback::call(slf, "__init__", (lock,), None).map(drop)
    }

    /// Calls a hook that the standard methods call on `self`. `__init__` of the standard class stores the hooks of
    /// the lock in the instance's dictionary; where there is none, the class's method is called.
    pub(super) fn standard_hook<'py, A>(
        slf: &Bound<'py, Self>,
        name: &str,
        arguments: A,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
    {
        let dictionary = fallback::dictionary(slf.as_any())?;
        match dictionary.get_item(name)? {
            Some(hook) => {
                let arguments = arguments.into_pyobject(slf.py()).map_err(Into::into)?;
                foreign::call(&hook, &arguments, None)
            }
            None => fallback::call(slf, name, arguments, None),
        }
    }
}

impl HasFallback for Condition {
    const ATTRIBUTES: &[&str] = &[
        "_waiters",
        "notify",
        "_is_owned",
        "_release_save",
        "_acquire_restore",
        "acquire",
        "release",
    ];
    const STATE: &[&str] = &["_lock"];

    fn runs_natively() -> &'static TypeQuestion {
        static RUNS_NATIVELY: TypeQuestion = TypeQuestion::new();
        &RUNS_NATIVELY
    }

    fn has_fallen_back(&self) -> bool {
        self.inner.has_fallen_back()
    }
}

impl FastLock for Condition {
    #[inline]
    fn begin_acquire(&self, py: Python<'_>, forever: Acquisition) -> bool {
        self.native_lock()
            .is_some_and(|lock| lock.begin_acquire(py, forever))
    }

    #[inline]
    fn try_release(&self, py: Python<'_>) -> bool {
        self.native_lock().is_some_and(|lock| lock.try_release(py))
    }
}

fast_methods! {
    Notify: Condition, Condition::notify_fast;
    NotifyAll: Condition, Condition::notify_all_fast;
}

fast_built_ins! {
    Enter: Condition, c"__enter__", fast_lock::enter;
    Exit: Condition, c"__exit__", fast_lock::exit;
}

impl HasFunctions for Condition {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![
            ("notify", call::<Notify>),
            ("notify_all", call::<NotifyAll>),
        ]
    }

    fn install_context(derived: &Bound<'_, PyType>) -> PyResult<()> {
        fast_path::install::<Enter>(derived)?;
        fast_path::install::<Exit>(derived)
    }
}

impl Condition {
    /// The lock, if the condition runs natively.
    #[inline]
    fn native_lock(&self) -> Option<&AnyLock> {
        if self.inner.has_fallen_back() {
            None
        } else {
            self.lock.get()
        }
    }

    #[inline]
    fn notify_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.are_none() && slf.get().native_lock()?.is_owned(arguments.py()) {
            slf.get().inner.notify_one();
            arguments.done()
        } else {
            None
        }
    }

    #[inline]
    fn notify_all_fast<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
        if arguments.are_none() && slf.get().native_lock()?.is_owned(arguments.py()) {
            slf.get().inner.notify_all();
            arguments.done()
        } else {
            None
        }
    }
}

impl Condition {
    /// Makes the lock of a condition that was given none. A program may have replaced `RLock` in our module or in the
    /// standard one; then its replacement makes the lock.
    fn new_rlock(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let ours = py.get_type::<RLock>().into_any();
        let name = intern!(py, "RLock");
        let own = OWN_NAMES.get(py)?.get_item(name)?;
        let mut class = own.unwrap_or_else(|| ours.clone());
        if class.is(&ours) {
            let standard = STANDARD_NAMES.get(py)?.get_item(name)?;
            class = standard.unwrap_or(class);
        }
        if class.is(&ours)
            || class.is_none() // the interpreter is ending
            || class.is(STANDARD_RLOCK.get(py)?)
        {
            return ours.call0();
        }
        foreign::call(&class, &PyTuple::empty(py), None)
    }
}

/// The module of the Python classes. It also keeps the dictionaries of itself and of the standard module.
const MIRROR: &str = "oxthreads.threading";

impl Condition {
    /// The primitive, for the waits of coroutines.
    pub(crate) fn primitive(&self) -> &condition::Condition {
        &self.inner
    }
}

impl Observed for Condition {
    fn primitive_address(&self) -> usize {
        std::ptr::from_ref(&self.inner).addr()
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(lock=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // A subclass may take arguments of its own; `__init__` rejects wrong ones.
        Self {
            inner: condition::Condition::new(),
            lock: OnceLock::new(),
        }
    }

    #[pyo3(signature = (lock=None))]
    fn __init__(slf: &Bound<'_, Self>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !Self::runs_natively().is_yes_for(slf.as_any())? {
            return Self::init_standard(slf, lock);
        }
        let made = match lock {
            Some(_) => None,
            None => Some(Self::new_rlock(py)?),
        };
        let lock = lock.or(made.as_ref());
        if !this.inner.has_fallen_back()
            && let Some(lock) = lock
            && let Some(any) = AnyLock::of(lock)
            && this.lock.set(any).is_ok()
        {
            return Ok(());
        }
        // A lock of another kind, or `__init__` is called a second time.
        Self::init_standard(slf, lock)
    }

    /// Acquire the underlying lock: calls its acquire() with the same arguments, and returns the same.
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
            let forever = Blocking::Until(Deadline::NEVER);
            let acquired = lock.acquire(py, forever, Acquisition::Called)?;
            return Ok(acquired.into_pyobject(py)?.to_owned().into_any());
        }
        let acquire = foreign::attribute(&Self::any_lock(slf)?, intern!(py, "acquire"))?;
        foreign::call(&acquire, args, keywords)
    }

    /// Release the underlying lock: calls its release().
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        match Self::native(slf)? {
            Some(lock) => lock.release(slf.py()),
            None => foreign::call_method(&Self::any_lock(slf)?, "release", (), None)
                .map(foreign::release),
        }
    }

    /// Return whether the underlying lock is locked: calls its locked().
    fn locked<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        foreign::call_method(&Self::any_lock(slf)?, "locked", (), None)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::native(slf)? {
            Some(lock) => {
                let forever = Blocking::Until(Deadline::NEVER);
                let acquired = lock.acquire(py, forever, Acquisition::Entered)?;
                Ok(acquired.into_pyobject(py)?.to_owned().into_any())
            }
            None => foreign::call_method(&Self::any_lock(slf)?, "__enter__", (), None),
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
                    foreign::attribute(&Self::any_lock(slf)?, intern!(slf.py(), "__exit__"))?;
                foreign::call(&exit, &arguments, None).map(Some)
            }
        }
    }

    /// Release the lock, wait for a notification, and acquire the lock again.
    ///
    /// Args:
    ///     timeout (int, float or None): the longest wait, in seconds. None means no limit. With zero or less
    ///         the thread does not wait, but it still releases the lock for a moment.
    ///
    /// Returns:
    ///     bool: True if notified, False if the wait timed out.
    ///
    /// Raises:
    ///     RuntimeError: the lock is not locked.
    ///     TypeError: timeout is not a number.
    ///     OverflowError: timeout is above threading.TIMEOUT_MAX.
    ///
    /// The lock is acquired again whatever is raised, also by a signal handler. There is one exception: if the
    /// lock cannot be acquired for one second after that, a further exception ends the wait without the lock.
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
            None => fallback::call(slf, "wait", (timeout,), None),
        }
    }

    /// Wake the threads that have waited longest.
    ///
    /// Args:
    ///     n (int): how many threads to wake. If fewer wait, all of them are woken.
    ///
    /// Raises:
    ///     RuntimeError: the lock is not locked.
    #[pyo3(signature = (n=Argument::Absent), text_signature = "($self, n=1)")]
    pub(super) fn notify(slf: &Bound<'_, Self>, n: Argument<'_>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let Some(lock) = Self::native(slf)? else {
            return match n {
                Argument::Absent => fallback::call(slf, "notify", (), None).map(drop),
                Argument::Given(n) => fallback::call(slf, "notify", (n,), None).map(drop),
            };
        };
        if !lock.is_owned(py) {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        let Argument::Given(mut left) = n else {
            this.inner.notify_one();
            return Ok(());
        };
        // Count as the standard class does: any object works that can be compared with 0 and from which 1 can be
        // subtracted.
        let one = 1_i64.into_pyobject(py)?;
        while !this.inner.is_empty() && foreign::compare(Operator::Greater, &left, 0)? {
            this.inner.notify_one();
            left = foreign::operate(Operator::Subtract, &left, &one)?;
        }
        Ok(())
    }

    /// Wake all threads that wait.
    ///
    /// Raises:
    ///     RuntimeError: the lock is not locked.
    fn notify_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(lock) = Self::native(slf)? else {
            return fallback::call(slf, "notify_all", (), None).map(drop);
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
                lock.get()
                    .acquire_with(slf.py(), forever, Acquisition::Called)
                    .map(drop)
            }
            Some(AnyLock::RLock(rlock)) => rlock
                .bind(slf.py())
                .call_method1("_acquire_restore", (x,))
                .map(drop),
            None => Self::standard_hook(slf, "_acquire_restore", (x,)).map(drop),
        }
    }

    /// Release the lock and forget the waiters. For a forked child.
    fn _at_fork_reinit(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().inner.reset();
        match Self::native(slf)? {
            Some(AnyLock::Lock(lock)) => lock.get().primitive().reset(),
            Some(AnyLock::RLock(rlock)) => rlock.get().primitive().reset(),
            None => {
                fallback::call(slf, "_at_fork_reinit", (), None)?;
            }
        }
        Ok(())
    }

    /// The lock that `__init__` was given or made, if the condition ran natively then.
    #[getter]
    fn _oxthreads_lock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        (self.lock.get()).map(|lock| lock.object().clone_ref(py))
    }

    #[getter(_lock)]
    fn get_lock<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::any_lock(slf)
    }

    #[setter(_lock)]
    fn set_lock(slf: &Bound<'_, Self>, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        if Self::native(slf)?.is_some() {
            foreign::call_method(slf, hooks::FALL_BACK, (), None)?;
        }
        fallback::dictionary(slf.as_any())?.set_item("_lock", lock)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let waiting = match Self::native(slf)? {
            Some(_) => slf.get().inner.len(),
            None => foreign::attribute(slf.as_any(), intern!(slf.py(), "_waiters"))?.len()?,
        };
        Ok(format!(
            "<Condition({}, {waiting})>",
            foreign::display(&Self::any_lock(slf)?)?
        ))
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
        waiters: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        fallback::install(slf.as_any(), attributes, None, || {
            let tickets = slf.get().inner.fall_back()?;
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
