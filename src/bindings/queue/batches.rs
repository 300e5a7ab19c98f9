//! Many items at once, and one after the other in a `for` loop.

use std::collections::VecDeque;

use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};

use super::item::Item;
use super::{detach, errors, timeout, user_code};
use crate::bindings::kept::Kept;
use crate::primitives::deadline::Deadline;
use crate::primitives::queue::{GetError, PutError, Queue};

/// At most so many items are taken from an iterable before they are put.
const AHEAD: i64 = 1_024;

/// `max_items`: none means without bound.
pub(super) fn most(max_items: Option<isize>) -> PyResult<usize> {
    match max_items.map(usize::try_from) {
        None => Ok(usize::MAX),
        Some(Ok(most)) => Ok(most),
        Some(Err(_)) => Err(PyValueError::new_err(
            "'max_items' must be a non-negative number",
        )),
    }
}

/// Until when to wait, `None` for not at all; both arguments are checked.
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

/// Waits until the deadline for an item, none at all if there is no deadline, and adds it to
/// `taken` with those that follow it, at most `most`.
pub(super) fn get_many(
    py: Python<'_>,
    queue: &Queue<Item>,
    most: usize,
    taken: &mut VecDeque<Item>,
    deadline: Option<Deadline>,
) -> Result<(), Refused<GetError<PyErr>>> {
    match queue.try_get_many(most, taken) {
        Err(GetError::Empty) => {}
        Err(error) if !taken.is_empty() => return stopped(py, error, taken),
        result => return result.map_err(Refused::By),
    }
    let Some(deadline) = deadline else {
        return Err(Refused::By(GetError::Empty));
    };
    match detach::wait(py, &mut queue.get(), deadline)? {
        None => Err(Refused::By(GetError::Empty)),
        Some(Err(error)) => Err(Refused::By(error)),
        Some(Ok(item)) => {
            taken.push_back(item);
            match queue.try_get_many(most - 1, taken) {
                Ok(()) => Ok(()),
                Err(error) => stopped(py, error, taken),
            }
        }
    }
}

/// Some items have been taken when the queue refused another. That is the end of the batch, also
/// where a comparison failed: it will fail again at the next get. But what ends more than a
/// comparison, Ctrl-C say, goes on, and has the items with it.
fn stopped(
    py: Python<'_>,
    error: GetError<PyErr>,
    taken: &mut VecDeque<Item>,
) -> Result<(), Refused<GetError<PyErr>>> {
    match error {
        GetError::Comparison(error) if !error.is_instance_of::<PyException>(py) => {
            let items = list(py, std::mem::take(taken))?;
            // An exception without a dictionary cannot tell.
            let _ = user_code::set_attribute(error.value(py).as_any(), "taken", items.as_any());
            Err(Refused::Raised(error))
        }
        _ => Ok(()),
    }
}

/// Why a batch came to nothing, or not to its end.
pub(super) enum Refused<E> {
    /// The queue's word.
    By(E),
    /// An exception.
    Raised(PyErr),
}

impl<E> From<PyErr> for Refused<E> {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// The items as a list.
pub(super) fn list(py: Python<'_>, items: VecDeque<Item>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, items.into_iter().map(|item| item.into_bound(py)))
}

/// The state of a `put_many`.
pub(super) struct Putting<'py> {
    iterator: Bound<'py, PyIterator>,
    /// Taken from the iterator, and not put yet.
    ahead: VecDeque<Item>,
    /// How many have been put.
    put: usize,
}

impl<'py> Putting<'py> {
    pub(super) fn new(iterable: &Bound<'py, PyAny>) -> PyResult<Self> {
        // Its __iter__ may be a program's own.
        static ITER: Kept<Py<PyAny>> = Kept::new();
        let iter = ITER.import(iterable.py(), "builtins", "iter")?;
        let iterator = user_code::call(iter, &PyTuple::new(iterable.py(), [iterable])?, None)?;
        Ok(Self {
            iterator: iterator.cast_into()?,
            ahead: VecDeque::new(),
            put: 0,
        })
    }

    /// Puts them all. The deadline is for the whole; `None` inside means not to wait.
    pub(super) fn run(
        &mut self,
        queue: &Queue<Item>,
        deadline: Option<Deadline>,
    ) -> Result<(), Refused<PutError<Item, PyErr>>> {
        loop {
            // Where nothing here runs bytecode, nobody else looks.
            user_code::check_signals(self.iterator.py())?;
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
            user_code::check_signals(py)?;
            let before = self.ahead.len();
            let result = queue.try_put_many(&mut self.ahead);
            self.put += before - self.ahead.len() - usize::from(result.is_err());
            let result = match (result, deadline) {
                (Err(PutError::Full(item)), Some(deadline)) => {
                    let mut put = queue.put(item);
                    let outcome = detach::wait(py, &mut put, deadline);
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

    /// The item that was refused goes back to the others.
    fn refused(&mut self, error: PutError<Item, PyErr>) -> Refused<PutError<Item, PyErr>> {
        let py = self.iterator.py();
        let (item, error) = match error {
            PutError::Full(item) => (item, errors::full(py)),
            PutError::ShutDown(item) => (item, errors::shut_down(py)),
            PutError::Comparison(item, error) => (item, error),
            retired @ PutError::Retired(_) => return Refused::By(retired),
        };
        self.ahead.push_front(item);
        Refused::Raised(error)
    }

    /// Takes some items from the iterator; those before an exception are kept.
    fn fetch(&mut self, capacity: i64) -> PyResult<()> {
        static ISLICE: Kept<Py<PyAny>> = Kept::new();
        let py = self.iterator.py();
        let count = if capacity > 0 {
            capacity.min(AHEAD)
        } else {
            AHEAD
        };
        let islice = ISLICE.import(py, "itertools", "islice")?;
        // It asks the iterator for an iterator once more.
        let some = user_code::call(islice, &(&self.iterator, count).into_pyobject(py)?, None)?;
        let items = PyList::empty(py);
        let result = user_code::call_method(&items, "extend", (some,), None);
        // A tuple, because free-threaded Python locks a list for each item that is looked at.
        self.ahead.extend(items.to_tuple().iter().map(Item::new));
        result.map(drop)
    }

    /// What is still to be put, by the standard algorithm.
    pub(super) fn rest(mut self, next: Item) -> PyResult<(Bound<'py, PyAny>, usize)> {
        static CHAIN: Kept<Py<PyAny>> = Kept::new();
        let py = self.iterator.py();
        self.ahead.push_front(next);
        let rest = CHAIN
            .import(py, "itertools", "chain")?
            .call1((list(py, self.ahead)?, self.iterator))?;
        Ok((rest, self.put))
    }

    /// Notes in the exception how far it went.
    pub(super) fn describe(self, error: PyErr) -> PyErr {
        let py = self.iterator.py();
        let exception = error.value(py);
        if let Ok(not_put) = list(py, self.ahead) {
            // An exception without a dictionary cannot tell.
            let _ = (self.put.into_pyobject(py).map_err(PyErr::from)).and_then(|put| {
                user_code::set_attribute(exception.as_any(), "items_put", put.as_any())
            });
            let _ = user_code::set_attribute(exception.as_any(), "not_put", not_put.as_any());
        }
        error
    }
}

/// What the interpreter says where `in` is asked of what cannot be iterated over. Ours can, but that
/// would take out what comes before the item, and wait for it for ever.
pub(super) fn not_iterable(class: &str) -> PyErr {
    let what = if cfg!(Py_3_14) {
        "a container or iterable"
    } else {
        "iterable"
    };
    PyTypeError::new_err(format!("argument of type '{class}' is not {what}"))
}

/// Iterates over what comes out of a queue, until that is shut down and empty.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct QueueIterator {
    /// The queue's `get`.
    get: Py<PyAny>,
}

impl QueueIterator {
    pub(super) fn new(queue: &Bound<'_, PyAny>) -> PyResult<Self> {
        let get = user_code::attribute(queue, intern!(queue.py(), "get"))?.unbind();
        Ok(Self { get })
    }
}

#[pymethods]
impl QueueIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Whoever runs through this in C runs no bytecode, and nothing has been taken yet.
        user_code::check_signals(py)?;
        match user_code::call(self.get.bind(py), &PyTuple::empty(py), None) {
            Ok(item) => Ok(Some(item)),
            Err(error) if errors::is_shut_down(py, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.get)
    }
}
