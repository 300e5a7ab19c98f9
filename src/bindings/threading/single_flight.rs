//! Calls of which one for each key is in flight: `oxthreads.locks.singleflight`, which uses `primitives/single_run.rs`.

use std::sync::OnceLock;

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bindings::runtime::foreign::{self, Owned};
use crate::bindings::runtime::observed::Observed;
use crate::bindings::runtime::{block, errors};
use crate::bindings::threading::flight_table::FlightTable;
use crate::bindings::threading::holder::holder;
use crate::bindings::threading::once::{MyTurn, reentrant};
use crate::primitives::single_run::{Reentrant, SingleRun, Turn};
use crate::wait::deadline::Deadline;

/// The calls in flight of one function, by their keys.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Flights {
    function: Owned,
    /// Its flights are [`Flight`]s. Whoever has made the call takes its entry out, before the flight ends.
    flights: FlightTable,
}

/// One call, and those who wait for its outcome.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct Flight {
    run: SingleRun,
    /// The hash of its key.
    hash: isize,
    outcome: OnceLock<Outcome>,
}

enum Outcome {
    Returned(Owned),
    /// An exception.
    Raised(Owned),
}

impl Flight {
    /// The outcome, for one who has waited for it.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.outcome.get() {
            Some(Outcome::Returned(result)) => Ok(result.object().bind(py).clone()),
            Some(Outcome::Raised(error)) => Err(errors::raise(error.object().bind(py))),
            // Cannot happen: it is set before the flight ends.
            None => Err(PyRuntimeError::new_err("a call without an outcome")),
        }
    }
}

impl Flights {
    /// Makes the call, in the turn of the calling thread.
    fn run<'py>(
        &self,
        flight: &Bound<'py, Flight>,
        arguments: &Bound<'py, PyTuple>,
        keywords: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = flight.py();
        let turn = MyTurn::new(&flight.get().run);
        let called = foreign::call(self.function.object().bind(py), arguments, Some(keywords));
        let run = turn.end();
        let outcome = match &called {
            Ok(result) => Outcome::Returned(result.clone().into()),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                Outcome::Raised(error.value(py).clone().into_any().into())
            }
            // It is meant for this thread alone: Ctrl-C, or the end of the thread.
            Err(_) => {
                if !run.pass_on_to_waiter() {
                    self.remove(flight);
                    // Who has come in the meantime begins another flight.
                    run.close();
                }
                return called;
            }
        };
        // It was empty: only who has the turn sets it.
        let _ = flight.get().outcome.set(outcome);
        self.remove(flight);
        run.finish();
        called
    }

    fn remove(&self, flight: &Bound<'_, Flight>) {
        self.flights.remove(flight.get().hash, flight);
    }
}

impl Observed for Flights {
    type Primitive = FlightTable;

    fn primitive(&self) -> &FlightTable {
        &self.flights
    }
}

#[pymethods]
impl Flights {
    /// Args:
    ///     function: what is called.
    #[new]
    fn new(function: Bound<'_, PyAny>) -> Self {
        Self {
            function: function.into(),
            flights: FlightTable::new(),
        }
    }

    /// Call the function, or wait for the outcome of the call in flight that has an equal key.
    ///
    /// Args:
    ///     hash (int): the hash of the key.
    ///     key: the key.
    ///     arguments (tuple): the positional arguments of the function.
    ///     keywords (dict): its keyword arguments.
    #[pyo3(signature = (hash, key, arguments, keywords, /))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        hash: isize,
        key: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        keywords: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (caller, function) = (holder(py), self.function.object().bind(py));
        let reentrant = |Reentrant| reentrant(function);
        loop {
            let flight = Flight {
                run: SingleRun::in_place_of("singleflight", self.primitive_address()),
                hash,
                outcome: OnceLock::new(),
            };
            let flight = Bound::new(py, flight)?.into_any();
            let found = self.flights.find_or_add(py, hash, key, &flight)?;
            let flight = found.cast_into::<Flight>()?;
            let run = &flight.get().run;
            let turn = match run.try_begin(caller).map_err(reentrant)? {
                // It has ended since it was found.
                Some(Turn::Done) => Turn::Closed,
                Some(turn) => turn,
                None => match block::wait(py, &mut run.begin(caller), Deadline::NEVER)? {
                    Some(turn) => turn.map_err(reentrant)?,
                    None => continue, // cannot happen: there is no deadline
                },
            };
            match turn {
                Turn::Mine => return self.run(&flight, arguments, keywords),
                Turn::Done => return flight.get().outcome(py),
                // Then the next round finds another one, whatever the runner has come to.
                Turn::Closed => self.remove(&flight),
            }
        }
    }

    /// How many calls are in flight.
    fn __len__(&self) -> usize {
        self.flights.__len__()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.function.object())?;
        self.flights.traverse(&visit)
    }

    fn __clear__(&self) {
        self.flights.__clear__();
    }
}

#[pymethods]
impl Flight {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.outcome.get() {
            Some(Outcome::Returned(object) | Outcome::Raised(object)) => {
                visit.call(object.object())
            }
            None => Ok(()),
        }
    }
}
