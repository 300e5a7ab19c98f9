//! The worker of a pool: how it runs calls, also while it waits for other calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::panic::PanicException;
use pyo3::prelude::*;

use crate::bindings::executor::call::{self, report, report_end};
use crate::bindings::executor::profiled;
use crate::bindings::executor::traced;
use crate::bindings::future::{Call, CurrentGuard, Future, PoolMember, Started};
use crate::bindings::runtime::asynchronous::ThisThread;
use crate::bindings::runtime::{block, foreign};
use crate::diagnostics::trace;
use crate::primitives::pool::{self, Next, Pool};
use crate::wait::deadline::Deadline;

/// Maximum number of calls per `work()` before it returns to the eval loop. The calls themselves may execute no
/// bytecode.
const CALLS_PER_RUN: u32 = 32;

/// A worker of a pool.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Worker {
    /// What the waits of its thread need to know of it.
    member: PoolMember,
    idle_timeout: Option<Duration>,
    /// Whether it was idle when the pool fell back.
    was_counted: AtomicBool,
}

/// A call that a worker is about to run, or runs. While this value lives, other threads can see that.
struct Published<'a>(&'a pool::Worker);

impl Drop for Published<'_> {
    fn drop(&mut self) {
        self.0.put_down();
    }
}

/// A job that was taken out of the pool. If a panic drops this value, the job's future gets an exception, because
/// other threads may wait for it.
struct SettleOnPanic<'a, 'py>(&'a Bound<'py, Future>);

impl Drop for SettleOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let panic = PanicException::new_err("a worker of the pool has panicked");
            let _ = foreign::call_method(self.0, "set_exception", (panic,), None);
        }
    }
}

/// Publishes that the worker is about to run the call. Only a pool that helps needs that.
#[inline]
fn publish<'a>(worker: &'a PoolMember, future: &Bound<'_, Future>) -> Option<Published<'a>> {
    worker.helps.then(|| {
        worker.record.take_up(future.as_ptr().addr());
        Published(&worker.record)
    })
}

/// Runs a call that is still pending, unless another thread has started it. Like the call that waits here, it
/// runs in a context of its own: a copy of the current one, so that what it sets there does not affect the
/// waiting call.
fn help(worker: &PoolMember, future: &Bound<'_, Future>) -> PyResult<()> {
    let context = call::copy_context(future.py())?;
    let _published = publish(worker, future);
    match Future::start(future) {
        Ok(Started::Call(mut call)) => {
            let _settle = SettleOnPanic(future);
            worker.pool.count_stale();
            call.context.get_or_insert(context);
            run(
                &worker.pool,
                &worker.record,
                ThisThread::new(future.py()),
                future,
                call,
                Instant::now(),
            )
            .map(drop)
        }
        Ok(Started::Cancelled(call)) => {
            profiled::cancelled(future.py(), &call);
            worker.pool.count_stale();
            Ok(())
        }
        Ok(Started::Elsewhere) => Ok(()),
        Err(error) => {
            worker.pool.count_stale();
            report(future.py(), error)
        }
    }
}

/// Runs the call, which begins now. Returns when it ended.
#[inline(always)]
fn run(
    pool: &Pool<Py<Future>>,
    record: &pool::Worker,
    thread: ThisThread<'_>,
    future: &Bound<'_, Future>,
    call: Call,
    now: Instant,
) -> PyResult<Instant> {
    let begun = record.begin(call.submitted, now);
    let is_traced = trace::is_on();
    if is_traced {
        traced::begins(pool, &call, future, true);
    }
    let (_, ended) = call::run(call, future, thread, record);
    if is_traced {
        traced::ends();
    }
    let now = Instant::now();
    record.end(begun, now);
    if let Err(error) = ended {
        report_end(future, error)?;
    }
    Ok(now)
}

impl Worker {
    pub(super) fn new(
        pool: &Arc<Pool<Py<Future>>>,
        record: Arc<pool::Worker>,
        idle_timeout: Option<Duration>,
    ) -> Self {
        Self {
            member: PoolMember {
                pool: Arc::clone(pool),
                record,
                helps: pool.is_helping(),
                help,
            },
            idle_timeout,
            was_counted: AtomicBool::new(false),
        }
    }

    /// Waits for a call from the queue. `Err`: what the worker has to do instead.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Result<Bound<'py, Future>, Next<()>>> {
        let (mut take, deadline) = match self.idle_timeout {
            None => (self.member.pool.take(), Deadline::NEVER),
            Some(timeout) => {
                let take = self.member.pool.take().or_leave(&self.member.record);
                (take, Deadline::after(timeout))
            }
        };
        Ok(match block::wait(py, &mut take, deadline)? {
            Some(Next::Job(future)) => Ok(future.into_bound(py)),
            Some(Next::Closed) => Err(Next::Closed),
            Some(Next::FellBack) => {
                self.was_counted.store(true, Ordering::Relaxed);
                Err(Next::Closed)
            }
            Some(Next::Dismissed) => Err(Next::Dismissed),
            Some(Next::Again | Next::Mark) | None => Err(Next::Again),
        })
    }
}

#[pymethods]
impl Worker {
    /// Whether the worker was idle when the pool fell back to the standard library. If so, the semaphore of the
    /// standard pool counts it.
    #[getter]
    fn was_counted(&self) -> bool {
        self.was_counted.load(Ordering::Relaxed)
    }

    /// Wait for pending calls and run some of them in this thread.
    ///
    /// Returns:
    ///     True to be called again; False if no call is pending and the pool is closed; None if no call came
    ///     within the idle timeout, so that the worker has lost its place.
    ///
    /// It returns regularly so that the caller executes bytecode; calls of C functions execute none. Only between
    /// bytecodes does an interpreter let other threads run, collect garbage and, without a GIL, free objects
    /// that this thread made and another thread released.
    fn work(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let _current = CurrentGuard::new(&self.member);
        let thread = ThisThread::new(py);
        let mut now = None;
        for count in 0..CALLS_PER_RUN {
            if thread.has_exception() {
                // The interpreter raises it in the caller. Check before a call is taken, because that call would
                // be lost.
                break;
            }
            let future = match self.member.pool.try_take_as(&self.member.record) {
                Some(future) => future.into_bound(py),
                // Execute bytecode before a sleep, too.
                None if count > 0 => break,
                None => match self.next(py)? {
                    Ok(future) => future,
                    Err(Next::Closed) => return Ok(Some(false)),
                    Err(Next::Dismissed) => return Ok(None),
                    Err(_) => break,
                },
            };
            let settle = SettleOnPanic(&future);
            let published = publish(&self.member, &future);
            match Future::start(&future) {
                Ok(Started::Call(call)) => {
                    let begin = now.take().unwrap_or_else(Instant::now);
                    let (pool, record) = (&self.member.pool, &self.member.record);
                    now = Some(run(pool, record, thread, &future, call, begin)?);
                }
                Ok(Started::Elsewhere) => self.member.pool.forget_stale(),
                Ok(Started::Cancelled(call)) => profiled::cancelled(py, &call),
                Err(error) => report(py, error)?,
            }
            drop(published);
            drop(settle);
            foreign::release(future.into_any());
        }
        Ok(Some(true))
    }
}
