//! The settings, validated: which targets to watch, and how.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    env::{self, Env},
    fields::{Fields, Shape},
    files,
    load::MAX_ROWS,
    problem::{Place, Problems},
    targets, thresholds, yaml,
    yaml::Node,
};
use crate::secret::Secret;

const SETTINGS: Shape =
    Shape { what: "the settings file", needs: &["targets"], may: &["scrape_timeout", "collectors"], quiet: true };

const OVERRIDE: Shape = Shape {
    what: "what a collector overrides",
    needs: &[],
    may: &["enabled", "ttl", "timeout", "max_rows"],
    quiet: true,
};

/// Everything `pgvigil.yaml` (or the environment) says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a scrape may take where the scraper does not say.
    pub scrape_timeout: Duration,
    pub targets: Vec<Target>,
    /// What differs from the collectors' files; [`super::catalogue::Catalogue::adjust`] applies it.
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
    pub enabled: bool,
    pub ttl: Option<Duration>,
    pub timeout: Option<Duration>,
    pub max_rows: Option<usize>,
}

/// One thing to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub name: String,
    /// Static labels, sorted by name, on every sample of the target.
    pub labels: Vec<(String, String)>,
    pub endpoint: Endpoint,
    /// All its thresholds, by name and severity: the shipped ones, replaced and joined by its own.
    pub thresholds: Vec<Threshold>,
}

impl Target {
    /// The role pgvigil logs in as.
    pub fn user(&self) -> &str {
        match &self.endpoint {
            Endpoint::Postgres(postgres) => &postgres.user,
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
    Postgres(Postgres),
}

/// A PostgreSQL server (or a pooler in front of one).
#[derive(Clone, Debug, PartialEq)]
pub struct Postgres {
    pub address: Address,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub tls: Tls,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    /// The socket file itself.
    Unix(PathBuf),
}

/// How much TLS, and how far the server's certificate is believed. No `sslrootcert` means the operating system's
/// authorities, with `verify-ca` and `verify-full` too.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    pub mode: TlsMode,
    pub roots: Roots,
    /// The client's certificate chain and its key, both PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The certificate authorities that are believed.
#[derive(Clone, Debug, PartialEq)]
pub enum Roots {
    /// The operating system's (`sslrootcert: system`).
    System,
    /// A PEM file.
    File(PathBuf),
}

impl Settings {
    /// Reads the settings from a file, or without one from the environment.
    ///
    /// # Errors
    /// Everything that is wrong. No message repeats a value that may be a secret.
    pub fn load(file: Option<&Path>, env: &Env<'_>) -> Result<Settings, Problems> {
        match file {
            Some(path) => Settings::parse(&path.to_string_lossy(), &files::read(path)?, env),
            None => Settings::from_env(env),
        }
    }

    /// Reads the settings from the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse(file: &str, text: &str, env: &Env<'_>) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let root = yaml::parse(file, text, &mut problems);
        let settings = root.and_then(|root| read(&root, env, &mut problems)).unwrap_or_default();
        problems.unless_any(settings)?.with_shipped_thresholds()
    }

    fn from_env(env: &Env<'_>) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let targets = env::targets(env, &mut problems);
        problems.unless_any(Settings { targets, ..Settings::default() })?.with_shipped_thresholds()
    }

    fn with_shipped_thresholds(mut self) -> Result<Settings, Problems> {
        let shipped = thresholds::shipped()?;
        for target in &mut self.targets {
            target.thresholds = thresholds::merged(&shipped, &target.thresholds);
        }
        Ok(self)
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

fn read(root: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<Settings> {
    let mut fields = Fields::open(root, &SETTINGS, problems)?;
    let mut settings = Settings::default();
    if let Some(timeout) = fields.duration("scrape_timeout") {
        settings.scrape_timeout = timeout;
        if timeout.is_zero() {
            fields.tell("scrape_timeout", "`scrape_timeout` must be above 0s");
        }
    }
    (settings.targets, settings.label_names) = targets::targets(&mut fields, env);
    settings.overrides = fields.entries("collectors", |name, place, node, problems| {
        let mut fields = Fields::open(node, &OVERRIDE, problems)?;
        Some(Override {
            collector: name.to_owned(),
            place: place.clone(),
            enabled: fields.flag("enabled").unwrap_or(true),
            ttl: fields.duration("ttl"),
            timeout: fields.duration("timeout"),
            max_rows: fields.whole("max_rows", 1..=MAX_ROWS),
        })
    });
    Some(settings)
}
