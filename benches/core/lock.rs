//! A lock that nobody else wants: taken and freed.

use std::hint::black_box;

use _oxthreads::primitives::lock::Lock;
use criterion::Criterion;

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock, free");
    let lock = Lock::new();
    group.bench_function("oxthreads", |bencher| {
        bencher.iter(|| {
            assert!(black_box(&lock).try_acquire());
            black_box(&lock).release().expect("it is locked");
        });
    });
    let lock = std::sync::Mutex::new(());
    group.bench_function("std", |bencher| {
        bencher.iter(|| drop(black_box(black_box(&lock).lock())));
    });
    let lock = parking_lot::Mutex::new(());
    group.bench_function("parking_lot", |bencher| {
        bencher.iter(|| drop(black_box(black_box(&lock).lock())));
    });
    group.finish();
}
