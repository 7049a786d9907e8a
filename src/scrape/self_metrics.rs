//! The program's own state as Tables: what `source: self` collectors read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};
use tokio::time::Instant;

use crate::{
    collector::sections::Section,
    scrape::target::Target,
    source::fetch::Reason,
    table::{Cell, Table},
};

/// What the process as a whole has been through; it outlives reloads.
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

    /// Notes how an attempt to load the configuration again ended.
    pub fn reloaded(&self, success: bool) {
        let mut counts = self.counts.lock();
        counts.reload_success = success;
        if success {
            counts.reload = SystemTime::now();
        }
    }

    /// A section that is not about targets.
    pub fn table(&self, section: &Section) -> Table {
        let mut table = Table::new(section.columns.iter().copied());
        match section.name {
            "build" => table.push_row([Cell::Text(env!("CARGO_PKG_VERSION"))]),
            "process" => self.push_process(&mut table),
            "exporter" => {
                let counts = self.counts.lock();
                table.push_row([
                    count(counts.scrapes),
                    seconds(counts.last_scrape),
                    flag(counts.reload_success),
                    timestamp(Some(counts.reload)),
                ]);
            }
            _ => (),
        }
        table
    }

    /// What Linux says of this process; elsewhere only its start and the limit.
    fn push_process(&self, table: &mut Table) {
        let stat = read_stat().unwrap_or_default();
        // The name of the program, in parentheses, may hold anything; what follows is numbers.
        let after_name: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |index: usize| after_name.get(index).and_then(|text| text.parse::<f64>().ok());
        // Fields 14, 15 (ticks) and 24 (pages) of proc(5): how large these are depends on the kernel, such as 16 or 64 KiB on arm64.
        let cpu = field(11).zip(field(12)).map(|(user, system)| (user + system) / clock_ticks_per_second() as f64);
        let resident = field(21).map(|pages| pages * page_size() as f64);
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        let max = getrlimit(Resource::Nofile).current.map(|limit| limit as f64);
        let number = |value: Option<f64>| value.map_or(Cell::Absent, Cell::Float);
        table.push_row([timestamp(Some(self.start)), number(resident), number(cpu), number(open), number(max)]);
    }
}

/// In one step: the file claims no size, so that the standard library reads it in many.
fn read_stat() -> io::Result<String> {
    let mut stat = [0; 1024];
    let length = File::open("/proc/self/stat")?.read(&mut stat)?;
    Ok(String::from_utf8_lossy(&stat[..length]).into_owned())
}

/// A section about targets, for one of them, to a scrape that began at `scrape`.
pub fn target_table(section: &Section, target: &Target, scrape: Instant) -> Table {
    let mut table = Table::new(section.columns.iter().copied());
    match section.name {
        "target" => push_target(&mut table, target, scrape),
        "down" => {
            let report = target.report(scrape);
            if let Some(error) = report.error.filter(|_| !report.up) {
                table.push_row([Cell::Text(error.reason.word()), Cell::Int(1)]);
            }
        }
        "login" => {
            // What differs in nothing but why it is not encrypted is one row.
            let rows: BTreeSet<_> =
                target.entries().iter().map(|entry| (entry.method.word(), entry.way.words())).collect();
            for (method, [tls, peer]) in rows {
                table.push_row([Cell::Text(method), Cell::Text(tls), Cell::Text(peer)]);
            }
        }
        "collectors" => push_collectors(&mut table, target),
        "cut" => push_cut(&mut table, target),
        "skipped" => push_skipped(&mut table, target),
        "databases" => {
            for (name, reason) in target.closed_databases() {
                table.push_row([Cell::Text(&name), Cell::Text(&reason), Cell::Int(1)]);
            }
        }
        "failures" => {
            for (name, report) in target.collectors() {
                for (reason, failures) in report.counts.failures {
                    table.push_row([Cell::Text(name), Cell::Text(reason.word()), count(failures)]);
                }
            }
        }
        "thresholds" => {
            for threshold in target.thresholds() {
                let (name, severity) = (Cell::Text(&threshold.name), Cell::Text(&threshold.severity));
                table.push_row([name, severity, Cell::Float(threshold.value)]);
            }
        }
        _ => (),
    }
    table
}

fn push_target(table: &mut Table, target: &Target, scrape: Instant) {
    let report = target.report(scrape);
    let up = |kind| match target.settings.endpoint.word() == kind {
        true => flag(report.up),
        false => Cell::Absent,
    };
    table.push_row([
        up("postgres"),
        up("pgbouncer"),
        up("redis"),
        up("probe"),
        timestamp(report.last_answer),
        Cell::Int(report.circuit),
        count(report.trips),
        count(report.status.sessions as u64),
        report.status.pooled.map_or(Cell::Absent, flag),
        flag(report.status.login_pending),
    ]);
}

fn push_collectors(table: &mut Table, target: &Target) {
    let left_out = target.left_out();
    for (name, report) in target.collectors() {
        let Some(success) = report.attempt.map(|attempt| attempt.success).or(report.is_late.then_some(false)) else {
            continue;
        };
        table.push_row([
            Cell::Text(name),
            flag(success && !report.is_late && !left_out.get(name).is_some_and(|(_, now)| *now)),
            seconds(report.attempt.map(|attempt| attempt.took)),
            timestamp(report.last_success),
            seconds(report.age),
            count(report.rows as u64),
            count(report.counts.cut),
            count(report.counts.duplicates),
            count(report.counts.invalid),
        ]);
    }
}

/// Those of which something was cut.
fn push_cut(table: &mut Table, target: &Target) {
    let left_out = target.left_out();
    for (name, report) in target.collectors() {
        let samples = left_out.get(name).map_or(0, |(samples, _)| *samples);
        if report.counts.texts + samples > 0 {
            table.push_row([Cell::Text(name), count(report.counts.texts), count(samples)]);
        }
    }
}

fn push_skipped(table: &mut Table, target: &Target) {
    for (name, report) in target.collectors() {
        let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
        for error in report.errors.iter().filter(|error| error.reason.is_skip()) {
            *reasons.entry(error.reason).or_default() += 1;
        }
        for (reason, queries) in reasons {
            table.push_row([Cell::Text(name), Cell::Text(reason.word()), count(queries)]);
        }
    }
}

fn count(value: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn flag(value: bool) -> Cell<'static> {
    Cell::Int(value.into())
}

fn seconds(value: Option<Duration>) -> Cell<'static> {
    value.map_or(Cell::Absent, |value| Cell::Float(value.as_secs_f64()))
}

fn timestamp(value: Option<SystemTime>) -> Cell<'static> {
    seconds(value.and_then(|time| time.duration_since(UNIX_EPOCH).ok()))
}
