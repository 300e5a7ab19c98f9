//! Whether a queue's methods are the ones that were made here, so that one may do without the others.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyString};

use super::{Kept, Queue, look_up, user_code};

/// The flag beside a queue's maximum size: `put` or `get` was set as an attribute of this queue alone.
const SHADOWED: u8 = 1;

/// One of the classes of `oxthreads.queue`, and what `put` and `get` are there.
struct Plain {
    class: Py<PyAny>,
    put: Py<PyAny>,
    get: Py<PyAny>,
    /// The version that the class had when both were last found to be ours; 0 means none. The
    /// interpreter gives the class another one when an attribute of it, or of a base, has changed.
    version: AtomicU32,
}

static CLASSES: Kept<[Plain; 3]> = Kept::new();

fn plain_classes(py: Python<'_>) -> PyResult<&'static [Plain; 3]> {
    CLASSES.get_or_make(|| {
        let made = look_up(py, "oxthreads.queue", "_PLAIN")?;
        let made: [(Py<PyAny>, Py<PyAny>, Py<PyAny>); 3] = made.extract()?;
        Ok(made.map(|(class, put, get)| Plain {
            class,
            put,
            get,
            version: AtomicU32::new(0),
        }))
    })
}

impl Plain {
    #[inline]
    fn is_class(&self, class: *mut ffi::PyTypeObject) -> bool {
        ptr::eq(self.class.as_ptr().cast(), class)
    }

    #[inline]
    fn version_now(&self) -> u32 {
        let class = self.class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: it is a class, kept alive here; this makes a pointer, and reads nothing.
        let version = unsafe { &raw mut (*class).tp_version_tag };
        // SAFETY: it points into that class, and is aligned as the field is. Where there is no GIL others
        // may write the number meanwhile, by atomic instructions as this reads it.
        unsafe { AtomicU32::from_ptr(version) }.load(Ordering::Relaxed)
    }

    /// Whether nobody has changed the class since it was looked at.
    #[inline]
    fn is_as_seen(&self) -> bool {
        let version = self.version_now();
        version != 0 && version == self.version.load(Ordering::Relaxed)
    }

    /// Whether these two are ours; somebody may have changed others.
    fn is_unchanged(&self, py: Python<'_>) -> PyResult<bool> {
        let class = self.class.bind(py);
        let ours = || -> PyResult<bool> {
            Ok(class.getattr("put")?.is(&self.put) && class.getattr("get")?.is(&self.get))
        };
        // To look an attribute up gives the class a version, if it has none. Then once more: what has
        // changed since it was read gives it another.
        if !ours()? {
            return Ok(false);
        }
        let version = self.version_now();
        if !ours()? {
            return Ok(false);
        }
        self.version.store(version, Ordering::Relaxed);
        Ok(true)
    }
}

impl Queue {
    /// Its class, if that is one of ours and no subclass.
    fn plain_class(slf: &Bound<'_, Self>) -> PyResult<Option<&'static Plain>> {
        let class = slf.get_type_ptr();
        let mut classes = plain_classes(slf.py())?.iter();
        Ok(classes.find(|plain| plain.is_class(class)))
    }

    /// Whether no subclass can have changed what a method calls on itself.
    pub(super) fn is_plain(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(Self::plain_class(slf)?.is_some())
    }

    /// Whether it is of one of our classes, and `put` and `get` are as they were made.
    #[inline]
    pub(super) fn is_untouched(slf: &Bound<'_, Self>) -> PyResult<bool> {
        if slf.get().is_shadowed() {
            return Ok(false);
        }
        let class = slf.get_type_ptr();
        if let Some(classes) = CLASSES.get()
            && let Some(plain) = classes.iter().find(|plain| plain.is_class(class))
            && plain.is_as_seen()
        {
            return Ok(true);
        }
        Self::is_of_unchanged_class(slf)
    }

    #[cold]
    fn is_of_unchanged_class(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match Self::plain_class(slf)? {
            Some(plain) => plain.is_unchanged(slf.py()),
            None => Ok(false),
        }
    }

    /// Whether the methods `put` and `get` are ours, so that batches may do without them.
    pub(super) fn is_direct(slf: &Bound<'_, Self>) -> PyResult<bool> {
        if slf.get().inner.is_retired() || slf.get().is_shadowed() {
            return Ok(false);
        }
        match Self::plain_class(slf)? {
            Some(plain) => plain.is_unchanged(slf.py()),
            None => {
                let direct = intern!(slf.py(), "_is_direct");
                user_code::attribute(slf.get_type().as_any(), direct)?.is_truthy()
            }
        }
    }

    /// An attribute is set: from now on the methods that call this one look it up.
    pub(super) fn note_attribute(&self, name: &Bound<'_, PyString>) {
        if matches!(name.to_str(), Ok("put" | "get")) {
            self.unusual_maxsize
                .flags()
                .store(SHADOWED, Ordering::Relaxed);
        }
    }

    #[inline]
    fn is_shadowed(&self) -> bool {
        self.unusual_maxsize.flags().load(Ordering::Relaxed) == SHADOWED
    }

    /// `put(item, block=False)`, whatever stands under that name.
    #[cold]
    pub(super) fn put_by_name(slf: &Bound<'_, Self>, item: Bound<'_, PyAny>) -> PyResult<()> {
        let keywords = [("block", false)].into_py_dict(slf.py())?;
        user_code::call_method(slf, "put", (item,), Some(&keywords)).map(user_code::release)
    }

    /// `get(block=False)`, whatever stands under that name.
    #[cold]
    pub(super) fn get_by_name<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let keywords = [("block", false)].into_py_dict(slf.py())?;
        user_code::call_method(slf, "get", (), Some(&keywords))
    }
}
