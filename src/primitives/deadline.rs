//! Until when a wait may last, and how it ended.

use std::time::{Duration, Instant};

/// A moment on the monotonic clock, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// A wait without end.
    pub const NEVER: Self = Self(None);

    /// This moment.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// `timeout` from now; never, where that is past the clock's range.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left, zero once the deadline has passed; `None` means without end.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// It was completed, with what the operation yields.
    Ready(T),
    /// The deadline passed first; nothing was taken and nothing was left behind.
    TimedOut,
    /// A signal arrived first; as with `TimedOut`, and the wait may be taken up again.
    Interrupted,
}
