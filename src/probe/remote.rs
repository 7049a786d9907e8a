//! A Redis (or Valkey) in which a cached path keeps its answers.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{
    settings::connection::model::RedisSettings,
    source::{
        fetch::{FetchError, Reason},
        net::session_limit::SessionLimit,
        pending_login::LoginOutcome,
        redis::{RedisServer, RedisSession, Reply},
    },
};

/// How long an application would wait for its cache, with the connection to it.
const LIMIT: Duration = Duration::from_millis(500);

/// How long one that failed is left alone: until then a query costs what it costs without it.
const REST: Duration = Duration::from_secs(2);

/// This stands before an answer of any version of ours: another value under our key is not ours.
const OURS: &[u8] = b"pgvigil_probe ";

/// This before one that is written as it is here. An answer of another version counts as a miss.
const MARK: &[u8] = b"pgvigil_probe 2 ";

/// The most that is kept there of one answer, in bytes.
const MOST: usize = 256 << 10;

/// The server, and the one connection that is kept to it.
pub struct Remote {
    access: RedisServer,
    pub sessions: SessionLimit,
    talk: tokio::sync::Mutex<Option<RedisSession>>,
    rests_until: Mutex<Option<Instant>>,
}

impl Remote {
    pub fn new(settings: RedisSettings) -> Self {
        Remote {
            access: RedisServer::new(settings),
            sessions: SessionLimit::default(),
            talk: tokio::sync::Mutex::default(),
            rests_until: Mutex::default(),
        }
    }

    /// It failed a short while ago, and is not asked.
    pub fn rests(&self) -> bool {
        self.rests_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// The answer under this key, if there is one.
    ///
    /// # Errors
    /// The server cannot be asked, refuses, or has something there that is no answer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FetchError> {
        match self.ask(&[b"GET", key.as_bytes()]).await? {
            Reply::Nothing => Ok(None),
            Reply::Text(kept) => answer(kept),
            other => Err(refused(&other)),
        }
    }

    /// Keeps an answer for so long; one that is too large is not kept.
    ///
    /// # Errors
    /// The server cannot be asked, or refuses: it may be full.
    pub async fn set(&self, key: &str, answer: &[u8], life: Duration) -> Result<(), FetchError> {
        if answer.len() > MOST {
            return Ok(());
        }
        let millis = life.as_millis().max(1).to_string();
        let marked = [MARK, answer].concat();
        match self.ask(&[b"SET", key.as_bytes(), &marked, b"PX", millis.as_bytes()]).await? {
            Reply::Text(_) => Ok(()),
            other => Err(refused(&other)),
        }
    }

    async fn ask(&self, command: &[&[u8]]) -> Result<Reply, FetchError> {
        let mut kept = self.talk.lock().await;
        let asked = async {
            let mut talk = match kept.take().filter(|talk| !talk.is_closed()) {
                Some(talk) => talk,
                None => self.access.connect(&self.sessions).await?,
            };
            let answer = talk.ask(&[command]).await?.pop().unwrap_or(Reply::Nothing);
            *kept = Some(talk);
            Ok(answer)
        };
        let late = |_| Err(FetchError::new(Reason::Timeout, format!("no answer within {LIMIT:?}")));
        let answer = timeout(LIMIT, asked).await.unwrap_or_else(late);
        *self.rests_until.lock() = answer.is_err().then(|| Instant::now() + REST);
        answer
    }
}

fn refused(answer: &Reply) -> FetchError {
    let message = match answer {
        Reply::Error(said) => said.clone(),
        _ => "an answer of another kind than asked for".to_owned(),
    };
    FetchError::new(Reason::Query, message)
}

/// What is kept there, without its mark; nothing if another version of ours keeps it.
fn answer(mut kept: Vec<u8>) -> Result<Option<Vec<u8>>, FetchError> {
    match kept.starts_with(MARK) {
        true => Ok(Some(kept.split_off(MARK.len()))),
        false if kept.starts_with(OURS) => Ok(None),
        false => Err(FetchError::new(Reason::Query, "the value under our key is not an answer of ours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_version_wrote_is_an_answer() {
        for (kept, found) in [
            (&b"pgvigil_probe 2 "[..], Some(Some(&b""[..]))),
            (b"pgvigil_probe 2 \0\xff\r\n", Some(Some(b"\0\xff\r\n"))),
            (b"pgvigil_probe 2 pgvigil_probe 2 ", Some(Some(MARK))),
            // As digits, by a version that wrote them so.
            (b"pgvigil_probe 1 00ff", Some(None)),
            (b"pgvigil_probe 20", Some(None)),
            (b"pgvigil_probe", None),
            (b"plain", None),
            (b"", None),
        ] {
            let read = answer(kept.to_vec()).ok();
            assert_eq!(read.as_ref().map(Option::as_deref), found, "{}", kept.escape_ascii());
        }
    }
}
