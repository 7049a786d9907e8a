//! A session: commands are sent in one write, and their replies are read.

use futures_util::FutureExt;
use redis::Cmd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::settings::connection::login::LoginMethod;
use crate::settings::connection::model::RedisSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::stream::ServerStream;
use crate::source::redis::info::InfoReply;
use crate::source::redis::reply::Reply;
use crate::source::redis::{error, reply};

/// A session.
pub struct RedisSession {
    stream: BufReader<ServerStream>,
    /// The connection is of no use any more.
    is_over: bool,
}

/// The version of the protocol that a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    /// Every server begins with it.
    Resp2,
    Resp3,
}

impl RedisSession {
    pub fn new(stream: ServerStream) -> Self {
        RedisSession { stream: BufReader::new(stream), is_over: false }
    }

    /// The connection has ended, or is of no use any more.
    pub fn is_closed(&self) -> bool {
        self.is_over
    }

    /// Notes that the login succeeded by this method.
    pub fn note_login(&self, method: LoginMethod) {
        self.stream.get_ref().note_login(method);
    }

    /// Sends these commands at once, each as its words; their answers in order.
    ///
    /// # Errors
    /// The connection failed, or the server refuses everything.
    pub async fn ask<W: AsRef<[u8]>>(&mut self, commands: &[&[W]]) -> Result<Vec<Reply>, FetchError> {
        // Until all is answered: an interrupted exchange leaves replies behind that would be taken for those of the next.
        self.is_over = true;
        self.expect_silence()?;
        let mut bytes = Vec::new();
        for words in commands {
            let mut command = Cmd::new();
            words.iter().for_each(|word| _ = command.arg(word.as_ref()));
            command.write_packed_command(&mut bytes);
        }
        let failed = |error| error::of_connection(&error);
        self.stream.write_all(&bytes).await.map_err(failed)?;
        self.stream.flush().await.map_err(failed)?;
        let (answers, is_more) = reply::read(&mut self.stream, commands.len()).await?;
        match is_more {
            true => Err(FetchError::new(Reason::Refused, "the server answers more than it was asked")),
            false => {
                self.is_over = false;
                Ok(answers)
            }
        }
    }

    /// Bytes that came before a command would be taken for its reply. Only a refusal may come unasked.
    fn expect_silence(&mut self) -> Result<(), FetchError> {
        match self.stream.fill_buf().now_or_never() {
            None | Some(Ok([b'-', ..])) => Ok(()),
            Some(Ok([])) => Err(error::of_connection(&std::io::ErrorKind::UnexpectedEof.into())),
            Some(Ok(_)) => Err(FetchError::new(Reason::Lost, "the server sent something that nobody asked for")),
            Some(Err(error)) => Err(error::of_connection(&error)),
        }
    }

    /// Who we are, which protocol and database, a name that the server's list of clients shows; and whether the server is ready. True if
    /// it speaks the protocol that was asked for.
    ///
    /// # Errors
    /// The server does not let us in, or is loading its data.
    pub async fn greet(
        &mut self,
        settings: &RedisSettings,
        password: &str,
        protocol: Protocol,
    ) -> Result<bool, FetchError> {
        let database = settings.database.to_string();
        let mut commands: Vec<&[&str]> = Vec::new();
        let alone = ["AUTH", password];
        let with_user = ["AUTH", settings.user.as_deref().unwrap_or_default(), password];
        match (&settings.user, &settings.password) {
            (Some(_), _) => commands.push(&with_user),
            (None, Some(_)) => commands.push(&alone),
            (None, None) => (),
        }
        // After AUTH, not with it: a server that does not know HELLO has let us in then, and did not get the password twice.
        if protocol == Protocol::Resp3 {
            commands.push(&["HELLO", "3"]);
        }
        let select = ["SELECT", &database];
        if settings.database != 0 {
            commands.push(&select);
        }
        commands.push(&["CLIENT", "SETNAME", "pgvigil"]);
        // A server that is loading lets us in, but gives nobody its data.
        commands.push(&["INFO", "persistence"]);
        let answers = self.ask(&commands).await?;
        let mut is_spoken = true;
        for (command, answer) in commands.iter().zip(&answers) {
            let Reply::Error(message) = answer else { continue };
            match command[0] {
                "AUTH" => return Err(FetchError::new(Reason::Authentication, message)),
                // Nothing that is asked depends on the database; but one that does not exist is a mistake.
                "SELECT" if !message.starts_with("NOPERM") => return Err(FetchError::new(Reason::Refused, message)),
                "HELLO" => is_spoken = false,
                _ => (),
            }
        }
        if let Some(Reply::Text(info)) = answers.last() {
            InfoReply::new(&String::from_utf8_lossy(info)).expect_loaded()?;
        }
        Ok(is_spoken)
    }
}
