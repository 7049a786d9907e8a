//! Live fire: real faults on real servers, until the alerts they should bring arrive at the end of the line, and their mending, until each is
//! resolved. Nothing else may arrive but what is said to follow.
//!
//! What is done and what must come of it is in `rounds/`. Rules and routes are the shipped ones on a faster clock (`shorter`); where
//! a real value cannot be reached in seconds, a round's `thresholds` say so, and docs/alerts.md with them.

// It waits for real processes, on threads of its own.
#![allow(clippy::disallowed_methods)]

mod act;
mod covered;
mod round;
mod scene;
mod shorter;
pub mod stack;
mod webhook;

use std::{
    collections::VecDeque,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
    time::Instant,
};

use crate::support::{Generation, PgBackRest, is_long, majors};
use round::{Round, rounds};
use stack::Stack;

/// So many stacks at once: they wait most of the time.
const AT_ONCE: usize = 3;

#[test]
fn alerts_arrive_and_resolve() {
    // Other versions than that of the quick form, which has gone before.
    let major = if is_long() { *majors().last().expect("a version") } else { majors()[0] };
    let chosen = env::var("PGVIGIL_TEST_FIRE").ok();
    let is_wanted = |round: &Round| match &chosen {
        Some(names) => names.split(',').any(|name| name == round.name),
        None => round.is_quick || is_long(),
    };
    let of_each = Generation::tested()
        .iter()
        .flat_map(|generation| rounds().into_iter().filter(is_wanted).map(|round| (round, *generation)));
    let waiting: VecDeque<(Round, Generation)> = of_each.collect();
    assert!(!waiting.is_empty(), "PGVIGIL_TEST_FIRE names no round: {chosen:?}");
    let waiting = Mutex::new(waiting);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((round, generation)) = { waiting.lock().expect("no panic while held").pop_front() } {
                    if let Err(wrong) = run(&round, major, generation) {
                        failed.lock().expect("no panic while held").push(wrong);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic while held");
    assert!(failed.is_empty(), "{} rounds failed:\n{}", failed.len(), failed.join("\n\n"));
}

/// All scenes of a round before a Prometheus of this generation, to the first that goes wrong.
fn run(round: &Round, major: u32, generation: Generation) -> Result<(), String> {
    let has_backups = round.parts.iter().any(|part| part == "backups");
    let major = if has_backups { major.min(PgBackRest::NEWEST) } else { major };
    let start = Instant::now();
    let run = || {
        let stack = Stack::start(round, major, generation);
        let result = scene::all(&stack, round);
        let logs =
            || [stack.pgvigil.stderr(), stack.prometheus.log(), stack.alertmanager.log()].map(last_lines).join("\n");
        result.map_err(|wrong| format!("{wrong}\n{}", logs()))
    };
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    });
    println!("live fire: {} on PostgreSQL {major}, {generation:?} Prometheus: {:.0?}", round.name, start.elapsed());
    result.map_err(|wrong| format!("{}, {generation:?} Prometheus: {wrong}", round.name))
}

fn last_lines(text: String) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
