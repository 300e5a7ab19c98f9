//! What `put` and `get` of all queues do at once.

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyType;

use super::item::Item;
use super::simple::SimpleQueue;
use super::{Queue, core};
use crate::bindings::at_once::{self, Arguments, Attempt, at_once};

/// A class of queues.
pub(super) trait Holds: PyClass<Frozen = True> + Sync {
    fn items(&self) -> &core::Queue<Item>;
}

/// `put(item)`, if there is room.
#[inline]
fn put<'py, Q: Holds>(slf: &Bound<'py, Q>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let item = Item::new(arguments.only()?);
    slf.get().items().put_at_once(item).ok()?;
    arguments.done()
}

/// `get()`, if an item is free.
#[inline]
fn get<'py, Q: Holds>(slf: &Bound<'py, Q>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if !arguments.are_none() {
        return None;
    }
    let item = slf.get().items().get_at_once()?;
    Some(Ok(item.into_bound(arguments.py())))
}

at_once! {
    Put: Queue, c"put", put;
    Get: Queue, c"get", get;
    SimplePut: SimpleQueue, c"put", put;
    SimpleGet: SimpleQueue, c"get", get;
}

impl Queue {
    /// See [`at_once`].
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<Put>(class)?;
        at_once::install::<Get>(class)
    }
}

impl SimpleQueue {
    /// See [`at_once`].
    pub(crate) fn install_at_once(class: &Bound<'_, PyType>) -> PyResult<()> {
        at_once::install::<SimplePut>(class)?;
        at_once::install::<SimpleGet>(class)
    }
}
