//! Scopes: parts of a program whose waits end together.
//!
//! A scope is entered by a thread, and covers what that thread does until it leaves the scope. Tasks that are started
//! inside may take it along to their threads. A scope is *cancelled* by a call, or because its deadline has passed. Then
//! the waits of all threads that are inside are ended, those that go on and those that begin later.
//!
//! Scopes are nested: each has the one that was entered before as its parent. What ends a scope ends all that are inside
//! of it, but for those behind a *shield*. This follows trio's cancel scopes (Nathaniel J. Smith, "Timeouts and
//! cancellation for humans", 2018).
//!
//! No wait is lost between the check and the sleep: a thread first registers its waiter in its scopes, then looks whether
//! one of them is cancelled, and then sleeps. Whoever cancels a scope first marks it, and then wakes what is registered.
//! There is no timer: each sleep ends at the earliest deadline of its scopes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::deadline::Deadline;
use super::sync::{Arc, AtomicU8, Mutex};
use super::threads::ThreadNumber;
use super::{Ticket, Waiter, generation};

/// A part of a program whose waits end together.
pub struct Scope {
    was_entered: AtomicBool,
    /// One: its waits are to end. It stays so.
    is_cancelled: AtomicU8,
    /// Whether it counts no longer, although a thread may not have left it.
    is_over: AtomicBool,
    /// The process that it was made in. In a forked child, it is none of the child's tasks'.
    generation: u32,
    /// How long code that handles its cancellation may wait.
    grace: Duration,
    state: Mutex<State>,
}

struct State {
    /// The scope that this one is inside of.
    parent: Option<Arc<Scope>>,
    /// It was entered by code that cleans up after these.
    cleans_up: Option<CleaningUp>,
    /// The process that the sleepers belong to.
    generation: u32,
    deadline: Deadline,
    is_shield: bool,
    /// The waiters of threads that sleep inside, in the order in which they came.
    sleepers: BTreeMap<Ticket, Arc<Waiter>>,
    /// Those of them that are to be woken, one after the other.
    to_wake: BTreeMap<Ticket, Arc<Waiter>>,
}

impl State {
    /// Forgets the threads of the parent of a fork, which would wake no others. They are leaked, as their parkers may have
    /// been in use.
    fn follow_forks(&mut self) {
        if self.generation != generation() {
            self.generation = generation();
            mem::forget(mem::take(&mut self.sleepers));
            mem::forget(mem::take(&mut self.to_wake));
        }
    }
}

/// How many threads are woken at a time.
const AT_A_TIME: usize = if cfg!(loom) {
    1
} else if cfg!(Py_GIL_DISABLED) {
    64
} else {
    2
};

/// What code is cleaning up after: it was told that scopes around it are cancelled, and handles that.
#[derive(Clone)]
pub struct CleaningUp {
    /// The innermost scope of the thread when it was told. This one and those around it do not end the waits of the code.
    pub innermost: Arc<Scope>,
    /// Until then.
    pub until: Deadline,
}

impl CleaningUp {
    /// Whether the code may wait, although that scope is cancelled.
    pub fn covers(&self, scope: &Arc<Scope>) -> bool {
        self.innermost.is_inside(scope)
    }
}

/// What is known of the scopes of a thread at one moment.
pub struct Look {
    /// Those that are cancelled, the innermost first.
    pub cancelled: Vec<Arc<Scope>>,
    /// The earliest deadline of the others.
    pub deadline: Deadline,
}

impl Scope {
    /// A scope that no thread has entered. `grace`: how long code that handles its cancellation may wait.
    pub fn new(deadline: Deadline, is_shield: bool, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            was_entered: AtomicBool::new(false),
            is_cancelled: AtomicU8::new(0),
            is_over: AtomicBool::new(false),
            generation: generation(),
            grace,
            state: Mutex::new(State {
                parent: None,
                cleans_up: None,
                generation: generation(),
                deadline,
                is_shield,
                sleepers: BTreeMap::new(),
                to_wake: BTreeMap::new(),
            }),
        })
    }

    /// Ends the waits inside. Returns whether it was not cancelled before.
    pub fn cancel(&self) -> bool {
        // Before the sleepers are read: a thread that registers later sees it.
        let is_first = self.is_cancelled.swap(1, Ordering::SeqCst) == 0;
        if is_first {
            self.wake();
        }
        is_first
    }

    /// Whether it was cancelled, by [`Scope::cancel`] or because a thread has seen that its deadline had passed.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst) != 0
    }

    /// Whether it was made in this process, and not in the parent of a fork.
    pub fn is_of_this_process(&self) -> bool {
        self.generation == generation()
    }

    /// How long code that handles its cancellation may wait.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// The moment at which it is cancelled.
    pub fn deadline(&self) -> Deadline {
        self.state.lock().deadline
    }

    /// Changes that moment. Threads that sleep inside look again.
    pub fn set_deadline(&self, deadline: Deadline) {
        self.state.lock().deadline = deadline;
        self.wake();
    }

    /// Whether the cancellation of the scopes around it does not reach what is inside.
    pub fn is_shield(&self) -> bool {
        self.state.lock().is_shield
    }

    /// Changes that. Threads that sleep inside look again.
    pub fn set_shield(&self, is_shield: bool) {
        self.state.lock().is_shield = is_shield;
        self.wake();
    }

    /// It is entered by code that cleans up, and so is what is inside of it: its tasks, for example.
    pub fn cleans_up(&self, after: CleaningUp) {
        self.state.lock().cleans_up = Some(after);
    }

    /// It counts no longer: a thread that has not left it is as if it had.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn parent(&self) -> Option<Arc<Self>> {
        self.state.lock().parent.clone()
    }

    /// Whether it is that scope, or inside of it.
    pub fn is_inside(&self, outer: &Arc<Self>) -> bool {
        std::ptr::eq(self, Arc::as_ptr(outer))
            || self.around().any(|scope| Arc::ptr_eq(&scope, outer))
    }

    /// The scopes around this one, from the inside to the outside.
    pub fn around(&self) -> impl Iterator<Item = Arc<Self>> {
        std::iter::successors(self.parent(), |scope| scope.parent())
    }

    /// Wakes all threads that sleep inside: the first of them here, and each wakes the next when it goes on. Thousands of
    /// threads that wait for the interpreter at the same time hinder each other.
    fn wake(&self) {
        let first: Vec<_> = {
            let mut state = self.state.lock();
            state.follow_forks();
            let sleepers = mem::take(&mut state.sleepers);
            state.to_wake.extend(sleepers);
            (0..AT_A_TIME)
                .map_while(|_| state.to_wake.pop_first())
                .collect()
        };
        for (_, waiter) in first {
            waiter.unpark();
        }
    }

    /// This scope and those around it that reach what is inside, from the inside to the outside.
    fn for_each(innermost: &Arc<Self>, mut act: impl FnMut(&Arc<Self>, &mut State)) {
        // The first is borrowed, and most have no other.
        let Some(mut next) = Self::visit(innermost, &mut act) else {
            return;
        };
        while let Some(outer) = Self::visit(&next, &mut act) {
            next = outer;
        }
    }

    /// Calls `act`. Returns the scope around this one, if it reaches what is inside of this one.
    fn visit(scope: &Arc<Self>, act: &mut impl FnMut(&Arc<Self>, &mut State)) -> Option<Arc<Self>> {
        let mut state = scope.state.lock();
        if !scope.is_over() {
            act(scope, &mut state);
            if state.is_shield {
                return None;
            }
        }
        state.parent.clone()
    }

    /// Looks at this scope, which is the innermost of a thread, and at those around it. A scope whose deadline
    /// has passed is cancelled.
    pub fn look(innermost: &Arc<Self>) -> Look {
        let mut found = Look {
            cancelled: Vec::new(),
            deadline: Deadline::NEVER,
        };
        let mut cleaning_up = Vec::new();
        Self::for_each(innermost, |scope, state| {
            if scope.is_cancelled() || state.deadline.has_passed() {
                found.cancelled.push(Arc::clone(scope));
            } else {
                found.deadline = found.deadline.earlier(state.deadline);
            }
            cleaning_up.extend(state.cleans_up.clone());
        });
        // Not above: these take the locks of scopes.
        for scope in &found.cancelled {
            scope.cancel();
        }
        for after in cleaning_up {
            found.pass_over(&after);
        }
        found
    }
}

impl Look {
    /// Passes over the cancelled scopes that the code is cleaning up after, until its time is over.
    fn pass_over(&mut self, after: &CleaningUp) {
        if !after.until.has_passed() {
            let before = self.cancelled.len();
            self.cancelled.retain(|scope| !after.covers(scope));
            if self.cancelled.len() < before {
                self.deadline = self.deadline.earlier(after.until);
            }
        }
    }
}

// loom's `Arc` cannot be taken apart.
#[cfg(not(loom))]
impl Drop for Scope {
    /// One after the other, and not one inside of the other: there may be many.
    fn drop(&mut self) {
        let mut next = self.state.get_mut().parent.take();
        while let Some(mut scope) = next.and_then(Arc::into_inner) {
            next = scope.state.get_mut().parent.take();
        }
    }
}

/// The waiter of a thread that is about to sleep, or sleeps. While this value lives, the waiter is woken when one of its
/// scopes is cancelled or changed.
pub struct Registration<'a> {
    scope: &'a Arc<Scope>,
    ticket: Ticket,
}

impl<'a> Registration<'a> {
    /// Registers the waiter in this scope, which is the innermost of the calling thread, and in those around it.
    pub fn new(scope: &'a Arc<Scope>, waiter: &Arc<Waiter>) -> Self {
        let ticket = Ticket::next();
        Scope::for_each(scope, |_, state| {
            state.follow_forks();
            state.sleepers.insert(ticket, Arc::clone(waiter));
        });
        Self { scope, ticket }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // All around it, also behind what has become a shield meanwhile.
        let mut next = Some(Arc::clone(self.scope));
        while let Some(scope) = next {
            let (removed, woken, parent) = {
                let mut state = scope.state.lock();
                let asleep = state.sleepers.remove(&self.ticket);
                let removed = asleep.or_else(|| state.to_wake.remove(&self.ticket));
                // It was woken by this scope or, before its turn, by something else.
                (removed, state.to_wake.pop_first(), state.parent.clone())
            };
            drop(removed);
            if let Some((_, waiter)) = woken {
                waiter.unpark();
            }
            next = parent;
        }
    }
}

/// What a thread does: the code that it began with, or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    thread: u32,
    number: u64,
}

impl Run {
    /// What it is told from others of its thread by. Zero: the code that the thread began with.
    pub fn number(self) -> u64 {
        self.number
    }
}

/// What is known of a thread.
struct ThreadScopes {
    /// The innermost scope that the thread is in.
    innermost: RefCell<Option<Arc<Scope>>>,
    /// What it does now, and the last number that was used for that.
    run: Cell<(u64, u64)>,
}

thread_local! {
    static HERE: ThreadScopes = const {
        ThreadScopes {
            innermost: RefCell::new(None),
            run: Cell::new((0, 0)),
        }
    };
}

/// The innermost scope that the calling thread is in.
#[inline]
pub fn current() -> Option<Arc<Scope>> {
    // It fails in a thread that is ending: that is in no scope.
    let innermost = HERE
        .try_with(|here| here.innermost.borrow().clone())
        .ok()
        .flatten()?;
    if innermost.is_over() {
        return forget(&innermost);
    }
    Some(innermost)
}

/// Leaves the scope, which its thread will not leave by itself, and all others of this kind. Returns the innermost then.
#[cold]
fn forget(over: &Arc<Scope>) -> Option<Arc<Scope>> {
    let left = over.around().find(|scope| !scope.is_over());
    drop(replace(left.clone()));
    left
}

/// Whether a scope that the calling thread is in is cancelled.
#[inline]
pub fn is_cancelled_here() -> bool {
    let look = |here: &ThreadScopes| match &*here.innermost.borrow() {
        None => false,
        Some(innermost) => !Scope::look(innermost).cancelled.is_empty(),
    };
    HERE.try_with(look).unwrap_or(false)
}

/// What the calling thread does now.
pub fn current_run() -> Run {
    Run {
        thread: ThreadNumber::current_or_zero(),
        number: HERE.try_with(|here| here.run.get().0).unwrap_or(0),
    }
}

fn replace(scope: Option<Arc<Scope>>) -> Option<Arc<Scope>> {
    HERE.try_with(|here| here.innermost.replace(scope))
        .unwrap_or(None)
}

/// The scope has been entered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered;

/// The calling thread enters the scope.
///
/// # Errors
/// [`Entered`]: a scope is entered once.
pub fn enter(scope: &Arc<Scope>) -> Result<(), Entered> {
    if scope.was_entered.swap(true, Ordering::Relaxed) {
        return Err(Entered);
    }
    scope.state.lock().parent = current();
    drop(replace(Some(Arc::clone(scope))));
    Ok(())
}

/// How a thread has left a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was the innermost.
    Innermost,
    /// The thread is still in a scope that was entered later.
    OutOfOrder,
    /// The thread was not in it.
    NotInside,
}

/// The calling thread leaves the scope.
pub fn leave(scope: &Arc<Scope>) -> Left {
    let Some(innermost) = current() else {
        return Left::NotInside;
    };
    if Arc::ptr_eq(&innermost, scope) {
        drop(replace(scope.parent()));
        return Left::Innermost;
    }
    let mut inner = innermost;
    while let Some(outer) = inner.parent() {
        if Arc::ptr_eq(&outer, scope) {
            let around = scope.parent();
            let left = std::mem::replace(&mut inner.state.lock().parent, around);
            drop(left);
            return Left::OutOfOrder;
        }
        inner = outer;
    }
    Left::NotInside
}

/// While this value lives, the calling thread does something else, in other scopes.
pub struct Inside {
    before: Option<Arc<Scope>>,
    run_before: u64,
}

impl Inside {
    /// Begins a task inside this scope and those around it; or in no scope at all.
    pub fn new(scope: Option<Arc<Scope>>) -> Self {
        let begin = |here: &ThreadScopes| {
            let (before, last) = here.run.get();
            here.run.set((last + 1, last + 1));
            (here.innermost.replace(scope), before)
        };
        let (before, run_before) = HERE.try_with(begin).unwrap_or((None, 0));
        Self { before, run_before }
    }

    /// Begins something that belongs to no scope. `None`: the thread is in none.
    #[inline]
    pub fn none() -> Option<Self> {
        let is_in_any = HERE.try_with(|here| here.innermost.borrow().is_some());
        is_in_any.unwrap_or(false).then(|| Self::new(None))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let before = self.before.take();
        let end = |here: &ThreadScopes| {
            let (_, last) = here.run.get();
            here.run.set((self.run_before, last));
            // Whatever the task has entered and not left is gone.
            here.innermost.replace(before)
        };
        drop(HERE.try_with(end).ok());
    }
}
