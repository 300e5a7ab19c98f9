//! What is looked up in Python, and kept.

use std::sync::OnceLock;

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A value that is the same whoever makes it.
///
/// Not a `PyOnceLock`, in which nobody may ask for the value while it is made: where an import or an
/// attribute is looked up a collection may start, or a program's own `__import__` run, and use an object
/// that asks for the same. It would wait for itself. Here it makes the value too, and the first is kept.
pub(crate) struct Kept<T>(OnceLock<T>);

impl<T> Kept<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value, if it was made.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value, which `make` makes if need be.
    ///
    /// # Errors
    /// What `make` came to; then nothing is kept.
    #[inline]
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        match self.0.get() {
            Some(value) => Ok(value),
            None => self.make(make),
        }
    }

    #[cold]
    fn make(&self, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        let value = make()?;
        // Nothing of Python happens in here: who comes second waits for a few instructions.
        Ok(self.0.get_or_init(|| value))
    }
}

impl<T: PyTypeCheck> Kept<Py<T>> {
    /// The attribute of the module, as [`look_up`] finds it.
    ///
    /// # Errors
    /// What the import raised, or TypeError where it is no `T`.
    #[inline]
    pub(crate) fn import<'py>(
        &self,
        py: Python<'py>,
        module: &str,
        name: &str,
    ) -> PyResult<&Bound<'py, T>> {
        let kept = self.get_or_make(|| {
            let attribute = look_up(py, module, name)?;
            Ok(attribute.cast_into()?.unbind())
        })?;
        Ok(kept.bind(py))
    }
}

/// Per module of the package: what its classes look up, by the module and the name of each.
const NEEDED: [(&str, &[(&str, &str)]); 3] = [
    (
        "oxthreads.queue",
        &[
            ("oxthreads.queue", "Empty"),
            ("oxthreads.queue", "Full"),
            ("oxthreads.queue", "ShutDown"),
            ("oxthreads.queue", "_PLAIN"),
            ("_queue", "SimpleQueue"),
            ("builtins", "iter"),
            ("itertools", "chain"),
            ("itertools", "islice"),
        ],
    ),
    (
        "oxthreads.threading",
        &[
            ("oxthreads.threading", "Barrier"),
            ("oxthreads.threading", "Condition"),
            ("oxthreads.threading", "RLock"),
            ("oxthreads.threading", "_StandardRLock"),
            ("oxthreads.threading", "_StandardSemaphore"),
            ("threading", "BrokenBarrierError"),
            ("_thread", "LockType"),
            ("_thread", "RLock"),
            ("_thread", "allocate_lock"),
            ("operator", "add"),
            ("operator", "gt"),
            ("operator", "lt"),
            ("operator", "sub"),
        ],
    ),
    (
        "oxthreads.concurrent.futures",
        &[
            ("oxthreads.concurrent.futures", "Future"),
            ("concurrent.futures._base", "CancelledError"),
            ("concurrent.futures._base", "InvalidStateError"),
            ("concurrent.futures._base", "LOGGER"),
            ("builtins", "repr"),
        ],
    ),
];

/// What [`keep_at_hand`] has found, by the module and the name.
static AT_HAND: Kept<Py<PyDict>> = Kept::new();

/// Have what the classes of that module look up at hand: the module, of this package, has been made. While
/// the interpreter ends nothing can be imported any more, and an object that is used for the first time then,
/// in a `__del__` say, has to work all the same.
///
/// # Errors
/// What the imports raised.
#[pyfunction]
#[pyo3(signature = (module, /))]
pub(crate) fn keep_at_hand(py: Python<'_>, module: &str) -> PyResult<()> {
    let at_hand = AT_HAND.get_or_make(|| Ok(PyDict::new(py).unbind()))?;
    for (_, needed) in NEEDED.iter().filter(|(needs, _)| *needs == module) {
        for key @ (module, name) in *needed {
            at_hand
                .bind(py)
                .set_item(key, py.import(*module)?.getattr(*name)?)?;
        }
    }
    Ok(())
}

/// The attribute of the module: that which is at hand, or else as it is now.
///
/// # Errors
/// What the import raised.
pub(crate) fn look_up<'py>(
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(at_hand) = AT_HAND.get()
        && let Some(found) = at_hand.bind(py).get_item((module, name))?
    {
        return Ok(found);
    }
    py.import(module)?.getattr(name)
}
