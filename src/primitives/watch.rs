//! A value that threads watch: they see the newest one, and may miss those in between.
//!
//! Each change raises the version of the value, and each reader remembers the version that it has seen. So a reader that
//! looks later misses no change, and one that waits is woken by the next one. All that wait are woken by a change; it takes
//! nothing from anybody.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::Item;
use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{
    self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// The value was closed, and there is no change that the reader has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A value of `T` that is watched.
pub struct Watch<T> {
    state: Monitor<State<T>>,
}

struct State<T> {
    value: T,
    /// How often it was set. The first value has the version zero.
    version: u64,
    waiters: WaiterList,
    /// Those that are told of changes, each with the version that its reader has seen.
    watchers: WaiterList<Arc<Seen>>,
    closed: bool,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

/// The version that a reader has seen. It is written under the leaf lock.
struct Seen(AtomicU64);

impl<T> wait::State for State<T> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.waiters.forget_other_processes();
        self.watchers.forget_other_processes();
    }
}

impl<T> State<T> {
    fn change(&mut self, value: T, wakes: &mut Wakes) -> T {
        let before = std::mem::replace(&mut self.value, value);
        self.version += 1;
        self.waiters.drain(wakes);
        self.tell_watchers();
        before
    }

    /// Tells those who watch, if there are any.
    fn tell_watchers(&self) {
        self.watchers
            .tell_each(|seen| self.closed || seen.0.load(Ordering::Relaxed) != self.version);
    }
}

impl<T: Item> Watch<T> {
    /// Creates one with this value.
    pub fn new(value: T) -> Self {
        Self {
            state: Monitor::new(State {
                value,
                version: 0,
                waiters: WaiterList::new(),
                watchers: WaiterList::new(),
                closed: false,
                generation: generation(),
            }),
        }
    }

    /// The value, and its version.
    pub fn get(&self) -> (T, u64) {
        let state = self.state.enter();
        (state.value.share(), state.version)
    }

    /// Sets the value. Returns the one before, for the caller to drop.
    ///
    /// # Errors
    /// The value, if it was closed.
    pub fn set(&self, value: T) -> Result<T, T> {
        let mut state = self.state.enter();
        let (state, wakes) = state.parts();
        if state.closed {
            return Err(value);
        }
        Ok(state.change(value, wakes))
    }

    /// Sets the value if it still has this version. Returns the one before; or the given one if it has another version.
    ///
    /// # Errors
    /// The value, if it was closed.
    pub fn set_if(&self, version: u64, value: T) -> Result<Result<T, T>, T> {
        let mut state = self.state.enter();
        let (state, wakes) = state.parts();
        if state.closed {
            return Err(value);
        }
        if state.version != version {
            return Ok(Err(value));
        }
        Ok(Ok(state.change(value, wakes)))
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state.enter().closed
    }

    /// Closes it: it cannot be set any more, and waits end.
    pub fn close(&self) {
        let mut state = self.state.enter();
        let (state, wakes) = state.parts();
        state.closed = true;
        state.waiters.drain(wakes);
        state.tell_watchers();
    }

    /// Puts another value in its place, of which nobody is told: for the garbage collector.
    pub fn replace(&self, value: T) -> T {
        std::mem::replace(&mut self.state.enter().value, value)
    }

    /// Calls `look` with the value. It runs under the leaf lock and must keep its rules.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.state.enter_unchecked().value)
    }

    /// The number of bytes that waiters take, in addition to the object itself.
    pub fn allocated(&self) -> usize {
        self.state.enter().waiters.allocated()
    }
}

/// One who watches a value.
///
/// `W`: a reference to the value, or whatever else keeps it alive.
pub struct Reader<W> {
    watch: W,
    seen: Arc<Seen>,
}

impl<T: Item, W: Deref<Target = Watch<T>>> Reader<W> {
    /// One that has seen the present value.
    pub fn new(watch: W) -> Self {
        let (value, version) = watch.get();
        drop(value);
        Self::since(watch, version)
    }

    /// One that has seen this version.
    pub fn since(watch: W, version: u64) -> Self {
        Self {
            watch,
            seen: Arc::new(Seen(AtomicU64::new(version))),
        }
    }

    /// What it watches.
    pub fn watch(&self) -> &W {
        &self.watch
    }

    /// Whether there is a value that it has not seen.
    pub fn has_changed(&self) -> bool {
        let state = self.watch.state.enter();
        self.seen.0.load(Ordering::Relaxed) != state.version
    }

    fn mark(&self, state: &State<T>) -> T {
        self.seen.0.store(state.version, Ordering::Relaxed);
        state.tell_watchers();
        state.value.share()
    }

    /// The value, if it has not been seen. It counts as seen then. `Ok(None)`: there is none yet.
    ///
    /// # Errors
    /// [`Closed`]
    pub fn try_changed(&self) -> Result<Option<T>, Closed> {
        let state = self.watch.state.enter();
        self.changed_now(&state).transpose()
    }

    fn changed_now(&self, state: &State<T>) -> Option<Result<T, Closed>> {
        if self.seen.0.load(Ordering::Relaxed) != state.version {
            return Some(Ok(self.mark(state)));
        }
        state.closed.then_some(Err(Closed))
    }

    /// The operation that waits for a value that was not seen.
    pub fn changed(&self) -> Changed<&Self> {
        Changed::new(self)
    }

    /// From now on `watcher` is told whether there is a value that was not seen, until [`Reader::unwatch`] with the same
    /// ticket, which is one of [`Ticket::last`]. It must refuse to be claimed. In a forked child it is forgotten.
    pub fn watch_changes(&self, ticket: Ticket, watcher: &Arc<Waiter>) {
        let mut state = self.watch.state.enter();
        (state.watchers).join(ticket, watcher, Arc::clone(&self.seen));
        state.tell_watchers();
    }

    /// Ends what [`Reader::watch_changes`] began.
    pub fn unwatch(&self, ticket: Ticket) {
        self.watch.state.enter().watchers.leave(ticket);
    }
}

/// A thread's wait for a value that its reader has not seen. After it is complete it may be attempted again, and waits for
/// the next one.
///
/// `R`: a reference to the reader, or whatever else keeps it alive.
pub struct Changed<R> {
    reader: R,
    ticket: Ticket,
}

impl<R> Changed<R> {
    /// The wait that has not begun.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            ticket: Ticket::next(),
        }
    }
}

impl<T, W, R> Operation for Changed<R>
where
    T: Item,
    W: Deref<Target = Watch<T>>,
    R: Deref<Target = Reader<W>>,
{
    type Output = Result<T, Closed>;

    fn resource(&self) -> Resource {
        Resource::new("change of a watch", &*self.reader)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut state = self.reader.watch.state.enter();
        let changed = self.reader.changed_now(&state);
        if changed.is_none() {
            state.waiters.join(self.ticket, waiter, ());
        }
        changed
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        let mut state = self.reader.watch.state.enter();
        if state.waiters.leave(self.ticket).is_some() {
            return None;
        }
        // `None`: another thread that shares the reader was faster.
        self.reader.changed_now(&state)
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // It takes nothing from other threads, and the value counts as not seen.
        self.reader.watch.state.enter().waiters.leave(self.ticket);
        None
    }
}
