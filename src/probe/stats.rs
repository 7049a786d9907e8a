//! What has been measured on one path: counted once, read by scrapes and by `pgvigil probe`.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    circuit_breaker::CircuitBreaker,
    probe::{
        attempt::{AttemptError, FailureReason, Phase, Trace},
        compare::Comparison,
        histogram::{Bounds, DurationHistogram},
        write_visibility::Visible,
    },
};

/// Failures and successes that are remembered whole; a failure stays while twenty others come, a success while five do.
const FAILURES_KEPT: usize = 20;
const SUCCESSES_KEPT: usize = 5;

/// How long a path whose circuit breaker is open is not tried.
const REST: Duration = Duration::from_secs(30);

/// How long the probe's tables, if they are not there, are not asked for again.
const ABSENT_FOR: Duration = Duration::from_secs(60);

/// Attempts of one query.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attempts {
    /// Every one that was due, also if nothing was sent.
    pub due: u64,
    pub successes: u64,
}

/// An attempt that is remembered.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub at: SystemTime,
    pub query: String,
    pub took: Duration,
    pub phases: Vec<(Phase, Duration)>,
    pub failure: Option<AttemptError>,
}

/// All that is counted on a path. Queries are named by their place among the questions.
pub struct PathStats {
    bounds: Bounds,
    /// By query (`None`: phases of a connection, whatever is asked over it) and phase.
    pub durations: BTreeMap<(Option<usize>, Phase), DurationHistogram>,
    pub attempts: BTreeMap<usize, Attempts>,
    pub failures: BTreeMap<(usize, Phase, FailureReason), u64>,
    /// Attempts that began late because the one before them was still under way.
    pub late: u64,
    pub missed: u64,
    pub breaker: CircuitBreaker,
    /// Answers, beside the primary's: how many of each verdict, in the order of [`Comparison::ALL`]. All are told from the first answer
    /// on, so that the first wrong one is an increase.
    pub verdicts: BTreeMap<usize, [u64; Comparison::ALL.len()]>,
    /// The tokens that the path shows.
    pub visible: Visible,
    /// When the certificate ends that the server has shown last.
    pub expires: Option<SystemTime>,
    /// Whether the probe's tables are there; `None` until they have been asked for.
    pub installed: Option<bool>,
    absent_until: Option<Instant>,
    /// Every total by query, of a run that is to be told exactly.
    pub totals: Option<BTreeMap<usize, Vec<Duration>>>,
    pub failed: VecDeque<Remembered>,
    pub succeeded: VecDeque<Remembered>,
}

impl PathStats {
    pub fn new(bounds: Bounds) -> Self {
        PathStats {
            bounds,
            durations: BTreeMap::new(),
            attempts: BTreeMap::new(),
            failures: BTreeMap::new(),
            late: 0,
            missed: 0,
            breaker: CircuitBreaker::with_rest(REST),
            verdicts: BTreeMap::new(),
            visible: Visible::default(),
            expires: None,
            installed: None,
            absent_until: None,
            totals: None,
            failed: VecDeque::new(),
            succeeded: VecDeque::new(),
        }
    }

    /// Whether a query of the probe's own tables is worth asking.
    pub fn has_schema(&self, now: Instant) -> bool {
        self.absent_until.is_none_or(|until| now >= until)
    }

    /// The probe's tables are not there: that is no failure, and was no attempt.
    pub fn schema_is_absent(&mut self, now: Instant) {
        self.installed = Some(false);
        self.absent_until = Some(now + ABSENT_FOR);
    }

    pub fn schema_is_there(&mut self) {
        self.installed = Some(true);
        self.absent_until = None;
    }

    /// Counts an attempt and how it ended, `took` after it should have begun.
    pub fn count(&mut self, query: usize, took: Duration, trace: &Trace, outcome: Result<(), &AttemptError>) {
        let attempts = self.attempts.entry(query).or_default();
        attempts.due += 1;
        if outcome.is_ok() {
            attempts.successes += 1;
        }
        for (phase, took) in &trace.phases {
            self.observe(query, *phase, *took);
        }
        self.expires = trace.expires.or(self.expires);
        match outcome {
            Ok(()) => {
                self.observe(query, Phase::Total, took);
                if let Some(totals) = &mut self.totals {
                    totals.entry(query).or_default().push(took);
                }
            }
            Err(failure) => *self.failures.entry((query, failure.phase, failure.reason)).or_default() += 1,
        }
    }

    /// Counts an answer, beside the primary's.
    pub fn judge(&mut self, query: usize, verdict: Comparison) {
        self.verdicts.entry(query).or_default()[verdict as usize] += 1;
    }

    /// How many attempts of a query succeeded within its objective.
    pub fn within(&self, query: usize, objective: Duration) -> u64 {
        self.durations.get(&(Some(query), Phase::Total)).map_or(0, |histogram| histogram.within(objective))
    }

    fn observe(&mut self, query: usize, phase: Phase, took: Duration) {
        let query = (!phase.is_of_connection()).then_some(query);
        let bounds = &self.bounds;
        self.durations.entry((query, phase)).or_insert_with(|| DurationHistogram::new(bounds.clone())).observe(took);
    }

    /// Remembers an attempt whole.
    pub fn remember(&mut self, attempt: Remembered) {
        let (kept, most) = match attempt.failure {
            Some(_) => (&mut self.failed, FAILURES_KEPT),
            None => (&mut self.succeeded, SUCCESSES_KEPT),
        };
        kept.push_back(attempt);
        if kept.len() > most {
            kept.pop_front();
        }
    }
}
