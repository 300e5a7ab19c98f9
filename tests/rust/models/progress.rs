use std::time::Instant;

use _oxthreads::primitives::progress::{Progress, Report};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::support::model;
use crate::{increment, spawn};

/// What a thread does after it has counted an end, or when it knows that no more calls will come.
fn report(shared: &(Progress, UnsafeCell<usize>), reports: &mut Vec<Report>) {
    while let Some(report) = shared.0.begin_report(Instant::now()) {
        // No other thread makes a report at this time; loom checks that.
        increment(&shared.1);
        shared.0.end_report(Instant::now());
        reports.push(report);
    }
}

#[test]
fn the_last_report_is_made_once_whoever_ends_last() {
    model(|| {
        let shared = Arc::new((Progress::new(None), UnsafeCell::new(0)));
        let ends: Vec<_> = (0..2)
            .map(|_| {
                shared.0.submit();
                spawn(&shared, |shared: &(Progress, UnsafeCell<usize>)| {
                    let mut reports = Vec::new();
                    shared.0.end(false);
                    report(shared, &mut reports);
                    reports
                })
            })
            .collect();
        let mut reports = Vec::new();
        shared.0.all_submitted();
        report(&shared, &mut reports);
        for end in ends {
            reports.extend(end.join().unwrap());
        }
        let last = Report {
            done: 2,
            total: Some(2),
        };
        assert_eq!(reports.iter().filter(|report| **report == last).count(), 1);
    });
}
