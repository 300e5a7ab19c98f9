//! Numbers from one thread to another through a queue with room for 100: one iteration is one number.

use std::time::Duration;

use _oxthreads::primitives::queue::{GetError, PutError, Queue};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{Operation, drive};
use criterion::{Criterion, Throughput};

use crate::pair;

const CAPACITY: usize = 100;

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue of 100, one thread to another");
    group.throughput(Throughput::Elements(1));
    group.bench_function("oxthreads", |bencher| bencher.iter_custom(through_ours));
    group.bench_function("crossbeam-channel", |bencher| {
        bencher.iter_custom(through_crossbeam);
    });
    group.bench_function("std", |bencher| bencher.iter_custom(through_std));
    group.finish();
}

fn through_ours(count: u64) -> Duration {
    let queue = Queue::new(i64::try_from(CAPACITY).expect("small"));
    let put = || {
        for number in 0..count {
            match queue.try_put(number) {
                Ok(()) => {}
                Err(PutError::Full(number)) => {
                    assert_eq!(block(queue.put(number)), Ok(()));
                }
                Err(error) => unreachable!("{error:?}"),
            }
        }
    };
    let get = || {
        for number in 0..count {
            let taken = match queue.try_get() {
                Err(GetError::Empty) => block(queue.get()),
                taken => taken,
            };
            assert_eq!(taken, Ok(number));
        }
    };
    pair::elapsed(get, put)
}

fn block<O: Operation>(mut operation: O) -> O::Output {
    match drive(&mut operation, Deadline::NEVER, |waiter, deadline| {
        waiter.park(deadline)
    }) {
        Wait::Ready(output) => output,
        _ => unreachable!("no deadline, and no signal on these threads"),
    }
}

fn through_crossbeam(count: u64) -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    let put = || (0..count).for_each(|number| sender.send(number).expect("the receiver is here"));
    let get = || (0..count).for_each(|number| assert_eq!(receiver.recv(), Ok(number)));
    pair::elapsed(get, put)
}

fn through_std(count: u64) -> Duration {
    let (sender, receiver) = std::sync::mpsc::sync_channel(CAPACITY);
    let put =
        move || (0..count).for_each(|number| sender.send(number).expect("the receiver is here"));
    let get = move || (0..count).for_each(|number| assert_eq!(receiver.recv(), Ok(number)));
    pair::elapsed(get, put)
}
