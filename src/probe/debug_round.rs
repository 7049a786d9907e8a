//! Runs one extra round over a path, for people who want to see its phases and recent attempts.
//!
//! It only reads, and is not counted, so that it cannot change the measurements. It is rare: a path runs at most one in
//! its interval, and in 5 s.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::probe::attempt::{FailureReason, PathAttempt, Phase};
use crate::probe::path_runner::PathRunner;
use crate::probe::state::ProbeState;
use crate::settings::probe::WRITE;

/// The shortest time between two rounds on a path.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

/// The attempts of a round over a path, and those that the path has kept; the newest last.
pub struct DebugRound {
    path: String,
    pub attempts: Vec<PathAttempt>,
    last_failures: VecDeque<PathAttempt>,
    last_successes: VecDeque<PathAttempt>,
}

/// Why a round is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum DebugRefusal {
    /// The path does not exist; the text lists those that do.
    Unknown(String),
    /// Another round began recently; how long to wait.
    TooSoon(Duration),
    /// It panicked.
    Broken(String),
}

impl ProbeState {
    /// Runs all queries over a path now. A round continues to its end even without a caller: stopped in the middle of a
    /// query, it would cost the path its persistent connection.
    ///
    /// # Errors
    /// The path does not exist, or another round began recently.
    pub async fn debug_round(self: &Arc<Self>, path: &str) -> Result<DebugRound, DebugRefusal> {
        let (index, state) = (self.reading_path(path)?, self.clone());
        self.limit_rate(&self.paths[index])?;
        let round = tokio::spawn(async move {
            let runner = &state.paths[index];
            let attempts = state.run_all(runner).await;
            let mut stats = runner.stats.lock();
            for attempt in &attempts {
                stats.remember(attempt.clone());
            }
            DebugRound {
                path: runner.description(),
                attempts,
                last_failures: stats.last_failures.clone(),
                last_successes: stats.last_successes.clone(),
            }
        });
        round.await.map_err(|error| DebugRefusal::Broken(error.to_string()))
    }

    /// The index of the path of this name, unless it is the one that writes.
    fn reading_path(&self, name: &str) -> Result<usize, DebugRefusal> {
        let names: Vec<_> = self.paths.iter().map(|runner| runner.path.name.as_str()).collect();
        names.iter().position(|known| *known == name && name != WRITE).ok_or_else(|| {
            let reading: Vec<_> = names.into_iter().filter(|name| *name != WRITE).collect();
            DebugRefusal::Unknown(format!("no path {name:?}; `path=` is one of {}", reading.join(", ")))
        })
    }

    fn limit_rate(&self, runner: &PathRunner) -> Result<(), DebugRefusal> {
        let (mut last, now) = (runner.last_debug_round.lock(), Instant::now());
        let interval = SHORTEST_INTERVAL.max(self.settings.interval);
        if let Some(since) = last.map(|last| now.duration_since(last)).filter(|since| *since < interval) {
            return Err(DebugRefusal::TooSoon(interval - since));
        }
        *last = Some(now);
        Ok(())
    }

    /// Runs each query once, until the path itself fails. Missing tables of the probe are not a failure.
    async fn run_all(&self, runner: &PathRunner) -> Vec<PathAttempt> {
        let has_schema = runner.stats.lock().is_schema_installed != Some(false);
        let mut attempts = Vec::new();
        for check in &self.checks {
            if !check.runs_on(&runner.path.name) || check.needs_schema && !has_schema {
                continue;
            }
            let (attempt, _) = runner.attempt(check, Instant::now()).await;
            let reason = attempt.reason();
            if check.needs_schema && reason == Some(FailureReason::Undefined) {
                continue;
            }
            attempts.push(attempt);
            if reason.is_some_and(FailureReason::is_of_path) {
                break;
            }
        }
        attempts
    }
}

impl DebugRound {
    /// The round as text; `in_full` adds the phases of each attempt, and the attempts that the path has kept.
    pub fn text(&self, in_full: bool) -> String {
        let mut text = format!("{}\n", self.path);
        self.attempts.iter().for_each(|attempt| push(&mut text, attempt, in_full));
        if in_full {
            for (what, kept) in [("failures", &self.last_failures), ("successes", &self.last_successes)] {
                _ = writeln!(text, "\nlast {what}, the newest first:");
                kept.iter().rev().for_each(|attempt| push(&mut text, attempt, true));
                if kept.is_empty() {
                    text.push_str("none\n");
                }
            }
        }
        text
    }
}

/// Adds a line, optionally with the phases of the attempt.
fn push(text: &mut String, attempt: &PathAttempt, with_phases: bool) {
    let at = humantime::format_rfc3339_millis(attempt.at);
    _ = match &attempt.failure {
        None => write!(text, "{at} {} succeeded in {:.3?}", attempt.query, attempt.took),
        Some(failure) => write!(
            text,
            "{at} {} failed after {:.3?} in phase {}, reason {}: {}",
            attempt.query,
            attempt.took,
            failure.phase.into_str(),
            failure.reason.into_str(),
            failure.message
        ),
    };
    if with_phases && !attempt.trace.phases.is_empty() {
        let phase = |(phase, took): &(Phase, Duration)| format!("{} {took:.3?}", phase.into_str());
        _ = write!(text, " ({})", attempt.trace.phases.iter().map(phase).collect::<Vec<_>>().join(", "));
    }
    text.push('\n');
}
