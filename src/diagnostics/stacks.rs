//! Stacks of functions, each with a number, so that what refers to one is small.

use std::collections::HashMap;
use std::sync::Arc;

use super::place::Frame;

/// The number of the stack that stands for none.
pub const NO_STACK: u32 = 0;

/// The texts of one code object are always the same objects.
fn identity(frame: &Frame) -> (usize, usize, u32) {
    let address = |text: &Arc<str>| Arc::as_ptr(text).cast::<u8>().addr();
    (address(&frame.file), address(&frame.function), frame.line)
}

/// Two stacks are the same if their functions have the same code.
fn are_same(one: &[Frame], other: &[Frame]) -> bool {
    one.iter().map(identity).eq(other.iter().map(identity))
}

fn hash(frames: &[Frame]) -> u64 {
    let mix = |sum: u64, part: usize| {
        (sum.rotate_left(5) ^ part as u64).wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    frames
        .iter()
        .map(identity)
        .fold(0, |sum, (_, name, line)| mix(mix(sum, name), line as usize))
}

/// The functions that threads were in, the innermost first, by their numbers. The first stack is none.
pub struct Stacks {
    by_number: Vec<Arc<[Frame]>>,
    /// By the hash of the stack, or the next number that was free.
    numbers: HashMap<u64, u32>,
    most: usize,
}

impl Stacks {
    /// Room for this many.
    pub fn new(most: usize) -> Self {
        Self {
            by_number: vec![Arc::from([])],
            numbers: HashMap::new(),
            most,
        }
    }

    /// The number of the stack. [`NO_STACK`] if there is no room for another.
    pub fn number(&mut self, frames: &[Frame]) -> u32 {
        if frames.is_empty() {
            return NO_STACK;
        }
        let mut key = hash(frames);
        while let Some(number) = self.numbers.get(&key) {
            if are_same(&self.by_number[*number as usize], frames) {
                return *number;
            }
            key = key.wrapping_add(1);
        }
        if self.by_number.len() > self.most {
            return NO_STACK;
        }
        let number = u32::try_from(self.by_number.len()).unwrap_or(NO_STACK);
        self.by_number.push(Arc::from(frames));
        self.numbers.insert(key, number);
        number
    }

    /// All stacks, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<[Frame]>> {
        self.by_number.iter()
    }
}
