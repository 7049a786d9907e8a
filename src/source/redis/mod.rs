//! A Redis or Valkey server as a source: one `INFO` for all wanted sections, and a few other commands, in one round
//! trip on a session that is kept.

mod commands;
pub mod error;
pub mod info;
mod replicas;
pub mod reply;
mod session;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::collector::SourceKind;
use crate::secret::Secret;
use crate::settings::connection::model::RedisSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::kept_session::SectionServer;
use crate::source::net::dial;
use crate::source::net::session_limit::SessionLimit;
use crate::source::redis::commands::SectionReader;
pub use crate::source::redis::reply::Reply;
pub use crate::source::redis::session::RedisSession;
use crate::source::sections::Tables;
use crate::{secret, truncate};

/// A server: its login, and the known facts about it.
pub struct RedisServer {
    settings: RedisSettings,
    reader: SectionReader,
    /// The server does not speak RESP3: it is not tried again.
    speaks_resp2: AtomicBool,
}

impl RedisServer {
    pub fn new(settings: RedisSettings) -> Self {
        RedisServer { settings, reader: SectionReader::default(), speaks_resp2: AtomicBool::default() }
    }

    /// A new session, counted in `sessions`.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the login.
    pub async fn connect(&self, sessions: &SessionLimit) -> Result<RedisSession, FetchError> {
        let password = secret::resolve(self.settings.password.as_ref()).await.map_err(FetchError::password)?;
        let password = password.as_ref().map_or("", Secret::expose);
        let wants_resp3 = !self.speaks_resp2.load(Ordering::Relaxed);
        let mut session = self.greeted(sessions, password, wants_resp3).await;
        // Some proxies close the connection on a command that they do not know.
        if wants_resp3 && session.as_ref().is_err_and(|error| error.reason == Reason::Lost) {
            session = self.greeted(sessions, password, false).await;
            self.speaks_resp2.fetch_or(session.is_ok(), Ordering::Relaxed);
        }
        match session {
            Err(error) if error::may_be_stranger(&error) => {
                let instead = dial::postgres_instead_of_redis(&self.settings.address).await;
                Err(instead.unwrap_or_else(|| without_password(error, password)))
            }
            session => session.map_err(|error| without_password(error, password)),
        }
    }

    async fn greeted(
        &self,
        sessions: &SessionLimit,
        password: &str,
        wants_resp3: bool,
    ) -> Result<RedisSession, FetchError> {
        let stream = dial::redis(&self.settings.address, &self.settings.tls, sessions).await?;
        let mut session = RedisSession::new(stream);
        let is_spoken = session.greet(&self.settings, password, wants_resp3).await?;
        self.speaks_resp2.fetch_or(!is_spoken, Ordering::Relaxed);
        Ok(session)
    }
}

impl SectionServer for RedisServer {
    const KIND: SourceKind = SourceKind::Redis;
    type Session = RedisSession;

    fn description(&self) -> String {
        self.reader.description.lock().clone().unwrap_or_else(|| "Redis".to_owned())
    }

    async fn log_in(&self, sessions: &SessionLimit) -> Result<RedisSession, FetchError> {
        let session = self.connect(sessions).await?;
        self.reader.denied.lock().clear();
        Ok(session)
    }

    async fn fetch(&self, session: &mut RedisSession, sections: &[&str]) -> Result<Tables, FetchError> {
        self.reader.fetch(session, sections).await
    }
}

/// A server that does not know a command may repeat its arguments in the error.
fn without_password(error: FetchError, password: &str) -> FetchError {
    match truncate::may_repeat(&error.message, password) {
        true => FetchError::new(error.reason, "the server's answer repeats the password and is not shown"),
        false => error,
    }
}
