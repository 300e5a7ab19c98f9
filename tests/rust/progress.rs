//! How many calls have ended and which reports are due, measured with a clock that the test sets.
#![cfg(not(loom))]

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use _oxthreads::primitives::progress::{BETWEEN_REPORTS, Progress, Report};

fn report(done: usize, total: impl Into<Option<usize>>) -> Option<Report> {
    let total = total.into();
    Some(Report { done, total })
}

fn submitted(count: usize, total: Option<usize>) -> Progress {
    let progress = Progress::new(total);
    (0..count).for_each(|_| progress.submit());
    progress
}

#[test]
fn reports_are_apart_from_the_end_of_one_to_the_beginning_of_the_next() {
    let progress = submitted(10, Some(10));
    let start = Instant::now();
    assert_eq!(progress.begin_report(start), None, "nothing has ended");
    progress.end(false);
    assert_eq!(progress.begin_report(start), report(1, 10));
    progress.end(false);
    let late = start + Duration::from_secs(9);
    assert_eq!(progress.begin_report(late), None, "one is being made");
    progress.end_report(late);
    let due = late + BETWEEN_REPORTS;
    assert_eq!(progress.begin_report(due - Duration::from_nanos(1)), None);
    assert_eq!(progress.begin_report(due), report(2, 10));
    progress.end_report(due);
    assert_eq!(
        progress.begin_report(due + BETWEEN_REPORTS),
        None,
        "it is known"
    );
}

#[test]
fn nine_reports_and_the_last_are_all_that_fit_into_a_second() {
    let (progress, start) = (submitted(1_002, Some(1_002)), Instant::now());
    let mut reports = Vec::new();
    // One call ends in each millisecond, and the last one when the second is over.
    for millisecond in (0..=1_000).chain([1_000]) {
        progress.end(false);
        let now = start + Duration::from_millis(millisecond);
        if let Some(report) = progress.begin_report(now) {
            reports.push(report);
            progress.end_report(now);
        }
    }
    assert_eq!(reports.len(), 10);
    assert_eq!(reports.last().copied(), report(1_002, 1_002));
}

#[test]
fn the_last_report_does_not_wait_and_comes_once() {
    let (progress, now) = (submitted(2, None), Instant::now());
    progress.end(false);
    assert_eq!(progress.begin_report(now), report(1, None));
    progress.end_report(now);
    progress.end(false);
    assert_eq!(progress.begin_report(now), None);
    progress.all_submitted();
    assert_eq!(progress.begin_report(now), report(2, 2));
    progress.end_report(now);
    assert_eq!(progress.begin_report(now + BETWEEN_REPORTS), None);
}

#[test]
fn the_total_is_told_when_it_comes_to_be_known() {
    let (progress, now) = (submitted(1, None), Instant::now());
    progress.end(false);
    assert_eq!(progress.begin_report(now), report(1, None));
    progress.end_report(now);
    progress.all_submitted();
    assert_eq!(progress.begin_report(now), report(1, 1));
}

#[test]
fn cancelled_calls_and_those_that_were_refused_are_not_waited_for() {
    let (progress, now) = (submitted(3, Some(5)), Instant::now());
    progress.end(true);
    progress.end(true);
    progress.submit();
    progress.withdraw();
    progress.all_submitted();
    assert_eq!(progress.begin_report(now), None, "one runs");
    progress.end(true);
    assert_eq!(progress.begin_report(now), report(0, 3));
}

#[test]
fn no_calls_are_one_report() {
    let (progress, now) = (Progress::new(None), Instant::now());
    assert_eq!(progress.begin_report(now), None);
    progress.all_submitted();
    assert_eq!(progress.begin_report(now), report(0, 0));
    progress.end_report(now);
    assert_eq!(progress.begin_report(now), None);
}

#[test]
fn many_threads_report_one_at_a_time_in_order_to_the_last() {
    const CALLS: usize = 40_000;
    let progress = submitted(CALLS, Some(CALLS));
    let reports = Mutex::new(Vec::new());
    // The clock runs fast: between any two readings the interval has passed.
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for count in 0..u32::try_from(CALLS / 4).unwrap() {
                    progress.end(false);
                    let now = || start + BETWEEN_REPORTS * count;
                    while let Some(report) = progress.begin_report(now()) {
                        reports.try_lock().expect("alone").push(report.done);
                        progress.end_report(now());
                    }
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap();
    assert!(reports.is_sorted());
    assert_eq!(reports.last(), Some(&CALLS));
    assert_eq!(reports.iter().filter(|done| **done == CALLS).count(), 1);
    assert!(reports.len() > 4);
}
