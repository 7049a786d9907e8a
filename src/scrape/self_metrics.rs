//! The exporter metrics as tables, which collectors with `source: self` read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use tokio::time::Instant;

use crate::collector::sections::row::SectionTables;
use crate::collector::sections::self_metrics::{
    BuildRow, ClosedDatabaseRow, CollectorFailuresRow, CollectorRow, CutRow, DownRow, ExporterRow, LoginRow,
    ProcessRow, SkippedRow, TargetRow, ThresholdRow,
};
use crate::scrape::target::Target;
use crate::scrape::target::report::TargetStatus;
use crate::source::fetch::Reason;
use crate::source::sections::unix_seconds;
use crate::table::Cell;

/// The history of the process; it survives reloads.
#[derive(Debug)]
pub struct Process {
    start: SystemTime,
    counts: Mutex<CollectorTotals>,
}

#[derive(Debug)]
struct CollectorTotals {
    scrapes: u64,
    last_scrape: Option<Duration>,
    reload_success: bool,
    reload: SystemTime,
}

impl Default for Process {
    fn default() -> Self {
        let now = SystemTime::now();
        let counts = CollectorTotals { scrapes: 0, last_scrape: None, reload_success: true, reload: now };
        Process { start: now, counts: Mutex::new(counts) }
    }
}

impl Process {
    pub fn scraped(&self, took: Duration) {
        let mut counts = self.counts.lock();
        counts.scrapes += 1;
        counts.last_scrape = Some(took);
    }

    /// Records the result of an attempt to reload the configuration.
    pub fn reloaded(&self, success: bool) {
        let mut counts = self.counts.lock();
        counts.reload_success = success;
        if success {
            counts.reload = SystemTime::now();
        }
    }

    /// The sections that do not concern targets.
    pub fn tables(&self) -> SectionTables {
        let mut tables = SectionTables::default();
        tables.push(BuildRow { version: env!("CARGO_PKG_VERSION").into() });
        tables.push(self.process());
        let counts = self.counts.lock();
        tables.push(ExporterRow {
            scrapes: counts.scrapes.into(),
            scrape_duration_seconds: counts.last_scrape.into(),
            reload_success: counts.reload_success.into(),
            reload_timestamp: unix_seconds(counts.reload).into(),
        });
        tables
    }

    /// Linux's figures of this process; elsewhere only its start and the limit.
    fn process(&self) -> ProcessRow<'static> {
        let stat = read_stat().unwrap_or_default();
        // The name of the program, in parentheses, may contain anything; only numbers follow.
        let after_name: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |index: usize| after_name.get(index).and_then(|text| text.parse::<f64>().ok());
        // Fields 14, 15 (ticks) and 24 (pages) of proc(5): their units depend on the kernel, for example 16 or 64 KiB
        // on arm64.
        let cpu = field(11).zip(field(12)).map(|(user, system)| (user + system) / clock_ticks_per_second() as f64);
        let resident = field(21).map(|pages| pages * page_size() as f64);
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        let max = getrlimit(Resource::Nofile).current.map(|limit| limit as f64);
        ProcessRow {
            start_timestamp: unix_seconds(self.start).into(),
            resident_bytes: resident.into(),
            cpu_seconds: cpu.into(),
            open_fds: open.into(),
            max_fds: max.into(),
        }
    }
}

/// Reads the file in one step: it reports no size, so the standard library would need many.
fn read_stat() -> io::Result<String> {
    let mut stat = [0; 1024];
    let length = File::open("/proc/self/stat")?.read(&mut stat)?;
    Ok(String::from_utf8_lossy(&stat[..length]).into_owned())
}

/// The sections about a target, for a scrape that began at `scrape`. Empty ones are omitted.
pub fn target_tables(target: &Target, scrape: Instant) -> SectionTables {
    let mut tables = SectionTables::default();
    let status = target.status(scrape);
    tables.push(target_row(target, &status));
    if let Some(error) = status.error.filter(|_| !status.up) {
        tables.push(DownRow { reason: error.reason.into_str().into(), down: Cell::Int(1) });
    }
    // Logins that differ only in the reason for missing encryption are one row.
    let logins: BTreeSet<_> =
        target.source.logins().iter().map(|login| (login.method.into_str(), login.security.words())).collect();
    for (method, [tls, peer]) in logins {
        tables.push(LoginRow { method: method.into(), tls: tls.into(), peer: peer.into() });
    }
    for (datname, reason) in &target.closed_databases() {
        tables.push(ClosedDatabaseRow { datname: datname.into(), reason: reason.into(), skipped: Cell::Int(1) });
    }
    for threshold in &target.settings.thresholds {
        tables.push(ThresholdRow {
            name: (&threshold.name).into(),
            severity: (&threshold.severity).into(),
            value: threshold.value.into(),
        });
    }
    push_collectors(&mut tables, target);
    tables
}

fn target_row(target: &Target, status: &TargetStatus) -> TargetRow<'static> {
    let up = |kind| (target.settings.endpoint.into_str() == kind).then_some(status.up).into();
    TargetRow {
        up_postgres: up("postgres"),
        up_pgbouncer: up("pgbouncer"),
        up_redis: up("redis"),
        up_probe: up("probe"),
        last_answer_timestamp: status.last_answer.and_then(unix_seconds).into(),
        circuit_state: status.circuit.into(),
        circuit_trips: status.trips.into(),
        sessions: status.status.sessions.into(),
        pooled: status.status.pooled.into(),
        login_pending: status.status.login_pending.into(),
    }
}

fn push_collectors(tables: &mut SectionTables, target: &Target) {
    let left_out = target.left_out();
    for (name, report) in target.collectors() {
        let (collector, counts) = (Cell::Text(&name), &report.counts);
        let (samples, is_left_out) = left_out.get(&name).copied().unwrap_or_default();
        if let Some(success) = report.attempt.map(|attempt| attempt.success).or(report.is_late.then_some(false)) {
            tables.push(CollectorRow {
                collector,
                success: (success && !report.is_late && !is_left_out).into(),
                duration_seconds: report.attempt.map(|attempt| attempt.took).into(),
                last_success_timestamp: report.last_success.and_then(unix_seconds).into(),
                age_seconds: report.age.into(),
                rows: report.rows.into(),
                cut: counts.cut.into(),
                duplicates: counts.duplicates.into(),
                invalid: counts.invalid.into(),
            });
        }
        if counts.texts + samples > 0 {
            tables.push(CutRow { collector, texts: counts.texts.into(), samples: samples.into() });
        }
        for (reason, failures) in &counts.failures {
            tables.push(CollectorFailuresRow {
                collector,
                reason: reason.into_str().into(),
                count: (*failures).into(),
            });
        }
        let mut skipped: BTreeMap<Reason, u64> = BTreeMap::new();
        for error in report.errors.iter().filter(|error| error.reason.is_skip()) {
            *skipped.entry(error.reason).or_default() += 1;
        }
        for (reason, queries) in skipped {
            tables.push(SkippedRow { collector, reason: reason.into_str().into(), queries: queries.into() });
        }
    }
}
