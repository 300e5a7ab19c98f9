//! `put`, `get` and `peek` with all their arguments: try, wait, or call the standard class if the queue has fallen back.

use pyo3::prelude::*;

use crate::bindings::fallback;
use crate::bindings::hooks;
use crate::bindings::queue::Queue;
use crate::bindings::queue::item::Item;
use crate::bindings::queue::profiled;
use crate::bindings::runtime::{block, errors, foreign, timeout};
use crate::primitives::queue::{self, GetError, PutError};
use crate::wait::Operation;
use crate::wait::deadline::Deadline;

impl Queue {
    /// Rejects a wrong timeout before anything is tried. If `is_over`, ShutDown is raised instead. After a fall
    /// back the standard class checks the timeout.
    fn check_timeout(
        slf: &Bound<'_, Self>,
        timeout: &Bound<'_, PyAny>,
        is_over: impl FnOnce(&queue::Queue<Item>) -> bool,
    ) -> PyResult<()> {
        let queue = &slf.get().inner;
        if queue.has_fallen_back() {
            return Ok(());
        }
        timeout::check_of_queue(timeout).map_err(|refusal| {
            if is_over(queue) {
                errors::shut_down(slf.py())
            } else {
                refusal
            }
        })
    }

    pub(super) fn put_item(
        slf: &Bound<'_, Self>,
        item: Bound<'_, PyAny>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let queue = &slf.get().inner;
        if block
            && let Some(timeout) = timeout
            && queue.capacity() > 0
        {
            Self::check_timeout(slf, timeout, |queue| queue.is_shut_down())?;
        }
        let refused = match queue.try_put(Item::new(item)) {
            Ok(()) => return Ok(()),
            Err(PutError::Full(refused)) if block => refused,
            Err(error) => return Self::put_refused(slf, error, block, timeout),
        };
        let Some(deadline) = deadline_of(timeout)? else {
            return Err(errors::full(py));
        };
        profiled::note_waited_for(slf.as_any(), queue);
        match block::wait(py, &mut queue.put(refused), deadline)? {
            Some(Ok(())) => Ok(()),
            None => Err(errors::full(py)),
            Some(Err(error)) => {
                let left = remaining(py, deadline)?;
                Self::put_refused(slf, error, block, left.as_ref())
            }
        }
    }

    #[cold]
    pub(super) fn put_refused(
        slf: &Bound<'_, Self>,
        error: PutError<Item, PyErr>,
        block: bool,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        match error {
            PutError::Full(_) => Err(errors::full(slf.py())),
            PutError::ShutDown(_) => Err(errors::shut_down(slf.py())),
            PutError::Comparison(_, error) => Err(error),
            PutError::FellBack(item) => {
                let item = item.into_bound(slf.py());
                fallback::call(slf, "put", (item, block, timeout), None).map(drop)
            }
        }
    }

    pub(super) fn get_item<'py>(
        slf: &Bound<'py, Self>,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (try_now, wait) = (queue::Queue::try_get, queue::Queue::get);
        Self::await_item(slf, block, timeout, try_now, wait, Self::get_refused)
    }

    pub(super) fn peek_item<'py>(
        slf: &Bound<'py, Self>,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (try_now, wait) = (queue::Queue::try_peek, queue::Queue::peek);
        Self::await_item(slf, block, timeout, try_now, wait, Self::peek_refused)
    }

    /// `get` or `peek`: by `try_now`, or by the operation that `wait` makes. `refused` answers what these refuse.
    #[inline(always)]
    fn await_item<'a, 'py, O: Operation<Output = Result<Item, GetError<PyErr>>>>(
        slf: &'a Bound<'py, Self>,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
        try_now: impl FnOnce(&'a queue::Queue<Item>) -> O::Output,
        wait: impl FnOnce(&'a queue::Queue<Item>) -> O,
        refused: impl Fn(
            &Bound<'py, Self>,
            GetError<PyErr>,
            bool,
            Option<&Bound<'py, PyAny>>,
        ) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let queue = &slf.get().inner;
        if block && let Some(timeout) = timeout {
            let is_over = |queue: &queue::Queue<Item>| queue.is_shut_down() && queue.is_empty();
            Self::check_timeout(slf, timeout, is_over)?;
        }
        match try_now(queue) {
            Ok(item) => return Ok(item.into_bound(py)),
            Err(GetError::Empty) if block => {}
            Err(error) => return refused(slf, error, block, timeout),
        }
        let Some(deadline) = deadline_of(timeout)? else {
            return Err(errors::empty(py));
        };
        profiled::note_waited_for(slf.as_any(), queue);
        match block::wait(py, &mut wait(queue), deadline)? {
            Some(Ok(item)) => Ok(item.into_bound(py)),
            None => Err(errors::empty(py)),
            Some(Err(error)) => {
                let left = remaining(py, deadline)?;
                refused(slf, error, block, left.as_ref())
            }
        }
    }

    #[cold]
    fn peek_refused<'py>(
        slf: &Bound<'py, Self>,
        error: GetError<PyErr>,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match error {
            GetError::FellBack => {
                foreign::call_method(slf.as_any(), hooks::PEEK, (block, timeout), None)
            }
            refused => Self::get_refused(slf, refused, block, timeout),
        }
    }

    #[cold]
    pub(super) fn get_refused<'py>(
        slf: &Bound<'py, Self>,
        error: GetError<PyErr>,
        block: bool,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match error {
            GetError::Empty => Err(errors::empty(slf.py())),
            GetError::ShutDown => Err(errors::shut_down(slf.py())),
            GetError::Comparison(error) => Err(error),
            GetError::FellBack => fallback::call(slf, "get", (block, timeout), None),
        }
    }
}

/// The deadline of a timeout; `None` if the timeout is zero.
fn deadline_of(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Deadline>> {
    match timeout {
        None => Ok(Some(Deadline::NEVER)),
        Some(timeout) => timeout::positive(timeout),
    }
}

/// The seconds that are left of a wait, as an argument for the standard class.
pub(super) fn remaining(py: Python<'_>, deadline: Deadline) -> PyResult<Option<Bound<'_, PyAny>>> {
    deadline
        .remaining()
        .map(|left| Ok(left.as_secs_f64().into_pyobject(py)?.into_any()))
        .transpose()
}
