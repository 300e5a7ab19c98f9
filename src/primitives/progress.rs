//! How many of a number of calls have ended, and who reports it when.

use std::time::{Duration, Instant};

use super::sync::Mutex;

/// From the end of one report to the beginning of the next. Nine fit into any one second, and the
/// last, which does not wait, is the tenth.
pub const BETWEEN_REPORTS: Duration = Duration::from_millis(125);

/// What there is to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// So many calls have ended; those that were cancelled do not count.
    pub done: usize,
    /// Of so many, as far as is known.
    pub total: Option<usize>,
}

/// The progress of calls that are submitted one after the other and end in any order.
///
/// Whoever counts an end makes the reports that [`Progress::begin_report`] asks for, one at a time: a
/// report that falls due while another is being made is made by whoever makes that one.
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
    /// Of calls none of which is submitted yet, of which there will be `total`.
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

    /// A call is being submitted; [`Progress::end`] or [`Progress::withdraw`] will hear of it.
    pub fn submit(&self) {
        self.record.lock().submitted += 1;
    }

    /// The call could not be submitted.
    pub fn withdraw(&self) {
        self.record.lock().submitted -= 1;
    }

    /// A call has ended or was cancelled.
    pub fn end(&self, cancelled: bool) {
        let mut record = self.record.lock();
        if cancelled {
            record.cancelled += 1;
        } else {
            record.done += 1;
        }
    }

    /// No more calls will be submitted: now their number is known.
    pub fn all_submitted(&self) {
        let mut record = self.record.lock();
        record.total = Some(record.submitted);
        record.all_submitted = true;
    }

    /// The report that the caller has to make now, if any, and to end; then it asks again.
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

    /// The report was made.
    pub fn end_report(&self, now: Instant) {
        let mut record = self.record.lock();
        record.reporting = false;
        record.due = Some(now + BETWEEN_REPORTS);
    }
}
