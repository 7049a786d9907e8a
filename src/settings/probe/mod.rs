//! The settings of a probe: over which paths it asks what, how often, and what is quick enough.

mod paths;
mod read;
mod shapes;

use std::time::Duration;

use crate::settings::connection::model::{PostgresSettings, RedisSettings};
pub use crate::settings::probe::{
    read::{from_url, probe},
    shapes::PROBE,
};

/// The queries that are always asked, and how quick each should be.
pub const CLASSES: [(&str, Duration); 5] = [
    ("round_trip", Duration::from_millis(5)),
    ("point", Duration::from_millis(10)),
    ("join", Duration::from_millis(50)),
    ("aggregate", Duration::from_millis(100)),
    ("complex", Duration::from_millis(500)),
];

/// The path on which the token is written, and the query that does so.
pub const WRITE: &str = "write";

/// A probe, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// Each query goes over each path once in this time.
    pub interval: Duration,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// The primary, which every path starts from.
    pub primary: PostgresSettings,
    pub paths: Vec<Path>,
    /// How quick each class should be, in the order of [`CLASSES`].
    pub objectives: [Duration; CLASSES.len()],
    /// The user's own.
    pub queries: Vec<ProbeQuery>,
    /// A token is written on the primary and looked for elsewhere.
    pub write: bool,
}

/// One way that an application may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The label `path`; of its own in the probe.
    pub name: String,
    pub kind: PathKind,
}

/// The kinds of path.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
#[derive(Clone, Debug, PartialEq)]
pub enum PathKind {
    /// A new connection to the primary for each query.
    Direct(PostgresSettings),
    /// A client-side pool of connections to the primary.
    Pooled { server: PostgresSettings, size: usize },
    /// A PgBouncer, over one kept connection.
    PgBouncer(PostgresSettings),
    /// A PgBouncer, over a new connection for each query.
    PgBouncerNew(PostgresSettings),
    /// A replica, over one kept connection.
    Replica(PostgresSettings),
    /// A look-aside cache in front of the pool of the path `through`, which goes to `server`.
    Cached { through: String, server: PostgresSettings, cache: CacheSettings },
    /// Where the token is written: the primary, over one kept connection.
    Write(PostgresSettings),
}

/// The cache of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSettings {
    /// How many entries the built-in one may have, and how long they may stay.
    pub entries: u64,
    pub ttl: Duration,
    /// What is used instead as long as it can be reached.
    pub redis: Option<RedisSettings>,
}

/// A query of the user's own: one statement that only reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeQuery {
    pub name: String,
    pub sql: String,
    /// As text, for `$1`, `$2` and so on; the server knows their types.
    pub parameters: Vec<String>,
    pub objective: Duration,
    /// The names of the paths it is asked on; `None`: on all.
    pub paths: Option<Vec<String>>,
}

impl ProbeSettings {
    /// The role that asks.
    pub fn user(&self) -> &str {
        &self.primary.user
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings { entries: 5000, ttl: Duration::from_secs(300), redis: None }
    }
}

impl PathKind {
    /// Where it ends.
    pub fn server(&self) -> &PostgresSettings {
        match self {
            PathKind::Direct(server)
            | PathKind::Pooled { server, .. }
            | PathKind::PgBouncer(server)
            | PathKind::PgBouncerNew(server)
            | PathKind::Replica(server)
            | PathKind::Cached { server, .. }
            | PathKind::Write(server) => server,
        }
    }

    /// The word for it, as a label's value.
    pub fn word(&self) -> &'static str {
        match self {
            PathKind::Direct(_) => "direct",
            PathKind::Pooled { .. } => "pooled",
            PathKind::PgBouncer(_) => "pgbouncer",
            PathKind::PgBouncerNew(_) => "pgbouncer_new",
            PathKind::Replica(_) => "replica",
            PathKind::Cached { .. } => "cached",
            PathKind::Write(_) => "write",
        }
    }
}
