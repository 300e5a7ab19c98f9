//! How a future that is done is handed over to an event loop of asyncio.
//!
//! `asyncio.wrap_future`, and with it `run_in_executor` and `to_thread`, adds a done callback to the future, which is
//! called a *link* here. It calls `loop.call_soon_threadsafe`, and this does two things. It adds a handle to those that
//! the loop will run, and it writes a byte to the loop's own socket, which ends the loop's sleep. The write is a system
//! call that releases the GIL. It costs more than everything else that a pool does for the call, and it is seldom needed:
//! when a thousand calls end one after another, the first of them wakes the loop.
//!
//! So this file does what a link does, but writes only if the loop may not be awake otherwise. The handles are the same,
//! and in the same order.
//!
//! **Why no wake is lost.** The loop sleeps only if no handle was there when it looked. Suppose that it does, and let F
//! be the first handle that a link has added since. F has no handle of a link before it, so a byte is written after F was
//! added. A later handle H needs none if a handle P of a link is directly before it. P is still there when that is looked
//! at, after H was added, so the loop has not run P yet. Either it sleeps, and the byte that was written for P, or for the
//! handle on which P relied in turn, wakes it. Or it is awake, and finds H before it sleeps again. Handles that the program
//! has added do not count: it may have added them in a wrong thread by `call_soon`, for which nobody writes.
//!
//! **When it is not done.** asyncio's own functions are called if anything is not as expected: another class of loop, a
//! loop or a class in which a program has replaced one of the methods, the debug mode, a version of asyncio that is not
//! known here.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFunction, PyString, PyTuple, PyType};

use crate::bindings::fallback;
use crate::bindings::future::Future;
use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::Lazy;
use crate::bindings::runtime::type_question;

/// A method of the loop, the module that must have written it, and the names that its code uses, in this order.
struct Method {
    name: &'static str,
    module: &'static str,
    uses: &'static [&'static [&'static str]],
}

/// What a link calls, and what runs handles. That of which no names are given may use any.
const METHODS: [Method; 6] = [
    Method {
        name: "call_soon_threadsafe",
        module: "asyncio.base_events",
        uses: &[
            &[
                "_check_closed",
                "_debug",
                "_check_callback",
                "_call_soon",
                "_source_traceback",
                "_write_to_self",
            ],
            &[
                "_check_closed",
                "_debug",
                "_check_callback",
                "events",
                "_ThreadSafeHandle",
                "_ready",
                "append",
                "_source_traceback",
                "_write_to_self",
            ],
        ],
    },
    Method {
        name: "_call_soon",
        module: "asyncio.base_events",
        uses: &[&["events", "Handle", "_source_traceback", "_ready", "append"]],
    },
    Method {
        name: "_check_closed",
        module: "asyncio.base_events",
        uses: &[&["_closed", "RuntimeError"]],
    },
    Method {
        name: "is_closed",
        module: "asyncio.base_events",
        uses: &[&["_closed"]],
    },
    Method {
        name: "_write_to_self",
        module: "asyncio.selector_events",
        uses: &[&["_csock", "send", "OSError", "_debug", "logger", "debug"]],
    },
    Method {
        name: "_run_once",
        module: "asyncio.base_events",
        uses: &[],
    },
];

/// What the code of a link uses: before Python 3.14, and since then.
const LINK_USES: [&[&str]; 2] = [
    &["cancelled", "is_closed", "call_soon_threadsafe"],
    &[
        "cancelled",
        "is_closed",
        "events",
        "_get_running_loop",
        "call_soon_threadsafe",
    ],
];

/// What the function uses that the loop calls.
const SET_STATE_USES: [&[&str]; 1] = [&[
    "isfuture",
    "_copy_future_state",
    "_set_concurrent_future_state",
]];

/// What is known of asyncio.
struct Asyncio {
    /// The code that all links have.
    link: Py<PyAny>,
    /// The code of the functions that links let the loop call.
    set_state: Py<PyAny>,
    /// Where the closure of a link has its variables.
    cells: Cells,
    /// `asyncio.SelectorEventLoop`.
    loop_class: Py<PyType>,
    /// The version of that class when its methods were last found to be asyncio's own.
    own: AtomicU32,
    /// The version of that class when one of them was last found to be another.
    changed: AtomicU32,
    handle: Py<PyType>,
    /// The class of the collection of handles.
    deque: Py<PyType>,
    /// The function that tells which loop runs in this thread, if links ask for that.
    running_loop: Option<Py<PyAny>>,
    /// The names of the module `asyncio.events`, and that of the class of handles there.
    events: Py<PyDict>,
    handle_name: Py<PyString>,
}

struct Cells {
    set_state: usize,
    event_loop: usize,
    destination: usize,
    source_loop: Option<usize>,
}

static ASYNCIO: Lazy<Asyncio> = Lazy::new();

/// The address of the code that all links have; null until the first link is seen. If this version of asyncio is not
/// known, it is [`UNKNOWN`].
static LINK: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// The address of no object.
const UNKNOWN: *mut ffi::PyObject = ptr::without_provenance_mut(1);

/// The address of the code of a function.
#[inline]
fn code_of(function: &Bound<'_, PyFunction>) -> *mut ffi::PyObject {
    // SAFETY: attached, as the lifetime shows; it is a live function. The result is only compared.
    unsafe { ffi::PyFunction_GetCode(function.as_ptr()) }
}

fn code_is(function: &Bound<'_, PyAny>, code: &Py<PyAny>) -> bool {
    let function = function.cast_exact::<PyFunction>();
    function.is_ok_and(|function| ptr::eq(code_of(function), code.as_ptr()))
}

/// Whether the callback is a link.
#[inline]
fn as_link<'a, 'py>(callback: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyFunction>> {
    let callback = callback.cast_exact::<PyFunction>().ok()?;
    let link = LINK.load(Ordering::Acquire);
    let is_link = ptr::eq(code_of(callback), link) || (link.is_null() && is_first_link(callback));
    is_link.then_some(callback)
}

/// Whether the callback is the first link that is seen. If so, asyncio is known afterwards.
fn is_first_link(callback: &Bound<'_, PyFunction>) -> bool {
    // SAFETY: attached, as the lifetime shows; this makes a pointer into a live function, and reads nothing.
    let name = unsafe { &raw mut (*callback.as_ptr().cast::<ffi::PyFunctionObject>()).func_name };
    // SAFETY: it is aligned as the field is. Without a GIL, another thread may write it at the same time, as a whole.
    let name = unsafe { AtomicPtr::from_ptr(name) }.load(Ordering::Relaxed);
    // The names of functions are interned.
    ptr::eq(name, intern!(callback.py(), "_call_set_state").as_ptr()) && learn(callback)
}

/// Finds out what has to be known of asyncio. Returns whether the callback is a link, and all is as expected.
#[cold]
#[inline(never)]
fn learn(callback: &Bound<'_, PyFunction>) -> bool {
    let py = callback.py();
    let Ok(Some(futures)) = module(py, "asyncio.futures") else {
        return false;
    };
    if !is_of(callback, &futures).unwrap_or(false) {
        return false; // a program's own function of this name
    }
    let found = ASYNCIO.get_or_make(|| {
        let found = Asyncio::find(callback)?;
        found.ok_or_else(|| PyRuntimeError::new_err("this version of asyncio is not known"))
    });
    let link = found.map_or(UNKNOWN, |asyncio| asyncio.link.as_ptr());
    LINK.store(link, Ordering::Release);
    ptr::eq(code_of(callback), link)
}

/// The module, if the program has imported it.
fn module<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let modules = py.import(intern!(py, "sys"))?.getattr("modules")?;
    modules.cast::<PyDict>()?.get_item(name)
}

/// Whether the function was written in the module.
fn is_of(function: &Bound<'_, PyAny>, module: &Bound<'_, PyAny>) -> PyResult<bool> {
    let names = module.getattr(intern!(module.py(), "__dict__"))?;
    Ok(function
        .getattr(intern!(module.py(), "__globals__"))?
        .is(&names))
}

/// The strings of an attribute of the code of a function.
fn strings(function: &Bound<'_, PyAny>, attribute: &str) -> PyResult<Vec<String>> {
    function.getattr("__code__")?.getattr(attribute)?.extract()
}

fn uses(function: &Bound<'_, PyAny>, accepted: &[&[&str]]) -> PyResult<bool> {
    let used = strings(function, "co_names")?;
    Ok(accepted.is_empty() || accepted.iter().any(|names| used == *names))
}

impl Asyncio {
    fn find(link: &Bound<'_, PyFunction>) -> PyResult<Option<Self>> {
        let py = link.py();
        let variables = strings(link, "co_freevars")?;
        let place = |name| variables.iter().position(|variable| variable == name);
        let (Some(set_state), Some(event_loop), Some(destination)) = (
            place("_set_state"),
            place("dest_loop"),
            place("destination"),
        ) else {
            return Ok(None);
        };
        let cells = Cells {
            set_state,
            event_loop,
            destination,
            source_loop: place("source_loop"),
        };
        let function = variable(link, set_state)?;
        let (Some(unix_events), Some(events), Some(collections)) = (
            module(py, "asyncio.unix_events")?,
            module(py, "asyncio.events")?,
            module(py, "collections")?,
        ) else {
            return Ok(None);
        };
        if !uses(link, &LINK_USES)? || !uses(&function, &SET_STATE_USES)? {
            return Ok(None);
        }
        let asks_for_running_loop =
            strings(link, "co_names")?.contains(&"_get_running_loop".to_owned());
        let loop_class = unix_events.getattr("SelectorEventLoop")?;
        let adds = strings(&loop_class.getattr("call_soon_threadsafe")?, "co_names")?;
        let handle_name = if adds.contains(&"_ThreadSafeHandle".to_owned()) {
            "_ThreadSafeHandle"
        } else {
            "Handle"
        };
        Ok(Some(Self {
            link: link.getattr("__code__")?.unbind(),
            set_state: function.getattr("__code__")?.unbind(),
            cells,
            loop_class: loop_class.cast_into::<PyType>()?.unbind(),
            own: AtomicU32::new(0),
            changed: AtomicU32::new(0),
            handle: events.getattr(handle_name)?.cast_into::<PyType>()?.unbind(),
            deque: (collections.getattr("deque")?)
                .cast_into::<PyType>()?
                .unbind(),
            running_loop: if asks_for_running_loop {
                Some(events.getattr("_get_running_loop")?.unbind())
            } else {
                None
            },
            events: (events.getattr("__dict__")?)
                .cast_into::<PyDict>()?
                .unbind(),
            handle_name: PyString::intern(py, handle_name).unbind(),
        }))
    }

    /// Whether the class of the loop is asyncio's, as asyncio has written it.
    #[inline]
    fn knows(&self, class: &Bound<'_, PyType>) -> bool {
        let version = type_question::version_of(class);
        class.is(&self.loop_class)
            && ((version != 0 && version == self.own.load(Ordering::Relaxed))
                || self.check_class(class, version).unwrap_or(false))
    }

    #[cold]
    #[inline(never)]
    fn check_class(&self, class: &Bound<'_, PyType>, version: u32) -> PyResult<bool> {
        if version != 0 && version == self.changed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let py = class.py();
        // A lookup gives the class a version, if it has none.
        class.getattr(intern!(py, "__hash__"))?;
        let before = type_question::version_of(class);
        let mut is_own = true;
        for method in &METHODS {
            let function = class.getattr(method.name)?;
            is_own = is_own
                && function.is_exact_instance_of::<PyFunction>()
                && match module(py, method.module)? {
                    Some(module) => is_of(&function, &module)?,
                    None => false,
                }
                && uses(&function, method.uses)?;
        }
        if before == type_question::version_of(class) {
            let answer = if is_own { &self.own } else { &self.changed };
            answer.store(before, Ordering::Relaxed);
        }
        Ok(is_own)
    }

    /// Whether the handle was added by a link of one of our futures.
    fn is_from_link(&self, handle: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = handle.py();
        if !handle.get_type().is(&self.handle)
            || !code_is(&handle.getattr(intern!(py, "_callback"))?, &self.set_state)
        {
            return Ok(false);
        }
        let arguments = handle.getattr(intern!(py, "_args"))?;
        let source = arguments.cast::<PyTuple>()?.get_item(1)?;
        Ok(source.cast::<Future>().is_ok())
    }

    /// Whether a byte that wakes the loop for the handle was written for another one, or is about to be.
    fn is_woken(&self, ready: &Bound<'_, PyAny>, handle: &Bound<'_, PyAny>) -> PyResult<bool> {
        if ready.len()? < 2 {
            return Ok(false);
        }
        // The first one is before this one, or the loop has run this one.
        let first = at(ready, 0)?;
        if !first.is(handle) && self.is_from_link(&first)? {
            return Ok(true);
        }
        // Without a GIL, the list may change at any time. If this one is the last one afterwards, it was so when the one
        // before it was read.
        let before = at(ready, -2)?;
        Ok(!before.is(handle) && self.is_from_link(&before)? && at(ready, -1)?.is(handle))
    }

    /// Does what the link does. `false`: it did nothing.
    fn follow(&self, future: &Bound<'_, Future>, link: &Bound<'_, PyFunction>) -> PyResult<bool> {
        let py = future.py();
        let event_loop = variable(link, self.cells.event_loop)?;
        if !self.knows(&event_loop.get_type()) {
            return Ok(false);
        }
        if let Some(place) = self.cells.source_loop
            && !variable(link, place)?.is_none()
        {
            return Ok(false);
        }
        if let Some(function) = &self.running_loop
            && function.bind(py).call0()?.is(&event_loop)
        {
            return Ok(false);
        }
        let names = fallback::dictionary(&event_loop)?;
        for name in [
            intern!(py, "call_soon_threadsafe"),
            intern!(py, "_call_soon"),
            intern!(py, "_write_to_self"),
            intern!(py, "_check_closed"),
            intern!(py, "is_closed"),
        ] {
            if names.contains(name)? {
                return Ok(false);
            }
        }
        let is_false = |name| -> PyResult<bool> {
            let value = names.get_item(name)?;
            Ok(value.is_some_and(|value| value.is(&*PyBool::new(py, false))))
        };
        if !is_false(intern!(py, "_debug"))? || !is_false(intern!(py, "_closed"))? {
            return Ok(false);
        }
        let Some(ready) = names.get_item(intern!(py, "_ready"))? else {
            return Ok(false);
        };
        let set_state = variable(link, self.cells.set_state)?;
        let present = self.events.bind(py).get_item(self.handle_name.bind(py))?;
        if !ready.get_type().is(&self.deque)
            || !code_is(&set_state, &self.set_state)
            || !present.is_some_and(|class| class.is(&self.handle))
        {
            return Ok(false);
        }
        let destination = variable(link, self.cells.destination)?;
        let arguments = (set_state, (destination, future), event_loop).into_pyobject(py)?;
        let handle = foreign::call(self.handle.bind(py), &arguments, None)?;
        ready.call_method1(intern!(py, "append"), (&handle,))?;
        if !self.is_woken(&ready, &handle).unwrap_or(false) {
            // A signal handler may end the first attempt by an exception. Other handles may already rely on it.
            if let Err(error) = write(&names) {
                let _ = write(&names);
                return Err(error);
            }
        }
        Ok(true)
    }
}

/// The value of a variable in the closure of the function.
fn variable<'py>(function: &Bound<'py, PyFunction>, place: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    // SAFETY: attached, as the lifetime shows; it is a live function.
    let closure = unsafe { ffi::PyFunction_GetClosure(function.as_ptr()) };
    // SAFETY: attached; it is a tuple, or null. A function keeps the one that it was made with.
    let closure = unsafe { Bound::from_borrowed_ptr_or_opt(py, closure) };
    let closure = closure.ok_or_else(|| PyRuntimeError::new_err("no closure"))?;
    let cell = closure.cast::<PyTuple>()?.get_borrowed_item(place)?;
    // SAFETY: attached; a closure has cells only.
    let value = unsafe { ffi::PyCell_Get(cell.as_ptr()) };
    // SAFETY: attached; it is a new reference, or null if the variable has no value.
    let value = unsafe { Bound::from_owned_ptr_or_opt(py, value) };
    value.ok_or_else(|| PyRuntimeError::new_err("a variable without a value"))
}

fn at<'py>(ready: &Bound<'py, PyAny>, place: isize) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached, as the lifetime shows; it is a live object.
    let item = unsafe { ffi::PySequence_GetItem(ready.as_ptr(), place) };
    // SAFETY: attached; the function returned a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(ready.py(), item) }
}

/// Wakes the loop, as its method `_write_to_self` does.
fn write(names: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = names.py();
    let socket = names.get_item(intern!(py, "_csock"))?;
    let Some(socket) = socket.filter(|socket| !socket.is_none()) else {
        return Ok(()); // the loop is being closed
    };
    let send = foreign::attribute(&socket, intern!(py, "send"))?;
    match foreign::call(&send, &PyTuple::new(py, [PyBytes::new(py, b"\0")])?, None) {
        Err(error) if !error.is_instance_of::<PyOSError>(py) => Err(error),
        _ => Ok(()), // if it could not be written, the socket is full and the loop awake, or it is closed
    }
}

/// Does what the callback does, if it is a link. `false`: the callback must be called.
#[inline]
pub(super) fn hand_over(future: &Bound<'_, Future>, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    match as_link(callback) {
        None => Ok(false),
        Some(link) => follow(future, link),
    }
}

#[inline(never)]
fn follow(future: &Bound<'_, Future>, link: &Bound<'_, PyFunction>) -> PyResult<bool> {
    match ASYNCIO.get() {
        Some(asyncio) => asyncio.follow(future, link),
        None => Ok(false),
    }
}
