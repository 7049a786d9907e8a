//! A client-side pool of connections, as applications have it: deadpool's, over our own dialler.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant as Clock, SystemTime},
};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tokio::time::{Instant, timeout_at};

use crate::{
    probe::{
        attempt::{AttemptError, FailureReason, Phase, Trace},
        connect::{Connector, ProbeConnection},
    },
    source::net::session_limit::SessionLimit,
};

/// How long an application waits for a connection of its pool.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(1);

/// A connection older than this is replaced, so that the pool's creating is measured too, and a new address is found.
const LIFETIME: Duration = Duration::from_secs(1800);

/// The pool.
pub struct Pool {
    pool: Option<managed::Pool<Manager>>,
    manager: Arc<Creating>,
}

/// A connection of the pool's; dropped, it goes back.
pub type Pooled = Object<Manager>;

struct Creating {
    connector: Arc<Connector>,
    created: AtomicU64,
    failed: AtomicU64,
}

/// Makes the pool's connections.
pub struct Manager(Arc<Creating>);

/// How the pool is, just now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolState {
    pub size: usize,
    /// Connections there are.
    pub open: usize,
    /// Those of them that nobody uses.
    pub available: usize,
    pub waiting: usize,
    /// When the oldest that nobody uses was made.
    pub oldest: Option<SystemTime>,
    pub created: u64,
    pub failed: u64,
}

impl Pool {
    pub fn new(connector: Arc<Connector>, size: usize) -> Self {
        let manager = Arc::new(Creating { connector, created: AtomicU64::new(0), failed: AtomicU64::new(0) });
        // It refuses timeouts without a runtime; it has none of its own, ours are around it.
        let pool = managed::Pool::builder(Manager(manager.clone())).max_size(size).build().ok();
        Pool { pool, manager }
    }

    /// A connection, within the limit and by `until` at the latest.
    pub async fn acquire(&self, until: Instant, trace: &mut Trace) -> Result<Pooled, AttemptError> {
        let began = Instant::now();
        let until = until.min(began + ACQUIRE_LIMIT);
        let broken = || AttemptError::new(FailureReason::Error, Phase::Acquire, "the pool is closed");
        let pool = self.pool.as_ref().ok_or_else(broken)?;
        let connection = match timeout_at(until, pool.get()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(PoolError::Backend(failure))) => return Err(failure),
            Ok(Err(_)) => return Err(broken()),
            Err(_) => {
                let message = format!("no connection within {ACQUIRE_LIMIT:?}");
                return Err(AttemptError::new(FailureReason::AcquireTimeout, Phase::Acquire, message));
            }
        };
        trace.ended(Phase::Acquire, began);
        Ok(connection)
    }

    /// Connections that are open, or that the server has not ended yet.
    pub fn sessions(&self) -> &SessionLimit {
        &self.manager.connector.sessions
    }

    pub fn state(&self) -> Option<PoolState> {
        let pool = self.pool.as_ref()?;
        let (status, mut oldest) = (pool.status(), None);
        pool.retain(|_, metrics| {
            oldest = oldest.max(Some(age(&metrics)));
            true
        });
        Some(PoolState {
            size: status.max_size,
            open: status.size,
            available: status.available,
            waiting: status.waiting,
            oldest: oldest.and_then(|age: Duration| SystemTime::now().checked_sub(age)),
            created: self.manager.created.load(Ordering::Relaxed),
            failed: self.manager.failed.load(Ordering::Relaxed),
        })
    }
}

fn age(metrics: &Metrics) -> Duration {
    Clock::now().saturating_duration_since(metrics.created)
}

/// Takes a connection out of the pool and closes it: what failed on it may still be under way there.
pub fn discard(connection: Pooled) {
    drop(Object::take(connection));
}

impl managed::Manager for Manager {
    type Type = ProbeConnection;
    type Error = AttemptError;

    async fn create(&self) -> Result<ProbeConnection, AttemptError> {
        let connector = &self.0.connector;
        // Who acquires gives up sooner; what the connection's own phases take is in that time.
        let made = connector.connect(Instant::now() + 2 * ACQUIRE_LIMIT, &mut Trace::default()).await;
        let counter = if made.is_ok() { &self.0.created } else { &self.0.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        made
    }

    async fn recycle(&self, connection: &mut ProbeConnection, metrics: &Metrics) -> RecycleResult<AttemptError> {
        match connection.client.is_closed() || age(metrics) >= LIFETIME {
            true => Err(RecycleError::message("closed, or too old")),
            false => Ok(()),
        }
    }
}
