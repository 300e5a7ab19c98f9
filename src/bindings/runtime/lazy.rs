//! Lazy imports: objects that are looked up in Python once and then stored.
//!
//! While the interpreter is ending, nothing can be imported. But an object that is used for the first time then, in a
//! `__del__` method for example, must work. So each class declares what it looks up, by [`lazy_imports!`] beside the
//! code that does so, and all of that is imported when the Python module of the class has been made.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A value that is computed on first use. It must be the same whoever computes it.
///
/// This is not a `PyOnceLock`, where nobody may ask for the value while it is being made. During an import, or
/// during the lookup of an attribute, a garbage collection may start, or a program's own `__import__` may run.
/// Either may use an object that needs the same value, and would wait for itself. With a `Lazy`, it makes the
/// value too, and the first result is stored.
pub(crate) struct Lazy<T>(OnceLock<T>);

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value, if it was made.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value; `make` makes it if there is none yet.
    ///
    /// # Errors
    /// What `make` returned; then nothing is stored.
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
        // The closure runs no Python code: a second thread waits for a few instructions.
        Ok(self.0.get_or_init(|| value))
    }
}

/// Where an object is found: the module, and its name there.
pub(crate) type Import = (&'static str, &'static str);

/// What some code looks up.
#[derive(Clone, Copy)]
pub(crate) struct Imports {
    /// What it looks up itself.
    pub(crate) own: &'static [Import],
    /// What other code looks up for it.
    pub(crate) others: &'static [Self],
}

/// A native class that says what its methods look up.
pub(crate) trait HasImports {
    const IMPORTS: Imports;
}

/// An object that is looked up in Python. [`lazy_imports!`] makes it, so that none is forgotten in an [`Imports`].
pub(crate) struct LazyImport<T = PyAny> {
    import: Import,
    found: Lazy<Py<T>>,
}

impl<T> LazyImport<T> {
    pub(crate) const fn new(import: Import) -> Self {
        Self {
            import,
            found: Lazy::new(),
        }
    }
}

impl<T: PyTypeCheck> LazyImport<T> {
    /// The object: the preloaded one if there is one, else the present attribute of the module.
    ///
    /// # Errors
    /// What the import raised; TypeError if the attribute is not a `T`.
    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, T>> {
        let stored = self
            .found
            .get_or_make(|| Ok(look_up(py, self.import)?.cast_into()?.unbind()))?;
        Ok(stored.bind(py))
    }
}

/// Declares what the code of a file looks up: for each object a static [`LazyImport`], and one [`Imports`] that has
/// them all, and after `with` those of the files whose functions this code calls.
///
/// `for Class` makes it the [`HasImports`] of the class. Otherwise it is a constant, which the classes that use the
/// file add after their `with`. The compiler warns of a constant that nobody adds.
macro_rules! lazy_imports {
    (
        for $class:ty $(, with $($other:path),+)?;
        $($name:ident: $type:ty = $module:expr, $attribute:expr;)*
    ) => {
        $crate::bindings::runtime::lazy::lazy_imports!(@statics $($name: $type = $module, $attribute;)*);

        impl $crate::bindings::runtime::lazy::HasImports for $class {
            const IMPORTS: $crate::bindings::runtime::lazy::Imports =
                $crate::bindings::runtime::lazy::Imports {
                    own: &[$(($module, $attribute)),*],
                    others: &[$($($other),+)?],
                };
        }
    };
    (
        $(#[$doc:meta])*
        $visibility:vis $list:ident $(, with $($other:path),+)?;
        $($name:ident: $type:ty = $module:expr, $attribute:expr;)*
    ) => {
        $crate::bindings::runtime::lazy::lazy_imports!(@statics $($name: $type = $module, $attribute;)*);

        $(#[$doc])*
        $visibility const $list: $crate::bindings::runtime::lazy::Imports =
            $crate::bindings::runtime::lazy::Imports {
                own: &[$(($module, $attribute)),*],
                others: &[$($($other),+)?],
            };
    };
    (@statics $($name:ident: $type:ty = $module:expr, $attribute:expr;)*) => {
        $(
            static $name: $crate::bindings::runtime::lazy::LazyImport<$type> =
                $crate::bindings::runtime::lazy::LazyImport::new(($module, $attribute));
        )*
    };
}
pub(crate) use lazy_imports;

/// The objects that [`preload`] has found, by module and name.
static PRELOADED: Lazy<Py<PyDict>> = Lazy::new();

/// Imports everything in the lists.
///
/// An object that was found before stays the same, as a program may have replaced it since. Objects of this package
/// are looked up again, as their module may have been made a second time.
///
/// # Errors
/// What the imports raised.
pub(crate) fn preload(py: Python<'_>, imports: &[Imports]) -> PyResult<()> {
    let preloaded = PRELOADED.get_or_make(|| Ok(PyDict::new(py).unbind()))?;
    let preloaded = preloaded.bind(py);
    // Many classes look up the same.
    let mut seen = BTreeSet::new();
    let mut lists: Vec<_> = imports.iter().collect();
    while let Some(Imports { own, others }) = lists.pop() {
        lists.extend(*others);
        for key @ (module, name) in own.iter().filter(|key| seen.insert(**key)) {
            if module.starts_with("oxthreads.") || !preloaded.contains(key)? {
                preloaded.set_item(key, py.import(*module)?.getattr(*name)?)?;
            }
        }
    }
    Ok(())
}

fn look_up(py: Python<'_>, import: Import) -> PyResult<Bound<'_, PyAny>> {
    if let Some(preloaded) = PRELOADED.get()
        && let Some(found) = preloaded.bind(py).get_item(import)?
    {
        return Ok(found);
    }
    let (module, name) = import;
    py.import(module)?.getattr(name)
}
