//! `put_many`, `get_many`, and the iterator of `iterate()`.

use std::collections::VecDeque;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};

use crate::bindings::queue::item::Item;
use crate::bindings::runtime::asynchronous;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{block, errors, foreign, timeout};
use crate::primitives::queue::{GetError, PutError, Queue};
use crate::wait::deadline::Deadline;

/// Maximum number of items that are taken from an iterable before they are put.
const MAX_AHEAD: i64 = 1_024;

/// Checks `max_items`; `None` means no limit.
pub(crate) fn most(max_items: Option<isize>) -> PyResult<usize> {
    match max_items.map(usize::try_from) {
        None => Ok(usize::MAX),
        Some(Ok(most)) => Ok(most),
        Some(Err(_)) => Err(PyValueError::new_err(
            "'max_items' must be a non-negative number",
        )),
    }
}

/// Checks both arguments and returns the deadline; `None` means not to wait.
pub(super) fn deadline(
    block: bool,
    timeout: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Deadline>> {
    match timeout {
        _ if !block => Ok(None),
        None => Ok(Some(Deadline::NEVER)),
        Some(timeout) => {
            timeout::check_of_queue(timeout)?;
            timeout::positive(timeout)
        }
    }
}

/// Waits for an item until the deadline; without a deadline it does not wait. Adds the item to `taken`, and then
/// those that follow it, up to `most` items.
pub(super) fn get_many(
    py: Python<'_>,
    queue: &Queue<Item>,
    most: usize,
    taken: &mut VecDeque<Item>,
    deadline: Option<Deadline>,
) -> Result<(), Refused<GetError<PyErr>>> {
    match queue.try_get_many(most, taken) {
        Err(GetError::Empty) => {}
        Err(error) if !taken.is_empty() => return Ok(stopped(py, error, taken)?),
        result => return result.map_err(Refused::ByQueue),
    }
    let Some(deadline) = deadline else {
        return Err(Refused::ByQueue(GetError::Empty));
    };
    match block::wait(py, &mut queue.get(), deadline)? {
        None => Err(Refused::ByQueue(GetError::Empty)),
        Some(Err(error)) => Err(Refused::ByQueue(error)),
        Some(Ok(item)) => {
            taken.push_back(item);
            match queue.try_get_many(most - 1, taken) {
                Ok(()) => Ok(()),
                Err(error) => Ok(stopped(py, error, taken)?),
            }
        }
    }
}

/// Ends a batch in which some items were taken before the queue refused another. An `Exception` of a comparison
/// also just ends the batch: it will be raised again by the next get. An exception that is not an `Exception`,
/// Ctrl-C for example, is raised, and gets the items as its attribute `taken`.
pub(crate) fn stopped(
    py: Python<'_>,
    error: GetError<PyErr>,
    taken: &mut VecDeque<Item>,
) -> PyResult<()> {
    match error {
        GetError::Comparison(error) if !error.is_instance_of::<PyException>(py) => {
            let items = list(py, std::mem::take(taken))?;
            // An exception without a dictionary cannot carry the items.
            let _ = foreign::set_attribute(error.value(py).as_any(), "taken", items.as_any());
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Why a batch did not start, or did not finish.
pub(super) enum Refused<E> {
    /// The queue refused it.
    ByQueue(E),
    /// An exception was raised.
    Raised(PyErr),
}

impl<E> From<PyErr> for Refused<E> {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// The items as a list.
pub(crate) fn list(py: Python<'_>, items: VecDeque<Item>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, items.into_iter().map(|item| item.into_bound(py)))
}

lazy_imports! {
    /// What putting and getting batches looks up.
    pub(super) IMPORTS, with timeout::IMPORTS, errors::FULL, errors::SHUT_DOWN;
    ITER: PyAny = "builtins", "iter";
    ISLICE: PyAny = "itertools", "islice";
    CHAIN: PyAny = "itertools", "chain";
}

/// The state of a `put_many`.
pub(super) struct PutMany<'py> {
    iterator: Bound<'py, PyIterator>,
    /// Items that were taken from the iterator and are not in the queue yet.
    ahead: VecDeque<Item>,
    /// The number of items that were put.
    put: usize,
}

impl<'py> PutMany<'py> {
    pub(super) fn new(iterable: &Bound<'py, PyAny>) -> PyResult<Self> {
        // A program may have written its `__iter__`.
        let iter = ITER.get(iterable.py())?;
        let iterator = foreign::call(iter, &PyTuple::new(iterable.py(), [iterable])?, None)?;
        Ok(Self {
            iterator: iterator.cast_into()?,
            ahead: VecDeque::new(),
            put: 0,
        })
    }

    /// Puts all items. The deadline applies to the whole batch; `None` means not to wait.
    pub(super) fn run(
        &mut self,
        queue: &Queue<Item>,
        deadline: Option<Deadline>,
    ) -> Result<(), Refused<PutError<Item, PyErr>>> {
        loop {
            // This loop may run no bytecode, so the interpreter would not check for exceptions of other threads.
            asynchronous::check(self.iterator.py())?;
            let ended = self.fetch(queue.capacity());
            let count = self.ahead.len();
            self.put_ahead(queue, deadline)?;
            match ended {
                Err(error) => return Err(error.into()),
                Ok(()) if count == 0 => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    fn put_ahead(
        &mut self,
        queue: &Queue<Item>,
        deadline: Option<Deadline>,
    ) -> Result<(), Refused<PutError<Item, PyErr>>> {
        let py = self.iterator.py();
        while !self.ahead.is_empty() {
            asynchronous::check(py)?;
            let before = self.ahead.len();
            let result = queue.try_put_many(&mut self.ahead);
            self.put += before - self.ahead.len() - usize::from(result.is_err());
            let result = match (result, deadline) {
                (Err(PutError::Full(item)), Some(deadline)) => {
                    let mut put = queue.put(item);
                    let outcome = block::wait(py, &mut put, deadline);
                    if let Some(item) = put.into_item() {
                        self.ahead.push_front(item);
                    }
                    match outcome? {
                        Some(result) => result.inspect(|()| self.put += 1),
                        None => return Err(errors::full(py).into()),
                    }
                }
                (result, _) => result,
            };
            if let Err(error) = result {
                return Err(self.refused(error));
            }
        }
        Ok(())
    }

    /// Puts the refused item back in front of the others.
    fn refused(&mut self, error: PutError<Item, PyErr>) -> Refused<PutError<Item, PyErr>> {
        let py = self.iterator.py();
        let (item, error) = match error {
            PutError::Full(item) => (item, errors::full(py)),
            PutError::ShutDown(item) => (item, errors::shut_down(py)),
            PutError::Comparison(item, error) => (item, error),
            fallen_back @ PutError::FellBack(_) => return Refused::ByQueue(fallen_back),
        };
        self.ahead.push_front(item);
        Refused::Raised(error)
    }

    /// Takes some items from the iterator. If it raises, the items before that are kept.
    fn fetch(&mut self, capacity: i64) -> PyResult<()> {
        let py = self.iterator.py();
        let count = if capacity > 0 {
            capacity.min(MAX_AHEAD)
        } else {
            MAX_AHEAD
        };
        let islice = ISLICE.get(py)?;
        // `islice` calls `iter` on the iterator once more.
        let some = foreign::call(islice, &(&self.iterator, count).into_pyobject(py)?, None)?;
        let items = PyList::empty(py);
        let result = foreign::call_method(&items, "extend", (some,), None);
        // A tuple, because free-threaded Python locks a list for each item that is read.
        self.ahead.extend(items.to_tuple().iter().map(Item::new));
        result.map(drop)
    }

    /// The items that are still to be put, and how many were put. For the standard algorithm.
    pub(super) fn rest(mut self, next: Item) -> PyResult<(Bound<'py, PyAny>, usize)> {
        let py = self.iterator.py();
        self.ahead.push_front(next);
        let rest = CHAIN
            .get(py)?
            .call1((list(py, self.ahead)?, self.iterator))?;
        Ok((rest, self.put))
    }

    /// Stores in the exception how many items were put, and which were not.
    pub(super) fn describe(self, error: PyErr) -> PyErr {
        let py = self.iterator.py();
        let exception = error.value(py);
        if let Ok(not_put) = list(py, self.ahead) {
            // An exception without a dictionary cannot carry them.
            let _ = (self.put.into_pyobject(py).map_err(PyErr::from)).and_then(|put| {
                foreign::set_attribute(exception.as_any(), "items_put", put.as_any())
            });
            let _ = foreign::set_attribute(exception.as_any(), "not_put", not_put.as_any());
        }
        error
    }
}

/// Iterates over the items of a queue. Each is removed with get(). Ends when the queue is shut down and empty.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct QueueIterator {
    /// The bound method `get` of the queue.
    get: Py<PyAny>,
}

impl QueueIterator {
    pub(super) fn new(queue: &Bound<'_, PyAny>) -> PyResult<Self> {
        let get = foreign::attribute(queue, intern!(queue.py(), "get"))?.unbind();
        Ok(Self { get })
    }
}

#[pymethods]
impl QueueIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // A loop in C runs no bytecode, so check here. No item has been taken yet that could be lost.
        asynchronous::check(py)?;
        match foreign::call(self.get.bind(py), &PyTuple::empty(py), None) {
            Ok(item) => Ok(Some(item)),
            Err(error) if errors::is_shut_down(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.get)
    }
}
