//! A path, and how a query goes over it: on a new connection, a kept one, one of a pool, or through a cache.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    probe::{
        attempt::{AttemptError, FailureReason, Trace},
        cache::Cache,
        cached_path,
        cached_path::CachedPath,
        check::ProbeCheck,
        connect::{Connector, ProbeConnection},
        pool::{Pool, PoolState},
        stats::PathStats,
    },
    settings::{
        connection::model::{Address, PostgresSettings},
        probe::{Path, PathKind},
    },
    source::net::{login_guard::LoginInfo, session_limit::SessionLimit},
};

/// One path and what has been measured on it.
pub struct PathRunner {
    pub path: Path,
    pub connector: Arc<Connector>,
    /// One query at a time.
    way: tokio::sync::Mutex<KeptConnection>,
    pool: Option<Arc<Pool>>,
    cached: Option<CachedPath>,
    pub board: Mutex<PathStats>,
    /// When somebody last asked for a round at once.
    pub asked: Mutex<Option<Instant>>,
}

/// The connection that is kept, of paths that keep one.
type KeptConnection = Option<ProbeConnection>;

impl PathRunner {
    /// A path; `pools` are those of the paths there are, by name.
    pub fn new(path: Path, board: PathStats, interval: Duration, pools: &[(String, Arc<Pool>)]) -> Self {
        let has_options = !matches!(path.kind, PathKind::PgBouncer(_) | PathKind::PgBouncerNew(_));
        let connector = Arc::new(Connector::new(path.kind.server().clone(), has_options));
        let named = |wanted: &str| pools.iter().find(|(name, _)| name == wanted).map(|(_, pool)| pool.clone());
        let (mut pool, mut cached) = (None, None);
        match &path.kind {
            PathKind::Pooled { .. } => pool = named(&path.name),
            PathKind::Cached { through, cache, .. } => {
                let server = path.kind.server();
                let prefix = format!("pgvigil_probe:{}/{}:{}", address(server), server.database, path.name);
                let cache = Cache::new(cache, cached_path::life(interval), prefix);
                cached = named(through).map(|pool| CachedPath::new(cache, pool));
            }
            _ => (),
        }
        PathRunner {
            path,
            connector,
            way: KeptConnection::None.into(),
            pool,
            cached,
            board: Mutex::new(board),
            asked: Mutex::default(),
        }
    }

    /// The pool of a path, if it is one.
    pub fn pool_of(path: &Path) -> Option<(String, Arc<Pool>)> {
        let PathKind::Pooled { server, size } = &path.kind else { return None };
        let connector = Arc::new(Connector::new(server.clone(), true));
        Some((path.name.clone(), Arc::new(Pool::new(connector, *size))))
    }

    pub fn server(&self) -> &PostgresSettings {
        self.path.kind.server()
    }

    /// Where it goes to, for people: `db1:5432`.
    pub fn address(&self) -> String {
        address(self.server())
    }

    /// Connections that are open, or that the server has not ended yet.
    pub fn sessions(&self) -> usize {
        self.all_sessions().map(SessionLimit::count).sum()
    }

    fn all_sessions(&self) -> impl Iterator<Item = &SessionLimit> {
        let pool = self.pool.as_ref().map(|pool| pool.sessions());
        let cache = self.cache().and_then(|cache| cache.remote.as_ref()).map(|remote| &remote.sessions);
        [&self.connector.sessions].into_iter().chain(pool).chain(cache)
    }

    /// How its last connections were let in.
    pub fn entries(&self) -> impl Iterator<Item = LoginInfo> {
        self.all_sessions().filter_map(SessionLimit::entry)
    }

    pub fn pool(&self) -> Option<PoolState> {
        self.pool.as_ref()?.state()
    }

    pub fn cache(&self) -> Option<&Arc<Cache>> {
        Some(&self.cached.as_ref()?.cache)
    }

    /// How long the path may keep an answer; `None` if there is no limit, as on a replica.
    pub fn keeps(&self) -> Option<Duration> {
        match self.path.kind {
            PathKind::Replica(_) => None,
            _ => Some(self.cache().map(|cache| cache.life()).unwrap_or_default()),
        }
    }

    /// Asks by `until` at the latest.
    pub async fn ask(&self, question: &ProbeCheck, until: Instant, trace: &mut Trace) -> Result<Vec<u8>, AttemptError> {
        let mut kept = self.way.lock().await;
        match (&self.cached, &self.pool) {
            (Some(cached), _) => return cached.ask(question, until, trace).await,
            (_, Some(pool)) => return cached_path::over(pool, question, until, trace).await,
            _ => (),
        }
        let mut connection = match kept.take().filter(|kept| !kept.client.is_closed()) {
            Some(kept) => kept,
            None => self.connector.connect(until, trace).await?,
        };
        connection.is_idle = false;
        let answer = question.ask(&connection.client, until, trace).await;
        let is_kept = !matches!(self.path.kind, PathKind::Direct(_) | PathKind::PgBouncerNew(_));
        connection.is_idle = is_of_use(&answer);
        *kept = (is_kept && connection.is_idle).then_some(connection);
        answer
    }

    /// What its cache shows of a query, if the path has one.
    pub async fn show(&self, question: &ProbeCheck, until: Instant) -> Option<Result<Vec<u8>, AttemptError>> {
        let _one_at_a_time = self.way.lock().await;
        Some(self.cached.as_ref()?.show(question, until).await)
    }

    /// Many readers at once for one key that is not in the cache, if the path has one.
    pub async fn stampede(&self, question: &ProbeCheck, until: Instant) {
        let _one_at_a_time = self.way.lock().await;
        if let Some(cached) = &self.cached {
            cached.stampede(question, until).await;
        }
    }
}

fn address(server: &PostgresSettings) -> String {
    match &server.address {
        Address::Tcp { host, port } => format!("{host}:{port}"),
        Address::Unix(path) => path.display().to_string(),
    }
}

/// Whether a connection with this answer may be used again.
pub fn is_of_use(answer: &Result<Vec<u8>, AttemptError>) -> bool {
    answer
        .as_ref()
        .err()
        .is_none_or(|failure| !failure.reason.is_of_path() && failure.reason != FailureReason::TooLarge)
}
