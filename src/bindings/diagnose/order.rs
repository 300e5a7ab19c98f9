//! Lock order, as Python sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;

use crate::bindings::diagnose::call_in_watcher;
use crate::bindings::runtime::observed::Observed;
use crate::bindings::threading::{Lock, RLock, RWLock, caller};
use crate::diagnostics::order::graph::Before;
use crate::diagnostics::order::{self, Finding, Functions, Known, Sight};
use crate::diagnostics::sleepers::Frame;
use crate::diagnostics::watcher;

/// A function of a thread: the file, the line, and the name.
type PlaceInCode = (String, u32, String);

/// A step of a cycle: the number and the name of the thread; the first lock, as what it is, its address and its name; where
/// the thread had acquired that; and the functions in which it acquired the second lock, the innermost first.
type DescribedStep = (
    u32,
    Option<String>,
    (&'static str, usize, Option<String>),
    Option<PlaceInCode>,
    Vec<PlaceInCode>,
);

/// The functions of Python that the watcher calls.
struct Callbacks {
    look: Py<PyAny>,
    tell: Py<PyAny>,
}

static CALLBACKS: OnceLock<Callbacks> = OnceLock::new();

/// How long a thread waits until the watcher begins. It may be busy, and no signal ends this wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What happens to a call that the watcher does not come to in time, for which the calling thread has not waited any longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// It is not made.
    Dropped,
    /// It is made later.
    Made,
}

/// Has the watcher call the function while the calling thread, if it is attached, stands still without the interpreter.
/// `None` also if the watcher does not come to it in time. The function gets whether the thread stands still.
fn in_watcher<T: Send + 'static>(
    late: Late,
    call: impl FnOnce(bool) -> Option<T> + Send + 'static,
) -> Option<T> {
    if watcher::is_calling() {
        return None;
    }
    Python::try_attach(|py| {
        py.detach(|| {
            let (sender, receiver) = channel();
            // Set by whichever is first: the watcher that begins, or this thread that goes on without it.
            let decided = Arc::new(AtomicBool::new(false));
            let begins = Arc::clone(&decided);
            watcher::call_there(Box::new(move || {
                let stands_still = !begins.swap(true, Ordering::AcqRel);
                if stands_still || late == Late::Made {
                    let _ = sender.send(call(stands_still));
                }
            }));
            // Otherwise an error: there is no watcher, or it has ended.
            match receiver.recv_timeout(LONGEST_WAIT) {
                Err(RecvTimeoutError::Timeout) if decided.swap(true, Ordering::AcqRel) => {
                    // It reads the frames of this thread, which must stand still until that is over.
                    receiver.recv().ok().flatten()
                }
                received => received.ok().flatten(),
            }
        })
    })
    .flatten()
}

fn place(frame: &Frame) -> PlaceInCode {
    (
        frame.file.to_string(),
        frame.line,
        frame.function.to_string(),
    )
}

fn look(held: Vec<Known>, acquired: Known) -> Option<Sight> {
    let thread = Python::try_attach(caller)?;
    in_watcher(Late::Dropped, move |_| {
        let callbacks = CALLBACKS.get()?;
        let described = |lock: &Known| (lock.what, lock.object());
        let held: Vec<_> = held.iter().map(described).collect();
        let acquired = described(&acquired);
        type Seen = (Vec<Option<PlaceInCode>>, Vec<Option<String>>);
        let (places, names) = call_in_watcher::<Seen>(&callbacks.look, |py| {
            (thread, held, acquired).into_pyobject(py)
        })?;
        let frame = |(file, line, function): PlaceInCode| Frame {
            file: file.into(),
            function: function.into(),
            line,
        };
        Some(Sight {
            places: places.into_iter().map(|place| place.map(frame)).collect(),
            names,
        })
    })
}

fn tell(finding: Finding) {
    let thread = Python::try_attach(caller);
    // A finding is told of only once.
    in_watcher(Late::Made, move |stands_still| {
        let callbacks = CALLBACKS.get()?;
        let thread = thread.filter(|_| stands_still);
        let steps = finding.steps.iter().zip(&finding.locks);
        let steps: Vec<DescribedStep> = steps
            .map(|(step, lock)| {
                let scene = &step.take.scene;
                (
                    step.take.moment.thread,
                    scene.name.as_deref().map(str::to_owned),
                    (lock.lock.what, lock.lock.object(), lock.name.clone()),
                    step.take.first.as_ref().map(place),
                    scene.frames.iter().map(place).collect(),
                )
            })
            .collect();
        call_in_watcher::<Option<f64>>(&callbacks.tell, |py| (thread, steps).into_pyobject(py))
    });
}

/// Begin to look for locks that threads acquire in orders which can deadlock. `record_waits` and `start_watcher` must have
/// been called before. Only the functions of the first call are used.
///
/// Args:
///     look: called by the watcher while a thread stands still that acquires a lock. Its arguments: the identifier of the
///         thread (int); the locks that it holds, as tuples of what they are (str) and the address (int); and the one that
///         it acquires. It returns the places where the thread acquired the first ones (list of tuples of file, line and
///         function, or None), and the names of all (list of str or None).
///     tell: called by the watcher with the identifier of a thread that stands still (int, or None if it has waited long
///         enough for the watcher, and runs) and the steps of a cycle. Each is
///         a tuple: the number (int) and the name (str or None) of its thread; the lock that it held, as a tuple of what it
///         is (str), the address (int) and the name (str or None); where it had acquired that (tuple of file, line and
///         function, or None); and the functions in which it acquired the lock of the next step (list of such tuples).
#[pyfunction]
pub(crate) fn start_lock_order(look: Py<PyAny>, tell: Py<PyAny>) {
    let _ = CALLBACKS.set(Callbacks { look, tell });
    order::start(Functions {
        look: self::look,
        tell: self::tell,
    });
}

/// End what `start_lock_order` has begun, and forget what was found.
#[pyfunction]
pub(crate) fn stop_lock_order() {
    order::stop();
}

/// Return how many pairs of locks, each with a thread and the other locks that it held, are remembered (int), and for how
/// many there was no room (int).
#[pyfunction]
pub(crate) fn lock_order_counts() -> (usize, u64) {
    order::counts()
}

/// Have a lock that was made before `start_lock_order` tell when it is acquired. Return whether the object is such a lock.
#[pyfunction]
#[pyo3(signature = (lock, /))]
pub(crate) fn follow_lock(lock: &Bound<'_, PyAny>) -> bool {
    follow(lock)
}

pub(super) fn follow(object: &Bound<'_, PyAny>) -> bool {
    if let Ok(lock) = object.cast::<Lock>() {
        lock.get().primitive().follow();
    } else if let Ok(rlock) = object.cast::<RLock>() {
        rlock.get().primitive().follow();
    } else if let Ok(lock) = object.cast::<RWLock>() {
        lock.get().primitive().follow();
    } else {
        return false;
    }
    true
}

/// What has happened before a moment of a thread, as far as it is about lock order.
#[pyclass(frozen)]
pub(crate) struct ThreadOrder(Before);

/// The calling thread is about to start another one. Return what that one has to call `follow_thread` with.
#[pyfunction]
pub(crate) fn before_start() -> ThreadOrder {
    ThreadOrder(order::starts_thread())
}

/// The calling thread ends. Return what those have to call `follow_thread` with who have joined it.
#[pyfunction]
pub(crate) fn end_of_thread() -> ThreadOrder {
    ThreadOrder(order::starts_thread())
}

/// Note that what another thread has done happened before all that the calling thread does from now on.
#[pyfunction]
pub(crate) fn follow_thread(other: &Bound<'_, ThreadOrder>) {
    order::follows(&other.get().0);
}
