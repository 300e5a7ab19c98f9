//! A flag that threads wait for.

use std::ops::Deref;

use super::FellBack;
use crate::wait::observe::Resource;
use crate::wait::sync::{Arc, Flagged, FlaggedGuard, Ordering};
use crate::wait::{Operation, Parked, Ticket, Waiter, WaiterList, Wakes};

const SET: u8 = 1;
/// New waits go elsewhere: see [`Event::fall_back`].
const FELL_BACK: u8 = 2;

/// See [`Event::set_no_spin`].
const NO_SPIN: u8 = 4;

/// There is, or was, a watcher: see [`Event::watch`].
const WATCHED: u8 = 8;

/// A flag, clear at first.
pub struct Event {
    waiters: Flagged<Waiters>,
}

struct Waiters {
    list: WaiterList,
    /// Counts the calls of `set`. A waiter that was interrupted, and so was in no list for a while, learns
    /// from it that a `set` came in the meantime, even if the flag is clear again.
    sets: u32,
}

impl Event {
    /// Creates a clear flag.
    pub fn new() -> Self {
        Self {
            waiters: Flagged::new(Waiters {
                list: WaiterList::new(),
                sets: 0,
            }),
        }
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & SET != 0
    }

    /// Whether the flag is set.
    ///
    /// # Errors
    /// [`FellBack`]: another implementation has the flag.
    #[inline]
    pub fn state(&self) -> Result<bool, FellBack> {
        let flags = self.waiters.flags().load(Ordering::Acquire);
        if flags & SET != 0 {
            Ok(true)
        } else if flags & FELL_BACK != 0 {
            Err(FellBack)
        } else {
            Ok(false)
        }
    }

    /// Sets the flag and completes every wait that has begun.
    ///
    /// # Errors
    /// [`FellBack`], and nothing is changed: the caller must set the flag of the other implementation, for
    /// the waits there.
    #[inline]
    pub fn set(&self) -> Result<(), FellBack> {
        let waiters = self.waiters.lock();
        if self.has_fallen_back() {
            return Err(FellBack);
        }
        self.set_flag(waiters);
        Ok(())
    }

    /// Clears the flag. Completed waits stay completed.
    ///
    /// # Errors
    /// [`FellBack`], and nothing is changed.
    #[inline]
    pub fn clear(&self) -> Result<(), FellBack> {
        // Under the leaf lock, so that no `set` is half done.
        let waiters = self.waiters.lock();
        if self.has_fallen_back() {
            return Err(FellBack);
        }
        let before = self.waiters.flags().fetch_and(!SET, Ordering::Release);
        if before & WATCHED != 0 {
            waiters.list.tell(false);
        }
        Ok(())
    }

    /// From now on `watcher` is told ([`Wake::tell`](crate::wait::Wake::tell)) whether the flag is set, until
    /// [`Event::unwatch`] with the same ticket, which is one of [`Ticket::last`]. It must refuse to be claimed. In a forked
    /// child it is forgotten. If the event falls back, the watcher is told that it is set, and nothing more.
    ///
    /// # Errors
    /// [`FellBack`].
    pub fn watch(&self, ticket: Ticket, watcher: &Arc<Waiter>) -> Result<(), FellBack> {
        let mut waiters = self.waiters.lock();
        if self.has_fallen_back() {
            return Err(FellBack);
        }
        self.waiters.flags().fetch_or(WATCHED, Ordering::Relaxed);
        waiters.list.join(ticket, watcher, ());
        waiters.list.tell(self.is_set());
        Ok(())
    }

    /// Ends what [`Event::watch`] began.
    pub fn unwatch(&self, ticket: Ticket) {
        self.waiters.lock().list.leave(ticket);
    }

    /// Completes the waits that had begun here before the event fell back: the flag of the other
    /// implementation was set.
    pub fn complete_former_waits(&self) {
        Self::complete_waits(self.waiters.lock());
    }

    #[inline]
    fn set_flag(&self, waiters: FlaggedGuard<'_, Waiters>) {
        self.waiters.flags().fetch_or(SET, Ordering::Release);
        Self::complete_waits(waiters);
    }

    #[inline]
    fn complete_waits(mut waiters: FlaggedGuard<'_, Waiters>) {
        waiters.sets = waiters.sets.wrapping_add(1);
        if waiters.list.is_empty() {
            return;
        }
        let mut wakes = Wakes::new();
        waiters.list.drain(&mut wakes);
        // What is left watches, or waits for several objects and has one of them.
        waiters.list.tell(true);
        drop(waiters);
        wakes.wake();
    }

    /// Gives the event up to another implementation: later operations end as [`FellBack`]. Returns whether
    /// the flag was set; it is clear here from now on. `None` if the event had fallen back before.
    ///
    /// The waits that had begun stay here until that implementation [completes
    /// them](Event::complete_former_waits). If they moved, they would miss a `set` that is cleared again
    /// immediately.
    pub fn fall_back(&self) -> Option<bool> {
        let waiters = self.waiters.lock();
        let flags = self.waiters.flags().fetch_or(FELL_BACK, Ordering::Release);
        self.waiters.flags().fetch_and(!SET, Ordering::Release);
        // From now on, only the other implementation knows.
        waiters.list.tell(true);
        (flags & FELL_BACK == 0).then_some(flags & SET != 0)
    }

    /// Whether [`Event::fall_back`] was called.
    #[inline]
    pub fn has_fallen_back(&self) -> bool {
        self.waiters.flags().load(Ordering::Acquire) & FELL_BACK != 0
    }

    /// Notes that the flag will be set late, so a spin before the sleep would be useless.
    pub fn set_no_spin(&self) {
        self.waiters.flags().fetch_or(NO_SPIN, Ordering::Relaxed);
    }

    /// Whether [`Event::set_no_spin`] was called.
    pub fn has_no_spin(&self) -> bool {
        self.waiters.flags().load(Ordering::Relaxed) & NO_SPIN != 0
    }

    /// The operation that waits for the flag.
    pub fn wait(&self) -> WaitSet<&Self> {
        WaitSet::new(self)
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's wait for the flag.
///
/// `E`: a reference to the event, or whatever else keeps it alive.
pub struct WaitSet<E> {
    event: E,
    ticket: Ticket,
    /// How often the event had been set when the wait last joined the list; `None`: it has not joined yet.
    sets: Option<u32>,
}

impl<E> WaitSet<E> {
    /// The wait that has not begun.
    pub fn new(event: E) -> Self {
        Self {
            event,
            ticket: Ticket::next(),
            sets: None,
        }
    }
}

impl<E: Deref<Target = Event>> Operation for WaitSet<E> {
    type Output = Result<(), FellBack>;

    fn resource(&self) -> Resource {
        Resource::new("Event", &*self.event)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Self::Output> {
        let mut waiters = self.event.waiters.lock();
        if self.event.is_set() || self.sets.is_some_and(|sets| sets != waiters.sets) {
            return Some(Ok(()));
        }
        if self.sets.is_none() && self.event.has_fallen_back() {
            return Some(Err(FellBack));
        }
        self.sets = Some(waiters.sets);
        waiters.list.join(self.ticket, waiter, ());
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Self::Output> {
        match self.event.waiters.lock().list.leave(self.ticket) {
            Some(()) => None,
            None => Some(Ok(())),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Self::Output> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
