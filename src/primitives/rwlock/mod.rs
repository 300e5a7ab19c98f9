//! A lock that many readers hold at the same time, or one writer alone.
//!
//! Those who wait get it in the order in which they came: whoever frees it hands it on. So a stream of readers cannot
//! keep a writer waiting for ever, nor the reverse: a new reader waits behind a writer that waits. Only who holds the lock
//! already never waits behind others, because these wait for it.
//!
//! A writer that gives up lets the readers behind it in.
//!
//! `sole.rs` has the state as long as one thread uses the lock at a time.

mod sole;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use self::sole::{Hold, Sole};
use super::holder::{self, Holder};
use crate::wait::observe::{self, Acquisition, Holders, Owned, Resource, ThreadNumber};
use crate::wait::sync::Arc;
use crate::wait::{
    self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, Wakes, generation,
};

/// How somebody holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Together with other readers.
    Read,
    /// Alone.
    Write,
}

/// Who only reads wants to write. It would wait for itself; and two of them would wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldsForReading;

/// The caller does not hold the lock in that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeld;

/// A lock for many readers or one writer. A holder may take it again, and a writer may also read.
pub struct RwLock {
    sole: Sole,
    /// The observer is told of each acquisition and release. Then the state stays under the leaf lock, so that what is done
    /// without that need not ask.
    is_followed: AtomicBool,
    state: Monitor<State>,
}

struct State {
    /// Who writes; zero: nobody.
    writer: Holder,
    /// How often the writer has taken the lock.
    writes: u64,
    /// Who reads, and how often each has taken the lock. The writer may be among them.
    readers: Vec<(Holder, u64)>,
    waiters: WaiterList<Request>,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

#[derive(Clone, Copy)]
struct Request {
    access: Access,
    holder: Holder,
}

impl RwLock {
    /// Creates a lock that nobody holds.
    pub fn new() -> Self {
        Self {
            sole: Sole::new(),
            is_followed: AtomicBool::new(false),
            state: Monitor::new(State {
                writer: 0,
                writes: 0,
                readers: Vec::new(),
                waiters: WaiterList::new(),
                generation: generation(),
            }),
        }
    }

    /// Does something with the whole state, under the leaf lock.
    fn with_state<R>(&self, work: impl FnOnce(&mut State, &mut Wakes) -> R) -> R {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        if let Some(hold) = self.sole.share() {
            state.adopt(&hold);
        }
        let result = work(state, wakes);
        if state.is_free() && !self.is_followed.load(Ordering::Relaxed) {
            self.sole.unshare();
        }
        result
    }

    /// From now on the observer is told of each acquisition and release, until [`observe::follow_locks`] turns that off.
    pub fn follow(&self) {
        self.is_followed.store(true, Ordering::Relaxed);
        self.with_state(|_, _| ());
    }

    #[cold]
    fn follows(&self) -> bool {
        let follows = observe::follows_locks();
        if !follows {
            self.is_followed.store(false, Ordering::Relaxed);
        }
        follows
    }

    /// Whether the observer is told of acquisitions and releases.
    #[inline]
    fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Relaxed) && self.follows()
    }

    /// How the holder has the lock.
    fn held(&self, holder: Holder) -> Option<Access> {
        self.with_state(|state, _| match state.writer == holder {
            true => Some(Access::Write),
            false => state.reads(holder).then_some(Access::Read),
        })
    }

    /// Does something to the lock in the thread of the holder, and tells the observer what has become of that thread's hold.
    #[cold]
    fn while_followed<R>(&self, holder: Holder, how: Acquisition, act: impl FnOnce() -> R) -> R {
        let before = self.held(holder);
        let result = act();
        self.tell_change(before, holder, how);
        result
    }

    fn tell_change(&self, before: Option<Access>, holder: Holder, how: Acquisition) {
        // A coroutine is no thread, and its hold may be left in another one.
        let after = self.held(holder);
        if before == after || holder::thread_of(holder).is_none() {
            return;
        }
        let lock = Resource::owned("RWLock", self);
        observe::tell_of_lock(|observer| {
            if before.is_some() {
                observer.leaves(lock.address);
            }
            if let Some(access) = after {
                // Who only reads from now on has not waited for that.
                let how = if before.is_some() {
                    Acquisition::Tried
                } else {
                    how
                };
                observer.enters(lock, access == Access::Write, how);
            }
        });
    }

    /// Tells the observer, if the lock is followed, that the calling thread, which has waited for it, holds it now.
    #[inline]
    pub fn acquired(&self, holder: Holder, how: Acquisition) {
        if self.is_followed() {
            self.tell_change(None, holder, how);
        }
    }

    /// Takes the lock if that is possible without waiting. Returns whether it did.
    ///
    /// # Errors
    /// [`HoldsForReading`].
    #[inline]
    pub fn try_acquire(&self, access: Access, holder: Holder) -> Result<bool, HoldsForReading> {
        self.begin_acquire(access, holder, || Acquisition::Tried)
    }

    /// The same. `how`: what the acquisition would do if the lock were not free.
    ///
    /// # Errors
    /// [`HoldsForReading`].
    #[inline]
    pub fn begin_acquire(
        &self,
        access: Access,
        holder: Holder,
        how: impl FnOnce() -> Acquisition,
    ) -> Result<bool, HoldsForReading> {
        match self.sole.acquire(access, holder) {
            Some(acquired) => acquired.map(|()| true),
            None => self.try_acquire_shared(Request { access, holder }, how),
        }
    }

    #[inline(never)]
    fn try_acquire_shared(
        &self,
        request: Request,
        how: impl FnOnce() -> Acquisition,
    ) -> Result<bool, HoldsForReading> {
        if self.is_followed() {
            return self.while_followed(request.holder, how(), || self.try_acquire_now(request));
        }
        self.try_acquire_now(request)
    }

    fn try_acquire_now(&self, request: Request) -> Result<bool, HoldsForReading> {
        self.with_state(|state, _| {
            if state.take(request) {
                return Ok(true);
            }
            state.check(request).map(|()| false)
        })
    }

    /// The operation that waits for the lock. The caller must have called [`RwLock::try_acquire`] before.
    pub fn acquire(&self, access: Access, holder: Holder) -> Acquire<&Self> {
        Acquire::new(self, access, holder)
    }

    /// Undoes one acquisition. A writer that also reads goes on to read.
    ///
    /// # Errors
    /// [`NotHeld`].
    #[inline]
    pub fn release(&self, access: Access, holder: Holder) -> Result<(), NotHeld> {
        match self.sole.release(access, holder) {
            Some(released) => released,
            None => self.release_shared(Request { access, holder }),
        }
    }

    #[inline(never)]
    fn release_shared(&self, request: Request) -> Result<(), NotHeld> {
        if self.is_followed() {
            let act = || self.release_now(request);
            return self.while_followed(request.holder, Acquisition::Tried, act);
        }
        self.release_now(request)
    }

    fn release_now(&self, request: Request) -> Result<(), NotHeld> {
        self.with_state(|state, wakes| state.release(request, wakes))
    }

    /// Makes one acquisition for writing one for reading. Nobody writes in between.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn downgrade(&self, holder: Holder) -> Result<(), NotHeld> {
        if self.sole.downgrade(holder) {
            return Ok(());
        }
        if self.is_followed() {
            let act = || self.downgrade_now(holder);
            return self.while_followed(holder, Acquisition::Tried, act);
        }
        self.downgrade_now(holder)
    }

    fn downgrade_now(&self, holder: Holder) -> Result<(), NotHeld> {
        self.with_state(|state, wakes| {
            if state.writer != holder {
                return Err(NotHeld);
            }
            state.add_reader(holder);
            let access = Access::Write;
            state.release(Request { access, holder }, wakes)
        })
    }

    /// Whether the holder, which is the caller, has the lock in this way.
    #[inline]
    pub fn is_held(&self, access: Access, holder: Holder) -> bool {
        match self.sole.is_held(access, holder) {
            Some(is_held) => is_held,
            None => self.with_state(|state, _| match access {
                Access::Read => state.reads(holder),
                Access::Write => state.writer == holder,
            }),
        }
    }

    /// Who writes, if anybody does.
    pub fn writer(&self) -> Option<Holder> {
        self.with_state(|state, _| Some(state.writer).filter(|writer| *writer != 0))
    }

    /// Who reads, and how often each has taken the lock.
    pub fn readers(&self) -> Vec<(Holder, u64)> {
        self.with_state(|state, _| state.readers.clone())
    }

    /// How many wait for the lock.
    pub fn waiting(&self) -> usize {
        self.with_state(|state, _| state.waiters.len())
    }

    /// Makes the lock free and without waiters, as if it were new: for a forked child.
    pub fn reset(&self) {
        self.with_state(|state, _| {
            state.writer = 0;
            state.writes = 0;
            state.readers.clear();
            while state.waiters.pop().is_some() {}
        });
    }
}

impl Default for RwLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RwLock {
    fn drop(&mut self) {
        if self.is_followed.load(Ordering::Relaxed) {
            let address = std::ptr::from_ref(self).addr();
            let holders = self.holders().map(|holders| holders.threads);
            observe::tell_of_lock(|observer| {
                observer.access_lock_gone(address, &holders.unwrap_or_default());
            });
        }
    }
}

impl Owned for RwLock {
    /// The writer, or one of the readers: a wait ends only when all of them have gone.
    fn owner(&self) -> Option<ThreadNumber> {
        let holder = self.with_state(|state, _| match (state.writer, state.readers.first()) {
            (0, Some((reader, _))) => *reader,
            (writer, _) => writer,
        });
        holder::thread_of(holder)
    }

    fn holders(&self) -> Option<Holders> {
        let (writer, readers, next) = self.with_state(|state, _| {
            let next = state.waiters.first().map(|request| request.holder);
            (state.writer, state.readers.clone(), next)
        });
        let threads: Option<Vec<_>> = if writer == 0 {
            let readers = readers.into_iter();
            readers
                .map(|(reader, _)| holder::thread_of(reader))
                .collect()
        } else {
            holder::thread_of(writer).map(|writer| vec![writer])
        };
        Some(Holders {
            is_exclusive: writer != 0,
            threads: threads.unwrap_or_default(),
            next: next.and_then(holder::thread_of),
            coroutine_is_next: next.is_some_and(|next| holder::thread_of(next).is_none()),
        })
    }
}

impl wait::State for State {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        self.waiters.forget_other_processes();
        // The parent's readers have left nothing half done. Its writer may have: then the lock stays locked, as a lock does
        // that another thread holds during a fork.
        self.readers
            .retain(|(holder, _)| !holder::is_of_parent(*holder));
    }
}

impl State {
    /// Takes over the state of a lock that had one holder.
    fn adopt(&mut self, hold: &Hold) {
        match hold.access {
            Access::Write => {
                self.writer = hold.holder;
                self.writes = hold.acquisitions;
            }
            // As in `begin_anew`.
            Access::Read if holder::is_of_parent(hold.holder) => {}
            Access::Read => self.readers.push((hold.holder, hold.acquisitions)),
        }
    }

    fn is_free(&self) -> bool {
        self.writer == 0 && self.readers.is_empty() && self.waiters.is_empty()
    }

    /// Whether the request may be granted, if nobody came before.
    fn allows(&self, request: Request) -> bool {
        let has_no_other_writer = self.writer == 0 || self.writer == request.holder;
        match request.access {
            Access::Read => has_no_other_writer,
            Access::Write => {
                self.writer == request.holder || (self.writer == 0 && self.readers.is_empty())
            }
        }
    }

    fn reads(&self, holder: Holder) -> bool {
        self.readers.iter().any(|(reader, _)| *reader == holder)
    }

    fn check(&self, request: Request) -> Result<(), HoldsForReading> {
        match request.access {
            Access::Write if self.reads(request.holder) => Err(HoldsForReading),
            _ => Ok(()),
        }
    }

    /// Grants a request that need not wait.
    #[inline]
    fn take(&mut self, request: Request) -> bool {
        let holds = self.writer == request.holder
            || (request.access == Access::Read && self.reads(request.holder));
        let may = holds || (self.allows(request) && self.waiters.is_empty());
        if may {
            self.grant(request);
        }
        may
    }

    fn grant(&mut self, request: Request) {
        match request.access {
            Access::Read => self.add_reader(request.holder),
            Access::Write => {
                self.writer = request.holder;
                self.writes += 1;
            }
        }
    }

    fn add_reader(&mut self, holder: Holder) {
        match self
            .readers
            .iter_mut()
            .find(|(reader, _)| *reader == holder)
        {
            Some((_, count)) => *count += 1,
            None => self.readers.push((holder, 1)),
        }
    }

    fn release(&mut self, request: Request, wakes: &mut Wakes) -> Result<(), NotHeld> {
        match request.access {
            Access::Read => {
                let holder = request.holder;
                let place = (self.readers.iter()).position(|(reader, _)| *reader == holder);
                let place = place.ok_or(NotHeld)?;
                self.readers[place].1 -= 1;
                if self.readers[place].1 == 0 {
                    self.readers.swap_remove(place);
                }
            }
            Access::Write => {
                if self.writer != request.holder {
                    return Err(NotHeld);
                }
                self.writes -= 1;
                if self.writes == 0 {
                    self.writer = 0;
                }
            }
        }
        self.admit(wakes);
        Ok(())
    }

    /// Hands the lock to those who wait, in their order, as far as that is possible now.
    fn admit(&mut self, wakes: &mut Wakes) {
        while !self.waiters.is_empty() {
            let (writer, has_readers) = (self.writer, !self.readers.is_empty());
            let admitted = self.waiters.pop_if(|request| match request.access {
                Access::Read => writer == 0,
                Access::Write => writer == 0 && !has_readers,
            });
            let Some((waiter, request)) = admitted else {
                return;
            };
            self.grant(request);
            wakes.push(waiter);
        }
    }
}

/// A wait for the lock.
///
/// `L`: a reference to the lock, or whatever else keeps it alive.
pub struct Acquire<L> {
    lock: L,
    request: Request,
    ticket: Ticket,
}

impl<L> Acquire<L> {
    /// The wait that has not begun.
    pub fn new(lock: L, access: Access, holder: Holder) -> Self {
        Self {
            lock,
            request: Request { access, holder },
            ticket: Ticket::next(),
        }
    }
}

impl<L: Deref<Target = RwLock>> Operation for Acquire<L> {
    type Output = Result<(), HoldsForReading>;

    const IS_CANCELLATION_POINT: bool = false;

    fn resource(&self) -> Resource {
        let what = match self.request.access {
            Access::Read => "read access to RWLock",
            Access::Write => "write access to RWLock",
        };
        Resource::owned(what, &*self.lock)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let (request, ticket) = (self.request, self.ticket);
        self.lock.with_state(|state, wakes| {
            if state.take(request) {
                return Some(Ok(()));
            }
            // It may have begun to read since: in a signal handler that ran in this wait.
            if let Err(refused) = state.check(request) {
                return Some(Err(refused));
            }
            // It may have been in the list before, ahead of those who are in it now.
            state.waiters.join(ticket, waiter, request);
            state.admit(wakes);
            (!state.waiters.contains(ticket)).then_some(Ok(()))
        })
    }

    fn leave(&mut self, parked: Parked) -> Option<Self::Output> {
        let ticket = self.ticket;
        self.lock.with_state(|state, wakes| {
            if state.waiters.leave(ticket).is_none() {
                return Some(Ok(()));
            }
            if parked != Parked::Unparked {
                // Those behind it may have waited only for it.
                state.admit(wakes);
            }
            None
        })
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        self.leave(Parked::Raising)?.ok()?;
        // This cannot fail: the lock was handed to this wait, and its thread has not run since.
        let _ = self.lock.release(self.request.access, self.request.holder);
        None
    }
}
