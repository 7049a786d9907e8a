//! A round at once over one path, for people who want to see what it meets: its phases, and what the path remembers.
//!
//! It is not counted, so that nobody who asks changes what is measured; and it is seldom: a path does so once in its
//! interval, and in 5 s, at most. It only reads.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::probe::{
    ProbeState,
    attempt::{FailureReason, Phase, Trace},
    check::How,
    path_runner::PathRunner,
    stats::Remembered,
};

/// The shortest time between two rounds that are asked for on a path.
const REST: Duration = Duration::from_secs(5);

/// What a round over a path met, and what the path remembers of rounds before it; the newest last.
pub struct DebugRound {
    path: String,
    pub attempts: Vec<Remembered>,
    failed: Vec<Remembered>,
    succeeded: Vec<Remembered>,
}

/// Why there is no round.
#[derive(Clone, Debug, PartialEq)]
pub enum DebugRefusal {
    /// There is no such path; which there are.
    Unknown(String),
    /// One was asked for a short while ago; how long to wait.
    TooSoon(Duration),
    /// It panicked.
    Broken(String),
}

impl ProbeState {
    /// Goes over a path now. A round that has begun comes to its end though nobody waits for it any more: cut in the middle of a check,
    /// it would cost the path its kept connection.
    ///
    /// # Errors
    /// There is no such path, or a round was asked for a short while ago.
    pub async fn debug_round(self: &Arc<Self>, path: &str) -> Result<DebugRound, DebugRefusal> {
        let (index, state) = (self.readable(path)?, self.clone());
        self.rest(&self.routes[index])?;
        let round = tokio::spawn(async move {
            let route = &state.routes[index];
            let attempts = state.round(route).await;
            let mut board = route.board.lock();
            attempts.iter().for_each(|attempt| board.remember(attempt.clone()));
            DebugRound {
                path: route.description(),
                attempts,
                failed: board.failed.iter().cloned().collect(),
                succeeded: board.succeeded.iter().cloned().collect(),
            }
        });
        round.await.map_err(|error| DebugRefusal::Broken(error.to_string()))
    }

    /// Which path has this name, if it only reads.
    fn readable(&self, path: &str) -> Result<usize, DebugRefusal> {
        let reads =
            |route: &PathRunner| self.questions.iter().all(|q| q.how != How::Token || !q.is_asked_on(&route.path.name));
        let found = self.routes.iter().position(|route| route.path.name == path && reads(route));
        found.ok_or_else(|| {
            let names: Vec<_> =
                self.routes.iter().filter(|route| reads(route)).map(|route| route.path.name.as_str()).collect();
            DebugRefusal::Unknown(format!("no path {path:?}; `path=` is one of {}", names.join(", ")))
        })
    }

    fn rest(&self, route: &PathRunner) -> Result<(), DebugRefusal> {
        let (mut asked, rest) = (route.asked.lock(), REST.max(self.settings.interval));
        match asked.map(|at| at.elapsed()).filter(|since| *since < rest) {
            Some(since) => Err(DebugRefusal::TooSoon(rest - since)),
            None => {
                *asked = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// Asks everything once, until the path itself fails.
    async fn round(&self, route: &PathRunner) -> Vec<Remembered> {
        let has_schema = route.board.lock().installed != Some(false);
        let asked = self.questions.iter().filter(|question| question.is_asked_on(&route.path.name));
        let mut attempts = Vec::new();
        for question in asked.filter(|question| has_schema || !question.needs_schema) {
            let (at, began, mut trace) = (SystemTime::now(), Instant::now(), Trace::default());
            let failure = route.ask(question, began + self.settings.timeout, &mut trace).await.err();
            if question.needs_schema
                && failure.as_ref().is_some_and(|failure| failure.reason == FailureReason::Undefined)
            {
                // The probe's tables are not there, which is no failure.
                continue;
            }
            let is_over = failure.as_ref().is_some_and(|failure| failure.reason.is_of_path());
            let (query, took) = (question.name.clone(), began.elapsed());
            attempts.push(Remembered { at, query, took, phases: trace.phases, failure });
            if is_over {
                break;
            }
        }
        attempts
    }
}

impl DebugRound {
    /// As a text; `in_full` with the phases of each attempt, and with what the path remembers.
    pub fn text(&self, in_full: bool) -> String {
        let mut text = format!("{}\n", self.path);
        self.attempts.iter().for_each(|attempt| push(&mut text, attempt, in_full));
        if in_full {
            for (what, kept) in [("failures", &self.failed), ("successes", &self.succeeded)] {
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

/// A line; with its phases, if they are wanted.
fn push(text: &mut String, attempt: &Remembered, with_phases: bool) {
    let at = humantime::format_rfc3339_millis(attempt.at);
    _ = match &attempt.failure {
        None => write!(text, "{at} {} succeeded in {:.3?}", attempt.query, attempt.took),
        Some(failure) => write!(
            text,
            "{at} {} failed after {:.3?} in phase {}, reason {}: {}",
            attempt.query,
            attempt.took,
            failure.phase.word(),
            failure.reason.word(),
            failure.message
        ),
    };
    if with_phases && !attempt.phases.is_empty() {
        let phase = |(phase, took): &(Phase, Duration)| format!("{} {took:.3?}", phase.word());
        _ = write!(text, " ({})", attempt.phases.iter().map(phase).collect::<Vec<_>>().join(", "));
    }
    text.push('\n');
}
