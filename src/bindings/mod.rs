//! The Python module: translates between Python and [`crate::primitives`], and decides nothing.
//!
//! # Rules
//!
//! * Only [`detach`] lets go of the interpreter to block, and only it looks at signals.
//! * [`at_once`] is how the methods that are called most often are called.
//! * Python code that users wrote is called through [`user_code`], because a daemon thread may
//!   be ended inside it when the interpreter exits.
//! * Nothing of Python happens inside a leaf lock but counting references up, and comparing plain
//!   numbers and strings (`queue/item.rs`): what is to be dropped is taken out first.
//! * A class here is the native half of a Python class that also derives from the standard one.
//!   Where the standard internals are reached for, the object takes its *standard form*: the
//!   primitive is retired, and the methods of the standard class serve from then on.

use pyo3::prelude::*;

mod argument;
mod at_once;
mod detach;
mod errors;
mod executor;
mod future;
mod interpreter;
mod kept;
mod progress;
mod queue;
mod stack;
mod standard_form;
mod threading;
mod timeout;
mod user_code;

/// Has the leaf section with that number, counted from now on, panic in this thread; zero: none. How many
/// were left of what had been asked for before.
#[cfg(feature = "inject-panic")]
#[pyo3::pyfunction]
fn panic_in_section(number: usize) -> usize {
    crate::primitives::inject::panic_in_section(number)
}

/// The native half of oxthreads; use `oxthreads.threading`, `oxthreads.queue` and
/// `oxthreads.concurrent.futures`.
#[pymodule]
mod _oxthreads {
    use super::{Bound, PyModule, PyResult, wrap_pyfunction};
    use pyo3::types::PyModuleMethods;

    #[pymodule_export]
    use super::at_once::install_in;
    #[pymodule_export]
    use super::executor::{ThreadPoolExecutor, WorkItem, WorkQueue, Worker, close_executors};
    #[pymodule_export]
    use super::future::{Completions, Future, Observer};
    #[pymodule_export]
    use super::kept::keep_at_hand;
    #[pymodule_export]
    use super::progress::Progress;
    #[pymodule_export]
    use super::queue::{Queue, QueueIterator, SimpleQueue};
    #[pymodule_export]
    use super::standard_form::dictionary;
    #[pymodule_export]
    use super::threading::{Barrier, Condition, ConditionWaiter, Event, Lock, RLock, Semaphore};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::interpreter::claim(module.py())?;
        super::errors::prepare(module.py())?;
        super::interpreter::attach_once(module.py());
        #[cfg(not(Py_3_12))]
        module.py().import("oxthreads._collector_at_exit")?;
        // Under another name than its own, which is the class's here.
        module.add(
            "allocate_lock",
            wrap_pyfunction!(super::threading::allocate_lock, module)?,
        )?;
        #[cfg(feature = "inject-panic")]
        module.add(
            "panic_in_section",
            wrap_pyfunction!(super::panic_in_section, module)?,
        )?;
        crate::primitives::waiter::follow_forks();
        super::at_once::install_all(module.py())?;
        Ok(())
    }
}
