//! A round trip between two threads that wait for the first of four channels; one iteration is two
//! hand-overs. crossbeam-channel's `Select` is what this one is modelled on.

use std::time::Duration;

use _oxthreads::primitives::queue::{Get, Queue};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Parked, Select, Waiter, drive};
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};

use crate::pair;

/// How many channels a thread waits for.
const SOURCES: usize = 4;

/// Two sides, each with its channels.
trait SendsAndSelects: Sync {
    /// Sends to one of the channels of this side.
    fn send(&self, side: usize, channel: usize);
    /// Waits for the first of them.
    fn select(&self, side: usize);
}

fn round_trips(sides: &impl SendsAndSelects, count: u64) -> Duration {
    let channel = |number: u64| usize::try_from(number).unwrap_or(0) % SOURCES;
    let serve = || {
        for number in 0..count {
            sides.send(1, channel(number));
            sides.select(0);
        }
    };
    let answer = || {
        for number in 0..count {
            sides.select(1);
            sides.send(0, channel(number));
        }
    };
    pair::elapsed(serve, answer)
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, sides: &impl SendsAndSelects) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| round_trips(sides, count));
    });
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select of four, there and back");
    let side = || std::array::from_fn(|_| Queue::new(0));
    bench(&mut group, "oxthreads", &Queues([side(), side()]));
    let side = || std::array::from_fn(|_| crossbeam_channel::unbounded());
    bench(&mut group, "crossbeam-channel", &Channels([side(), side()]));
    group.finish();
}

struct Queues([[Queue<u32>; SOURCES]; 2]);

impl SendsAndSelects for Queues {
    fn send(&self, side: usize, channel: usize) {
        self.0[side][channel].try_put(0).expect("it has no limit");
    }

    fn select(&self, side: usize) {
        let queues = &self.0[side];
        if queues.iter().any(|queue| queue.try_get().is_ok()) {
            return;
        }
        let mut select = Select::new(queues.iter().map(Get::new).collect(), 0);
        let sleep = |waiter: &_oxthreads::wait::sync::Arc<Waiter>, deadline| {
            loop {
                match waiter.park(deadline) {
                    Parked::Interrupted => {}
                    parked => return parked,
                }
            }
        };
        match drive(&mut select, Deadline::NEVER, sleep) {
            Wait::Ready((_, item)) => item.expect("it is open"),
            _ => unreachable!("no deadline"),
        };
    }
}

type Channel = (
    crossbeam_channel::Sender<u32>,
    crossbeam_channel::Receiver<u32>,
);

struct Channels([[Channel; SOURCES]; 2]);

impl SendsAndSelects for Channels {
    fn send(&self, side: usize, channel: usize) {
        let (sender, _) = &self.0[side][channel];
        sender.send(0).expect("the receiver is here");
    }

    fn select(&self, side: usize) {
        let mut select = crossbeam_channel::Select::new();
        for (_, receiver) in &self.0[side] {
            select.recv(receiver);
        }
        let selected = select.select();
        let (_, receiver) = &self.0[side][selected.index()];
        selected.recv(receiver).expect("the sender is here");
    }
}
