//! The done callbacks of a future.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::bindings::future::Future;
use crate::bindings::future::event_loop;
use crate::bindings::runtime::errors::{self, Handling};
use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::standard_frames::{Raiser, put_before, raised_by};
use crate::primitives::FellBack;
use crate::primitives::future::State;

impl Future {
    /// Runs the done callbacks. They stay in the list, as in the standard class. A callback may make the future
    /// fall back to the standard library: then the rest is in the list of the fallback, which the callback may
    /// also have changed.
    pub(super) fn run_callbacks(slf: &Bound<'_, Self>) -> PyResult<()> {
        let future = &slf.get().inner;
        let mut place = 0;
        loop {
            let next = future.with_native(|record| Some(record.callbacks.get(place)?.share()));
            match next {
                Ok(Some(callback)) => Self::run_callback::<false>(slf, &callback)?,
                Ok(None) => return Ok(()),
                Err(FellBack) => return Self::run_listed_callbacks(slf, place),
            }
            place += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn run_listed_callbacks(slf: &Bound<'_, Self>, mut place: usize) -> PyResult<()> {
        let name = intern!(slf.py(), "_done_callbacks");
        let listed = foreign::attribute(slf.as_any(), name)?;
        let listed = listed.cast::<PyList>()?;
        while let Ok(callback) = listed.get_item(place) {
            Self::run_callback::<false>(slf, &Owned::from(callback))?;
            place += 1;
        }
        Ok(())
    }

    /// Runs one callback. `LATE`: it was added when the future was already done.
    pub(super) fn run_callback<const LATE: bool>(
        slf: &Bound<'_, Self>,
        callback: &Owned,
    ) -> PyResult<()> {
        let py = slf.py();
        let callback = callback.object().bind(py);
        match event_loop::hand_over(slf, callback) {
            Ok(false) => {}
            Ok(true) => return Ok(()),
            Err(error) => return Self::log_callback_error(slf, error, LATE),
        }
        let arguments = PyTuple::new(py, [slf])?;
        match foreign::call(callback, &arguments, None) {
            Ok(returned) => {
                foreign::release(returned);
                Ok(())
            }
            Err(error) => Self::log_callback_error(slf, error, LATE),
        }
    }

    /// The standard method in whose frame a callback would have run.
    fn called_back_by(&self, late: bool) -> Raiser {
        if late {
            return Raiser::LateCallback;
        }
        self.inner.with(|record| match record.state {
            State::Cancelled | State::CancelledAndNotified => Raiser::CancelCallback,
            _ if record.value.is_some() => Raiser::SetResultCallback,
            _ => Raiser::SetExceptionCallback,
        })
    }

    #[cold]
    #[inline(never)]
    fn log_callback_error(slf: &Bound<'_, Self>, error: PyErr, late: bool) -> PyResult<()> {
        let py = slf.py();
        if !error.is_instance_of::<PyException>(py) {
            return Err(raised_by(py, error, slf.get().called_back_by(late)));
        }
        let raiser = if late {
            Raiser::LateCallback
        } else {
            Raiser::Callback
        };
        let put = put_before(py, &error, raiser);
        let error = Owned::from(error.into_value(py).into_any());
        // The standard class logs the error while it handles it.
        let _handling = Handling::new(error.object().bind(py));
        let arguments = ("exception calling callback for %r", slf);
        foreign::call_method(&errors::logger(py)?, "exception", arguments, None)?;
        put
    }
}
