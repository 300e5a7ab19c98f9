//! A result that is set once, and the callbacks and threads that wait for it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Retired;
use super::completion::{Completions, Observer, Observers};
use super::leaf::Leaf;
use super::sync::Arc;
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// Where the work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has begun it.
    Pending,
    /// Somebody works on it.
    Running,
    /// It was cancelled before anybody began it.
    Cancelled,
    /// As `Cancelled`, and its executor has seen that.
    CancelledAndNotified,
    /// It has a result or an error.
    Finished,
}

impl State {
    /// Whether nothing more will happen.
    pub fn is_done(self) -> bool {
        self.is_cancelled() || self == Self::Finished
    }

    /// Whether those who wait for several futures take it as done: not before its cancellation is seen.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::CancelledAndNotified | Self::Finished)
    }

    /// Whether it was cancelled, seen or not.
    pub fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified)
    }
}

/// What the work came to.
#[derive(Debug)]
pub enum Outcome<V> {
    /// It returned this.
    Value(V),
    /// It failed with this.
    Error(V),
    /// It was said to have failed, and with nothing: it has neither a value nor an error.
    NoError,
}

/// Why a change of state was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The state does not allow it.
    State(State),
    /// See [`super::Retired`].
    Retired,
}

impl From<Retired> for Refused {
    fn from(_: Retired) -> Self {
        Self::Retired
    }
}

/// What came of an attempt to begin the work of a future that carries it along.
#[derive(Debug, PartialEq, Eq)]
pub enum Start<J> {
    /// It is begun, and this is to be done.
    Begun(J),
    /// Somebody else has taken it.
    TakenBefore,
    /// It was cancelled, which is hereby seen.
    Cancelled(J),
    /// It could not be begun, for this reason.
    Refused(Refused, J),
}

/// Who serves a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nobody yet: see [`Future::unmade`].
    Unmade,
    /// This implementation.
    Native,
    /// Another: see [`Future::retire`].
    Retired,
}

/// A result of type `V` to come, with callbacks of type `C`; the work may come with it, as a `J`.
pub struct Future<V, C, J = ()> {
    record: Leaf<Record<V, C, J>>,
    /// Whether it carries work, to be looked at without the leaf lock.
    has_work: AtomicBool,
}

/// What is known of the work; read it under [`Future::with`].
pub struct Record<V, C, J = ()> {
    /// Where the work stands.
    pub state: State,
    /// What it returned.
    pub value: Option<V>,
    /// What it failed with.
    pub error: Option<V>,
    /// To be run once it is done, in this order.
    pub callbacks: Vec<C>,
    /// The work, until somebody takes it.
    pub work: Option<J>,
    form: Form,
    waiters: WaiterList,
    /// Those who wait for this and for others.
    observers: Observers,
}

impl<V, C, J> Record<V, C, J> {
    /// See [`Future::begin`]; if it was cancelled, it is then settled.
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

    fn check(&self) -> Result<(), Retired> {
        match self.form {
            Form::Native => Ok(()),
            Form::Unmade | Form::Retired => Err(Retired),
        }
    }
}

impl<V, C, J> Future<V, C, J> {
    /// Pending.
    pub fn new() -> Self {
        Self::of(Form::Native)
    }

    /// As if it were retired, until it is [reset](Future::reset).
    pub fn unmade() -> Self {
        Self::of(Form::Unmade)
    }

    fn of(form: Form) -> Self {
        Self {
            record: Leaf::new(Record {
                state: State::Pending,
                value: None,
                error: None,
                callbacks: Vec::new(),
                work: None,
                form,
                waiters: WaiterList::new(),
                observers: Observers::default(),
            }),
            has_work: AtomicBool::new(false),
        }
    }

    /// From now on it carries the work: a new future, which carries none.
    #[inline]
    pub fn carry(&self, work: J) {
        self.record.lock().work = Some(work);
        self.has_work.store(true, Ordering::Relaxed);
    }

    /// Whether it carries work. It may just be taken; but once it was, that remains so.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.has_work.load(Ordering::Relaxed)
    }

    /// The work, which somebody else will begin, if ever.
    pub fn take_work(&self) -> Option<J> {
        let work = self.record.lock().work.take();
        self.has_work.store(false, Ordering::Relaxed);
        work
    }

    /// Shows the record to `look`, which runs under the leaf lock and must drop nothing.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&mut Record<V, C, J>) -> R) -> R {
        look(&mut self.record.lock())
    }

    /// As [`Future::with`], unless the future is unmade.
    ///
    /// # Errors
    /// [`Retired`].
    #[inline]
    pub fn with_made<R>(&self, look: impl FnOnce(&mut Record<V, C, J>) -> R) -> Result<R, Retired> {
        let mut record = self.record.lock();
        match record.form {
            Form::Unmade => Err(Retired),
            Form::Native | Form::Retired => Ok(look(&mut record)),
        }
    }

    /// As [`Future::with`], unless the future was retired.
    ///
    /// # Errors
    /// [`Retired`].
    #[inline]
    pub fn with_native<R>(
        &self,
        look: impl FnOnce(&mut Record<V, C, J>) -> R,
    ) -> Result<R, Retired> {
        let mut record = self.record.lock();
        record.check()?;
        Ok(look(&mut record))
    }

    /// Begins the work: `false` if it was cancelled, which is hereby seen.
    ///
    /// # Errors
    /// [`Refused`], if it was begun or done before.
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
            Ok(true) => Start::Begun(work),
            Ok(false) => {
                let told = record.observers.tell(false);
                drop(record);
                told.wake();
                Start::Cancelled(work)
            }
            Err(refused) => Start::Refused(refused, work),
        }
    }

    /// Ends the work. The callbacks come back for the caller to run.
    ///
    /// # Errors
    /// [`Refused`], with the outcome, if it is done already.
    pub fn finish(&self, outcome: Outcome<V>) -> Result<Vec<C>, (Refused, Outcome<V>)> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        if let Err(retired) = record.check() {
            return Err((retired.into(), outcome));
        }
        if record.state.is_done() {
            return Err((Refused::State(record.state), outcome));
        }
        record.state = State::Finished;
        let failed = !matches!(outcome, Outcome::Value(_));
        match outcome {
            // The old value is `None`: only a finished future has one, and `set` retires first.
            Outcome::Value(value) => record.value = Some(value),
            Outcome::Error(error) => record.error = Some(error),
            Outcome::NoError => {}
        }
        let callbacks = std::mem::take(&mut record.callbacks);
        record.waiters.drain(&mut wakes);
        let told = record.observers.tell(failed);
        drop(record);
        wakes.wake();
        told.wake();
        Ok(callbacks)
    }

    /// Cancels work that nobody has begun. The callbacks come back for the caller to run; none
    /// if it had been cancelled before.
    ///
    /// # Errors
    /// [`Refused`] if it is running or finished.
    pub fn cancel(&self) -> Result<Vec<C>, Refused> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        record.check()?;
        match record.state {
            State::Pending => {
                record.state = State::Cancelled;
                let callbacks = std::mem::take(&mut record.callbacks);
                record.waiters.drain(&mut wakes);
                drop(record);
                wakes.wake();
                Ok(callbacks)
            }
            State::Cancelled | State::CancelledAndNotified => Ok(Vec::new()),
            state => Err(Refused::State(state)),
        }
    }

    /// Pending again, as it was made; those who wait wait on. What was known comes back to be
    /// dropped.
    ///
    /// # Errors
    /// [`Retired`].
    #[expect(clippy::type_complexity, reason = "the parts are only dropped")]
    pub fn reset(&self) -> Result<(Option<V>, Option<V>, Vec<C>), Retired> {
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

    /// Gives the future up to another implementation: operations, also those that wait, end as
    /// retired. The callbacks and the observers come out; what is known remains to be read and written.
    /// `None` if that was done before, or if it is unmade.
    pub fn retire(&self) -> Option<(Vec<C>, Observers)> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        record.check().ok()?;
        record.form = Form::Retired;
        let callbacks = std::mem::take(&mut record.callbacks);
        let observers = std::mem::take(&mut record.observers);
        record.waiters.poke(&mut wakes);
        drop(record);
        wakes.wake();
        Some((callbacks, observers))
    }

    /// Retires a future that is unmade: another implementation makes it.
    pub fn leave_unmade(&self) {
        let mut record = self.record.lock();
        if record.form == Form::Unmade {
            record.form = Form::Retired;
        }
    }

    /// Has the completion be told once the work is settled: at once, if it is.
    ///
    /// # Errors
    /// [`Retired`].
    pub fn observe(&self, completions: &Arc<Completions>, entry: usize) -> Result<(), Retired> {
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

    /// They are not told any more.
    ///
    /// # Errors
    /// [`Retired`]: the observer is elsewhere.
    pub fn forget(&self, completions: &Arc<Completions>) -> Result<(), Retired> {
        let mut record = self.record.lock();
        record.check()?;
        let observer = record.observers.remove(completions);
        drop(record);
        drop(observer);
        Ok(())
    }

    /// The wait until it is done.
    pub fn wait(&self) -> WaitDone<'_, V, C, J> {
        WaitDone {
            future: self,
            ticket: Ticket::next(),
        }
    }
}

impl<V, C, J> Default for Future<V, C, J> {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait until the work is done.
pub struct WaitDone<'a, V, C, J> {
    future: &'a Future<V, C, J>,
    ticket: Ticket,
}

impl<V, C, J> Operation for WaitDone<'_, V, C, J> {
    type Output = Result<(), Retired>;

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut record = self.future.record.lock();
        if record.check().is_err() {
            return Some(Err(Retired));
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
}
