//! Limits the pending logins of one target: one for each database, and three for the databases beside its own.
//!
//! ```text
//!   the target's own database ──► its pending login; it may always start one
//!
//!   another database ──► has a pending login ─────────────► joined
//!                    ├─► has none, and fewer than 3 have ─► started
//!                    └─► has none, and 3 have ────────────► refused (login_pending)
//! ```
//!
//! A server that stops answering logins (a locked catalogue, a frozen pooler) keeps a session for each of them. Without
//! a limit, a target with a thousand databases would leave a thousand there. A database is forgotten once its login
//! has ended and no caller waits for it, so the map holds only those few.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::memory_budget::MemoryBudget;
use crate::settings::connection::model::PostgresSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::session_limit::SessionLimit;
use crate::source::pending_login::{LoginTask, PendingLogin};
use crate::source::postgres::session::{Session, SessionContext};
use crate::source::postgres::session_settings::SessionMarker;

/// Databases other than the target's own whose logins may be pending at a time.
const MAX_PENDING: usize = 3;

/// The pending logins of a target, and what its sessions share.
pub struct PendingLogins {
    /// The context of sessions on the target's own database.
    context: SessionContext,
    own: PendingLogin<Session>,
    others: Mutex<HashMap<String, Arc<PendingLogin<Session>>>>,
}

impl PendingLogins {
    pub fn new(settings: PostgresSettings, memory: MemoryBudget) -> Self {
        let (settings, sessions, marker) = (Arc::new(settings), SessionLimit::default(), SessionMarker::default());
        PendingLogins {
            context: SessionContext { settings, sessions, marker, memory },
            own: PendingLogin::default(),
            others: Mutex::default(),
        }
    }

    pub fn sessions(&self) -> &SessionLimit {
        &self.context.sessions
    }

    /// A login to the target's own database is pending.
    pub fn is_pending(&self) -> bool {
        self.own.is_pending()
    }

    /// This database is the target's own.
    pub fn is_own(&self, database: &str) -> bool {
        self.context.settings.database == database
    }

    /// A session on this database, or on the target's own.
    pub async fn log_in(&self, database: Option<&str>, until: Instant) -> Result<Session, FetchError> {
        let Some(database) = database else {
            return self
                .own
                .join_or_start(|| LoginTask::start(Session::log_in(self.context.clone(), true)), until)
                .await;
        };
        let pending = self.pending(database)?;
        let settings = PostgresSettings { database: database.to_owned(), ..(*self.context.settings).clone() };
        let context = SessionContext { settings: Arc::new(settings), ..self.context.clone() };
        pending.join_or_start(|| LoginTask::start(Session::log_in(context.clone(), false)), until).await
    }

    fn pending(&self, database: &str) -> Result<Arc<PendingLogin<Session>>, FetchError> {
        let mut others = self.others.lock();
        others.retain(|_, login| Arc::strong_count(login) > 1 || login.is_pending());
        if others.len() >= MAX_PENDING && !others.contains_key(database) {
            let message = format!("logins to {MAX_PENDING} databases are pending; no more are started");
            return Err(FetchError::new(Reason::LoginPending, message));
        }
        Ok(others.entry(database.to_owned()).or_default().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::postgres::fake_server::{self, FakeReply, primary};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(250)
    }

    async fn logins(script: fn(&str) -> FakeReply) -> PendingLogins {
        PendingLogins::new(fake_server::listen(Arc::new(script)).await, MemoryBudget::of(1 << 20))
    }

    #[tokio::test]
    async fn few_logins_to_other_databases_are_pending() {
        let logins = logins(|_| FakeReply::Silence).await;
        let pending = |result: Result<Session, FetchError>| result.err().expect("no login is answered").message;
        for database in ["a", "b", "c", "c"] {
            assert!(!logins.is_pending());
            assert_eq!(*pending(logins.log_in(Some(database), soon()).await), *"the login is not answered yet");
        }
        let refused = "logins to 3 databases are pending; no more are started";
        assert_eq!(*pending(logins.log_in(Some("d"), soon()).await), *refused);
        assert_eq!(*pending(logins.log_in(Some("a"), soon()).await), *"the login is not answered yet");
        assert_eq!(logins.sessions().count(), 3);
        assert_eq!(*pending(logins.log_in(None, soon()).await), *"the login is not answered yet");
        assert!(logins.is_pending() && logins.sessions().count() == 4);
    }

    #[tokio::test]
    async fn a_database_that_is_waited_for_counts_as_pending() {
        let logins = logins(|_| FakeReply::Silence).await;
        let waiting: Vec<_> = ["a", "b", "c"].into_iter().map(|name| logins.pending(name).expect("few")).collect();
        assert!(logins.pending("d").is_err() && logins.pending("a").is_ok());
        drop(waiting);
        assert!(logins.pending("d").is_ok());
        assert_eq!(logins.others.lock().len(), 1);
    }

    #[tokio::test]
    async fn sessions_are_on_the_database_that_was_asked_for() {
        let logins = logins(primary).await;
        assert!(logins.is_own("app") && !logins.is_own("other"));
        let until = Instant::now() + Duration::from_secs(60);
        let own = logins.log_in(None, until).await.expect("it is let in");
        let other = logins.log_in(Some("other"), until).await.expect("it is let in");
        assert_eq!((&*own.context.settings.database, &*other.context.settings.database), ("app", "other"));
    }
}
