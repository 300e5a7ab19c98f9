//! The file of a trace, in the JSON format of `chrome://tracing`, which Perfetto reads, too.
//!
//! Threads are tracks of the process. Locks are tracks of another process, which does not exist, so that they are shown
//! apart. Counters belong to the process.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::place::Frame;
use super::server::quoted;
use super::slices::{self, Arrow, Counter, Outcome, Shown, Slice, TICK};
use super::trace::{Group, Recording};
use crate::wait::observe::ThreadNumber;

/// The most functions of a stack that are written.
const DEEPEST: usize = 20;

/// Added to the number of the process, it is that of the locks. It is greater than any number of a process.
const LOCKS: u32 = 1_000_000_000;

/// What things are called.
pub struct Names {
    /// The process.
    pub process: String,
    /// For each object, what a wait for it is called.
    pub waits: Vec<String>,
    /// For each object, what it is called itself, if it is a lock, a queue or a pool. No two objects have the same.
    pub objects: Vec<String>,
    /// The threads that have no name in the recording.
    pub threads: HashMap<u32, String>,
    /// The files of the program, and how they are shown. Functions of other files are left out.
    pub files: HashMap<String, String>,
}

struct Writer<'a, W> {
    to: W,
    process: u32,
    is_first: bool,
    names: &'a Names,
    threads: HashMap<u32, String>,
    /// For each stack, its functions as JSON.
    stacks: Vec<String>,
    /// For each function, its name as JSON, and the arguments that tell of its group.
    functions: Vec<(String, String)>,
    /// The locks that have a track.
    locks: Vec<u32>,
}

/// Ticks as microseconds. Three digits show them exactly.
struct Microseconds(u64);

impl std::fmt::Display for Microseconds {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanoseconds = self.0 * TICK;
        write!(to, "{}.{:03}", nanoseconds / 1000, nanoseconds % 1000)
    }
}

/// Writes the file.
///
/// # Errors
/// What `to` returns.
pub fn write(recording: &mut Recording, names: &Names, to: impl Write) -> io::Result<()> {
    let known = recording.threads().into_iter().map(|(thread, name)| {
        let thread = thread.number();
        let name = name.or_else(|| names.threads.get(&thread).map(String::as_str));
        let name = name.map_or_else(|| format!("thread {thread}"), str::to_owned);
        (thread, quoted(&name))
    });
    let shown = |frames: &Arc<[Frame]>| shown_stack(frames, &names.files);
    let mut writer = Writer {
        to,
        process: std::process::id(),
        is_first: true,
        names,
        threads: known.collect(),
        stacks: recording.tables.stacks.iter().map(shown).collect(),
        functions: (recording.tables.functions.iter())
            .map(|function| {
                let group = function.group.as_ref();
                (
                    quoted(&function.name),
                    group.map_or_else(String::new, shown_group),
                )
            })
            .collect(),
        locks: Vec::new(),
    };
    writer.head(recording)?;
    let mut result = Ok(());
    slices::each(recording, &mut |shown| {
        if result.is_ok() {
            result = writer.shown(&shown);
        }
    });
    result?;
    writer.foot()
}

/// The arguments of a call that tell of its group.
fn shown_group(group: &Group) -> String {
    let name = group.name.as_deref().unwrap_or("TaskGroup");
    let mut shown = format!(
        ", \"group\": {}, \"group_number\": {}",
        quoted(name),
        group.number
    );
    if group.inside != 0 {
        shown += &format!(", \"inside_group\": {}", group.inside);
    }
    shown
}

/// The functions of the program, the innermost first, as JSON.
fn shown_stack(frames: &[Frame], files: &HashMap<String, String>) -> String {
    let known = frames.iter().filter_map(|frame| {
        let file = files.get(&*frame.file)?;
        Some(quoted(&format!(
            "{file}:{} in {}",
            frame.line, frame.function
        )))
    });
    let mut shown: Vec<String> = known.collect();
    if shown.len() > DEEPEST {
        let more = shown.len() - DEEPEST;
        shown.truncate(DEEPEST);
        shown.push(quoted(&format!("and {more} more")));
    }
    format!("[{}]", shown.join(", "))
}

impl<W: Write> Writer<'_, W> {
    fn head(&mut self, recording: &Recording) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            self.to,
            "{{\"displayTimeUnit\": \"ns\", \"otherData\": {{\"writer\": \"oxthreads {version}\", \"events\": {}, \
             \"events_dropped\": {}}}, \"traceEvents\": [",
            recording.kept, recording.dropped
        )?;
        let name = quoted(&self.names.process);
        self.metadata(self.process, 0, "process_name", "name", &name)?;
        for (thread, _) in recording.threads() {
            let thread = thread.number();
            let name = self.thread(thread).to_owned();
            self.metadata(self.process, thread, "thread_name", "name", &name)?;
            let index = thread.to_string();
            self.metadata(
                self.process,
                thread,
                "thread_sort_index",
                "sort_index",
                &index,
            )?;
        }
        Ok(())
    }

    fn foot(mut self) -> io::Result<()> {
        let locks = std::mem::take(&mut self.locks);
        let process = self.process.wrapping_add(LOCKS);
        if !locks.is_empty() {
            self.metadata(process, 0, "process_name", "name", "\"locks\"")?;
            self.metadata(process, 0, "process_sort_index", "sort_index", "1")?;
        }
        for lock in locks {
            let name = quoted(&self.names.objects[lock as usize]);
            self.metadata(process, lock, "thread_name", "name", &name)?;
        }
        writeln!(self.to, "\n]}}")?;
        self.to.flush()
    }

    fn separate(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.to.write_all(b",\n")?;
        }
        Ok(())
    }

    fn metadata(
        &mut self,
        process: u32,
        track: u32,
        name: &str,
        key: &str,
        value: &str,
    ) -> io::Result<()> {
        self.separate()?;
        write!(
            self.to,
            "{{\"ph\": \"M\", \"pid\": {process}, \"tid\": {track}, \"name\": \"{name}\", \
             \"args\": {{\"{key}\": {value}}}}}"
        )
    }

    /// The name of the thread as JSON.
    fn thread(&self, thread: u32) -> &str {
        self.threads
            .get(&thread)
            .map_or("\"an unknown thread\"", String::as_str)
    }

    /// The same in a text that follows others.
    fn of_thread(&self, before: &str, thread: u32) -> String {
        format!("\"{before} {}", &self.thread(thread)[1..])
    }

    fn stack(&self, number: u32) -> &str {
        self.stacks
            .get(number as usize)
            .map_or("[]", String::as_str)
    }

    fn shown(&mut self, shown: &Shown) -> io::Result<()> {
        self.separate()?;
        match shown {
            Shown::Slice {
                track,
                begin,
                end,
                slice,
            } => self.slice(*track, *begin, *end, slice),
            Shown::Arrow {
                arrow,
                number,
                thread,
                at,
                begins,
            } => {
                let name = match arrow {
                    Arrow::Wake => "wakes",
                    Arrow::Item => "item",
                    Arrow::Run => "call",
                };
                let phase = if *begins {
                    "\"s\""
                } else {
                    "\"f\", \"bp\": \"e\""
                };
                write!(
                    self.to,
                    "{{\"ph\": {phase}, \"pid\": {}, \"tid\": {thread}, \"ts\": {}, \"id\": {number}, \
                     \"cat\": \"flow\", \"name\": \"{name}\"}}",
                    self.process,
                    Microseconds(*at)
                )
            }
            Shown::Count { counter, at, value } => {
                let (what, object, unit) = match counter {
                    Counter::Items(object) => ("length of", object, "items"),
                    Counter::Pending(object) => ("pending calls of", object, "calls"),
                    Counter::Busy(object) => ("busy workers of", object, "workers"),
                };
                let name = quoted(&format!("{what} {}", self.names.objects[*object as usize]));
                write!(
                    self.to,
                    "{{\"ph\": \"C\", \"pid\": {}, \"ts\": {}, \"name\": {name}, \"args\": {{\"{unit}\": {value}}}}}",
                    self.process,
                    Microseconds(*at)
                )
            }
        }
    }

    fn slice(&mut self, track: u32, begin: u64, end: u64, slice: &Slice) -> io::Result<()> {
        let mut process = self.process;
        let (category, name, arguments) = match *slice {
            Slice::Wait {
                object,
                stack,
                outcome,
                by,
                interpreter,
                sleeps,
            } => {
                let what = quoted(&self.names.waits[object as usize]);
                let by = if by == 0 {
                    String::new()
                } else {
                    format!(", \"by\": {}", self.thread(by))
                };
                let ended = outcome_text(outcome);
                let (us, stack) = (Microseconds(interpreter), self.stack(stack));
                let arguments = format!(
                    "\"ended\": \"{ended}\"{by}, \"interpreter_us\": {us}, \"sleeps\": {sleeps}, \"stack\": {stack}"
                );
                ("wait", what, arguments)
            }
            Slice::Awake => {
                let is_task =
                    ThreadNumber::from_number(track).is_some_and(ThreadNumber::is_of_task);
                let what = if is_task {
                    "\"waits for its event loop\""
                } else {
                    "\"waits for the interpreter\""
                };
                ("awake", what.to_owned(), String::new())
            }
            Slice::Call {
                function,
                pool,
                pending,
                is_whole,
            } => {
                let mut arguments =
                    format!("\"pool\": {}", quoted(&self.names.objects[pool as usize]));
                if let Some(pending) = pending {
                    arguments += &format!(", \"pending_us\": {}", Microseconds(pending));
                }
                if !is_whole {
                    arguments += ", \"ended\": \"not recorded\"";
                }
                let (name, group) = self.functions[function as usize].clone();
                ("call", name, arguments + &group)
            }
            Slice::Wakes { thread, object } => {
                let what = quoted(&self.names.waits[object as usize]);
                (
                    "wake",
                    self.of_thread("wakes", thread),
                    format!("\"from\": {what}"),
                )
            }
            Slice::Submits { pool } => {
                let pool = quoted(&self.names.objects[pool as usize]);
                (
                    "submit",
                    "\"submits a call\"".to_owned(),
                    format!("\"pool\": {pool}"),
                )
            }
            Slice::Held {
                object,
                by,
                is_taken,
                freed,
            } => {
                process = process.wrapping_add(LOCKS);
                if self.locks.last() != Some(&object) {
                    self.locks.push(object);
                }
                let from = if is_taken {
                    "taken, after a wait"
                } else {
                    "seen"
                };
                let until = freed.map_or_else(
                    || "\"until\": \"seen\"".to_owned(),
                    |stack| format!("\"until\": \"freed\", \"freed_at\": {}", self.stack(stack)),
                );
                let arguments = format!("\"from\": \"{from}\", {until}");
                ("lock", self.of_thread("held by", by), arguments)
            }
        };
        write!(
            self.to,
            "{{\"ph\": \"X\", \"pid\": {process}, \"tid\": {track}, \"ts\": {}, \"dur\": {}, \"cat\": \"{category}\", \
             \"name\": {name}, \"args\": {{{arguments}}}}}",
            Microseconds(begin),
            Microseconds(end - begin)
        )
    }
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::TimedOut => "timed out",
        Outcome::Interrupted => "interrupted",
        Outcome::Lasting => "not before the end of the trace",
        Outcome::NotRecorded => "not recorded",
    }
}
