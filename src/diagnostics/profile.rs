//! How long threads have waited, for what and where: a profile of waiting.
//!
//! While a profile runs, each wait that has slept is added to a *site*: what was waited for, and the functions that the
//! thread was in. A site has a count, sums and a histogram, so its size is bounded, and so is the number of sites. What
//! finds no room is added to one of two sites without a place, and so the sums stay right.
//!
//! Nothing here is called by a thread that does not sleep, with one exception: a thread that frees a lock for which others
//! wait. It is charged with the time that each of them has waited since the last time that the lock was freed for one
//! that waited, or since its own wait began, whichever was later.
//!
//! A child of a fork has no profile.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::place::{Frame, GROUP, Place};
use super::pools::Pools;
use super::queues::Queues;
use super::timeline::{self, Timeline};
use super::{group_names, naming, origins, sleepers};
use crate::wait::observe::{Resource, ThreadNumber};
use crate::wait::{PerProcess, generation};

/// The most sites. Later waits at other sites are added to those without a place.
pub const MOST_SITES: usize = 10_000;

/// The most stacks: those of waits, and as many of threads that freed a lock.
const MOST_STACKS: usize = 2 * MOST_SITES;

/// The most holders that are remembered of one site, and the most threads that have woken one there.
const MOST_OF_ONE_SITE: usize = 64;

/// The most threads of which a name is remembered, and the most addresses of which it is known that another object is
/// there now.
const MOST_REMEMBERED: usize = 100_000;

/// The number of the stack that stands for none.
pub const NO_STACK: u32 = 0;

/// The functions that a thread was in, the innermost first. Two are the same if they have the same code.
#[derive(Clone)]
struct Stack(Arc<[Frame]>);

/// The texts of one code object are always the same objects.
fn identity(frame: &Frame) -> (usize, usize, u32) {
    let address = |text: &Arc<str>| Arc::as_ptr(text).cast::<u8>().addr();
    (address(&frame.file), address(&frame.function), frame.line)
}

impl Hash for Stack {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mix = |sum: u64, part: usize| {
            (sum.rotate_left(5) ^ part as u64).wrapping_mul(0x517c_c1b7_2722_0a95)
        };
        let hashed = self
            .0
            .iter()
            .map(identity)
            .fold(0, |sum, (_, function, line)| {
                mix(mix(sum, function), line as usize)
            });
        hasher.write_u64(hashed);
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(identity).eq(other.0.iter().map(identity))
    }
}

impl Eq for Stack {}

/// What a site is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// What was waited for: "Lock", "item of a queue". Empty: other waits, for which there was no room.
    pub what: &'static str,
    /// The address of the object; zero for futures, which are many; for a group of tasks and for the pool of one, the
    /// number of its [name](group_names).
    pub address: usize,
    /// How many objects had this address before, as far as is known.
    pub generation: u32,
    /// The number of the stack.
    pub stack: u32,
}

/// One site.
pub struct Site {
    /// What it is.
    pub key: Key,
    /// Whether the waits are for work, and so nothing is lost by them.
    pub is_idle: bool,
    /// How many waits, by how long they took.
    pub histogram: Histogram,
    /// The sum of the waits.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
    /// How much of it the threads were awake, and waited for the interpreter.
    pub interpreter: Duration,
    /// By the number of a stack and a thread that freed the lock there: how long others had waited for that.
    pub holders: HashMap<(u32, ThreadNumber), Duration>,
    /// By the number of a stack and a thread that has ended them there: how many waits. Locks have no such stack: what
    /// `holders` has tells more.
    pub wakers: HashMap<(u32, ThreadNumber), u64>,
}

impl Site {
    fn new(key: Key, is_idle: bool) -> Self {
        Self {
            key,
            is_idle,
            histogram: Histogram::default(),
            total: Duration::ZERO,
            longest: Duration::ZERO,
            interpreter: Duration::ZERO,
            holders: HashMap::new(),
            wakers: HashMap::new(),
        }
    }

    /// Adds a wait, of which `before` was added already.
    fn add(&mut self, before: Option<Duration>, more: Duration) {
        let whole = before.unwrap_or_default() + more;
        if let Some(before) = before {
            self.histogram.remove(before);
        }
        self.histogram.add(whole);
        self.total += more;
        self.longest = self.longest.max(whole);
    }
}

/// Whether a wait for this is one for work, or the program wants nothing else.
fn is_for_work(what: &str) -> bool {
    matches!(
        what,
        "call for a worker"
            | "item of a queue"
            | "item of a channel"
            | "item of a broadcast"
            | "sleep"
    )
}

/// Whether the holder of this is charged with the waits.
fn is_lock(what: &str) -> bool {
    matches!(what, "Lock" | "RLock")
}

/// A wait that has not ended.
struct Going {
    number: u64,
    site: usize,
    since: Instant,
    /// The address of the lock that is waited for.
    lock: Option<usize>,
    /// Whether a worker waits for a call.
    is_for_call: bool,
}

/// The waits of one thread.
#[derive(Default)]
struct Thread {
    going: Vec<Going>,
    /// The last wait, if it may go on: its site, and how long it has slept so far.
    unfinished: Option<(usize, Duration)>,
}

/// A lock that threads wait for.
struct Contended {
    /// The threads, with their sites and the beginnings of their waits.
    waits: Vec<(ThreadNumber, usize, Instant)>,
    freed: Instant,
}

/// What a profile has found.
pub struct Profile {
    /// When it began.
    pub since: Instant,
    /// The sites. The first two are those of other waits, and of other waits for work.
    pub sites: Vec<Site>,
    /// By their numbers: the functions that threads were in. The first is none.
    pub stacks: Vec<Arc<[Frame]>>,
    /// The names that threads had when they first waited, or ended a wait.
    pub names: HashMap<ThreadNumber, Option<Arc<str>>>,
    /// For how long threads have waited for locks whose holders found no room.
    pub holders_dropped: Duration,
    /// The calls of pools, and what the workers do.
    pub pools: Pools,
    /// The queues, and the items that pass through them.
    pub queues: Queues,
    /// The number of the profile, unique in the process.
    pub(super) number: u64,
    /// Single waits, if they are kept.
    pub timeline: Option<Timeline>,
    by_key: HashMap<Key, usize>,
    by_stack: HashMap<Stack, u32>,
    threads: HashMap<ThreadNumber, Thread>,
    locks: HashMap<usize, Contended>,
}

impl Profile {
    fn new() -> Self {
        let other = |is_idle| {
            let key = Key {
                what: "",
                address: 0,
                generation: 0,
                stack: NO_STACK,
            };
            Site::new(key, is_idle)
        };
        Self {
            since: Instant::now(),
            sites: vec![other(false), other(true)],
            stacks: vec![Arc::from([])],
            names: HashMap::new(),
            holders_dropped: Duration::ZERO,
            pools: Pools::default(),
            queues: Queues::default(),
            number: next_number(),
            timeline: None,
            by_key: HashMap::new(),
            by_stack: HashMap::new(),
            threads: HashMap::new(),
            locks: HashMap::new(),
        }
    }

    fn stack(&mut self, frames: Vec<Frame>) -> u32 {
        let stack = Stack(Arc::from(frames));
        if let Some(number) = self.by_stack.get(&stack) {
            return *number;
        }
        if self.stacks.len() > MOST_STACKS {
            return NO_STACK;
        }
        let number = u32::try_from(self.stacks.len()).unwrap_or(NO_STACK);
        self.stacks.push(Arc::clone(&stack.0));
        self.by_stack.insert(stack, number);
        number
    }

    /// How many objects had this address before the present one, as far as is known.
    pub fn generation(&self, address: usize) -> u32 {
        origins::generation(address)
    }

    fn site(&mut self, resource: Resource, frames: Vec<Frame>) -> usize {
        let what = resource.what;
        let address = match what {
            what if what.contains("uture") => 0,
            GROUP => group_names::of_group(resource.address),
            "call for a worker" => {
                group_names::of_pool_at(resource.address).unwrap_or(resource.address)
            }
            _ => resource.address,
        };
        let key = Key {
            what,
            address,
            generation: self.generation(address),
            stack: self.stack(frames),
        };
        if let Some(site) = self.by_key.get(&key) {
            return *site;
        }
        let is_idle = is_for_work(what);
        if self.sites.len() >= MOST_SITES + 2 {
            return usize::from(is_idle);
        }
        self.sites.push(Site::new(key, is_idle));
        self.by_key.insert(key, self.sites.len() - 1);
        self.sites.len() - 1
    }

    fn remember(&mut self, place: &Place) {
        if self.names.len() < MOST_REMEMBERED {
            let name = self.names.entry(place.thread()).or_default();
            if name.is_none() {
                *name = place.name.get().cloned();
            }
        }
    }

    fn begins(
        &mut self,
        place: &Place,
        number: u64,
        resource: Resource,
        since: Instant,
        frames: Vec<Frame>,
    ) {
        let thread = place.thread();
        let is_own = ThreadNumber::current() == Some(thread);
        let is_known = (self.threads.get(&thread))
            .is_some_and(|waits| waits.going.iter().any(|wait| wait.number == number));
        if is_own {
            AWAKE.set(None);
        }
        if is_known {
            return;
        }
        self.remember(place);
        let site = self.site(resource, frames);
        let lock = is_lock(resource.what).then_some(resource.address);
        if let Some(address) = lock {
            let contended = self.locks.entry(address).or_insert_with(|| Contended {
                waits: Vec::new(),
                freed: since,
            });
            contended.waits.push((thread, site, since));
        }
        let waits = self.threads.entry(thread).or_default();
        let is_over = is_own && COMPLETED.take();
        waits
            .unfinished
            .take_if(|(before, _)| is_over || *before != site);
        waits.going.push(Going {
            number,
            site,
            since,
            lock,
            is_for_call: resource.what == "call for a worker",
        });
    }

    fn ends(&mut self, thread: ThreadNumber, number: u64, by: Option<ThreadNumber>, now: Instant) {
        let Some(waits) = self.threads.get_mut(&thread) else {
            return;
        };
        let Some(wait) = waits.going.pop_if(|wait| wait.number == number) else {
            return;
        };
        // A signal handler may have waited inside this wait, for something else.
        let unfinished = waits.unfinished.take();
        let before = unfinished
            .filter(|(site, _)| *site == wait.site && !COMPLETED.get())
            .map(|(_, slept)| slept);
        let slept = now.saturating_duration_since(wait.since);
        waits.unfinished = Some((wait.site, before.unwrap_or_default() + slept));
        if waits.going.is_empty() {
            self.pools.slept(thread, wait.is_for_call, slept);
        }
        COMPLETED.set(false);
        if let Some(address) = wait.lock
            && let Some(contended) = self.locks.get_mut(&address)
        {
            contended.waits.retain(|(other, ..)| *other != thread);
            if contended.waits.is_empty() {
                self.locks.remove(&address);
            }
        }
        let mark = self.mark();
        let site = &mut self.sites[wait.site];
        site.add(before, slept);
        let awake = AWAKE
            .take()
            .map(|awake| now.saturating_duration_since(awake));
        let interpreter = awake.unwrap_or_default().min(slept);
        site.interpreter += interpreter;
        if let Some(timeline) = &mut self.timeline {
            timeline.add(&timeline::Sleep {
                thread,
                site: wait.site,
                since: wait.since,
                until: now,
                interpreter,
                by,
                continues: before.is_some(),
                has_ended: true,
            });
        }
        let place = WOKEN_FROM.take();
        if let Some(by) = by {
            let is_of_this = place & !STACK_MASK == mark;
            let stack = if is_of_this {
                place & STACK_MASK
            } else {
                NO_STACK
            };
            let waker = (stack, by);
            if site.wakers.len() < MOST_OF_ONE_SITE || site.wakers.contains_key(&waker) {
                *site.wakers.entry(waker).or_default() += 1;
            }
        }
    }

    /// What is added to the number of a stack, so that one of an earlier profile is not taken for it.
    fn mark(&self) -> u32 {
        u32::try_from(self.number & 0xff).unwrap_or_default() << STACK_BITS
    }

    fn released(&mut self, thread: ThreadNumber, address: usize, frames: Vec<Frame>, now: Instant) {
        let stack = self.stack(frames);
        let Some(contended) = self.locks.get_mut(&address) else {
            return;
        };
        for (_, site, since) in &contended.waits {
            let lost = now.saturating_duration_since((*since).max(contended.freed));
            let holders = &mut self.sites[*site].holders;
            let holder = (stack, thread);
            if holders.len() < MOST_OF_ONE_SITE || holders.contains_key(&holder) {
                *holders.entry(holder).or_default() += lost;
            } else {
                self.holders_dropped += lost;
            }
        }
        contended.freed = now;
    }

    /// Adds the waits that have not ended, up to now.
    fn close(&mut self) {
        let now = Instant::now();
        let threads = std::mem::take(&mut self.threads);
        for (thread, waits) in threads {
            let unfinished = waits.unfinished;
            if let Some(wait) = waits.going.first() {
                let slept = now.saturating_duration_since(wait.since);
                self.pools.slept(thread, wait.is_for_call, slept);
            }
            for (index, wait) in waits.going.iter().enumerate() {
                let is_innermost = index + 1 == waits.going.len();
                let before = unfinished.filter(|(site, _)| is_innermost && *site == wait.site);
                let slept = now.saturating_duration_since(wait.since);
                self.sites[wait.site].add(before.map(|(_, slept)| slept), slept);
                if let Some(timeline) = &mut self.timeline {
                    timeline.add(&timeline::Sleep {
                        thread,
                        site: wait.site,
                        since: wait.since,
                        until: now,
                        interpreter: Duration::ZERO,
                        by: None,
                        continues: before.is_some(),
                        has_ended: false,
                    });
                }
            }
        }
        self.pools.close(now);
        if let Some(timeline) = &mut self.timeline {
            timeline.close();
        }
    }
}

thread_local! {
    /// Since when the thread is awake and waits for the interpreter.
    static AWAKE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether its last wait is over.
    static COMPLETED: Cell<bool> = const { Cell::new(false) };
    /// Where the thread was that has ended the present wait, as [`mark`] has said.
    static WOKEN_FROM: Cell<u32> = const { Cell::new(0) };
}

/// Numbers of stacks are smaller than this many bits allow.
const STACK_BITS: u32 = 24;
const STACK_MASK: u32 = (1 << STACK_BITS) - 1;

/// One more than the generation of the process in which a profile runs; zero: nowhere.
static RUNS_IN: AtomicU32 = AtomicU32::new(0);

/// A number for a profile, unique in the process.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn profile() -> MutexGuard<'static, Option<Profile>> {
    static PROFILE: PerProcess<Mutex<Option<Profile>>> = PerProcess::new();
    let profile = PROFILE.get(Mutex::default).lock();
    profile.unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn with<R>(act: impl FnOnce(&mut Profile) -> R) -> Option<R> {
    profile().as_mut().map(act)
}

/// Whether a profile runs in this process.
#[inline]
pub fn is_on() -> bool {
    let runs_in = RUNS_IN.load(Ordering::Relaxed);
    runs_in != 0 && runs_in == generation().wrapping_add(1)
}

/// Begins a profile. Waits that last already count from now on. Returns whether it did; not if one runs already.
pub fn start() -> bool {
    start_keeping(None)
}

/// Begins a profile that keeps single waits, at most so many. Otherwise as [`start`].
pub fn start_with_timeline(most: usize) -> bool {
    start_keeping(Some(most))
}

fn start_keeping(most_waits: Option<usize>) -> bool {
    let mut profile = profile();
    if profile.is_some() {
        return false;
    }
    if !naming::is_wanted() {
        naming::begin();
    }
    // From here on, every thread that begins or ends a wait waits for the guard above.
    RUNS_IN.store(generation().wrapping_add(1), Ordering::SeqCst);
    let started = profile.insert(Profile::new());
    started.timeline = most_waits.map(|most| Timeline::new(started.since, most));
    for place in sleepers::places() {
        for wait in place.waits() {
            let since = wait.since.max(started.since);
            started.begins(&place, wait.number, wait.resource, since, wait.frames);
        }
    }
    true
}

/// Ends the profile, and returns it. Waits that last still count up to now. `None`: no profile runs.
pub fn stop() -> Option<Profile> {
    let mut profile = profile();
    let mut stopped = profile.take()?;
    RUNS_IN.store(0, Ordering::SeqCst);
    drop(profile);
    stopped.close();
    Some(stopped)
}

/// The thread of this place has begun the wait with this number. The thread itself calls this.
pub(super) fn begins(place: &Place, number: u64, resource: Resource, frames: Vec<Frame>) {
    let now = Instant::now();
    with(|profile| profile.begins(place, number, resource, now, frames));
}

/// The calling thread has slept, and is about to wait for the interpreter.
pub(super) fn wakes() {
    AWAKE.set(Some(Instant::now()));
}

/// A task, which has this place, has begun the wait with this number, unless that is known already, or is over.
pub(super) fn begins_for_task(
    place: &Place,
    number: u64,
    resource: Resource,
    frames: &[Frame],
    is_over: &AtomicBool,
) {
    let now = Instant::now();
    with(|profile| {
        // Whoever ends it says so before it asks for the profile.
        if !is_over.load(Ordering::SeqCst) {
            profile.begins(place, number, resource, now, frames.to_vec());
        }
    });
}

/// The wait of a task has ended: it was woken at that time, by this thread, which was at the place with this number. In the
/// thread that runs the task, as a rule, which is in no wait.
pub(super) fn ends_for_task(
    task: ThreadNumber,
    number: u64,
    woken: Option<Instant>,
    by: Option<ThreadNumber>,
    place: u32,
) {
    // What is known of the thread's own last wait stays as it is.
    let own = (
        COMPLETED.take(),
        AWAKE.replace(woken),
        WOKEN_FROM.replace(place),
    );
    ends(task, number, by);
    forget(task);
    COMPLETED.set(own.0);
    AWAKE.set(own.1);
    WOKEN_FROM.set(own.2);
}

/// The calling thread goes on after the wait with this number, which `by` has ended.
pub(super) fn ends(thread: ThreadNumber, number: u64, by: Option<ThreadNumber>) {
    let now = Instant::now();
    with(|profile| profile.ends(thread, number, by, now));
}

/// A number for these functions, in which the calling thread, which has this place, wakes another. Zero stands for none.
pub(super) fn mark(place: &Place, frames: Vec<Frame>) -> u32 {
    let marked = with(|profile| {
        profile.remember(place);
        profile.stack(frames) | profile.mark()
    });
    marked.unwrap_or_default()
}

/// The present wait of the calling thread was ended where [`mark`] gave this number.
pub(super) fn woken_from(place: u32) {
    WOKEN_FROM.set(place);
}

/// The last wait of the calling thread is over, and will not go on.
pub(super) fn completed() {
    COMPLETED.set(true);
}

/// This thread ends.
pub(super) fn forget(thread: ThreadNumber) {
    with(|profile| {
        profile.threads.remove(&thread);
        profile.pools.leaves(thread, Instant::now());
        if let Some(timeline) = &mut profile.timeline {
            timeline.forget(thread);
        }
    });
}

/// Whether threads are known to wait for the lock with this address.
pub(super) fn is_waited_for(address: usize) -> bool {
    with(|profile| profile.locks.contains_key(&address)) == Some(true)
}

/// The thread of this place has freed this lock at this place.
pub(super) fn released(place: &Place, address: usize, frames: Vec<Frame>) {
    let now = Instant::now();
    with(|profile| {
        profile.remember(place);
        profile.released(place.thread(), address, frames, now);
    });
}
