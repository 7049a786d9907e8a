//! A PostgreSQL server as a source: its lanes, and the sessions on them.
//!
//! | lane | carries | server-side limit of a statement |
//! |---|---|---|
//! | quick, one session, kept | all quick queries, pipelined: one round trip | 1 s |
//! | slow, one session, kept | slow queries, one collector at a time; those of the target's own database too | the collector's `timeout` |
//! | databases, two sessions at once, not kept | another database: connect, ask all that is due in it, disconnect | the same |
//!
//! A slow query does not delay quick ones, because each lane has its own session. On a lane one batch runs at a time; the next waits.
//! The session of a lane (`ReusableSession`):
//!
//! ```text
//!            a batch needs it              accepted
//!   none ────────────────────► logging in ──────────► open ──┐ answered: kept for the next batch
//!    ▲                           ▲   │                 ▲ │   │
//!    │   the deadline passes:    └───┘                 └─│───┘
//!    │   stays pending, the next batch joins it          │
//!    └───────────────────────────────────────────────────┘
//!        lost: the batch goes on with a new session, three in all
//!        the deadline passes: cancelled and dropped
//!        the batch has read a large database: dropped, since its caches keep 30 MB
//! ```
//!
//! - *lost*: where sessions are ended at random (by a pooler's limits, an administrator), two in a row may be lost.
//! - *cancelled and dropped*: a cancel names a server process, not a query, so later it could hit the next batch. A session with
//!   unanswered queries could not be used for other ones either.
//! - If a database cannot be reached for one collector, the others due there fail with it, without further logins.

mod applicable;
mod batch;
mod database_list;
pub mod decode;
pub mod error;
#[cfg(test)]
mod fake_server;
mod pending_logins;
mod query;
mod remedy;
mod server_info;
mod session;
mod session_settings;
pub mod startup;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::collector::{Collector, SourceKind};
use crate::memory_budget::MemoryBudget;
use crate::settings::connection::model::PostgresSettings;
use crate::source::fetch::{Event, EventSink, FetchError, Reason, SourceStatus};
use crate::source::kept_session::{MAX_ATTEMPTS, open};
use crate::source::net::login_guard::LoginInfo;
use crate::source::pending_login::LoginOutcome as _;
use crate::source::postgres::batch::Batch;
use crate::source::postgres::pending_logins::PendingLogins;
use crate::source::postgres::session::Session;
use crate::source::sections::Source;
use crate::source::statements::Histories;

/// The server-side timeout of each quick statement.
const QUICK_STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum of databases asked at a time, besides the target's own.
const MAX_DATABASE_SESSIONS: usize = 2;

/// One PostgreSQL server, or the pooler in front of one.
pub struct PostgresServer {
    logins: PendingLogins,
    quick: AsyncMutex<ReusableSession>,
    slow: AsyncMutex<ReusableSession>,
    database_sessions: Semaphore,
    status: Mutex<SourceStatus>,
    /// The last readings of statements. They outlive sessions, so the next reading counts the calls during a gap.
    histories: Mutex<Histories>,
}

/// A session that batches use one after the other; it is opened when needed.
#[derive(Default)]
struct ReusableSession {
    /// `None` for the target's own.
    database: Option<String>,
    session: Option<Session>,
}

impl PostgresServer {
    /// A server whose rows take their memory from this budget.
    pub fn new(settings: PostgresSettings, memory: MemoryBudget) -> Self {
        PostgresServer {
            logins: PendingLogins::new(settings, memory.clone()),
            quick: AsyncMutex::default(),
            slow: AsyncMutex::default(),
            database_sessions: Semaphore::new(MAX_DATABASE_SESSIONS),
            status: Mutex::default(),
            histories: Mutex::new(Histories::new(memory)),
        }
    }

    async fn ask_one_by_one(
        &self,
        lane: &AsyncMutex<ReusableSession>,
        databases: usize,
        due: &[Arc<Collector>],
        sink: EventSink<'_>,
    ) -> Result<(), FetchError> {
        let mut result: Result<(), FetchError> = Ok(());
        for (index, collector) in due.iter().enumerate() {
            // Locked for one collector at a time, so that others waiting for the slow lane get their turn.
            let mut reusable = lane.lock().await;
            sink(Event::TurnBegan);
            let mut batch = Batch::of_one(collector, index, sink, &self.histories);
            batch.databases = databases;
            result = match result {
                // A database that cannot be reached is not tried again for each of its collectors.
                Err(error) if error.reason.is_connection() || error.reason == Reason::Closed => {
                    batch.fail(|_| error.clone());
                    Err(error)
                }
                // The server's own timeout comes first; this deadline is for a server that does not enforce it.
                _ => self.run(&mut reusable, batch, Instant::now() + collector.timeout + Duration::from_secs(1)).await,
            };
        }
        result
    }

    async fn run(&self, reusable: &mut ReusableSession, batch: Batch<'_>, until: Instant) -> Result<(), FetchError> {
        let mut result = Ok(());
        for _ in 0..MAX_ATTEMPTS {
            result = self.try_run(reusable, &batch, until).await;
            if !is_lost(&result) {
                break;
            }
        }
        if let Err(error) = &result {
            batch.fail(|_| error.clone());
        }
        result
    }

    async fn try_run(
        &self,
        reusable: &mut ReusableSession,
        batch: &Batch<'_>,
        until: Instant,
    ) -> Result<(), FetchError> {
        let session = self.open_session(reusable, until).await?;
        let Ok(result) = timeout_at(until, session.run(batch)).await else {
            session.cancel().await;
            reusable.session = None;
            let late = FetchError::new(Reason::Timeout, "no answer before the deadline");
            if !batch.is_server_answering() {
                return Err(late);
            }
            batch.fail(|query| late.clone().in_query(&query.name));
            return Ok(());
        };
        self.update_status(session);
        if result.is_err() || batch.reads_whole_database() && session.server_info.is_large {
            reusable.session = None;
        }
        result
    }

    async fn open_session<'a>(
        &self,
        reusable: &'a mut ReusableSession,
        until: Instant,
    ) -> Result<&'a mut Session, FetchError> {
        let log_in = async {
            let session = self.logins.log_in(reusable.database.as_deref(), until).await?;
            self.update_status(&session);
            Ok(session)
        };
        open(&mut reusable.session, log_in).await
    }

    fn update_status(&self, session: &Session) {
        let mut status = self.status.lock();
        status.replica = Some(session.server_info.replica);
        status.pooled = Some(session.server_info.pooled);
        status.monitor = Some(session.server_info.monitor);
        status.superuser = Some(session.server_info.superuser);
        status.major = Some(session.server_info.major);
    }
}

impl Source for PostgresServer {
    fn answers(&self, kind: SourceKind) -> bool {
        kind.is_sql()
    }

    fn description(&self) -> String {
        let status = self.status();
        let role = if status.replica == Some(true) { "replica" } else { "primary" };
        let protocol = match status.pooled {
            Some(true) => "pooled mode: behind a transaction pooler",
            _ => "prepared statements",
        };
        format!("PostgreSQL {}, {role}, {protocol}", status.major.unwrap_or_default())
    }

    fn status(&self) -> SourceStatus {
        let (sessions, login_pending) = (self.logins.sessions().count(), self.logins.is_pending());
        SourceStatus { sessions, login_pending, ..*self.status.lock() }
    }

    fn logins(&self) -> BTreeSet<LoginInfo> {
        self.logins.sessions().last_login().into_iter().collect()
    }

    /// Opens the session of the quick lane unless it is open.
    fn connect(&self, until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        let connect = async move {
            let mut reusable = self.quick.lock().await;
            let was_open = reusable.session.as_ref().is_some_and(|session| !session.is_closed());
            let mut result = Ok(());
            for _ in 0..MAX_ATTEMPTS {
                result = self.open_session(&mut reusable, until).await.map(|_| ());
                if !is_lost(&result) {
                    break;
                }
            }
            result.map(|()| !was_open)
        };
        connect.boxed()
    }

    fn fetch_quick<'a>(
        &'a self,
        due: &'a [Arc<Collector>],
        discover: bool,
        until: Instant,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        let fetch = async move {
            let mut reusable = self.quick.lock().await;
            let mut batch = Batch::new(due, QUICK_STATEMENT_TIMEOUT, sink, &self.histories);
            batch.lists_databases = discover;
            self.run(&mut reusable, batch, until).await
        };
        fetch.boxed()
    }

    fn fetch_slow<'a>(
        &'a self,
        collector: &'a Arc<Collector>,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        self.ask_one_by_one(&self.slow, 1, std::slice::from_ref(collector), sink).boxed()
    }

    /// Asks one by one: in the target's own database on the slow lane, whose session has planned these queries before;
    /// in another on a session of its own, or on several in turn.
    fn fetch_database<'a>(
        &'a self,
        database: &'a str,
        databases: usize,
        due: &'a [Arc<Collector>],
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        let fetch = async move {
            if self.logins.is_own(database) {
                return self.ask_one_by_one(&self.slow, databases, due, sink).await;
            }
            // The semaphore is never closed.
            let _permit = self.database_sessions.acquire().await;
            let reusable = ReusableSession { database: Some(database.to_owned()), session: None };
            self.ask_one_by_one(&AsyncMutex::new(reusable), databases, due, sink).await
        };
        fetch.boxed()
    }
}

fn is_lost(result: &Result<(), FetchError>) -> bool {
    result.as_ref().is_err_and(|error| error.reason == Reason::Lost)
}
