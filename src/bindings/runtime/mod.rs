//! What all the classes need from the interpreter.
//!
//! * [`block`]: waits with the interpreter released, and checks for signals and exceptions during them.
//! * [`asynchronous`]: exceptions that other threads have set for this one, and pending signals.
//! * [`cancellation`]: how the scopes of a thread end its waits.
//! * [`foreign`]: calls of code that a program may have written.
//! * [`lazy`]: lazy imports, and preloading them.
//! * [`fast_path`]: the fast paths of the most frequent methods.
//! * [`vectorcall`]: objects that are called and bound as Python functions are.
//! * [`type_question`]: questions about a class, answered once per version of the class.
//! * [`interruption`]: a report before Ctrl-C ends a long wait.
//! * [`observed`]: objects that threads wait for, as reports see them.
//! * [`bell`]: a descriptor that is readable when this process says so.
//! * [`argument`], [`timeout`]: arguments, accepted and rejected as in the standard library.
//! * [`undeclared`]: functions of the interpreter that pyo3 does not declare.
//! * [`errors`]: the standard exceptions with the standard messages.
//! * [`standard_frames`]: the frames of the standard library in tracebacks.
//! * [`code`]: the names in code objects.
//! * [`frame_memory`]: memory for Python frames, which threads pass on.
//! * [`collector`], [`stack`], [`interpreter`]: garbage collection, stack depth, and the current interpreter.

pub(crate) mod argument;
pub(crate) mod asynchronous;
#[cfg(unix)]
pub(crate) mod bell;
pub(crate) mod block;
pub(crate) mod cancellation;
pub(crate) mod code;
pub(crate) mod collector;
pub(crate) mod errors;
pub(crate) mod fast_path;
pub(crate) mod foreign;
pub(crate) mod frame_memory;
pub(crate) mod interpreter;
pub(crate) mod interruption;
pub(crate) mod lazy;
pub(crate) mod observed;
pub(crate) mod stack;
pub(crate) mod standard_frames;
pub(crate) mod timeout;
pub(crate) mod type_question;
pub(crate) mod undeclared;
pub(crate) mod vectorcall;
