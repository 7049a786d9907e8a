//! Pages of the zoo, recorded once; as series of hours or days, as each Prometheus would have scraped them.

// It waits for real processes, on a thread of its own.
#![allow(clippy::disallowed_methods)]

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use promql_parser::parser::VectorSelector;

use super::{
    part::{BEGIN, END},
    stage::Stage,
    table::{Mutation, Seen, System},
};
use crate::{
    rules::{
        day::selects,
        files::Rule,
        past::Span,
        recording::{How, Part, Recording, Series, Stretch},
        used::Used,
    },
    support::page,
};

/// Seconds from page to page.
const PACE: u64 = 2;

const PAGES: usize = END + 6;

/// How long what comes and goes stays.
const MINUTES: u64 = 50;

pub struct Recorded {
    start: u64,
    first: Recording,
    second: Recording,
}

impl Recorded {
    pub fn of(mut stage: Stage) -> Recorded {
        for _ in 0..3 {
            stage.first.scrape();
            stage.second.scrape();
            sleep(Duration::from_secs(2));
        }
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let began = Instant::now();
        for nth in 0..PAGES {
            sleep(Duration::from_secs(nth as u64 * PACE).saturating_sub(began.elapsed()));
            stage.act(nth);
            first.push(stage.first.scrape());
            second.push(stage.second.scrape());
        }
        println!("{PAGES} pages of {} in {:?}", first[0].len(), began.elapsed());
        // Everything is there, and nobody has stopped working.
        for up in ["pg_up", "pgbouncer_up", "redis_up"] {
            let samples = page::samples(&first[PAGES - 1], up, &[]);
            let is_up = !samples.is_empty() && samples.iter().all(|up| *up == 1.0);
            assert!(is_up, "{up}: {samples:?}\n{}", stage.first.stderr());
        }
        let [first, second] = [first, second].map(|pages| Recording { pace: PACE, pages });
        Recorded { start, first, second }
    }

    pub fn span(&self, step: u64, hours: u64) -> Span {
        Span { start: self.start, step, steps: (hours * 3600 / step) as usize + 1 }
    }

    /// What is read of all that is scraped in one place.
    pub fn series(&self, systems: &[System], place: &str, span: Span, read: &[VectorSelector]) -> Vec<Series> {
        let stretch = stretch(span);
        let mut all = Vec::new();
        for seen in scraped(systems, place) {
            let stays = |name: &str, labels: &[(&str, String)]| stays(systems, &seen, name, labels);
            let is_read = |name: &str, labels: &[(&str, String)]| {
                is_of(&seen.targets, labels) && read.iter().any(|selector| selects(selector, name, labels))
            };
            let mut given = format!("job=\"{}\",instance=\"{}\"", seen.job, seen.instance);
            if let Some(cluster) = &seen.cluster {
                given += &format!(",cluster=\"{cluster}\"");
            }
            all.push((format!("up{{{given}}}"), vec![Some(1.0); span.steps]));
            let recording = if seen.by_second { &self.second } else { &self.first };
            all.extend(recording.series(is_read, stays, &given, &stretch));
        }
        println!("{place}: {} series, {} steps of {} s", all.len(), span.steps, span.step);
        all
    }
}

/// All selectors of the rules.
pub fn read(rules: &[Rule], mutations: &[Mutation]) -> Vec<VectorSelector> {
    let exprs = rules.iter().chain(mutations.iter().map(|mutation| &mutation.rule)).map(|rule| &rule.expr);
    exprs.flat_map(|expr| Used::by(expr).selectors).collect()
}

/// What is scraped in one place: each pgvigil once, with all targets that some system has.
fn scraped(systems: &[System], place: &str) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for seen in systems.iter().flat_map(|system| &system.seen).filter(|seen| seen.prometheus == place) {
        match all.iter_mut().find(|other| (&other.job, &other.instance) == (&seen.job, &seen.instance)) {
            Some(other) => other.targets.extend(seen.targets.iter().cloned()),
            None => all.push(seen.clone()),
        }
    }
    all
}

/// Whether it is of one of these targets, or of pgvigil itself.
fn is_of(targets: &[String], labels: &[(&str, String)]) -> bool {
    labels.iter().find(|(name, _)| *name == "target").is_none_or(|(_, target)| targets.contains(target))
}

fn stays(systems: &[System], seen: &Seen, name: &str, labels: &[(&str, String)]) -> bool {
    let target = labels.iter().find(|(name, _)| *name == "target").map(|(_, target)| target);
    let is_its = |system: &&System| {
        let targets = || system.seen.iter().flat_map(|seen| &seen.targets);
        target.is_some_and(|target| seen.targets.contains(target) && targets().any(|its| its == target))
    };
    systems.iter().filter(is_its).any(|system| system.stays.iter().any(|its| its == name))
}

/// Before anything happens, while it does, and for the rest as it is since.
fn stretch(span: Span) -> Stretch {
    let steps = |minutes: u64| How::Again((minutes * 60 / span.step) as usize);
    let mut parts = vec![
        Part { from: 0, to: BEGIN - 1, how: steps(10) },
        Part { from: BEGIN - 1, to: BEGIN + 2, how: How::Once },
        Part { from: BEGIN + 2, to: BEGIN + 4, how: steps(MINUTES) },
        Part { from: BEGIN + 4, to: END, how: How::Once },
    ];
    let begun = (10 + MINUTES) * 60 / span.step + (END - BEGIN) as u64;
    parts.push(Part { from: END, to: PAGES - 1, how: How::Again(span.steps - 1 - begun as usize) });
    Stretch { step: span.step, parts }
}
