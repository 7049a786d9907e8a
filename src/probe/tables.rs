//! What a probe has measured, as Tables: the sections that collectors of `source: probe` read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::{
    collector::{SourceKind, sections},
    probe::{ProbeState, compare::Comparison, path_runner::PathRunner, stats::PathStats},
    table::{Cell, Table},
};

/// The table of a section; empty if there is none of this name.
pub fn table(course: &ProbeState, section: &str) -> Table {
    let columns = sections::section(SourceKind::Probe, section).map_or(&[][..], |section| section.columns);
    let mut table = Table::new(columns.iter().copied());
    if section == "objectives" {
        for question in &course.questions {
            table.push_row([Cell::Text(&question.name), seconds(question.objective)]);
        }
    }
    for route in &course.routes {
        push(&mut table, section, course, route);
    }
    table
}

fn push(table: &mut Table, section: &str, course: &ProbeState, route: &PathRunner) {
    let path = Cell::Text(&route.path.name);
    let board = route.board.lock();
    match section {
        "paths" => {
            let (server, address) = (route.server(), route.address());
            let texts = [route.path.kind.word(), &address, &server.database, &server.user];
            table.push_row([path].into_iter().chain(texts.map(Cell::Text)).chain([Cell::Int(1)]));
        }
        "durations" => push_durations(table, course, path, &board),
        "attempts" => {
            for (query, attempts) in &board.attempts {
                let within =
                    course.questions.get(*query).map_or(0, |question| board.within(*query, question.objective));
                let counted = [attempts.due, attempts.successes, within].map(count);
                table.push_row([path, name(course, *query)].into_iter().chain(counted));
            }
        }
        "failures" => {
            for ((query, phase, reason), failures) in &board.failures {
                let (phase, reason) = (Cell::Text(phase.word()), Cell::Text(reason.word()));
                table.push_row([path, name(course, *query), phase, reason, count(*failures)]);
            }
        }
        "rounds" => {
            let installed = board.installed.map_or(Cell::Absent, |installed| Cell::Int(installed.into()));
            table.push_row([path, count(board.late), count(board.missed), installed]);
        }
        "comparisons" => {
            for (query, verdicts) in &board.verdicts {
                for (verdict, answers) in Comparison::ALL.into_iter().zip(verdicts) {
                    table.push_row([path, name(course, *query), Cell::Text(verdict.word()), count(*answers)]);
                }
            }
        }
        "visible" => {
            if let Some(age) = board.visible.age(Instant::now()) {
                table.push_row([path, seconds(age)]);
            }
        }
        "cache" => push_cache(table, path, route),
        "circuits" => {
            let breaker = &board.breaker;
            let state = breaker.state(breaker.allows(Instant::now()));
            table.push_row([path, Cell::Int(state), count(breaker.trips())]);
        }
        "certificates" if board.expires.is_some() => table.push_row([path, timestamp(board.expires)]),
        "pools" => {
            if let Some(pool) = route.pool() {
                let sizes = [pool.size, pool.open, pool.available, pool.waiting].map(|n| count(n as u64));
                let made = [timestamp(pool.oldest), count(pool.created), count(pool.failed)];
                table.push_row([path].into_iter().chain(sizes).chain(made));
            }
        }
        _ => (),
    }
}

fn push_cache(table: &mut Table, path: Cell<'_>, route: &PathRunner) {
    let Some(cache) = route.cache() else { return };
    let counts = cache.counts();
    let counted = [counts.hits, counts.misses, counts.loads, counts.saved, counts.stampedes];
    let cells = counted.into_iter().chain([cache.entries(), cache.capacity(), counts.expired, counts.displaced]);
    table.push(path);
    cells.for_each(|cell| table.push(count(cell)));
    let fallen_back = Cell::Int(counts.is_fallen_back().into());
    let of_remote =
        [count(counts.errors), fallen_back].map(|cell| if cache.has_remote() { cell } else { Cell::Absent });
    of_remote.into_iter().for_each(|cell| table.push(cell));
}

/// A row for each bucket of each histogram; the last has the native ones too.
fn push_durations(table: &mut Table, course: &ProbeState, path: Cell<'_>, board: &PathStats) {
    for ((query, phase), histogram) in &board.durations {
        let query = query.map_or(Cell::Text(""), |query| name(course, query));
        let (sum, total, native) = (seconds(histogram.sum()), count(histogram.count()), histogram.native());
        for (bound, at_most) in histogram.buckets() {
            let (le, native) = match bound {
                Some(bound) => (seconds(bound), Cell::Absent),
                None => (Cell::Float(f64::INFINITY), Cell::Buckets(native)),
            };
            table.push_row([path, query, Cell::Text(phase.word()), le, count(at_most), sum, total, native]);
        }
    }
}

fn name(course: &ProbeState, query: usize) -> Cell<'_> {
    course.questions.get(query).map_or(Cell::Absent, |question| Cell::Text(&question.name))
}

fn count(value: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn seconds(value: Duration) -> Cell<'static> {
    Cell::Float(value.as_secs_f64())
}

fn timestamp(value: Option<SystemTime>) -> Cell<'static> {
    value.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(Cell::Absent, seconds)
}
