//! The logins of one target: at most one is pending for each database, and few for all of them.
//!
//! ```text
//!   the target's own database ──► its pending login; it may always start one
//!
//!   another database ──► has a pending login ─────────────► joined
//!                    ├─► has none, and fewer than 3 have ─► started
//!                    └─► has none, and 3 have ────────────► refused (login_pending)
//! ```
//!
//! A server that stops answering logins (a locked catalogue, a frozen pooler) keeps each of them as a session. Without a limit,
//! a target with a thousand databases would leave a thousand there. A database is forgotten once its login has ended and no caller
//! waits for it, so the map holds those few alone.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    memory_budget::MemoryBudget,
    settings::PostgresSettings,
    source::{
        fetch::{FetchError, Reason},
        net::session_limit::SessionLimit,
        pending_login::{LoginTask, PendingLogin},
        postgres::{
            connect::{LoginRequest, OptionsRefusal, log_in},
            session::{Session, SessionContext},
            session_settings::SessionMarker,
        },
    },
};

/// Databases other than the target's own whose logins may be pending at a time.
const MAX_PENDING: usize = 3;

/// The pending logins of a target, and what its sessions share.
pub struct PendingLogins {
    /// Of sessions on the target's own database.
    context: SessionContext,
    options_refusal: Arc<OptionsRefusal>,
    own: PendingLogin<Session>,
    others: Mutex<HashMap<String, Arc<PendingLogin<Session>>>>,
}

impl PendingLogins {
    pub fn new(settings: PostgresSettings, memory: MemoryBudget) -> Self {
        let (settings, sessions, marker) = (Arc::new(settings), SessionLimit::default(), SessionMarker::default());
        PendingLogins {
            context: SessionContext { settings, sessions, marker, memory },
            options_refusal: Arc::default(),
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

    /// The target itself logs in to this database.
    pub fn is_own(&self, database: &str) -> bool {
        self.context.settings.database == database
    }

    /// A session on the target's own database.
    pub async fn log_in(&self, until: Instant) -> Result<Session, FetchError> {
        self.own.join_or_start(|| self.start(self.context.clone()), until).await
    }

    /// A session on another database.
    pub async fn log_in_to(&self, database: &str, until: Instant) -> Result<Session, FetchError> {
        let pending = self.pending(database)?;
        let settings = PostgresSettings { database: database.to_owned(), ..(*self.context.settings).clone() };
        let context = SessionContext { settings: Arc::new(settings), ..self.context.clone() };
        pending.join_or_start(|| self.start(context.clone()), until).await
    }

    fn start(&self, context: SessionContext) -> LoginTask<Session> {
        let is_own_database = self.is_own(&context.settings.database);
        let options_refusal = self.options_refusal.clone();
        LoginTask::start(log_in(LoginRequest { context, is_own_database, options_refusal }))
    }

    fn pending(&self, database: &str) -> Result<Arc<PendingLogin<Session>>, FetchError> {
        let mut others = self.others.lock();
        others.retain(|_, login| Arc::strong_count(login) > 1 || login.is_pending());
        if others.len() >= MAX_PENDING && !others.contains_key(database) {
            let message = format!("logins to {MAX_PENDING} databases are not answered; no more are started");
            return Err(FetchError::new(Reason::LoginPending, message));
        }
        Ok(others.entry(database.to_owned()).or_default().clone())
    }
}
