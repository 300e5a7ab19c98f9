//! For which objects a name is looked for, while a profile or a trace runs. The watcher asks for it in each of its looks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sleepers::Sleep;
use super::{origins, profile, trace};
use crate::wait::PerProcess;
use crate::wait::observe::Resource;

/// The most objects that are remembered.
const MOST: usize = 10_000;

/// How often a name is looked for, for each object.
const MOST_TRIES: u8 = 3;

/// By what is waited for, the address and its generation: how often a name was looked for.
type Tries = HashMap<(&'static str, usize, u32), u8>;

fn tries() -> MutexGuard<'static, Tries> {
    static TRIES: PerProcess<Mutex<Tries>> = PerProcess::new();
    let tries = TRIES.get(Mutex::default).lock();
    tries.unwrap_or_else(PoisonError::into_inner)
}

/// Whether names are wanted.
pub fn is_wanted() -> bool {
    profile::is_on() || trace::is_on()
}

/// Forgets what was looked for: nobody has wanted names until now.
pub fn begin() {
    tries().clear();
}

/// Whether tasks have begun to wait for something since the last look.
static TASKS_WAIT: AtomicBool = AtomicBool::new(false);

/// A task begins to wait for this, and names are wanted.
pub(super) fn is_waited_for_by_task(resource: Resource) {
    let address = resource.address;
    let key = (resource.what, address, origins::generation(address));
    let mut tried = tries();
    if tried.len() >= MOST && !tried.contains_key(&key) {
        return;
    }
    let tries = tried.entry(key).or_default();
    if *tries < MOST_TRIES {
        *tries += 1;
        TASKS_WAIT.store(true, Ordering::Relaxed);
    }
}

/// Whether a name should be looked for because of a task. It is told once.
pub(super) fn takes_tasks() -> bool {
    TASKS_WAIT.swap(false, Ordering::Relaxed)
}

/// The numbers of those of the sleeps whose objects should be given a name. Each object is among them a few times.
pub(super) fn to_be_named(sleeps: &[Sleep]) -> Vec<u64> {
    let mut tried = tries();
    let mut wanted = Vec::new();
    for sleep in sleeps {
        let address = sleep.resource.address;
        let key = (sleep.resource.what, address, origins::generation(address));
        if tried.len() >= MOST && !tried.contains_key(&key) {
            continue;
        }
        let tries = tried.entry(key).or_default();
        *tries += u8::from(*tries < u8::MAX);
        if *tries <= MOST_TRIES {
            wanted.push(sleep.number);
        }
    }
    wanted
}
