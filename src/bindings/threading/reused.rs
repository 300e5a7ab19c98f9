//! Python threads in operating system threads that are used again: `oxthreads.threading.reuse_threads`.
//!
//! `primitives/kept_threads.rs` has the operating system threads. Here is what makes each task in them a Python thread
//! of its own.
//!
//! With a GIL, each task gets a new thread state of the interpreter, as a new thread does: its `threading.local` values,
//! contexts, trace functions and pending exceptions cannot be those of an earlier one. Without a GIL a thread state has
//! its own memory for objects, and to give that back takes longer than all the rest. So there the thread keeps its
//! state, and `Surroundings` makes it as new after each task.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyRuntimeError, PySystemExit, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::bindings::runtime::{asynchronous, block, foreign, timeout, undeclared};
use crate::bindings::threading::caller;
use crate::primitives::kept_threads::{self, Current, Identity, Refused};
use crate::wait::deadline::Deadline;
use crate::wait::observe::ThreadNumber;
use crate::wait::sync::{Arc, Mutex};
use crate::wait::{Parked, Waiter, generation, spin, threads};

/// The end of a thread, which others wait for: it takes the place of the handle that `threading.Thread` has from Python
/// 3.13 on.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct ThreadHandle {
    end: Arc<End>,
}

struct End {
    has_come: AtomicBool,
    /// The thread is attached to the interpreter, or was.
    has_begun: AtomicBool,
    /// Those who wait for it.
    waiters: Mutex<Vec<Arc<Waiter>>>,
    /// The thread, as `threading.get_ident()` names it there; zero: it has not begun.
    identifier: AtomicUsize,
    /// Its number; zero: it has not begun.
    number: AtomicU32,
    generation: u32,
}

impl End {
    fn new() -> Self {
        Self {
            has_come: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
            identifier: AtomicUsize::new(0),
            number: AtomicU32::new(0),
            generation: generation(),
        }
    }

    fn come(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock();
            self.has_come.store(true, Ordering::Release);
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters {
            waiter.unpark();
        }
    }

    /// Whether the thread has ended. In a forked child, the parent's threads have, but for the one that has forked.
    fn is_here(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
            || (generation() != self.generation
                && ThreadNumber::from_number(self.number.load(Ordering::Relaxed))
                    .is_none_or(threads::is_of_parent))
    }

    /// Lets the thread run until it sleeps for the first time or ends, but not for long. The caller has the GIL, and may
    /// have to wait for a few steps of the thread: so it asks for the GIL only when the thread has taken these.
    fn let_it_begin(&self, py: Python<'_>) {
        py.detach(|| {
            let released = block::count_release();
            if spin::can_succeed() {
                spin::if_of_use(spin::FOR_TASK, || {
                    self.has_come.load(Ordering::Relaxed)
                        || (self.has_begun.load(Ordering::Relaxed)
                            && (cfg!(Py_GIL_DISABLED) || block::releases() != released))
                });
            } else {
                std::thread::yield_now();
            }
        });
    }

    fn leave(&self, waiter: &Arc<Waiter>) {
        let mut waiters = self.waiters.lock();
        waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// Waits for it. Returns when it has come, or the deadline has passed.
    fn wait(&self, py: Python<'_>, deadline: Deadline) -> PyResult<()> {
        let waiter = Waiter::new();
        loop {
            {
                let mut waiters = self.waiters.lock();
                if self.is_here() {
                    return Ok(());
                }
                waiters.push(Arc::clone(&waiter));
            }
            let parked = py.detach(|| {
                block::count_release();
                let limit = deadline.remaining().unwrap_or(spin::FOR_TASK);
                spin::if_of_use(limit.min(spin::FOR_TASK), || waiter.is_notified());
                waiter.park(deadline)
            });
            self.leave(&waiter);
            if self.is_here() {
                return Ok(());
            }
            // A handler may use this thread's handle too, so this one waits nowhere meanwhile.
            asynchronous::check(py)?;
            if parked == Parked::TimedOut {
                return Ok(());
            }
        }
    }
}

#[pymethods]
impl ThreadHandle {
    #[new]
    fn new() -> Self {
        Self {
            end: Arc::new(End::new()),
        }
    }

    /// The thread, as threading.get_ident() names it there.
    #[getter]
    fn ident(&self) -> usize {
        self.end.identifier.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended.
    fn is_done(&self) -> bool {
        self.end.is_here()
    }

    /// Treat the thread as one that has ended.
    fn _set_done(&self) {
        self.end.come();
    }

    /// Wait until the thread has ended, or the time is over.
    ///
    /// Args:
    ///     timeout (int, float or None): seconds. None, or less than zero: no limit.
    ///
    /// Raises:
    ///     RuntimeError: it is the calling thread.
    #[pyo3(signature = (timeout=None, /))]
    fn join(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let deadline = match timeout {
            None => Deadline::NEVER,
            Some(timeout) => deadline(timeout)?,
        };
        if self.is_done() {
            return Ok(());
        }
        if self.ident() == usize::try_from(caller(py)).unwrap_or(0) {
            return Err(PyRuntimeError::new_err("Cannot join current thread"));
        }
        self.end.wait(py, deadline)
    }

    fn __repr__(&self) -> String {
        format!("<oxthreads.ThreadHandle object: ident={}>", self.ident())
    }
}

/// As the standard handle reads its timeout.
fn deadline(timeout: &Bound<'_, PyAny>) -> PyResult<Deadline> {
    let seconds = timeout::number(timeout)?;
    if seconds.is_nan() {
        return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
    }
    // What fits into a count of nanoseconds of 64 bits.
    if seconds.abs() >= 9_223_372_036.0 {
        return Err(PyOverflowError::new_err(
            "timestamp too large to convert to C PyTime_t",
        ));
    }
    Ok(Duration::try_from_secs_f64(seconds).map_or(Deadline::NEVER, Deadline::after))
}

/// Call `bootstrap` in another thread, as `_thread.start_new_thread` does, in a kept one if there is one that fits.
///
/// Args:
///     bootstrap (callable): called without arguments. What it raises is reported by `sys.unraisablehook`.
///     name (str): the name that the interpreter may give the operating system thread.
///     stack_size (int): bytes.
///     keep (float): seconds for which the operating system thread is kept afterwards.
///     handle (ThreadHandle or None): what learns of the thread's begin and end.
///     waits (bool): whether to let the thread run for a moment if it is a kept one: the caller waits for its begin.
///     handed_over (list): what is appended once it is certain that the thread will begin: if it is a kept thread, what
///         threading.get_ident() and threading.get_native_id() return there (int, int), and the task may not have begun;
///         otherwise None. Or False: no thread is started here any more.
///
/// Raises:
///     RuntimeError: the operating system makes no more threads.
#[pyfunction]
#[pyo3(signature = (bootstrap, name, stack_size, keep, handle, waits, handed_over, /))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn start_reused(
    bootstrap: Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    stack_size: usize,
    keep: f64,
    handle: Option<&Bound<'_, ThreadHandle>>,
    waits: bool,
    handed_over: &Bound<'_, PyList>,
) -> PyResult<()> {
    // SAFETY: attached, as the arguments show.
    let interpreter = Interpreter(unsafe { ffi::PyInterpreterState_Get() });
    let name = name.to_string_lossy().into_owned();
    let keep = Duration::try_from_secs_f64(keep).unwrap_or(Duration::MAX);
    let has_handle = handle.is_some();
    let end = handle.map_or_else(
        || Arc::new(End::new()),
        |handle| Arc::clone(&handle.get().end),
    );
    let theirs = Arc::clone(&end);
    let bootstrap = bootstrap.unbind();
    let started_at = block::releases();
    let task = Box::new(move |current: &Current| {
        current.may_be_called(&name);
        run(
            current,
            &interpreter,
            bootstrap,
            &theirs,
            has_handle,
            started_at,
        );
    });
    let identity = match kept_threads::run::<state::State>(task, stack_size, keep) {
        Ok(identity) => identity,
        Err(Refused::Closed) => return handed_over.append(false),
        Err(Refused::NoThread(_)) => {
            return Err(PyRuntimeError::new_err("can't start new thread"));
        }
    };
    let Some(identity) = identity else {
        return handed_over.append(handed_over.py().None());
    };
    end.identifier.store(identity.identifier, Ordering::Relaxed);
    // Before anything else: a signal handler may raise an exception.
    handed_over.append((identity.identifier, identity.native))?;
    if waits || !spin::can_succeed() {
        end.let_it_begin(handed_over.py());
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn identity(identifier: usize) -> Option<Identity> {
    // SAFETY: it has no precondition.
    let native = unsafe { libc::gettid() };
    Some(Identity {
        identifier,
        native: u64::try_from(native).ok()?,
    })
}

/// Not known here without asking the interpreter.
#[cfg(not(target_os = "linux"))]
fn identity(_identifier: usize) -> Option<Identity> {
    None
}

/// The interpreter that has the threads; only one can import this module.
struct Interpreter(*mut ffi::PyInterpreterState);

// SAFETY: the interpreter may be used in any thread. It lives as long as one that it was given to may run Python code.
unsafe impl Send for Interpreter {}

/// Runs the task as a Python thread.
fn run(
    current: &Current,
    interpreter: &Interpreter,
    bootstrap: Py<PyAny>,
    end: &End,
    has_handle: bool,
    started_at: u32,
) {
    block::await_release(started_at, spin::FOR_TASK);
    let Some(attached) = state::Attached::new(interpreter) else {
        // Without memory for a thread state. The objects cannot be freed in this thread.
        std::mem::forget(bootstrap);
        current.begin();
        current.finish();
        end.come();
        return;
    };
    current.begin();
    end.has_begun.store(true, Ordering::Relaxed);
    Python::attach(|py| {
        let identifier = usize::try_from(caller(py)).unwrap_or(0);
        current.is_known_as(|| identity(identifier));
        end.identifier.store(identifier, Ordering::Relaxed);
        end.number
            .store(ThreadNumber::current_or_zero(), Ordering::Relaxed);
        let bootstrap = bootstrap.into_bound(py);
        match foreign::call(&bootstrap, &PyTuple::empty(py), None) {
            Ok(result) => foreign::release(result),
            // As at the end of a thread of the interpreter's own.
            Err(error) if error.is_instance_of::<PySystemExit>(py) => {
                foreign::release(error.into_value(py).into_bound(py).into_any());
            }
            Err(error) => error.write_unraisable(py, Some(&bootstrap)),
        }
        foreign::release(bootstrap);
    });
    attached.end(current, end, has_handle);
}

/// Where the thread state of a free-threaded interpreter has the two objects to which the values of `threading.local`
/// belong: as multiples of the size of a pointer. Zero: not known; then Python code starts no thread here.
static LOCAL_KEYS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Say where the thread state has the two objects to which the values of threading.local belong, as a multiple of the
/// size of a pointer. Only a free-threaded interpreter needs it.
#[pyfunction]
pub(crate) fn set_local_keys(key: usize, sentinel: usize) {
    LOCAL_KEYS[0].store(key, Ordering::Relaxed);
    LOCAL_KEYS[1].store(sentinel, Ordering::Relaxed);
}

/// End the kept threads before a fork. Until release_kept_threads(), none is kept.
#[pyfunction]
pub(crate) fn hold_kept_threads(py: Python<'_>) {
    py.detach(kept_threads::hold);
}

/// After a fork, in the parent: threads are kept again.
#[pyfunction]
pub(crate) fn release_kept_threads() {
    kept_threads::release();
}

/// End the kept threads, before the interpreter exits. No thread is kept any more.
#[pyfunction]
pub(crate) fn close_kept_threads(py: Python<'_>) {
    py.detach(kept_threads::close);
}

/// Return what threading.get_native_id() returns in the threads that are kept now (list of int); 0 where that is not
/// known.
#[pyfunction]
pub(crate) fn kept_threads_now() -> Vec<u64> {
    kept_threads::natives()
}

/// Return the size in bytes of the stack of a new thread: what `threading.stack_size()` was told, or the system's.
/// To ask that function would set the size to zero.
#[pyfunction]
pub(crate) fn stack_size_now(_py: Python<'_>) -> usize {
    // SAFETY: attached, as `_py` shows.
    match unsafe { undeclared::PyThread_get_stacksize() } {
        0 => stack_size::default(),
        size => size,
    }
}

mod stack_size {
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn default() -> usize {
        use std::mem::MaybeUninit;
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: it fills memory for attributes.
        if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
            return 0;
        }
        let mut size = 0;
        // SAFETY: the attributes were filled in, and the place is for such a value.
        unsafe { libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut size) };
        // SAFETY: they were filled in, and are not used after this.
        unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
        size
    }

    /// What the interpreter asks for there.
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn default() -> usize {
        16 * 1024 * 1024
    }
}

type Attach = unsafe extern "C" fn(*mut ffi::PyThreadState);
type UnwindingAttach = unsafe extern "C-unwind" fn(*mut ffi::PyThreadState);

/// Calls a function that takes a thread state, and in which the interpreter may end the thread.
///
/// # Safety
/// What the function asks for.
unsafe fn call_with_state(function: Attach, state: *mut ffi::PyThreadState) {
    // SAFETY: as in `foreign::call`.
    let unwinding: UnwindingAttach =
        unsafe { std::mem::transmute::<Attach, UnwindingAttach>(std::hint::black_box(function)) };
    let guard = foreign::SleepOnUnwind;
    // SAFETY: the caller sees to it.
    unsafe { unwinding(state) };
    std::mem::forget(guard);
}

#[cfg(not(Py_GIL_DISABLED))]
mod state {
    use super::{Current, End, Interpreter, call_with_state};
    use crate::bindings::runtime::{block, undeclared};
    use crate::primitives::kept_threads::Surroundings;
    use pyo3::ffi;

    /// Nothing is kept from one task to the next.
    pub(super) struct State;

    impl Surroundings for State {
        fn begin() -> Self {
            Self
        }

        fn end(self) {}
    }

    /// The thread has a thread state, and is attached to the interpreter.
    pub(super) struct Attached(*mut ffi::PyThreadState);

    impl Attached {
        /// Makes a new thread state. `None`: there is no memory for one.
        pub(super) fn new(interpreter: &Interpreter) -> Option<Self> {
            // SAFETY: the interpreter lives: it does not end before this thread is attached (see `close`). This thread has
            // no state.
            let state = unsafe { ffi::PyThreadState_New(interpreter.0) };
            if state.is_null() {
                return None;
            }
            // SAFETY: the state is new, of this thread, and not attached.
            unsafe { call_with_state(ffi::PyEval_AcquireThread, state) };
            Some(Self(state))
        }

        /// Clears the state, says that the thread has ended, and deletes the state.
        pub(super) fn end(self, current: &Current, end: &End, has_handle: bool) {
            // Without a handle, as before 3.13, nobody waits for `end`: the next step tells that the thread has ended, when
            // everything else is done.
            if !has_handle {
                current.finish();
            }
            // SAFETY: the state is that of this thread, which is attached.
            unsafe { call_with_state(ffi::PyThreadState_Clear, self.0) };
            current.finish();
            // SAFETY: as above; it was cleared, and this thread runs no Python code after that.
            unsafe { undeclared::PyThreadState_DeleteCurrent() };
            block::count_release();
            // Only now, because those who wait for it need the interpreter.
            end.come();
        }
    }
}

#[cfg(Py_GIL_DISABLED)]
mod state {
    use std::cell::Cell;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use super::{Current, End, Interpreter, LOCAL_KEYS, call_with_state};
    use crate::bindings::runtime::undeclared;
    use crate::primitives::kept_threads::Surroundings;
    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    /// How often the values of a thread are dropped before it is given up.
    const ROUNDS: usize = 8;

    thread_local! {
        /// The state of this thread; null: it has none yet.
        static STATE: Cell<*mut ffi::PyThreadState> = const { Cell::new(ptr::null_mut()) };
    }

    /// The thread keeps its thread state from one task to the next.
    pub(super) struct State;

    impl Surroundings for State {
        fn begin() -> Self {
            Self
        }

        fn end(self) {
            let state = STATE.replace(ptr::null_mut());
            if state.is_null() {
                return;
            }
            // SAFETY: the state is that of this thread, and not attached.
            unsafe { call_with_state(ffi::PyEval_AcquireThread, state) };
            // SAFETY: the thread is attached with this state.
            unsafe { call_with_state(ffi::PyThreadState_Clear, state) };
            // SAFETY: as above; it was cleared, and this thread runs no Python code after that.
            unsafe { undeclared::PyThreadState_DeleteCurrent() };
        }
    }

    /// The thread is attached to the interpreter.
    pub(super) struct Attached {
        state: *mut ffi::PyThreadState,
        context: Option<Py<PyAny>>,
    }

    /// Removes an exception that another thread has set for this one, too late. The thread is attached.
    fn forget_exception() {
        // SAFETY: it has no precondition.
        let identifier = unsafe { ffi::PyThread_get_thread_ident() };
        // SAFETY: attached; null removes what is there.
        unsafe { ffi::PyThreadState_SetAsyncExc(identifier.cast_signed(), ptr::null_mut()) };
    }

    impl Attached {
        /// Attaches, with a context of the task's own. `None`: there is no memory for a thread state.
        pub(super) fn new(interpreter: &Interpreter) -> Option<Self> {
            if STATE.get().is_null() {
                // SAFETY: the interpreter lives: it does not end before this thread is attached (see `close`). This
                // thread has no state.
                STATE.set(unsafe { ffi::PyThreadState_New(interpreter.0) });
            }
            let state = STATE.get();
            if state.is_null() {
                return None;
            }
            // SAFETY: the state is that of this thread, and not attached.
            unsafe { call_with_state(ffi::PyEval_AcquireThread, state) };
            forget_exception();
            let context = Python::attach(|py| {
                // SAFETY: attached.
                let context = unsafe { ffi::PyContext_New() };
                // SAFETY: attached; it is a new reference, or null.
                let context = unsafe { Bound::from_owned_ptr_or_opt(py, context) }?;
                // SAFETY: attached; it is a context.
                let status = unsafe { ffi::PyContext_Enter(context.as_ptr()) };
                if let Err(error) = super::reset_hooks(py) {
                    error.write_unraisable(py, None);
                }
                (status == 0).then(|| context.unbind())
            });
            Some(Self { state, context })
        }

        /// Makes the state as new, says that the thread has ended, and detaches.
        pub(super) fn end(mut self, current: &Current, end: &End, _has_handle: bool) {
            if !Python::attach(|py| self.renew(py)) {
                current.end_afterwards();
            }
            current.finish();
            // SAFETY: the state is that of this thread, which is attached.
            unsafe { ffi::PyEval_ReleaseThread(self.state) };
            end.come();
        }

        /// Clears what the interpreter clears when a thread ends. Returns whether nothing is left.
        fn renew(&mut self, py: Python<'_>) -> bool {
            if let Some(context) = self.context.take() {
                // SAFETY: attached; this thread has entered the context.
                unsafe { ffi::PyContext_Exit(context.as_ptr()) };
                drop(context.into_bound(py));
            }
            forget_exception();
            if let Err(error) = super::reset_hooks(py) {
                error.write_unraisable(py, None);
            }
            // What is dropped may run code that makes new values.
            (0..ROUNDS).any(|_| !self.drop_values(py))
        }

        /// Drops the values that belong to the thread. Returns whether there were any.
        fn drop_values(&self, py: Python<'_>) -> bool {
            let mut found = false;
            // SAFETY: attached.
            let values = unsafe { ffi::PyThreadState_GetDict() };
            // SAFETY: attached; it is a borrowed reference, or null.
            let values = unsafe { Bound::from_borrowed_ptr_or_opt(py, values) };
            if let Some(values) = values.and_then(|values| values.cast_into::<PyDict>().ok())
                && !values.is_empty()
            {
                found = true;
                values.clear();
            }
            for place in &LOCAL_KEYS {
                let place = place.load(Ordering::Relaxed);
                if place == 0 {
                    continue;
                }
                // SAFETY: the thread state is larger than that: a pointer was found there.
                let field = unsafe { self.state.cast::<*mut ffi::PyObject>().add(place) };
                // SAFETY: it is a pointer of this thread's state, which only this thread uses.
                let field = unsafe { AtomicPtr::from_ptr(field) };
                let object = field.swap(ptr::null_mut(), Ordering::Relaxed);
                found |= !object.is_null();
                // SAFETY: attached; the state has owned the reference, or it is null.
                drop(unsafe { Bound::from_owned_ptr_or_opt(py, object) });
            }
            found
        }
    }
}

/// Sets the functions of `sys` that belong to a thread as they are in a new one, and forgets its event loop.
#[cfg(Py_GIL_DISABLED)]
fn reset_hooks(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for (get, set) in [("gettrace", "settrace"), ("getprofile", "setprofile")] {
        if !sys.call_method0(get)?.is_none() {
            sys.call_method1(set, (py.None(),))?;
        }
    }
    let hooks = sys.call_method0("get_asyncgen_hooks")?;
    if !hooks.get_item(0)?.is_none() || !hooks.get_item(1)?.is_none() {
        sys.call_method1("set_asyncgen_hooks", (py.None(), py.None()))?;
    }
    if sys
        .call_method0("get_coroutine_origin_tracking_depth")?
        .is_truthy()?
    {
        sys.call_method1("set_coroutine_origin_tracking_depth", (0,))?;
    }
    let modules = sys.getattr("modules")?;
    if let Ok(asyncio) = modules.get_item("_asyncio")
        && !asyncio.call_method0("_get_running_loop")?.is_none()
    {
        asyncio.call_method1("_set_running_loop", (py.None(),))?;
    }
    Ok(())
}
