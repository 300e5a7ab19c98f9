//! A worker of a pool, and how it waits for other calls.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
struct Present {
    before: *const Worker,
}

impl Present {
    fn new(worker: &Worker) -> Self {
        Self {
            before: PRESENT.replace(worker),
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        PRESENT.set(self.before);
    }
}

/// The worker that this thread is.
fn present<'a>() -> Option<&'a Worker> {
    // SAFETY: null, or what a `Present` on the stack of this thread was made of, which is borrowed by
    // the frame that holds it; callers use it only in frames above that one.
    unsafe { PRESENT.get().as_ref() }
}

/// Whether this thread is a worker of the pool.
pub(super) fn is_present(pool: &Pool<Py<Future>>) -> bool {
    present().is_some_and(|worker| worker.pool.number() == pool.number())
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
    mut pending: impl FnMut(u64) -> Option<Bound<'py, Future>>,
) -> PyResult<Option<O::Output>> {
    let worker = match present() {
        Some(worker) if deadline == Deadline::NEVER => worker,
        _ => return detach::wait(py, operation, deadline),
    };
    let number = worker.pool.number();
    loop {
        let can_help = || pending(number).is_some();
        let mut waiting = AsWorker::new(&worker.pool, operation, can_help);
        match detach::wait(py, &mut waiting, deadline)? {
            Some(Awaited::Done(output)) => return Ok(Some(output)),
            Some(Awaited::Help) => {
                if let Some(future) = pending(number) {
                    worker.help(&future)?;
                }
            }
            None => return Ok(None),
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

    /// Does a call that is still among the pending ones, unless somebody else has begun it.
    fn help(&self, future: &Bound<'_, Future>) -> PyResult<()> {
        match Future::start(future) {
            Ok(Started::Call(call)) => {
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
            let future = match self.pool.try_take() {
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
            match Future::start(&future) {
                Ok(Started::Call(call)) => {
                    let begin = now.take().unwrap_or_else(Instant::now);
                    now = Some(self.run(&future, call, begin)?);
                }
                Ok(Started::Elsewhere) => self.pool.forget_leftover(),
                Ok(Started::Cancelled) => {}
                Err(error) => report(py, error)?,
            }
            user_code::release(future.into_any());
        }
        Ok(Some(true))
    }

    /// Give up the place.
    fn leave(&self) {
        self.pool.leave(&self.record);
    }
}
