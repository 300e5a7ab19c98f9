//! Memory for the Python frames of a thread, which the next thread uses again.
//!
//! A thread keeps its Python frames in chunks of 16 KiB. The interpreter asks its arena allocator for the first of them
//! in the thread's first call of a Python function, and gives it back when the thread ends. The standard allocator maps
//! it, and unmaps it. Unmapping is slow in a process with several threads, because every processor that runs one of
//! them has to be told; the first use of each new page is slow too. Together that is a third to a half of the time in
//! which a thread is started and joined. So the last chunks that were given back are kept here.
//!
//! A recursion that goes back and forth between two chunks is faster for the same reason.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

/// What the interpreter asks for at first (`DATA_STACK_CHUNK_SIZE`). A thread with deep recursion asks for larger
/// chunks; those are not kept. Arenas for objects are larger, too.
const CHUNK: usize = 16 * 1024;

/// Maximum number of chunks that are kept: 512 KiB.
const KEPT_AT_MOST: usize = 32;

/// The chunks. Each operation is one atomic step on one of them: there is no lock that a fork could find locked.
static KEPT: [AtomicPtr<c_void>; KEPT_AT_MOST] =
    [const { AtomicPtr::new(ptr::null_mut()) }; KEPT_AT_MOST];

/// The allocator that was there before.
struct Former(ffi::PyObjectArenaAllocator);

// SAFETY: it is only read after it was stored. Its functions may be called in any thread: the interpreter did so.
unsafe impl Send for Former {}
// SAFETY: as above.
unsafe impl Sync for Former {}

static FORMER: OnceLock<Former> = OnceLock::new();

fn former() -> &'static ffi::PyObjectArenaAllocator {
    // It is stored before the interpreter knows of the functions here.
    &FORMER
        .get()
        .expect("the former allocator is stored first")
        .0
}

extern "C" fn allocate(_context: *mut c_void, size: usize) -> *mut c_void {
    if size == CHUNK {
        for place in &KEPT {
            if place.load(Ordering::Relaxed).is_null() {
                continue;
            }
            // Acquire, and Release below: the thread that gave the chunk back has written to it.
            let chunk = place.swap(ptr::null_mut(), Ordering::Acquire);
            if !chunk.is_null() {
                return chunk;
            }
        }
    }
    let former = former();
    former
        .alloc
        .map_or(ptr::null_mut(), |allocate| allocate(former.ctx, size))
}

extern "C" fn free(_context: *mut c_void, memory: *mut c_void, size: usize) {
    if size == CHUNK {
        for place in &KEPT {
            let kept = place.compare_exchange(
                ptr::null_mut(),
                memory,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if kept.is_ok() {
                return;
            }
        }
    }
    let former = former();
    if let Some(free) = former.free {
        free(former.ctx, memory, size);
    }
}

/// Keeps chunks from now on. Without a GIL this is not done: another thread may be using the allocator at this moment,
/// and the interpreter replaces it in several steps. There, other things take most of the time.
pub(crate) fn keep(_py: Python<'_>) {
    if cfg!(Py_GIL_DISABLED) || FORMER.get().is_some() {
        return;
    }
    let mut found = ffi::PyObjectArenaAllocator {
        ctx: ptr::null_mut(),
        alloc: None,
        free: None,
    };
    // SAFETY: attached, as `_py` shows; the function writes to a structure that is ours.
    unsafe { ffi::PyObject_GetArenaAllocator(&raw mut found) };
    if found.alloc.is_none() || found.free.is_none() || FORMER.set(Former(found)).is_err() {
        return;
    }
    let mut ours = ffi::PyObjectArenaAllocator {
        ctx: ptr::null_mut(),
        alloc: Some(allocate),
        free: Some(free),
    };
    // SAFETY: attached, and with a GIL, so no other thread of this interpreter uses the allocator now. (One of an
    // interpreter with a GIL of its own may: the standard allocator ignores its context, and so does this one, so that it
    // may read the two of different allocators.) The functions may be called at any time from now on, in any thread: they
    // need nothing but statics, and call the former allocator in the same circumstances in which the interpreter would.
    // This library is never unloaded. What the former allocator has given may be freed by ours, which passes it on or
    // keeps it.
    unsafe { ffi::PyObject_SetArenaAllocator(&raw mut ours) };
}
