//! The logins of one target: at most one is pending for each database.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex as Guarded;
use tokio::time::Instant;

use crate::{
    memory_budget::MemoryBudget,
    settings::connection::model::PostgresSettings,
    source::{
        fetch::{FetchError, Reason},
        net::session_limit::SessionLimit,
        pending_login,
        pending_login::{Login, Pending},
        postgres::{
            connect::{Destination, StartupRefusal, log_in},
            session::Session,
            session_settings::Mark,
        },
    },
};

/// Databases other than the target's own whose logins may be pending at a time.
const MOST_PENDING: usize = 3;

type SharedLogin = Arc<Pending<Session>>;

/// All of a target's.
pub struct PendingLogins {
    settings: Arc<PostgresSettings>,
    pub sessions: SessionLimit,
    mark: Mark,
    refusal: Arc<StartupRefusal>,
    /// Where the rows of its sessions have their memory.
    room: MemoryBudget,
    /// To the target's own database.
    own: SharedLogin,
    others: Guarded<HashMap<String, SharedLogin>>,
}

impl PendingLogins {
    pub fn new(settings: PostgresSettings, room: MemoryBudget) -> Self {
        PendingLogins {
            settings: Arc::new(settings),
            sessions: SessionLimit::default(),
            mark: Mark::default(),
            refusal: Arc::default(),
            room,
            own: SharedLogin::default(),
            others: Guarded::default(),
        }
    }

    /// A login to the target's own database is pending.
    pub fn is_pending(&self) -> bool {
        is_pending(&self.own)
    }

    /// The database that the target logs in to.
    pub fn is_own(&self, database: &str) -> bool {
        self.settings.database == database
    }

    /// A session on the target's own database.
    pub async fn log_in(&self, until: Instant) -> Result<Session, FetchError> {
        pending_login::wait(&self.own, || self.start(&self.settings), until).await
    }

    /// A session on another database.
    pub async fn log_in_to(&self, database: &str, until: Instant) -> Result<Session, FetchError> {
        let place = self.place(database)?;
        let settings = PostgresSettings { database: database.to_owned(), ..(*self.settings).clone() };
        let settings = Arc::new(settings);
        pending_login::wait(&place, || self.start(&settings), until).await
    }

    fn start(&self, settings: &Arc<PostgresSettings>) -> Login<Session> {
        Login::start(log_in(Destination {
            settings: settings.clone(),
            is_own: self.is_own(&settings.database),
            sessions: self.sessions.clone(),
            mark: self.mark.clone(),
            refusal: self.refusal.clone(),
            room: self.room.clone(),
        }))
    }

    fn place(&self, database: &str) -> Result<SharedLogin, FetchError> {
        let mut others = self.others.lock();
        others.retain(|_, place| is_pending(place));
        if others.len() >= MOST_PENDING && !others.contains_key(database) {
            let message = format!("logins to {MOST_PENDING} databases are not answered; no more are begun");
            return Err(FetchError::new(Reason::LoginPending, message));
        }
        Ok(others.entry(database.to_owned()).or_default().clone())
    }
}

/// Pending, or being waited for.
fn is_pending(place: &SharedLogin) -> bool {
    Arc::strong_count(place) > 1 || place.try_lock().map_or(true, |login| login.is_some())
}
