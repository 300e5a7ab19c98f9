//! The native halves of `oxthreads.threading`.

mod event;
mod lock;

pub(crate) use event::Event;
pub(crate) use lock::Lock;
