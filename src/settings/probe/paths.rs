//! The keys of a probe's paths, which inherit what they do not set from the primary.

use crate::schema::form::Shape;
use crate::schema::reader::{Keys, Reader, Schema};
use crate::schema::values::{map, plain_name, text, unique, whole};
use crate::schema::yaml::Node;
use crate::secret::Secret;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::keys::{KeyPlaces, PostgresServerKeys, port_value, value};
use crate::settings::connection::model::PostgresSettings;
use crate::settings::connection::postgres::resolve;
use crate::settings::probe::model::{CacheSettings, Path, PathKind, WRITE};
use crate::{declare, declare_one_of};

pub const POOL_SIZE: usize = 5;
const LARGEST_POOL: usize = 10;

const PGBOUNCER_PORT: &str = "6432";

/// How the name of a PgBouncer's second path ends.
const NEW: &str = "-new";

const SECOND_PATH: &str = "a second path of this name: give one of the two another `name`";

declare! {
    pub struct PathKeys: "a path" {
        /// The label `path`; the kind's word if left out.
        name: Option<String> = plain_name().refuse_if(SECOND_PATH, |name| name == WRITE).optional(),
        ..kind: KindKeys,
    }
}

declare_one_of! {
    pub enum KindKeys: "a path" {
        /// A new connection for each query.
        Direct(GivenServer) as "direct" = map(),
        /// A client-side pool of connections.
        Pooled(PooledKeys) as "pooled" = map(),
        /// A look-aside cache in front of a pool.
        Cached(CachedKeys) as "cached" = map(),
        /// A PgBouncer: over a kept connection and over new ones.
        PgBouncer(GivenServer) as "pgbouncer" = map().then(pgbouncer),
        /// A replica.
        Replica(GivenServer) as "replica" = map().then(elsewhere),
    }
}

declare! {
    pub struct PathServerKeys: "a path" {
        ..server: PostgresServerKeys,
        /// The primary's if left out.
        port: Option<Secret> = port_value(),
        /// The database to log in to.
        dbname: Option<Secret> = value(),
    }
}

declare! {
    pub struct PgBouncerPathKeys: "a path" {
        ..server: PostgresServerKeys,
        /// 6432 if left out.
        port: Option<Secret> = port_value(),
        /// The database to log in to.
        dbname: Option<Secret> = value(),
    }
}

declare! {
    pub struct PooledKeys: "`pooled`" {
        /// The most connections it has; 5 if left out.
        size: usize = whole(1..=LARGEST_POOL).or(POOL_SIZE),
        ..server: GivenServer,
    }
}

declare! {
    pub struct CachedKeys: "`cached`" {
        /// The `pooled` path behind it; the only one there is, if left out.
        through: String = text().or(String::new()),
        ..cache: CacheSettings,
    }
}

/// The keys of a path's server, which can only be checked together with those of the primary.
pub struct GivenServer {
    dsn: Dsn,
    places: KeyPlaces,
}

impl GivenServer {
    fn resolve(self, primary: &Dsn, reader: &mut Reader<'_>) -> Option<PostgresSettings> {
        self.places.meaning(resolve(&primary.clone().overridden_by(self.dsn)), reader)
    }
}

impl Keys for GivenServer {
    fn shape() -> Shape {
        PathServerKeys::shape()
    }

    fn read_keys(map: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let keys = PathServerKeys::read_keys(map, reader)?;
        let dsn = keys.server.dsn(keys.port, keys.dbname, reader)?;
        Some(GivenServer { dsn, places: KeyPlaces::of(map) })
    }
}

/// Without a port in its keys, its own default counts, not the primary's port.
fn pgbouncer(keys: PgBouncerPathKeys, map: &Node, reader: &mut Reader<'_>) -> Option<GivenServer> {
    let dsn = keys.server.dsn(keys.port, keys.dbname, reader)?;
    let mut server = elsewhere(GivenServer { dsn, places: KeyPlaces::of(map) }, map, reader)?;
    if server.dsn.port.is_none() {
        server.dsn.set("port", PGBOUNCER_PORT);
    }
    Some(server)
}

/// A server other than the primary must have an address of its own.
fn elsewhere(server: GivenServer, map: &Node, reader: &mut Reader<'_>) -> Option<GivenServer> {
    if server.dsn.host.is_none() && server.dsn.port.is_none() {
        reader.problems.add(&map.place, "without `host` or `port` this would be the primary: say where it is");
    }
    Some(server)
}

impl PathKeys {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.kind.into_str().to_owned())
    }

    /// Its names: a PgBouncer has two paths, one over a kept connection and one over new ones.
    fn names(&self) -> Vec<String> {
        let name = self.name();
        let new = matches!(self.kind, KindKeys::PgBouncer(_)).then(|| format!("{name}{NEW}"));
        new.into_iter().chain([name]).collect()
    }

    fn paths(self, primary: &Dsn, reader: &mut Reader<'_>) -> Option<Vec<Path>> {
        let name = self.name();
        let (kind, server) = match self.kind {
            KindKeys::Direct(given) => (PathKind::Direct, given.resolve(primary, reader)?),
            KindKeys::Replica(given) => (PathKind::Replica, given.resolve(primary, reader)?),
            KindKeys::Pooled(keys) => (PathKind::Pooled { size: keys.size }, keys.server.resolve(primary, reader)?),
            // `resolved` replaces the server by that of the pool.
            KindKeys::Cached(keys) => {
                (PathKind::Cached { through: keys.through, cache: keys.cache }, resolve(primary).ok()?)
            }
            KindKeys::PgBouncer(given) => (PathKind::PgBouncer, given.resolve(primary, reader)?),
        };
        let mut paths = vec![Path { name, kind, server }];
        if let [Path { name, kind: PathKind::PgBouncer, server }] = paths.as_slice() {
            paths.push(Path { name: format!("{name}{NEW}"), kind: PathKind::PgBouncerNew, server: server.clone() });
        }
        Some(paths)
    }
}

/// The schema of `paths`.
pub fn paths() -> Schema<Vec<PathKeys>> {
    unique(map(), "name", PathKeys::names, SECOND_PATH)
        .not_empty("there is no path: list at least one, such as `- direct: {}`")
}

/// The paths of a probe, with what they inherit from the primary.
pub fn resolved(keys: Vec<PathKeys>, primary: &Dsn, map: &Node, reader: &mut Reader<'_>) -> Vec<Path> {
    let mut paths: Vec<_> = keys.into_iter().filter_map(|path| path.paths(primary, reader)).flatten().collect();
    let is_pool = |path: &&Path| matches!(path.kind, PathKind::Pooled { .. });
    let pools: Vec<_> = paths.iter().filter(is_pool).map(|path| (path.name.clone(), path.server.clone())).collect();
    for path in &mut paths {
        let PathKind::Cached { through, .. } = &mut path.kind else { continue };
        let is_behind = |(name, _): &&(String, _)| if through.is_empty() { pools.len() == 1 } else { name == through };
        match pools.iter().find(is_behind) {
            Some((name, server)) => (*through, path.server) = (name.clone(), server.clone()),
            None => {
                let message = "a cache is in front of a pool: name a `pooled` path in its `through`";
                reader.refuse(map, "paths", format!("path `{}`: {message}", path.name));
            }
        }
    }
    paths
}
