//! What a profile of waiting is told of queues. Nothing of this runs unless there is one, or waits are observed.
//!
//! A queue is known if it was made while waits were observed, or if a thread has waited for it while a profile ran. The
//! list has weak references, so it keeps no queue alive.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::bindings::queue::fast_path::FastQueue;
use crate::bindings::queue::item::Item;
use crate::bindings::queue::{Queue, SimpleQueue};
use crate::bindings::runtime::foreign;
use crate::diagnostics::{profile, queues};
use crate::primitives::queue;
use crate::wait::PerProcess;
use crate::wait::sync::Mutex;

/// The most queues that are known.
const MOST: usize = 10_000;

/// Weak references to queues, by the addresses of these.
type Known = HashMap<usize, Py<PyWeakrefReference>>;

fn known() -> &'static Mutex<Known> {
    static KNOWN: PerProcess<Mutex<Known>> = PerProcess::new();
    KNOWN.get(Mutex::default)
}

/// The items of a queue of either class.
fn with_items<R>(object: &Bound<'_, PyAny>, look: impl Fn(&queue::Queue<Item>) -> R) -> Option<R> {
    if let Ok(queue) = object.cast::<Queue>() {
        return Some(look(&queue.get().inner));
    }
    let queue = object.cast::<SimpleQueue>().ok()?;
    Some(look(FastQueue::items(queue.get())))
}

/// Remembers the queue. Returns whether it was not known before.
fn remember(object: &Bound<'_, PyAny>, address: usize, is_new: bool) -> bool {
    if !is_new && known().lock().contains_key(&address) {
        return false;
    }
    // A queue that cannot be referred to weakly is not known.
    let Ok(weak) = PyWeakrefReference::new(object) else {
        return false;
    };
    let is_full = known().lock().len() >= MOST;
    if is_full {
        forget_gone(object.py());
    }
    let mut queues = known().lock();
    let has_room = queues.len() < MOST;
    let replaced = if has_room {
        queues.insert(address, weak.unbind())
    } else {
        None
    };
    drop(queues);
    // Not under the lock: it was the reference to a queue that is gone.
    drop(replaced.map(|weak| weak.into_bound(object.py())));
    has_room
}

/// The queues that are known and not gone.
fn all(py: Python<'_>) -> Vec<(usize, Bound<'_, PyWeakrefReference>)> {
    let queues = known().lock();
    let queues = queues.iter();
    queues
        .map(|(address, weak)| (*address, weak.bind(py).clone()))
        .collect()
}

/// Whether a queue is known.
pub(crate) fn knows_any() -> bool {
    !known().lock().is_empty()
}

/// Forgets the queues that are gone.
#[cold]
fn forget_gone(py: Python<'_>) {
    for (address, weak) in all(py) {
        match weak.upgrade() {
            Some(queue) => foreign::release(queue),
            None => drop((known().lock().remove(&address)).map(|weak| weak.into_bound(py))),
        }
    }
}

/// This object has just been made, while waits are observed.
pub(crate) fn note_made(object: &Bound<'_, PyAny>) {
    let Some(address) = with_items(object, |items| std::ptr::from_ref(items).addr()) else {
        return;
    };
    if remember(object, address, true) && profile::is_on() {
        follow(object, address);
    }
}

/// A thread is about to wait for this queue.
#[inline]
pub(crate) fn note_waited_for(object: &Bound<'_, PyAny>, items: &queue::Queue<Item>) {
    if profile::is_on() {
        let address = std::ptr::from_ref(items).addr();
        if remember(object, address, false) {
            follow(object, address);
        }
    }
}

fn follow(object: &Bound<'_, PyAny>, address: usize) {
    let follow = |items: &queue::Queue<Item>| items.follow(address, queues::ends);
    if let Some(flow) = with_items(object, follow) {
        queues::begins(address, flow);
    }
}

/// Tells a profile that has begun which queues there are.
pub(crate) fn begin_to_follow(py: Python<'_>) {
    for (address, weak) in all(py) {
        if let Some(queue) = weak.upgrade() {
            follow(&queue, address);
            foreign::release(queue);
        }
    }
}

/// Tells the profile how long the queues are now.
pub(crate) fn look_at_all(py: Python<'_>) {
    for (address, weak) in all(py) {
        if let Some(queue) = weak.upgrade() {
            if let Some(flow) = with_items(&queue, queue::Queue::flow) {
                queues::look(address, flow);
            }
            foreign::release(queue);
        }
    }
}
