//! What a `fork()` does to waits: the generation of a process.

#[cfg(unix)]
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::Waiter;
#[cfg(unix)]
use super::threads;

/// The number of forks that led to this process. A waiter of another generation belongs to a thread of the
/// parent, which does not exist here.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Returns the generation of this process.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// A value that each process has of its own. In a forked child it is made anew, and that of the parent is never touched
/// again: another thread of the parent may have been about to change it at the fork.
pub struct PerProcess<T: 'static>(AtomicPtr<(u32, T)>);

impl<T: Send + Sync> PerProcess<T> {
    /// No value is made yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process; `make` makes it. It is never freed.
    pub fn get(&self, make: impl FnOnce() -> T) -> &'static T {
        let seen = self.0.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or comes from `Box::into_raw` below. What is stored here is never freed.
        if let Some((made_in, value)) = unsafe { seen.as_ref() }
            && *made_in == generation()
        {
            return value;
        }
        let made = Box::into_raw(Box::new((generation(), make())));
        let stored = self
            .0
            .compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire);
        let stored = match stored {
            Ok(_) => made,
            Err(other) => {
                // SAFETY: it was made above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(made) });
                // Another thread of this process has made it at the same time.
                other
            }
        };
        // SAFETY: as above; and it is not null.
        unsafe { &(*stored).1 }
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes every later `fork()` begin a new generation in the child, before any other code runs there.
#[cfg(unix)]
pub fn follow_forks() {
    extern "C" fn begin_generation() {
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        threads::begin_anew();
        // The forking thread is the one that exists in the child, so its waiters belong to the child.
        let mut frame = QUEUED.get();
        // SAFETY: the pointer is null, or points to a frame of `while_queued` further down this thread's own
        // stack, which the child has at the same address. `Queued::drop` takes the frame out of the chain
        // before the frame ends.
        while let Some(queued) = unsafe { frame.as_ref() } {
            // SAFETY: `queued` borrows the waiter for as long as its frame is in the chain.
            let waiter = unsafe { &*queued.waiter };
            waiter.belong_to(generation);
            frame = queued.outer;
        }
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler lives as long as the program, because an extension module is never unloaded. It
        // takes no lock: it uses atomics and a thread-local cell without a destructor. The C library may
        // allocate for that cell when a thread first uses it. It can do so here: it runs these handlers after
        // it has put its allocator in order (`__libc_fork` in glibc).
        let status = unsafe { libc::pthread_atfork(None, None, Some(begin_generation)) };
        assert_eq!(status, 0, "pthread_atfork: out of memory");
    });
}

#[cfg(unix)]
thread_local! {
    /// The innermost wait of this thread that stays in its list while foreign code runs.
    static QUEUED: Cell<*const Queued> = const { Cell::new(ptr::null()) };
}

/// A waiter that stays in a list while its own thread runs other code.
#[cfg(unix)]
struct Queued {
    waiter: *const Waiter,
    outer: *const Queued,
}

#[cfg(unix)]
impl Drop for Queued {
    fn drop(&mut self) {
        QUEUED.set(self.outer);
    }
}

/// Runs foreign code (signal handlers) while the waiter of this thread stays in its list. If the code forks,
/// the waiter belongs to the child as well as to the parent.
#[cfg(unix)]
pub fn while_queued<R>(waiter: &Waiter, code: impl FnOnce() -> R) -> R {
    let queued = Queued {
        waiter: ptr::from_ref(waiter),
        outer: QUEUED.get(),
    };
    QUEUED.set(&raw const queued);
    code()
}

/// Does nothing: this platform has no `fork()`.
#[cfg(not(unix))]
pub fn follow_forks() {}

/// Runs foreign code (signal handlers) while the waiter of this thread stays in its list.
#[cfg(not(unix))]
pub fn while_queued<R>(_waiter: &Waiter, code: impl FnOnce() -> R) -> R {
    code()
}
