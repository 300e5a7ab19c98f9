//! What the class of a queue overrides: the order of the items, and whether one method must call another by name.

use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyString, PyType};

use crate::bindings::queue::Queue;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::type_question::TypeQuestion;
use crate::primitives::queue;

/// Whether a type has the native methods `put`, `get`, `put_nowait` and `get_nowait`.
pub(super) static PUTS_AND_GETS_ITSELF: TypeQuestion = TypeQuestion::new();

/// Whether a type has the hooks (`_init`, `_qsize`, `_put`, `_get`) of `queue.Queue`.
pub(super) static FIRST_IN_FIRST_OUT: TypeQuestion = TypeQuestion::new();

/// Whether a type has the hooks of `queue.LifoQueue`.
pub(super) static LAST_IN_FIRST_OUT: TypeQuestion = TypeQuestion::new();

/// Whether a type has the hooks of `queue.PriorityQueue`.
pub(super) static SMALLEST_FIRST: TypeQuestion = TypeQuestion::new();

impl Queue {
    /// The order of the items in queues of this class. The value does not matter if the class has hooks of its
    /// own: then the queue uses the stdlib fallback.
    pub(super) fn order_of(class: &Bound<'_, PyType>) -> PyResult<queue::Order> {
        let orders = [
            (&FIRST_IN_FIRST_OUT, queue::Order::Fifo),
            (&LAST_IN_FIRST_OUT, queue::Order::Lifo),
            (&SMALLEST_FIRST, queue::Order::Heap),
        ];
        for (question, order) in &orders {
            if question.is_known(class) {
                return Ok(*order);
            }
        }
        for (question, order) in orders {
            if question.ask(class)? {
                return Ok(order);
            }
        }
        Ok(queue::Order::Fifo)
    }

    /// Whether neither the class nor this instance overrides `put` or `get`. If so, other methods need not call
    /// them by name.
    #[inline]
    pub(super) fn is_untouched(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!slf.get().is_shadowed() && PUTS_AND_GETS_ITSELF.is_yes_for(slf.as_any())?)
    }

    /// Whether batches can use the primitive, and need not call `put` and `get`.
    pub(crate) fn is_direct(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!slf.get().inner.has_fallen_back() && Self::is_untouched(slf)?)
    }

    /// Notes that an attribute is set. If it is `put` or `get`, the methods that use it look it up from now on.
    pub(super) fn note_attribute(&self, name: &Bound<'_, PyString>) {
        if matches!(name.to_str(), Ok("put" | "get")) {
            self.shadowed.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn is_shadowed(&self) -> bool {
        self.shadowed.load(Ordering::Relaxed)
    }

    /// Calls `put(item, block=False)`, looked up by name.
    #[cold]
    pub(super) fn put_by_name(slf: &Bound<'_, Self>, item: Bound<'_, PyAny>) -> PyResult<()> {
        let keywords = [("block", false)].into_py_dict(slf.py())?;
        foreign::call_method(slf, "put", (item,), Some(&keywords)).map(foreign::release)
    }

    /// Calls `get(block=False)`, looked up by name.
    #[cold]
    pub(super) fn get_by_name<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let keywords = [("block", false)].into_py_dict(slf.py())?;
        foreign::call_method(slf, "get", (), Some(&keywords))
    }
}
