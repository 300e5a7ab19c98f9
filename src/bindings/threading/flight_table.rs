//! The calls in flight of one function, by their keys.

use std::collections::HashMap;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::bindings::runtime::foreign::{self, Operator, Owned};
use crate::wait::sync::Mutex;

/// The calls in flight of one function, by their keys.
///
/// It is no dictionary, because a key's `__hash__` and `__eq__` are code of a program. Here they are only asked when a
/// flight is looked for. A flight is removed by its identity, which cannot fail, whatever has become of its key.
#[pyclass(frozen, module = "oxthreads._oxthreads")]
pub(crate) struct FlightTable(Mutex<Entries>);

/// No code of a program runs while this is locked.
struct Entries {
    /// By the hashes of their keys; no list is empty. The numbers in a list rise.
    by_hash: HashMap<isize, Vec<Entry>>,
    /// The number of the next entry.
    next: u64,
}

struct Entry {
    number: u64,
    key: Owned,
    flight: Owned,
}

impl FlightTable {
    fn take_out(&self, hash: isize, flight: &Bound<'_, PyAny>) -> Option<Entry> {
        let mut entries = self.0.lock();
        let list = entries.by_hash.get_mut(&hash)?;
        let is_it = |entry: &Entry| entry.flight.object().is(flight);
        let taken = list.remove(list.iter().position(is_it)?);
        if list.is_empty() {
            entries.by_hash.remove(&hash);
        }
        Some(taken)
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for entry in self.0.lock().by_hash.values().flatten() {
            visit.call(entry.key.object())?;
            visit.call(entry.flight.object())?;
        }
        Ok(())
    }
}

#[pymethods]
impl FlightTable {
    #[new]
    pub(super) fn new() -> Self {
        Self(Mutex::new(Entries {
            by_hash: HashMap::new(),
            next: 0,
        }))
    }

    /// Return the flight that has an equal key. If there is none, add this one and return it.
    ///
    /// The flight may have ended. Then the caller must remove it, and ask again.
    ///
    /// Args:
    ///     hash (int): the hash of the key.
    ///     key: the key.
    ///     flight: what is added.
    #[pyo3(signature = (hash, key, flight, /))]
    pub(super) fn find_or_add<'py>(
        &self,
        py: Python<'py>,
        hash: isize,
        key: &Bound<'py, PyAny>,
        flight: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut first = 0;
        loop {
            // The first entry that has not been compared. Others may have come during a comparison.
            let (known, found) = {
                let mut entries = self.0.lock();
                let number = entries.next;
                let list = entries.by_hash.entry(hash).or_default();
                match list.iter().find(|entry| entry.number >= first) {
                    Some(entry) => {
                        first = entry.number + 1;
                        (entry.key.share(), entry.flight.share())
                    }
                    None => {
                        list.push(Entry {
                            number,
                            key: key.clone().into(),
                            flight: flight.clone().into(),
                        });
                        entries.next = number + 1;
                        return Ok(flight.clone());
                    }
                }
            };
            let known = known.into_bound(py);
            let is_equal =
                known.is(key) || foreign::is_true(foreign::operate(Operator::Equal, &known, key)?)?;
            foreign::release(known);
            if is_equal {
                return Ok(found.into_bound(py));
            }
        }
    }

    /// Remove the flight, if it is there.
    ///
    /// Args:
    ///     hash (int): the hash of its key, as it was when the flight was added.
    ///     flight: the flight.
    #[pyo3(signature = (hash, flight, /))]
    pub(super) fn remove(&self, hash: isize, flight: &Bound<'_, PyAny>) {
        drop(self.take_out(hash, flight));
    }

    /// How many flights there are.
    pub(super) fn __len__(&self) -> usize {
        self.0.lock().by_hash.values().map(Vec::len).sum()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.traverse(&visit)
    }

    pub(super) fn __clear__(&self) {
        let cleared = std::mem::take(&mut self.0.lock().by_hash);
        drop(cleared);
    }
}
