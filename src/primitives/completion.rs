//! One thread's wait for many futures.
//!
//! Each future has an entry, and learns the number of it when it is
//! [observed](super::future::Future::observe). When the future finishes, it links the entry into a chain, and
//! wakes the thread only if that is what the thread waits for. The chain consists of atomics alone, so a
//! future can extend it in the same step that finishes it: under its leaf lock, where no other lock may be
//! taken. So a thread that sees a future as finished finds it in the chain, before all futures that finish
//! later.

use std::ops::Deref;

use crate::wait::observe::Resource;
use crate::wait::sync::{Arc, AtomicUsize, Mutex, Ordering};
use crate::wait::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

/// When the thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Once one entry is in the chain.
    First,
    /// Once one entry has come with a failure, or all have come.
    FirstFailure,
    /// Once all entries have come.
    All,
}

/// The link of the last entry of the chain.
const END: usize = usize::MAX;
/// The link of an entry whose future has not finished.
const UNFINISHED: usize = usize::MAX - 1;

/// The entries, and the one thread that waits for them.
pub struct Completions {
    until: Until,
    /// The entry that came last, or [`END`].
    latest: AtomicUsize,
    /// For each entry that has come, the entry that came before it.
    links: Box<[AtomicUsize]>,
    /// How many entries must still come before the thread goes on. Unused with [`Until::First`].
    missing: AtomicUsize,
    waiters: Mutex<WaiterList>,
}

impl Completions {
    /// Creates this many entries, none of which has come.
    pub fn new(entries: usize, until: Until) -> Arc<Self> {
        Arc::new(Self {
            until,
            latest: AtomicUsize::new(END),
            links: (0..entries).map(|_| AtomicUsize::new(UNFINISHED)).collect(),
            missing: AtomicUsize::new(entries),
            waiters: Mutex::new(WaiterList::new()),
        })
    }

    /// Notes that the future of this entry has finished. If this returns `true`, the caller must
    /// [wake](Self::wake) the thread once it holds no leaf lock. A second call for the same entry does
    /// nothing.
    #[must_use = "the thread sleeps until it is woken"]
    pub fn complete(&self, entry: usize, failed: bool) -> bool {
        let link = &self.links[entry];
        // Claims the entry, because a foreign future may report twice, and from two threads.
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
            // Later entries need no wake: the first one already causes it.
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

    /// Makes the thread go on, or not sleep at all.
    ///
    /// The thread checks for entries and joins the list in one leaf section. This call searches the list after
    /// the entry was linked. So the thread either has seen the entry, or is in the list and is found.
    pub fn wake(&self) {
        let mut wakes = Wakes::new();
        self.waiters.lock().drain(&mut wakes);
        wakes.wake();
    }

    /// Takes out the entries that have come since the last call, the latest first.
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

    /// The operation that waits until the thread can go on.
    pub fn wait(&self) -> WaitDue<&Self> {
        WaitDue::new(self)
    }
}

/// A future's note of one thread that waits for it, and perhaps for others.
pub struct Observer {
    completions: Arc<Completions>,
    entry: usize,
}

impl PartialEq for Observer {
    /// Whether both stand for the same entry.
    fn eq(&self, other: &Self) -> bool {
        self.is_of(&other.completions) && self.entry == other.entry
    }
}

impl Observer {
    /// Creates the observer for this entry of `completions`.
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

    /// Whether it belongs to these completions.
    pub fn is_of(&self, completions: &Arc<Completions>) -> bool {
        Arc::ptr_eq(&self.completions, completions)
    }
}

/// The observers of a future: mostly none or one.
#[derive(Default)]
pub struct Observers {
    first: Option<Observer>,
    more: Vec<Observer>,
}

impl Observers {
    /// Adds an observer.
    pub fn push(&mut self, observer: Observer) {
        if self.first.is_none() {
            self.first = Some(observer);
        } else {
            self.more.push(observer);
        }
    }

    /// Takes out the observer of these completions.
    pub fn remove(&mut self, completions: &Arc<Completions>) -> Option<Observer> {
        if let Some(first) = self.first.take_if(|first| first.is_of(completions)) {
            return Some(first);
        }
        let is_theirs = |observer: &Observer| observer.is_of(completions);
        let place = self.more.iter().position(is_theirs)?;
        Some(self.more.swap_remove(place))
    }

    /// Takes all observers out and tells them that the future has finished.
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

/// Observers that have been told. The caller must wake some of their threads.
#[must_use = "they sleep until they are woken"]
pub struct Told {
    due: Vec<Arc<Completions>>,
    /// Here only to be dropped after the leaf lock is released.
    _observers: Observers,
}

impl Told {
    /// Wakes the threads. The caller must hold no leaf lock.
    #[inline]
    pub fn wake(self) {
        for completions in &self.due {
            completions.wake();
        }
    }
}

/// A thread's wait until it can go on.
///
/// `C`: a reference to the completions, or whatever else keeps them alive.
pub struct WaitDue<C> {
    completions: C,
    ticket: Ticket,
}

impl<C> WaitDue<C> {
    /// The wait that has not begun.
    pub fn new(completions: C) -> Self {
        Self {
            completions,
            ticket: Ticket::next(),
        }
    }
}

impl<C: Deref<Target = Completions>> Operation for WaitDue<C> {
    type Output = ();

    fn resource(&self) -> Resource {
        Resource::new("one of several futures", &*self.completions)
    }

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
        // Here the list is not the truth: the wake may be for an entry that was taken before.
        self.completions.is_due().then_some(())
    }

    #[cold]
    fn abandon(&mut self) -> Option<()> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
