//! The names in code objects: copied, so that they can be shown without the interpreter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::diagnostics::sleepers::Frame;
use crate::wait::PerProcess;

/// The most code objects whose names are remembered.
const MOST_CODES: usize = 10_000;

/// The names of a code object: its file, and its function.
type Names = (Arc<str>, Arc<str>);

/// The names of code objects, by their addresses. The objects are kept, so that no other gets such an address.
type Codes = HashMap<usize, (Py<PyAny>, Names)>;

fn codes() -> MutexGuard<'static, Codes> {
    static CODES: PerProcess<Mutex<Codes>> = PerProcess::new();
    let codes = CODES.get(Mutex::default).lock();
    codes.unwrap_or_else(PoisonError::into_inner)
}

/// The file and the first line of the code object. `None`: it is no code object.
pub(crate) fn place(code: &Bound<'_, PyAny>) -> Option<(Arc<str>, u32)> {
    let ((file, _), _) = find_names(code)?;
    let line = code.getattr("co_firstlineno").ok()?.extract().ok()?;
    Some((file, line))
}

/// The names of the code object, and whether it is kept, so that no other gets its address. `None` if they are no text.
fn find_names(code: &Bound<'_, PyAny>) -> Option<(Names, bool)> {
    let address = code.as_ptr().addr();
    if let Some((_, names)) = codes().get(&address) {
        return Some((names.clone(), true));
    }
    let text = |name: &str| code.getattr(name).ok()?.extract::<String>().ok();
    let names: Names = (text("co_filename")?.into(), text("co_name")?.into());
    let kept = code.clone().unbind();
    let mut codes = codes();
    if codes.len() < MOST_CODES {
        // A code object that is there already is the same, so nothing of Python is dropped under the lock.
        codes.entry(address).or_insert((kept, names.clone()));
        return Some((names, true));
    }
    Some((names, false))
}

/// The most places in code that a thread remembers.
const MOST_PLACES: usize = 512;

/// Mixes addresses and offsets: a stronger hash would take longer than all else.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = (self.0.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, part: usize) {
        self.write_u64(part as u64);
    }

    fn write_i32(&mut self, part: i32) {
        self.write_u64(u64::from(part.cast_unsigned()));
    }
}

/// Places in code, by the address of the code object and the offset of the instruction.
type Places = HashMap<(usize, i32), Frame, BuildHasherDefault<Mixer>>;

thread_local! {
    /// The places where this thread was before. Mostly it waits at the same ones.
    static PLACES: RefCell<Places> = RefCell::default();
}

/// The place in this code object at this offset. `line` is asked for the line if this thread has not been there. `None`:
/// the names are no text.
pub(crate) fn frame(
    code: &Bound<'_, PyAny>,
    offset: i32,
    line: impl FnOnce() -> i32,
) -> Option<Frame> {
    let key = (code.as_ptr().addr(), offset);
    // Without a cache, if the thread is ending.
    let known = PLACES.try_with(|places| places.borrow().get(&key).cloned());
    if let Ok(Some(frame)) = known {
        return Some(frame);
    }
    let ((file, function), is_kept) = find_names(code)?;
    let frame = Frame {
        file,
        function,
        line: u32::try_from(line()).unwrap_or(0),
    };
    if is_kept {
        let _ = PLACES.try_with(|places| {
            let mut places = places.borrow_mut();
            if places.len() >= MOST_PLACES {
                places.clear();
            }
            places.insert(key, frame.clone());
        });
    }
    Some(frame)
}

/// The functions that the calling thread is in, the innermost first, as long as their code `belongs`.
pub(crate) fn frames(
    py: Python<'_>,
    deepest: usize,
    belongs: impl Fn(&Bound<'_, PyAny>) -> bool,
) -> Vec<Frame> {
    let mut frames = Vec::new();
    // SAFETY: attached; it returns a borrowed reference, or null if no Python function runs.
    let innermost = unsafe { ffi::PyEval_GetFrame() };
    // SAFETY: attached; the frame is alive, because it runs.
    let mut next = unsafe { Bound::from_borrowed_ptr_or_opt(py, innermost.cast()) };
    while let Some(frame) = next
        && frames.len() < deepest
    {
        let pointer = frame.as_ptr().cast();
        // SAFETY: attached, and it is a frame.
        let offset = unsafe { ffi::PyFrame_GetLasti(pointer) };
        // SAFETY: attached, and it is a frame.
        let line = || unsafe { ffi::PyFrame_GetLineNumber(pointer) };
        // SAFETY: attached, and it is a frame.
        let code = unsafe { ffi::PyFrame_GetCode(pointer) };
        // SAFETY: attached; it is a new reference, and never null.
        let code = unsafe { Bound::from_owned_ptr(py, code.cast()) };
        if !belongs(&code) {
            break;
        }
        frames.extend(self::frame(&code, offset, line));
        // SAFETY: attached, and it is a frame.
        let back = unsafe { ffi::PyFrame_GetBack(pointer) };
        // SAFETY: attached; it is a new reference, or null.
        next = unsafe { Bound::from_owned_ptr_or_opt(py, back.cast()) };
    }
    frames
}
