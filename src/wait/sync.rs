//! The locks and atomics underneath: parking_lot's and `std`'s, or loom's under `cfg(loom)`, so that a model
//! checker can run the primitives. Only this module chooses between them.

#[cfg(not(loom))]
mod platform {
    pub use parking_lot::MutexGuard;

    /// `std`'s locks, for what threads lock without the interpreter. Such a thread may be in the middle of that at a
    /// fork: parking_lot keeps all threads that wait in one table, which would then stay locked in the child.
    pub mod standard {
        pub use std::sync::{Condvar, Mutex, MutexGuard};
    }

    pub use std::sync::Arc;
    pub use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    use parking_lot::RawMutex;
    use parking_lot::lock_api::{GuardNoSend, RawMutex as _};
    use std::cell::UnsafeCell;
    use std::marker::PhantomData;
    use std::ops::{Deref, DerefMut};

    use super::super::inject;

    #[cfg(not(feature = "inject-panic"))]
    pub use parking_lot::Mutex;

    /// parking_lot's mutex, with sections that can be made to panic.
    #[cfg(feature = "inject-panic")]
    #[derive(Default)]
    pub struct Mutex<T>(parking_lot::Mutex<T>);

    #[cfg(feature = "inject-panic")]
    impl<T> Mutex<T> {
        /// As `parking_lot::Mutex::new`.
        pub const fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        /// As `parking_lot::Mutex::lock`.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            let guard = self.0.lock();
            inject::section();
            guard
        }

        /// As `parking_lot::Mutex::get_mut`.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }

    /// A value under a leaf lock, with eight flag bits and a number beside it.
    ///
    /// `parking_lot::Mutex<T>` pads its one-byte lock to the alignment of `T`. Here the flags and the number live
    /// in that padding, so a `Lock` is as small as the standard one.
    pub struct Flagged<T> {
        flags: AtomicU8,
        raw: RawMutex,
        number: std::sync::atomic::AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: `value` is reached only through `FlaggedGuard`, which holds `raw` exclusively,
    // as in `parking_lot::Mutex`, whose bounds these are.
    unsafe impl<T: Send> Send for Flagged<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Sync for Flagged<T> {}

    impl<T> Flagged<T> {
        /// Creates it with all flags clear.
        pub const fn new(value: T) -> Self {
            Self {
                flags: AtomicU8::new(0),
                raw: RawMutex::INIT,
                number: std::sync::atomic::AtomicU32::new(0),
                value: UnsafeCell::new(value),
            }
        }

        /// The flag bits, which can be read without the lock.
        #[inline]
        pub fn flags(&self) -> &AtomicU8 {
            &self.flags
        }

        /// The number, zero at first, which can be read and written without the lock. It orders nothing.
        #[inline]
        pub fn number(&self) -> &std::sync::atomic::AtomicU32 {
            &self.number
        }

        /// Takes the leaf lock.
        #[inline]
        pub fn lock(&self) -> FlaggedGuard<'_, T> {
            self.raw.lock();
            let guard = FlaggedGuard {
                owner: self,
                access: PhantomData,
            };
            inject::section();
            guard
        }
    }

    /// Exclusive access to the value of a [`Flagged`].
    ///
    /// As with `parking_lot::MutexGuard`, another thread may read through the guard if it may read `T`:
    ///
    /// ```
    /// # use _oxthreads::wait::sync::Flagged;
    /// let flagged = Flagged::new(1);
    /// let guard = flagged.lock();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(*guard, 1));
    /// });
    /// ```
    ///
    /// It may not if `T` does not allow it (nothing else is wrong with this program; compare it with the one
    /// above):
    ///
    /// ```compile_fail,E0277
    /// # use _oxthreads::wait::sync::Flagged;
    /// let flagged = Flagged::new(std::cell::Cell::new(1));
    /// let guard = flagged.lock();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(guard.get(), 1));
    /// });
    /// ```
    ///
    /// The guard itself stays in the thread that took the lock:
    ///
    /// ```compile_fail,E0277
    /// # use _oxthreads::wait::sync::Flagged;
    /// let flagged = Flagged::new(1);
    /// let guard = flagged.lock();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || assert_eq!(*guard, 1));
    /// });
    /// ```
    pub struct FlaggedGuard<'a, T> {
        owner: &'a Flagged<T>,
        access: PhantomData<(&'a mut T, GuardNoSend)>,
    }

    impl<T> Deref for FlaggedGuard<'_, T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: this guard holds `raw`, so no other thread reaches `value`.
            unsafe { &*self.owner.value.get() }
        }
    }

    impl<T> DerefMut for FlaggedGuard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: this guard holds `raw`, so no other thread reaches `value`, and `&mut self` keeps a
            // second reference from being made through the guard.
            unsafe { &mut *self.owner.value.get() }
        }
    }

    impl<T> Drop for FlaggedGuard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: the guard was made by `lock`, which took `raw`, and is dropped once.
            unsafe { self.owner.raw.unlock() }
        }
    }
}

#[cfg(loom)]
mod platform {
    pub use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    pub use loom::sync::{Arc, Condvar, MutexGuard};

    /// loom's locks as they are: they have the signatures of `std`.
    pub mod standard {
        pub use loom::sync::{Condvar, Mutex, MutexGuard};
    }

    /// Exclusive access to the value of a [`Flagged`].
    pub type FlaggedGuard<'a, T> = MutexGuard<'a, T>;

    /// loom's mutex with parking_lot's signature. A poisoned lock means that the model has failed.
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Creates an unlocked mutex.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Takes the lock.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("poisoned in a model")
        }
    }

    /// The same as the compact form above, with the flags and the mutex apart.
    pub struct Flagged<T> {
        flags: AtomicU8,
        /// No model depends on it, so loom does not follow it.
        number: std::sync::atomic::AtomicU32,
        value: Mutex<T>,
    }

    impl<T> Flagged<T> {
        /// Creates it with all flags clear.
        pub fn new(value: T) -> Self {
            Self {
                flags: AtomicU8::new(0),
                number: std::sync::atomic::AtomicU32::new(0),
                value: Mutex::new(value),
            }
        }

        /// The flag bits, which can be read without the lock.
        pub fn flags(&self) -> &AtomicU8 {
            &self.flags
        }

        /// The number, zero at first, which can be read and written without the lock. It orders nothing.
        pub fn number(&self) -> &std::sync::atomic::AtomicU32 {
            &self.number
        }

        /// Takes the leaf lock.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.value.lock()
        }
    }
}

pub use platform::*;
