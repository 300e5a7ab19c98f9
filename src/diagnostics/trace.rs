//! What threads do over time: a trace.
//!
//! While a trace runs, each thread notes what happens to it in a list of its own: waits, wakes, calls of pools. An event
//! has 32 bytes, and the memory for all events of a trace has a limit. What finds no room is counted. Nothing is made of
//! the events before the end: see [`slices`](super::slices).
//!
//! A thread takes two kinds of mutexes here. That of its own list it shares only with the end of the trace. That of the
//! tables is held for a look into a hash table. Nothing of Python happens under either.
//!
//! A child of a fork has no trace.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::place::{Frame, Place};
use super::stacks::Stacks;
use super::{labels, naming, origins, sleepers};
use crate::wait::observe::{Facts, Resource, ThreadNumber};
use crate::wait::{PerProcess, generation};

/// The most bytes of all events of a trace.
pub const MOST_BYTES: usize = 64 << 20;

/// The most threads, stacks and objects. Of others, the stack is not known, or what the object is called; the events
/// of other threads are dropped.
const MOST_THREADS: usize = 100_000;
const MOST_STACKS: usize = 20_000;
const MOST_OBJECTS: usize = 100_000;
const MOST_FUNCTIONS: usize = 10_000;

/// The events that a thread has room for at first. Then it takes twice as many each time, up to the second number.
const FIRST_CHUNK: usize = 64;
/// The same of a task, which usually ends soon.
const FIRST_CHUNK_OF_TASK: usize = 4;
const LARGEST_CHUNK: usize = 4096;

/// How a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The wait may go on.
    Open,
    /// The thread has what it waited for.
    Completed,
    /// Its time is over.
    TimedOut,
}

/// A call that was submitted to a pool, as both ends of its way through the pool know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Submitted {
    /// When, in nanoseconds since the trace began.
    since: u64,
    /// Some bits of the address of its future, which tell it from another that was submitted at the same time.
    mark: u16,
}

/// What happens to a thread. Objects, stacks and functions are numbers in the tables; zero is none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// It begins to wait, or to sleep again in the same wait. `waiter`: the address of what wakes it, or zero.
    Waits {
        waiter: u64,
        object: u32,
        stack: u32,
        owner: u32,
    },
    /// It has slept, has been awake since `awake`, and has the interpreter.
    GoesOn { awake: u64, by: u32, end: End },
    /// The wait that it was in is over, if that was not known yet.
    IsOver { end: End },
    /// It has woken the thread that waits by the waiter with this address.
    Wakes { waiter: u64 },
    /// It has freed a lock that others wait for.
    Frees { object: u32, stack: u32 },
    /// It has counted the items of a queue.
    Counts { object: u32, items: u32 },
    /// It submits a call to a pool.
    Submits { call: Submitted, pool: u32 },
    /// So many calls are pending in a pool.
    HasPending { pool: u32, calls: u32 },
    /// It begins to run a call. `pending`: how many calls are pending in the pool now. `works`: it is a worker.
    Begins {
        submitted: u64,
        function: u32,
        pool: u32,
        pending: u32,
        mark: u16,
        works: bool,
    },
    /// It has run the innermost call.
    Ends,
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// In nanoseconds since the trace began.
    pub(super) time: u64,
    pub(super) what: Happening,
}

const _: () = assert!(size_of::<Event>() == 32, "the documents say so");

/// The events of a thread.
#[derive(Default)]
pub(super) struct Events {
    pub(super) chunks: Vec<Vec<Event>>,
    pub(super) dropped: u64,
    /// When the first event was dropped.
    pub(super) dropped_since: Option<u64>,
}

/// A thread, or a task of an event loop.
pub(super) struct Track {
    pub(super) thread: ThreadNumber,
    pub(super) name: OnceLock<Arc<str>>,
    /// For a task: the thread that runs it, and by which it takes and frees locks.
    pub(super) runs_in: OnceLock<ThreadNumber>,
    events: Mutex<Events>,
}

/// An object that threads have waited for, or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// What was waited for: "Lock", "item of a queue".
    pub what: &'static str,
    /// Its address; zero for futures, which are many, and for those that found no room.
    pub address: usize,
    /// How many objects had this address before, as far as is known.
    pub generation: u32,
}

/// What events refer to by numbers.
pub(super) struct Tables {
    pub(super) stacks: Stacks,
    /// The first stands for none.
    pub(super) objects: Vec<Object>,
    numbers: HashMap<Object, u32>,
    /// The names that the objects had when they were first seen.
    pub(super) labels: Vec<Option<Arc<str>>>,
    /// The first stands for one that found no room.
    pub(super) functions: Vec<Function>,
    /// By the number of the group whose tasks they are, or zero, and by their names.
    function_numbers: HashMap<u64, HashMap<Arc<str>, u32>>,
}

/// A function that is called in a pool.
pub(super) struct Function {
    pub(super) name: Arc<str>,
    /// The group whose task the call is.
    pub(super) group: Option<Group>,
}

/// A group of tasks.
pub struct Group {
    /// Its number, which no other group has.
    pub number: u64,
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// The number of the group inside of which it was entered; zero: none.
    pub inside: u64,
}

impl Tables {
    fn new() -> Self {
        let none = Object {
            what: "",
            address: 0,
            generation: 0,
        };
        Self {
            stacks: Stacks::new(MOST_STACKS),
            objects: vec![none],
            labels: vec![None],
            numbers: HashMap::new(),
            functions: vec![Function {
                name: "a call".into(),
                group: None,
            }],
            function_numbers: HashMap::new(),
        }
    }

    fn object(&mut self, what: &'static str, address: usize) -> u32 {
        let address = if what.contains("uture") { 0 } else { address };
        let mut object = Object {
            what,
            address,
            generation: origins::generation(address),
        };
        if let Some(number) = self.numbers.get(&object) {
            return *number;
        }
        if self.objects.len() >= MOST_OBJECTS && address != 0 {
            // There are few kinds, so there is room for one more of each.
            object.address = 0;
            object.generation = 0;
            if let Some(number) = self.numbers.get(&object) {
                return *number;
            }
        }
        let number = u32::try_from(self.objects.len()).unwrap_or(0);
        self.objects.push(object);
        self.labels.push(labels::of(object.address));
        self.numbers.insert(object, number);
        number
    }

    /// The lock with this address, if threads have waited for it.
    fn lock(&self, address: usize) -> Option<u32> {
        let generation = origins::generation(address);
        ["Lock", "RLock"].into_iter().find_map(|what| {
            let object = Object {
                what,
                address,
                generation,
            };
            self.numbers.get(&object).copied()
        })
    }

    /// The number of the function in the group with this number, if it is known.
    fn known_function(&self, name: &str, group: u64) -> Option<u32> {
        self.function_numbers.get(&group)?.get(name).copied()
    }

    fn function(&mut self, name: &str, mut group: Option<Group>) -> u32 {
        if self.functions.len() >= MOST_FUNCTIONS {
            // Without the group it may have a number.
            group = None;
        }
        let group_number = group.as_ref().map_or(0, |group| group.number);
        if let Some(number) = self.known_function(name, group_number) {
            return number;
        }
        // So many functions of no group have room still.
        if self.functions.len() >= 2 * MOST_FUNCTIONS {
            return 0;
        }
        let number = u32::try_from(self.functions.len()).unwrap_or(0);
        let name: Arc<str> = name.into();
        let numbers = self.function_numbers.entry(group_number).or_default();
        numbers.insert(Arc::clone(&name), number);
        self.functions.push(Function { name, group });
        number
    }
}

/// A trace that runs.
struct Run {
    number: u32,
    since: Instant,
    /// How many more events there is room for.
    left: AtomicUsize,
    tracks: Mutex<HashMap<ThreadNumber, Arc<Track>>>,
    tables: Mutex<Tables>,
    /// The events of threads that found no room.
    dropped: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, time: Instant) -> u64 {
        let nanoseconds = time.saturating_duration_since(self.since).as_nanos();
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }

    /// The track of this thread. `None`: there are too many.
    fn track(&self, thread: ThreadNumber) -> Option<Arc<Track>> {
        let mut tracks = locked(&self.tracks);
        if tracks.len() >= MOST_THREADS && !tracks.contains_key(&thread) {
            return None;
        }
        let track = tracks.entry(thread).or_insert_with(|| {
            Arc::new(Track {
                thread,
                name: OnceLock::new(),
                runs_in: OnceLock::new(),
                events: Mutex::default(),
            })
        });
        Some(Arc::clone(track))
    }

    fn add(&self, track: &Track, time: u64, what: Happening) {
        let mut events = locked(&track.events);
        if events.dropped == 0 {
            let chunks = &mut events.chunks;
            let room = chunks.last().map_or(0, |last| last.capacity() - last.len());
            if room > 0 || self.make_room(track.thread, chunks) {
                if let Some(last) = chunks.last_mut() {
                    last.push(Event { time, what });
                }
                return;
            }
            events.dropped_since = Some(time);
        }
        // Nor are later ones kept: from here on, nothing is known of the thread.
        events.dropped += 1;
    }

    #[cold]
    fn make_room(&self, thread: ThreadNumber, chunks: &mut Vec<Vec<Event>>) -> bool {
        let first = if thread.is_of_task() {
            FIRST_CHUNK_OF_TASK
        } else {
            FIRST_CHUNK
        };
        let before = chunks.last().map_or(first / 2, Vec::capacity);
        let wanted = (before * 2).clamp(first, LARGEST_CHUNK);
        let take = |left: usize| (left > 0).then(|| left.saturating_sub(wanted));
        let Ok(left) = (self.left).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else {
            return false;
        };
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(wanted.min(left)).is_err() {
            return false;
        }
        chunks.push(chunk);
        true
    }
}

/// What a trace has recorded.
pub struct Recording {
    pub(super) tables: Tables,
    /// The threads, in the order of their numbers.
    pub(super) tracks: Vec<(Arc<Track>, Events)>,
    /// When the trace ended, in nanoseconds since it began.
    pub(super) end: u64,
    /// How many events found no room.
    pub dropped: u64,
    /// How many are there.
    pub kept: usize,
}

impl Recording {
    /// What was waited for, by the numbers.
    pub fn objects(&self) -> &[Object] {
        &self.tables.objects
    }

    /// The names that the program had given to these, by the numbers.
    pub fn labels(&self) -> &[Option<Arc<str>>] {
        &self.tables.labels
    }

    /// The files of all stacks.
    pub fn files(&self) -> Vec<&str> {
        let frames = self.tables.stacks.iter().flat_map(|stack| stack.iter());
        let mut files: Vec<&str> = frames.map(|frame| &*frame.file).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The threads, with their names.
    pub fn threads(&self) -> Vec<(ThreadNumber, Option<&str>)> {
        let tracks = self.tracks.iter();
        tracks
            .map(|(track, _)| (track.thread, track.name.get().map(|name| &**name)))
            .collect()
    }
}

/// One more than the generation of the process in which a trace runs; zero: nowhere.
static RUNS_IN: AtomicU32 = AtomicU32::new(0);
/// The number of the trace that runs, or of the last.
static RUN: AtomicU32 = AtomicU32::new(0);

fn running() -> MutexGuard<'static, Option<Arc<Run>>> {
    static RUNNING: PerProcess<Mutex<Option<Arc<Run>>>> = PerProcess::new();
    locked(RUNNING.get(Mutex::default))
}

/// Whether a trace runs in this process.
#[inline]
pub fn is_on() -> bool {
    let runs_in = RUNS_IN.load(Ordering::Relaxed);
    runs_in != 0 && runs_in == generation().wrapping_add(1)
}

/// The number of the trace that runs, or of the last; zero before the first.
pub(super) fn number_of_run() -> u32 {
    RUN.load(Ordering::Relaxed)
}

/// Begins a trace whose events take at most so many bytes. Waits that last already begin with it. Returns whether it has
/// begun; not if one runs already.
pub fn start(most_bytes: usize) -> bool {
    let mut running = running();
    if running.is_some() {
        return false;
    }
    if !naming::is_wanted() {
        naming::begin();
    }
    let run = Arc::new(Run {
        number: RUN.fetch_add(1, Ordering::SeqCst).wrapping_add(1),
        since: Instant::now(),
        left: AtomicUsize::new(most_bytes / size_of::<Event>()),
        tracks: Mutex::default(),
        tables: Mutex::new(Tables::new()),
        dropped: AtomicU64::new(0),
    });
    *running = Some(Arc::clone(&run));
    RUNS_IN.store(generation().wrapping_add(1), Ordering::SeqCst);
    drop(running);
    for place in sleepers::places() {
        for wait in place.waits() {
            if let Some(track) = run.track(place.thread()) {
                name(&track, &place);
                let waits = waits(&run, wait.waiter, wait.resource, &wait.frames, None);
                run.add(&track, 0, waits);
            }
        }
    }
    true
}

/// Ends the trace and returns it. `None`: no trace runs.
pub fn stop() -> Option<Recording> {
    let run = running().take()?;
    RUNS_IN.store(0, Ordering::SeqCst);
    let end = run.now();
    let tables = std::mem::replace(&mut *locked(&run.tables), Tables::new());
    let tracks = std::mem::take(&mut *locked(&run.tracks));
    let mut tracks: Vec<(Arc<Track>, Events)> = (tracks.into_values())
        .map(|track| {
            let events = std::mem::take(&mut *locked(&track.events));
            (track, events)
        })
        .collect();
    tracks.sort_unstable_by_key(|(track, _)| track.thread);
    let all = || tracks.iter().map(|(_, events)| events);
    let dropped = all().map(|events| events.dropped).sum::<u64>();
    let kept = all().flat_map(|events| &events.chunks).map(Vec::len).sum();
    Some(Recording {
        dropped: dropped + run.dropped.load(Ordering::Relaxed),
        kept,
        tables,
        tracks,
        end,
    })
}

thread_local! {
    /// The trace that the thread has recorded for last, and its track there.
    static OWN: RefCell<Option<(Arc<Run>, Arc<Track>)>> = const { RefCell::new(None) };
    /// Since when the thread is awake, and waits for the interpreter.
    static AWAKE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Calls the function with the trace that runs and the track of the calling thread.
fn with(act: impl FnOnce(&Arc<Run>, &Arc<Track>)) {
    let find = |own: &RefCell<Option<(Arc<Run>, Arc<Track>)>>| {
        let Ok(mut own) = own.try_borrow_mut() else {
            return;
        };
        let number = RUN.load(Ordering::Relaxed);
        if own.as_ref().is_none_or(|(run, _)| run.number != number) {
            // That of a parent is not touched: its locks may be held for ever.
            *own = None;
            let Some(run) = running().as_ref().map(Arc::clone) else {
                return;
            };
            match ThreadNumber::current().and_then(|thread| run.track(thread)) {
                Some(track) => *own = Some((run, track)),
                None => {
                    run.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if let Some((run, track)) = own.as_ref() {
            act(run, track);
        }
    };
    // It fails in a thread that is ending.
    let _ = OWN.try_with(find);
}

fn record(what: Happening) {
    with(|run, track| run.add(track, run.now(), what));
}

fn name(track: &Track, place: &Place) {
    if track.name.get().is_none()
        && let Some(name) = place.name.get()
    {
        let _ = track.name.set(Arc::clone(name));
    }
}

/// Has the name of the calling thread noted, which is attached to the interpreter, if it is not known yet.
fn ensure_name() {
    let mut unnamed = None;
    with(|_, track| {
        if track.name.get().is_none() {
            unnamed = Some(Arc::clone(track));
        }
    });
    // Not above: that asks the interpreter.
    if let Some(track) = unnamed
        && let Some(name) = sleepers::name_here()
    {
        let _ = track.name.set(name);
    }
}

fn waits(
    run: &Run,
    waiter: usize,
    resource: Resource,
    frames: &[Frame],
    owner: Option<ThreadNumber>,
) -> Happening {
    let mut tables = locked(&run.tables);
    Happening::Waits {
        waiter: waiter as u64,
        object: tables.object(resource.what, resource.address),
        stack: tables.stacks.number(frames),
        owner: owner.map_or(0, ThreadNumber::number),
    }
}

/// The calling thread, which has this place, begins to wait. `owner`: the thread that has what it waits for; `length`: how
/// many items that has, if it is a queue.
pub(super) fn begins(
    place: &Place,
    waiter: usize,
    resource: Resource,
    frames: &[Frame],
    owner: Option<ThreadNumber>,
    length: Option<usize>,
) {
    with(|run, track| {
        name(track, place);
        let waits = waits(run, waiter, resource, frames, owner);
        let now = run.now();
        if let (Some(length), Happening::Waits { object, .. }) = (length, waits) {
            run.add(track, now, counted(object, length));
        }
        run.add(track, now, waits);
    });
}

/// Calls the function with the trace that runs and the track of this task.
fn with_task(task: ThreadNumber, act: impl FnOnce(&Run, &Track)) {
    let Some(run) = running().as_ref().map(Arc::clone) else {
        return;
    };
    match run.track(task) {
        Some(track) => act(&run, &track),
        None => {
            run.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A task, which has this place and is run by this thread, begins to wait. Otherwise as [`begins`].
pub(super) fn begins_for_task(
    place: &Place,
    runs_in: Option<ThreadNumber>,
    waiter: usize,
    resource: Resource,
    frames: &[Frame],
    facts: &Facts,
) {
    with_task(place.thread(), |run, track| {
        name(track, place);
        if let Some(thread) = runs_in {
            let _ = track.runs_in.set(thread);
        }
        let waits = waits(run, waiter, resource, frames, facts.owner);
        let now = run.now();
        if let (Some(length), Happening::Waits { object, .. }) = (facts.length, waits) {
            run.add(track, now, counted(object, length));
        }
        run.add(track, now, waits);
    });
}

/// The wait of a task has ended: it was woken at that time by this thread. `is_completed`: it has what it waited for.
pub(super) fn ends_for_task(
    task: ThreadNumber,
    woken: Option<Instant>,
    by: Option<ThreadNumber>,
    is_completed: bool,
) {
    with_task(task, |run, track| {
        let now = Instant::now();
        let what = Happening::GoesOn {
            awake: run.at(woken.unwrap_or(now)),
            by: by.map_or(0, ThreadNumber::number),
            end: if is_completed {
                End::Completed
            } else {
                End::Open
            },
        };
        run.add(track, run.at(now), what);
    });
}

fn counted(object: u32, length: usize) -> Happening {
    Happening::Counts {
        object,
        items: u32::try_from(length).unwrap_or(u32::MAX),
    }
}

/// The calling thread has slept, and is about to wait for the interpreter.
pub(super) fn wakes_up() {
    AWAKE.set(Some(Instant::now()));
}

/// The calling thread goes on after it slept. `length`: how many items are in the queue that it waits for.
pub(super) fn goes_on(resource: Resource, by: Option<ThreadNumber>, length: Option<usize>) {
    let now = Instant::now();
    let awake = AWAKE.take().unwrap_or(now);
    with(|run, track| {
        if let Some(length) = length {
            let object = locked(&run.tables).object(resource.what, resource.address);
            run.add(track, run.at(now), counted(object, length));
        }
        let what = Happening::GoesOn {
            awake: run.at(awake),
            by: by.map_or(0, ThreadNumber::number),
            end: End::Open,
        };
        run.add(track, run.at(now), what);
    });
}

/// The wait of the calling thread is over. `length`: how many items are in the queue that it waited for.
pub(super) fn is_over(resource: Resource, timed_out: bool, length: Option<usize>) {
    let over = if timed_out {
        End::TimedOut
    } else {
        End::Completed
    };
    with(|run, track| {
        let mut events = locked(&track.events);
        if events.dropped > 0 {
            return;
        }
        // Mostly it has just gone on.
        let last = events.chunks.last_mut().and_then(|last| last.last_mut());
        if let Some(Event {
            what:
                Happening::GoesOn {
                    end: end @ End::Open,
                    ..
                },
            ..
        }) = last
        {
            *end = over;
            drop(events);
        } else {
            drop(events);
            run.add(track, run.now(), Happening::IsOver { end: over });
        }
        if let Some(length) = length {
            let object = locked(&run.tables).object(resource.what, resource.address);
            run.add(track, run.now(), counted(object, length));
        }
    });
}

/// The calling thread has woken what waits by the waiter with this address, at this time.
pub(super) fn woke(waiter: usize, at: Instant) {
    ensure_name();
    with(|run, track| {
        let waiter = waiter as u64;
        run.add(track, run.at(at), Happening::Wakes { waiter });
    });
}

/// The calling thread, which was in these functions, has freed the lock with this address, for which others wait.
pub(super) fn freed(address: usize, frames: &[Frame]) {
    with(|run, track| {
        let mut tables = locked(&run.tables);
        let Some(object) = tables.lock(address) else {
            return;
        };
        let stack = tables.stacks.number(frames);
        drop(tables);
        run.add(track, run.now(), Happening::Frees { object, stack });
    });
}

/// What waits for calls of a pool are for.
const POOL: &str = "call for a worker";

fn pool(run: &Run, address: usize) -> u32 {
    locked(&run.tables).object(POOL, address)
}

#[expect(clippy::cast_possible_truncation, reason = "some bits are enough")]
fn mark(future: usize) -> u16 {
    (future >> 4) as u16
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The calling thread is about to submit a call to the pool with this address. `since`: what the call says about that.
pub fn submits(pool_address: usize, future: usize, since: Instant) {
    ensure_name();
    with(|run, track| {
        let call = Submitted {
            since: run.at(since),
            mark: mark(future),
        };
        let pool = pool(run, pool_address);
        run.add(track, run.now(), Happening::Submits { call, pool });
    });
}

/// So many calls are pending in the pool with this address.
pub fn has_pending(pool_address: usize, calls: usize) {
    with(|run, track| {
        let pool = pool(run, pool_address);
        let calls = number(calls);
        run.add(track, run.now(), Happening::HasPending { pool, calls });
    });
}

/// A call that a thread is about to run.
pub struct Call<'a> {
    /// The address of the pool.
    pub pool: usize,
    /// The address of its future.
    pub future: usize,
    /// When it was submitted.
    pub submitted: Instant,
    /// What its function is called.
    pub function: &'a str,
    /// If it is a task: the number of its group, and a function that tells more of the group.
    pub group: Option<(u64, &'a dyn Fn() -> Group)>,
    /// How many calls are pending in the pool.
    pub pending: usize,
    /// Whether the thread is a worker of the pool.
    pub works: bool,
}

/// The calling thread begins to run a call of a pool.
pub fn begins_call(call: &Call<'_>) {
    ensure_name();
    with(|run, track| {
        let pool = pool(run, call.pool);
        let group = call.group.map_or(0, |(number, _)| number);
        let known = locked(&run.tables).known_function(call.function, group);
        let function = known.unwrap_or_else(|| {
            // Not under the mutex: it looks for the group around it.
            let group = call.group.map(|(_, describe)| describe());
            locked(&run.tables).function(call.function, group)
        });
        let what = Happening::Begins {
            submitted: run.at(call.submitted),
            function,
            pool,
            pending: number(call.pending),
            mark: mark(call.future),
            works: call.works,
        };
        run.add(track, run.now(), what);
    });
}

/// The calling thread has run the call.
pub fn ends_call() {
    record(Happening::Ends);
}

impl Submitted {
    /// The call that begins there.
    pub(super) fn of(since: u64, mark: u16) -> Self {
        Self { since, mark }
    }
}
