//! How many calls have ended, and when to report it.

use std::time::{Duration, Instant};

use crate::wait::sync::Mutex;

/// The time from the end of one report to the beginning of the next. Nine such reports fit into one second,
/// and the last report, which does not wait, is the tenth.
pub const BETWEEN_REPORTS: Duration = Duration::from_millis(125);

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of calls that have ended, without the cancelled ones.
    pub done: usize,
    /// The number of all calls, as far as it is known.
    pub total: Option<usize>,
}

/// The progress of calls that are submitted one after the other and end in any order.
///
/// A thread that counts the end of a call also makes the reports that [`Progress::begin_report`] asks for.
/// Only one report is made at a time: if a report falls due while a thread makes another, that same thread
/// makes it afterwards.
pub struct Progress {
    record: Mutex<Record>,
}

struct Record {
    submitted: usize,
    done: usize,
    cancelled: usize,
    total: Option<usize>,
    all_submitted: bool,
    reporting: bool,
    reported: Option<Report>,
    due: Option<Instant>,
}

impl Record {
    fn is_due(&self, report: Report, now: Instant) -> bool {
        let all_ended = self.all_submitted && self.submitted == self.done + self.cancelled;
        if all_ended || self.total == Some(report.done) {
            return self.reported != Some(report);
        }
        report.done > self.reported.map_or(0, |reported| reported.done)
            && self.due.is_none_or(|due| now >= due)
    }
}

impl Progress {
    /// Creates the progress of `total` calls, none of which is submitted yet.
    pub fn new(total: Option<usize>) -> Self {
        Self {
            record: Mutex::new(Record {
                submitted: 0,
                done: 0,
                cancelled: 0,
                total,
                all_submitted: false,
                reporting: false,
                reported: None,
                due: None,
            }),
        }
    }

    /// Counts a call that is being submitted. [`Progress::end`] or [`Progress::withdraw`] must follow.
    pub fn submit(&self) {
        self.record.lock().submitted += 1;
    }

    /// Takes back the count of a call that could not be submitted.
    pub fn withdraw(&self) {
        self.record.lock().submitted -= 1;
    }

    /// Counts a call that has ended or was cancelled.
    pub fn end(&self, cancelled: bool) {
        let mut record = self.record.lock();
        if cancelled {
            record.cancelled += 1;
        } else {
            record.done += 1;
        }
    }

    /// Notes that no more calls will be submitted, so their number is known.
    pub fn all_submitted(&self) {
        let mut record = self.record.lock();
        record.total = Some(record.submitted);
        record.all_submitted = true;
    }

    /// Returns the report that the caller must make now, if any. The caller makes it, calls
    /// [`Progress::end_report`], and asks again.
    pub fn begin_report(&self, now: Instant) -> Option<Report> {
        let mut record = self.record.lock();
        let report = Report {
            done: record.done,
            total: record.total,
        };
        if record.reporting || !record.is_due(report, now) {
            return None;
        }
        record.reporting = true;
        record.reported = Some(report);
        Some(report)
    }

    /// Notes that the report was made.
    pub fn end_report(&self, now: Instant) {
        let mut record = self.record.lock();
        record.reporting = false;
        record.due = Some(now + BETWEEN_REPORTS);
    }
}
