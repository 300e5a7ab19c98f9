//! The Python module: the classes and functions that Python code sees, on top of [`crate::primitives`].
//!
//! The primitives have the algorithms: who waits, who is woken, which item is next. The bindings decide what
//! depends on Python: what an argument means, which exception is raised, when signal handlers run, and when an
//! object uses the standard library instead of the primitive.
//!
//! * `runtime/`: what all the classes need from the interpreter; for example blocking, calls of a program's code, the
//!   fast paths of methods, and errors.
//! * `threading/`: `Lock`, `RLock`, `Condition`, `Semaphore`, `Event`, `Barrier`.
//! * `queue/`: `Queue` and its subclasses, and `SimpleQueue`.
//! * `future/`: `Future`, and waits for many futures.
//! * `aio/`: the objects as coroutines wait for them.
//! * `executor/`: `ThreadPoolExecutor` and its workers.
//! * `channels/`: `Channel`, `Broadcast` and `Watch`.
//! * `waiting/`: `select`, which waits for the first of several objects.
//! * `tasks/`: cancel scopes and groups of tasks; `task.rs`: the tasks, as executors run them.
//! * `progress.rs`: `Executor.map(progress=...)`.
//! * `diagnose/`: what reports of hangs ask the engine.
//! * `fallback.rs`: how an object falls back to the standard library.
//! * `function.rs`: methods that look like Python functions.
//! * `registry.rs`: the classes that have fast paths, those that are native halves, and those with lazy imports.
//! * `hooks.rs`: the Python methods that Rust calls by name.
//!
//! # Native halves
//!
//! Most classes here are the *native half* of a Python class, which derives from the native half and from the
//! standard class. An object runs natively at first: its methods use the primitive. If a program uses an internal
//! of the standard class, the object falls back to the standard library. Then the primitive is marked as fallen
//! back, and the methods of the standard class serve the object from then on.
//!
//! # Rules
//!
//! * Only `runtime/block.rs` releases the interpreter to block. After a sleep, and before the thread takes
//!   anything, it checks there for exceptions that must be raised in the thread
//!   (`runtime/asynchronous.rs`).
//! * The most frequent methods have a fast path (`runtime/fast_path.rs`).
//! * Code that a program may have written is called only through `runtime/foreign.rs`, because a daemon
//!   thread may be ended in such a call when the interpreter exits.
//! * Under a leaf lock, only two things of Python happen: reference counts are increased, and plain numbers and
//!   strings are compared (`queue/item.rs`). An object that must be dropped is moved out of the locked data, and
//!   dropped after the lock was released.

use pyo3::prelude::*;

mod aio;
mod channels;
mod diagnose;
mod executor;
mod fallback;
mod function;
mod future;
mod hooks;
mod parent_process;
mod progress;
mod queue;
mod registry;
mod runtime;
mod task;
mod tasks;
mod threading;
mod waiting;

/// Refuses the import where the kernel lets no thread sleep.
///
/// # Errors
/// ImportError.
fn check_sleep() -> PyResult<()> {
    crate::wait::can_sleep().map_err(|error| {
        pyo3::exceptions::PyImportError::new_err(format!(
            "oxthreads cannot be used here: the kernel refuses the system call {}, by which threads sleep and are \
             woken ({error}); a sandbox may forbid it",
            crate::wait::PARKER
        ))
    })
}

/// Let the leaf section with that number, counted from now on, panic in this thread; zero means none. Return how many
/// sections were left until the panic that was requested before.
#[cfg(feature = "inject-panic")]
#[pyo3::pyfunction]
fn panic_in_section(number: usize) -> usize {
    crate::wait::inject::panic_in_section(number)
}

/// The native half of oxthreads; use `oxthreads.threading`, `oxthreads.queue` and
/// `oxthreads.concurrent.futures`.
#[pymodule]
mod _oxthreads {
    use super::{Bound, PyModule, PyResult, wrap_pyfunction};
    use pyo3::types::PyModuleMethods;

    #[pymodule_export]
    use super::aio::{
        AsyncBroadcast, AsyncChannel, AsyncDelayQueue, AsyncEvent, AsyncFuture, AsyncHold,
        AsyncLimiter, AsyncLock, AsyncQueue, AsyncRWLock, AsyncSemaphore, AsyncSimpleQueue,
        AsyncSubscription, AsyncWatch, AsyncWatchReader, Wait, refuse_files, select_async,
        wait_at_barrier, wait_notified, waiting_coroutines,
    };
    #[pymodule_export]
    use super::channels::{Broadcast, Channel, Subscription, Watch, WatchReader};
    #[pymodule_export]
    use super::diagnose::{
        ExitWait, Pin, PoolLedger, Recording, ThreadOrder, address_of, asleep, before_start,
        call_before_interrupt, end_of_thread, follow_lock, follow_thread, forget_label,
        generation_of, group_name, hold_watcher, is_of_parent, join_handle, join_outside, label_of,
        last_missed, lock_order_counts, looking_for_signals, origin_of, own_threads, own_wait,
        pools, profile_runs, record_waits, release_watcher, release_watcher_in_child, set_label,
        start_lock_order, start_metrics, start_profile, start_trace, start_watcher,
        stop_lock_order, stop_metrics, stop_profile, stop_trace, stop_watcher, take_verdict,
        takers_of, thread_number, threads_alive, trace_runs, wait_counts, waits_going_on,
    };
    #[pymodule_export]
    use super::executor::{
        Place, ThreadPoolExecutor, WorkQueue, Worker, close_executors, register, versions,
    };
    #[pymodule_export]
    use super::fallback::dictionary;
    #[pymodule_export]
    use super::future::{Completions, Future, Observer, StandIn};
    #[pymodule_export]
    use super::parent_process::end_with;
    #[pymodule_export]
    use super::progress::Progress;
    #[pymodule_export]
    use super::queue::{DelayQueue, Queue, QueueIterator, Scheduled, SimpleQueue};
    #[pymodule_export]
    use super::registry::{install_in, preload, set_questions};
    #[pymodule_export]
    use super::runtime::cancellation::Cancelled;
    #[pymodule_export]
    use super::runtime::standard_frames::put_standard_frames;
    #[pymodule_export]
    use super::task::TaskCall;
    #[pymodule_export]
    use super::tasks::{
        CancelScope, TaskGroup, check_cancelled, is_in_scope, scope_after, sleep, task_groups,
    };
    #[pymodule_export]
    use super::threading::{
        Barrier, Condition, ConditionWaiter, Event, FlightTable, Flights, Limiter, Lock, Once,
        RLock, RWLock, ReadHold, Semaphore, ThreadHandle, WriteHold, call_once, close_kept_threads,
        exchange_item, hold_kept_threads, kept_threads_now, release_kept_threads, set_local_keys,
        stack_size_now, start_reused,
    };
    #[cfg(unix)]
    #[pymodule_export]
    use super::waiting::Readable;
    #[pymodule_export]
    use super::waiting::{GetMany, Put, Timer, select};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::check_sleep()?;
        module.add("PARKER", crate::wait::PARKER)?;
        super::runtime::interpreter::claim(module.py())?;
        super::runtime::errors::prepare(module.py())?;
        super::runtime::asynchronous::prepare(module.py())?;
        super::runtime::interpreter::attach_once(module.py());
        super::runtime::frame_memory::keep(module.py());
        #[cfg(not(Py_3_12))]
        module.py().import("oxthreads._collector_at_exit")?;
        // Under another name than its own, `Lock`, because here that is the name of the class.
        module.add(
            "allocate_lock",
            wrap_pyfunction!(super::threading::allocate_lock, module)?,
        )?;
        #[cfg(feature = "inject-panic")]
        module.add(
            "panic_in_section",
            wrap_pyfunction!(super::panic_in_section, module)?,
        )?;
        crate::wait::follow_forks();
        super::registry::install_all(module.py())?;
        Ok(())
    }
}
