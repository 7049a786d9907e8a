//! The measurements on one path, which scrapes and `pgvigil probe` read.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use strum::EnumCount;
use tokio::time::Instant;

use crate::circuit_breaker::CircuitBreaker;
use crate::probe::attempt::{FailureReason, PathAttempt, Phase};
use crate::probe::check::ProbeCheck;
use crate::probe::comparison::Comparison;
use crate::probe::histogram::{Bounds, DurationHistogram};
use crate::probe::write_visibility::WriteVisibility;

/// The number of recent attempts kept in detail.
const FAILURES_KEPT: usize = 20;
const SUCCESSES_KEPT: usize = 5;

/// How long a path rests after its circuit breaker opened.
const BREAKER_REST: Duration = Duration::from_secs(30);

/// How often a path checks for the probe's tables while they do not exist.
const SCHEMA_RETRY: Duration = Duration::from_secs(60);

/// The measurements on a path. A query is identified by its index among the checks.
#[derive(Default)]
pub struct PathStats {
    bounds: Bounds,
    /// By query and phase; a phase of the connection has no query.
    pub durations: BTreeMap<(Option<usize>, Phase), DurationHistogram>,
    /// By query: the attempts that were due, including those not made.
    pub attempts: BTreeMap<usize, u64>,
    pub failures: BTreeMap<(usize, Phase, FailureReason), u64>,
    /// Attempts that began late, because the previous one was still running.
    pub late: u64,
    pub missed: u64,
    pub breaker: CircuitBreaker,
    /// By query, in the order of [`Comparison`]. All are shown from the first answer on, so that the first wrong
    /// one is an increase.
    pub comparisons: BTreeMap<usize, [u64; Comparison::COUNT]>,
    pub visibility: WriteVisibility,
    /// The expiry of the last certificate that the server presented.
    pub certificate_expiry: Option<SystemTime>,
    /// Whether the probe's tables exist; `None` before the first query that reads them.
    pub is_schema_installed: Option<bool>,
    schema_retry_at: Option<Instant>,
    /// In a run that reports exact quantiles.
    keeps_totals: bool,
    /// By query: the duration of each success, if these are kept.
    pub totals: BTreeMap<usize, Vec<Duration>>,
    pub last_failures: VecDeque<PathAttempt>,
    pub last_successes: VecDeque<PathAttempt>,
}

impl PathStats {
    pub fn new(bounds: Bounds, keeps_totals: bool) -> Self {
        let breaker = CircuitBreaker::with_rest(BREAKER_REST);
        PathStats { bounds, breaker, keeps_totals, ..PathStats::default() }
    }

    /// Returns whether a query may run: without the probe's tables, one that needs them is tried once a minute.
    pub fn may_run(&self, check: &ProbeCheck, now: Instant) -> bool {
        !check.needs_schema || self.schema_retry_at.is_none_or(|at| now >= at)
    }

    /// Counts an attempt that was due but not made.
    pub fn count_skipped(&mut self, query: usize, reason: FailureReason) {
        *self.attempts.entry(query).or_default() += 1;
        *self.failures.entry((query, Phase::Total, reason)).or_default() += 1;
    }

    /// Counts an attempt, and passes it to the circuit breaker. Missing tables of the probe are not a failure, and not
    /// counted.
    pub fn record(&mut self, query: usize, check: &ProbeCheck, attempt: PathAttempt) {
        let (now, reason) = (Instant::now(), attempt.reason());
        if reason.is_some_and(FailureReason::is_of_path) {
            self.breaker.record_failure(now);
        } else {
            self.breaker.record_success();
        }
        if check.needs_schema && reason == Some(FailureReason::Undefined) {
            self.is_schema_installed = Some(false);
            self.schema_retry_at = Some(now + SCHEMA_RETRY);
            return;
        }
        if check.needs_schema && reason.is_none() {
            self.is_schema_installed = Some(true);
            self.schema_retry_at = None;
        }
        self.count(query, &attempt);
        self.remember(attempt);
    }

    fn count(&mut self, query: usize, attempt: &PathAttempt) {
        for (phase, took) in &attempt.trace.phases {
            self.observe(query, *phase, *took);
        }
        self.certificate_expiry = attempt.trace.certificate_expiry.or(self.certificate_expiry);
        *self.attempts.entry(query).or_default() += 1;
        if let Some(failure) = &attempt.failure {
            *self.failures.entry((query, failure.phase, failure.reason)).or_default() += 1;
            return;
        }
        self.observe(query, Phase::Total, attempt.took);
        if self.keeps_totals {
            self.totals.entry(query).or_default().push(attempt.took);
        }
    }

    fn observe(&mut self, query: usize, phase: Phase, took: Duration) {
        let query = (!phase.is_of_connection()).then_some(query);
        let new = || DurationHistogram::new(self.bounds.clone());
        self.durations.entry((query, phase)).or_insert_with(new).observe(took);
    }

    pub fn count_comparison(&mut self, query: usize, comparison: Comparison) {
        self.comparisons.entry(query).or_default()[comparison as usize] += 1;
    }

    /// The durations of a query's successes.
    pub fn successes(&self, query: usize) -> Option<&DurationHistogram> {
        self.durations.get(&(Some(query), Phase::Total))
    }

    /// Keeps an attempt in place of the oldest of its kind.
    pub fn remember(&mut self, attempt: PathAttempt) {
        let (kept, most) = match attempt.failure {
            Some(_) => (&mut self.last_failures, FAILURES_KEPT),
            None => (&mut self.last_successes, SUCCESSES_KEPT),
        };
        kept.push_back(attempt);
        if kept.len() > most {
            kept.pop_front();
        }
    }
}
