//! Where objects were made: for reports of objects that have no name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sleepers::{self, Frame};
use crate::wait::{PerProcess, observe};

/// How many functions are remembered: the innermost may be one of oxthreads.
const DEEPEST: usize = 6;

/// The most objects that are remembered.
const MOST: usize = 100_000;

/// Where the object at an address was made.
struct Origin {
    /// The functions, the innermost first.
    frames: Vec<Frame>,
    /// How many objects had the address before, as far as is known.
    generation: u32,
}

/// By the address of the object.
type Origins = HashMap<usize, Origin>;

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
    let mut origins = origins();
    if let Some(origin) = origins.get_mut(&address) {
        origin.frames = frames;
        // The earlier object is gone.
        origin.generation += 1;
    } else if origins.len() < MOST {
        let generation = 1;
        origins.insert(address, Origin { frames, generation });
    }
}

/// The functions in which the object with this address was made, the innermost first. Empty if that is not known.
pub fn of(address: usize) -> Vec<Frame> {
    let origins = origins();
    (origins.get(&address)).map_or_else(Vec::new, |origin| origin.frames.clone())
}

/// How many objects had this address before the present one, as far as is known. An object that was made before waits
/// were observed has zero.
pub fn generation(address: usize) -> u32 {
    origins()
        .get(&address)
        .map_or(0, |origin| origin.generation)
}
