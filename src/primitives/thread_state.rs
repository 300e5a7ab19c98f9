//! What belongs to an operating system thread, and not to the task that it runs.
//!
//! A new thread has it from the thread that makes it. So a thread is used again only if it still has what it was made
//! with, and only for a thread that has the same.

/// Signal mask, processors, priority and policy, and the namespaces.
#[derive(Clone, PartialEq, Eq)]
pub struct ThreadState(imp::State);

impl ThreadState {
    /// That of the calling thread. `None` if the system does not say all of it.
    pub fn now() -> Option<Self> {
        imp::now().map(Self)
    }
}

/// The name of the calling thread, as the operating system has it.
pub use imp::{Name, name, set_name};

#[cfg(all(target_os = "linux", not(loom)))]
mod imp {
    use std::ffi::CStr;

    /// The sets of signals and of processors are larger, but the kernel has no more.
    const SIGNALS: usize = 8;
    /// Enough for 8,192 processors.
    const PROCESSORS: usize = 1024;

    /// `struct sched_attr` of the kernel's first version, which every later one fills as well.
    #[derive(Clone, Copy, PartialEq, Eq, Default)]
    #[repr(C)]
    struct Scheduling {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    #[derive(Clone, PartialEq, Eq)]
    pub(super) struct State {
        signals: [u8; SIGNALS],
        processors: Vec<u8>,
        scheduling: Scheduling,
        /// What `/proc` says of them. Only a thread that may change them has them here: to read them takes as long as
        /// all the rest twenty times.
        namespaces: Option<Vec<u8>>,
    }

    const NAMESPACES: [&CStr; 7] = [
        c"/proc/thread-self/ns/cgroup",
        c"/proc/thread-self/ns/ipc",
        c"/proc/thread-self/ns/mnt",
        c"/proc/thread-self/ns/net",
        c"/proc/thread-self/ns/pid_for_children",
        c"/proc/thread-self/ns/time_for_children",
        c"/proc/thread-self/ns/uts",
    ];

    pub(super) fn now() -> Option<State> {
        Some(State {
            signals: signals()?,
            processors: processors()?,
            scheduling: scheduling()?,
            namespaces: may_change_namespaces().then(namespaces),
        })
    }

    fn signals() -> Option<[u8; SIGNALS]> {
        let mut set = [0_u8; SIGNALS];
        // SAFETY: with no new set, it writes as many bytes as it is told to the array, which has them.
        let status = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                std::ptr::null::<u8>(),
                set.as_mut_ptr(),
                SIGNALS,
            )
        };
        (status == 0).then_some(set)
    }

    fn processors() -> Option<Vec<u8>> {
        let mut set = [0_u8; PROCESSORS];
        // SAFETY: it writes at most as many bytes as it is told to the array, which has them.
        let written =
            unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, PROCESSORS, set.as_mut_ptr()) };
        Some(set[..usize::try_from(written).ok()?].to_vec())
    }

    fn scheduling() -> Option<Scheduling> {
        let mut found = Scheduling::default();
        // SAFETY: it writes as many bytes as it is told to the structure, which has them, and is plain numbers.
        let status = unsafe {
            libc::syscall(
                libc::SYS_sched_getattr,
                0,
                &raw mut found,
                size_of::<Scheduling>(),
                0,
            )
        };
        (status == 0).then_some(found)
    }

    /// Whether the thread has the capability that `setns` and `unshare` ask for. If it cannot be found out, it has.
    fn may_change_namespaces() -> bool {
        const VERSION_3: u32 = 0x2008_0522;
        const SYS_ADMIN: u32 = 21;
        let mut header = [VERSION_3, 0];
        let mut sets = [0_u32; 6];
        // SAFETY: it reads and writes the header, two numbers, and writes three sets of two numbers each.
        let status =
            unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
        status != 0 || sets[0] & (1 << SYS_ADMIN) != 0
    }

    fn namespaces() -> Vec<u8> {
        let mut all = Vec::with_capacity(256);
        for path in NAMESPACES {
            let mut target = [0_u8; 64];
            // SAFETY: the path ends with zero, and at most as many bytes are written as the array has.
            let length =
                unsafe { libc::readlink(path.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
            // An older kernel has no such namespace.
            all.extend_from_slice(&target[..usize::try_from(length).unwrap_or(0)]);
        }
        all
    }

    /// A name of a thread: at most 15 bytes, and zeros.
    pub type Name = [u8; 16];

    /// The name of the calling thread.
    pub fn name() -> Name {
        let mut name = [0; 16];
        // SAFETY: it writes at most 16 bytes to the array.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        name
    }

    /// Names the calling thread.
    pub fn set_name(name: &Name) {
        // SAFETY: it reads at most 16 bytes of the array.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
mod imp {
    /// Elsewhere, nothing is known of it.
    #[derive(Clone, PartialEq, Eq)]
    pub(super) struct State;

    pub(super) fn now() -> Option<State> {
        Some(State)
    }

    /// A name of a thread.
    pub type Name = [u8; 0];

    /// The name of the calling thread, which is not known here.
    pub fn name() -> Name {
        []
    }

    /// Does nothing here.
    pub fn set_name(_name: &Name) {}
}
