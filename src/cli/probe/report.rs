//! The report of `pgvigil probe`: the latency of each query on each path, and how much faster one path is than another.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::probe::attempt::{FailureReason, Phase};
use crate::probe::path_runner::PathRunner;
use crate::probe::state::ProbeState;
use crate::probe::stats::PathStats;

/// The share of the attempts that must succeed within the objective.
const OBJECTIVE_SHARE: f64 = 0.95;

/// The kinds of path to compare: the first should be faster than the second.
const COMPARED: [(&str, &str); 3] = [("cached", "pooled"), ("pooled", "direct"), ("cached", "direct")];

/// The results of a run.
pub struct ProbeReport {
    target: String,
    installed: bool,
    results: Vec<QueryResult>,
    speed_up: Vec<SpeedUp>,
}

/// The results of one query on one path.
struct QueryResult {
    path: String,
    query: String,
    attempts: u64,
    errors: u64,
    failures: Vec<FailureGroup>,
    /// The time within which 50, 95 and 99 % of the attempts succeeded, if that many did; and the time of the slowest
    /// success.
    times_ms: [Option<f64>; 4],
    objective_ms: f64,
    objective_met: bool,
}

/// Attempts that failed in the same phase for the same reason.
struct FailureGroup {
    phase: &'static str,
    reason: &'static str,
    times: u64,
    /// The message of the last failure, if the path still has it.
    message: Option<String>,
}

/// `path` is this many times as fast as `over`, by the means of all successes.
struct SpeedUp {
    path: String,
    /// Whether it is a cache, whose misses are in the mean.
    is_cached: bool,
    over: String,
    times: f64,
}

impl ProbeReport {
    pub fn new(target: &str, state: &ProbeState) -> Self {
        let (mut results, mut installed) = (Vec::new(), true);
        for runner in &state.paths {
            let stats = runner.stats.lock();
            installed &= stats.is_schema_installed != Some(false);
            for (query, attempts) in &stats.attempts {
                results.push(result(*query, *attempts, state, runner, &stats));
            }
        }
        let speed_up = COMPARED.iter().filter_map(|(fast, slow)| speed_up(state, fast, slow)).collect();
        ProbeReport { target: target.to_owned(), installed, results, speed_up }
    }

    /// The results that miss their objective: `path/query`.
    pub fn missed(&self) -> Vec<String> {
        let missed = self.results.iter().filter(|result| !result.objective_met);
        missed.map(|result| format!("{}/{}", result.path, result.query)).collect()
    }

    pub fn json(&self) -> String {
        let results: Vec<_> = self.results.iter().map(QueryResult::json).collect();
        let speed_up =
            |SpeedUp { path, over, times, .. }: &SpeedUp| json!({ "path": path, "over": over, "times": times });
        let speed_up: Vec<_> = self.speed_up.iter().map(speed_up).collect();
        let (target, installed) = (&self.target, self.installed);
        let report = json!({ "target": target, "installed": installed, "results": results, "speed_up": speed_up });
        format!("{report:#}\n")
    }

    pub fn text(&self) -> String {
        let path_width = self.results.iter().map(|result| result.path.len()).max().unwrap_or(0).max(5);
        let query_width = self.results.iter().map(|result| result.query.len()).max().unwrap_or(0).max(5);
        let mut text = format!(
            "{:path_width$}  {:query_width$} {:>9} {:>9} {:>9} {:>9} {:>7}  objective\n",
            "path", "query", "p50", "p95", "p99", "max", "errors"
        );
        for result in &self.results {
            let QueryResult { path, query, errors, .. } = result;
            let [p50, p95, p99, max] = result.times_ms.map(|time| time.map_or("-".to_owned(), duration_text));
            let objective = duration_text(result.objective_ms);
            let met = if result.objective_met { "met" } else { "MISSED" };
            _ = writeln!(
                text,
                "{path:path_width$}  {query:query_width$} {p50:>9} {p95:>9} {p99:>9} {max:>9} {errors:>7}  {objective} {met}"
            );
        }
        for result in &self.results {
            for FailureGroup { phase, reason, times, message } in &result.failures {
                let message = message.as_ref().map_or(String::new(), |message| format!(": {message}"));
                let QueryResult { path, query, .. } = result;
                _ = writeln!(text, "failed: {path}/{query}: {reason} in phase {phase}, {times} times{message}");
            }
        }
        for SpeedUp { path, is_cached, over, times } in &self.speed_up {
            let misses = if *is_cached { ", misses included" } else { "" };
            _ = writeln!(text, "{path} is {times:.1} times as fast as {over} on average{misses}");
        }
        if !self.installed {
            text += "the probe's tables do not exist, so only round_trip and your own queries ran: `pgvigil probe --install` creates them\n";
        }
        text
    }
}

impl QueryResult {
    fn json(&self) -> Value {
        let mut failures = Vec::new();
        for FailureGroup { phase, reason, times, message } in &self.failures {
            failures.push(json!({ "phase": phase, "reason": reason, "times": times, "message": message }));
        }
        let [p50, p95, p99, max] = self.times_ms;
        json!({
            "path": self.path,
            "query": self.query,
            "attempts": self.attempts,
            "errors": self.errors,
            "failures": failures,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "max_ms": max,
            "objective_ms": self.objective_ms,
            "objective_met": self.objective_met,
        })
    }
}

fn result(query: usize, attempts: u64, state: &ProbeState, runner: &PathRunner, stats: &PathStats) -> QueryResult {
    let check = &state.checks[query];
    let objective = runner.objective(check);
    let mut totals = stats.totals.get(&query).cloned().unwrap_or_default();
    totals.sort_unstable();
    // A failure is slower than any success.
    let quantile = |share: f64| {
        let rank = (attempts as f64 * share).ceil().max(1.0) as usize;
        totals.get(rank - 1).copied()
    };
    let mut failures = Vec::new();
    for (&(of, phase, reason), &times) in &stats.failures {
        if of == query {
            let message = last_message(stats, &check.name, phase, reason);
            failures.push(FailureGroup { phase: phase.into_str(), reason: reason.into_str(), times, message });
        }
    }
    QueryResult {
        path: runner.path.name.clone(),
        query: check.name.clone(),
        attempts,
        errors: attempts - totals.len() as u64,
        failures,
        times_ms: [quantile(0.5), quantile(0.95), quantile(0.99), totals.last().copied()].map(|time| time.map(millis)),
        objective_ms: millis(objective),
        objective_met: quantile(OBJECTIVE_SHARE).is_some_and(|took| took <= objective),
    }
}

fn last_message(stats: &PathStats, query: &str, phase: Phase, reason: FailureReason) -> Option<String> {
    let attempts = stats.last_failures.iter().rev().filter(|attempt| attempt.query == query);
    let mut failures = attempts.filter_map(|attempt| attempt.failure.as_ref());
    let last = failures.find(|failure| failure.phase == phase && failure.reason == reason)?;
    Some(last.message.to_string())
}

/// The speed-up from the first path of one kind to the first of another, if both had a success.
fn speed_up(state: &ProbeState, fast: &str, slow: &str) -> Option<SpeedUp> {
    let (path, took) = first_mean(state, fast)?;
    let (over, longer) = first_mean(state, slow)?;
    Some(SpeedUp { path, is_cached: fast == "cached", over, times: longer / took })
}

/// The first path of this kind with a success, and its mean in seconds, in which each query weighs the same.
fn first_mean(state: &ProbeState, kind: &str) -> Option<(String, f64)> {
    let mut of_kind = state.paths.iter().filter(|runner| runner.path.kind.into_str() == kind);
    of_kind.find_map(|runner| Some((runner.path.name.clone(), mean(&runner.stats.lock())?)))
}

fn mean(stats: &PathStats) -> Option<f64> {
    let mean = |totals: &Vec<Duration>| totals.iter().sum::<Duration>().as_secs_f64() / totals.len() as f64;
    let queries = stats.totals.len();
    (queries > 0).then(|| stats.totals.values().map(mean).sum::<f64>() / queries as f64)
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// `850us`, `1.25ms`, `2.5s`.
fn duration_text(millis: f64) -> String {
    if millis < 1.0 {
        format!("{:.0}us", millis * 1000.0)
    } else if millis < 1000.0 {
        format!("{}ms", (millis * 100.0).round() / 100.0)
    } else {
        format!("{}s", millis.round() / 1000.0)
    }
}
