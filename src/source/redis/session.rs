//! A session on a Redis server: sends commands in one write, and reads their replies.

use futures_util::FutureExt;
use redis::Cmd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::settings::connection::login::LoginMethod;
use crate::settings::connection::model::RedisSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::stream::ServerStream;
use crate::source::pending_login::LoginOutcome;
use crate::source::redis::info::InfoReply;
use crate::source::redis::reply::Reply;
use crate::source::redis::{error, reply};

/// A session.
pub struct RedisSession {
    stream: BufReader<ServerStream>,
    /// The connection cannot be used any more.
    is_over: bool,
}

impl LoginOutcome for RedisSession {
    fn is_closed(&self) -> bool {
        self.is_over
    }
}

impl RedisSession {
    pub fn new(stream: ServerStream) -> Self {
        RedisSession { stream: BufReader::new(stream), is_over: false }
    }

    /// Sends these commands at once, each as its words, and returns their answers in order.
    ///
    /// # Errors
    /// The connection failed, or the server refuses everything.
    pub async fn ask<W: AsRef<[u8]>>(&mut self, commands: &[&[W]]) -> Result<Vec<Reply>, FetchError> {
        // Until all replies are read: the next exchange would take the leftover replies of an interrupted one for its
        // own.
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
        if is_more {
            return Err(FetchError::new(Reason::Refused, "the server sent more replies than commands"));
        }
        self.is_over = false;
        Ok(answers)
    }

    /// Bytes that arrived before a command would be taken for its reply. Only a refusal may arrive unrequested.
    fn expect_silence(&mut self) -> Result<(), FetchError> {
        match self.stream.fill_buf().now_or_never() {
            None | Some(Ok([b'-', ..])) => Ok(()),
            Some(Ok([])) => Err(error::of_connection(&std::io::ErrorKind::UnexpectedEof.into())),
            Some(Ok(_)) => Err(FetchError::new(Reason::Lost, "the server sent data that was not requested")),
            Some(Err(error)) => Err(error::of_connection(&error)),
        }
    }

    /// Sends the login, the wish for RESP3, the database and a name for the server's list of clients, and checks that
    /// the server is ready. Returns whether the wish, if there was one, is fulfilled.
    ///
    /// # Errors
    /// The server refuses the login, or is loading its data.
    pub async fn greet(
        &mut self,
        settings: &RedisSettings,
        password: &str,
        wants_resp3: bool,
    ) -> Result<bool, FetchError> {
        let database = settings.database.to_string();
        let mut commands = Vec::new();
        match (&settings.user, &settings.password) {
            (Some(user), _) => commands.push(vec!["AUTH", user, password]),
            (None, Some(_)) => commands.push(vec!["AUTH", password]),
            (None, None) => (),
        }
        // Sent after AUTH, not with it: a server without HELLO has accepted the login then, and got the password only
        // once.
        if wants_resp3 {
            commands.push(vec!["HELLO", "3"]);
        }
        if settings.database != 0 {
            commands.push(vec!["SELECT", &database]);
        }
        commands.push(vec!["CLIENT", "SETNAME", "pgvigil"]);
        // A server that is loading accepts logins, but refuses commands on data.
        commands.push(vec!["INFO", "persistence"]);
        let lines: Vec<_> = commands.iter().map(Vec::as_slice).collect();
        let answers = self.ask(&lines).await?;
        let mut is_spoken = true;
        for (command, answer) in commands.iter().zip(&answers) {
            let Reply::Error(message) = answer else { continue };
            match command[0] {
                "AUTH" => return Err(FetchError::new(Reason::Authentication, message)),
                // No command here depends on the database; but a database that does not exist is a mistake.
                "SELECT" if !message.starts_with("NOPERM") => return Err(FetchError::new(Reason::Refused, message)),
                "HELLO" => is_spoken = false,
                _ => (),
            }
        }
        if let Some(Reply::Text(info)) = answers.last() {
            InfoReply::new(&String::from_utf8_lossy(info)).expect_loaded()?;
        }
        let has_password = settings.user.is_some() || settings.password.is_some();
        self.stream.get_ref().note_login(if has_password { LoginMethod::Password } else { LoginMethod::None });
        Ok(is_spoken)
    }
}
