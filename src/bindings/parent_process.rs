//! The end of a process with that of its parent.

use pyo3::prelude::*;

/// From now on, the system kills this process when the thread that has started it ends. Returns False where a system
/// cannot do that. For the child processes of a pool, whose worker threads have one child each.
#[pyfunction]
pub(crate) fn end_with_parent() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: it has no precondition, and its arguments are of the types that the option takes.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        false
    }
}
