//! Answers `oxthreads inspect`, also when the interpreter cannot be had: when native code keeps Python's lock, say.
//!
//! A thread listens on a Unix socket, `oxthreads-UID/PID` in the directory for temporary files. Nobody but the user of
//! the process can reach it: the directory has mode 0700 and must belong to the user. Whoever connects gets a
//! description of all threads as JSON, and the connection is closed.
//!
//! The description comes from the watcher, which asks Python. If that takes more than a second, it is made of what the
//! engine knows: where each thread fell asleep, and for what.

use std::fmt::Write as _;
use std::sync::OnceLock;

use super::sleepers::{self, Description, Frame};

/// The directory of the sockets; `None`: there is no server.
static DIRECTORY: OnceLock<Option<String>> = OnceLock::new();

/// Sets the directory in which sockets are made: it is there, and safe. Only the first call has an effect.
pub fn listen_in(directory: Option<String>) {
    let _ = DIRECTORY.set(directory);
}

#[cfg(unix)]
mod thread {
    use std::io::Write as _;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::thread::JoinHandle;
    use std::time::Duration;

    use super::super::watcher;

    /// How long the watcher may take to ask Python.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// How long a client may take to read.
    const LONGEST_WRITE: Duration = Duration::from_secs(5);

    /// The thread. Dropped, it ends, and the socket is removed.
    pub struct Server {
        path: PathBuf,
        /// Closed to end the thread.
        stop: Option<UnixStream>,
        thread: Option<JoinHandle<()>>,
    }

    impl Server {
        /// Starts the thread. `None`: there is no directory, or it cannot be listened in; the program goes on.
        pub fn start() -> Option<Self> {
            let directory = super::DIRECTORY.get()?.as_ref()?;
            let path = PathBuf::from(directory).join(std::process::id().to_string());
            // One of an earlier process with the same number.
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path).ok()?;
            listener.set_nonblocking(true).ok()?;
            let (stop, stopped) = UnixStream::pair().ok()?;
            let builder = std::thread::Builder::new().name("oxthreads-inspect".to_owned());
            let thread = builder.spawn(move || serve(&listener, &stopped)).ok()?;
            Some(Self {
                path,
                stop: Some(stop),
                thread: Some(thread),
            })
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
            drop(self.stop.take());
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    fn serve(listener: &UnixListener, stopped: &UnixStream) {
        watcher::block_signals();
        while wait_for(listener, stopped) {
            if let Ok((mut stream, _)) = listener.accept() {
                let text = watcher::ask(PATIENCE).unwrap_or_else(super::without_interpreter);
                let _ = stream.set_nonblocking(false);
                let _ = stream.set_write_timeout(Some(LONGEST_WRITE));
                // A client that has gone gets nothing.
                let _ = stream.write_all(text.as_bytes());
            }
        }
    }

    /// Sleeps until somebody connects. Returns `false` if the thread must end.
    fn wait_for(listener: &UnixListener, stopped: &UnixStream) -> bool {
        let polled = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut both = [polled(listener.as_raw_fd()), polled(stopped.as_raw_fd())];
        // SAFETY: the array has two elements, and lives during the call.
        unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
        both[1].revents == 0
    }
}

#[cfg(not(unix))]
mod thread {
    /// There is no server on this platform.
    pub struct Server;

    impl Server {
        /// There is none.
        pub fn start() -> Option<Self> {
            None
        }
    }
}

pub use thread::Server;

/// What is known of the threads without the interpreter, as JSON.
pub fn without_interpreter() -> String {
    let threads: Vec<String> = sleepers::descriptions()
        .iter()
        .map(thread_as_json)
        .collect();
    format!(
        "{{\"version\": 1, \"process\": {}, \"interpreter\": false, \"threads\": [{}]}}",
        std::process::id(),
        threads.join(", ")
    )
}

fn thread_as_json(thread: &Description) -> String {
    let name = thread.name.as_deref().map_or("null".to_owned(), quoted);
    let stack: Vec<String> = thread.frames.iter().map(frame_as_json).collect();
    let wait = thread.sleep.as_ref().map_or("null".to_owned(), |sleep| {
        let left = (sleep.ends().remaining())
            .map_or("null".to_owned(), |left| left.as_secs_f64().to_string());
        format!(
            "{{\"for\": {}, \"object\": null, \"seconds\": {}, \"seconds_left\": {left}, \"owner\": null, \
             \"taken_at\": null, \"state\": null}}",
            quoted(sleep.resource.what),
            sleep.age.as_secs_f64(),
        )
    });
    format!(
        "{{\"number\": {}, \"name\": {name}, \"wait\": {wait}, \"stack\": [{}]}}",
        thread.thread.number(),
        stack.join(", ")
    )
}

fn frame_as_json(frame: &Frame) -> String {
    format!(
        "{{\"file\": {}, \"line\": {}, \"function\": {}}}",
        quoted(&frame.file),
        frame.line,
        quoted(&frame.function)
    )
}

/// A string of JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_is_quoted_for_json() {
        assert_eq!(quoted("a\"b\\c\n\u{1}ä"), "\"a\\\"b\\\\c\\u000a\\u0001ä\"");
    }
}
