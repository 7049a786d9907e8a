//! The probe's measurements as tables: the sections that collectors with `source: probe` read.

use strum::IntoEnumIterator;
use tokio::time::Instant;

use crate::collector::sections::probe::{
    AttemptsRow, CertificateRow, CircuitRow, ComparisonRow, DurationRow, FailuresRow, ObjectiveRow, PathRow, RoundsRow,
    SECTIONS, VisibleRow,
};
use crate::collector::sections::row::SectionTables;
use crate::probe::comparison::Comparison;
use crate::probe::histogram::DurationHistogram;
use crate::probe::path_runner::{PathRunner, Transport, address};
use crate::probe::state::ProbeState;
use crate::probe::stats::PathStats;
use crate::source::sections::unix_seconds;
use crate::table::Cell;

/// All sections.
pub fn tables(state: &ProbeState) -> SectionTables {
    let mut tables = SectionTables::new(SECTIONS);
    for runner in &state.paths {
        push_path(&mut tables, runner);
        let (path, stats) = (Cell::Text(&runner.path.name), runner.stats.lock());
        for check in state.checks.iter().filter(|check| check.runs_on(&runner.path.name)) {
            tables.push(ObjectiveRow { path, query: (&check.name).into(), objective: runner.objective(check).into() });
        }
        push_counts(&mut tables, state, runner, &stats);
        push_durations(&mut tables, state, path, &stats);
        push_state(&mut tables, path, &stats);
    }
    tables
}

fn push_path(tables: &mut SectionTables, runner: &PathRunner) {
    let (path, server) = (Cell::Text(&runner.path.name), &runner.path.server);
    tables.push(PathRow {
        path,
        kind: runner.path.kind.into_str().into(),
        server: (&address(server)).into(),
        database: (&server.database).into(),
        role: (&server.user).into(),
        info: Cell::Int(1),
    });
    match &runner.transport {
        Transport::Connection(_) => (),
        Transport::Pool(pool) => tables.push(pool.row(path)),
        Transport::Cache(cached) => tables.push(cached.cache.row(path)),
    }
}

fn push_counts(tables: &mut SectionTables, state: &ProbeState, runner: &PathRunner, stats: &PathStats) {
    let path = Cell::Text(&runner.path.name);
    for (index, attempts) in &stats.attempts {
        let (successes, objective) = (stats.successes(*index), runner.objective(&state.checks[*index]));
        tables.push(AttemptsRow {
            path,
            query: name(state, *index),
            attempts: (*attempts).into(),
            successes: successes.map_or(0, DurationHistogram::count).into(),
            within: successes.map_or(0, |successes| successes.within(objective)).into(),
        });
    }
    for ((index, phase, reason), failures) in &stats.failures {
        tables.push(FailuresRow {
            path,
            query: name(state, *index),
            phase: phase.into_str().into(),
            reason: reason.into_str().into(),
            failures: (*failures).into(),
        });
    }
    for (index, comparisons) in &stats.comparisons {
        for (comparison, answers) in Comparison::iter().zip(comparisons) {
            tables.push(ComparisonRow {
                path,
                query: name(state, *index),
                result: comparison.into_str().into(),
                answers: (*answers).into(),
            });
        }
    }
}

/// One row for each bucket of each histogram; the last has the native buckets too.
fn push_durations(tables: &mut SectionTables, state: &ProbeState, path: Cell<'_>, stats: &PathStats) {
    for ((index, phase), histogram) in &stats.durations {
        for (bound, at_most) in histogram.buckets() {
            let (le, native) = match bound {
                Some(bound) => (bound.into(), Cell::Absent),
                None => (Cell::Float(f64::INFINITY), Cell::Buckets(&histogram.native)),
            };
            tables.push(DurationRow {
                path,
                query: index.map_or(Cell::Text(""), |index| name(state, index)),
                phase: phase.into_str().into(),
                le,
                bucket: at_most.into(),
                sum: histogram.sum.into(),
                count: histogram.count().into(),
                native,
            });
        }
    }
}

fn push_state(tables: &mut SectionTables, path: Cell<'_>, stats: &PathStats) {
    let now = Instant::now();
    tables.push(RoundsRow {
        path,
        late: stats.late.into(),
        missed: stats.missed.into(),
        installed: stats.is_schema_installed.into(),
    });
    let state = stats.breaker.state(stats.breaker.allows(now));
    tables.push(CircuitRow { path, state: state.into(), trips: stats.breaker.trips().into() });
    if let Some(age) = stats.visibility.age(now) {
        tables.push(VisibleRow { path, age: age.into() });
    }
    if let Some(expires) = stats.certificate_expiry {
        tables.push(CertificateRow { path, expires: unix_seconds(expires).into() });
    }
}

fn name(state: &ProbeState, index: usize) -> Cell<'_> {
    state.checks.get(index).map(|check| &check.name).into()
}
