//! What is looked up in Python when it is first needed, and kept.

use std::sync::OnceLock;

use pyo3::PyTypeCheck;
use pyo3::prelude::*;

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
    /// The attribute of the module.
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
            let attribute = py.import(module)?.getattr(name)?;
            Ok(attribute.cast_into()?.unbind())
        })?;
        Ok(kept.bind(py))
    }
}
