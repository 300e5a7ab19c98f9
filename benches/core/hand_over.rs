//! A round trip between two threads that wait while the other one has the turn: one iteration is two
//! hand-overs. The raw futex is the limit of this machine for threads that sleep, and what the others
//! use underneath; those that spin before they sleep (crossbeam, to some extent parking_lot and `std`)
//! are below it where both threads have a CPU of their own, and pay for that in CPU time.

use std::time::Duration;

use _oxthreads::wait::deadline::Deadline;
use _oxthreads::wait::{Parked, Waiter};
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};

use crate::pair;

/// Two threads that take turns: `give` tells the other one, `take` waits to be told.
trait TakesTurns: Sync {
    /// Ends the present or the next `take` of this side (0 or 1).
    fn give(&self, side: usize);
    /// Sleeps until it is this side's turn.
    fn take(&self, side: usize);
}

fn round_trips(turns: &impl TakesTurns, count: u64) -> Duration {
    let serve = || {
        for _ in 0..count {
            turns.give(1);
            turns.take(0);
        }
    };
    let answer = || {
        for _ in 0..count {
            turns.take(1);
            turns.give(0);
        }
    };
    pair::elapsed(serve, answer)
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, turns: &impl TakesTurns) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| round_trips(turns, count));
    });
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hand-over, there and back");
    #[cfg(target_os = "linux")]
    bench(&mut group, "raw futex", &futex::Words::default());
    bench(&mut group, "oxthreads", &[Waiter::new(), Waiter::new()]);
    bench(&mut group, "std", &<[StdTurn; 2]>::default());
    bench(&mut group, "parking_lot", &<[ParkingLotTurn; 2]>::default());
    bench(
        &mut group,
        "crossbeam-channel",
        &[Channel::new(), Channel::new()],
    );
    group.finish();
}

impl TakesTurns for [std::sync::Arc<Waiter>; 2] {
    fn give(&self, side: usize) {
        self[side].unpark();
    }

    fn take(&self, side: usize) {
        assert_eq!(self[side].park(Deadline::NEVER), Parked::Unparked);
    }
}

#[derive(Default)]
struct StdTurn {
    given: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl TakesTurns for [StdTurn; 2] {
    fn give(&self, side: usize) {
        *self[side].given.lock().expect("nobody panics") = true;
        self[side].changed.notify_one();
    }

    fn take(&self, side: usize) {
        let mut given = self[side].given.lock().expect("nobody panics");
        while !*given {
            given = self[side].changed.wait(given).expect("nobody panics");
        }
        *given = false;
    }
}

#[derive(Default)]
struct ParkingLotTurn {
    given: parking_lot::Mutex<bool>,
    changed: parking_lot::Condvar,
}

impl TakesTurns for [ParkingLotTurn; 2] {
    fn give(&self, side: usize) {
        *self[side].given.lock() = true;
        self[side].changed.notify_one();
    }

    fn take(&self, side: usize) {
        let mut given = self[side].given.lock();
        while !*given {
            self[side].changed.wait(&mut given);
        }
        *given = false;
    }
}

struct Channel {
    sender: crossbeam_channel::Sender<()>,
    receiver: crossbeam_channel::Receiver<()>,
}

impl Channel {
    fn new() -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        Self { sender, receiver }
    }
}

impl TakesTurns for [Channel; 2] {
    fn give(&self, side: usize) {
        self[side].sender.send(()).expect("the receiver is here");
    }

    fn take(&self, side: usize) {
        self[side].receiver.recv().expect("the sender is here");
    }
}

#[cfg(target_os = "linux")]
mod futex {
    use std::ptr;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::TakesTurns;

    /// For each side, whether it has the turn; nothing but the system calls.
    #[derive(Default)]
    pub(super) struct Words([AtomicU32; 2]);

    impl TakesTurns for Words {
        fn give(&self, side: usize) {
            self.0[side].store(1, Ordering::Release);
            // SAFETY: FUTEX_WAKE only uses the word's address, and the word is borrowed meanwhile.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0[side].as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                );
            }
        }

        fn take(&self, side: usize) {
            while self.0[side].swap(0, Ordering::Acquire) == 0 {
                // SAFETY: FUTEX_WAIT reads the word, which is borrowed meanwhile; without a timeout
                // it reads nothing else.
                unsafe {
                    libc::syscall(
                        libc::SYS_futex,
                        self.0[side].as_ptr(),
                        libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                        0,
                        ptr::null::<libc::timespec>(),
                    );
                }
            }
        }
    }
}
