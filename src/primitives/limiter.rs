//! A limit on how often something is done, for threads that wait for their turn.
//!
//! The algorithm is GCRA, the generic cell rate algorithm (ITU-T I.371, 1993), which is a token bucket without a timer. One
//! number is the whole state: the *theoretical arrival time*, at which the next acquisition would come if all came evenly.
//! An acquisition may come earlier than that, by as much as a burst allows.
//!
//! Whoever must wait stands in a [`Line`], in the order of arrival. A large acquisition is not starved by small ones,
//! because those wait behind it.

use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::wait::deadline::Deadline;
use crate::wait::line::{Line, Turn};
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{self, Monitor, Operation, Parked, Ticket, Waiter, generation};

/// A time in attoseconds, so that the smallest intervals add up exactly, and the largest ones have room.
type Attoseconds = u128;

const NANOSECOND: Attoseconds = 1_000_000_000;
const SECOND: f64 = 1e18;

/// The longest time that a burst may take. So a burst that is owed, from the present time on, is in range.
const LONGEST: Attoseconds = Attoseconds::MAX / 4;

/// How often: `rate` times in `per` seconds, and up to `burst` times at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How many acquisitions.
    pub rate: f64,
    /// In so many seconds.
    pub per: f64,
    /// How many may come at once after a pause.
    pub burst: u64,
}

impl Pace {
    /// The time between two acquisitions.
    fn interval(self) -> Attoseconds {
        // Beyond the range, the conversion takes the nearest number.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "see above"
        )]
        let interval = (self.per / self.rate * SECOND) as Attoseconds;
        interval.max(1)
    }

    /// Whether the times can be counted. Otherwise they would end at the largest number, and the limiter would let
    /// everything through.
    pub fn is_in_range(self) -> bool {
        let seconds = self.per / self.rate;
        let burst = self.interval().checked_mul(self.burst.into());
        seconds.is_finite() && seconds > 0.0 && burst.is_some_and(|burst| burst <= LONGEST)
    }
}

/// The times of a pace cannot be counted: see [`Pace::is_in_range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// Lets acquisitions through at a pace.
pub struct Limiter {
    /// The moment from which times are counted.
    begin: Instant,
    state: Monitor<State>,
}

struct State {
    pace: Pace,
    interval: Attoseconds,
    /// The theoretical arrival time of the next acquisition.
    arrival: Attoseconds,
    /// The generation of the process that this state belongs to.
    generation: u32,
    /// The payload says how much a waiter acquires.
    line: Line<u64>,
}

impl wait::State for State {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        // What was acquired is acquired, and the line passes over waiters of another process.
    }
}

impl State {
    fn cost(&self, amount: u64) -> Attoseconds {
        self.interval.saturating_mul(amount.into())
    }

    /// When so much could be acquired, after what `arrival` says.
    fn due_after(&self, arrival: Attoseconds, amount: u64) -> Attoseconds {
        // More than a burst, because the burst has been made smaller since: when nothing is owed any more.
        let in_advance = self.pace.burst.saturating_sub(amount);
        arrival.saturating_sub(self.cost(in_advance))
    }

    fn due(&self, amount: u64) -> Attoseconds {
        self.due_after(self.arrival, amount)
    }

    fn take(&mut self, amount: u64, now: Attoseconds) {
        self.arrival = self.arrival.max(now).saturating_add(self.cost(amount));
    }
}

impl Limiter {
    /// Creates a limiter that allows a burst at first.
    pub fn new(pace: Pace) -> Self {
        Self {
            begin: Instant::now(),
            state: Monitor::new(State {
                pace,
                interval: pace.interval(),
                arrival: 0,
                generation: generation(),
                line: Line::new(),
            }),
        }
    }

    fn since_begin(&self, now: Instant) -> Attoseconds {
        now.saturating_duration_since(self.begin)
            .as_nanos()
            .saturating_mul(NANOSECOND)
    }

    /// The moment, rounded up. `None`: beyond the range of the clock.
    fn moment(&self, time: Attoseconds) -> Option<Instant> {
        let nanoseconds = u64::try_from(time.div_ceil(NANOSECOND)).ok()?;
        self.begin.checked_add(Duration::from_nanos(nanoseconds))
    }

    /// How often it lets acquisitions through.
    pub fn pace(&self) -> Pace {
        self.state.enter().pace
    }

    /// Changes the pace. What has been acquired already counts at the new pace, and all waiters look again.
    ///
    /// # Errors
    /// [`OutOfRange`]: the pace is as before. It is checked here, because two threads may change two of the numbers.
    pub fn set_pace(&self, change: impl FnOnce(&mut Pace)) -> Result<(), OutOfRange> {
        let now = self.since_begin(Instant::now());
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        let mut pace = state.pace;
        change(&mut pace);
        if !pace.is_in_range() {
            return Err(OutOfRange);
        }
        state.pace = pace;
        let before = std::mem::replace(&mut state.interval, state.pace.interval());
        if state.arrival > now {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "it is a time to come, which need not be exact"
            )]
            let owed = ((state.arrival - now) as f64 / before as f64 * state.interval as f64)
                as Attoseconds;
            state.arrival = now.saturating_add(owed);
        }
        state.line.call_all(wakes);
        Ok(())
    }

    /// Acquires so much, if that is possible now and nobody waits.
    pub fn try_acquire(&self, amount: u64) -> bool {
        let instant = Instant::now();
        let now = self.since_begin(instant);
        let mut state = self.state.enter();
        if !state.line.is_empty() {
            let due = |amount: &u64| self.moment(state.due(*amount));
            if state.line.turn(None, true, instant, due) != Turn::Mine {
                return false;
            }
        }
        let is_due = now >= state.due(amount);
        if is_due {
            state.take(amount, now);
        }
        is_due
    }

    /// The operation that waits until so much can be acquired.
    pub fn acquire(&self, amount: u64) -> Acquire<&Self> {
        Acquire::new(self, amount)
    }

    /// How long an acquisition of so much that began now would wait, if all who wait now stay.
    pub fn delay(&self, amount: u64) -> Duration {
        let now = self.since_begin(Instant::now());
        let state = self.state.enter();
        let waiting = state
            .line
            .wants()
            .fold(0, |sum: u64, wants| sum.saturating_add(*wants));
        let arrival = state.arrival.max(now).saturating_add(state.cost(waiting));
        let left = state.due_after(arrival, amount).saturating_sub(now);
        u64::try_from(left.div_ceil(NANOSECOND)).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// How much can be acquired now without waiting.
    pub fn available(&self) -> u64 {
        let now = self.since_begin(Instant::now());
        let state = self.state.enter();
        if state.line.wants().next().is_some() {
            return 0;
        }
        let full = now.saturating_add(state.cost(state.pace.burst));
        let left = full.saturating_sub(state.arrival.max(now));
        u64::try_from(left / state.interval).unwrap_or(u64::MAX)
    }

    /// How many waiters there are.
    pub fn waiting(&self) -> usize {
        self.state.enter().line.len()
    }
}

/// A wait until so much can be acquired.
///
/// `L`: a reference to the limiter, or whatever else keeps it alive.
pub struct Acquire<L: Deref<Target = Limiter>> {
    limiter: L,
    amount: u64,
    ticket: Ticket,
    due: Deadline,
    /// It may be in line.
    has_joined: bool,
}

impl<L: Deref<Target = Limiter>> Acquire<L> {
    /// The wait that has not begun.
    pub fn new(limiter: L, amount: u64) -> Self {
        Self {
            limiter,
            amount,
            ticket: Ticket::next(),
            due: Deadline::NEVER,
            has_joined: false,
        }
    }

    fn leave_line(&mut self) {
        if std::mem::take(&mut self.has_joined) {
            let mut entered = self.limiter.state.enter();
            let (state, wakes) = entered.parts();
            if state.line.leave(self.ticket) {
                state.line.call_next(wakes);
            }
        }
    }
}

impl<L: Deref<Target = Limiter>> Operation for Acquire<L> {
    type Output = ();

    /// Others wait behind it.
    const KEEPS: bool = false;

    fn due(&self) -> Deadline {
        self.due
    }

    fn stays(&self) -> bool {
        self.has_joined
    }

    fn resource(&self) -> Resource {
        Resource::new("Limiter", &*self.limiter)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let limiter = &*self.limiter;
        let instant = Instant::now();
        let now = limiter.since_begin(instant);
        let mut entered = limiter.state.enter();
        let (state, wakes) = entered.parts();
        let due = |amount: &u64| limiter.moment(state.due(*amount));
        let turn = (state.line).turn(Some(self.ticket), waiter.is_thread(), instant, due);
        self.due = match turn {
            Turn::Behind => Deadline::NEVER,
            Turn::MineAt(moment) => Deadline::at(moment),
            Turn::Mine if now < state.due(self.amount) => {
                due(&self.amount).map_or(Deadline::NEVER, Deadline::at)
            }
            Turn::Mine => {
                state.take(self.amount, now);
                state.line.leave(self.ticket);
                self.has_joined = false;
                state.line.call_next(wakes);
                return Some(());
            }
        };
        state.line.join(self.ticket, waiter, self.amount, instant);
        self.has_joined = true;
        None
    }

    fn leave(&mut self, parked: Parked) -> Option<()> {
        if parked != Parked::Unparked {
            self.leave_line();
        }
        None
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        self.leave_line();
        None
    }
}

impl<L: Deref<Target = Limiter>> Drop for Acquire<L> {
    fn drop(&mut self) {
        self.leave_line();
    }
}
