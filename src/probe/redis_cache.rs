//! Stores a cached path's answers in a Redis (or Valkey).

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::settings::connection::model::RedisSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::session_limit::SessionLimit;
use crate::source::pending_login::LoginOutcome as _;
use crate::source::redis::{RedisServer, RedisSession, Reply};

/// The time limit of a command and its connection: an application would not wait longer for its cache.
const LIMIT: Duration = Duration::from_millis(500);

/// The pause after a failure of Redis, so that a query then costs no more than without a cache.
const REST: Duration = Duration::from_secs(2);

/// The start of an answer stored by any version of pgvigil: any other value is not ours.
const ANY_MARK: &[u8] = b"pgvigil_probe ";

/// The start of an answer in this version's format. An answer in another version's format counts as a miss.
const MARK: &[u8] = b"pgvigil_probe 2 ";

/// The longest answer that is stored, in bytes.
const LONGEST_ANSWER: usize = 256 << 10;

/// The server, and the one connection to it.
pub struct RedisCache {
    server: RedisServer,
    pub sessions: SessionLimit,
    session: tokio::sync::Mutex<Option<RedisSession>>,
    rests_until: Mutex<Option<Instant>>,
    errors: AtomicU64,
    /// Whether the last read failed, and the last write.
    is_read_failing: AtomicBool,
    is_write_failing: AtomicBool,
}

impl RedisCache {
    pub fn new(settings: RedisSettings) -> Self {
        RedisCache {
            server: RedisServer::new(settings),
            sessions: SessionLimit::default(),
            session: tokio::sync::Mutex::default(),
            rests_until: Mutex::default(),
            errors: AtomicU64::default(),
            is_read_failing: AtomicBool::default(),
            is_write_failing: AtomicBool::default(),
        }
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Returns whether the built-in cache is used instead, because Redis failed last.
    pub fn is_failing(&self) -> bool {
        self.is_read_failing.load(Relaxed) || self.is_write_failing.load(Relaxed)
    }

    /// The answer under this key; `None` also if Redis fails.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        if self.is_resting() {
            return None;
        }
        self.count(self.try_get(key).await, &self.is_read_failing).flatten()
    }

    /// Stores an answer for `life`, unless it is too long. Returns false if Redis fails.
    pub async fn set(&self, key: &str, answer: &[u8], life: Duration) -> bool {
        !self.is_resting() && self.count(self.try_set(key, answer, life).await, &self.is_write_failing).is_some()
    }

    fn is_resting(&self) -> bool {
        self.rests_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn count<T>(&self, result: Result<T, FetchError>, is_failing: &AtomicBool) -> Option<T> {
        is_failing.store(result.is_err(), Relaxed);
        if let Err(error) = &result {
            self.errors.fetch_add(1, Relaxed);
            debug!("the cache's Redis: {error}");
        }
        result.ok()
    }

    async fn try_get(&self, key: &str) -> Result<Option<Vec<u8>>, FetchError> {
        match self.ask(&[b"GET", key.as_bytes()]).await? {
            Reply::Nothing => Ok(None),
            Reply::Text(value) => answer(value),
            other => Err(refused(&other)),
        }
    }

    async fn try_set(&self, key: &str, answer: &[u8], life: Duration) -> Result<(), FetchError> {
        if answer.len() > LONGEST_ANSWER {
            return Ok(());
        }
        let millis = life.as_millis().max(1).to_string();
        let value = [MARK, answer].concat();
        match self.ask(&[b"SET", key.as_bytes(), &value, b"PX", millis.as_bytes()]).await? {
            Reply::Text(_) => Ok(()),
            other => Err(refused(&other)),
        }
    }

    async fn ask(&self, command: &[&[u8]]) -> Result<Reply, FetchError> {
        let mut kept = self.session.lock().await;
        let asked = async {
            let mut session = match kept.take().filter(|session| !session.is_closed()) {
                Some(session) => session,
                None => self.server.connect(&self.sessions).await?,
            };
            let reply = session.ask(&[command]).await?.pop().unwrap_or(Reply::Nothing);
            *kept = Some(session);
            Ok(reply)
        };
        let late = |_| Err(FetchError::new(Reason::Timeout, format!("no answer within {LIMIT:?}")));
        let reply = timeout(LIMIT, asked).await.unwrap_or_else(late);
        *self.rests_until.lock() = reply.is_err().then(|| Instant::now() + REST);
        reply
    }
}

fn refused(reply: &Reply) -> FetchError {
    let message = match reply {
        Reply::Error(message) => message.clone(),
        _ => "an unexpected kind of reply".to_owned(),
    };
    FetchError::new(Reason::Query, message)
}

/// The answer in a stored value; `None` if it has another version's format.
fn answer(mut value: Vec<u8>) -> Result<Option<Vec<u8>>, FetchError> {
    if value.starts_with(MARK) {
        Ok(Some(value.split_off(MARK.len())))
    } else if value.starts_with(ANY_MARK) {
        Ok(None)
    } else {
        Err(FetchError::new(Reason::Query, "the value under the key is not an answer of pgvigil's"))
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
            // An older version wrote digits.
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
