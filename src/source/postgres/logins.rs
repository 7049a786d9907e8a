//! The logins of one target: at most one is pending for each database. It is kept, and the next who needs a session
//! there waits for the same, because abandoned logins pile up at a server that does not answer them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex as Guarded;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{login::Login, session::Session};
use crate::{
    config::settings,
    source::{FetchError, Reason, sessions::Sessions},
};

/// Databases other than the target's own whose logins may be pending at a time.
const MOST_PENDING: usize = 3;

type Place = Arc<Mutex<Option<Login>>>;

/// All of a target's.
pub struct Logins {
    settings: Arc<settings::Postgres>,
    pub sessions: Sessions,
    /// To the target's own database.
    own: Place,
    others: Guarded<HashMap<String, Place>>,
}

impl Logins {
    pub fn new(settings: settings::Postgres) -> Self {
        Logins {
            settings: Arc::new(settings),
            sessions: Sessions::default(),
            own: Place::default(),
            others: Guarded::default(),
        }
    }

    /// A login to the target's own database is pending.
    pub fn is_pending(&self) -> bool {
        is_pending(&self.own)
    }

    /// A session on the target's own database.
    pub async fn log_in(&self, until: Instant) -> Result<Session, FetchError> {
        wait(&self.own, || Login::start(self.settings.clone(), self.sessions.clone()), until).await
    }

    /// A session on another database.
    pub async fn log_in_to(&self, database: &str, until: Instant) -> Result<Session, FetchError> {
        let place = self.place(database)?;
        let settings = settings::Postgres { database: database.to_owned(), ..(*self.settings).clone() };
        let settings = Arc::new(settings);
        wait(&place, || Login::start(settings.clone(), self.sessions.clone()), until).await
    }

    fn place(&self, database: &str) -> Result<Place, FetchError> {
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
fn is_pending(place: &Place) -> bool {
    Arc::strong_count(place) > 1 || place.try_lock().map_or(true, |login| login.is_some())
}

/// Waits for the pending login, or begins one. One that was begun earlier and failed since says nothing of now, so it
/// is followed by a fresh one.
async fn wait(place: &Place, start: impl Fn() -> Login, until: Instant) -> Result<Session, FetchError> {
    let late = || FetchError::new(Reason::LoginPending, "the login is not answered yet");
    let mut pending = timeout_at(until, place.lock()).await.map_err(|_| late())?;
    let mut inherited = pending.is_some();
    loop {
        let login = pending.get_or_insert_with(&start);
        let ended = timeout_at(until, &mut login.task).await.map_err(|_| late())?;
        *pending = None;
        match ended.unwrap_or_else(|error| Err(FetchError::new(Reason::Lost, format!("login ended: {error}")))) {
            Ok(session) if !(inherited && session.is_closed()) => return Ok(session),
            Err(error) if !inherited => return Err(error),
            _ => inherited = false,
        }
    }
}
