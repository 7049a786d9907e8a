//! The circuit breaker of a path: after five failures in a row it is not tried for half a minute, then once.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// How long it stays open before a trial.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct PathBreaker {
    failures: u32,
    /// When it has opened, or the last trial has failed.
    opened: Option<Instant>,
    trips: u64,
}

impl PathBreaker {
    /// Whether an attempt may be made now. One at a time is made on a path, so a trial is one.
    pub fn allows(&self, now: Instant) -> bool {
        self.opened.is_none_or(|opened| now.duration_since(opened) >= REST)
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.opened = None;
    }

    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.opened.is_some() {
            self.opened = Some(now);
        } else if self.failures >= FAILURES {
            self.opened = Some(now);
            self.trips += 1;
        }
    }

    /// 0 closed, 1 half-open (the next attempt is a trial), 2 open.
    pub fn state(&self, now: Instant) -> i64 {
        match (self.opened, self.allows(now)) {
            (None, _) => 0,
            (Some(_), true) => 1,
            (Some(_), false) => 2,
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
    async fn opens_after_five_failures_rests_and_tries_once() {
        let mut breaker = PathBreaker::default();
        let pause = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        (0..4).for_each(|_| breaker.failed(Instant::now()));
        breaker.succeeded();
        (0..4).for_each(|_| breaker.failed(Instant::now()));
        assert_eq!((breaker.state(Instant::now()), breaker.trips()), (0, 0));
        breaker.failed(Instant::now());
        assert_eq!((breaker.state(Instant::now()), breaker.trips()), (2, 1));
        pause(29).await;
        assert!(!breaker.allows(Instant::now()));
        pause(1).await;
        assert!(breaker.allows(Instant::now()) && breaker.state(Instant::now()) == 1);
        breaker.failed(Instant::now());
        assert_eq!((breaker.state(Instant::now()), breaker.trips()), (2, 1), "a trial that fails is no trip");
        pause(30).await;
        assert!(breaker.allows(Instant::now()));
        breaker.succeeded();
        assert_eq!((breaker.state(Instant::now()), breaker.trips()), (0, 1));
    }
}
