//! The settings of a probe: its paths and queries, how often these run, and how quick they should be.

mod model;
mod paths;

use std::time::Duration;

use crate::declare;
use crate::schema::reader::{Entry, Reader, Schema};
use crate::schema::values::{duration, entries, flag, map, positive_duration, unique};
use crate::schema::words;
use crate::schema::yaml::Node;
use crate::secret::Secret;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::keys::{KeyPlaces, PostgresServerKeys, port_value, value};
use crate::settings::connection::model::PostgresSettings;
use crate::settings::connection::postgres::resolve;
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::probe::model::SECOND_QUERY;
pub use crate::settings::probe::model::{CLASSES, CacheSettings, NEW_CONNECTION, Path, PathKind, ProbeQuery, WRITE};
use crate::settings::probe::paths::PathKeys;

/// A probe, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// Each query goes over each path once in this time.
    pub interval: Duration,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// The primary. Paths inherit the keys that they do not set.
    pub primary: PostgresSettings,
    pub paths: Vec<Path>,
    /// How quick each class should be, in the order of [`CLASSES`].
    pub objectives: [Duration; CLASSES.len()],
    /// The shortest objective of a query for which a connection is opened.
    pub new_connection: Duration,
    /// The user's own queries.
    pub queries: Vec<ProbeQuery>,
    /// A token is written on the primary and looked for elsewhere.
    pub write: bool,
}

const INTERVAL: Duration = Duration::from_secs(5);

/// More than the server's own limit on a statement (5 s), so that the server reports the timeout first.
const TIMEOUT: Duration = Duration::from_secs(6);

/// The shortest interval, which keeps the load on the server small.
const SHORTEST: Duration = Duration::from_millis(100);

declare! {
    pub struct ProbeKeys: "`probe`" {
        /// The primary: what a path does not say, it has from here.
        primary: (Dsn, PostgresSettings) = map().then(primary),
        /// The ways an application may take.
        paths: Vec<PathKeys> = paths::paths(),
        /// Each query goes over each path once in this time; 5s if left out.
        interval: Duration = span().or(INTERVAL),
        /// The longest that one attempt may take; 6s if left out.
        timeout: Duration = span().or(TIMEOUT),
        /// How quick queries should be, where it differs: `point: 10ms`. `new_connection`: the least where each opens one.
        objectives: Vec<Entry<Duration>> = entries(CLASS, class, positive_duration()).or(Vec::new()),
        /// Queries of your own; they can only read.
        queries: Vec<ProbeQuery> =
            unique(map(), "name", |query: &ProbeQuery| vec![query.name.clone()], SECOND_QUERY).or(Vec::new()),
        /// `true`: a token is written on the primary and looked for elsewhere.
        write: bool = flag().or(false),
    }
}

declare! {
    pub struct PrimaryKeys: "`primary`" {
        ..server: PostgresServerKeys,
        /// 5432 if left out.
        port: Option<Secret> = port_value(),
        /// The database to log in to.
        dbname: Option<Secret> = value(),
    }
}

/// What has an objective, the classes and a new connection, as a regular expression.
const CLASS: &str = "^(round_trip|point|join|aggregate|complex|new_connection)$";

const _: () = assert!(CLASSES.len() == 5, "the expression above names them");

fn class(name: &str) -> Result<(), String> {
    words::known("no class", name, CLASSES.iter().chain([&NEW_CONNECTION]).map(|(class, _)| *class))
}

fn span() -> Schema<Duration> {
    duration().must("at least 100ms", |span| *span >= SHORTEST)
}

fn primary(keys: PrimaryKeys, map: &Node, reader: &mut Reader<'_>) -> Option<(Dsn, PostgresSettings)> {
    let dsn = keys.server.dsn(keys.port, keys.dbname, reader)?;
    let primary = KeyPlaces::of(map).meaning(resolve(&dsn), reader)?;
    Some((dsn, primary))
}

/// The schema of `probe:`.
pub fn probe() -> Schema<ProbeSettings> {
    map().then(|keys: ProbeKeys, map, reader| {
        let (dsn, primary) = keys.primary;
        let mut paths = paths::resolved(keys.paths, &dsn, map, reader);
        if keys.write {
            paths.push(Path { name: WRITE.to_owned(), kind: PathKind::Write, server: primary.clone() });
        }
        for name in keys.queries.iter().flat_map(|query| &query.paths).flatten() {
            if let Err(message) = words::known("no path", &name.value, paths.iter().map(|path| path.name.as_str())) {
                reader.problems.add(&name.place, message);
            }
        }
        let objective = |(class, default)| {
            keys.objectives.iter().find(|entry| entry.key == class).map_or(default, |entry| entry.value)
        };
        Some(ProbeSettings {
            interval: keys.interval,
            timeout: keys.timeout,
            primary,
            paths,
            objectives: CLASSES.map(objective),
            new_connection: objective(NEW_CONNECTION),
            queries: keys.queries,
            write: keys.write,
        })
    })
}

/// The probe of a URL without a settings file: a path with new connections, a pool, and the built-in cache in front of the pool.
///
/// # Errors
/// Everything that is wrong with the URL.
pub fn from_url(dsn: &Dsn) -> Result<ProbeSettings, Vec<ConnectionProblem>> {
    let primary = resolve(dsn)?;
    let kinds = [
        PathKind::Direct,
        PathKind::Pooled { size: paths::POOL_SIZE },
        PathKind::Cached { through: "pooled".to_owned(), cache: CacheSettings::default() },
    ];
    let path = |kind: PathKind| Path { name: kind.into_str().to_owned(), kind, server: primary.clone() };
    let paths = kinds.map(path).to_vec();
    Ok(ProbeSettings {
        interval: INTERVAL,
        timeout: TIMEOUT,
        primary,
        paths,
        objectives: CLASSES.map(|(_, objective)| objective),
        new_connection: NEW_CONNECTION.1,
        queries: Vec::new(),
        write: false,
    })
}
