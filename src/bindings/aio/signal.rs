//! What a suspended task of asyncio waits for.
//!
//! It does what asyncio's Future does for a task, and one thing more: it can be told again. When a future is done, and its
//! call of the loop's `call_soon` raises, because a signal handler did or the recursion is too deep, the future has
//! forgotten its callbacks, and the task sleeps for ever.

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::bindings::runtime::foreign;
use crate::bindings::runtime::lazy::LazyImport;

static CANCELLED: LazyImport<PyType> = LazyImport::new(("asyncio.exceptions", "CancelledError"));
static INVALID_STATE: LazyImport<PyType> =
    LazyImport::new(("asyncio.exceptions", "InvalidStateError"));

/// How it is over.
enum End {
    Woken,
    /// With the message of the cancellation.
    Cancelled(Option<Py<PyAny>>),
}

struct Callback {
    function: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

struct State {
    end: Option<End>,
    /// The task's wakeup, until it is called.
    callbacks: Vec<Callback>,
    /// What asyncio notes here, to tell `await` from `yield`.
    is_blocking: Option<bool>,
}

/// What a suspended task of asyncio waits for.
#[pyclass(frozen, weakref, module = "oxthreads._oxthreads", name = "_Signal")]
pub(super) struct Signal {
    event_loop: Py<PyAny>,
    /// No code of Python runs while it is held.
    state: Mutex<State>,
}

impl Signal {
    pub(super) fn new(event_loop: Py<PyAny>) -> Self {
        Self {
            event_loop,
            state: Mutex::new(State {
                end: None,
                callbacks: Vec::new(),
                is_blocking: Some(true),
            }),
        }
    }

    /// Wakes the task. If that fails, it can be repeated, and it does no harm to do so when it has not failed.
    ///
    /// # Errors
    /// What the loop, or a signal handler, has raised.
    pub(super) fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let contexts: Vec<_> = {
            let mut state = slf.get().state.lock();
            state.end.get_or_insert(End::Woken);
            Self::contexts(slf.py(), &state)
        };
        Self::call_soon(slf, contexts)
    }

    /// What is called when it is over; `None`: it is over, or nothing waits for it.
    pub(super) fn callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let state = self.state.lock();
        let callback = state.callbacks.first().filter(|_| state.end.is_none())?;
        Some(callback.function.clone_ref(py))
    }

    fn contexts(py: Python<'_>, state: &State) -> Vec<Option<Py<PyAny>>> {
        (state.callbacks.iter())
            .map(|callback| {
                callback
                    .context
                    .as_ref()
                    .map(|context| context.clone_ref(py))
            })
            .collect()
    }

    /// Lets the loop call this object, once for each callback, in its context.
    fn call_soon(slf: &Bound<'_, Self>, contexts: Vec<Option<Py<PyAny>>>) -> PyResult<()> {
        let py = slf.py();
        for context in contexts {
            let keywords = match context {
                Some(context) => {
                    let keywords = PyDict::new(py);
                    keywords.set_item(intern!(py, "context"), context)?;
                    Some(keywords)
                }
                None => None,
            };
            let event_loop = slf.get().event_loop.bind(py);
            foreign::call_method(event_loop, "call_soon", (slf,), keywords.as_ref())?;
        }
        Ok(())
    }
}

#[pymethods]
impl Signal {
    /// What the loop calls. Nothing, if it was asked twice.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let callback = {
            let mut state = slf.get().state.lock();
            if state.callbacks.is_empty() {
                return Ok(());
            }
            state.callbacks.remove(0)
        };
        let function = callback.function.bind(slf.py());
        foreign::call(function, &PyTuple::new(slf.py(), [slf])?, None).map(drop)
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> Option<bool> {
        self.state.lock().is_blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_is_blocking(&self, is_blocking: Option<bool>) {
        self.state.lock().is_blocking = is_blocking;
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.event_loop.bind(py)
    }

    fn done(&self) -> bool {
        self.state.lock().end.is_some()
    }

    fn cancelled(&self) -> bool {
        matches!(self.state.lock().end, Some(End::Cancelled(_)))
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let message = match &self.state.lock().end {
            Some(End::Woken) => return Ok(()),
            Some(End::Cancelled(message)) => {
                Some(message.as_ref().map(|message| message.clone_ref(py)))
            }
            None => None,
        };
        Err(match message {
            Some(Some(message)) => PyErr::from_value(CANCELLED.get(py)?.call1((message,))?),
            Some(None) => PyErr::from_value(CANCELLED.get(py)?.call0()?),
            None => PyErr::from_value(INVALID_STATE.get(py)?.call1(("the task still waits",))?),
        })
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }

    #[pyo3(signature = (function, /, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        function: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let contexts = {
            let mut state = slf.get().state.lock();
            let other = context.as_ref().map(|context| context.clone_ref(py));
            state.callbacks.push(Callback { function, context });
            match state.end {
                Some(_) => vec![other],
                None => return Ok(()),
            }
        };
        Self::call_soon(slf, contexts)
    }

    #[pyo3(signature = (function, /))]
    fn remove_done_callback(&self, function: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = function.py();
        let known: Vec<_> = (self.state.lock().callbacks.iter())
            .map(|callback| callback.function.clone_ref(py))
            .collect();
        let mut removed = Vec::new();
        for other in known {
            if other.bind(py).eq(function)? {
                let mut state = self.state.lock();
                let place = (state.callbacks.iter()).position(|known| known.function.is(&other));
                removed.extend(place.map(|place| state.callbacks.remove(place)));
            }
        }
        Ok(removed.len())
    }

    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let contexts = {
            let mut state = slf.get().state.lock();
            if state.end.is_some() {
                return Ok(false);
            }
            state.end = Some(End::Cancelled(msg));
            Self::contexts(slf.py(), &state)
        };
        Self::call_soon(slf, contexts)?;
        Ok(true)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let end = match slf.get().state.lock().end {
            None => "pending",
            Some(End::Woken) => "finished",
            Some(End::Cancelled(_)) => "cancelled",
        };
        format!("<signal of oxthreads {end} at {:p}>", slf.as_ptr())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        let Some(state) = self.state.try_lock() else {
            return Ok(());
        };
        for callback in &state.callbacks {
            visit.call(&callback.function)?;
            visit.call(&callback.context)?;
        }
        match &state.end {
            Some(End::Cancelled(message)) => visit.call(message),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        let callbacks = std::mem::take(&mut self.state.lock().callbacks);
        drop(callbacks);
    }
}
