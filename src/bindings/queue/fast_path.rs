//! The fast paths of `put`, `get`, `put_nowait` and `get_nowait`, for all queues.

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyType;

use crate::bindings::function::{HasFunctions, Vectorcall, call, fast_methods};
use crate::bindings::queue::Queue;
use crate::bindings::queue::item::Item;
use crate::bindings::queue::overrides::{
    FIRST_IN_FIRST_OUT, LAST_IN_FIRST_OUT, PUTS_AND_GETS_ITSELF, SMALLEST_FIRST,
};
use crate::bindings::queue::simple::SimpleQueue;
use crate::bindings::runtime::fast_path::{self, Arguments, Attempt, fast_built_ins};
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::primitives::queue;

/// A class of queues with fast paths.
pub(super) trait FastQueue: PyClass<Frozen = True> + Sync {
    fn items(&self) -> &queue::Queue<Item>;
}

/// `put(item)`, if there is room.
#[inline(always)]
fn put<'py, Q: FastQueue>(slf: &Bound<'py, Q>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    let item = Item::new(arguments.only()?);
    slf.get().items().put_fast(item).ok()?;
    arguments.done()
}

/// `get()`, if there is an item that no waiting thread is due to get.
#[inline(always)]
fn get<'py, Q: FastQueue>(slf: &Bound<'py, Q>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if !arguments.are_none() {
        return None;
    }
    let item = slf.get().items().get_fast()?;
    Some(Ok(item.into_bound(arguments.py())))
}

/// `put_nowait(item)`, if there is room.
#[inline]
fn put_nowait<'py>(slf: &Bound<'py, Queue>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if slf.get().is_shadowed() {
        return None;
    }
    put(slf, arguments)
}

/// `get_nowait()`, if there is an item that no waiting thread is due to get.
#[inline]
fn get_nowait<'py>(slf: &Bound<'py, Queue>, arguments: Arguments<'_, 'py>) -> Attempt<'py> {
    if slf.get().is_shadowed() {
        return None;
    }
    get(slf, arguments)
}

fast_methods! {
    Put: Queue, put;
    Get: Queue, get;
    PutNowait: Queue, put_nowait, if PUTS_AND_GETS_ITSELF;
    GetNowait: Queue, get_nowait, if PUTS_AND_GETS_ITSELF;
}

fast_built_ins! {
    SimplePut: SimpleQueue, c"put", put;
    SimpleGet: SimpleQueue, c"get", get;
}

impl HasFunctions for Queue {
    fn fast_calls() -> Vec<(&'static str, Vectorcall)> {
        vec![
            ("put", call::<Put>),
            ("get", call::<Get>),
            ("put_nowait", call::<PutNowait>),
            ("get_nowait", call::<GetNowait>),
        ]
    }

    fn other_questions() -> Vec<(&'static str, &'static TypeQuestion)> {
        vec![
            ("puts_and_gets_itself", &PUTS_AND_GETS_ITSELF),
            ("is_first_in_first_out", &FIRST_IN_FIRST_OUT),
            ("is_last_in_first_out", &LAST_IN_FIRST_OUT),
            ("is_smallest_first", &SMALLEST_FIRST),
        ]
    }
}

impl SimpleQueue {
    /// See [`fast_path`].
    pub(crate) fn install_fast_path(class: &Bound<'_, PyType>) -> PyResult<()> {
        fast_path::install::<SimplePut>(class)?;
        fast_path::install::<SimpleGet>(class)
    }
}
