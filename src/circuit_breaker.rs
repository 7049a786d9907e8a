//! A circuit breaker: it tells when to stop trying, or stop waiting for, something that keeps failing.
//!
//! ```text
//!            5 failures in a row           `rest` has passed
//!   closed ----------------------> open ---------------------> half-open
//!     ^                             ^                            |    |
//!     |                             +------ the trial fails -----+    |
//!     +------------------------- the trial succeeds ------------------+
//! ```
//!
//! There are two of them, and `rest` is what tells them apart:
//! - A path of the probe rests for half a minute. Until then nothing is sent over it, and the next attempt is the trial. One attempt at
//!   a time is made on a path, so there is one trial.
//! - A target has no rest: each scrape is a trial, so that the first scrape after a recovery says up. What the open breaker ends is
//!   patience: a scrape then waits for the login 0.9 s at most instead of 10 s.
//!
//! Failures count in a row: one success closes the breaker and forgets them.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// A closed one; the default has no rest.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    /// How long it stays open before a trial.
    rest: Duration,
    failures: u32,
    /// When it opened, or the last trial failed; `None` while it is closed.
    opened: Option<Instant>,
    trips: u64,
}

impl CircuitBreaker {
    pub fn with_rest(rest: Duration) -> Self {
        CircuitBreaker { rest, ..CircuitBreaker::default() }
    }

    pub fn record_success(&mut self) {
        self.failures = 0;
        self.opened = None;
    }

    /// Counts a failure; true if this one opened a closed breaker.
    pub fn record_failure(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES {
            return false;
        }
        let tripped = self.opened.replace(now).is_none();
        // Not `+= u64::from(tripped)`: optimised, rustc up to 1.96 at least adds nothing then (rust-lang/rust#158206), and counted no trip
        // in a release. `scripts/check-compiler` tries what we write instead.
        if tripped {
            self.trips += 1;
        }
        tripped
    }

    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Whether an attempt may be made now: the breaker is closed, or this is the trial.
    pub fn allows(&self, now: Instant) -> bool {
        self.opened.is_none_or(|opened| now.duration_since(opened) >= self.rest)
    }

    /// As metrics show it: 0 closed, 1 half-open (a trial is due or under way), 2 open.
    pub fn state(&self, is_trial: bool) -> i64 {
        match (self.is_open(), is_trial) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        }
    }

    /// How often it has opened.
    pub fn trips(&self) -> u64 {
        self.trips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_five_failures_rests_and_tries_once() {
        for rest in [0, 30].map(Duration::from_secs) {
            let mut breaker = CircuitBreaker::with_rest(rest);
            let mut trips = 0;
            for round in 0..3 {
                for failures in 1..=4 {
                    assert!(!breaker.record_failure(Instant::now()), "{failures} in round {round}");
                    assert_eq!((breaker.state(true), breaker.state(false), breaker.is_open()), (0, 0, false));
                    assert!(breaker.allows(Instant::now()));
                }
                if round == 1 {
                    breaker.record_success();
                    continue;
                }
                assert!(breaker.record_failure(Instant::now()), "the fifth opens it");
                trips += 1;
                for trial in 0..3 {
                    assert_eq!((breaker.state(true), breaker.state(false), breaker.is_open()), (1, 2, true));
                    assert_eq!(breaker.allows(Instant::now()), rest.is_zero());
                    tokio::time::advance(rest.saturating_sub(Duration::from_secs(1))).await;
                    assert_eq!(breaker.allows(Instant::now()), rest.is_zero());
                    tokio::time::advance(Duration::from_secs(1)).await;
                    assert!(breaker.allows(Instant::now()), "a trial");
                    assert!(!breaker.record_failure(Instant::now()), "trial {trial} that fails is not a trip");
                }
                assert_eq!(breaker.trips(), trips);
                breaker.record_success();
                assert_eq!((breaker.state(true), breaker.is_open()), (0, false));
            }
            assert_eq!(trips, 2);
        }
    }
}
