//! Where objects were made: for reports of objects that have no name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::profile;
use super::sleepers::{self, Frame};
use crate::wait::{PerProcess, observe};

/// How many functions are remembered: the innermost may be one of oxthreads.
const DEEPEST: usize = 6;

/// The most objects that are remembered.
const MOST: usize = 100_000;

/// By the address of the object: the functions in which it was made, the innermost first.
type Origins = HashMap<usize, Vec<Frame>>;

fn origins() -> MutexGuard<'static, Origins> {
    static ORIGINS: PerProcess<Mutex<Origins>> = PerProcess::new();
    let origins = ORIGINS.get(Mutex::default).lock();
    origins.unwrap_or_else(PoisonError::into_inner)
}

/// Notes, if waits are observed, that the calling thread has just made the object with this address.
#[inline]
pub fn note(address: usize) {
    if observe::is_on_for_everything() {
        note_observed(address);
    }
}

#[cold]
fn note_observed(address: usize) {
    let frames = sleepers::frames_here(DEEPEST);
    // An earlier object with this address is gone.
    profile::made(address);
    let mut origins = origins();
    if origins.len() < MOST || origins.contains_key(&address) {
        origins.insert(address, frames);
    }
}

/// The functions in which the object with this address was made, the innermost first. Empty if that is not known.
pub fn of(address: usize) -> Vec<Frame> {
    origins().get(&address).cloned().unwrap_or_default()
}
