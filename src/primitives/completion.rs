//! One thread's wait for many futures.
//!
//! Each future that is waited for has an entry, whose number it is told when it is
//! [observed](super::future::Future::observe). What finishes it links the entry into a chain, and
//! wakes the thread only if that is what it waits for. The chain is made of atomics alone, so a future
//! extends it in the same step that finishes it: under its leaf lock, where no other lock may be taken.
//! Whoever can see that a future is finished finds it in the chain, before all that finish later.

use super::sync::{Arc, AtomicUsize, Mutex, Ordering};
use super::waiter::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// When the thread is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Once an entry is in the chain.
    First,
    /// Once an entry came with a failure, or all have come.
    FirstFailure,
    /// Once all entries have come.
    All,
}

/// What an entry's link says beside the number of the next one: it is the last.
const END: usize = usize::MAX;
/// Its future has not finished.
const UNFINISHED: usize = usize::MAX - 1;

/// The entries, and the one thread that waits for them.
pub struct Completions {
    until: Until,
    /// The entry that came last.
    latest: AtomicUsize,
    /// For each entry that has come, the one that came before.
    links: Box<[AtomicUsize]>,
    /// How many have to come before the thread goes on; unused by [`Until::First`].
    missing: AtomicUsize,
    waiters: Mutex<WaiterList>,
}

impl Completions {
    /// So many entries, none of which has come.
    pub fn new(entries: usize, until: Until) -> Arc<Self> {
        Arc::new(Self {
            until,
            latest: AtomicUsize::new(END),
            links: (0..entries).map(|_| AtomicUsize::new(UNFINISHED)).collect(),
            missing: AtomicUsize::new(entries),
            waiters: Mutex::new(WaiterList::new()),
        })
    }

    /// The future of this entry has finished. `true`: the thread is to be [woken](Self::wake), once
    /// the caller holds no leaf lock. Nothing happens if it was said before.
    #[must_use = "the thread sleeps until it is woken"]
    pub fn complete(&self, entry: usize, failed: bool) -> bool {
        let link = &self.links[entry];
        // Claims the entry, for a foreign future may say it twice, and in two threads.
        let claimed = link.compare_exchange(UNFINISHED, END, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return false;
        }
        let mut before = self.latest.load(Ordering::Relaxed);
        loop {
            link.store(before, Ordering::Relaxed);
            match self.latest.compare_exchange_weak(
                before,
                entry,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(other) => before = other,
            }
        }
        match self.until {
            // The others were linked while the thread was already to be woken.
            Until::First => before == END,
            Until::FirstFailure if failed => self.missing.swap(0, Ordering::AcqRel) > 0,
            Until::FirstFailure | Until::All => {
                let one_less = |missing: usize| missing.checked_sub(1);
                let missing =
                    self.missing
                        .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
                missing == Ok(1)
            }
        }
    }

    /// Has the thread go on, or not sleep at all.
    ///
    /// Under the leaf lock the thread looks and joins, and here it is looked for later than the entry
    /// was linked: it has seen the entry, or is found.
    pub fn wake(&self) {
        let mut wakes = Wakes::new();
        self.waiters.lock().drain(&mut wakes);
        wakes.wake();
    }

    /// Takes out the entries that have come since this was last called, the latest first.
    pub fn take(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = self.latest.swap(END, Ordering::Acquire);
        std::iter::from_fn(move || {
            let entry = (next != END).then_some(next)?;
            next = self.links[entry].load(Ordering::Relaxed);
            Some(entry)
        })
    }

    fn is_due(&self) -> bool {
        match self.until {
            Until::First => self.latest.load(Ordering::Acquire) != END,
            Until::FirstFailure | Until::All => self.missing.load(Ordering::Acquire) == 0,
        }
    }

    /// The wait until the thread is to go on.
    pub fn wait(&self) -> WaitDue<'_> {
        WaitDue {
            completions: self,
            ticket: Ticket::next(),
        }
    }
}

/// A future's note of who waits for it among others.
pub struct Observer {
    completions: Arc<Completions>,
    entry: usize,
}

impl PartialEq for Observer {
    /// Whether they stand for the same entry.
    fn eq(&self, other: &Self) -> bool {
        self.is_of(&other.completions) && self.entry == other.entry
    }
}

impl Observer {
    /// What stands for this entry of theirs.
    pub fn new(completions: Arc<Completions>, entry: usize) -> Self {
        Self { completions, entry }
    }

    /// As [`Completions::complete`].
    #[must_use = "the thread sleeps until it is woken"]
    pub fn complete(&self, failed: bool) -> bool {
        self.completions.complete(self.entry, failed)
    }

    /// As [`Completions::wake`].
    pub fn wake(&self) {
        self.completions.wake();
    }

    /// Whether it is theirs.
    pub fn is_of(&self, completions: &Arc<Completions>) -> bool {
        Arc::ptr_eq(&self.completions, completions)
    }
}

/// The observers that a future has noted: mostly none, or one.
#[derive(Default)]
pub struct Observers {
    first: Option<Observer>,
    more: Vec<Observer>,
}

impl Observers {
    /// Notes one more.
    pub fn push(&mut self, observer: Observer) {
        if self.first.is_none() {
            self.first = Some(observer);
        } else {
            self.more.push(observer);
        }
    }

    /// Takes out the one of these completions.
    pub fn remove(&mut self, completions: &Arc<Completions>) -> Option<Observer> {
        if let Some(first) = self.first.take_if(|first| first.is_of(completions)) {
            return Some(first);
        }
        let is_theirs = |observer: &Observer| observer.is_of(completions);
        let place = self.more.iter().position(is_theirs)?;
        Some(self.more.swap_remove(place))
    }

    /// Tells them that the future has finished, and takes them out.
    pub fn tell(&mut self, failed: bool) -> Told {
        let observers = std::mem::take(self);
        let mut due = Vec::new();
        for observer in observers.iter() {
            if observer.complete(failed) {
                due.push(Arc::clone(&observer.completions));
            }
        }
        Told {
            due,
            _observers: observers,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Observer> {
        self.first.iter().chain(&self.more)
    }
}

impl IntoIterator for Observers {
    type Item = Observer;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Observer>, std::vec::IntoIter<Observer>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// Observers that were told, some of whom are to be woken.
#[must_use = "they sleep until they are woken"]
pub struct Told {
    due: Vec<Arc<Completions>>,
    /// To be dropped without the leaf lock.
    _observers: Observers,
}

impl Told {
    /// Wakes them. Call it without a leaf lock.
    #[inline]
    pub fn wake(self) {
        for completions in &self.due {
            completions.wake();
        }
    }
}

/// A thread's wait.
pub struct WaitDue<'a> {
    completions: &'a Completions,
    ticket: Ticket,
}

impl Operation for WaitDue<'_> {
    type Output = ();

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut waiters = self.completions.waiters.lock();
        if self.completions.is_due() {
            return Some(());
        }
        waiters.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<()> {
        let mut waiters = self.completions.waiters.lock();
        let _ = waiters.leave(self.ticket);
        // Not the list is the truth here: the wake may be for an entry that was taken before.
        self.completions.is_due().then_some(())
    }
}
