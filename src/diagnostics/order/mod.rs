//! Lock order: locks that threads acquire in orders which can deadlock, although they have not yet.
//!
//! While this is on, each thread keeps a list of the locks that it holds ([`held`]). When it acquires one more, in a way
//! that would wait for ever, this is added to the graph of the process ([`graph`]), once for each combination of locks and
//! thread. Only then its stack is read, and the graph asked for a cycle.
//!
//! Only locks that are followed ([`Lock::follow`](crate::primitives::lock::Lock::follow)) tell of themselves. The others
//! are as fast as ever.

pub mod graph;
mod held;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use graph::{Before, Graph, Step, Take};
use held::{Held, Mailbox, Own};

use super::place::Frame;
use super::{sleepers, watcher};
use crate::wait::PerProcess;
use crate::wait::observe::{self, Acquisition, Resource, ThreadNumber};

/// The most functions that are remembered of a thread that acquires a lock while it holds another.
const DEEPEST: usize = 50;

/// The most stacks of which it is remembered where the locks were acquired.
const MOST_STACKS: usize = 10_000;

/// The most locks whose names are remembered.
const MOST_NAMES: usize = 20_000;

/// Added to the address of a lock that several may read at once: that for which its writers wait.
const TO_WRITE: usize = graph::TO_WRITE;

/// A lock.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its address in the graph.
    pub address: usize,
    /// What it is: "Lock".
    pub what: &'static str,
}

impl Known {
    /// The address of the object.
    pub fn object(&self) -> usize {
        self.address & !TO_WRITE
    }
}

/// What was found out about a thread that stands still while it acquires a lock.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// For each lock that it held: where it had acquired it.
    pub places: Vec<Option<Frame>>,
    /// For each of these locks, and for the one that is acquired: its name.
    pub names: Vec<Option<String>>,
}

/// A lock in a cycle that was found.
#[derive(Clone, Debug)]
pub struct Described {
    /// The lock.
    pub lock: Known,
    /// Its name, if one was found.
    pub name: Option<String>,
}

/// A cycle that was found.
pub struct Finding {
    /// Its steps. The last one is acquired by the first thread.
    pub steps: Vec<Step>,
    /// The first lock of each step.
    pub locks: Vec<Described>,
}

/// What this module asks of the layers above. The calling thread may be attached to the interpreter. It stands still until
/// the function has returned.
pub struct Functions {
    /// Where the calling thread has acquired the locks that it holds, and the names of these and of the one that it
    /// acquires.
    pub look: fn(held: Vec<Known>, acquired: Known) -> Option<Sight>,
    /// Says what was found.
    pub tell: fn(Finding),
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
/// The number of the present watch; an even number means that there is none.
static SESSION: AtomicU32 = AtomicU32::new(0);
/// How often the graph has forgotten something.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// What is known in a process.
#[derive(Default)]
struct Process {
    graph: Graph,
    kinds: HashMap<usize, &'static str>,
    names: HashMap<usize, String>,
    /// By the stack of a thread and how many locks it held: where it had acquired them.
    places: HashMap<u64, Vec<Option<Frame>>>,
    mailboxes: HashMap<u32, Arc<Mailbox>>,
}

fn process() -> MutexGuard<'static, Process> {
    static PROCESS: PerProcess<Mutex<Process>> = PerProcess::new();
    let process = PROCESS.get(Mutex::default).lock();
    process.unwrap_or_else(PoisonError::into_inner)
}

/// Turns it on. Only the functions of the first call are used. Does nothing if it is on.
pub fn start(functions: Functions) {
    let _ = FUNCTIONS.set(functions);
    let begin = |session: u32| (session & 1 == 0).then(|| session.wrapping_add(1));
    let _ = SESSION.fetch_update(Ordering::SeqCst, Ordering::SeqCst, begin);
    observe::follow_locks(true);
}

/// Turns it off, and forgets everything.
pub fn stop() {
    observe::follow_locks(false);
    let end = |session: u32| (session & 1 == 1).then(|| session.wrapping_add(1));
    if SESSION
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, end)
        .is_ok()
    {
        *process() = Process::default();
    }
}

/// How many takes there are, and how many were dropped because there was no room for them.
pub fn counts() -> (usize, u64) {
    let process = process();
    (process.graph.len(), process.graph.dropped())
}

/// What the calling thread knows of itself; it is taken out of the list when the thread ends.
struct OwnEntry(Own, u32);

impl Drop for OwnEntry {
    fn drop(&mut self) {
        if self.0.is_of(SESSION.load(Ordering::Relaxed)) {
            process().mailboxes.remove(&self.1);
        }
    }
}

thread_local! {
    static OWN: RefCell<Option<OwnEntry>> = const { RefCell::new(None) };
}

/// Calls the function with what the calling thread knows of itself. `None`: the thread is ending, has no number, or is in
/// here already.
fn with_own<R>(use_it: impl FnOnce(&mut Own, u32) -> R) -> Option<R> {
    OWN.try_with(|own| {
        let mut own = own.try_borrow_mut().ok()?;
        let session = SESSION.load(Ordering::Relaxed);
        if !own.as_ref().is_some_and(|entry| entry.0.is_of(session)) {
            enter(&mut own, session)?;
        }
        let OwnEntry(own, number) = own.as_mut()?;
        Some(use_it(own, *number))
    })
    .ok()
    .flatten()
}

#[cold]
fn enter(own: &mut Option<OwnEntry>, session: u32) -> Option<()> {
    match own {
        Some(OwnEntry(own, _)) => own.begin(session),
        None => {
            *own = Some(OwnEntry(
                Own::new(session),
                ThreadNumber::current()?.number(),
            ))
        }
    }
    let OwnEntry(own, number) = own.as_ref()?;
    (process().mailboxes).insert(*number, Arc::clone(&own.mailbox));
    Some(())
}

/// The calling thread has acquired a lock.
pub(super) fn acquired(lock: Resource, how: Acquisition) {
    holds(lock, lock.address, &[lock.address], how);
}

/// The calling thread has entered a lock that several may read at once.
///
/// Such a lock is two in the graph: that for which readers wait, and that for which writers wait, which has another number.
/// Who reads keeps out those who want to write, and who writes keeps out all. So two readers never make a cycle.
pub(super) fn enters(lock: Resource, writes: bool, how: Acquisition) {
    let (to_read, to_write) = (lock.address, lock.address | TO_WRITE);
    if writes {
        holds(lock, to_write, &[to_read, to_write], how);
    } else {
        holds(lock, to_read, &[to_write], how);
    }
}

/// The calling thread has left such a lock.
pub(super) fn leaves(lock: usize) {
    if !watcher::is_calling() {
        with_own(|own, _| {
            own.remove(lock);
            own.remove(lock | TO_WRITE);
        });
    }
}

/// Such a lock is dropped, and these threads have not left it.
pub(super) fn access_lock_gone(lock: usize, holders: &[ThreadNumber]) {
    for node in [lock, lock | TO_WRITE] {
        gone(node, None);
        let process = process();
        for holder in holders {
            leave_letter(&process, node, Some(*holder));
        }
    }
}

/// The calling thread has acquired `wanted`, and holds all of these now, which are one lock.
fn holds(lock: Resource, wanted: usize, held_now: &[usize], how: Acquisition) {
    if watcher::is_calling() {
        return;
    }
    let place = match how {
        Acquisition::Entered => None,
        // There is no `with` statement to find it by later.
        Acquisition::Tried | Acquisition::Called => sleepers::frames_here(1).pop(),
    };
    let acquired = Known {
        address: wanted,
        what: lock.what,
    };
    let epoch = EPOCH.load(Ordering::Acquire);
    let unknown = with_own(|own, _| {
        own.read_mail();
        let combination = own.combination(wanted);
        let is_new =
            how != Acquisition::Tried && own.holds_any() && !own.remembers(combination, epoch);
        let held = is_new.then(|| (own.held().to_vec(), combination));
        for address in held_now {
            own.push(Held {
                address: *address,
                what: lock.what,
                place: place.clone(),
            });
        }
        held
    });
    if let Some((held, combination)) = unknown.flatten() {
        note(&held, acquired);
        with_own(|own, _| own.remember(combination, epoch));
    }
}

/// The calling thread is about to free a lock, which `owner` has acquired.
pub(super) fn releases(lock: usize, owner: Option<ThreadNumber>) {
    if watcher::is_calling() {
        return;
    }
    let is_own = with_own(|own, number| {
        let is_own = owner.is_some_and(|owner| owner.number() == number);
        if is_own {
            own.remove(lock);
        }
        is_own
    });
    if is_own == Some(false) {
        released_by_other(lock, owner);
    }
}

#[cold]
fn released_by_other(lock: usize, owner: Option<ThreadNumber>) {
    let mut process = process();
    if process.graph.is_signal(lock) {
        EPOCH.fetch_add(1, Ordering::Release);
    }
    leave_letter(&process, lock, owner);
}

fn leave_letter(process: &Process, lock: usize, owner: Option<ThreadNumber>) {
    let mailbox = owner.and_then(|owner| process.mailboxes.get(&owner.number()));
    if let Some(mailbox) = mailbox {
        mailbox.leave(lock);
    }
}

/// A lock is dropped, or made anew, which `owner` has acquired.
pub(super) fn gone(lock: usize, owner: Option<ThreadNumber>) {
    let mut process = process();
    process.kinds.remove(&lock);
    process.names.remove(&lock);
    if process.graph.remove(lock) {
        EPOCH.fetch_add(1, Ordering::Release);
    }
    leave_letter(&process, lock, owner);
}

/// Notes that the calling thread has acquired a lock while it held others.
#[cold]
fn note(held: &[Held], acquired: Known) {
    let Some(moment) = with_own(|own, number| own.moment(number)) else {
        return;
    };
    let mut addresses: Vec<usize> = held.iter().map(|lock| lock.address).collect();
    let unknown = (process().graph).unknown(&moment, &addresses, acquired.address);
    if !unknown.is_empty() {
        let scene = sleepers::scene_here(DEEPEST);
        let sight = sight(held, acquired, &scene.frames);
        addresses.sort_unstable();
        let take = Take {
            moment,
            held: addresses.into(),
            scene: Arc::new(scene),
            first: None,
        };
        let findings = add(held, acquired, &unknown, &take, &sight);
        if let Some(functions) = FUNCTIONS.get() {
            findings.into_iter().for_each(functions.tell);
        }
    }
}

/// Where the calling thread has acquired these locks.
fn sight(held: &[Held], acquired: Known, frames: &[Frame]) -> Sight {
    let key = key(held, frames);
    if let Some(places) = process().places.get(&key) {
        return Sight {
            places: places.clone(),
            names: Vec::new(),
        };
    }
    let known = held.iter().map(|lock| Known {
        address: lock.address,
        what: lock.what,
    });
    let look = FUNCTIONS.get().map(|functions| functions.look);
    let sight = look.and_then(|look| look(known.collect(), acquired));
    let Some(sight) = sight else {
        return Sight::default();
    };
    let mut process = process();
    if process.places.len() < MOST_STACKS {
        process.places.insert(key, sight.places.clone());
    }
    sight
}

/// A number for the stack. The texts of one code object are always the same objects.
fn key(held: &[Held], frames: &[Frame]) -> u64 {
    let mut hasher = DefaultHasher::new();
    held.len().hash(&mut hasher);
    for frame in frames {
        (
            Arc::as_ptr(&frame.file).addr(),
            Arc::as_ptr(&frame.function).addr(),
            frame.line,
        )
            .hash(&mut hasher);
    }
    hasher.finish()
}

fn add(
    held: &[Held],
    acquired: Known,
    unknown: &[usize],
    take: &Take,
    sight: &Sight,
) -> Vec<Finding> {
    let mut process = process();
    let process = &mut *process;
    let all = held.iter().map(|lock| (lock.address, lock.what));
    let all = all.chain([(acquired.address, acquired.what)]);
    for (position, (address, what)) in all.enumerate() {
        process.kinds.insert(address, what);
        let name = sight.names.get(position).cloned().flatten();
        if let Some(name) = name
            && process.names.len() < MOST_NAMES
        {
            process.names.insert(address, name);
        }
    }
    let reachable = process.graph.reachable(acquired.address);
    let mut findings = Vec::new();
    for (position, lock) in held.iter().enumerate() {
        if !unknown.contains(&lock.address) {
            continue;
        }
        let seen = sight.places.get(position).cloned().flatten();
        let take = Take {
            first: lock.place.clone().or(seen),
            ..take.clone()
        };
        let added = (process.graph).add_with(lock.address, acquired.address, take, &reachable);
        if let Some(steps) = added {
            let locks = steps.iter().map(|step| Described {
                lock: Known {
                    address: step.first,
                    what: process.kinds.get(&step.first).copied().unwrap_or("Lock"),
                },
                name: process.names.get(&step.first).cloned(),
            });
            let locks = locks.collect();
            findings.push(Finding { steps, locks });
        }
    }
    findings
}

/// The calling thread is about to start another. Returns what that one begins with.
pub fn starts_thread() -> Before {
    with_own(|own, number| own.end_segment(number)).unwrap_or_default()
}

/// The calling thread has been started with this, or has seen that a thread has ended with it.
pub fn follows(before: &Before) {
    with_own(|own, _| own.follow(before));
}
