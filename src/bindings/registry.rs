//! The registry of native classes: which of them have fast paths, which are native halves of Python classes, and which
//! have lazy imports.
//!
//! A new class is entered here, and in the list of what the module exports (`mod.rs`).

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::bindings::aio;
use crate::bindings::channels::{Broadcast, Channel, Watch};
use crate::bindings::executor::{ThreadPoolExecutor, WorkQueue};
use crate::bindings::function::{HasFunctions, install_functions};
use crate::bindings::future::{Completions, Future};
use crate::bindings::queue::{DelayQueue, Queue, SimpleQueue};
use crate::bindings::runtime::lazy::{self, HasImports, Imports};
use crate::bindings::tasks;
use crate::bindings::threading::{
    Barrier, Condition, Event, Limiter, Lock, Once, RLock, RWLock, Semaphore,
};
use crate::bindings::waiting;

/// Puts the fast paths into the native classes that are used directly. Must be called once, when the module is made.
pub(crate) fn install_all(py: Python<'_>) -> PyResult<()> {
    // The classes belong to the process, so the methods must too: another interpreter in the process that imports
    // this module may end long before.
    static INSTALLED: PyOnceLock<()> = PyOnceLock::new();
    INSTALLED
        .get_or_try_init(py, || {
            Lock::install_fast_path(&py.get_type::<Lock>())?;
            RLock::install_fast_path(&py.get_type::<RLock>())?;
            RWLock::install_fast_paths(py)?;
            aio::install_fast_paths(py)?;
            tasks::TaskGroup::install_fast_paths(py)?;
            Channel::install_fast_paths(py)?;
            Broadcast::install_fast_paths(py)?;
            Once::prepare(py)?;
            SimpleQueue::install_fast_path(&py.get_type::<SimpleQueue>())
        })
        .copied()
}

/// What the classes of each module of the package look up.
const IMPORTS: [(&str, &[Imports]); 8] = [
    ("oxthreads._delay_queue", &[DelayQueue::IMPORTS]),
    (
        "oxthreads.channels",
        &[Broadcast::IMPORTS, Channel::IMPORTS, Watch::IMPORTS],
    ),
    ("oxthreads.locks", &[RWLock::IMPORTS, Limiter::IMPORTS]),
    ("oxthreads.queue", &[Queue::IMPORTS, SimpleQueue::IMPORTS]),
    (
        "oxthreads.threading",
        &[
            Barrier::IMPORTS,
            Condition::IMPORTS,
            Event::IMPORTS,
            Lock::IMPORTS,
            RLock::IMPORTS,
            Semaphore::IMPORTS,
        ],
    ),
    (
        "oxthreads.concurrent.futures",
        &[
            Completions::IMPORTS,
            Future::IMPORTS,
            ThreadPoolExecutor::IMPORTS,
            WorkQueue::IMPORTS,
        ],
    ),
    ("oxthreads.tasks", tasks::IMPORTS),
    ("oxthreads.waiting", &[waiting::IMPORTS]),
];

/// Import everything that the classes of a module of this package look up. Called when that module has been made.
///
/// Args:
///     module (str): the name of the module.
///
/// # Errors
/// What the imports raised.
#[pyfunction]
#[pyo3(signature = (module, /))]
pub(crate) fn preload(py: Python<'_>, module: &str) -> PyResult<()> {
    match IMPORTS.iter().find(|(of, _)| *of == module) {
        Some((_, imports)) => lazy::preload(py, imports),
        None => Ok(()),
    }
}

/// Calls the function for the native class from which the class derives.
macro_rules! for_native_class {
    ($derived:expr, $function:ident($($argument:expr),*)) => {{
        let derived: &Bound<'_, PyType> = $derived;
        if derived.is_subclass_of::<Event>()? {
            $function::<Event>($($argument),*)
        } else if derived.is_subclass_of::<Condition>()? {
            $function::<Condition>($($argument),*)
        } else if derived.is_subclass_of::<Semaphore>()? {
            $function::<Semaphore>($($argument),*)
        } else if derived.is_subclass_of::<Barrier>()? {
            $function::<Barrier>($($argument),*)
        } else if derived.is_subclass_of::<Queue>()? {
            $function::<Queue>($($argument),*)
        } else if derived.is_subclass_of::<Future>()? {
            $function::<Future>($($argument),*)
        } else if derived.is_subclass_of::<ThreadPoolExecutor>()? {
            $function::<ThreadPoolExecutor>($($argument),*)
        } else {
            Err(PyTypeError::new_err("not derived from a native class"))
        }
    }};
}

/// Give the class, which derives from a native one, methods that look like those of the standard class.
///
/// Args:
///     derived (type): the class.
///     *standard (type): the standard classes whose functions the methods show.
///
/// Raises:
///     TypeError: the class does not derive from a native one.
#[pyfunction]
#[pyo3(signature = (derived, /, *standard))]
pub(crate) fn install_in(
    derived: &Bound<'_, PyType>,
    standard: Vec<Bound<'_, PyType>>,
) -> PyResult<()> {
    for_native_class!(derived, install_functions(derived, &standard))
}

/// Set the functions that answer questions about types that derive from the class.
///
/// Args:
///     derived (type): the class.
///     runs_natively: called with a type; returns whether its objects can run natively, or must use the stdlib
///         fallback. It is called once for each type of which objects are made, and again when the type has
///         changed.
///     **others: functions of the same kind for other questions.
///
/// Raises:
///     TypeError: the class does not derive from a native one, or there is no such question.
#[pyfunction]
#[pyo3(signature = (derived, /, runs_natively, **others))]
pub(crate) fn set_questions(
    derived: &Bound<'_, PyType>,
    runs_natively: Bound<'_, PyAny>,
    others: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    fn set<C: HasFunctions>(
        runs_natively: Bound<'_, PyAny>,
        others: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let native = runs_natively.py().get_type::<C>();
        C::runs_natively().set(runs_natively, native.clone())?;
        let Some(others) = others else { return Ok(()) };
        for (name, answer) in others {
            let name: String = name.extract()?;
            let mut known = C::other_questions().into_iter();
            match known.find(|(known, _)| name == *known) {
                Some((_, question)) => question.set(answer, native.clone())?,
                None => return Err(PyTypeError::new_err(format!("no question: {name}"))),
            }
        }
        Ok(())
    }
    for_native_class!(derived, set(runs_natively, others))
}
