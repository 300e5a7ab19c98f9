//! What `wait` and `as_completed` are made of: futures that one thread waits for together.
//!
//! Futures that run natively note an observer in Rust. All others, *strangers* here, have a list of
//! waiters that they tell: there the caller puts an [`Observer`], under their condition.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySet};

use super::Future;
use super::waiting::block;
use crate::bindings::timeout::{self, Blocking};
use crate::bindings::user_code::Owned;
use crate::primitives::Retired;
use crate::primitives::completion::{self as core, Until};
use crate::primitives::sync::{Arc, Mutex};

/// What a stranger tells that it is done.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Observer {
    inner: core::Observer,
}

impl Observer {
    pub(super) fn new(inner: core::Observer) -> Self {
        Self { inner }
    }

    fn complete(&self, failed: bool) {
        if self.inner.complete(failed) {
            self.inner.wake();
        }
    }
}

#[pymethods]
impl Observer {
    /// The future has returned.
    fn add_result(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(false);
    }

    /// The future has raised.
    fn add_exception(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(true);
    }

    /// The future was cancelled, and its executor has seen that.
    fn add_cancelled(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(false);
    }

    /// Two may stand for the same wait: one made by a future that took its standard form meanwhile.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| self.inner == other.get().inner)
    }
}

/// A stranger, and the observer that it tells.
type Stranger<'py> = (Bound<'py, PyAny>, Bound<'py, Observer>);

/// Futures that one thread waits for.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Completions {
    inner: Arc<core::Completions>,
    futures: Mutex<Futures>,
}

struct Futures {
    /// In the order of the entries; `None` for those taken.
    entries: Vec<Option<Owned>>,
    /// The entries of those that tell nobody yet.
    unobserved: Vec<usize>,
    /// Nobody has an observer any more.
    closed: bool,
    /// A pool, and how many entries from the first on are not pending in it: they will never be.
    examined: (u64, usize),
}

/// The future's native half, if it is one of ours; it may have its standard form.
fn native<'a, 'py>(future: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Future>> {
    future.cast::<Future>().ok()
}

impl Completions {
    fn stranger<'py>(&self, future: Bound<'py, PyAny>, entry: usize) -> PyResult<Stranger<'py>> {
        let observer = core::Observer::new(Arc::clone(&self.inner), entry);
        let observer = Bound::new(future.py(), Observer::new(observer))?;
        Ok((future, observer))
    }

    /// Whether the future has no observer any more. `false`: it is a stranger.
    fn forget(&self, future: &Bound<'_, PyAny>) -> bool {
        native(future).is_some_and(|future| future.get().inner.forget(&self.inner).is_ok())
    }

    /// The first future whose call is pending in the pool of this number.
    fn pending_in<'py>(&self, py: Python<'py>, pool: u64) -> Option<Bound<'py, Future>> {
        let mut futures = self.futures.lock();
        if futures.examined.0 != pool {
            futures.examined = (pool, 0);
        }
        loop {
            let entry = futures.entries.get(futures.examined.1)?;
            let future = entry.as_ref().map(Owned::share);
            drop(futures);
            if let Some(future) = future.map(|future| future.into_bound(py))
                && let Some(future) = native(&future)
                && future.get().is_pending_in(pool)
            {
                return Some(future.clone());
            }
            futures = self.futures.lock();
            futures.examined.1 += 1;
        }
    }

    /// Gives up what a caller who did not come to `close` has left.
    fn give_up(&self) {
        let (entries, closed) = {
            let mut futures = self.futures.lock();
            let entries = std::mem::take(&mut futures.entries);
            (entries, std::mem::replace(&mut futures.closed, true))
        };
        for future in entries.into_iter().flatten() {
            if !closed {
                self.forget(future.object().bind(future.attached()));
            }
        }
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[pymethods]
impl Completions {
    /// Begin to observe: the strangers are left to the caller.
    ///
    /// until: when to end the wait, as for concurrent.futures.wait.
    #[new]
    #[pyo3(signature = (futures, until, /))]
    fn new(futures: &Bound<'_, PyList>, until: &str) -> PyResult<Self> {
        let until = match until {
            "FIRST_COMPLETED" => Until::First,
            "FIRST_EXCEPTION" => Until::FirstFailure,
            "ALL_COMPLETED" => Until::All,
            other => return Err(PyValueError::new_err(other.to_owned())),
        };
        let futures: Vec<_> = futures.iter().collect();
        let inner = core::Completions::new(futures.len(), until);
        let observe = |entry, future: &Bound<'_, PyAny>| match native(future) {
            Some(future) => future.get().inner.observe(&inner, entry),
            None => Err(Retired),
        };
        let unobserved = futures
            .iter()
            .enumerate()
            .filter_map(|(entry, future)| observe(entry, future).is_err().then_some(entry))
            .collect();
        let entries = futures.into_iter().map(|each| Some(each.into())).collect();
        Ok(Self {
            inner,
            futures: Mutex::new(Futures {
                entries,
                unobserved,
                closed: false,
                examined: (0, 0),
            }),
        })
    }

    /// Of the futures: those that are done as far as such a wait is concerned, those that are not,
    /// and the strangers.
    #[staticmethod]
    fn sort_out<'py>(futures: &Bound<'py, PySet>) -> PyResult<[Bound<'py, PyList>; 3]> {
        let (mut done, mut pending, mut strangers) =
            (Vec::with_capacity(futures.len()), Vec::new(), Vec::new());
        for future in futures {
            let settled = match native(&future) {
                Some(future) => {
                    let future = &future.get().inner;
                    future.with_native(|record| record.state.is_settled())
                }
                None => Err(Retired),
            };
            match settled {
                Ok(true) => done.push(future),
                Ok(false) => pending.push(future),
                Err(Retired) => strangers.push(future),
            }
        }
        let py = futures.py();
        Ok([
            PyList::new(py, done)?,
            PyList::new(py, pending)?,
            PyList::new(py, strangers)?,
        ])
    }

    /// The strangers, each with what the caller is to put among its waiters.
    fn unobserved<'py>(&self, py: Python<'py>) -> PyResult<Vec<Stranger<'py>>> {
        let unobserved: Vec<_> = {
            let mut futures = self.futures.lock();
            let entries = std::mem::take(&mut futures.unobserved);
            let share = |entry: usize| Some((entry, futures.entries.get(entry)?.as_ref()?.share()));
            entries.into_iter().filter_map(share).collect()
        };
        unobserved
            .into_iter()
            .map(|(entry, future)| self.stranger(future.into_bound(py), entry))
            .collect()
    }

    /// Wait, at most so many seconds.
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if let Blocking::Until(deadline) = timeout::of_condition(timeout)? {
            let pending = |pool| self.pending_in(py, pool);
            block(py, &mut self.inner.wait(), deadline, pending)?;
        }
        Ok(())
    }

    /// The futures that are done since this was last called, the last one first; and of these the
    /// strangers, which still have their observers.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, Vec<Stranger<'py>>)> {
        let taken: Vec<_> = {
            let mut futures = self.futures.lock();
            let take = |entry: usize| Some((entry, futures.entries.get_mut(entry)?.take()?));
            self.inner.take().filter_map(take).collect()
        };
        let mut strangers = Vec::new();
        let mut done = Vec::with_capacity(taken.len());
        for (entry, future) in taken {
            let future = future.into_bound(py);
            let is_native = native(&future)
                .is_some_and(|future| future.get().inner.with_native(|_| ()).is_ok());
            if !is_native {
                strangers.push(self.stranger(future.clone(), entry)?);
            }
            done.push(future);
        }
        Ok((PyList::new(py, done)?, strangers))
    }

    /// End the observation: the strangers that were not taken still have their observers.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Vec<Stranger<'py>>> {
        let rest: Vec<_> = {
            let mut futures = self.futures.lock();
            futures.closed = true;
            let share =
                |(entry, future): (usize, &Option<Owned>)| Some((entry, future.as_ref()?.share()));
            futures
                .entries
                .iter()
                .enumerate()
                .filter_map(share)
                .collect()
        };
        let mut strangers = Vec::new();
        for (entry, future) in rest {
            let future = future.into_bound(py);
            if !self.forget(&future) {
                strangers.push(self.stranger(future, entry)?);
            }
        }
        Ok(strangers)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let futures = self.futures.lock();
        futures
            .entries
            .iter()
            .flatten()
            .try_for_each(|future| visit.call(future.object()))
    }

    fn __clear__(&self) {
        self.give_up();
    }
}
