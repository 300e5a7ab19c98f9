//! The tasks of a group: which of them have not begun, which run, and a wait until all have ended.

use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;

use crate::wait::observe::Resource;
use crate::wait::sync::Arc;
use crate::wait::{self, Monitor, Operation, Parked, Ticket, Waiter, WaiterList, generation};

/// Where a task stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    index: usize,
    /// The number of the task: a place is used again.
    number: u64,
    /// The process that it belongs to. In a forked child, the group has no tasks of the parent.
    generation: u32,
}

enum Slot<P, R> {
    Free,
    /// It has not begun. Without a payload: that is not known yet, or was taken.
    Pending(Option<P>),
    Running(R),
}

/// The tasks of a group. `P`: what the group keeps of a task that has not begun. `R`: what it keeps of one that runs.
pub struct TaskGroup<P, R> {
    state: Monitor<State<P, R>>,
}

struct State<P, R> {
    /// With the numbers of the tasks.
    slots: Vec<(u64, Slot<P, R>)>,
    /// The number of the last task.
    last: u64,
    /// The indices of the slots that are free.
    free: Vec<usize>,
    /// All slots before this one have no payload that could be taken.
    searched: usize,
    unfinished: usize,
    /// Whether no task can be added any more.
    is_closed: bool,
    /// The payload says whether the thread runs tasks that have not begun.
    waiters: WaiterList<bool>,
    /// The generation of the process that this state belongs to.
    generation: u32,
}

impl<P, R> TaskGroup<P, R> {
    /// A group without tasks.
    pub fn new() -> Self {
        Self {
            state: Monitor::new(State {
                slots: Vec::new(),
                last: 0,
                free: Vec::new(),
                searched: 0,
                unfinished: 0,
                is_closed: false,
                waiters: WaiterList::new(),
                generation: generation(),
            }),
        }
    }

    /// Adds a task that has not begun. `None`: the group is closed, because a [wait](Self::wait) has found that all tasks
    /// had ended.
    pub fn add(&self) -> Option<Place> {
        let mut state = self.state.enter();
        let state = &mut *state;
        if state.is_closed {
            return None;
        }
        state.unfinished += 1;
        state.last += 1;
        let added = (state.last, Slot::Pending(None));
        let index = match state.free.pop() {
            Some(index) => {
                state.slots[index] = added;
                index
            }
            None => {
                state.slots.push(added);
                state.slots.len() - 1
            }
        };
        Some(Place {
            index,
            number: state.last,
            generation: state.generation,
        })
    }

    /// What to keep of the task until it begins. Returns it if the task has begun already, or has ended.
    pub fn keep(&self, place: Place, pending: P) -> Option<P> {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        match state.slot(place) {
            Some(Slot::Pending(kept @ None)) => {
                *kept = Some(pending);
                state.searched = state.searched.min(place.index);
                state
                    .waiters
                    .wake_in_place_where(wakes, true, |helps| *helps);
                None
            }
            _ => Some(pending),
        }
    }

    /// The task begins. Returns what was kept of it.
    ///
    /// # Errors
    /// What runs, if the task was [withdrawn](Self::withdraw).
    pub fn begin(&self, place: Place, running: R) -> Result<Option<P>, R> {
        let mut state = self.state.enter();
        match state.slot(place) {
            Some(slot @ Slot::Pending(_)) => match mem::replace(slot, Slot::Running(running)) {
                Slot::Pending(kept) => Ok(kept),
                Slot::Free | Slot::Running(_) => Ok(None), // cannot be
            },
            _ => Err(running),
        }
    }

    /// The task is not to begin any more. Without an effect if it has begun. Returns what was kept of it, for the caller to
    /// drop.
    pub fn withdraw(&self, place: Place) -> Option<P> {
        self.remove(place, false).0
    }

    /// The task has ended, whether it had begun or not. Returns what was kept of it, for the caller to drop.
    pub fn end(&self, place: Place) -> (Option<P>, Option<R>) {
        self.remove(place, true)
    }

    fn remove(&self, place: Place, also_running: bool) -> (Option<P>, Option<R>) {
        let mut entered = self.state.enter();
        let (state, wakes) = entered.parts();
        let Some(slot) = state.slot(place) else {
            return (None, None);
        };
        if matches!(slot, Slot::Running(_)) && !also_running {
            return (None, None);
        }
        let kept = match mem::replace(slot, Slot::Free) {
            Slot::Pending(pending) => (pending, None),
            Slot::Running(running) => (None, Some(running)),
            Slot::Free => return (None, None),
        };
        state.free.push(place.index);
        state.unfinished -= 1;
        if state.unfinished == 0 {
            state.slots.clear();
            state.free.clear();
            state.searched = 0;
            state.waiters.drain(wakes);
        }
        kept
    }

    /// Takes what is kept of a task that has not begun: of each only once.
    pub fn take_pending(&self) -> Option<P> {
        let mut state = self.state.enter();
        match &mut state.next_pending()?.1 {
            Slot::Pending(kept) => kept.take(),
            Slot::Free | Slot::Running(_) => None,
        }
    }

    /// How many tasks have not ended, and how many of them run.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.enter();
        let running = |(_, slot): &&(u64, Slot<P, R>)| matches!(slot, Slot::Running(_));
        (state.unfinished, state.slots.iter().filter(running).count())
    }

    /// Calls `look` with what is kept of each task, under the leaf lock.
    pub fn for_each(&self, mut look: impl FnMut(Option<&P>, Option<&R>)) {
        for (_, slot) in &self.state.enter_unchecked().slots {
            match slot {
                Slot::Free => {}
                Slot::Pending(kept) => look(kept.as_ref(), None),
                Slot::Running(running) => look(None, Some(running)),
            }
        }
    }

    /// The operation that waits until all tasks have ended; or, if the thread `helps`, until there is one that has not
    /// begun, and of which something is kept.
    pub fn wait(&self, helps: bool) -> WaitEnded<&Self, P, R> {
        WaitEnded {
            group: self,
            helps,
            ticket: Ticket::next(),
            of: PhantomData,
        }
    }
}

impl<P, R> Default for TaskGroup<P, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P, R> State<P, R> {
    /// The first slot of a task that has not begun, and of which something is kept.
    fn next_pending(&mut self) -> Option<&mut (u64, Slot<P, R>)> {
        let rest = self.slots.get(self.searched..)?;
        let found = (rest.iter()).position(|(_, slot)| matches!(slot, Slot::Pending(Some(_))));
        self.searched += found.unwrap_or(rest.len());
        self.slots.get_mut(self.searched)
    }

    /// Whether all tasks have ended. Then the group is closed.
    fn close_if_ended(&mut self) -> bool {
        self.is_closed |= self.unfinished == 0;
        self.is_closed
    }

    fn slot(&mut self, place: Place) -> Option<&mut Slot<P, R>> {
        let (number, slot) = self.slots.get_mut(place.index)?;
        // In a forked child, the places are those of other tasks.
        (*number == place.number && place.generation == self.generation).then_some(slot)
    }
}

impl<P, R> wait::State for State<P, R> {
    fn generation(&mut self) -> &mut u32 {
        &mut self.generation
    }

    fn begin_anew(&mut self) {
        // The threads of the tasks exist only in the parent. What was kept of them is leaked: to drop it would run foreign
        // code under the leaf lock.
        mem::forget(mem::take(&mut self.slots));
        self.free.clear();
        self.searched = 0;
        self.unfinished = 0;
        self.waiters.forget_other_processes();
    }
}

/// Why a wait for the tasks of a group is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// All tasks have ended.
    Ended,
    /// There is a task that the thread can run itself.
    Pending,
}

/// A thread's wait until all tasks of a group have ended.
pub struct WaitEnded<G, P, R> {
    group: G,
    helps: bool,
    ticket: Ticket,
    of: PhantomData<fn() -> (P, R)>,
}

impl<P, R, G: Deref<Target = TaskGroup<P, R>>> Operation for WaitEnded<G, P, R> {
    type Output = Awaited;

    fn resource(&self) -> Resource {
        Resource::new("TaskGroup", &*self.group)
    }

    fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Awaited> {
        let mut state = self.group.state.enter();
        if state.close_if_ended() {
            return Some(Awaited::Ended);
        }
        if self.helps && state.next_pending().is_some() {
            return Some(Awaited::Pending);
        }
        state.waiters.join(self.ticket, waiter, self.helps);
        None
    }

    fn leave(&mut self, _parked: Parked) -> Option<Awaited> {
        let mut state = self.group.state.enter();
        match state.waiters.leave(self.ticket) {
            Some(_) => None,
            // A thread may have added a task since this one was woken. Then it waits on.
            None => state.close_if_ended().then_some(Awaited::Ended),
        }
    }

    #[cold]
    fn abandon(&mut self) -> Option<Awaited> {
        // This wait takes nothing from other threads.
        self.leave(Parked::Raising)
    }
}
