//! What observes waits. It knows nothing of Python.
//!
//! * [`sleepers`]: the threads that sleep now, and what each of them waits for.
//! * [`place`]: the waits of one thread, and the pins that keep it from going on.
//! * [`histogram`]: how many durations there were of each length.
//! * [`order`]: locks that threads acquire in orders which can deadlock.
//! * [`origins`]: where objects were made.
//! * [`labels`]: the names that a program has given to objects.
//! * [`group_names`]: the names of groups of tasks.
//! * [`metrics`]: how many waits there were of each length, for metrics.
//! * [`stacks`]: stacks of functions, with numbers.
//! * [`naming`]: for which objects a name is looked for.
//! * [`profile`]: how long threads have waited, for what and where.
//! * [`pools`]: the calls of pools in a profile, and what the workers do.
//! * [`queues`]: how long queues are in a profile, and how many items pass through them.
//! * [`timeline`]: single waits, if a profile is asked to keep them.
//! * [`tasks`]: waits of coroutines, which no thread sleeps in.
//! * [`trace`]: what threads do over time.
//! * [`slices`]: what a trace shows, made of what it has recorded.
//! * [`chrome`]: the file of a trace.
//! * [`watcher`]: a thread that looks at them, and calls a function when it may have something to say.
//! * [`server`]: answers `oxthreads inspect`, also when the interpreter cannot be had.

pub mod chrome;
pub mod group_names;
pub mod histogram;
pub mod labels;
pub mod metrics;
pub mod naming;
pub mod order;
pub mod origins;
pub mod place;
pub mod pools;
pub mod profile;
pub mod queues;
pub mod server;
pub mod sleepers;
pub mod slices;
pub mod stacks;
pub mod tasks;
pub mod timeline;
pub mod trace;
pub mod watcher;
