//! A result that is set once, and the callbacks and threads that wait for it.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use super::FellBack;
use super::completion::{Completions, Observer, Observers};
use crate::wait::gil_mutex::GilMutex;
use crate::wait::observe::{Owned, PendingWork, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// The state of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No thread has begun the work.
    Pending,
    /// A thread runs the work.
    Running,
    /// The work was cancelled before it began.
    Cancelled,
    /// As `Cancelled`, and the executor has noticed.
    CancelledAndNotified,
    /// It has a result or an error.
    Finished,
}

impl State {
    /// Whether the state is final, except that a cancellation may still be noticed.
    pub fn is_done(self) -> bool {
        self.is_cancelled() || self == Self::Finished
    }

    /// Whether a wait for several futures counts it as done. A cancelled future counts once the executor has
    /// noticed.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::CancelledAndNotified | Self::Finished)
    }

    /// Whether it was cancelled, noticed or not.
    pub fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified)
    }
}

/// The outcome of the work.
#[derive(Debug)]
pub enum Outcome<V> {
    /// It returned this value.
    Value(V),
    /// It failed with this error.
    Error(V),
    /// It was reported as failed without an error, so it has neither a value nor an error.
    NoError,
}

/// Why a change of state was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The present state does not allow it.
    State(State),
    /// See [`super::FellBack`].
    FellBack,
}

impl From<FellBack> for Refused {
    fn from(_: FellBack) -> Self {
        Self::FellBack
    }
}

/// The result of the attempt to begin the work that a future carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Start<J> {
    /// The work has begun. The caller must run it.
    Begun(J),
    /// Another thread has taken the work before.
    TakenBefore,
    /// The work was cancelled; the future now counts this as noticed.
    Cancelled(J),
    /// The work could not begin, for this reason.
    Refused(Refused, J),
}

/// The work that a future may carry.
pub trait Work: Send + 'static {
    /// A function that tells what a report of a hang says of it. It is called without the leaf lock of the future, which
    /// is held while it is made.
    fn pending(&self) -> Option<Box<dyn FnOnce() -> PendingWork>> {
        None
    }
}

impl Work for () {}

/// Which implementation serves a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// None yet: see [`Future::unmade`].
    Unmade,
    /// This implementation.
    Native,
    /// Another one: see [`Future::fall_back`].
    FellBack,
}

/// A result of type `V` that is set once, with callbacks of type `C`. A future may carry its work, a `J`.
pub struct Future<V, C, J = ()> {
    record: GilMutex<Record<V, C, J>>,
    /// Whether it carries work; read without the leaf lock.
    has_work: AtomicBool,
}

/// The contents of a future; see [`Future::with`].
pub struct Record<V, C, J = ()> {
    /// The state of the work.
    pub state: State,
    /// The value that the work returned.
    pub value: Option<V>,
    /// The error that the work failed with.
    pub error: Option<V>,
    /// Callbacks to run once the future is done, in this order. They stay here afterwards, with all that they
    /// keep alive.
    pub callbacks: Vec<C>,
    /// The work, until a thread takes it.
    pub work: Option<J>,
    form: Form,
    /// The number of the thread that runs the work, if a thread took the work out of this future and began it; else
    /// zero.
    runner: u32,
    waiters: WaiterList,
    /// Threads that wait for this and for other futures.
    observers: Observers,
}

/// The contents of a future that another implementation takes over.
pub struct Remains<V, C> {
    /// The state of the work.
    pub state: State,
    /// The value that the work returned.
    pub value: Option<V>,
    /// The error that the work failed with.
    pub error: Option<V>,
    /// Callbacks to run once the future is done, in this order.
    pub callbacks: Vec<C>,
    /// Threads that wait for this and for other futures.
    pub observers: Observers,
}

impl<V, C, J> Record<V, C, J> {
    /// See [`Future::begin`]. If the work was cancelled, the future is settled afterwards.
    fn begin(&mut self) -> Result<bool, Refused> {
        self.check()?;
        match self.state {
            State::Pending => {
                self.state = State::Running;
                Ok(true)
            }
            State::Cancelled => {
                self.state = State::CancelledAndNotified;
                Ok(false)
            }
            state => Err(Refused::State(state)),
        }
    }

    fn check(&self) -> Result<(), FellBack> {
        match self.form {
            Form::Native => Ok(()),
            Form::Unmade | Form::FellBack => Err(FellBack),
        }
    }
}

impl<V, C, J> Future<V, C, J> {
    /// Creates a pending future.
    pub fn new() -> Self {
        Self::of(Form::Native)
    }

    /// Creates a future that acts as if it had fallen back until it is [reset](Future::reset).
    pub fn unmade() -> Self {
        Self::of(Form::Unmade)
    }

    fn of(form: Form) -> Self {
        Self {
            record: GilMutex::new(Record {
                state: State::Pending,
                value: None,
                error: None,
                callbacks: Vec::new(),
                work: None,
                form,
                runner: 0,
                waiters: WaiterList::new(),
                observers: Observers::default(),
            }),
            has_work: AtomicBool::new(false),
        }
    }

    /// Gives work to a new future that carries none.
    #[inline]
    pub fn carry(&self, work: J) {
        self.record.lock().work = Some(work);
        self.has_work.store(true, Ordering::Relaxed);
    }

    /// Whether it carries work. Another thread may take the work at any moment; a future that has lost its
    /// work never gets it back.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.has_work.load(Ordering::Relaxed)
    }

    /// Takes the work out. The caller does not begin it; another thread will, if any does.
    pub fn take_work(&self) -> Option<J> {
        let work = self.record.lock().work.take();
        self.has_work.store(false, Ordering::Relaxed);
        work
    }

    /// Calls `look` with the contents. It runs under the leaf lock and must drop nothing.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&mut Record<V, C, J>) -> R) -> R {
        look(&mut self.record.lock())
    }

    /// As [`Future::with`], but fails if the future is unmade or has fallen back.
    ///
    /// # Errors
    /// [`FellBack`].
    #[inline]
    pub fn with_native<R>(
        &self,
        look: impl FnOnce(&mut Record<V, C, J>) -> R,
    ) -> Result<R, FellBack> {
        let mut record = self.record.lock();
        record.check()?;
        Ok(look(&mut record))
    }

    /// Begins the work. Returns `false` if it was cancelled; the future then counts the cancellation as
    /// noticed.
    ///
    /// # Errors
    /// [`Refused`] if the work has begun or ended before.
    pub fn begin(&self) -> Result<bool, Refused> {
        let mut record = self.record.lock();
        let begun = record.begin()?;
        if !begun {
            let told = record.observers.tell(false);
            drop(record);
            told.wake();
        }
        Ok(begun)
    }

    /// Takes the work and begins it.
    #[inline]
    pub fn start(&self) -> Start<J> {
        let mut record = self.record.lock();
        let Some(work) = record.work.take() else {
            return Start::TakenBefore;
        };
        self.has_work.store(false, Ordering::Relaxed);
        match record.begin() {
            Ok(true) => {
                record.runner = ThreadNumber::current_or_zero();
                Start::Begun(work)
            }
            Ok(false) => {
                let told = record.observers.tell(false);
                drop(record);
                told.wake();
                Start::Cancelled(work)
            }
            Err(refused) => Start::Refused(refused, work),
        }
    }

    /// Ends the work with this outcome. Returns whether there are callbacks, which the caller must run.
    ///
    /// # Errors
    /// [`Refused`], with the outcome, if the future is done already or has fallen back.
    pub fn finish(&self, outcome: Outcome<V>) -> Result<bool, (Refused, Outcome<V>)> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        if let Err(fallen_back) = record.check() {
            return Err((fallen_back.into(), outcome));
        }
        if record.state.is_done() {
            return Err((Refused::State(record.state), outcome));
        }
        record.state = State::Finished;
        let failed = !matches!(outcome, Outcome::Value(_));
        match outcome {
            // The old value is `None`: only a finished future has one, and the bindings' `set` falls back
            // first.
            Outcome::Value(value) => record.value = Some(value),
            Outcome::Error(error) => record.error = Some(error),
            Outcome::NoError => {}
        }
        let has_callbacks = !record.callbacks.is_empty();
        record.waiters.drain(&mut wakes);
        let told = record.observers.tell(failed);
        drop(record);
        wakes.wake();
        told.wake();
        Ok(has_callbacks)
    }

    /// Cancels work that has not begun. Returns whether there are callbacks that the caller must run: `false`
    /// also if the work had been cancelled before.
    ///
    /// # Errors
    /// [`Refused`] if the work is running or finished, or the future has fallen back.
    pub fn cancel(&self) -> Result<bool, Refused> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        record.check()?;
        match record.state {
            State::Pending => {
                record.state = State::Cancelled;
                let has_callbacks = !record.callbacks.is_empty();
                record.waiters.drain(&mut wakes);
                drop(record);
                wakes.wake();
                Ok(has_callbacks)
            }
            State::Cancelled | State::CancelledAndNotified => Ok(false),
            state => Err(Refused::State(state)),
        }
    }

    /// Makes the future pending again, as if it were new. Present waits continue. Returns the old value,
    /// error and callbacks, for the caller to drop.
    ///
    /// # Errors
    /// [`FellBack`].
    #[expect(clippy::type_complexity, reason = "the parts are only dropped")]
    pub fn reset(&self) -> Result<(Option<V>, Option<V>, Vec<C>), FellBack> {
        let mut record = self.record.lock();
        if record.form == Form::Unmade {
            record.form = Form::Native;
        }
        record.check()?;
        record.state = State::Pending;
        Ok((
            record.value.take(),
            record.error.take(),
            std::mem::take(&mut record.callbacks),
        ))
    }

    /// Gives the future up to another implementation: present and later operations end as fallen back.
    /// Returns the contents with the callbacks and the observers. `None` if the future had fallen back
    /// before, or is unmade.
    pub fn fall_back(&self) -> Option<Remains<V, C>> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        record.check().ok()?;
        record.form = Form::FellBack;
        let remains = Remains {
            state: record.state,
            value: record.value.take(),
            error: record.error.take(),
            callbacks: std::mem::take(&mut record.callbacks),
            observers: std::mem::take(&mut record.observers),
        };
        record.waiters.wake_in_place(&mut wakes);
        drop(record);
        wakes.wake();
        Some(remains)
    }

    /// Whether it was created by [`Future::unmade`] and has neither been [reset](Future::reset) nor fallen
    /// back.
    pub fn is_unmade(&self) -> bool {
        self.record.lock().form == Form::Unmade
    }

    /// Makes an unmade future fall back: another implementation serves it.
    pub fn leave_unmade(&self) {
        let mut record = self.record.lock();
        if record.form == Form::Unmade {
            record.form = Form::FellBack;
        }
    }

    /// Tells `completions` once the work is settled; immediately, if it is settled already.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn observe(&self, completions: &Arc<Completions>, entry: usize) -> Result<(), FellBack> {
        let observer = Observer::new(Arc::clone(completions), entry);
        let mut record = self.record.lock();
        record.check()?;
        if !record.state.is_settled() {
            record.observers.push(observer);
            return Ok(());
        }
        let due = observer.complete(record.error.is_some());
        drop(record);
        if due {
            observer.wake();
        }
        Ok(())
    }

    /// Removes the observer of `completions`, which is not told any more.
    ///
    /// # Errors
    /// [`FellBack`]: the other implementation has the observer.
    pub fn forget(&self, completions: &Arc<Completions>) -> Result<(), FellBack> {
        let mut record = self.record.lock();
        record.check()?;
        let observer = record.observers.remove(completions);
        drop(record);
        drop(observer);
        Ok(())
    }

    /// The operation that waits until the future is done.
    pub fn wait(&self) -> WaitDone<&Self> {
        WaitDone::new(self)
    }
}

impl<V: Send + 'static, C: Send + 'static, J: Work> Owned for Future<V, C, J> {
    /// The thread that runs the work. Nothing else ends it, as long as only that thread sets the outcome.
    fn owner(&self) -> Option<ThreadNumber> {
        let record = self.record.lock();
        let is_running = record.state == State::Running && record.check().is_ok();
        ThreadNumber::from_number(record.runner).filter(|_| is_running)
    }

    fn pending(&self) -> Option<PendingWork> {
        let record = self.record.lock();
        record.check().ok()?;
        let describe = record.work.as_ref()?.pending()?;
        drop(record);
        Some(describe())
    }
}

impl<V, C, J> Default for Future<V, C, J> {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait until the future is done.
///
/// `F`: a reference to the future, or whatever else keeps it alive.
pub struct WaitDone<F> {
    future: F,
    ticket: Ticket,
}

impl<F> WaitDone<F> {
    /// The wait that has not begun.
    pub fn new(future: F) -> Self {
        Self {
            future,
            ticket: Ticket::next(),
        }
    }
}

impl<V, C, J, F> Operation for WaitDone<F>
where
    V: Send + 'static,
    C: Send + 'static,
    J: Work,
    F: Deref<Target = Future<V, C, J>>,
{
    type Output = Result<(), FellBack>;

    fn resource(&self) -> Resource {
        Resource::owned("Future", &*self.future)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut record = self.future.record.lock();
        if record.check().is_err() {
            return Some(Err(FellBack));
        }
        if record.state.is_done() {
            return Some(Ok(()));
        }
        record.waiters.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        match self.future.record.lock().waiters.leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
