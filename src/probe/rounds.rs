//! The clock of a path: which query is due when, and what becomes of it.
//!
//! Queries come at a fixed rate, spread over the interval, one after the other; the paths' turns lie between each other's. What
//! comes late is measured from when it should have come, so a path that hangs cannot hide that by being asked less often.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep_until};

use crate::probe::{
    ProbeState,
    attempt::{AttemptError, FailureReason, Phase, Trace},
    check::{How, token_of},
    stats::Remembered,
};

/// How late the clock itself may be (it counts milliseconds); what is later was kept waiting.
const COARSE: Duration = Duration::from_millis(5);

/// Many readers at once come once in so many rounds.
const STAMPEDE_EVERY: usize = 12;

/// One path's turns.
pub struct Rounds {
    course: Arc<ProbeState>,
    route: usize,
    /// When the next query is due.
    due: Instant,
    /// From one query to the next.
    step: Duration,
    /// How many queries are still to come, if there is an end.
    left: Option<u64>,
}

impl Rounds {
    /// Those of all paths.
    pub fn all(course: &Arc<ProbeState>, rounds: Option<u64>) -> impl Iterator<Item = Rounds> {
        let (queries, paths) = (course.questions.len(), course.routes.len());
        let step = course.settings.interval / u32::try_from(queries).unwrap_or(u32::MAX).max(1);
        let shift = step / u32::try_from(paths).unwrap_or(u32::MAX).max(1);
        let start = Instant::now();
        let left = rounds.map(|rounds| rounds.saturating_mul(queries as u64));
        (0..paths).map(move |route| {
            let due = start + shift * u32::try_from(route).unwrap_or_default();
            Rounds { course: course.clone(), route, due, step, left }
        })
    }

    /// Asks each query in its turn.
    pub async fn run(mut self) {
        for (turns, query) in (0..self.course.questions.len()).cycle().enumerate() {
            if self.left == Some(0) {
                return;
            }
            self.left = self.left.map(|left| left - 1);
            sleep_until(self.due).await;
            let (course, due) = (self.course.clone(), self.due);
            self.due += self.step;
            course.turn(self.route, query, due).await;
            if turns % (STAMPEDE_EVERY * course.questions.len()) == 0 {
                course.stampede(self.route, query).await;
            }
        }
    }
}

impl ProbeState {
    /// A query's turn on a path.
    async fn turn(&self, path: usize, query: usize, due: Instant) {
        let (route, question) = (&self.routes[path], &self.questions[query]);
        let now = Instant::now();
        let skipped = {
            let mut board = route.board.lock();
            if !question.is_asked_on(&route.path.name) || question.needs_schema && !board.has_schema(now) {
                return;
            }
            let skipped = if now >= due + self.settings.interval {
                board.missed += 1;
                Some(AttemptError::new(
                    FailureReason::Missed,
                    Phase::Total,
                    "its next turn had come before it could begin",
                ))
            } else if !board.breaker.allows(now) {
                Some(AttemptError::new(FailureReason::CircuitOpen, Phase::Total, "not tried: the circuit is open"))
            } else {
                None
            };
            if let Some(failure) = &skipped {
                board.count(query, Duration::ZERO, &Trace::default(), Err(failure));
            }
            skipped
        };
        if skipped.is_none() {
            self.attempt(path, query, due).await;
        }
    }

    /// Many readers at once on a path that has a cache, while the circuit is closed.
    async fn stampede(&self, path: usize, query: usize) {
        let route = &self.routes[path];
        let now = Instant::now();
        if route.cache().is_some() && route.board.lock().breaker.allows(now) {
            route.stampede(&self.questions[query], now + self.settings.timeout).await;
        }
    }

    /// Makes an attempt, and counts it.
    async fn attempt(&self, path: usize, query: usize, due: Instant) {
        let (route, question) = (&self.routes[path], &self.questions[query]);
        let (now, at) = (Instant::now(), SystemTime::now());
        let is_late = now.duration_since(due) > COARSE;
        let began = if is_late { due } else { now };
        let mut trace = Trace::default();
        let outcome = route.ask(question, now + self.settings.timeout, &mut trace).await;
        let (took, ended) = (began.elapsed(), Instant::now());
        match (&outcome, question.how) {
            (Ok(answer), How::Token) => _ = self.written.send_replace(token_of(answer).map(|token| (token, ended))),
            (Ok(answer), _) => self.compare(path, query, answer),
            (Err(_), _) => (),
        }
        let mut board = route.board.lock();
        if is_late {
            board.late += 1;
        }
        match &outcome {
            Err(failure) if question.needs_schema && failure.reason == FailureReason::Undefined => {
                board.breaker.record_success();
                return board.schema_is_absent(ended);
            }
            Err(failure) if failure.reason.is_of_path() => _ = board.breaker.record_failure(ended),
            _ => board.breaker.record_success(),
        }
        if question.needs_schema && outcome.is_ok() {
            board.schema_is_there();
        }
        let failure = outcome.err();
        board.count(query, took, &trace, failure.as_ref().map_or(Ok(()), Err));
        board.remember(Remembered { at, query: question.name.clone(), took, phases: trace.phases, failure });
    }
}
