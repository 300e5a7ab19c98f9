//! How much of its C stack a thread has left.
//!
//! From Python 3.14 on CPython measures that itself. Before, it counts calls, and its limit is too high for a
//! stack that is smaller than the usual one, or if there are Rust frames between its own.

#[cfg(all(target_os = "linux", not(Py_3_14)))]
mod measured {
    use std::cell::Cell;
    use std::mem::MaybeUninit;
    use std::ptr;

    /// When no more calls may nest, this many bytes are left for what is then called; but at most so many eighths
    /// of a small stack, where a call that does not nest must still be possible.
    const RESERVE: usize = 96 * 1024;
    const RESERVED_EIGHTHS: usize = 3;

    thread_local! {
        /// The lowest address that nested calls may reach, once it is known.
        static LOWEST: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Whether the stack has room for another call that may nest.
    #[inline]
    pub(crate) fn has_room() -> bool {
        let local = 0_u8;
        let here = (&raw const local).addr();
        here >= LOWEST.get().unwrap_or_else(measure)
    }

    /// Finds the lowest address. Zero, which means no limit, if it cannot be found.
    #[cold]
    fn measure() -> usize {
        let lowest = stack().map_or(0, |(lowest, size)| {
            lowest.saturating_add(RESERVE.min(size / 8 * RESERVED_EIGHTHS))
        });
        LOWEST.set(Some(lowest));
        lowest
    }

    /// The lowest address of this thread's stack, and its size in bytes.
    fn stack() -> Option<(usize, usize)> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: it can always be called.
        let thread = unsafe { libc::pthread_self() };
        // SAFETY: the thread lives, and the attributes go into memory for them.
        let status = unsafe { libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) };
        if status != 0 {
            return None;
        }
        let (mut lowest, mut size) = (ptr::null_mut(), 0);
        // SAFETY: the attributes were filled in, and both places are for such values.
        let status =
            unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size) };
        // SAFETY: they were filled in, and are not used after this.
        unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
        (status == 0).then(|| (lowest.addr(), size))
    }
}

#[cfg(all(target_os = "linux", not(Py_3_14)))]
pub(crate) use measured::has_room;

/// Always true: this platform or version needs no measurement here, or offers none.
#[cfg(not(all(target_os = "linux", not(Py_3_14))))]
#[inline]
pub(crate) fn has_room() -> bool {
    true
}
