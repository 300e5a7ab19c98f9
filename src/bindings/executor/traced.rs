//! What a trace is told of calls. A caller asks first whether one runs.

use pyo3::prelude::*;

use crate::bindings::executor::profiled::function_of;
use crate::bindings::future::{Call, Future};
use crate::diagnostics::trace;
use crate::primitives::pool::Pool;

/// The calling thread is about to submit the call.
#[cold]
pub(super) fn submits(pool: &Pool<Py<Future>>, call: &Call, future: &Bound<'_, Future>) {
    trace::submits(address(pool), future.as_ptr().addr(), call.submitted);
}

/// A call was added to the pool.
#[cold]
pub(super) fn has_pending(pool: &Pool<Py<Future>>) {
    trace::has_pending(address(pool), pool.pending());
}

/// The calling thread begins to run the call. `works`: it is a worker of the pool.
#[cold]
pub(super) fn begins(
    pool: &Pool<Py<Future>>,
    call: &Call,
    future: &Bound<'_, Future>,
    works: bool,
) {
    let function = function_of(call.function.object().bind(future.py()));
    let group = call
        .task
        .as_ref()
        .map(|task| (task.group_number(), || task.traced_group()));
    trace::begins_call(&trace::Call {
        pool: address(pool),
        future: future.as_ptr().addr(),
        submitted: call.submitted,
        function: &function.name,
        group: group
            .as_ref()
            .map(|(number, describe)| (*number, describe as &dyn Fn() -> trace::Group)),
        pending: pool.pending(),
        works,
    });
}

/// It has run the call.
#[cold]
pub(super) fn ends() {
    trace::ends_call();
}

/// The address that waits for the pool have.
fn address(pool: &Pool<Py<Future>>) -> usize {
    std::ptr::from_ref(pool).addr()
}
