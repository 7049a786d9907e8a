//! What a probe has measured, as Tables: the sections that collectors of `source: probe` read.

use tokio::time::Instant;

use crate::{
    collector::sections::{
        probe::{
            AttemptsRow, CacheRow, CertificateRow, CircuitRow, ComparisonRow, DurationRow, FailuresRow, ObjectiveRow,
            PathRow, PoolRow, RoundsRow, SECTIONS, VisibleRow,
        },
        row::SectionTables,
    },
    probe::{ProbeState, cache::Cache, compare::Comparison, path_runner::PathRunner, stats::PathStats},
    source::sections::unix_seconds,
    table::Cell,
};

/// All sections.
pub fn tables(state: &ProbeState) -> SectionTables {
    let mut tables = SectionTables::new(SECTIONS);
    for check in &state.questions {
        tables.push(ObjectiveRow { query: (&check.name).into(), objective: check.objective.into() });
    }
    for runner in &state.routes {
        push_path(&mut tables, runner);
        let (path, stats) = (Cell::Text(&runner.path.name), runner.board.lock());
        push_counts(&mut tables, state, path, &stats);
        push_durations(&mut tables, state, path, &stats);
        push_state(&mut tables, path, &stats);
    }
    tables
}

fn push_path(tables: &mut SectionTables, runner: &PathRunner) {
    let path = Cell::Text(&runner.path.name);
    let server = runner.server();
    tables.push(PathRow {
        path,
        kind: runner.path.kind.word().into(),
        server: (&runner.address()).into(),
        database: (&server.database).into(),
        role: (&server.user).into(),
        info: Cell::Int(1),
    });
    if let Some(cache) = runner.cache() {
        push_cache(tables, path, cache);
    }
    if let Some(pool) = runner.pool() {
        tables.push(PoolRow {
            path,
            size: pool.size.into(),
            open: pool.open.into(),
            available: pool.available.into(),
            waiting: pool.waiting.into(),
            oldest: pool.oldest.and_then(unix_seconds).into(),
            created: pool.created.into(),
            failed: pool.failed.into(),
        });
    }
}

fn push_cache(tables: &mut SectionTables, path: Cell<'_>, cache: &Cache) {
    let counts = cache.counts();
    let has_remote = cache.has_remote();
    tables.push(CacheRow {
        path,
        hits: counts.hits.into(),
        misses: counts.misses.into(),
        loads: counts.loads.into(),
        saved: counts.saved.into(),
        stampedes: counts.stampedes.into(),
        entries: cache.entries().into(),
        capacity: cache.capacity().into(),
        expired: counts.expired.into(),
        displaced: counts.displaced.into(),
        errors: has_remote.then_some(counts.errors).into(),
        fallen_back: has_remote.then(|| counts.is_fallen_back()).into(),
    });
}

fn push_counts(tables: &mut SectionTables, state: &ProbeState, path: Cell<'_>, stats: &PathStats) {
    for (index, attempts) in &stats.attempts {
        let within = state.questions.get(*index).map_or(0, |check| stats.within(*index, check.objective));
        tables.push(AttemptsRow {
            path,
            query: name(state, *index),
            attempts: attempts.due.into(),
            successes: attempts.successes.into(),
            within: within.into(),
        });
    }
    for ((index, phase, reason), failures) in &stats.failures {
        tables.push(FailuresRow {
            path,
            query: name(state, *index),
            phase: phase.word().into(),
            reason: reason.word().into(),
            failures: (*failures).into(),
        });
    }
    for (index, verdicts) in &stats.verdicts {
        for (verdict, answers) in Comparison::ALL.into_iter().zip(verdicts) {
            tables.push(ComparisonRow {
                path,
                query: name(state, *index),
                result: verdict.word().into(),
                answers: (*answers).into(),
            });
        }
    }
}

/// A row for each bucket of each histogram; the last has the native ones too.
fn push_durations(tables: &mut SectionTables, state: &ProbeState, path: Cell<'_>, stats: &PathStats) {
    for ((index, phase), histogram) in &stats.durations {
        let native = histogram.native();
        for (bound, at_most) in histogram.buckets() {
            let (le, native) = match bound {
                Some(bound) => (bound.into(), Cell::Absent),
                None => (Cell::Float(f64::INFINITY), Cell::Buckets(native)),
            };
            tables.push(DurationRow {
                path,
                query: index.map_or(Cell::Text(""), |index| name(state, index)),
                phase: phase.word().into(),
                le,
                bucket: at_most.into(),
                sum: histogram.sum().into(),
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
        installed: stats.installed.into(),
    });
    let state = stats.breaker.state(stats.breaker.allows(now));
    tables.push(CircuitRow { path, state: state.into(), trips: stats.breaker.trips().into() });
    if let Some(age) = stats.visible.age(now) {
        tables.push(VisibleRow { path, age: age.into() });
    }
    if let Some(expires) = stats.expires {
        tables.push(CertificateRow { path, expires: unix_seconds(expires).into() });
    }
}

fn name(state: &ProbeState, index: usize) -> Cell<'_> {
    state.questions.get(index).map(|check| &check.name).into()
}
