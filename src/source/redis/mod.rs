//! A Redis or Valkey server: one `INFO` for all sections that are asked, and what few other commands say, in one round
//! trip on a kept session.

mod commands;
pub mod error;
pub mod info;
mod replicas;
pub mod reply;
mod session;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

pub use crate::source::redis::{reply::Reply, session::RedisSession};
use crate::{
    secret,
    secret::Secret,
    settings::connection::{login::LoginMethod, model::RedisSettings},
    source::{
        fetch::{FetchError, Reason},
        net::{dial, session_limit::SessionLimit},
        pending_login::Login,
        redis::session::Protocol,
        sections::{SectionServer, SectionSource, Tables},
    },
    truncate,
};

/// A server, and the session kept on it.
pub type RedisSource = SectionSource<RedisServer>;

/// How to log in to one, and what is known of it.
#[derive(Clone)]
pub struct RedisServer {
    settings: Arc<RedisSettings>,
    about: RedisInfo,
    /// It does not speak RESP3, and is not asked to any more.
    speaks_resp2: Arc<AtomicBool>,
}

/// What the server is, for people, once it has said so.
type RedisInfo = Arc<Mutex<Option<String>>>;

impl RedisServer {
    pub fn new(settings: RedisSettings) -> Self {
        RedisServer { settings: Arc::new(settings), about: RedisInfo::default(), speaks_resp2: Arc::default() }
    }

    /// A session of one's own, counted in `sessions`.
    ///
    /// # Errors
    /// The server cannot be reached, or does not let us in.
    pub async fn connect(&self, sessions: &SessionLimit) -> Result<RedisSession, FetchError> {
        let password = secret::resolve(self.settings.password.as_ref()).await.map_err(FetchError::password)?;
        let password = password.as_ref().map_or("", Secret::expose);
        let talk = match self.speaks_resp2.load(Ordering::Relaxed) {
            true => self.greeted(sessions, password, Protocol::Resp2).await,
            false => match self.greeted(sessions, password, Protocol::Resp3).await {
                // Some proxies hang up on a command that they do not know.
                Err(error) if error.reason == Reason::Lost => {
                    let talk = self.greeted(sessions, password, Protocol::Resp2).await;
                    self.speaks_resp2.fetch_or(talk.is_ok(), Ordering::Relaxed);
                    talk
                }
                talk => talk,
            },
        };
        talk.map_err(|error| without_password(error, password))
    }

    async fn greeted(
        &self,
        sessions: &SessionLimit,
        password: &str,
        protocol: Protocol,
    ) -> Result<RedisSession, FetchError> {
        let stream = dial::redis(&self.settings.address, &self.settings.tls, sessions).await?;
        let mut talk = RedisSession::new(stream, self.about.clone());
        let is_spoken = talk.greet(&self.settings, password, protocol).await?;
        let has_password = self.settings.user.is_some() || self.settings.password.is_some();
        talk.let_in(if has_password { LoginMethod::Password } else { LoginMethod::None });
        self.speaks_resp2.fetch_or(!is_spoken, Ordering::Relaxed);
        Ok(talk)
    }
}

impl SectionServer for RedisServer {
    type Session = RedisSession;

    fn about(&self) -> String {
        self.about.lock().clone().unwrap_or_else(|| "Redis".to_owned())
    }

    fn log_in(&self, sessions: &SessionLimit) -> Login<RedisSession> {
        let (access, sessions) = (self.clone(), sessions.clone());
        Login::start(async move { access.connect(&sessions).await })
    }

    async fn ask(session: &mut RedisSession, sections: &[&str]) -> Result<Tables, FetchError> {
        let mut questions = std::mem::take(&mut session.questions);
        let tables = questions.ask(session, sections).await;
        session.questions = questions;
        tables
    }
}

/// A server that does not know a command may repeat what came with it.
fn without_password(error: FetchError, password: &str) -> FetchError {
    match truncate::may_repeat(&error.message, password) {
        true => FetchError::new(error.reason, "the server's answer repeats the password and is not shown"),
        false => error,
    }
}
