//! Python's threads, locks, events, queues and thread pools, waiting and waking in Rust.
//!
//! Two layers, and dependencies point one way:
//!
//! * [`primitives`] knows nothing of Python: the wait engine and what is built on it.
//! * [`bindings`] translates between Python and the primitives, and decides nothing.
//!
//! `cargo check --no-default-features` builds the first without the second.

pub mod primitives;

#[cfg(feature = "python")]
pub mod bindings;
