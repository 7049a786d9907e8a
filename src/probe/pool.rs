//! A client-side connection pool as applications have it: deadpool over the probe's own connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tokio::time::{Instant, timeout_at};

use crate::collector::sections::probe::PoolRow;
use crate::probe::attempt::{AttemptError, AttemptResult, FailureReason, Phase, Trace};
use crate::probe::check::ProbeCheck;
use crate::probe::connect::{Connector, ProbeConnection};
use crate::source::net::session_limit::SessionLimit;
use crate::source::sections::unix_seconds;
use crate::table::Cell;

/// How long an application waits for a connection from its pool.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(1);

/// Older connections are replaced, so that opening them is measured too, and a server's new address is found.
const LIFETIME: Duration = Duration::from_secs(1800);

pub struct Pool(managed::Pool<PoolManager>);

/// Opens the pool's connections.
struct PoolManager {
    connector: Connector,
    created: AtomicU64,
    failed: AtomicU64,
}

impl Pool {
    /// `None` never happens: deadpool refuses timeouts without a runtime, and this pool has none of its own.
    pub fn new(connector: Connector, size: usize) -> Option<Self> {
        let manager = PoolManager { connector, created: AtomicU64::new(0), failed: AtomicU64::new(0) };
        managed::Pool::builder(manager).max_size(size).build().ok().map(Pool)
    }

    pub async fn run(&self, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        let mut connection = self.acquire(until, trace).await?;
        let answer = connection.run(check, until, trace).await;
        if !connection.is_idle {
            drop(Object::take(connection));
        }
        answer
    }

    async fn acquire(&self, until: Instant, trace: &mut Trace) -> Result<Object<PoolManager>, AttemptError> {
        let began = Instant::now();
        let (reason, message) = match timeout_at(until.min(began + ACQUIRE_LIMIT), self.0.get()).await {
            Ok(Ok(connection)) => {
                trace.record(Phase::Acquire, began);
                return Ok(connection);
            }
            Ok(Err(PoolError::Backend(error))) => return Err(error),
            Ok(Err(_)) => (FailureReason::Error, "the pool is closed".to_owned()),
            Err(_) => (FailureReason::AcquireTimeout, format!("no connection within {ACQUIRE_LIMIT:?}")),
        };
        Err(AttemptError::new(reason, Phase::Acquire, message))
    }

    pub fn sessions(&self) -> &SessionLimit {
        &self.0.manager().connector.sessions
    }

    /// The state of the pool now.
    pub fn row<'a>(&self, path: Cell<'a>) -> PoolRow<'a> {
        let (status, manager) = (self.0.status(), self.0.manager());
        let mut oldest = None;
        self.0.retain(|_, metrics| {
            oldest = oldest.max(Some(metrics.age()));
            true
        });
        let oldest = oldest.and_then(|age| unix_seconds(SystemTime::now().checked_sub(age)?));
        PoolRow {
            path,
            size: status.max_size.into(),
            open: status.size.into(),
            available: status.available.into(),
            waiting: status.waiting.into(),
            oldest: oldest.into(),
            created: manager.created.load(Ordering::Relaxed).into(),
            failed: manager.failed.load(Ordering::Relaxed).into(),
        }
    }
}

impl managed::Manager for PoolManager {
    type Type = ProbeConnection;
    type Error = AttemptError;

    async fn create(&self) -> Result<ProbeConnection, AttemptError> {
        // The caller gives up sooner. The phases of the connection are part of the time to acquire it.
        let connection = self.connector.connect(Instant::now() + 2 * ACQUIRE_LIMIT, &mut Trace::default()).await;
        let counter = if connection.is_ok() { &self.created } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        connection
    }

    async fn recycle(&self, connection: &mut ProbeConnection, metrics: &Metrics) -> RecycleResult<AttemptError> {
        if connection.client.is_closed() || metrics.age() >= LIFETIME {
            return Err(RecycleError::message("closed, or too old"));
        }
        Ok(())
    }
}
