//! Python's threads, locks, events, queues and thread pools, waiting and waking in Rust.
//!
//! Three layers, and dependencies point one way, up this list:
//!
//! * [`wait`] is the wait engine. It knows neither the objects that threads wait for nor Python.
//! * [`diagnostics`] observes waits: which threads sleep, and for what.
//! * [`primitives`] are those objects. They know nothing of Python.
//! * `bindings` are their Python classes.
//!
//! `cargo check --no-default-features` builds the first two without the third.

pub mod diagnostics;
pub mod primitives;
pub mod wait;

#[cfg(feature = "python")]
pub mod bindings;
