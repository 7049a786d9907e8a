//! The settings, validated: which targets to watch, and how.

pub mod backup;
pub mod connection;
pub mod disk;
pub mod env;
pub mod given;
pub mod interpolate;
pub mod json_schema;
pub mod load;
pub mod probe;
pub mod repositories;
pub mod targets;
pub mod thresholds;
pub mod web;

use std::time::Duration;

pub use crate::settings::repositories::*;
use crate::{
    schema::problem::Place,
    settings::{
        connection::model::{DatabasePatterns, PostgresSettings, RedisSettings},
        probe::ProbeSettings,
    },
};

/// Everything `pgvigil.yaml` (or the environment) says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a scrape may take where the scraper does not say.
    pub scrape_timeout: Duration,
    pub targets: Vec<TargetSettings>,
    /// What differs from the collectors' files; [`crate::collector::catalogue::Catalogue::adjust`] applies it.
    pub overrides: Vec<Override>,
    /// The names of all static labels, and where each stands.
    pub label_names: Vec<(String, Place)>,
}

/// What the settings change in one collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    pub collector: String,
    /// Where it stands in the settings file.
    pub place: Place,
    pub enabled: Option<bool>,
    pub ttl: Option<Duration>,
    pub timeout: Option<Duration>,
    pub max_rows: Option<usize>,
}

impl Override {
    /// Of which only the collector is known.
    pub fn of(collector: &str, place: &Place) -> Override {
        let (collector, place) = (collector.to_owned(), place.clone());
        Override { collector, place, enabled: None, ttl: None, timeout: None, max_rows: None }
    }
}

/// One thing to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    pub name: String,
    /// Static labels, sorted by name, on every sample of the target.
    pub labels: Vec<(String, String)>,
    pub endpoint: Endpoint,
    /// How much of a page is its own.
    pub most: RowLimits,
    /// All its thresholds, by name and severity: the shipped ones, replaced and joined by its own.
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
    /// The bytes that its rows may take in memory: on a page most of them are there several times.
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
            Endpoint::Probe(probe) => probe.user(),
        }
    }

    /// Which of its databases are visited.
    pub fn databases(&self) -> DatabasePatterns {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => postgres.databases.clone(),
            Endpoint::PgBouncer(_)
            | Endpoint::Redis(_)
            | Endpoint::Backup(_)
            | Endpoint::Disk(_)
            | Endpoint::Probe(_) => DatabasePatterns::default(),
        }
    }
}

/// A threshold an alert compares with.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub name: String,
    pub severity: String,
    pub value: f64,
}

/// How to reach a target.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    Postgres(PostgresSettings),
    /// The admin console of a PgBouncer, which is logged in to like a server.
    PgBouncer(PostgresSettings),
    Redis(RedisSettings),
    Backup(BackupSettings),
    Disk(DiskSettings),
    /// What a client of each path feels.
    Probe(ProbeSettings),
}

impl Endpoint {
    /// The key that makes it, such as `postgres`: what kind of target this is.
    pub fn kind(&self) -> &'static str {
        match self {
            Endpoint::Postgres(_) => "postgres",
            Endpoint::PgBouncer(_) => "pgbouncer",
            Endpoint::Redis(_) => "redis",
            Endpoint::Backup(_) => "backup",
            Endpoint::Disk(_) => "disk",
            Endpoint::Probe(_) => "probe",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            scrape_timeout: Duration::from_secs(10),
            targets: Vec::new(),
            overrides: Vec::new(),
            label_names: Vec::new(),
        }
    }
}
