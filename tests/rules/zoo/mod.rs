//! Healthy systems that look unusual: on none of them fires an alert of severity warning or critical, and wrong rules would show it.

mod alone;
mod caches;
mod clusters;
mod part;
mod recorded;
mod shop;
mod stage;
mod table;

use std::{collections::BTreeSet, fmt::Write, thread};

use recorded::Recorded;
use table::{Mutation, System, mutations, systems};

use super::{
    files::{self, Rule},
    past::{Fired, Past},
};
use crate::support::{Generation, is_long, majors};

/// Sessions never become older on stretched pages.
const NOT_TOLD: [&str; 1] = ["PostgresSessionChurn"];

/// A recording made long: seconds from scrape to scrape, hours, and the minutes after which what waits for longer is believed to fire.
struct Length {
    step: u64,
    hours: u64,
    longest: u64,
}

const HOURS: Length = Length { step: 60, hours: 4, longest: 60 };
const DAYS: Length = Length { step: 600, hours: 8 * 24, longest: 24 * 60 };

#[test]
#[ignore = "long: make test-all"]
fn p26_unusual_systems_are_silent() {
    let (majors, lengths) = match is_long() {
        true => (vec![13, 18], vec![HOURS, DAYS]),
        false => (vec![*majors().last().expect("at least one version")], vec![HOURS]),
    };
    let mut wrong = String::new();
    for major in majors {
        let recorded = Recorded::of(stage::Stage::start(major));
        for length in &lengths {
            let told = judge(&recorded, length, u64::from(major));
            print!("{told}");
            if !told.is_empty() {
                writeln!(wrong, "PostgreSQL {major}, {} hours:\n{told}", length.hours).expect("text");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is wrong: alerts that should not be, and wrong rules that bring none.
fn judge(recorded: &Recorded, length: &Length, major: u64) -> String {
    let (systems, mutations, rules) = (systems(), mutations(), files::rules());
    let span = recorded.span(length.step, length.hours);
    let places: BTreeSet<_> = systems.iter().flat_map(|system| &system.seen).map(|seen| &*seen.prometheus).collect();
    let places: Vec<_> = places.into_iter().collect();
    let selectors = recorded::read(&rules, &mutations);
    let mut wrong = BTreeSet::new();
    // The one that sees most first, and another one beside it.
    for pair in places.chunks(2) {
        let judged = |place: &&str| {
            let generation = *Generation::tested().last().expect("a Prometheus");
            let past = Past::new(generation, span, &recorded.series(&systems, place, span, &selectors));
            let mut told = silent(&past, place, &systems, &rules, length);
            told.extend(caught(&past, place, &systems, &mutations, major, length));
            told
        };
        thread::scope(|scope| {
            let threads: Vec<_> = pair.iter().map(|place| scope.spawn(|| judged(place))).collect();
            threads.into_iter().for_each(|thread| wrong.extend(thread.join().expect("judging")));
        });
    }
    wrong.into_iter().collect()
}

/// Alerts that fire in one place on healthy systems.
fn silent(past: &Past, place: &str, systems: &[System], rules: &[Rule], length: &Length) -> Vec<String> {
    let told = |fired: Fired| {
        let mut of: Vec<_> = systems.iter().filter(|system| system.may_be(place, &fired.labels)).collect();
        if of.iter().any(|system| system.datname.is_some()) {
            of.retain(|system| system.datname.is_some());
        }
        let names: Vec<_> = of.iter().map(|system| &*system.name).collect();
        format!("  {}: {}\n", names.join(" or "), fired.told)
    };
    let fired = past.fired(rules, length.longest);
    assert!(fired.iter().any(|fired| fired.alert == "Watchdog"), "the heartbeat");
    let (due, info): (Vec<_>, Vec<_>) = fired
        .into_iter()
        .filter(|fired| fired.severity != "none" && !NOT_TOLD.contains(&&*fired.alert))
        .partition(|fired| fired.severity != "info");
    info.into_iter().for_each(|fired| print!("info: {}", told(fired)));
    due.into_iter().map(told).collect()
}

/// Wrong rules that fire in no place of the system they are wrong about.
fn caught(
    past: &Past,
    place: &str,
    systems: &[System],
    mutations: &[Mutation],
    major: u64,
    length: &Length,
) -> Vec<String> {
    let of_here = |mutation: &&Mutation| mutation.since <= major && length.step == HOURS.step;
    let missed = mutations.iter().filter(of_here).filter_map(|mutation| {
        let system = systems.iter().find(|system| system.name == mutation.system).expect("a system");
        if system.seen.iter().all(|seen| seen.prometheus != place) {
            return None;
        }
        let mut fired = past.fired(std::slice::from_ref(&mutation.rule), length.longest).into_iter();
        let is_missed = !fired.any(|fired| system.may_be(place, &fired.labels));
        let alert = mutation.rule.alert.as_deref().unwrap_or_default();
        is_missed.then(|| format!("  {}: the wrong rule {alert} does not fire: {}\n", system.name, mutation.rule.expr))
    });
    missed.collect()
}
