//! A thread that looks at the sleepers again and again, and calls a function when it may have something to say.
//!
//! It looks ten times a second. A thread that was asleep in one wait in two looks is *stable*. It calls the function when
//! the set of stable waits without a deadline, or the set of threads, has changed: a deadlock begins when a thread falls
//! asleep for ever, or when a thread ends that should have woken another.
//!
//! The thread does not survive a fork. In both processes it is started again by the next thread that falls asleep.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::server::Server;
use super::{naming, profile, sleepers};
use crate::wait::{PerProcess, generation, threads};

/// The time between two looks.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// The function that a watcher calls: with the numbers of the sleeps in stable waits. It returns when it wants to be called
/// again although nothing has changed.
pub type Judge = dyn Fn(&[u64]) -> Option<Duration> + Send + Sync;

/// The function that describes all threads, as JSON text. `None`: it failed.
pub type Describe = dyn Fn() -> Option<String> + Send + Sync;

/// The function that finds names for what the sleeps with these numbers are waiting for.
pub type Name = dyn Fn(&[u64]) + Send + Sync;

/// What the watcher calls.
pub struct Functions {
    /// See [`Judge`].
    pub judge: Box<Judge>,
    /// See [`Describe`].
    pub describe: Box<Describe>,
    /// See [`Name`]. Called while a profile or a trace runs.
    pub name: Box<Name>,
    /// Tells a profile how long the queues are. Called while a profile runs.
    pub sample: Box<dyn Fn() + Send + Sync>,
}

/// What the thread is told.
#[derive(Default)]
struct Orders {
    stop: bool,
    /// Where to send a description.
    asked: Vec<Sender<Option<String>>>,
    /// What it is to call.
    calls: Vec<Call>,
}

/// A function that the watcher calls once.
pub type Call = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inbox {
    orders: Mutex<Orders>,
    changed: Condvar,
}

impl Inbox {
    fn tell(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

struct Running {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
    server: Option<Server>,
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
/// Whether there should be a watcher.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// How many threads are about to fork: no thread is started meanwhile.
static FORKING: AtomicU32 = AtomicU32::new(0);
/// One more than the generation of the process in which the thread runs; zero: nowhere.
static RUNS_IN: AtomicU32 = AtomicU32::new(0);

fn running() -> MutexGuard<'static, Option<Running>> {
    static RUNNING: PerProcess<Mutex<Option<Running>>> = PerProcess::new();
    let running = RUNNING.get(Mutex::default).lock();
    running.unwrap_or_else(PoisonError::into_inner)
}

fn runs() -> bool {
    RUNS_IN.load(Ordering::Relaxed) == generation().wrapping_add(1)
}

/// Starts the watcher. It calls the functions of the first call.
pub fn start(functions: Functions) {
    let _ = FUNCTIONS.set(functions);
    IS_ON.store(true, Ordering::SeqCst);
    ensure();
}

/// Starts the thread if there should be one and it does not run.
pub fn ensure() {
    if runs() || FORKING.load(Ordering::SeqCst) > 0 || !IS_ON.load(Ordering::SeqCst) {
        return;
    }
    let Some(functions) = FUNCTIONS.get() else {
        return;
    };
    let mut running = running();
    if running.is_some() {
        return;
    }
    let inbox = Arc::new(Inbox::default());
    let theirs = Arc::clone(&inbox);
    let builder = std::thread::Builder::new().name("oxthreads-watch".to_owned());
    // Without memory for a thread there is no watcher, and the program goes on.
    if let Ok(thread) = builder.spawn(move || run(&theirs, functions)) {
        *running = Some(Running {
            inbox,
            thread,
            server: Server::start(),
        });
        RUNS_IN.store(generation().wrapping_add(1), Ordering::SeqCst);
    }
}

/// Ends the threads and waits for their end. The caller must not be attached to the interpreter, because the thread may
/// be waiting for that.
fn halt() {
    if is_calling() {
        return;
    }
    let ended = running().take();
    RUNS_IN.store(0, Ordering::SeqCst);
    if let Some(ended) = ended {
        drop(ended.server);
        ended.inbox.tell(|orders| orders.stop = true);
        let _ = ended.thread.join();
    }
}

/// Ends the watcher until the next [`start`]. The caller must not be attached to the interpreter.
pub fn stop() {
    IS_ON.store(false, Ordering::SeqCst);
    halt();
}

/// Ends the thread before a fork; [`release`] allows it again. The caller must not be attached to the interpreter.
pub fn hold() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    halt();
}

/// After a fork, in the parent: the next thread that falls asleep starts the thread.
pub fn release() {
    let less = |forking: u32| forking.checked_sub(1);
    // It fails if nobody has called `hold`; then nothing is held.
    let _ = FORKING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

/// After a fork, in the child, where no other thread is about to fork.
pub fn release_in_child() {
    FORKING.store(0, Ordering::SeqCst);
}

/// How many threads of the process are those of the watch.
pub fn own_threads() -> usize {
    let running = running();
    let server = running.as_ref().and_then(|running| running.server.as_ref());
    usize::from(running.is_some()) + usize::from(server.is_some())
}

/// Asks the watcher for a description of all threads. `None`: it could not be had in this time.
pub fn ask(within: Duration) -> Option<String> {
    let (sender, receiver) = channel();
    let inbox = Arc::clone(&running().as_ref()?.inbox);
    inbox.tell(|orders| orders.asked.push(sender));
    receiver.recv_timeout(within).ok()?
}

/// Has the watcher call the function soon. If there is no watcher, or it ends before, the function is dropped.
pub fn call_there(call: Call) {
    ensure();
    let inbox = running().as_ref().map(|running| Arc::clone(&running.inbox));
    if let Some(inbox) = inbox {
        inbox.tell(|orders| orders.calls.push(call));
    }
}

thread_local! {
    static IS_WATCHER: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is the watcher. It must not wait for what the threads have that it looks at: its
/// function may run a destructor that wants to.
pub fn is_calling() -> bool {
    IS_WATCHER.get()
}

fn run(inbox: &Inbox, functions: &Functions) {
    IS_WATCHER.set(true);
    block_signals();
    let mut before: Vec<u64> = Vec::new();
    let mut judged: Option<(Vec<u64>, Vec<u32>)> = None;
    let mut again: Option<Instant> = None;
    let mut next = Instant::now() + INTERVAL;
    loop {
        let orders = inbox.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = |orders: &mut Orders| {
            !orders.stop && orders.asked.is_empty() && orders.calls.is_empty()
        };
        let left = next.saturating_duration_since(Instant::now());
        let waited = inbox.changed.wait_timeout_while(orders, left, is_idle);
        let (mut orders, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if orders.stop {
            return;
        }
        let asked = std::mem::take(&mut orders.asked);
        let calls = std::mem::take(&mut orders.calls);
        drop(orders);
        calls.into_iter().for_each(|call| call());
        if !asked.is_empty() {
            let description = (functions.describe)();
            for each in asked {
                // Whoever asked may have given up.
                let _ = each.send(description.clone());
            }
        }
        if next > Instant::now() {
            continue;
        }
        next = Instant::now() + INTERVAL;
        let mut sleeps = sleepers::asleep();
        if profile::is_on() {
            (functions.sample)();
        }
        if naming::is_wanted() {
            let wanted = naming::to_be_named(&sleeps);
            if naming::takes_tasks() || !wanted.is_empty() {
                (functions.name)(&wanted);
            }
        }
        sleeps.retain(sleepers::Sleep::is_endless);
        sleeps.sort_unstable_by_key(|sleep| sleep.wait);
        let now: Vec<u64> = sleeps.iter().map(|sleep| sleep.wait).collect();
        // A wait, and not a sleep: where the parker cannot report signals, each sleep is short.
        sleeps.retain(|sleep| before.binary_search(&sleep.wait).is_ok());
        before = now;
        let stable: Vec<u64> = sleeps.iter().map(|sleep| sleep.wait).collect();
        let numbers: Vec<u64> = sleeps.iter().map(|sleep| sleep.number).collect();
        if stable.is_empty() {
            continue;
        }
        let mut alive: Vec<u32> = (threads::alive().iter().map(|thread| thread.number)).collect();
        alive.sort_unstable();
        let is_new = judged
            .as_ref()
            .is_none_or(|(sleeps, threads)| *sleeps != stable || *threads != alive);
        if is_new || again.is_some_and(|again| again <= Instant::now()) {
            again = (functions.judge)(&numbers).map(|after| Instant::now() + after);
            judged = Some((stable, alive));
        }
    }
}

/// Signals of the process go to other threads: one that came to this thread would not end the wait of the main thread.
#[cfg(unix)]
pub(crate) fn block_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: it initializes the set that the pointer leads to.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set was initialized above. It becomes the mask of the calling thread, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()) };
}

#[cfg(not(unix))]
pub(crate) fn block_signals() {}
