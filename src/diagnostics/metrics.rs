//! How many waits there were of each length: for metrics, which are collected again and again.
//!
//! A wait that sleeps belongs to a *series*: what is waited for, and the name that the program has given the object. A
//! series has a number for each bucket of lengths, and sums. They are atomic, and each thread remembers the series that it
//! used last. So a wait takes a lock only if it is the first of its kind in the thread, and a collection keeps no thread
//! from waiting or waking.
//!
//! A wait counts when it is over, with all the time that it has slept: it may have slept several times. A wait during
//! which a signal handler waits counts for itself, and so does that of the handler.
//!
//! The threads that use this are attached to the interpreter, and nothing of Python happens meanwhile. So no thread has
//! one of the mutexes at a fork. A child counts anew.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::labels;
use crate::wait::generation;
use crate::wait::observe::Resource;

/// The waits for one kind of object with one name.
struct Series {
    what: &'static str,
    label: Arc<str>,
    begun: AtomicU64,
    going: AtomicU64,
    nanoseconds: AtomicU64,
    /// How many waits have ended, by their length. The last one is for those that are longer than all bounds.
    buckets: Box<[AtomicU64]>,
}

/// What is known of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// What was waited for: "Lock", "item of a queue".
    pub what: &'static str,
    /// The name of the object; empty if it has none.
    pub label: Arc<str>,
    /// How many waits have begun.
    pub begun: u64,
    /// How many have begun and have not ended.
    pub going: u64,
    /// The sum of those that have ended.
    pub total: Duration,
    /// How many have ended in each bucket: not longer than its bound, and longer than the one before. The last one
    /// has no bound.
    pub buckets: Vec<u64>,
}

impl Series {
    fn counts(&self) -> Counts {
        // In this order: what has ended has begun.
        let buckets = self.buckets.iter();
        let buckets = buckets.map(|count| count.load(Ordering::Acquire)).collect();
        Counts {
            what: self.what,
            label: Arc::clone(&self.label),
            begun: self.begun.load(Ordering::Acquire),
            going: self.going.load(Ordering::Relaxed),
            total: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            buckets,
        }
    }
}

#[derive(Default)]
struct Table {
    series: HashMap<(&'static str, Arc<str>), Arc<Series>>,
    labels: labels::Limited,
}

/// From a start until the stop, in one process.
struct Session {
    number: u64,
    generation: u32,
    /// The bounds of the buckets, in nanoseconds, in order.
    bounds: Arc<[u64]>,
    table: Mutex<Table>,
}

impl Session {
    fn new(bounds: Arc<[u64]>) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            number: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            generation: generation(),
            bounds,
            table: Mutex::default(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self, what: &'static str, label: Option<Arc<str>>) -> Arc<Series> {
        let mut table = self.table();
        let label = table.labels.admit(label);
        let series = table.series.entry((what, label)).or_insert_with_key(|key| {
            Arc::new(Series {
                what,
                label: Arc::clone(&key.1),
                begun: AtomicU64::new(0),
                going: AtomicU64::new(0),
                nanoseconds: AtomicU64::new(0),
                buckets: (0..=self.bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            })
        });
        Arc::clone(series)
    }
}

/// How many have called [`start`], and what they have counted.
#[derive(Default)]
struct State {
    users: usize,
    session: Option<Arc<Session>>,
}

/// The number of the present session; zero: there is none.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn state() -> MutexGuard<'static, State> {
    static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The session of this process: a child of a fork begins one of its own.
    fn session(&mut self) -> Option<Arc<Session>> {
        let session = self.session.as_mut()?;
        if session.generation != generation() {
            *session = Session::new(Arc::clone(&session.bounds));
            NUMBER.store(session.number, Ordering::Release);
        }
        Some(Arc::clone(session))
    }
}

/// The waits are counted already, with other bounds: these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBounds(pub Vec<u64>);

/// Counts waits from now on, by their length. Each start needs a [`stop`] of its own.
///
/// `bounds`: those of the buckets, in nanoseconds, in order.
///
/// # Errors
/// [`OtherBounds`], if waits are counted already by other bounds.
pub fn start(bounds: &[u64]) -> Result<(), OtherBounds> {
    let mut state = state();
    if let Some(session) = state.session() {
        if *session.bounds != *bounds {
            return Err(OtherBounds(session.bounds.to_vec()));
        }
    } else {
        let session = Session::new(Arc::from(bounds));
        NUMBER.store(session.number, Ordering::Release);
        state.session = Some(session);
    }
    state.users += 1;
    Ok(())
}

/// Undoes one [`start`]. The last one forgets all counts. Returns whether it was the last.
pub fn stop() -> bool {
    let mut state = state();
    state.users = state.users.saturating_sub(1);
    if state.users == 0 {
        NUMBER.store(0, Ordering::Release);
        state.session = None;
    }
    state.users == 0
}

/// Whether waits are counted.
#[inline]
pub fn is_on() -> bool {
    NUMBER.load(Ordering::Relaxed) != 0
}

/// What was counted so far, in no order.
pub fn counts() -> Vec<Counts> {
    let Some(session) = state().session() else {
        return Vec::new();
    };
    let series: Vec<_> = session.table().series.values().cloned().collect();
    series.iter().map(|series| series.counts()).collect()
}

/// A wait that has not ended.
struct Going {
    session: u64,
    address: usize,
    series: Arc<Series>,
    slept: Duration,
    is_asleep: bool,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.series.going.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Going {
    fn is_for(&self, resource: &Resource) -> bool {
        self.address == resource.address && ptr::eq(self.series.what, resource.what)
    }

    /// It is over.
    fn end(self, session: &Session) {
        let nanoseconds = u64::try_from(self.slept.as_nanos()).unwrap_or(u64::MAX);
        let bucket = session.bounds.partition_point(|bound| *bound < nanoseconds);
        let series = &self.series;
        series.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        series.buckets[bucket].fetch_add(1, Ordering::Release);
    }
}

/// What a thread is in.
enum Entry {
    Wait(Going),
    /// Signal handlers run in the thread, which has left the wait below.
    Handlers,
}

/// The series of one object, as far as its name has not changed.
struct Remembered {
    what: &'static str,
    address: usize,
    series: Arc<Series>,
}

/// The most series that a thread remembers.
const MOST_REMEMBERED: usize = 8;

/// The waits of one thread.
#[derive(Default)]
struct Thread {
    session: Option<Arc<Session>>,
    /// The version of the names that the remembered series are of.
    version: u64,
    remembered: Vec<Remembered>,
    /// Which one is replaced next.
    oldest: usize,
    stack: Vec<Entry>,
}

thread_local! {
    static THREAD: RefCell<Thread> = const { RefCell::new(Thread {
        session: None,
        version: 0,
        remembered: Vec::new(),
        oldest: 0,
        stack: Vec::new(),
    }) };
}

impl Thread {
    /// The present session. What the thread remembers of an earlier one is forgotten.
    fn session(&mut self) -> Option<Arc<Session>> {
        let number = NUMBER.load(Ordering::Acquire);
        let present = self.session.as_ref();
        if let Some(session) = present
            && session.number == number
            && session.generation == generation()
        {
            return Some(Arc::clone(session));
        }
        self.session = state().session();
        self.remembered.clear();
        let number = self.session.as_ref().map(|session| session.number);
        (self.stack)
            .retain(|entry| matches!(entry, Entry::Wait(going) if Some(going.session) == number));
        self.session.clone()
    }

    fn series(&mut self, session: &Session, resource: Resource) -> Arc<Series> {
        // Before the name is read: if it changes after that, the series is looked for anew.
        let version = labels::version();
        if self.version != version {
            self.version = version;
            self.remembered.clear();
        }
        let Resource { what, address, .. } = resource;
        let known = (self.remembered.iter())
            .find(|each| each.address == address && ptr::eq(each.what, what));
        if let Some(known) = known {
            return Arc::clone(&known.series);
        }
        let series = session.series(what, labels::of(address));
        let new = Remembered {
            what,
            address,
            series: Arc::clone(&series),
        };
        if self.remembered.len() < MOST_REMEMBERED {
            self.remembered.push(new);
        } else {
            self.remembered[self.oldest] = new;
            self.oldest = (self.oldest + 1) % MOST_REMEMBERED;
        }
        series
    }

    fn begins(&mut self, resource: Resource) {
        let Some(session) = self.session() else {
            return;
        };
        if let Some(Entry::Wait(going)) = self.stack.last_mut()
            && !going.is_asleep
        {
            if going.is_for(&resource) {
                going.is_asleep = true;
                return;
            }
            // It has ended, and nothing has told of it.
            self.end_innermost(&session);
        }
        let series = self.series(&session, resource);
        series.begun.fetch_add(1, Ordering::Release);
        series.going.fetch_add(1, Ordering::Relaxed);
        self.stack.push(Entry::Wait(Going {
            session: session.number,
            address: resource.address,
            series,
            slept: Duration::ZERO,
            is_asleep: true,
        }));
    }

    fn resumes(&mut self, slept: Duration) {
        if self.session().is_some()
            && let Some(Entry::Wait(going)) = self.stack.last_mut()
            && going.is_asleep
        {
            going.slept += slept;
            going.is_asleep = false;
        }
    }

    fn completes(&mut self) {
        if let Some(session) = self.session()
            && matches!(self.stack.last(), Some(Entry::Wait(going)) if !going.is_asleep)
        {
            self.end_innermost(&session);
        }
    }

    fn end_innermost(&mut self, session: &Session) {
        if let Some(Entry::Wait(going)) = self.stack.pop() {
            going.end(session);
        }
    }

    fn handles_signals(&mut self, begins: bool) {
        let Some(session) = self.session() else {
            return;
        };
        if begins {
            self.stack.push(Entry::Handlers);
            return;
        }
        if !(self.stack.iter()).any(|entry| matches!(entry, Entry::Handlers)) {
            return;
        }
        while let Some(Entry::Wait(going)) = self.stack.pop() {
            going.end(&session);
        }
    }
}

/// Does nothing if the thread is ending, or a signal handler interrupts this in the same thread.
fn with(act: impl FnOnce(&mut Thread)) {
    let _ = THREAD.try_with(|thread| {
        if let Ok(mut thread) = thread.try_borrow_mut() {
            act(&mut thread);
        }
    });
}

/// The calling thread is about to sleep.
pub(super) fn begins(resource: Resource) {
    with(|thread| thread.begins(resource));
}

/// The calling thread goes on after it has slept for so long.
pub(super) fn resumes(slept: Duration) {
    with(|thread| thread.resumes(slept));
}

/// The wait of the calling thread, which has resumed, is over.
pub(super) fn completes() {
    with(Thread::completes);
}

/// Signal handlers begin to run in the calling thread, which has left its wait, or have run.
pub(super) fn handles_signals(begins: bool) {
    with(|thread| thread.handles_signals(begins));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn sleep(resource: Resource, slept: Duration) {
        begins(resource);
        resumes(slept);
    }

    fn all() -> Vec<Counts> {
        let mut counts = counts();
        counts.sort_by_key(|counts| (counts.what, Arc::clone(&counts.label)));
        counts
    }

    /// One test, for there is one session.
    #[test]
    fn waits_are_counted_when_they_are_over() {
        let (one, other) = (0, 0);
        let lock = Resource::new("Lock", &one);
        let event = Resource::new("Event", &other);
        let bounds = [1_000_000, 5_000_000];
        assert!(counts().is_empty());
        assert_eq!(start(&bounds), Ok(()));
        assert_eq!(start(&[7]), Err(OtherBounds(bounds.to_vec())));
        assert_eq!(start(&bounds), Ok(()));

        // A length that is that of a bound belongs to its bucket.
        sleep(lock, MILLISECOND);
        assert_eq!(all()[0].going, 1);
        completes();
        // Two sleeps of one wait.
        sleep(lock, MILLISECOND);
        sleep(lock, MILLISECOND);
        completes();
        completes();
        // A signal handler waits for the same.
        sleep(lock, MILLISECOND);
        handles_signals(true);
        sleep(lock, 9 * MILLISECOND);
        completes();
        handles_signals(false);
        sleep(lock, MILLISECOND);
        completes();
        handles_signals(false);
        // A wait inside another that sleeps; and one that nothing tells of.
        begins(event);
        sleep(lock, 3 * MILLISECOND);
        completes();
        resumes(MILLISECOND);
        labels::set(lock.address, "db");
        begins(lock);
        let mut expected = vec![
            Counts {
                what: "Event",
                label: Arc::from(""),
                begun: 1,
                going: 0,
                total: MILLISECOND,
                buckets: vec![1, 0, 0],
            },
            Counts {
                what: "Lock",
                label: Arc::from(""),
                begun: 5,
                going: 0,
                total: 17 * MILLISECOND,
                buckets: vec![1, 3, 1],
            },
            Counts {
                what: "Lock",
                label: Arc::from("db"),
                begun: 1,
                going: 1,
                total: Duration::ZERO,
                buckets: vec![0, 0, 0],
            },
        ];
        assert_eq!(all(), expected);

        assert!(!stop());
        resumes(MILLISECOND);
        completes();
        expected[2].buckets[0] = 1;
        expected[2].total = MILLISECOND;
        expected[2].going = 0;
        assert_eq!(all(), expected);
        // What began in an earlier session is not counted in a later one.
        begins(event);
        assert!(stop());
        assert!(all().is_empty());
        assert_eq!(start(&[]), Ok(()));
        resumes(MILLISECOND);
        completes();
        assert!(all().is_empty());
        sleep(event, MILLISECOND);
        completes();
        assert_eq!(all()[0].buckets, [1]);
        assert!(stop());
        assert!(stop());
        labels::forget(lock.address);
    }
}
