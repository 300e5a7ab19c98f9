//! What a trace shows: slices on tracks, counters, and arrows from one slice to another, made of what threads have
//! recorded.
//!
//! The times of a track are made different from each other, so that its slices are nested or apart, and never begin at
//! the same time. They are whole *ticks* of 125 ns, because programs that read the file calculate with floating-point
//! numbers of microseconds, in which these are exact.

use std::collections::HashMap;

use super::trace::{End, Event, Events, Happening, Recording, Submitted};

/// Nanoseconds of a tick.
pub const TICK: u64 = 125;

/// How long the slice of a wake or a submission is at most, in ticks: these are moments, but an arrow needs a slice.
const MOMENT: u64 = 8;

/// How long a thread that nobody has woken must wait for the interpreter, in ticks, to have a slice for that.
const LONG: u64 = 80;

/// A wake that was noted this long before the wait it belongs to, at most, in ticks. Without a GIL, a thread can be woken
/// between its entry into a list and its note that it waits.
const BEFORE_WAIT: u64 = 8_000;

/// What a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// A thread waits.
    Wait {
        /// The number of what it waits for.
        object: u32,
        /// The number of its stack.
        stack: u32,
        /// How the wait has ended.
        outcome: Outcome,
        /// The number of the thread that has ended it; zero: none.
        by: u32,
        /// For how many ticks of it the thread was awake and waited for the interpreter.
        interpreter: u64,
        /// How often it has slept.
        sleeps: u32,
    },
    /// In a wait: the thread is awake, and waits for the interpreter; or the task was woken, and waits for its turn.
    Awake,
    /// A thread runs a call of a pool.
    Call {
        /// The number of the function.
        function: u32,
        /// The number of the pool.
        pool: u32,
        /// How many ticks the call was pending; `None`: it was submitted before the trace began.
        pending: Option<u64>,
        /// Whether it has ended.
        is_whole: bool,
    },
    /// A thread wakes another.
    Wakes {
        /// The number of the thread that is woken.
        thread: u32,
        /// The number of what that waits for.
        object: u32,
    },
    /// A thread submits a call.
    Submits {
        /// The number of the pool.
        pool: u32,
    },
    /// A lock is held.
    Held {
        /// The number of the lock.
        object: u32,
        /// The number of the thread that holds it.
        by: u32,
        /// Whether the beginning is the moment at which it was taken, after a wait. Otherwise it was taken before.
        is_taken: bool,
        /// The number of the stack in which it was freed at the end; `None`: it was freed later.
        freed: Option<u32>,
    },
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The thread has what it waited for.
    Completed,
    /// Its time was over.
    TimedOut,
    /// A signal or an error has ended it.
    Interrupted,
    /// It had not ended when the trace ended.
    Lasting,
    /// The end found no room.
    NotRecorded,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// The items of the queue with this number.
    Items(u32),
    /// The pending calls of the pool with this number.
    Pending(u32),
    /// The workers of the pool with this number that run calls.
    Busy(u32),
}

/// What an arrow leads from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrow {
    /// From a thread that wakes another to the wait of that.
    Wake,
    /// From the thread that has put an item to the wait of the one that was woken for it.
    Item,
    /// From the submission of a call to its run.
    Run,
}

/// What is shown. Times are in ticks.
pub enum Shown {
    /// A slice on the track of a thread, or on that of a lock.
    Slice {
        /// The number of the thread or of the object.
        track: u32,
        /// When it begins.
        begin: u64,
        /// When it ends.
        end: u64,
        /// What it is.
        slice: Slice,
    },
    /// An end of an arrow.
    Arrow {
        /// What it leads from and to.
        arrow: Arrow,
        /// Its number.
        number: u64,
        /// The number of the thread.
        thread: u32,
        /// When.
        at: u64,
        /// Whether it begins there, and does not end.
        begins: bool,
    },
    /// The value of a counter from a time on.
    Count {
        /// What is counted.
        counter: Counter,
        /// When.
        at: u64,
        /// The value.
        value: i64,
    },
}

/// A sleep that another thread has ended.
struct Woken {
    begin: u64,
    /// When the slice begins in which the thread is awake, if there is one.
    awake: Option<u64>,
    end: u64,
    thread: u32,
    object: u32,
    by: u32,
    /// Whether the wake was found.
    is_found: bool,
}

/// What is known of a lock at some time.
#[derive(Clone, Copy)]
enum Fact {
    /// This thread has it.
    SeenWith(u32),
    /// This thread has waited for it, and takes it.
    TakenBy(u32),
    /// A thread that has waited gives up, or waits still. Whoever had the lock has it still, if it was not freed.
    StillHeld,
    /// This thread has freed it, at the place with this number.
    FreedBy(u32, u32),
}

/// What is known of all threads together.
#[derive(Default)]
struct Known {
    /// By the address of the waiter, in the order of their ends.
    woken: HashMap<u64, Vec<Woken>>,
    /// By which thread calls were submitted, and when.
    submitted: HashMap<Submitted, (u32, u64)>,
    locks: HashMap<u32, Vec<(u64, Fact)>>,
    counts: HashMap<Counter, Vec<(u64, i64)>>,
    arrows: u64,
}

/// A slice that has begun.
enum Open {
    Wait(Waiting),
    Call {
        begin: u64,
        slice: Slice,
        /// The pool whose worker runs it.
        works: Option<u32>,
    },
}

struct Waiting {
    begin: u64,
    /// When the present sleep began, and by what it is woken.
    slept: u64,
    waiter: u64,
    object: u32,
    stack: u32,
    /// When the last sleep ended, if the thread is not asleep.
    went_on: Option<u64>,
    by: u32,
    interpreter: u64,
    sleeps: u32,
}

impl Waiting {
    fn slice(&self, outcome: Outcome) -> Slice {
        Slice::Wait {
            object: self.object,
            stack: self.stack,
            outcome,
            by: if outcome == Outcome::Completed {
                self.by
            } else {
                0
            },
            interpreter: self.interpreter,
            sleeps: self.sleeps,
        }
    }
}

/// The events of a thread, with what is to be done about each, in order.
struct Replay<'a, S> {
    thread: u32,
    /// As whom it holds locks: itself, or for a task the thread that runs it.
    holder: u32,
    open: Vec<Open>,
    /// When the last event was that concerns slices.
    last: u64,
    show: S,
    /// For the number of each object: whether it is a lock.
    are_locks: &'a [bool],
}

/// What the events of a thread have, besides slices.
trait Watcher {
    fn slice(&mut self, begin: u64, end: u64, slice: Slice);
    fn woken(&mut self, _waiter: u64, _woken: Woken) {}
    fn fact(&mut self, _object: u32, _at: u64, _fact: Fact) {}
    fn works(&mut self, _pool: u32, _at: u64, _more: i64) {}
}

impl<S: Watcher> Replay<'_, S> {
    /// Ends the wait that the thread is in, if it has gone on after a sleep.
    fn settle(&mut self, outcome: Outcome) {
        let is_over = matches!(self.open.last(), Some(Open::Wait(wait)) if wait.went_on.is_some());
        if is_over && let Some(Open::Wait(wait)) = self.open.pop() {
            let end = wait.went_on.unwrap_or(wait.begin);
            self.show_wait(&wait, end, outcome);
        }
    }

    fn show_wait(&mut self, wait: &Waiting, end: u64, outcome: Outcome) {
        if self.are_locks[wait.object as usize] {
            let fact = match outcome {
                Outcome::Completed => Fact::TakenBy(self.holder),
                _ => Fact::StillHeld,
            };
            self.show.fact(wait.object, end, fact);
        }
        self.show.slice(wait.begin, end, wait.slice(outcome));
    }

    fn over(&mut self, end: End) {
        match end {
            End::Open => {}
            End::Completed => self.settle(Outcome::Completed),
            End::TimedOut => self.settle(Outcome::TimedOut),
        }
    }

    fn happens(&mut self, at: u64, what: Happening) {
        self.act(at, what);
        // Others are in no slice.
        if !matches!(
            what,
            Happening::Counts { .. } | Happening::HasPending { .. } | Happening::Frees { .. }
        ) {
            self.last = at;
        }
    }

    fn act(&mut self, at: u64, what: Happening) {
        match what {
            Happening::Waits {
                waiter,
                object,
                stack,
                owner,
            } => {
                if owner != 0 && self.are_locks[object as usize] {
                    self.show.fact(object, at, Fact::SeenWith(owner));
                }
                if let Some(Open::Wait(wait)) = self.open.last_mut()
                    && wait.went_on.is_some()
                    && wait.object == object
                {
                    wait.went_on = None;
                    wait.slept = at;
                    wait.waiter = waiter;
                    wait.sleeps += 1;
                    return;
                }
                self.settle(Outcome::Interrupted);
                self.open.push(Open::Wait(Waiting {
                    begin: at,
                    slept: at,
                    waiter,
                    object,
                    stack,
                    went_on: None,
                    by: 0,
                    interpreter: 0,
                    sleeps: 1,
                }));
            }
            Happening::GoesOn { awake, by, end } => {
                // One in a signal handler that has raised.
                self.settle(Outcome::Interrupted);
                let Some(Open::Wait(wait)) = self.open.last_mut() else {
                    return;
                };
                let awake = (awake / TICK).clamp(wait.slept, at);
                wait.interpreter += at - awake;
                wait.went_on = Some(at);
                wait.by = by;
                // An arrow leads from a slice to a later one. So the end of a sleep is a slice of its own.
                let is_long = by != 0 || at - awake >= LONG;
                let awake = awake.min(at - 1).max(self.last + 1);
                let awake = (is_long && awake < at).then_some(awake);
                if let Some(awake) = awake {
                    self.show.slice(awake, at, Slice::Awake);
                }
                if by != 0 {
                    let woken = Woken {
                        begin: wait.slept,
                        awake,
                        end: at,
                        thread: self.thread,
                        object: wait.object,
                        by,
                        is_found: false,
                    };
                    self.show.woken(wait.waiter, woken);
                }
                self.over(end);
            }
            Happening::IsOver { end } => self.over(end),
            Happening::Begins {
                submitted,
                function,
                pool,
                works,
                ..
            } => {
                self.settle(Outcome::Interrupted);
                let is_first = works && !self.works_for(pool);
                if is_first {
                    self.show.works(pool, at, 1);
                }
                let pending = (submitted > 0).then(|| at.saturating_sub(submitted / TICK));
                self.open.push(Open::Call {
                    begin: at,
                    slice: Slice::Call {
                        function,
                        pool,
                        pending,
                        is_whole: true,
                    },
                    works: works.then_some(pool),
                });
            }
            Happening::Ends => self.end_call(at),
            Happening::Wakes { .. }
            | Happening::Frees { .. }
            | Happening::Counts { .. }
            | Happening::Submits { .. }
            | Happening::HasPending { .. } => {}
        }
    }

    fn works_for(&self, pool: u32) -> bool {
        let open = self.open.iter();
        open.into_iter()
            .any(|open| matches!(open, Open::Call { works: Some(other), .. } if *other == pool))
    }

    fn end_call(&mut self, at: u64) {
        if !(self.open.iter()).any(|open| matches!(open, Open::Call { .. })) {
            // It began before the trace.
            return;
        }
        while let Some(open) = self.open.pop() {
            match open {
                Open::Wait(wait) => {
                    let end = wait.went_on.unwrap_or(at);
                    self.show_wait(&wait, end, Outcome::Interrupted);
                }
                Open::Call {
                    begin,
                    slice,
                    works,
                } => {
                    self.show.slice(begin, at, slice);
                    if let Some(pool) = works
                        && !self.works_for(pool)
                    {
                        self.show.works(pool, at, -1);
                    }
                    return;
                }
            }
        }
    }

    /// The events end here, because the trace does, or because later ones found no room.
    fn end(mut self, at: u64, is_whole: bool) {
        self.settle(Outcome::Interrupted);
        let outcome = if is_whole {
            Outcome::Lasting
        } else {
            Outcome::NotRecorded
        };
        while let Some(open) = self.open.pop() {
            match open {
                Open::Wait(wait) => {
                    let end = wait.went_on.unwrap_or(at);
                    self.show_wait(&wait, end, outcome);
                }
                Open::Call {
                    begin,
                    mut slice,
                    works,
                } => {
                    if let Slice::Call { is_whole, .. } = &mut slice {
                        *is_whole = false;
                    }
                    self.show.slice(begin, at, slice);
                    if !is_whole && let Some(pool) = works {
                        self.show.works(pool, at, -1);
                    }
                }
            }
        }
    }
}

/// Gives each event of a thread a tick of its own. Returns the first tick after them.
fn number(events: &mut Events) -> u64 {
    let mut next = 0;
    for event in events.chunks.iter_mut().flatten() {
        event.time = next.max(event.time / TICK);
        next = event.time + 1;
    }
    next
}

/// The first look, at all threads: what they know of each other.
struct Gather<'a>(&'a mut Known);

impl Watcher for Gather<'_> {
    fn slice(&mut self, _: u64, _: u64, _: Slice) {}

    fn woken(&mut self, waiter: u64, woken: Woken) {
        if waiter != 0 {
            self.0.woken.entry(waiter).or_default().push(woken);
        }
    }

    fn fact(&mut self, object: u32, at: u64, fact: Fact) {
        self.0.locks.entry(object).or_default().push((at, fact));
    }

    fn works(&mut self, pool: u32, at: u64, more: i64) {
        let counts = self.0.counts.entry(Counter::Busy(pool)).or_default();
        counts.push((at, more));
    }
}

impl Known {
    fn count(&mut self, counter: Counter, at: u64, value: u32) {
        let counts = self.counts.entry(counter).or_default();
        counts.push((at, value.into()));
    }

    /// Notes what does not concern the slices of a thread.
    fn note(&mut self, thread: u32, at: u64, what: Happening, queues: &[u32]) {
        match what {
            Happening::Frees { object, stack } => {
                let facts = self.locks.entry(object).or_default();
                facts.push((at, Fact::FreedBy(thread, stack)));
            }
            Happening::Counts { object, items } => {
                self.count(Counter::Items(queues[object as usize]), at, items);
            }
            Happening::HasPending { pool, calls } => self.count(Counter::Pending(pool), at, calls),
            Happening::Submits { call, .. } => {
                self.submitted.insert(call, (thread, at));
            }
            Happening::Begins { pool, pending, .. } => {
                self.count(Counter::Pending(pool), at, pending);
            }
            _ => {}
        }
    }

    /// The sleep that a wake of this waiter by this thread has ended.
    fn woken_by(&mut self, waiter: u64, by: u32, at: u64) -> Option<&mut Woken> {
        let woken = self.woken.get_mut(&waiter)?;
        let first = woken.partition_point(|woken| woken.end < at);
        let woken = woken.get_mut(first)?;
        let is_it = woken.by == by && !woken.is_found && woken.begin <= at + BEFORE_WAIT;
        is_it.then_some(woken)
    }
}

/// The second look, at each thread.
struct Show<'a, F> {
    thread: u32,
    show: &'a mut F,
}

impl<F: FnMut(Shown)> Watcher for Show<'_, F> {
    fn slice(&mut self, begin: u64, end: u64, slice: Slice) {
        (self.show)(Shown::Slice {
            track: self.thread,
            begin,
            end: end.max(begin + 1),
            slice,
        });
    }
}

impl<F: FnMut(Shown)> Show<'_, F> {
    fn arrow(&mut self, arrow: Arrow, known: &mut Known, from: (u32, u64), to: (u32, u64)) {
        known.arrows += 1;
        for ((thread, at), begins) in [(from, true), (to, false)] {
            (self.show)(Shown::Arrow {
                arrow,
                number: known.arrows,
                thread,
                at,
                begins,
            });
        }
    }

    /// Shows what is a moment, and the arrow that leads from it. `next`: when something else happens to the thread.
    fn moment(&mut self, at: u64, next: u64, what: Happening, items: &[bool], known: &mut Known) {
        let end = next.min(at + MOMENT);
        match what {
            Happening::Wakes { waiter } => {
                let Some(woken) = known.woken_by(waiter, self.thread, at) else {
                    return;
                };
                woken.is_found = true;
                let (thread, object) = (woken.thread, woken.object);
                let to = woken.awake.filter(|awake| *awake >= at);
                self.slice(at, end, Slice::Wakes { thread, object });
                if let Some(to) = to {
                    let arrow = if items[object as usize] {
                        Arrow::Item
                    } else {
                        Arrow::Wake
                    };
                    self.arrow(arrow, known, (self.thread, at), (thread, to));
                }
            }
            Happening::Submits { pool, .. } => self.slice(at, end, Slice::Submits { pool }),
            Happening::Begins {
                submitted, mark, ..
            } => {
                let call = Submitted::of(submitted, mark);
                if let Some(from) = known.submitted.remove(&call)
                    && from.1 <= at
                {
                    self.arrow(Arrow::Run, known, from, (self.thread, at));
                }
            }
            _ => {}
        }
    }
}

/// Calls `show` with all that the recording shows, track by track. Changes the times of the recording into ticks.
pub fn each(recording: &mut Recording, show: &mut impl FnMut(Shown)) {
    let is = |wanted: fn(&str) -> bool| -> Vec<bool> {
        let objects = recording.objects().iter();
        objects
            .map(|object| wanted(object.what) && object.address != 0)
            .collect()
    };
    let are_locks = is(|what| matches!(what, "Lock" | "RLock"));
    let are_items = is(|what| what == "item of a queue");
    let queues = same_objects(recording);
    let mut end = recording.end / TICK;
    for (_, events) in &mut recording.tracks {
        end = end.max(number(events));
    }
    let mut known = Known::default();
    for (track, events) in &recording.tracks {
        let thread = track.thread.number();
        let mut replay = Replay {
            thread,
            holder: track
                .runs_in
                .get()
                .map_or(thread, |runs_in| runs_in.number()),
            open: Vec::new(),
            last: 0,
            show: Gather(&mut known),
            are_locks: &are_locks,
        };
        for Event { time, what } in events.chunks.iter().flatten() {
            replay.happens(*time, *what);
            replay.show.0.note(thread, *time, *what, &queues);
        }
        replay.end(until(events, end), events.dropped == 0);
    }
    for woken in known.woken.values_mut() {
        woken.sort_by_key(|woken| woken.end);
    }
    for (track, events) in &recording.tracks {
        let thread = track.thread.number();
        let mut replay = Replay {
            thread,
            holder: track
                .runs_in
                .get()
                .map_or(thread, |runs_in| runs_in.number()),
            open: Vec::new(),
            last: 0,
            show: Show {
                thread,
                show: &mut *show,
            },
            are_locks: &are_locks,
        };
        let end = until(events, end);
        let mut all = events.chunks.iter().flatten().peekable();
        while let Some(Event { time, what }) = all.next() {
            let next = all.peek().map_or(end, |event| event.time);
            replay.happens(*time, *what);
            (replay.show).moment(*time, next, *what, &are_items, &mut known);
        }
        replay.end(end, events.dropped == 0);
    }
    for (lock, mut facts) in known.locks {
        facts.sort_by_key(|(at, _)| *at);
        show_lock(lock, &facts, show);
    }
    for (counter, mut counts) in known.counts {
        counts.sort_by_key(|(at, _)| *at);
        show_counter(counter, &counts, show);
    }
}

/// When the events of a thread end.
fn until(events: &Events, end: u64) -> u64 {
    let last = events.chunks.iter().flatten().last();
    let dropped = events.dropped_since.map_or(end, |since| since / TICK);
    dropped.max(last.map_or(0, |event| event.time + 1))
}

/// For each object, the first one at the same address: waits for items of a queue and for room in it are for two.
fn same_objects(recording: &Recording) -> Vec<u32> {
    let mut first = HashMap::new();
    let numbered = (0..).zip(recording.objects());
    numbered
        .map(|(number, object)| {
            let key = (object.address, object.generation);
            *first.entry(key).or_insert(number)
        })
        .collect()
}

/// A thread that has a lock, as far as is known.
struct Holder {
    thread: u32,
    begin: u64,
    /// When it was last known to have it.
    seen: u64,
    is_taken: bool,
}

fn show_lock(object: u32, facts: &[(u64, Fact)], show: &mut impl FnMut(Shown)) {
    let mut holder: Option<Holder> = None;
    // The slices of a track are apart.
    let mut free = 0;
    let mut close = |holder: &mut Option<Holder>, freed: Option<(u64, u32)>| {
        if let Some(holder) = holder.take() {
            let begin = holder.begin.max(free);
            let end = freed.map_or(holder.seen, |(at, _)| at).max(begin + 1);
            free = end;
            show(Shown::Slice {
                track: object,
                begin,
                end,
                slice: Slice::Held {
                    object,
                    by: holder.thread,
                    is_taken: holder.is_taken,
                    freed: freed.map(|(_, stack)| stack),
                },
            });
        }
    };
    for (at, fact) in facts {
        let (thread, is_taken) = match *fact {
            Fact::SeenWith(thread) | Fact::FreedBy(thread, _) => (thread, false),
            Fact::TakenBy(thread) => (thread, true),
            Fact::StillHeld => {
                if let Some(holder) = &mut holder {
                    holder.seen = *at;
                }
                continue;
            }
        };
        match &mut holder {
            Some(holder) if holder.thread == thread => holder.seen = *at,
            _ => {
                close(&mut holder, None);
                holder = Some(Holder {
                    thread,
                    begin: *at,
                    seen: *at,
                    is_taken,
                });
            }
        }
        if let Fact::FreedBy(_, stack) = *fact {
            close(&mut holder, Some((*at, stack)));
        }
    }
    close(&mut holder, None);
}

fn show_counter(counter: Counter, counts: &[(u64, i64)], show: &mut impl FnMut(Shown)) {
    let mut shown: Option<(u64, i64)> = None;
    let mut sum = 0;
    for (at, count) in counts {
        sum += count;
        let value = match counter {
            Counter::Busy(_) => sum.max(0),
            Counter::Items(_) | Counter::Pending(_) => *count,
        };
        if shown.is_some_and(|(_, before)| before == value) {
            continue;
        }
        let at = shown.map_or(*at, |(before, _)| (*at).max(before + 1));
        shown = Some((at, value));
        show(Shown::Count { counter, at, value });
    }
}
