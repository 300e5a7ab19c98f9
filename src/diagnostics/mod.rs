//! What observes waits. It knows nothing of Python.
//!
//! * [`sleepers`]: the threads that sleep now, and what each of them waits for.
//! * [`place`]: the waits of one thread, and the pins that keep it from going on.
//! * [`origins`]: where objects were made.
//! * [`watcher`]: a thread that looks at them, and calls a function when it may have something to say.
//! * [`server`]: answers `oxthreads inspect`, also when the interpreter cannot be had.

pub mod origins;
pub mod place;
pub mod server;
pub mod sleepers;
pub mod watcher;
