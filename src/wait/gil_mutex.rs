//! The leaf lock of objects that are used so often that the atomic operations of a real lock would be most of
//! their cost.
//!
//! Only threads that are attached to the interpreter hold a leaf lock, and never across a point where another
//! thread could become attached. With a GIL, a thread that holds a leaf lock therefore holds the GIL,
//! too, and needs no other lock: [`GilMutex`] then only checks that leaf sections do not nest. Built for a
//! free-threaded interpreter, or without Python, it is a mutex.

#[cfg(all(feature = "python", not(Py_GIL_DISABLED), not(loom)))]
mod kind {
    use std::cell::{Cell, UnsafeCell};
    use std::ops::{Deref, DerefMut};

    use super::super::inject;

    /// A value that only threads with the GIL use.
    pub struct GilMutex<T> {
        held: Cell<bool>,
        value: UnsafeCell<T>,
    }

    // SAFETY: threads reach the fields only through `lock` and through the guard. Only methods of the
    // bindings call these, with the interpreter's global lock held; and they do not release that lock while a
    // guard lives, because nothing of Python happens under a leaf lock (the locking rules in `wait`). So
    // threads use the fields one after the other, and each sees what the others did.
    // There is only one such lock: an interpreter with a global lock of its own cannot import the module
    // (pyo3 says so in its slots). Rust code that used this crate as a library, with the feature `python`,
    // would have to hold the lock too.
    unsafe impl<T: Send> Sync for GilMutex<T> {}

    impl<T> GilMutex<T> {
        /// Creates a lock that is not held.
        pub const fn new(value: T) -> Self {
            Self {
                held: Cell::new(false),
                value: UnsafeCell::new(value),
            }
        }

        /// Begins a leaf section.
        #[inline]
        pub fn lock(&self) -> GilMutexGuard<'_, T> {
            assert!(!self.held.replace(true), "a leaf section inside another");
            let guard = GilMutexGuard { owner: self };
            inject::section();
            guard
        }
    }

    /// A leaf section; it ends when this is dropped.
    pub struct GilMutexGuard<'a, T> {
        owner: &'a GilMutex<T>,
    }

    impl<T> Deref for GilMutexGuard<'_, T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: no other guard of this `GilMutex` lives, as `held` shows.
            unsafe { &*self.owner.value.get() }
        }
    }

    impl<T> DerefMut for GilMutexGuard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as above, and `&mut self` keeps the guard from giving out a second reference.
            unsafe { &mut *self.owner.value.get() }
        }
    }

    impl<T> Drop for GilMutexGuard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            self.owner.held.set(false);
        }
    }
}

#[cfg(not(all(feature = "python", not(Py_GIL_DISABLED), not(loom))))]
mod kind {
    pub use super::super::sync::{Mutex as GilMutex, MutexGuard as GilMutexGuard};
}

pub use kind::{GilMutex, GilMutexGuard};
