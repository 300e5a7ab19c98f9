//! Injected panics, to test what a panic leaves behind. They exist only with the feature `inject-panic`,
//! which no release has; without it this module costs nothing.

#[cfg(feature = "inject-panic")]
mod armed {
    use std::cell::Cell;

    thread_local! {
        /// This thread's next panic comes in the leaf section with this number, counted from here; zero: no
        /// panic.
        static SECTIONS: Cell<usize> = const { Cell::new(0) };
    }

    /// Makes the leaf section with this number, counted from now on, panic in this thread; zero: none.
    /// Returns what was left of the number before.
    pub fn panic_in_section(number: usize) -> usize {
        SECTIONS.replace(number)
    }

    /// Called at the start of each leaf section, with the leaf lock held.
    pub fn section() {
        let left = SECTIONS.get();
        if left > 0 {
            SECTIONS.set(left - 1);
            assert!(left > 1, "injected");
        }
    }
}

#[cfg(feature = "inject-panic")]
pub use armed::{panic_in_section, section};

/// Does nothing without the feature.
#[cfg(not(feature = "inject-panic"))]
#[inline(always)]
pub fn section() {}
