//! The circuit breaker of a target: after five connection-level failures in a row it opens, and scrapes no longer
//! wait long for a server that is not there. It stops fetches, not detection: each scrape still asks for a moment.

use std::time::Duration;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// How long an open breaker lets a scrape wait for the one login.
pub const PATIENCE_WHEN_OPEN: Duration = Duration::from_millis(900);

#[derive(Debug, Default)]
pub struct CircuitBreaker {
    failures: u32,
    trips: u64,
}

impl CircuitBreaker {
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; true if this one opened the breaker.
    pub fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        let tripped = self.failures == FAILURES;
        // Not `+= u64::from(tripped)`: optimised, rustc up to 1.96 at least adds nothing then (rust-lang/rust#158206), and counted no trip
        // in a release. `scripts/check-compiler` tries what we write instead.
        if tripped {
            self.trips += 1;
        }
        tripped
    }

    pub fn is_open(&self) -> bool {
        self.failures >= FAILURES
    }

    /// How often it has opened.
    pub fn trips(&self) -> u64 {
        self.trips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_five_failures_in_a_row_and_closes_on_success() {
        let mut breaker = CircuitBreaker::default();
        (0..4).for_each(|_| assert!(!breaker.failed()));
        breaker.succeeded();
        (0..4).for_each(|_| assert!(!breaker.failed()));
        assert!(!breaker.is_open());
        assert!(breaker.failed() && breaker.is_open());
        assert!(!breaker.failed(), "it opens once");
        breaker.succeeded();
        assert!(!breaker.is_open());
        assert_eq!(breaker.trips(), 1);
    }
}
