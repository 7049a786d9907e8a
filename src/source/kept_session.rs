//! A server that is asked over one kept session: the common part of PgBouncer and Redis.
//!
//! A lost session is replaced within the fetch, as for a PostgreSQL server. One that does not answer by its deadline is
//! dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::collector::SourceKind;
use crate::source::fetch::{FetchError, Reason, SourceStatus};
use crate::source::net::login_guard::LoginInfo;
use crate::source::net::session_limit::SessionLimit;
use crate::source::pending_login::{LoginOutcome, LoginTask, PendingLogin};
use crate::source::sections::{Source, Tables};

/// The maximum of sessions that a fetch may use.
pub const MAX_ATTEMPTS: usize = 3;

/// A server whose sections are fetched over a session.
pub trait SectionServer: Send + Sync + 'static {
    const KIND: SourceKind;
    type Session: LoginOutcome;

    /// Opens a session, which is counted in `sessions`.
    fn log_in(&self, sessions: &SessionLimit) -> impl Future<Output = Result<Self::Session, FetchError>> + Send;

    /// The product and its version, for people.
    fn description(&self) -> String;

    /// Fetches these sections, each once.
    ///
    /// # Errors
    /// The connection failed.
    fn fetch(
        &self,
        session: &mut Self::Session,
        sections: &[&str],
    ) -> impl Future<Output = Result<Tables, FetchError>> + Send;
}

/// A server and the session that is kept on it.
pub struct KeptSession<S: SectionServer> {
    server: Arc<S>,
    sessions: SessionLimit,
    pending: PendingLogin<S::Session>,
    session: Mutex<Option<S::Session>>,
}

impl<S: SectionServer> KeptSession<S> {
    pub fn new(server: S) -> Self {
        let (sessions, pending, session) = (SessionLimit::default(), PendingLogin::default(), Mutex::default());
        KeptSession { server: server.into(), sessions, pending, session }
    }

    /// The session, once no other fetch uses it.
    async fn lock(&self, until: Instant) -> Result<MutexGuard<'_, Option<S::Session>>, FetchError> {
        let late = |_| FetchError::new(Reason::Timeout, "another fetch was not answered before the deadline");
        timeout_at(until, self.session.lock()).await.map_err(late)
    }

    async fn open<'a>(
        &self,
        kept: &'a mut Option<S::Session>,
        until: Instant,
    ) -> Result<&'a mut S::Session, FetchError> {
        let log_in = || {
            let (server, sessions) = (self.server.clone(), self.sessions.clone());
            LoginTask::start(async move { server.log_in(&sessions).await })
        };
        open(kept, self.pending.join_or_start(log_in, until)).await
    }

    async fn try_connect(&self, until: Instant) -> Result<bool, FetchError> {
        let mut session = self.lock(until).await?;
        let is_open = session.as_ref().is_some_and(|session| !session.is_closed());
        self.open(&mut session, until).await?;
        Ok(!is_open)
    }

    async fn fetch(&self, sections: &[&str], until: Instant) -> Result<Tables, FetchError> {
        let mut kept = self.lock(until).await?;
        let mut attempts_left = MAX_ATTEMPTS;
        loop {
            attempts_left -= 1;
            let session = self.open(&mut kept, until).await?;
            let late = |_| Err(FetchError::new(Reason::Timeout, "no answer before the deadline of the fetch"));
            let result = timeout_at(until, self.server.fetch(session, sections)).await.unwrap_or_else(late);
            let Err(error) = &result else { return result };
            *kept = None;
            if error.reason != Reason::Lost || attempts_left == 0 {
                return result;
            }
        }
    }
}

/// The kept session if it is still open, or else a new one, which is kept then.
pub async fn open<S: LoginOutcome>(
    kept: &mut Option<S>,
    log_in: impl Future<Output = Result<S, FetchError>>,
) -> Result<&mut S, FetchError> {
    let session = match kept.take().filter(|session| !session.is_closed()) {
        Some(session) => session,
        None => log_in.await?,
    };
    Ok(kept.insert(session))
}

impl<S: SectionServer> Source for KeptSession<S> {
    fn answers(&self, kind: SourceKind) -> bool {
        kind == S::KIND
    }

    fn description(&self) -> String {
        self.server.description()
    }

    fn tables<'a>(&'a self, sections: &'a [&'a str], until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        self.fetch(sections, until).boxed()
    }

    fn is_local(&self) -> bool {
        false
    }

    fn connect(&self, until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        self.try_connect(until).boxed()
    }

    fn status(&self) -> SourceStatus {
        let login_pending = self.pending.is_pending();
        SourceStatus { sessions: self.sessions.count(), login_pending, ..SourceStatus::default() }
    }

    fn logins(&self) -> BTreeSet<LoginInfo> {
        self.sessions.last_login().into_iter().collect()
    }
}
