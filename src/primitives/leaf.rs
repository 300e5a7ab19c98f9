//! The leaf lock of an object that is used so often that a lock's atomic operations would be
//! most of what it costs.
//!
//! A leaf lock is held only by threads that are attached to the interpreter, and never across a
//! point where another could become so. Where the interpreter has a global lock, that is held
//! whenever a leaf lock is, and so there need be no other: [`Leaf`] then only checks that leaf
//! sections do not nest. Built for a free-threaded interpreter, or without Python, it is a mutex.

#[cfg(all(feature = "python", not(Py_GIL_DISABLED), not(loom)))]
mod kind {
    use std::cell::{Cell, UnsafeCell};
    use std::ops::{Deref, DerefMut};

    use super::super::inject;

    /// A value for attached threads alone.
    pub struct Leaf<T> {
        held: Cell<bool>,
        value: UnsafeCell<T>,
    }

    // SAFETY: threads come to the fields by `lock` and by the guard, which only the bindings'
    // methods call, with the interpreter's global lock held; and they do not let go of that lock
    // while a guard lives, for under a leaf lock nothing of Python happens (the locking rules in
    // `primitives`). So the threads come one after the other, each seeing what the others did.
    // There is one such lock: an interpreter with one of its own cannot import the module (pyo3
    // says so in its slots). Rust code that were to use this crate as a library, with the feature
    // `python`, would have to hold the lock too.
    unsafe impl<T: Send> Sync for Leaf<T> {}

    impl<T> Leaf<T> {
        /// Not held.
        pub const fn new(value: T) -> Self {
            Self {
                held: Cell::new(false),
                value: UnsafeCell::new(value),
            }
        }

        /// Begins a leaf section.
        #[inline]
        pub fn lock(&self) -> LeafGuard<'_, T> {
            assert!(!self.held.replace(true), "a leaf section inside another");
            let guard = LeafGuard { owner: self };
            inject::section();
            guard
        }
    }

    /// A leaf section.
    pub struct LeafGuard<'a, T> {
        owner: &'a Leaf<T>,
    }

    impl<T> Deref for LeafGuard<'_, T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: of this `Leaf` no other guard lives, as `held` shows.
            unsafe { &*self.owner.value.get() }
        }
    }

    impl<T> DerefMut for LeafGuard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as above, and `&mut self` keeps the guard from giving a second reference.
            unsafe { &mut *self.owner.value.get() }
        }
    }

    impl<T> Drop for LeafGuard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            self.owner.held.set(false);
        }
    }
}

#[cfg(not(all(feature = "python", not(Py_GIL_DISABLED), not(loom))))]
mod kind {
    pub use super::super::sync::{Mutex as Leaf, MutexGuard as LeafGuard};
}

pub use kind::{Leaf, LeafGuard};
