//! A Redis or Valkey server: one `INFO` for all sections that are asked, and what few other commands say, in one round
//! trip on a kept session.

pub mod error;
pub mod info;
mod questions;
mod replicas;
pub mod resp;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, BufReader};

use self::{info::Info, questions::Questions, resp::Value};
use super::{
    FetchError, Reason, dial,
    kept::{Kept, Server, Tables},
    login::{Login, Session},
    secret,
    sessions::Sessions,
    stream::Stream,
};
use crate::{config::settings, cut, secret::Secret};

/// A server, and the session kept on it.
pub type Redis = Kept<Access>;

/// How to log in to one.
pub struct Access {
    settings: Arc<settings::Redis>,
    about: About,
}

/// What the server is, for people, once it has said so.
type About = Arc<Mutex<Option<String>>>;

/// A session. What it was not allowed it does not ask again for a while.
pub struct Talk {
    stream: BufReader<Stream>,
    about: About,
    questions: Questions,
    /// The connection is of no use any more.
    is_over: bool,
}

impl Access {
    pub fn new(settings: settings::Redis) -> Self {
        Access { settings: Arc::new(settings), about: About::default() }
    }
}

impl Server for Access {
    type Session = Talk;

    fn about(&self) -> String {
        self.about.lock().clone().unwrap_or_else(|| "Redis".to_owned())
    }

    fn log_in(&self, sessions: &Sessions) -> Login<Talk> {
        Login::start(log_in(self.settings.clone(), sessions.clone(), self.about.clone()))
    }

    async fn ask(session: &mut Talk, sections: &[&str]) -> Result<Tables, FetchError> {
        let mut questions = std::mem::take(&mut session.questions);
        let tables = questions.ask(session, sections).await;
        session.questions = questions;
        tables
    }
}

impl Session for Talk {
    fn is_closed(&self) -> bool {
        self.is_over
    }
}

impl Talk {
    /// Sends these commands at once; their answers in order.
    ///
    /// # Errors
    /// The connection failed, or the server refuses everything.
    pub async fn ask(&mut self, commands: &[&[&str]]) -> Result<Vec<Value>, FetchError> {
        // Until all is answered: what an exchange that was cut short left behind is nobody's answer.
        self.is_over = true;
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| resp::push_command(&mut bytes, command));
        let failed = |error| error::of_connection(&error);
        self.stream.write_all(&bytes).await.map_err(failed)?;
        self.stream.flush().await.map_err(failed)?;
        let mut values = Vec::with_capacity(commands.len());
        for _ in commands {
            let value = resp::read(&mut self.stream).await.map_err(failed)?;
            if let Value::Error(said) = &value
                && let Some(error) = error::of_session(said)
            {
                return Err(error);
            }
            values.push(value);
        }
        self.is_over = false;
        Ok(values)
    }

    /// Who we are, which database, a name that the server's list of clients shows; and whether the server is ready.
    async fn greet(&mut self, settings: &settings::Redis, password: &str) -> Result<(), FetchError> {
        let database = settings.database.to_string();
        let mut commands: Vec<&[&str]> = Vec::new();
        let alone = ["AUTH", password];
        let with_user = ["AUTH", settings.user.as_deref().unwrap_or_default(), password];
        match (&settings.user, &settings.password) {
            (Some(_), _) => commands.push(&with_user),
            (None, Some(_)) => commands.push(&alone),
            (None, None) => (),
        }
        let select = ["SELECT", &database];
        if settings.database != 0 {
            commands.push(&select);
        }
        commands.push(&["CLIENT", "SETNAME", "pgvigil"]);
        // A server that lets us in is up. One that is loading lets us in, and nobody have its data.
        commands.push(&["INFO", "persistence"]);
        let answers = self.ask(&commands).await?;
        for (command, answer) in commands.iter().zip(&answers) {
            let Value::Error(said) = answer else { continue };
            match command[0] {
                "AUTH" => return Err(FetchError::new(Reason::Authentication, said)),
                // Nothing that is asked depends on the database; but one that there is not is a mistake.
                "SELECT" if !said.starts_with("NOPERM") => return Err(FetchError::new(Reason::Refused, said)),
                _ => (),
            }
        }
        match answers.last() {
            Some(Value::Text(said)) => questions::expect_loaded(&Info::new(&String::from_utf8_lossy(said))),
            _ => Ok(()),
        }
    }
}

/// A session of one's own, which nobody keeps.
///
/// # Errors
/// The server cannot be reached, or does not let us in.
pub async fn connect(settings: Arc<settings::Redis>, sessions: Sessions) -> Result<Talk, FetchError> {
    log_in(settings, sessions, About::default()).await
}

async fn log_in(settings: Arc<settings::Redis>, sessions: Sessions, about: About) -> Result<Talk, FetchError> {
    let password = secret::now(settings.password.as_ref()).await?;
    let password = password.as_ref().map_or("", Secret::expose);
    let stream = dial::redis(&settings.address, &settings.tls, Some(sessions.open()?)).await?;
    let mut talk = Talk { stream: BufReader::new(stream), about, questions: Questions::default(), is_over: false };
    talk.greet(&settings, password).await.map_err(|error| without_password(error, password))?;
    Ok(talk)
}

/// A server that does not know a command may repeat what came with it.
fn without_password(error: FetchError, password: &str) -> FetchError {
    match cut::may_repeat(&error.message, password) {
        true => FetchError::new(error.reason, "the server's answer repeats the password and is not shown"),
        false => error,
    }
}
