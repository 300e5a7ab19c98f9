//! What belongs to an operating system thread, and not to the task that it runs.
//!
//! A new thread has it from the thread that makes it. So a thread is used again only if it still has what it was made
//! with, and only for a thread that has the same.

/// Signal mask, processors, priority and policy, rights, and the namespaces.
#[derive(Clone, PartialEq, Eq)]
pub struct ThreadState {
    signals: SignalMask,
    rest: imp::State,
}

impl ThreadState {
    /// That of the calling thread. `None` if the system does not say all of it.
    pub fn now() -> Option<Self> {
        Self::with_signals(imp::signals()?)
    }

    /// As [`ThreadState::now`], for a thread that has another signal mask only for the moment.
    pub fn with_signals(signals: SignalMask) -> Option<Self> {
        Some(Self {
            signals,
            rest: imp::now()?,
        })
    }

    /// Gives the calling thread this signal mask.
    pub fn set_signals(&self) {
        imp::set_signals(&self.signals);
    }
}

/// Blocks all signals in the calling thread. Returns the mask that it had.
pub fn block_signals() -> Option<SignalMask> {
    imp::block_signals()
}

/// The signals that a thread blocks.
pub use imp::SignalMask;

/// The name of the calling thread, as the operating system has it.
pub use imp::{Name, name, set_name};

#[cfg(all(target_os = "linux", not(loom)))]
mod imp {
    use std::ffi::CStr;

    /// The set of the C library is larger, but the kernel has no more bytes.
    const SIGNALS: usize = 8;

    /// The signals that a thread blocks.
    pub type SignalMask = [u8; SIGNALS];

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
        processors: Vec<u8>,
        scheduling: Scheduling,
        rights: Rights,
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
        let rights = rights()?;
        Some(State {
            processors: processors()?,
            scheduling: scheduling()?,
            namespaces: rights.may_change_namespaces().then(namespaces),
            rights,
        })
    }

    /// Changes the signal mask as `how` says, if there is another set. Returns the former mask.
    fn change_signals(how: i32, set: Option<&SignalMask>) -> Option<SignalMask> {
        let mut former = [0_u8; SIGNALS];
        let set = set.map_or(std::ptr::null(), |set| set.as_ptr());
        // SAFETY: it reads as many bytes as it is told from the set, which may be null, and writes as many to the array.
        let status = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                how,
                set,
                former.as_mut_ptr(),
                SIGNALS,
            )
        };
        (status == 0).then_some(former)
    }

    pub(super) fn signals() -> Option<SignalMask> {
        change_signals(libc::SIG_BLOCK, None)
    }

    pub(super) fn block_signals() -> Option<SignalMask> {
        change_signals(libc::SIG_BLOCK, Some(&[0xFF; SIGNALS]))
    }

    pub(super) fn set_signals(signals: &SignalMask) {
        change_signals(libc::SIG_SETMASK, Some(signals));
    }

    /// What the thread may do.
    #[derive(Clone, PartialEq, Eq)]
    struct Rights {
        capabilities: [u32; 6],
        /// Whether it can get no new rights, and what filter there is for its system calls.
        restrictions: [i32; 2],
        users: [libc::uid_t; 3],
        groups: [libc::gid_t; 3],
    }

    fn rights() -> Option<Rights> {
        const VERSION_3: u32 = 0x2008_0522;
        let mut header = [VERSION_3, 0];
        let mut capabilities = [0_u32; 6];
        // SAFETY: it reads and writes the header, two numbers, and writes three sets of two numbers each.
        let status = unsafe {
            libc::syscall(
                libc::SYS_capget,
                header.as_mut_ptr(),
                capabilities.as_mut_ptr(),
            )
        };
        if status != 0 {
            return None;
        }
        let none: libc::c_ulong = 0;
        // SAFETY: it only returns a number.
        let restrictions = [libc::PR_GET_NO_NEW_PRIVS, libc::PR_GET_SECCOMP]
            .map(|question| unsafe { libc::prctl(question, none, none, none, none) });
        let [mut real, mut effective, mut saved] = [0; 3];
        // SAFETY: it writes three numbers.
        unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
        let users = [real, effective, saved];
        // SAFETY: it writes three numbers.
        unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
        Some(Rights {
            capabilities,
            restrictions,
            users,
            groups: [real, effective, saved],
        })
    }

    impl Rights {
        /// Whether the thread has the capability that `setns` and `unshare` ask for.
        fn may_change_namespaces(&self) -> bool {
            const SYS_ADMIN: u32 = 21;
            self.capabilities[0] & (1 << SYS_ADMIN) != 0
        }
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

    /// The signals that a thread blocks.
    pub type SignalMask = [u8; 0];

    pub(super) fn now() -> Option<State> {
        Some(State)
    }

    pub(super) fn signals() -> Option<SignalMask> {
        Some([])
    }

    pub(super) fn block_signals() -> Option<SignalMask> {
        Some([])
    }

    pub(super) fn set_signals(_signals: &SignalMask) {}

    /// A name of a thread.
    pub type Name = [u8; 0];

    /// The name of the calling thread, which is not known here.
    pub fn name() -> Name {
        []
    }

    /// Does nothing here.
    pub fn set_name(_name: &Name) {}
}
