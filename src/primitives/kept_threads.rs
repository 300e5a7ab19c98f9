//! Operating system threads that are used again.
//!
//! Making a thread and ending it costs more than most short tasks. So a thread that has run its task is *kept* for a
//! while: it sleeps until the next task comes, or its time is over. The last one that was kept is taken first; those
//! that are not needed reach the end of their time.
//!
//! A task may change what belongs to the thread and not to the task: its signal mask or its priority, for example. A
//! thread that has [changed](super::thread_state) is not kept.
//!
//! A kept thread blocks all signals: it must not take one for which another thread waits.
//!
//! Nothing is kept over a fork. The process that forks ends its kept threads before ([`hold`]), and the child begins
//! with none.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::thread_state::{self, Name, SignalMask, ThreadState};
use crate::wait::deadline::Deadline;
use crate::wait::sync::Arc;
use crate::wait::{Parked, PerProcess, Waiter, generation, spin, threads};

/// What a thread is to run. It calls [`Current::finish`] before it tells anybody that the task has ended.
pub type Task = Box<dyn FnOnce(&Current) + Send>;

/// What a thread has around its tasks.
pub trait Surroundings {
    /// Called in a new thread, before its first task.
    fn begin() -> Self;
    /// Called after the last one.
    fn end(self);
}

/// What a thread is told.
enum Order {
    /// Run the task, and be kept for this time. The name is that of the thread which has the task run.
    Run(Task, Duration, Name),
    End,
}

/// A thread that runs tasks, or is kept.
struct Kept {
    waiter: Arc<Waiter>,
    order: Mutex<Option<Order>>,
    stack_size: usize,
    /// What the thread was made with; it is kept only as long as it has that.
    state: Option<ThreadState>,
    thread: Mutex<Option<JoinHandle<()>>>,
    identity: OnceLock<Identity>,
}

/// How others call a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As the interpreter does.
    pub identifier: usize,
    /// As the operating system does.
    pub native: u64,
}

impl Kept {
    fn give(&self, order: Order) {
        *lock(&self.order) = Some(order);
        self.waiter.unpark();
    }
}

/// The thread that runs a task.
pub struct Current {
    kept: Arc<Kept>,
    /// The process in which the task began: see [`generation`].
    born_in: u32,
    has_begun: Cell<bool>,
    has_finished: Cell<bool>,
    /// The task has left something that the next one must not find.
    must_end: Cell<bool>,
    /// The signal mask that it had at its end.
    signals: Cell<Option<SignalMask>>,
    /// See [`Current::may_be_called`].
    name: RefCell<Vec<u8>>,
}

impl Current {
    /// Says that the task is under way, so that the interpreter may exit. Called once.
    pub fn begin(&self) {
        if !self.has_begun.replace(true) && generation() == self.born_in {
            let all = all();
            let mut inner = lock(&all.inner);
            inner.handed_over -= 1;
            if inner.handed_over == 0 {
                all.changed.notify_all();
            }
        }
    }

    /// Says that the task is about to tell others that it has ended. From now on, [`hold`] waits for this thread, and
    /// signals do not come to it.
    pub fn finish(&self) {
        if !self.has_finished.replace(true) && generation() == self.born_in {
            self.signals.set(thread_state::block_signals());
            FINISHING.set(true);
            lock(&all().inner).finishing += 1;
        }
    }

    /// The thread must not be kept.
    pub fn end_afterwards(&self) {
        self.must_end.set(true);
    }

    /// The task may give its thread this name, or as much of it as the operating system takes.
    pub fn may_be_called(&self, name: &str) {
        self.name.replace(name.as_bytes().to_vec());
    }

    /// Says how the thread is called, so that those who have a task run in it later need not wait to learn it.
    pub fn is_known_as(&self, identity: impl FnOnce() -> Option<Identity>) {
        if self.kept.identity.get().is_none()
            && let Some(identity) = identity()
        {
            let _ = self.kept.identity.set(identity);
        }
    }

    /// Whether the thread has this name only because it was allowed to.
    fn is_called_as_allowed(&self, now: &Name) -> bool {
        let length = now.iter().position(|byte| *byte == 0).unwrap_or(now.len());
        let allowed = self.name.borrow();
        // A character of several bytes is not cut.
        allowed.starts_with(&now[..length]) && (length == allowed.len() || length + 4 > now.len())
    }
}

thread_local! {
    /// Whether this thread is among those that have finished a task.
    static FINISHING: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Inner {
    /// How many tasks were given to threads that have not begun them.
    handed_over: usize,
    /// The threads without a task; the last one was kept last.
    idle: Vec<Arc<Kept>>,
    /// How many threads have finished a task, or were told to end, and have neither been kept nor begun to end.
    finishing: usize,
    /// Threads that end, or have ended.
    leaving: Vec<JoinHandle<()>>,
    /// How many calls of [`hold`] were not released: until then no thread is kept.
    held: usize,
    /// No thread is kept any more.
    closed: bool,
}

/// The threads of this process.
struct All {
    inner: Mutex<Inner>,
    /// One of the counts has become smaller.
    changed: Condvar,
}

impl All {
    fn settle(&self, inner: &mut Inner) {
        FINISHING.set(false);
        inner.finishing -= 1;
        self.changed.notify_all();
    }
}

fn all() -> &'static All {
    static ALL: PerProcess<All> = PerProcess::new();
    ALL.get(|| All {
        inner: Mutex::default(),
        changed: Condvar::new(),
    })
}

/// Nothing that can panic runs while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the task in a thread with a stack of this size in bytes: in a kept one, or in a new one. Afterwards, the thread
/// is kept for this time. Returns how the thread is called if it was a kept one and has said so.
///
/// # Errors
/// What the operating system says if it makes no thread; [`Refused::Closed`] after [`close`]. Then the task is dropped.
pub fn run<S: Surroundings>(
    task: Task,
    stack_size: usize,
    keep: Duration,
) -> Result<Option<Identity>, Refused> {
    let state = ThreadState::now();
    let order = Order::Run(task, keep, thread_state::name());
    let kept = {
        let mut inner = lock(&all().inner);
        if inner.closed {
            return Err(Refused::Closed);
        }
        inner.handed_over += 1;
        let found = (inner.idle.iter())
            .rposition(|kept| kept.stack_size == stack_size && kept.state == state);
        found.map(|place| inner.idle.remove(place))
    };
    if let Some(kept) = kept {
        let identity = kept.identity.get().copied();
        kept.give(order);
        return Ok(identity);
    }
    let kept = Arc::new(Kept {
        waiter: Waiter::new(),
        order: Mutex::new(Some(order)),
        stack_size,
        state,
        thread: Mutex::new(None),
        identity: OnceLock::new(),
    });
    let theirs = Arc::clone(&kept);
    // Locked, so that a thread that ends soon finds it.
    let mut thread = lock(&kept.thread);
    let builder = thread::Builder::new().stack_size(stack_size);
    match builder.spawn(move || live::<S>(&theirs)) {
        Ok(made) => *thread = Some(made),
        Err(error) => {
            lock(&all().inner).handed_over -= 1;
            return Err(Refused::NoThread(error));
        }
    }
    Ok(None)
}

/// Why a task was not accepted.
#[derive(Debug)]
pub enum Refused {
    /// No thread is kept any more.
    Closed,
    /// The operating system makes no more threads.
    NoThread(io::Error),
}

/// The life of a thread.
fn live<S: Surroundings>(kept: &Arc<Kept>) {
    let born_in = generation();
    let surroundings = S::begin();
    let mut next = lock(&kept.order).take();
    while let Some(Order::Run(task, keep, name)) = next {
        if thread_state::name() != name {
            thread_state::set_name(&name);
        }
        if let Some(state) = &kept.state {
            state.set_signals();
        }
        let current = Current {
            kept: Arc::clone(kept),
            born_in,
            has_begun: Cell::new(false),
            has_finished: Cell::new(false),
            must_end: Cell::new(false),
            signals: Cell::new(None),
            name: RefCell::default(),
        };
        task(&current);
        if generation() != born_in {
            // The task has forked, and this is the child. Its only thread ends with the task, as any other does.
            return;
        }
        current.begin();
        current.finish();
        // To reports the thread ends here, and another one runs the next task.
        threads::end_number();
        let now = thread_state::name();
        let is_unchanged = now == name || current.is_called_as_allowed(&now);
        let state = (current.signals.get()).and_then(ThreadState::with_signals);
        let may_stay = is_unchanged && state == kept.state && !current.must_end.get();
        if !may_stay || !stay(kept, keep) {
            break;
        }
        next = sleep(kept, Deadline::after(keep));
    }
    leave(kept);
    surroundings.end();
}

/// Puts the thread among those without a task. Returns whether it may stay.
fn stay(kept: &Arc<Kept>, keep: Duration) -> bool {
    let all = all();
    let mut inner = lock(&all.inner);
    if inner.held > 0 || inner.closed || keep.is_zero() || kept.state.is_none() {
        return false;
    }
    inner.idle.push(Arc::clone(kept));
    all.settle(&mut inner);
    true
}

/// Sleeps until the thread is told something, or its time is over.
fn sleep(kept: &Arc<Kept>, deadline: Deadline) -> Option<Order> {
    let mut deadline = deadline;
    // Programs that start one thread after the other have the next task soon.
    spin::if_of_use(spin::FOR_TASK, || kept.waiter.is_notified());
    loop {
        let parked = kept.waiter.park(deadline);
        if let Some(order) = lock(&kept.order).take() {
            return Some(order);
        }
        if parked == Parked::TimedOut {
            let mut inner = lock(&all().inner);
            if let Some(place) = inner.idle.iter().position(|other| Arc::ptr_eq(other, kept)) {
                inner.idle.remove(place);
                inner.finishing += 1;
                FINISHING.set(true);
                return None;
            }
            // Somebody has taken it out, and is about to tell it something.
            deadline = Deadline::NEVER;
        }
    }
}

/// The thread is about to end.
fn leave(kept: &Kept) {
    let thread = lock(&kept.thread).take();
    let all = all();
    let mut inner = lock(&all.inner);
    if inner.leaving.len() > 16 {
        inner.leaving.retain(|thread| !thread.is_finished());
    }
    inner.leaving.extend(thread);
    all.settle(&mut inner);
}

/// The longest that a fork waits for threads that have finished their tasks. They may run code that waits for the thread
/// that forks: destructors of the program.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends all kept threads, and returns when the operating system does not have them any more. Until [`release`], none is
/// kept. The caller must not be attached to the interpreter.
pub fn hold() {
    let all = all();
    let mut inner = lock(&all.inner);
    inner.held += 1;
    let idle = std::mem::take(&mut inner.idle);
    inner.finishing += idle.len();
    for kept in idle {
        kept.give(Order::End);
    }
    let itself = usize::from(FINISHING.get());
    let settled =
        (all.changed).wait_timeout_while(inner, PATIENCE, |inner| inner.finishing > itself);
    let (mut inner, _) = settled.unwrap_or_else(PoisonError::into_inner);
    let leaving = std::mem::take(&mut inner.leaving);
    drop(inner);
    for thread in leaving {
        // What its end may have been is of no interest here.
        let _ = thread.join();
    }
}

/// After a fork, in the parent: threads are kept again.
pub fn release() {
    let mut inner = lock(&all().inner);
    inner.held = inner.held.saturating_sub(1);
}

/// Ends all kept threads. From now on, none is kept, and no task is accepted. Returns when all tasks that were accepted
/// have begun: a thread that begins needs an interpreter that is not ending. The caller must not be attached to it.
pub fn close() {
    lock(&all().inner).closed = true;
    hold();
    release();
    let all = all();
    let inner = lock(&all.inner);
    let begun = (all.changed).wait_while(inner, |inner| inner.handed_over > 0);
    drop(begun);
}

/// How many threads are kept now.
pub fn count() -> usize {
    lock(&all().inner).idle.len()
}

/// How the threads that are kept now are called; zero: that is not known.
pub fn natives() -> Vec<u64> {
    let inner = lock(&all().inner);
    let native = |kept: &Arc<Kept>| kept.identity.get().map_or(0, |identity| identity.native);
    inner.idle.iter().map(native).collect()
}
