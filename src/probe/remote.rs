//! A Redis (or Valkey) in which a cached path keeps its answers.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{
    config::settings,
    source::{
        FetchError, Reason,
        login::Session,
        redis::{self, Talk, resp::Value},
        sessions::Sessions,
    },
};

/// How long an application would wait for its cache, with the connection to it.
const LIMIT: Duration = Duration::from_millis(500);

/// How long one that failed is left alone: until then a query costs what it costs without it.
const REST: Duration = Duration::from_secs(2);

/// What stands before an answer: something else under our key is not ours.
const MARK: &str = "pgvigil_probe 1 ";

/// The most that is kept there of one answer, in bytes.
const MOST: usize = 256 << 10;

/// The server, and the one connection that is kept to it.
pub struct Remote {
    settings: Arc<settings::Redis>,
    pub sessions: Sessions,
    talk: tokio::sync::Mutex<Option<Talk>>,
    rests_until: Mutex<Option<Instant>>,
}

impl Remote {
    pub fn new(settings: settings::Redis) -> Self {
        Remote {
            settings: Arc::new(settings),
            sessions: Sessions::default(),
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
        match self.ask(&["GET", key]).await? {
            Value::Nothing => Ok(None),
            Value::Text(kept) => {
                let strange = || FetchError::new(Reason::Query, "what is there is no answer of ours");
                decoded(&kept).map(Some).ok_or_else(strange)
            }
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
        match self.ask(&["SET", key, &encoded(answer), "PX", &millis]).await? {
            Value::Text(_) => Ok(()),
            other => Err(refused(&other)),
        }
    }

    async fn ask(&self, command: &[&str]) -> Result<Value, FetchError> {
        let mut kept = self.talk.lock().await;
        let asked = async {
            let mut talk = match kept.take().filter(|talk| !talk.is_closed()) {
                Some(talk) => talk,
                None => redis::connect(self.settings.clone(), self.sessions.clone()).await?,
            };
            let answer = talk.ask(&[command]).await?.pop().unwrap_or(Value::Nothing);
            *kept = Some(talk);
            Ok(answer)
        };
        let late = |_| Err(FetchError::new(Reason::Timeout, format!("no answer within {LIMIT:?}")));
        let answer = timeout(LIMIT, asked).await.unwrap_or_else(late);
        *self.rests_until.lock() = answer.is_err().then(|| Instant::now() + REST);
        answer
    }
}

fn refused(value: &Value) -> FetchError {
    let message = match value {
        Value::Error(said) => said.clone(),
        _ => "an answer of another kind than asked for".to_owned(),
    };
    FetchError::new(Reason::Query, message)
}

/// Commands are text, so bytes go as hexadecimal digits.
fn encoded(answer: &[u8]) -> String {
    let digits = answer.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    MARK.chars().chain(digits).collect()
}

fn decoded(kept: &[u8]) -> Option<Vec<u8>> {
    let digits = kept.strip_prefix(MARK.as_bytes())?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        for answer in [&b""[..], b"\0\xff\n", b"plain"] {
            assert_eq!(decoded(encoded(answer).as_bytes()).as_deref(), Some(answer));
        }
        for strange in [&b""[..], b"plain", b"pgvigil_probe 1 0", b"pgvigil_probe 1 xy"] {
            assert_eq!(decoded(strange), None);
        }
    }
}
