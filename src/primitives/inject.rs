//! Panics for the tests of what a panic leaves behind. Only with the feature `inject-panic`, which no
//! release has; without it nothing is called, and nothing is there.

#[cfg(feature = "inject-panic")]
mod armed {
    use std::cell::Cell;

    thread_local! {
        /// How many leaf sections this thread enters before one of them panics; zero: none does.
        static SECTIONS: Cell<usize> = const { Cell::new(0) };
    }

    /// Has the leaf section with that number, counted from now on, panic in this thread; zero: none.
    /// How many were left of what had been asked for before.
    pub fn panic_in_section(number: usize) -> usize {
        SECTIONS.replace(number)
    }

    /// Called with a leaf lock held, by whoever has just taken it.
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

/// See the feature.
#[cfg(not(feature = "inject-panic"))]
#[inline(always)]
pub fn section() {}
