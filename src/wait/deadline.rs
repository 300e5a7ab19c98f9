//! How long a wait may last, and how it ended.

use std::time::{Duration, Instant};

/// A moment on the monotonic clock, or "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The wait has no deadline.
    pub const NEVER: Self = Self(None);

    /// The present moment.
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// The moment `timeout` from now. Beyond the range of the clock it is [`Deadline::NEVER`].
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// That moment.
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// The earlier of two deadlines.
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(first), Some(second)) => Self(Some(first.min(second))),
            (first, second) => Self(first.or(second)),
        }
    }

    /// The moment; `None` for never.
    pub fn moment(self) -> Option<Instant> {
        self.0
    }

    /// Whether the moment is over.
    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// The time left; zero once the deadline has passed, `None` without a deadline.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// The operation was completed, with this output.
    Ready(T),
    /// The deadline passed first. Nothing was taken, and the waiter is in no list.
    TimedOut,
    /// A signal arrived first. As with `TimedOut`, nothing was taken; the wait may be continued.
    Interrupted,
}
