//! The clock of a path: starts each query when it is due, and records the attempt.
//!
//! Queries come at a fixed rate, spread over the interval, one after the other; the turns of the paths interleave. The
//! duration of a late query counts from when it was due, so a hanging path cannot hide by being asked less often.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::probe::attempt::{FailureReason, PathAttempt};
use crate::probe::check::{CheckMode, token_value};
use crate::probe::state::ProbeState;
use crate::probe::write_visibility::WriteToken;

/// The error of the clock itself, which counts milliseconds. A query that is later than that was kept waiting.
const CLOCK_PRECISION: Duration = Duration::from_millis(5);

/// The number of rounds from one stampede to the next.
const STAMPEDE_EVERY: usize = 12;

/// Runs the queries of one path in turn, for this many rounds or until it is aborted. All paths have the same `start`.
pub async fn run(state: Arc<ProbeState>, path: usize, start: Instant, rounds: Option<u32>) {
    let queries = state.checks.len();
    let step = state.settings.interval.div_f64(queries as f64);
    let mut due = start + step.mul_f64(path as f64 / state.paths.len() as f64);
    let turns = rounds.map_or(usize::MAX, |rounds| rounds as usize * queries);
    for turn in 0..turns {
        let query = turn % queries;
        sleep_until(due).await;
        take_turn(&state, path, query, due).await;
        if turn % (STAMPEDE_EVERY * queries) == 0 {
            state.paths[path].stampede(&state.checks[query]).await;
        }
        due += step;
    }
}

/// Runs a due query, unless it is too late or the circuit breaker is open.
async fn take_turn(state: &ProbeState, path: usize, query: usize, due: Instant) {
    let (runner, check) = (&state.paths[path], &state.checks[query]);
    let now = Instant::now();
    {
        let mut stats = runner.stats.lock();
        if !check.runs_on(&runner.path.name) || !stats.may_run(check, now) {
            return;
        }
        if now >= due + state.settings.interval {
            stats.missed += 1;
            return stats.count_skipped(query, FailureReason::Missed);
        }
        if !stats.breaker.allows(now) {
            return stats.count_skipped(query, FailureReason::CircuitOpen);
        }
    }
    let is_late = now.duration_since(due) > CLOCK_PRECISION;
    let began = if is_late { due } else { now };
    let attempt = attempt(state, path, query, began).await;
    let mut stats = runner.stats.lock();
    if is_late {
        stats.late += 1;
    }
    stats.record(query, check, attempt);
}

/// Makes an attempt. Its answer is compared with the primary's; other paths look for a token that it wrote.
async fn attempt(state: &ProbeState, path: usize, query: usize, began: Instant) -> PathAttempt {
    let check = &state.checks[query];
    let (attempt, answer) = state.paths[path].attempt(check, began).await;
    if let Some(answer) = answer {
        if check.mode == CheckMode::WriteToken {
            let committed = Instant::now();
            state.last_write.send_replace(token_value(&answer).map(|value| WriteToken { value, committed }));
        } else {
            state.compare(path, query, &answer);
        }
    }
    attempt
}
