//! What a profile of waiting is told of the calls of pools. Nothing of this runs unless there is one.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyFunction, PyString, PyType};

use crate::bindings::executor::pools;
use crate::bindings::future::{Call, Future, StandIn};
use crate::bindings::runtime::lazy::lazy_imports;
use crate::bindings::runtime::{code, foreign};
use crate::diagnostics::pools::{self as profiled, CallInProgress, Function};
use crate::diagnostics::profile;
use crate::primitives::pool::Pool;
use crate::wait::observe::ThreadNumber;

/// How many functions that call another one (`functools.partial`) may be around the one that is shown.
const MOST_AROUND: usize = 8;

/// The calling thread begins the call. `None`: no profile runs.
#[inline(always)]
pub(super) fn begin(py: Python<'_>, call: &Call) -> Option<CallInProgress> {
    if profile::is_on() {
        begin_profiled(py, call)
    } else {
        None
    }
}

#[cold]
#[inline(never)]
fn begin_profiled(py: Python<'_>, call: &Call) -> Option<CallInProgress> {
    let function = function_of(call.function.object().bind(py));
    profiled::begin(call.pool, function, call.submitted)
}

/// The call will not begin in this pool.
pub(crate) fn cancelled(py: Python<'_>, call: &Call) {
    if profile::is_on() {
        profiled::cancelled(call.pool, function_of(call.function.object().bind(py)));
    }
}

/// The calling thread becomes a worker of the pool.
pub(super) fn arrives(pool: &Pool<Py<Future>>) {
    if profile::is_on()
        && let Some(thread) = ThreadNumber::current()
    {
        profiled::locate(pool.number(), std::ptr::from_ref(pool).addr());
        profiled::arrives(pool.number(), thread);
    }
}

/// The calling thread is a worker no longer.
pub(super) fn leaves() {
    if profile::is_on() {
        profiled::leaves();
    }
}

lazy_imports! {
    /// The classes of objects that call another function. None of them has code of the program; classes that are
    /// derived from them may.
    pub(super) WRAPPERS;
    METHOD: PyAny = "types", "MethodType";
    PARTIAL: PyAny = "functools", "partial";
}

/// Tells a profile that has begun which workers there are.
pub(crate) fn tell_workers() {
    for pool in pools() {
        for (thread, ..) in pool.workers() {
            if let Some(thread) = ThreadNumber::from_number(thread) {
                profiled::locate(pool.number(), std::ptr::from_ref(&*pool).addr());
                profiled::is_there(pool.number(), thread);
            }
        }
    }
}

/// What was submitted: what is inside bound methods, `functools.partial` and stand-ins. It runs no code of the program: it asks
/// only types of the interpreter.
pub(super) fn function_of(submitted: &Bound<'_, PyAny>) -> Function {
    let mut function = submitted.clone();
    for _ in 0..MOST_AROUND {
        let Some(inside) = inside(&function) else {
            break;
        };
        foreign::release(std::mem::replace(&mut function, inside));
    }
    let described = described(&function);
    foreign::release(function);
    described
}

/// What a bound method or a `functools.partial` calls, or what the object stands for.
fn inside<'py>(function: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if let Some(within) = StandIn::find(function) {
        return Some(within);
    }
    let py = function.py();
    let class = function.get_type();
    let attribute = if METHOD.get(py).is_ok_and(|method| method.is(&class)) {
        "__func__"
    } else if PARTIAL.get(py).is_ok_and(|partial| partial.is(&class)) {
        "func"
    } else {
        return None;
    };
    function.getattr(attribute).ok()
}

fn described(function: &Bound<'_, PyAny>) -> Function {
    let text = |name: &str| {
        let text = function.getattr(name).ok()?;
        let text = text.cast_into_exact::<PyString>().ok()?;
        text.to_str().map(Arc::<str>::from).ok()
    };
    if function.is_exact_instance_of::<PyFunction>()
        && let Ok(code) = function.getattr("__code__")
        && let Some((file, line)) = code::place(&code)
        && let Some(name) = text("__qualname__")
    {
        return Function { file, line, name };
    }
    let name = if function.is_exact_instance_of::<PyCFunction>() {
        text("__qualname__")
    } else if let Ok(class) = function.cast_exact::<PyType>() {
        class.qualname().map(|name| name.to_string().into()).ok()
    } else {
        None
    };
    let class_name = || {
        let name = function.get_type().name();
        name.map_or_else(|_| String::new(), |name| name.to_string())
            .into()
    };
    Function {
        file: Arc::from(""),
        line: 0,
        name: name.unwrap_or_else(class_name),
    }
}
