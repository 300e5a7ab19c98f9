//! A result that is set once, and the callbacks and threads that wait for it.

use super::Retired;
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

/// A result of type `V` to come, with callbacks of type `C`; the work may come with it, as a `J`.
pub struct Future<V, C, J = ()> {
    record: Leaf<Record<V, C, J>>,
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
    retired: bool,
    waiters: WaiterList,
}

impl<V, C, J> Record<V, C, J> {
    fn check(&self) -> Result<(), Retired> {
        if self.retired { Err(Retired) } else { Ok(()) }
    }
}

impl<V, C, J> Future<V, C, J> {
    /// Pending.
    pub fn new() -> Self {
        Self {
            record: Leaf::new(Record {
                state: State::Pending,
                value: None,
                error: None,
                callbacks: Vec::new(),
                work: None,
                retired: false,
                waiters: WaiterList::new(),
            }),
        }
    }

    /// Shows the record to `look`, which runs under the leaf lock and must drop nothing.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&mut Record<V, C, J>) -> R) -> R {
        look(&mut self.record.lock())
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
        record.check()?;
        match record.state {
            State::Pending => {
                record.state = State::Running;
                Ok(true)
            }
            State::Cancelled => {
                record.state = State::CancelledAndNotified;
                Ok(false)
            }
            state => Err(Refused::State(state)),
        }
    }

    /// Takes the work and begins it.
    #[inline]
    pub fn start(&self) -> Start<J> {
        let mut record = self.record.lock();
        let Some(work) = record.work.take() else {
            return Start::TakenBefore;
        };
        if record.retired {
            return Start::Refused(Refused::Retired, work);
        }
        match record.state {
            State::Pending => {
                record.state = State::Running;
                Start::Begun(work)
            }
            State::Cancelled => {
                record.state = State::CancelledAndNotified;
                Start::Cancelled(work)
            }
            state => Start::Refused(Refused::State(state), work),
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
        match outcome {
            // The old value is `None`: only a finished future has one, and `set` retires first.
            Outcome::Value(value) => record.value = Some(value),
            Outcome::Error(error) => record.error = Some(error),
        }
        let callbacks = std::mem::take(&mut record.callbacks);
        record.waiters.drain(&mut wakes);
        drop(record);
        wakes.wake();
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
        self.with_native(|record| {
            record.state = State::Pending;
            (
                record.value.take(),
                record.error.take(),
                std::mem::take(&mut record.callbacks),
            )
        })
    }

    /// Gives the future up to another implementation: operations, also those that wait, end as
    /// retired. The callbacks come out; what is known remains to be read and written.
    /// `None` if that was done before.
    pub fn retire(&self) -> Option<Vec<C>> {
        let mut wakes = Wakes::new();
        let mut record = self.record.lock();
        if std::mem::replace(&mut record.retired, true) {
            return None;
        }
        let callbacks = std::mem::take(&mut record.callbacks);
        record.waiters.poke(&mut wakes);
        drop(record);
        wakes.wake();
        Some(callbacks)
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
        if record.retired {
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
