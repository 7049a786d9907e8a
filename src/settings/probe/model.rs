//! The paths and the queries of a probe, validated.

use std::time::Duration;

use strum::IntoStaticStr;

use crate::declare;
use crate::schema::form::Form;
use crate::schema::reader::{Placed, Schema};
use crate::schema::values::{duration, list, positive_duration, snake, text, whole};
use crate::settings::connection::model::{PostgresSettings, RedisSettings};
use crate::settings::connection::redis::redis;

/// The probe's own queries, and how quick each should be.
pub const CLASSES: [(&str, Duration); 5] = [
    ("round_trip", Duration::from_millis(5)),
    ("point", Duration::from_millis(10)),
    ("join", Duration::from_millis(50)),
    ("aggregate", Duration::from_millis(100)),
    ("complex", Duration::from_millis(500)),
];

/// The key among the objectives of the time that a new connection may take, and that time. A healthy server on the same
/// machine takes 5 to 10 ms for TCP, TLS and login (docs/probe.md has measurements); a network adds several round trips.
pub const NEW_CONNECTION: (&str, Duration) = ("new_connection", Duration::from_millis(50));

/// The name of the path on which the token is written, and of the query that writes it.
pub const WRITE: &str = "write";

/// One way from an application to the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The label `path`, unique in the probe.
    pub name: String,
    pub kind: PathKind,
    /// The server at its end.
    pub server: PostgresSettings,
}

/// The kinds of path; each is a word, which is also the value of the label `kind`.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
#[derive(Clone, Debug, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum PathKind {
    /// A new connection to the primary for each query.
    Direct,
    /// A client-side pool of connections to the primary.
    Pooled { size: usize },
    /// A PgBouncer, over one kept connection.
    PgBouncer,
    /// A PgBouncer, over a new connection for each query.
    #[strum(serialize = "pgbouncer_new")]
    PgBouncerNew,
    /// A replica, over one kept connection.
    Replica,
    /// A look-aside cache in front of the pool of the path `through`.
    Cached { through: String, cache: CacheSettings },
    /// The primary, over one kept connection, to write the token.
    Write,
}

impl PathKind {
    /// Whether each of its queries opens a connection.
    pub fn opens_connections(&self) -> bool {
        matches!(self, PathKind::Direct | PathKind::PgBouncerNew)
    }
}

declare! {
    /// The cache of a path.
    #[derive(Clone, Debug, PartialEq)]
    pub struct CacheSettings: "a cache" {
        /// The most entries of the built-in cache; 5000 if left out.
        entries: u64 = whole(1..=1_000_000).or(CacheSettings::default().entries),
        /// How long an entry may stay at most; 300s if left out.
        ttl: Duration = duration().or(CacheSettings::default().ttl),
        /// A Redis server to keep answers in; the built-in cache if left out, or out of reach.
        redis: Option<RedisSettings> = redis().optional(),
    }
}

declare! {
    /// A query of the user's own: one statement that reads.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ProbeQuery: "a query" {
        /// The label `query`; no two have the same.
        name: String = snake().refuse_if(SECOND_QUERY, |name| CLASSES.iter().any(|(class, _)| class == name)),
        /// One statement that reads, without `;`. Qualify every name: `public.orders`.
        sql: String = sql(),
        /// How quick it should be.
        objective: Duration = positive_duration(),
        /// For `$1`, `$2` and so on.
        parameters: Vec<String> = list(text()).or(Vec::new()),
        /// The names of the paths it is asked on; all if left out.
        paths: Option<Vec<Placed<String>>> = list(text().placed()).optional(),
    }
}

pub const SECOND_QUERY: &str = "a second query of this name, or a class of the probe's own: choose another";

/// How a statement that reads begins. If such a statement writes, the server refuses it.
const READING: [&str; 4] = ["select", "with", "values", "table"];

/// The same as a regular expression.
const READING_FORM: &str =
    r"^\s*([Ss][Ee][Ll][Ee][Cc][Tt]|[Ww][Ii][Tt][Hh]|[Vv][Aa][Ll][Uu][Ee][Ss]|[Tt][Aa][Bb][Ll][Ee])";

fn sql() -> Schema<String> {
    let sql = text().map(|text| text.trim().to_owned()).check(|sql| {
        let first: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
        if !READING.contains(&first.to_ascii_lowercase().as_str()) {
            let message = "refused: a probe only reads, so its SQL begins with SELECT, WITH, VALUES or TABLE";
            return Err(message.to_owned());
        }
        if sql.ends_with(';') { Err("the SQL ends in `;`: leave it out".to_owned()) } else { Ok(()) }
    });
    sql.shown_as(Form::Pattern(READING_FORM))
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings { entries: 5000, ttl: Duration::from_secs(300), redis: None }
    }
}
