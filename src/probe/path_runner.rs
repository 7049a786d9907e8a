//! Runs queries over a path: on a connection of its own, on one of a pool, or through a cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::probe::attempt::{AnswerBytes, AttemptResult, PathAttempt, Trace};
use crate::probe::cached_path::CachedPath;
use crate::probe::check::ProbeCheck;
use crate::probe::connect::{Connector, PathConnection};
use crate::probe::pool::Pool;
use crate::probe::stats::PathStats;
use crate::settings::connection::model::{Address, PostgresSettings};
use crate::settings::probe::{Path, PathKind, ProbeSettings};
use crate::source::net::session_limit::SessionLimit;

/// The pools of a probe, by the names of their paths.
pub type Pools = BTreeMap<String, Arc<Pool>>;

/// One path, and the measurements on it.
pub struct PathRunner {
    pub path: Path,
    /// Opens connections outside of a pool.
    pub connector: Arc<Connector>,
    pub transport: Transport,
    /// The longest that one attempt may take.
    timeout: Duration,
    /// The shortest objective of a query here.
    least_objective: Duration,
    /// One query at a time.
    turn: tokio::sync::Mutex<()>,
    pub stats: Mutex<PathStats>,
    pub last_debug_round: Mutex<Option<Instant>>,
}

/// How its queries reach the server.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
pub enum Transport {
    Connection(PathConnection),
    Pool(Arc<Pool>),
    Cache(CachedPath),
}

/// The pools that these paths use.
pub fn pools(paths: &[Path]) -> Pools {
    let mut pools = Pools::new();
    for path in paths {
        if let PathKind::Pooled { size } = path.kind
            && let Some(pool) = Pool::new(Connector::new(path.server.clone(), true), size)
        {
            pools.insert(path.name.clone(), pool.into());
        }
    }
    pools
}

impl PathRunner {
    pub fn new(path: &Path, settings: &ProbeSettings, stats: PathStats, pools: &Pools) -> Self {
        let (path, server) = (path.clone(), &path.server);
        let sends_options = !matches!(path.kind, PathKind::PgBouncer | PathKind::PgBouncerNew);
        let connector = Arc::new(Connector::new(server.clone(), sends_options));
        let over_pool = match &path.kind {
            PathKind::Pooled { .. } => pools.get(&path.name).cloned().map(Transport::Pool),
            PathKind::Cached { through, cache } => pools.get(through).cloned().map(|pool| {
                let prefix = format!("pgvigil_probe:{}/{}:{}", address(server), server.database, path.name);
                Transport::Cache(CachedPath::new(cache, settings.interval, pool, prefix))
            }),
            _ => None,
        };
        let opens_connections = path.kind.opens_connections();
        let connection = || Transport::Connection(PathConnection::new(connector.clone(), !opens_connections));
        let transport = over_pool.unwrap_or_else(connection);
        let (turn, stats, last_debug_round) = (tokio::sync::Mutex::default(), Mutex::new(stats), Mutex::default());
        let least_objective = if opens_connections { settings.new_connection } else { Duration::ZERO };
        let timeout = settings.timeout;
        PathRunner { path, connector, transport, timeout, least_objective, turn, stats, last_debug_round }
    }

    /// How quick this query should be here.
    pub fn objective(&self, check: &ProbeCheck) -> Duration {
        check.objective.max(self.least_objective)
    }

    /// Its name, kind and destination, for people.
    pub fn description(&self) -> String {
        let (path, server) = (&self.path, &self.path.server);
        let (kind, database, user) = (path.kind.into_str(), &server.database, &server.user);
        format!("{} ({kind}) at {}, database {database}, as {user}", path.name, address(server))
    }

    /// Its sessions; a cached path's are those of the pool behind the cache.
    pub fn sessions(&self) -> Option<&SessionLimit> {
        match &self.transport {
            Transport::Connection(_) => Some(&self.connector.sessions),
            Transport::Pool(pool) => Some(pool.sessions()),
            Transport::Cache(cached) => cached.cache.redis.as_ref().map(|redis| &redis.sessions),
        }
    }

    /// The maximum age of the path's answers. A replica may be behind by any time.
    pub fn max_answer_age(&self) -> Duration {
        match (&self.path.kind, &self.transport) {
            (PathKind::Replica, _) => Duration::MAX,
            (_, Transport::Cache(cached)) => cached.cache.life(),
            _ => Duration::ZERO,
        }
    }

    /// Makes an attempt, whose duration counts from `began`.
    pub async fn attempt(&self, check: &ProbeCheck, began: Instant) -> (PathAttempt, Option<AnswerBytes>) {
        let (at, until, mut trace) = (SystemTime::now(), Instant::now() + self.timeout, Trace::default());
        let result = self.run(check, until, &mut trace).await;
        let (took, failure) = (began.elapsed(), result.as_ref().err().cloned());
        (PathAttempt { at, query: check.name.clone(), took, trace, failure }, result.ok())
    }

    async fn run(&self, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        let _turn = self.turn.lock().await;
        match &self.transport {
            Transport::Connection(connection) => connection.run(check, until, trace).await,
            Transport::Pool(pool) => pool.run(check, until, trace).await,
            Transport::Cache(cached) => cached.run(check, until, trace).await,
        }
    }

    /// The cache's answer under the check's name, if the path has a cache.
    pub async fn read_cache(&self, check: &ProbeCheck, until: Instant) -> Option<AttemptResult> {
        let Transport::Cache(cached) = &self.transport else { return None };
        let _turn = self.turn.lock().await;
        Some(cached.read(&check.name, check, until, &mut Trace::default()).await)
    }

    /// Lets many readers read one missing key at once, if the path has a cache and its circuit breaker allows it.
    pub async fn stampede(&self, check: &ProbeCheck) {
        let Transport::Cache(cached) = &self.transport else { return };
        let now = Instant::now();
        let is_allowed = self.stats.lock().breaker.allows(now);
        if is_allowed {
            let _turn = self.turn.lock().await;
            cached.stampede(check, now + self.timeout).await;
        }
    }
}

/// A server for people: `db1:5432`.
pub fn address(server: &PostgresSettings) -> String {
    match &server.address {
        Address::Tcp { host, port } => format!("{host}:{port}"),
        Address::Unix(path) => path.display().to_string(),
    }
}
