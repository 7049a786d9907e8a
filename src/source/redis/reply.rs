//! Reads the replies to commands, in RESP2 and RESP3, and reduces the crate's many kinds of values to the few we use.

use redis::{Value, parse_redis_value_async};
use tokio::io::{AsyncRead, BufReader};

use crate::source::fetch::FetchError;
use crate::source::redis::error;

/// The reply to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Text(Vec<u8>),
    /// The server refuses: a word in capitals, and its reason.
    Error(String),
    Int(i64),
    Nothing,
    /// A map is a list of its names and values in turn.
    List(Vec<Reply>),
}

/// Reads this many answers, in order, and returns whether more bytes followed. Push messages are not answers, and are
/// skipped.
/// # Errors
/// The connection failed, the peer does not speak the protocol, or the server refuses everything.
pub async fn read<R: AsyncRead + Unpin>(
    from: &mut BufReader<R>,
    commands: usize,
) -> Result<(Vec<Reply>, bool), FetchError> {
    let (mut decoder, mut answers) = (Default::default(), Vec::with_capacity(commands));
    while answers.len() < commands {
        let value = parse_redis_value_async(&mut decoder, from).await.map_err(|error| error::of_reading(&error))?;
        let Some(answer) = answer(value) else { continue };
        match &answer {
            Reply::Error(said) if let Some(error) = error::of_session(said) => return Err(error),
            _ => answers.push(answer),
        }
    }
    Ok((answers, !decoder.buffer().is_empty() || !from.buffer().is_empty()))
}

/// `None` for a push message.
fn answer(value: Value) -> Option<Reply> {
    let list = |values: Vec<Value>| Reply::List(values.into_iter().filter_map(answer).collect());
    Some(match value {
        Value::Nil => Reply::Nothing,
        Value::Int(value) => Reply::Int(value),
        Value::Boolean(value) => Reply::Int(value.into()),
        Value::BulkString(text) | Value::BigNumber(text) => Reply::Text(text),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Reply::Text(text.into()),
        Value::Double(value) => Reply::Text(value.to_string().into()),
        Value::Okay => Reply::Text(b"OK".into()),
        Value::Array(values) | Value::Set(values) => list(values),
        Value::Map(pairs) => list(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()),
        Value::Attribute { data, .. } => answer(*data)?,
        Value::ServerError(error) => Reply::Error(match error.details() {
            Some(details) => format!("{} {details}", error.code()),
            None => error.code().to_owned(),
        }),
        Value::Push { .. } => return None,
        // A kind of value that only a later version of the crate knows.
        _ => Reply::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::source::fetch::Reason;

    /// Reads from these bytes, with a buffer of this size.
    fn read_all(bytes: &[u8], commands: usize, buffer: usize) -> Result<(Vec<Reply>, bool), Reason> {
        let mut from = BufReader::with_capacity(buffer, bytes);
        let answers = read(&mut from, commands).now_or_never().expect("bytes in memory keep nobody waiting");
        answers.map_err(|error| error.reason)
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    #[test]
    fn both_protocols_say_the_same() {
        let pairs = || Reply::List(vec![text("a"), Reply::Int(1)]);
        for (bytes, answer) in [
            (&b"+OK\r\n"[..], text("OK")),
            (b"+PONG\r\n", text("PONG")),
            (b"$4\r\na\r\n\xff\r\n", Reply::Text(b"a\r\n\xff".into())),
            (b"=8\r\ntxt:a\r\nb\r\n", text("a\r\nb")),
            (b"-ERR no\r\n", Reply::Error("ERR no".into())),
            (b"-NOPERM this user\r\n", Reply::Error("NOPERM this user".into())),
            (b"!6\r\nODD no\r\n", Reply::Error("ODD no".into())),
            (b"-ALONE\r\n", Reply::Error("ALONE".into())),
            (b":-7\r\n", Reply::Int(-7)),
            (b"#t\r\n", Reply::Int(1)),
            (b",1.5\r\n", text("1.5")),
            (b"(12345678901234567890\r\n", text("12345678901234567890")),
            (b"$-1\r\n", Reply::Nothing),
            (b"*-1\r\n", Reply::Nothing),
            (b"_\r\n", Reply::Nothing),
            (b"*0\r\n", Reply::List(vec![])),
            (b"*2\r\n+a\r\n:1\r\n", pairs()),
            (b"%1\r\n+a\r\n:1\r\n", pairs()),
            (b"~2\r\n+a\r\n:1\r\n", pairs()),
            (b"|1\r\n+ttl\r\n:9\r\n%1\r\n+a\r\n:1\r\n", pairs()),
            (b">2\r\n+invalidate\r\n_\r\n*2\r\n+a\r\n:1\r\n", pairs()),
            (b">3\r\n+subscribe\r\n+x\r\n:1\r\n*2\r\n+a\r\n:1\r\n", pairs()),
        ] {
            for buffer in [1, 2, 7, 4096] {
                let shown = bytes.escape_ascii();
                assert_eq!(read_all(bytes, 1, buffer), Ok((vec![answer.clone()], false)), "{shown}");
            }
        }
    }

    #[test]
    fn what_is_not_an_answer_is_told_from_one() {
        for (bytes, told) in [
            (&b""[..], Reason::Lost),
            (b"+O", Reason::Lost),
            (b"*2\r\n:1\r\n", Reason::Lost),
            (b">2\r\n+message\r\n:1\r\n", Reason::Lost),
            (b"HTTP/1.1 400 Bad Request\r\n", Reason::Refused),
            (b":x\r\n", Reason::Refused),
            (b"-NOAUTH Authentication required.\r\n", Reason::Authentication),
            (b"-LOADING Redis is loading\r\n", Reason::Starting),
        ] {
            assert_eq!(read_all(bytes, 1, 16), Err(told), "{}", bytes.escape_ascii());
        }
        for more in [&b":1\r\n:2\r\n"[..], b":1\r\n:", b":1\r\n>1\r\n+message\r\n"] {
            assert_eq!(read_all(more, 1, 4096), Ok((vec![Reply::Int(1)], true)), "{}", more.escape_ascii());
        }
    }
}
