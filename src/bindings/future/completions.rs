//! The base of `wait` and `as_completed`: a set of futures that one thread waits for.
//!
//! A future that runs natively notifies a Rust observer. Every other future is a *foreign future* here: it has a list
//! of waiters that it notifies. The caller puts an [`Observer`] into that list, and holds the future's condition
//! for that.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySet};

use crate::bindings::future::Future;
use crate::bindings::future::helping::{self, Dependency, PoolMember};
use crate::bindings::future::work::PoolStatus;
use crate::bindings::runtime::foreign::Owned;
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::timeout::{self, Blocking};
use crate::primitives::FellBack;
use crate::primitives::completion::{self, Until};
use crate::wait::sync::{Arc, Mutex};

/// The waiter that a foreign future notifies.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Observer {
    inner: completion::Observer,
}

impl Observer {
    pub(super) fn new(inner: completion::Observer) -> Self {
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
    /// The future has returned a result.
    fn add_result(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(false);
    }

    /// The future has raised an exception.
    fn add_exception(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(true);
    }

    /// The future was cancelled, and its executor has noticed.
    fn add_cancelled(&self, future: &Bound<'_, PyAny>) {
        let _ = future;
        self.complete(false);
    }

    /// Two observers are equal if they belong to the same wait. A future that fell back during the wait has made the
    /// second one.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| self.inner == other.get().inner)
    }
}

/// A foreign future, and the observer that it notifies.
type ForeignFuture<'py> = (Bound<'py, PyAny>, Bound<'py, Observer>);

/// A set of futures that one thread waits for.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Completions {
    inner: Arc<completion::Completions>,
    futures: Mutex<Futures>,
}

lazy_imports! {
    for Completions, with timeout::IMPORTS;
}

struct Futures {
    /// In the order in which the futures were given. `None`: the future was taken.
    entries: Vec<Option<Owned>>,
    /// The indexes of the foreign futures that have no observer yet.
    unobserved: Vec<usize>,
    /// Whether the observation has ended: no native future has an observer of this wait any more.
    closed: bool,
    /// The number of the pool to which the next two fields apply.
    pool: u64,
    /// So many entries, counted from the first, depend only on the pool of the waiting worker. That never changes
    /// again.
    up_to_pool: usize,
    /// So many entries, counted from the first, are not pending in that pool. That never changes again.
    not_pending: usize,
}

/// The native half of the future, if it has one. It may have fallen back.
fn native<'a, 'py>(future: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Future>> {
    future.cast::<Future>().ok()
}

impl Completions {
    fn foreign_future<'py>(
        &self,
        future: Bound<'py, PyAny>,
        entry: usize,
    ) -> PyResult<ForeignFuture<'py>> {
        let observer = completion::Observer::new(Arc::clone(&self.inner), entry);
        let observer = Bound::new(future.py(), Observer::new(observer))?;
        Ok((future, observer))
    }

    /// Removes the observer of this wait from the future. `false`: it is a foreign future, which still has it.
    fn forget(&self, future: &Bound<'_, PyAny>) -> bool {
        native(future).is_some_and(|future| future.get().inner.forget(&self.inner).is_ok())
    }

    /// What the wait depends on, from the point of view of the worker that waits. Each future is examined once, and a
    /// pending one a second time after those before it.
    fn dependency<'py>(&self, py: Python<'py>, worker: &PoolMember) -> Dependency<'py> {
        let place = {
            let mut futures = self.futures.lock();
            if futures.pool != worker.pool.number() {
                futures.pool = worker.pool.number();
                (futures.up_to_pool, futures.not_pending) = (0, 0);
            }
            futures.up_to_pool
        };
        for place in place.. {
            match self.pool_status(py, place, worker) {
                None => break,
                Some((_, PoolStatus::Elsewhere)) => return Dependency::Others,
                Some(_) => self.futures.lock().up_to_pool = place + 1,
            }
        }
        let place = self.futures.lock().not_pending;
        for place in place.. {
            match self.pool_status(py, place, worker) {
                None => break,
                Some((future, PoolStatus::Pending)) => return Dependency::OwnPool(future),
                Some(_) => self.futures.lock().not_pending = place + 1,
            }
        }
        Dependency::OwnPool(None)
    }

    /// The future of an entry, and what it means to the worker. A foreign future may be finished by any thread; a
    /// future that was taken delays nobody. `None`: there is no such entry.
    fn pool_status<'py>(
        &self,
        py: Python<'py>,
        entry: usize,
        worker: &PoolMember,
    ) -> Option<(Option<Bound<'py, Future>>, PoolStatus)> {
        let future = self
            .futures
            .lock()
            .entries
            .get(entry)?
            .as_ref()
            .map(Owned::share);
        let Some(future) = future.map(|future| future.into_bound(py)) else {
            return Some((None, PoolStatus::Settled));
        };
        Some(match native(&future) {
            Some(future) => (Some(future.clone()), worker.pool_status(future)),
            None => (None, PoolStatus::Elsewhere),
        })
    }

    /// Ends the observation if the caller did not call `close`, and drops the futures.
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
    /// Begin to observe the futures. The caller must add the observers of the foreign futures; see unobserved().
    ///
    /// Args:
    ///     futures (list): the futures.
    ///     until (str): when the wait ends, as return_when of concurrent.futures.wait().
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
        let inner = completion::Completions::new(futures.len(), until);
        let observe = |entry, future: &Bound<'_, PyAny>| match native(future) {
            Some(future) => future.get().inner.observe(&inner, entry),
            None => Err(FellBack),
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
                pool: 0,
                up_to_pool: 0,
                not_pending: 0,
            }),
        })
    }

    /// Sort the futures into three lists: those that such a wait counts as done, those that are not done, and the
    /// foreign futures.
    #[staticmethod]
    fn sort_out<'py>(futures: &Bound<'py, PySet>) -> PyResult<[Bound<'py, PyList>; 3]> {
        let (mut done, mut pending, mut foreign_futures) =
            (Vec::with_capacity(futures.len()), Vec::new(), Vec::new());
        for future in futures {
            let settled = match native(&future) {
                Some(future) => {
                    let future = &future.get().inner;
                    future.with_native(|record| record.state.is_settled())
                }
                None => Err(FellBack),
            };
            match settled {
                Ok(true) => done.push(future),
                Ok(false) => pending.push(future),
                Err(FellBack) => foreign_futures.push(future),
            }
        }
        let py = futures.py();
        Ok([
            PyList::new(py, done)?,
            PyList::new(py, pending)?,
            PyList::new(py, foreign_futures)?,
        ])
    }

    /// Return the foreign futures, each with the observer that the caller must add to its waiters.
    fn unobserved<'py>(&self, py: Python<'py>) -> PyResult<Vec<ForeignFuture<'py>>> {
        let unobserved: Vec<_> = {
            let mut futures = self.futures.lock();
            let entries = std::mem::take(&mut futures.unobserved);
            let share = |entry: usize| Some((entry, futures.entries.get(entry)?.as_ref()?.share()));
            entries.into_iter().filter_map(share).collect()
        };
        unobserved
            .into_iter()
            .map(|(entry, future)| self.foreign_future(future.into_bound(py), entry))
            .collect()
    }

    /// Wait for at most timeout seconds (int or float); None means no limit.
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if let Blocking::Until(deadline) = timeout::of_condition(timeout)? {
            let dependency = |worker: &PoolMember| self.dependency(py, worker);
            helping::wait(py, &mut self.inner.wait(), deadline, dependency)?;
        }
        Ok(())
    }

    /// Return the futures that were done since the last call, the last one first; and the foreign futures among them,
    /// which still have their observers.
    fn take<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<ForeignFuture<'py>>)> {
        let taken: Vec<_> = {
            let mut futures = self.futures.lock();
            let take = |entry: usize| Some((entry, futures.entries.get_mut(entry)?.take()?));
            self.inner.take().filter_map(take).collect()
        };
        let mut foreign_futures = Vec::new();
        let mut done = Vec::with_capacity(taken.len());
        for (entry, future) in taken {
            let future = future.into_bound(py);
            let is_native = native(&future)
                .is_some_and(|future| future.get().inner.with_native(|_| ()).is_ok());
            if !is_native {
                foreign_futures.push(self.foreign_future(future.clone(), entry)?);
            }
            done.push(future);
        }
        Ok((PyList::new(py, done)?, foreign_futures))
    }

    /// End the observation. Return the foreign futures that were not taken: they still have their observers.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Vec<ForeignFuture<'py>>> {
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
        let mut foreign_futures = Vec::new();
        for (entry, future) in rest {
            let future = future.into_bound(py);
            if !self.forget(&future) {
                foreign_futures.push(self.foreign_future(future, entry)?);
            }
        }
        Ok(foreign_futures)
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
