//! How a worker of a pool waits: while it waits for calls of its own pool, it may run one of them.
//!
//! Every wait for futures goes through [`wait`], which asks whether this thread is a worker. So this is here, and not
//! in the executor, which is built on futures. The executor tells who is a worker ([`CurrentGuard`]) and how a
//! worker runs a call ([`PoolMember`]); it is called only when a worker helps.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::bindings::future::Future;
use crate::bindings::future::work::PoolStatus;
use crate::bindings::runtime::block;
use crate::primitives::pool::{self, AsWorker, Awaited, Pool};
use crate::wait::Operation;
use crate::wait::deadline::Deadline;

/// A worker of a pool, as the waits of its thread see it.
pub(crate) struct PoolMember {
    pub(crate) pool: Arc<Pool<Py<Future>>>,
    pub(crate) record: Arc<pool::Worker>,
    /// Whether it may run a pending call of its pool while it waits for that call.
    pub(crate) helps: bool,
    /// Runs the call of a future that is still pending, unless another thread has started it.
    pub(crate) help: fn(&Self, &Bound<'_, Future>) -> PyResult<()>,
}

thread_local! {
    /// The worker that this thread is now; the innermost, if one was started inside another. Then the same worker
    /// again if it helps, else null.
    static CURRENT: Cell<[*const PoolMember; 2]> = const { Cell::new([ptr::null(); 2]) };
}

/// While this value lives, this thread is the worker.
pub(crate) struct CurrentGuard<'a> {
    before: [*const PoolMember; 2],
    _worker: PhantomData<&'a PoolMember>,
}

impl<'a> CurrentGuard<'a> {
    pub(crate) fn new(worker: &'a PoolMember) -> Self {
        let helper = if worker.helps { worker } else { ptr::null() };
        Self {
            before: CURRENT.replace([worker, helper]),
            _worker: PhantomData,
        }
    }
}

impl Drop for CurrentGuard<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Calls `act` with the worker that this thread is, if it is one.
fn with_current<R>(act: impl FnOnce(Option<&PoolMember>) -> R) -> R {
    // SAFETY: the pointer is null, or points to the worker from which a `CurrentGuard` further down this thread's
    // stack was made, and which that guard borrows. The guard removes the pointer when it is dropped, which is after
    // this returns. The reference does not outlive the call, because `act` must accept a reference of any lifetime.
    act(unsafe { CURRENT.get()[0].as_ref() })
}

/// Like [`with_current`], but only with a worker that helps.
fn with_helper<R>(act: impl FnOnce(Option<&PoolMember>) -> R) -> R {
    // SAFETY: as in `with_current`: null, or the same pointer.
    act(unsafe { CURRENT.get()[1].as_ref() })
}

/// Whether this thread is a worker of the pool.
pub(crate) fn is_worker_of(pool: &Pool<Py<Future>>) -> bool {
    with_current(|worker| worker.is_some_and(|worker| worker.pool.number() == pool.number()))
}

/// What the wait of a worker depends on.
pub(super) enum Dependency<'py> {
    /// Possibly on threads other than the workers of its pool.
    Others,
    /// Only on its pool: all that it waits for are unfinished calls of that pool. With a pending one of them, if
    /// there is one.
    OwnPool(Option<Bound<'py, Future>>),
}

/// Blocks until `operation` is completed, which waits for one future or for several. `None`: the deadline passed. All
/// such waits go through here.
///
/// Like [`block::wait`], with one addition: if the thread is a worker that helps, the wait has no deadline, and
/// the wait depends only on the worker's pool, then the pool can choose this worker to run a pending call (see
/// `primitives/pool/blocked.rs`). `dependency` says what the wait depends on.
///
/// # Errors
/// Those of [`block::wait`].
pub(super) fn wait<'py, O: Operation>(
    py: Python<'py>,
    operation: &mut O,
    deadline: Deadline,
    dependency: impl FnMut(&PoolMember) -> Dependency<'py>,
) -> PyResult<Option<O::Output>> {
    with_helper(|worker| match worker {
        Some(worker) if deadline == Deadline::NEVER && worker.record.is_here() => {
            worker.wait(py, operation, dependency)
        }
        _ => {
            if deadline == Deadline::NEVER {
                run_own_tasks(dependency)?;
            }
            block::wait(py, operation, deadline)
        }
    })
}

/// If the calling thread is a worker and waits for a task of a group that its pool has not begun, it runs the task. Else
/// a group that is opened inside a call of its own pool could wait for ever for a free worker.
fn run_own_tasks<'py>(mut dependency: impl FnMut(&PoolMember) -> Dependency<'py>) -> PyResult<()> {
    with_current(|worker| {
        let Some(worker) = worker else { return Ok(()) };
        while let Dependency::OwnPool(Some(future)) = dependency(worker) {
            if !future.get().is_pending_task() {
                break;
            }
            (worker.help)(worker, &future)?;
        }
        Ok(())
    })
}

/// Runs the call of a future of this pool in the calling thread, which is one of its workers, unless the call has begun.
/// Returns whether the thread is such a worker.
pub(crate) fn run_as_worker(pool: &Pool<Py<Future>>, future: &Bound<'_, Future>) -> PyResult<bool> {
    with_current(|worker| match worker {
        Some(worker) if worker.pool.number() == pool.number() => {
            (worker.help)(worker, future).map(|()| true)
        }
        _ => Ok(false),
    })
}

impl PoolMember {
    /// What the future means to the workers of this pool that wait for it.
    pub(super) fn pool_status(&self, future: &Bound<'_, Future>) -> PoolStatus {
        Future::pool_status(future, self.pool.number(), || {
            self.pool.does(future.as_ptr().addr())
        })
    }

    /// See [`wait()`].
    fn wait<'py, O: Operation>(
        &self,
        py: Python<'py>,
        operation: &mut O,
        mut dependency: impl FnMut(&Self) -> Dependency<'py>,
    ) -> PyResult<Option<O::Output>> {
        loop {
            if matches!(dependency(self), Dependency::Others) {
                return block::wait(py, operation, Deadline::NEVER);
            }
            let can_help = || matches!(dependency(self), Dependency::OwnPool(Some(_)));
            let mut waiting = AsWorker::new(&self.pool, operation, can_help);
            match block::wait(py, &mut waiting, Deadline::NEVER)? {
                Some(Awaited::Done(output)) => return Ok(Some(output)),
                Some(Awaited::Help) => {
                    if let Dependency::OwnPool(Some(future)) = dependency(self) {
                        (self.help)(self, &future)?;
                    }
                }
                None => return Ok(None),
            }
        }
    }
}
