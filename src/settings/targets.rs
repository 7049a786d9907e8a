//! The targets: their names, labels and thresholds, and how each is reached.

use crate::schema::reader::{Entry, Schema};
use crate::schema::values::{entries, map, number, plain_name, unique, whole};
use crate::schema::words;
use crate::settings::backup::BackupSettings;
use crate::settings::connection::model::{DatabasePatterns, PostgresSettings, RedisSettings};
use crate::settings::connection::postgres::{pgbouncer, postgres};
use crate::settings::connection::redis::redis;
use crate::settings::disk::DiskSettings;
use crate::settings::interpolate::interpolated;
use crate::settings::probe::{ProbeSettings, probe};
use crate::{declare, declare_one_of};

/// A target: something to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    pub name: String,
    /// Static labels, sorted by name, on every sample of the target.
    pub labels: Vec<(String, String)>,
    pub endpoint: Endpoint,
    /// The most that it may have on a page.
    pub most: RowLimits,
    /// Its thresholds, sorted by name and severity: the shipped ones, except those it replaces, and its own.
    pub thresholds: Vec<Threshold>,
}

/// The most that a target may have on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLimits {
    /// Of the text format, before compression.
    pub bytes: usize,
    pub samples: usize,
}

impl RowLimits {
    /// The bytes that its rows may take in memory, fewer than on a page, where most of them appear several times.
    pub fn rows(&self) -> usize {
        self.bytes / 3
    }
}

impl Default for RowLimits {
    fn default() -> Self {
        RowLimits { bytes: 32 << 20, samples: 500_000 }
    }
}

impl TargetSettings {
    /// The role pgvigil logs in as; empty where nobody logs in.
    pub fn user(&self) -> &str {
        match &self.endpoint {
            Endpoint::Postgres(login) | Endpoint::PgBouncer(login) => &login.user,
            Endpoint::Redis(redis) => redis.user.as_deref().unwrap_or("default"),
            Endpoint::Backup(_) | Endpoint::Disk(_) => "",
            Endpoint::Probe(probe) => &probe.primary.user,
        }
    }

    /// Where its server listens, if it is one.
    pub fn address(&self) -> Option<String> {
        match &self.endpoint {
            Endpoint::Postgres(login) | Endpoint::PgBouncer(login) => Some(login.address.to_string()),
            Endpoint::Redis(redis) => Some(redis.address.to_string()),
            Endpoint::Backup(_) | Endpoint::Disk(_) | Endpoint::Probe(_) => None,
        }
    }

    /// The databases in which collectors of `scope: database` run.
    pub fn databases(&self) -> DatabasePatterns {
        let Endpoint::Postgres(postgres) = &self.endpoint else { return DatabasePatterns::default() };
        postgres.databases.clone()
    }
}

/// A threshold an alert compares with.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub name: String,
    pub severity: String,
    pub value: f64,
}

declare! {
    pub struct TargetKeys: "a target" {
        /// The label `target` on every one of its series; no two targets have the same.
        name: Option<String> = plain_name().tolerant(),
        /// More labels for all of its series; `${NAME}` is an environment variable.
        labels: Vec<Entry<String>> = entries(STATIC_LABEL, static_label, interpolated()).or(Vec::new()),
        /// What alerts compare with, where it differs from rules/thresholds.yaml: `name: {warning: number, critical: number}`.
        thresholds: Vec<Threshold> = thresholds().or(Vec::new()),
        ..limits: LimitKeys,
        ..endpoint: Option<Endpoint>,
    }
}

declare! {
    /// Limits of a target; beside `targets`, those of all targets without limits of their own.
    #[derive(Default)]
    pub struct LimitKeys: "limits" {
        /// The most bytes a target may have on a page (before compression), three times what its rows may take in memory; 33554432 if left
        /// out. What is left out is counted.
        max_bytes: Option<usize> = whole(1 << 20..=1 << 30).optional(),
        /// The most samples a target may have on a page; 500000 if left out. What is left out is counted.
        max_samples: Option<usize> = whole(1000..=10_000_000).optional(),
    }
}

declare_one_of! {
    /// How to reach a target.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Endpoint: "a target" {
        /// A PostgreSQL server: how to reach it.
        Postgres(PostgresSettings) as "postgres" = postgres(),
        /// A PgBouncer: how to reach its console.
        PgBouncer(PostgresSettings) as "pgbouncer" = pgbouncer(),
        /// A Redis or Valkey server: how to reach it.
        Redis(RedisSettings) as "redis" = redis(),
        /// Backups: repositories, and where what is known of them comes from.
        Backup(BackupSettings) as "backup" = map(),
        /// Filesystems of the machine that pgvigil runs on, by paths on them.
        Disk(DiskSettings) as "disk" = map(),
        /// A synthetic probe: what a client of each path feels.
        Probe(ProbeSettings) as "probe" = probe(),
    }
}

/// The schema of `targets`.
pub fn targets() -> Schema<Vec<TargetKeys>> {
    let names = |target: &TargetKeys| target.name.iter().cloned().collect();
    unique(map(), "name", names, "a second target of this name: rename one of the two")
        .not_empty("there is no target: list at least one server to watch")
}

impl TargetKeys {
    /// The target, with the limits of all targets if it has none of its own. `None`: a problem has been reported.
    pub fn target(self, of_all: RowLimits) -> Option<TargetSettings> {
        let mut labels: Vec<_> = self.labels.into_iter().map(|label| (label.key, label.value)).collect();
        labels.sort();
        Some(TargetSettings {
            name: self.name?,
            labels,
            endpoint: self.endpoint?,
            most: self.limits.or(of_all),
            thresholds: self.thresholds,
        })
    }
}

impl LimitKeys {
    pub fn or(&self, of_all: RowLimits) -> RowLimits {
        RowLimits { bytes: self.max_bytes.unwrap_or(of_all.bytes), samples: self.max_samples.unwrap_or(of_all.samples) }
    }
}

/// As [`words::LABEL`], without the labels that Prometheus adds to every series.
const STATIC_LABEL: &str = "^(?!(target|le|job|instance)$|__)[A-Za-z_][A-Za-z0-9_]*$";

fn static_label(name: &str) -> Result<(), String> {
    match name {
        "job" | "instance" => Err(format!("the label `{name}` is added by Prometheus: choose another name")),
        _ => words::label(name),
    }
}

/// The severities of the shipped rules, which compare nothing with a threshold of any other.
pub const SEVERITIES: [&str; 2] = ["warning", "critical"];

/// `name: {severity: number}`. Any name is allowed, since users may have rules of their own.
fn thresholds() -> Schema<Vec<Threshold>> {
    let name = |name: &str| words::snake(name).map_err(|right| format!("the name of a threshold is {right}"));
    let severity = |word: &str| words::known("no severity", word, SEVERITIES.into_iter());
    let values = entries("^(warning|critical)$", severity, number())
        .not_empty("a threshold is a map: `{warning: 0.7, critical: 0.9}`");
    entries(words::SNAKE, name, values).map(|thresholds| {
        let of_name = |threshold: Entry<Vec<Entry<f64>>>| {
            let name = threshold.key;
            let values = threshold.value.into_iter();
            values.map(move |entry| Threshold { name: name.clone(), severity: entry.key, value: entry.value })
        };
        thresholds.into_iter().flat_map(of_name).collect()
    })
}
