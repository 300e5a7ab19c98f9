//! A worker of a pool, and how it waits for other calls.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pyo3::panic::PanicException;
use pyo3::prelude::*;

use super::call::{Call, report};
use crate::bindings::future::{Future, Started};
use crate::bindings::{detach, user_code};
use crate::primitives::deadline::Deadline;
use crate::primitives::pool::{self as core, AsWorker, Awaited, Next, Pool};
use crate::primitives::waiter::Operation;

/// So many calls may run before bytecode is due, should the calls themselves execute none.
const CALLS_AT_ONCE: u32 = 32;

/// The place of a worker in its pool.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Worker {
    pool: Arc<Pool<Py<Future>>>,
    record: Arc<core::Worker>,
    idle_timeout: Option<Duration>,
}

thread_local! {
    /// The worker that this thread is at present: the innermost, if one was begun inside another.
    static PRESENT: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// While it lives, this thread is the worker.
struct Present<'a> {
    before: *const Worker,
    _worker: PhantomData<&'a Worker>,
}

impl<'a> Present<'a> {
    fn new(worker: &'a Worker) -> Self {
        Self {
            before: PRESENT.replace(worker),
            _worker: PhantomData,
        }
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        PRESENT.set(self.before);
    }
}

/// Calls `act` with the worker that this thread is.
fn with_present<R>(act: impl FnOnce(Option<&Worker>) -> R) -> R {
    // SAFETY: null, or what a `Present` further down this thread's stack was made of, and borrows: it
    // takes the pointer away when it is dropped, which is after this returns. The reference does not
    // outlive the call, for `act` must take one of any lifetime.
    act(unsafe { PRESENT.get().as_ref() })
}

/// Whether this thread is a worker of the pool.
pub(super) fn is_present(pool: &Pool<Py<Future>>) -> bool {
    with_present(|worker| worker.is_some_and(|worker| worker.pool.number() == pool.number()))
}

/// As [`detach::wait`]; but a worker that waits without end is one that its pool can choose to do a
/// pending call itself (see `primitives/pool/blocked.rs`). `pending` finds one among those waited
/// for, in the pool of the given number.
///
/// # Errors
/// As of [`detach::wait`].
pub(crate) fn wait<'py, O: Operation>(
    py: Python<'py>,
    operation: &mut O,
    deadline: Deadline,
    pending: impl FnMut(u64) -> Option<Bound<'py, Future>>,
) -> PyResult<Option<O::Output>> {
    with_present(|worker| match worker {
        Some(worker) if deadline == Deadline::NEVER => worker.wait(py, operation, pending),
        _ => detach::wait(py, operation, deadline),
    })
}

/// A job that was taken out of the pool. A panic that drops this settles its future, for which somebody
/// may wait.
struct Taken<'a, 'py>(&'a Bound<'py, Future>);

impl Drop for Taken<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let panic = PanicException::new_err("a worker of the pool has panicked");
            let _ = user_code::call_method(self.0, "set_exception", (panic,), None);
        }
    }
}

impl Worker {
    pub(super) fn new(
        pool: &Arc<Pool<Py<Future>>>,
        record: Arc<core::Worker>,
        idle_timeout: Option<Duration>,
    ) -> Self {
        Self {
            pool: Arc::clone(pool),
            record,
            idle_timeout,
        }
    }

    /// See [`wait`].
    fn wait<'py, O: Operation>(
        &self,
        py: Python<'py>,
        operation: &mut O,
        mut pending: impl FnMut(u64) -> Option<Bound<'py, Future>>,
    ) -> PyResult<Option<O::Output>> {
        let number = self.pool.number();
        loop {
            let can_help = || pending(number).is_some();
            let mut waiting = AsWorker::new(&self.pool, operation, can_help);
            match detach::wait(py, &mut waiting, Deadline::NEVER)? {
                Some(Awaited::Done(output)) => return Ok(Some(output)),
                Some(Awaited::Help) => {
                    if let Some(future) = pending(number) {
                        self.help(&future)?;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// Does a call that is still among the pending ones, unless somebody else has begun it.
    fn help(&self, future: &Bound<'_, Future>) -> PyResult<()> {
        match Future::start(future) {
            Ok(Started::Call(call)) => {
                let _taken = Taken(future);
                self.pool.count_leftover();
                self.run(future, call, Instant::now()).map(drop)
            }
            Ok(Started::Cancelled) => {
                self.pool.count_leftover();
                Ok(())
            }
            Ok(Started::Elsewhere) => Ok(()),
            Err(error) => {
                self.pool.count_leftover();
                report(future.py(), error)
            }
        }
    }

    /// Does the call, which begins now; when it ended.
    fn run(&self, future: &Bound<'_, Future>, call: Call, now: Instant) -> PyResult<Instant> {
        let begun = self.record.begin(call.submitted, now);
        let (_, ended) = call.run(future);
        let now = Instant::now();
        self.record.end(begun, now);
        if let Err(error) = ended {
            report(future.py(), error)?;
        }
        Ok(now)
    }

    /// A call from the queue; `Err`: what there is to do instead.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Result<Bound<'py, Future>, Next<()>>> {
        let (mut take, deadline) = match self.idle_timeout {
            None => (self.pool.take(), Deadline::NEVER),
            Some(timeout) => {
                let take = self.pool.take().or_leave(&self.record);
                (take, Deadline::after(timeout))
            }
        };
        Ok(match detach::wait(py, &mut take, deadline)? {
            Some(Next::Job(future)) => Ok(future.into_bound(py)),
            Some(Next::Closed) => Err(Next::Closed),
            Some(Next::Dismissed) => Err(Next::Dismissed),
            Some(Next::Again) | None => Err(Next::Again),
        })
    }
}

#[pymethods]
impl Worker {
    /// Wait for pending calls and run some, in this thread. False if there are none and the pool is
    /// closed; None if none came for the idle timeout, and the worker has lost its place.
    ///
    /// It returns for the caller to execute bytecode, which calls of C functions do not: only
    /// between bytecodes does an interpreter let other threads in, collect garbage and, where
    /// there is no GIL, free what this thread has made and another has let go of.
    fn work(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let _present = Present::new(self);
        let mut now = None;
        for count in 0..CALLS_AT_ONCE {
            let future = match self.pool.try_take_as(&self.record) {
                Some(future) => future.into_bound(py),
                // Before it sleeps, too.
                None if count > 0 => break,
                None => match self.next(py)? {
                    Ok(future) => future,
                    Err(Next::Closed) => return Ok(Some(false)),
                    Err(Next::Dismissed) => return Ok(None),
                    Err(_) => break,
                },
            };
            let taken = Taken(&future);
            match Future::start(&future) {
                Ok(Started::Call(call)) => {
                    let begin = now.take().unwrap_or_else(Instant::now);
                    now = Some(self.run(&future, call, begin)?);
                }
                Ok(Started::Elsewhere) => self.pool.forget_leftover(),
                Ok(Started::Cancelled) => {}
                Err(error) => report(py, error)?,
            }
            drop(taken);
            user_code::release(future.into_any());
        }
        Ok(Some(true))
    }

    /// Give up the place.
    fn leave(&self) {
        self.pool.leave(&self.record);
    }
}
