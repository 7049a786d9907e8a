//! What `pgvigil probe` prints: how quick each query was on each path, and how much quicker one path is than another.

use std::{fmt::Write, sync::Arc, time::Duration};

use serde_json::json;

use crate::probe::{
    ProbeState,
    attempt::{FailureReason, Phase},
    stats::PathStats,
};

/// Of this share of the attempts the time counts; a failure is slower than any.
const SHARE: f64 = 0.95;

/// A run's results.
pub struct ProbeSummary {
    name: String,
    lines: Vec<ReportLine>,
    /// Speed-ups: what is quicker than what, and how many times.
    gains: Vec<(String, String, f64)>,
    installed: bool,
}

/// One query on one path.
struct ReportLine {
    path: String,
    query: String,
    attempts: u64,
    errors: u64,
    /// Of attempts that succeeded, sorted.
    totals: Vec<Duration>,
    objective: Duration,
    failures: Vec<Failed>,
}

/// Attempts that failed in the same phase for the same reason.
struct Failed {
    phase: Phase,
    reason: FailureReason,
    times: u64,
    /// What was said the last time, if that is remembered.
    message: Option<Arc<str>>,
}

impl ProbeSummary {
    pub fn of(name: &str, course: &ProbeState) -> Self {
        let mut lines = Vec::new();
        let mut means = Vec::new();
        let mut installed = true;
        for route in &course.routes {
            let board = route.board.lock();
            installed &= board.installed != Some(false);
            let of_path: Vec<_> =
                board.attempts.keys().map(|query| line(&route.path.name, *query, course, &board)).collect();
            means.push((route.path.name.clone(), route.path.kind.word(), mean(&of_path)));
            lines.extend(of_path);
        }
        ProbeSummary { name: name.to_owned(), lines, gains: gains(&means), installed }
    }

    /// What did not keep its objective: `path/query`.
    pub fn missed(&self) -> Vec<String> {
        self.lines.iter().filter(|l| !l.is_met()).map(|line| format!("{}/{}", line.path, line.query)).collect()
    }

    pub fn text(&self) -> String {
        let width =
            |of: fn(&ReportLine) -> &str| self.lines.iter().map(|line| of(line).len()).max().unwrap_or(0).max(5);
        let (paths, queries) = (width(|line| &line.path), width(|line| &line.query));
        let mut text = format!(
            "{:paths$}  {:queries$} {:>9} {:>9} {:>9} {:>9} {:>7}  objective\n",
            "path", "query", "p50", "p95", "p99", "max", "errors"
        );
        for line in &self.lines {
            let times =
                [0.5, 0.95, 0.99, 1.0].map(|share| format!("{:>9}", line.quantile(share).map_or("-".into(), show)));
            let met = if line.is_met() { "met" } else { "MISSED" };
            _ = writeln!(
                text,
                "{:paths$}  {:queries$} {} {:>7}  {} {met}",
                line.path,
                line.query,
                times.join(" "),
                line.errors,
                show(line.objective)
            );
        }
        for line in self.lines.iter().filter(|line| line.errors > 0) {
            for Failed { phase, reason, times, message } in &line.failures {
                let why = message.as_ref().map_or(String::new(), |message| format!(": {message}"));
                let (reason, phase) = (reason.word(), phase.word());
                _ = writeln!(
                    text,
                    "failed: {}/{}: {reason} in phase {phase}, {times} times{why}",
                    line.path, line.query
                );
            }
        }
        for (quick, slow, times) in &self.gains {
            _ = writeln!(text, "{quick} is {times:.1} times as quick as {slow}");
        }
        if !self.installed {
            text += "the probe's tables are not there, so only round_trip was asked: `pgvigil probe --install` makes them\n";
        }
        text
    }

    pub fn json(&self) -> String {
        let millis = |took: Option<Duration>| took.map(|took| took.as_secs_f64() * 1000.0);
        let failure = |failed: &Failed| {
            json!({
                "phase": failed.phase.word(),
                "reason": failed.reason.word(),
                "times": failed.times,
                "message": failed.message.as_deref(),
            })
        };
        let line = |line: &ReportLine| {
            json!({
                "path": line.path,
                "query": line.query,
                "attempts": line.attempts,
                "errors": line.errors,
                "failures": line.failures.iter().map(failure).collect::<Vec<_>>(),
                "p50_ms": millis(line.quantile(0.5)),
                "p95_ms": millis(line.quantile(0.95)),
                "p99_ms": millis(line.quantile(0.99)),
                "max_ms": millis(line.quantile(1.0)),
                "objective_ms": millis(Some(line.objective)),
                "objective_met": line.is_met(),
            })
        };
        let gain =
            |(quick, slow, times): &(String, String, f64)| json!({ "path": quick, "over": slow, "times": times });
        let all = json!({
            "target": self.name,
            "installed": self.installed,
            "results": self.lines.iter().map(line).collect::<Vec<_>>(),
            "speed_up": self.gains.iter().map(gain).collect::<Vec<_>>(),
        });
        format!("{all:#}\n")
    }
}

fn line(path: &str, query: usize, course: &ProbeState, board: &PathStats) -> ReportLine {
    let attempts = board.attempts.get(&query).copied().unwrap_or_default();
    let totals = board.totals.as_ref().and_then(|totals| totals.get(&query));
    let mut totals = totals.cloned().unwrap_or_default();
    totals.sort_unstable();
    let question = &course.questions[query];
    let message = |phase: Phase, reason: FailureReason| {
        let failures = board.failed.iter().rev().filter(|attempt| attempt.query == question.name);
        let mut failures = failures.filter_map(|attempt| attempt.failure.as_ref());
        Some(failures.find(|failure| (failure.phase, failure.reason) == (phase, reason))?.message.clone())
    };
    let failures = board.failures.iter().filter(|((its, ..), _)| *its == query);
    let failed = |(&(_, phase, reason), &times)| Failed { phase, reason, times, message: message(phase, reason) };
    ReportLine {
        path: path.to_owned(),
        query: question.name.clone(),
        attempts: attempts.due,
        errors: attempts.due - attempts.successes,
        totals,
        objective: question.objective,
        failures: failures.map(failed).collect(),
    }
}

impl ReportLine {
    /// The time within which this share of the attempts succeeded; `None` if fewer did.
    fn quantile(&self, share: f64) -> Option<Duration> {
        let of = if share < 1.0 { self.attempts } else { self.totals.len() as u64 };
        let rank = (of as f64 * share).ceil().max(1.0) as usize;
        self.totals.get(rank - 1).copied()
    }

    fn is_met(&self) -> bool {
        self.quantile(SHARE).is_some_and(|took| took <= self.objective)
    }
}

/// The mean over the queries, each of which weighs the same.
fn mean(lines: &[ReportLine]) -> Option<f64> {
    let means = lines.iter().filter(|line| !line.totals.is_empty());
    let means: Vec<_> =
        means.map(|line| line.totals.iter().sum::<Duration>().as_secs_f64() / line.totals.len() as f64).collect();
    (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
}

/// The first cached path over the first pooled, and that over the first direct.
fn gains(means: &[(String, &str, Option<f64>)]) -> Vec<(String, String, f64)> {
    let first = |kind: &str| means.iter().find(|(_, its, mean)| *its == kind && mean.is_some());
    let gain = |(quick, slow): (&str, &str)| {
        let ((quick, _, took), (slow, _, longer)) = (first(quick)?, first(slow)?);
        Some((quick.clone(), slow.clone(), (*longer)? / (*took)?))
    };
    [("cached", "pooled"), ("pooled", "direct"), ("cached", "direct")].into_iter().filter_map(gain).collect()
}

/// `850us`, `1.25ms`, `2.5s`.
fn show(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0}us", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{}ms", (seconds * 1e5).round() / 100.0),
        seconds => format!("{}s", (seconds * 1000.0).round() / 1000.0),
    }
}
