//! A day of recorded systems: of all shipped alerts only the heartbeat fires.
//!
//! Real systems are scraped at a fixed pace. What their pages say becomes series that go on for a day, the past of a Prometheus, which is
//! asked for each rule's expression, minute by minute: where it holds for as long as the rule's `for`, the alert would have fired.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use promql_parser::parser::VectorSelector;

use super::{
    files,
    past::{Past, Span},
    recording::{Recording, Series, Stretch},
    systems::System,
    used::Used,
};
use crate::support::{Generation, is_long, majors, page};

/// How systems are recorded, and for how long they go on.
struct Pace {
    /// Seconds from page to page.
    step: u64,
    pages: u64,
    hours: u64,
}

/// What a moment on a busy machine, repeated, says nothing of: a single answer that came late comes late again every 15 s, which means of ways
/// and quantiles do not forgive; and sessions never become older.
const SLOW_TO_TELL: [&str; 5] =
    ["ProbeCacheNotFaster", "ProbePooledSlow", "ProbeAcquireSlow", "ProbeLatencyBurning", "PostgresSessionChurn"];

/// What is right to be seen on boards, of servers of tests: fsync is off, and their versions may be old.
const OF_TESTS: [&str; 2] = ["PostgresFsyncOff", "PostgresVersionUnsupported"];

/// What waits to fire for hours is seen after so many minutes.
const LONGEST: u64 = 240;

const SICK: &str = "sick";

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
    let span = Span { start, step: pace.step, steps: (pace.hours * 3600 / pace.step) as usize + 1 };
    let names: Vec<_> = systems.into_iter().map(|(name, _)| name).collect();
    let series = series(span, &names, recorded);
    for generation in Generation::tested() {
        println!("{generation:?} Prometheus");
        judge(&Past::new(*generation, span, &series));
    }
}

/// Scrapes until everything has an answer.
fn settle(systems: &[(String, System)]) {
    for _ in 0..3 {
        systems.iter().for_each(|(_, system)| _ = system.pgvigil.scrape());
        sleep(Duration::from_secs(2));
    }
}

/// When the first page came, and the pages of each system.
fn record(systems: &[(String, System)], pace: &Pace) -> (u64, Vec<Vec<String>>) {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
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

/// What some rule reads of these systems and the sick one, gone on for the whole span.
fn series(span: Span, names: &[String], recorded: Vec<Vec<String>>) -> Vec<Series> {
    let selectors: Vec<_> = files::rules().iter().flat_map(|rule| Used::by(&rule.expr).selectors).collect();
    let is_read =
        |name: &str, labels: &[(&str, String)]| selectors.iter().any(|selector| selects(selector, name, labels));
    let mut all = sick(span);
    for (name, pages) in names.iter().zip(recorded) {
        let labels = format!("job=\"pgvigil\",instance=\"{name}\"");
        all.push((format!("up{{{labels}}}"), vec![Some(1.0); span.steps]));
        let recording = Recording { pace: span.step, pages };
        all.extend(recording.series(is_read, |_, _| false, &labels, &Stretch::of(&recording, span.steps)));
    }
    println!("{} series, {} steps of {} s", all.len(), span.steps, span.step);
    all
}

/// Whether an expression's selector takes a series, whatever scrapes it.
pub fn selects(selector: &VectorSelector, name: &str, labels: &[(&str, String)]) -> bool {
    let value = |label: &str| labels.iter().find(|(name, _)| *name == label).map_or("", |(_, value)| value);
    let mut own = selector.matchers.matchers.iter().filter(|matcher| !["job", "instance"].contains(&&*matcher.name));
    selector.name.as_deref() == Some(name) && own.all(|matcher| matcher.is_match(value(&matcher.name)))
}

/// A server that is down, so that silence is no accident.
fn sick(span: Span) -> Vec<Series> {
    vec![(format!("pg_up{{job=\"pgvigil\",instance=\"{SICK}\",target=\"{SICK}\"}}"), vec![Some(0.0); span.steps])]
}

/// Of all rules only the heartbeat fires, and what the server that is down must bring.
fn judge(past: &Past) {
    let fired = past.fired(&files::rules(), LONGEST);
    let sick = ("instance".to_owned(), SICK.to_owned());
    let (due, mut fired): (Vec<_>, Vec<_>) =
        fired.into_iter().partition(|fired| fired.alert == "Watchdog" || fired.labels.contains(&sick));
    let due: Vec<_> = due.iter().map(|fired| &*fired.alert).collect();
    // The page, and the ticket that it mutes.
    assert_eq!(due, ["Watchdog", "PostgresDown", "PostgresDown"], "the heartbeat, and the server that is down");
    fired.retain(|fired| !OF_TESTS.contains(&&*fired.alert));
    fired.retain(|fired| is_long() || !SLOW_TO_TELL.contains(&&*fired.alert));
    let told: Vec<_> = fired.iter().map(|fired| &*fired.told).collect();
    assert!(told.is_empty(), "on healthy systems:\n{}", told.join("\n"));
}
