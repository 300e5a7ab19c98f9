//! What pools have done in all, by their names: for metrics, which are collected again and again.
//!
//! A *ledger* counts some pools, or all. A number never becomes smaller: what a pool has done goes on to count when the pool
//! is dropped. A pool has the name that it had when the ledger first saw it.
//!
//! The threads that use this are attached to the interpreter, and nothing of Python happens meanwhile. So no thread has
//! the mutex at a fork. A child counts anew, with the pools that it has.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::{Job, Pool, Statistics, Work};
use crate::diagnostics::labels::{self, Limited};
use crate::wait::generation;

/// A pool that is counted.
struct Member {
    label: Arc<str>,
    /// What it had done when it was looked at last.
    last: Work,
}

/// Some pools, or all.
#[derive(Default)]
struct Ledger {
    generation: u32,
    /// Whether all pools are counted.
    has_all: bool,
    /// The numbers of the pools that are counted in any case.
    chosen: HashSet<u64>,
    members: HashMap<u64, Member>,
    labels: Limited,
    /// What pools have done that are gone.
    ended: HashMap<Arc<str>, Work>,
}

/// The pools of one name.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// How many there are.
    pub pools: usize,
    /// How many workers they may have.
    pub capacity: usize,
    /// What they do now, and what they have done. The work of those that are gone is among it.
    pub statistics: Statistics,
}

#[derive(Default)]
struct Ledgers {
    last: u64,
    by_number: HashMap<u64, Ledger>,
}

/// How many ledgers there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn ledgers() -> MutexGuard<'static, Ledgers> {
    static LEDGERS: LazyLock<Mutex<Ledgers>> = LazyLock::new(Mutex::default);
    LEDGERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<R>(ledger: u64, act: impl FnOnce(&mut Ledger) -> R) -> Option<R> {
    let mut ledgers = ledgers();
    let ledger = ledgers.by_number.get_mut(&ledger)?;
    ledger.follow_fork();
    Some(act(ledger))
}

impl Ledger {
    fn follow_fork(&mut self) {
        if self.generation != generation() {
            self.generation = generation();
            self.ended.clear();
            for member in self.members.values_mut() {
                member.last = Work::default();
            }
        }
    }

    fn counts(&self, pool: u64) -> bool {
        self.has_all || self.chosen.contains(&pool)
    }

    fn member(&mut self, pool: u64, address: usize) -> &mut Member {
        let labels = &mut self.labels;
        self.members.entry(pool).or_insert_with(|| Member {
            label: labels.admit(labels::of(address)),
            last: Work::default(),
        })
    }

    /// Forgets the pools that are not to be counted any more.
    fn tidy(&mut self) {
        if !self.has_all {
            let chosen = &self.chosen;
            self.members.retain(|pool, _| chosen.contains(pool));
            self.forget_unused();
        }
    }

    /// Forgets what pools have done of whose name there is none any more.
    fn forget_unused(&mut self) {
        let used: HashSet<&str> = (self.members.values())
            .map(|member| &*member.label)
            .collect();
        self.ended.retain(|label, _| used.contains(&**label));
    }

    fn totals(&mut self, pools: &[(u64, usize, usize, Statistics)]) -> HashMap<Arc<str>, Total> {
        let mut totals: HashMap<Arc<str>, Total> = HashMap::new();
        for (number, address, capacity, statistics) in pools {
            if self.counts(*number) {
                let member = self.member(*number, *address);
                member.last = statistics.work;
                let total = totals.entry(Arc::clone(&member.label)).or_default();
                total.pools += 1;
                total.capacity = total.capacity.saturating_add(*capacity);
                total.statistics.workers += statistics.workers;
                total.statistics.busy += statistics.busy;
                total.statistics.queued += statistics.queued;
            }
        }
        if !self.has_all {
            self.forget_unused();
        }
        let ended = self.ended.iter();
        let members = self.members.values();
        let works = ended.chain(members.map(|member| (&member.label, &member.last)));
        for (label, work) in works {
            let total = totals.entry(Arc::clone(label)).or_default();
            total.statistics.work.add(*work);
        }
        totals
    }
}

/// Makes a ledger without pools; returns its number.
pub fn open() -> u64 {
    let mut ledgers = ledgers();
    ledgers.last += 1;
    let number = ledgers.last;
    let ledger = Ledger {
        generation: generation(),
        ..Ledger::default()
    };
    ledgers.by_number.insert(number, ledger);
    COUNT.store(ledgers.by_number.len(), Ordering::Release);
    number
}

/// Forgets the ledger.
pub fn close(ledger: u64) {
    let mut ledgers = ledgers();
    ledgers.by_number.remove(&ledger);
    COUNT.store(ledgers.by_number.len(), Ordering::Release);
}

/// Counts all pools from now on, or only those that were chosen.
pub fn count_all(ledger: u64, has_all: bool) {
    with(ledger, |ledger| {
        ledger.has_all = has_all;
        ledger.tidy();
    });
}

/// Counts the pool from now on. It gets its name now.
pub fn choose<J: Job>(ledger: u64, pool: &Pool<J>) {
    let address = std::ptr::from_ref(pool).addr();
    with(ledger, |ledger| {
        ledger.chosen.insert(pool.number());
        ledger.member(pool.number(), address);
    });
}

/// Undoes [`choose`] for the pool with this number.
pub fn dismiss(ledger: u64, pool: u64) {
    with(ledger, |ledger| {
        ledger.chosen.remove(&pool);
        ledger.tidy();
    });
}

/// The totals of the ledger by names. `pools`: all that there are.
pub fn totals<J: Job>(ledger: u64, pools: &[Arc<Pool<J>>]) -> HashMap<Arc<str>, Total> {
    // Before the mutex: this takes the leaf locks of the pools. And no pool is dropped inside, for they are borrowed.
    let pools: Vec<_> = (pools.iter())
        .filter(|pool| pool.is_in_use())
        .map(|pool| {
            let address = std::ptr::from_ref(&**pool).addr();
            let (capacity, statistics) = (pool.capacity(), pool.statistics());
            (pool.number(), address, capacity, statistics)
        })
        .collect();
    with(ledger, |ledger| ledger.totals(&pools)).unwrap_or_default()
}

/// The pool is being dropped.
pub(super) fn ends<J: Job>(pool: &Pool<J>) {
    let address = std::ptr::from_ref(pool).addr();
    if COUNT.load(Ordering::Acquire) > 0 {
        let work = pool.statistics().work;
        let number = pool.number();
        let mut ledgers = ledgers();
        for ledger in ledgers.by_number.values_mut() {
            ledger.follow_fork();
            // A pool that has done nothing needs no name.
            if ledger.counts(number) && (work.done > 0 || ledger.members.contains_key(&number)) {
                let label = Arc::clone(&ledger.member(number, address).label);
                ledger.ended.entry(label).or_default().add(work);
            }
            ledger.members.remove(&number);
            ledger.chosen.remove(&number);
        }
    }
    labels::forget(address);
}
