//! The objects that threads wait for, as reports see them.

/// A class whose objects threads wait for.
pub(crate) trait Observed {
    /// The address that waits for the object have in a [`Resource`](crate::wait::observe::Resource).
    fn primitive_address(&self) -> usize;
}
