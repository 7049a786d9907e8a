//! The settings of a probe: over which paths it asks what, how often, and what is quick enough.

mod paths;
mod read;
mod shapes;

use std::time::Duration;

pub use read::{from_url, probe};
pub use shapes::PROBE;

use super::settings::{Postgres, Redis};

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
pub struct Probe {
    /// Each query goes over each path once in this time.
    pub interval: Duration,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// The primary, which every path starts from.
    pub primary: Postgres,
    pub paths: Vec<Path>,
    /// How quick each class should be, in the order of [`CLASSES`].
    pub objectives: [Duration; CLASSES.len()],
    /// The user's own.
    pub queries: Vec<Query>,
    /// A token is written on the primary and looked for elsewhere.
    pub write: bool,
}

/// One way that an application may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The label `path`; of its own in the probe.
    pub name: String,
    pub kind: Kind,
}

/// The kinds of path.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A new connection to the primary for each query.
    Direct(Postgres),
    /// A client-side pool of connections to the primary.
    Pooled { server: Postgres, size: usize },
    /// A PgBouncer, over one kept connection.
    PgBouncer(Postgres),
    /// A PgBouncer, over a new connection for each query.
    PgBouncerNew(Postgres),
    /// A replica, over one kept connection.
    Replica(Postgres),
    /// A look-aside cache in front of the pool of the path `through`, which goes to `server`.
    Cached { through: String, server: Postgres, cache: Cache },
    /// Where the token is written: the primary, over one kept connection.
    Write(Postgres),
}

/// The cache of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// How many entries the built-in one may have, and how long they may stay.
    pub entries: u64,
    pub ttl: Duration,
    /// What is used instead as long as it can be reached.
    pub redis: Option<Redis>,
}

/// A query of the user's own: one statement that only reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub name: String,
    pub sql: String,
    /// As text, for `$1`, `$2` and so on; the server knows their types.
    pub parameters: Vec<String>,
    pub objective: Duration,
    /// The names of the paths it is asked on; `None`: on all.
    pub paths: Option<Vec<String>>,
}

impl Probe {
    /// The role that asks.
    pub fn user(&self) -> &str {
        &self.primary.user
    }
}

impl Default for Cache {
    fn default() -> Self {
        Cache { entries: 5000, ttl: Duration::from_secs(300), redis: None }
    }
}

impl Kind {
    /// Where it ends.
    pub fn server(&self) -> &Postgres {
        match self {
            Kind::Direct(server)
            | Kind::Pooled { server, .. }
            | Kind::PgBouncer(server)
            | Kind::PgBouncerNew(server)
            | Kind::Replica(server)
            | Kind::Cached { server, .. }
            | Kind::Write(server) => server,
        }
    }

    /// The word for it, as a label's value.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Direct(_) => "direct",
            Kind::Pooled { .. } => "pooled",
            Kind::PgBouncer(_) => "pgbouncer",
            Kind::PgBouncerNew(_) => "pgbouncer_new",
            Kind::Replica(_) => "replica",
            Kind::Cached { .. } => "cached",
            Kind::Write(_) => "write",
        }
    }
}
