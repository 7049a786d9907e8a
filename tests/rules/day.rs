//! A day of recorded systems: of all shipped alerts only the heartbeat fires.
//!
//! Real systems are scraped at a fixed pace. What their pages say becomes series that go on for a day, over which promtool evaluates
//! the rule files as they are, each alert with its `for`.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

use std::{
    collections::BTreeSet,
    fs,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{files, recording::Recording, systems::System, used::Used};
use crate::support::{Folder, is_long, majors, page, promtool};

/// How systems are recorded, and for how long they go on.
struct Pace {
    /// Seconds from page to page.
    step: u64,
    pages: u64,
    hours: u64,
}

/// What a moment on a busy machine, repeated, says nothing of: which way is the quicker one, how old sessions become, and what is still
/// in memory once it has been read for the first time.
const SLOW_TO_TELL: &str = "|ProbeCacheNotFaster|ProbePooledSlow|ProbeAcquireSlow|ProbeLatencyBurning|PostgresSessionChurn|\
                            PostgresCacheHitRatioLow";

/// Half an hour, made a day; or a moment, made an hour.
fn pace() -> Pace {
    match is_long() {
        true => Pace { step: 30, pages: 61, hours: 24 },
        false => Pace { step: 5, pages: 7, hours: 1 },
    }
}

#[test]
fn recorded_systems_are_silent_for_a_day() {
    let (pace, newest) = (pace(), *majors().last().expect("at least one version"));
    let working: Vec<_> = if is_long() { vec![13, 18] } else { vec![newest] };
    let mut systems: Vec<_> =
        working.iter().map(|major| (format!("working {major}"), System::working(*major))).collect();
    systems.push(("idle".to_owned(), System::idle(newest)));
    // They have been scraped for a while; the last one has just begun.
    settle(&systems);
    systems.push(("started".to_owned(), System::idle(newest)));

    let (start, recorded) = record(&systems, &pace);
    for ((name, system), pages) in systems.iter().zip(&recorded) {
        let page = pages.last().expect("a page");
        for up in ["pg_up", "pgbouncer_up", "redis_up", "pgvigil_probe_up", "pgvigil_backup_up"] {
            let samples = page::samples(page, up, &[]);
            // Only those that work have a probe.
            let is_there = !samples.is_empty() || up == "pgvigil_probe_up" && !name.starts_with("working");
            assert!(is_there && samples.iter().all(|up| *up == 1.0), "{name}: {up}\n{}", system.pgvigil.stderr());
        }
    }
    let metrics = metrics();
    let steps = (pace.hours * 3600 / pace.step) as usize + 1;
    let mut series = Vec::new();
    for ((name, _), pages) in systems.iter().zip(recorded) {
        let labels = format!("job=\"pgvigil\",instance=\"{name}\"");
        series.push((format!("up{{{labels}}}"), format!("1x{steps}")));
        series.extend(Recording::new(start, pace.step, pages).series(&metrics, &labels, steps));
    }
    println!("{} series, {steps} steps of {} s", series.len(), pace.step);
    drop(systems);
    evaluate(series, &pace);
}

/// Scrapes until everything has an answer.
fn settle(systems: &[(String, System)]) {
    for _ in 0..3 {
        systems.iter().for_each(|(_, system)| _ = system.pgvigil.scrape());
        sleep(Duration::from_secs(2));
    }
}

/// When the first page came, and the pages of each system.
fn record(systems: &[(String, System)], pace: &Pace) -> (f64, Vec<Vec<String>>) {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let began = Instant::now();
    let mut recorded = vec![Vec::new(); systems.len()];
    for nth in 0..pace.pages {
        sleep(Duration::from_secs(nth * pace.step).saturating_sub(began.elapsed()));
        for ((_, system), pages) in systems.iter().zip(&mut recorded) {
            system.work();
            pages.push(system.pgvigil.scrape());
        }
    }
    (start, recorded)
}

/// The metrics that rules read.
fn metrics() -> BTreeSet<String> {
    let selectors = files::rules().into_iter().flat_map(|rule| Used::by(&rule.expr).selectors);
    selectors.filter_map(|selector| selector.name).collect()
}

/// What promtool says to the rules over these series. A server that is down is among them, so that silence is no accident.
fn evaluate(mut series: Vec<(String, String)>, pace: &Pace) {
    series.push(("pg_up{job=\"pgvigil\",instance=\"sick\",target=\"sick\"}".to_owned(), "0x99999".to_owned()));
    let input: Vec<_> =
        series.into_iter().map(|(series, values)| json!({"series": series, "values": values})).collect();
    let (end, minutes) = (format!("{}h", pace.hours), pace.hours * 60);
    let fired = |which: &str| {
        format!(
            "count by (alertname, severity, instance, target) (count_over_time(ALERTS{{{which},alertstate=\"firing\"}}[{end}]))"
        )
    };
    let one = |alert: &str, severity: &str, more: Value| {
        let mut labels = format!("{{alertname=\"{alert}\", severity=\"{severity}\"");
        labels.extend(more.as_object().into_iter().flatten().map(|(name, value)| format!(", {name}={value}")));
        json!([{"labels": labels + "}", "value": 1}])
    };
    let mut checks = vec![
        (fired("alertname=\"Watchdog\""), one("Watchdog", "none", json!({}))),
        (fired("instance=\"sick\""), one("PostgresDown", "critical", json!({"instance": "sick", "target": "sick"}))),
        (
            fired(&format!("alertname!~\"Watchdog{}\",instance!=\"sick\"", if is_long() { "" } else { SLOW_TO_TELL })),
            json!([]),
        ),
    ];
    if is_long() {
        // What waits to fire for hours, and will. A moment is too short to tell: autovacuum comes once a minute.
        let waits = "ALERTS{alertstate=\"pending\",instance!=\"sick\"}";
        checks.push((format!("count_over_time({waits}[4h]) > 238"), json!([])));
    }
    let asked: Vec<_> = checks
        .into_iter()
        .map(|(expr, samples)| json!({"expr": expr, "eval_time": format!("{minutes}m"), "exp_samples": samples}))
        .collect();
    let folder = Folder::new("day", "TERM");
    let rules = fs::canonicalize("rules").expect("rules");
    let files: Vec<_> = files::trees("rules").into_iter().map(|(file, _)| rules.join(file)).collect();
    let test = json!({
        "rule_files": files,
        "evaluation_interval": "1m",
        "tests": [{"interval": format!("{}s", pace.step), "input_series": input, "promql_expr_test": asked}],
    });
    let file = folder.write("day.json", &test.to_string());
    let output = promtool(&["test", "rules", &file.display().to_string()], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
