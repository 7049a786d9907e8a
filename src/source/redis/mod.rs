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
use crate::settings::connection::login::LoginMethod;
use crate::settings::connection::model::RedisSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::kept_session::SectionServer;
use crate::source::net::dial;
use crate::source::net::session_limit::SessionLimit;
use crate::source::redis::commands::{SectionSession, ServerDescription};
pub use crate::source::redis::reply::Reply;
use crate::source::redis::session::Protocol;
pub use crate::source::redis::session::RedisSession;
use crate::source::sections::Tables;
use crate::{secret, truncate};

/// A server: its login, and the known facts about it.
pub struct RedisServer {
    settings: RedisSettings,
    description: ServerDescription,
    /// The server does not speak RESP3: it is not tried again.
    speaks_resp2: AtomicBool,
}

impl RedisServer {
    pub fn new(settings: RedisSettings) -> Self {
        RedisServer { settings, description: ServerDescription::default(), speaks_resp2: AtomicBool::default() }
    }

    /// A new session, counted in `sessions`.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the login.
    pub async fn connect(&self, sessions: &SessionLimit) -> Result<RedisSession, FetchError> {
        let password = secret::resolve(self.settings.password.as_ref()).await.map_err(FetchError::password)?;
        let password = password.as_ref().map_or("", Secret::expose);
        let session = match self.speaks_resp2.load(Ordering::Relaxed) {
            true => self.greeted(sessions, password, Protocol::Resp2).await,
            false => match self.greeted(sessions, password, Protocol::Resp3).await {
                // Some proxies close the connection on a command that they do not know.
                Err(error) if error.reason == Reason::Lost => {
                    let session = self.greeted(sessions, password, Protocol::Resp2).await;
                    self.speaks_resp2.fetch_or(session.is_ok(), Ordering::Relaxed);
                    session
                }
                session => session,
            },
        };
        session.map_err(|error| without_password(error, password))
    }

    async fn greeted(
        &self,
        sessions: &SessionLimit,
        password: &str,
        protocol: Protocol,
    ) -> Result<RedisSession, FetchError> {
        let stream = dial::redis(&self.settings.address, &self.settings.tls, sessions).await?;
        let mut session = RedisSession::new(stream);
        let is_spoken = session.greet(&self.settings, password, protocol).await?;
        let has_password = self.settings.user.is_some() || self.settings.password.is_some();
        session.let_in(if has_password { LoginMethod::Password } else { LoginMethod::None });
        self.speaks_resp2.fetch_or(!is_spoken, Ordering::Relaxed);
        Ok(session)
    }
}

impl SectionServer for RedisServer {
    const KIND: SourceKind = SourceKind::Redis;
    type Session = SectionSession;

    fn description(&self) -> String {
        self.description.lock().clone().unwrap_or_else(|| "Redis".to_owned())
    }

    async fn log_in(&self, sessions: &SessionLimit) -> Result<SectionSession, FetchError> {
        Ok(SectionSession::new(self.connect(sessions).await?, self.description.clone()))
    }

    async fn fetch(session: &mut SectionSession, sections: &[&str]) -> Result<Tables, FetchError> {
        session.fetch(sections).await
    }
}

/// A server that does not know a command may repeat its arguments in the error.
fn without_password(error: FetchError, password: &str) -> FetchError {
    match truncate::may_repeat(&error.message, password) {
        true => FetchError::new(error.reason, "the server's answer repeats the password and is not shown"),
        false => error,
    }
}
