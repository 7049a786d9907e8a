//! Maps the errors of a Redis server to reasons, by the word in capitals at their beginning.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use redis::RedisError;

use crate::source::fetch::{FetchError, Reason};
use crate::source::remedy::Remedy;

/// Beginnings of errors with which the server refuses every command, not only this one.
const OF_SESSION: [(&str, Reason); 9] = [
    ("NOAUTH", Reason::Authentication),
    ("WRONGPASS", Reason::Authentication),
    ("ERR invalid password", Reason::Authentication),
    ("ERR AUTH <password> called without", Reason::Authentication),
    ("ERR Client sent AUTH, but no password is set", Reason::Authentication),
    ("LOADING", Reason::Starting),
    ("ERR max number of clients", Reason::ConnectionsExhausted),
    ("DENIED", Reason::Refused),
    ("BUSY", Reason::Refused),
];

/// The meaning of an error that ends the session; `None` if it concerns one command only.
pub fn of_session(message: &str) -> Option<FetchError> {
    let (_, reason) = OF_SESSION.iter().find(|(word, _)| message.starts_with(word))?;
    Some(FetchError::new(*reason, message))
}

/// The meaning of an error of one command; `rule` is the ACL rule that would allow it.
pub fn of_command(message: &str, command: &str, rule: &'static str) -> FetchError {
    // Providers rename the commands that they do not allow; a Sentinel has few of a server's commands.
    let is_unknown = ["ERR unknown command", "ERR unknown subcommand", "ERR Unknown subcommand"];
    match is_unknown.iter().any(|word| message.starts_with(word)) {
        true => FetchError::new(Reason::Privilege, format!("{command} does not exist here: {message}")),
        false if message.starts_with("NOPERM") => {
            let error = FetchError::new(Reason::Privilege, format!("{command} needs {rule}: {message}"));
            error.with_remedy(Some(Remedy::AclRule(rule)))
        }
        false => FetchError::new(Reason::Query, format!("{command}: {message}")),
    }
}

/// The meaning of an unreadable answer: the connection failed, or the peer does not speak the protocol.
pub fn of_reading(error: &RedisError) -> FetchError {
    // The connection's own error is inside, because the crate shares it among the clones of its error.
    let shared = error.source().and_then(|error| error.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    match shared.and_then(|error| error.downcast_ref::<io::Error>()) {
        Some(error) => of_connection(error),
        None => of_connection(&io::Error::new(ErrorKind::InvalidData, "the peer does not speak Redis' protocol")),
    }
}

/// The beginning of a message about a peer that breaks the protocol.
const NOT_REDIS: &str = "not a Redis server?";

/// A login failed in a way that suggests a server of another kind.
pub fn may_be_stranger(error: &FetchError) -> bool {
    error.reason == Reason::Lost || error.message.starts_with(NOT_REDIS)
}

/// The meaning of a failed connection.
pub fn of_connection(error: &io::Error) -> FetchError {
    match error.kind() {
        ErrorKind::InvalidData => FetchError::new(Reason::Refused, format!("{NOT_REDIS} {error}")),
        ErrorKind::UnexpectedEof => FetchError::new(Reason::Lost, "the server closed the connection"),
        _ => FetchError::new(Reason::Lost, format!("connection lost: {error}")),
    }
}
