//! The status of a slot: the result of its last attempt, and its counts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::source::fetch::{FetchError, Reason};

/// The result of the last attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    pub ended: Instant,
    pub took: Duration,
    pub success: bool,
}

/// Counts since the slot was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotCounts {
    /// Rows cut by `max_rows`.
    pub cut: u64,
    pub duplicates: u64,
    pub invalid: u64,
    /// Labels' texts that were too long.
    pub texts: u64,
    /// Queries that failed, by reason.
    pub failures: BTreeMap<Reason, u64>,
}

/// The status of a collector, for pages and `check --connect`.
#[derive(Clone, Debug)]
pub struct CollectorStatus {
    /// `None` before the first.
    pub attempt: Option<Attempt>,
    /// There is nothing to show before the fetch in flight ends.
    pub is_late: bool,
    pub last_success: Option<SystemTime>,
    /// The age of the oldest cached table.
    pub age: Option<Duration>,
    /// Rows in the cached tables.
    pub rows: usize,
    pub errors: Vec<FetchError>,
    pub counts: SlotCounts,
}

impl CollectorStatus {
    /// Merges the same collector in two databases: the worse result, the older age.
    pub fn merge(mut self, other: CollectorStatus) -> CollectorStatus {
        self.attempt = match (self.attempt, other.attempt) {
            (Some(one), Some(two)) => Some(Attempt {
                ended: one.ended.max(two.ended),
                took: one.took + two.took,
                success: one.success && two.success,
            }),
            (one, two) => one.or(two),
        };
        self.is_late |= other.is_late;
        self.last_success = self.last_success.zip(other.last_success).map(|(one, two)| one.min(two));
        self.age = self.age.max(other.age);
        self.rows += other.rows;
        self.errors.extend(other.errors);
        self.counts.add(other.counts);
        self
    }
}

impl SlotCounts {
    pub fn add_failure(&mut self, reason: Reason, times: u64) {
        *self.failures.entry(reason).or_default() += times;
    }

    fn add(&mut self, other: SlotCounts) {
        self.cut += other.cut;
        self.duplicates += other.duplicates;
        self.invalid += other.invalid;
        self.texts += other.texts;
        for (reason, times) in other.failures {
            self.add_failure(reason, times);
        }
    }
}
