//! Servers of another kind than the one that was expected at an address, so that a message can name what is there.

/// Redis answers this on one line, and an HTTP server refuses it. A PostgreSQL server closes the connection.
pub const QUESTION: &[u8] = b"PING\r\n\r\n";

/// The beginnings of what Redis says to the question, logged in or not.
const REDIS: [&[u8]; 5] = [b"+PONG\r\n", b"-NOAUTH ", b"-NOPERM ", b"-DENIED ", b"-LOADING "];

const HTTP: [&[u8]; 3] = [b"HTTP/", b"<!DOCTYPE", b"<html"];

/// What answers there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    Postgres,
    Redis,
    Http,
}

impl Stranger {
    /// The server that sent this first; `None` if it is none that we know. PostgreSQL is not among them: it answers
    /// another question.
    pub fn of(sent: &[u8]) -> Option<Stranger> {
        let begins = |words: &[&[u8]]| words.iter().any(|word| sent.starts_with(word));
        if begins(&REDIS) { Some(Stranger::Redis) } else { begins(&HTTP).then_some(Stranger::Http) }
    }

    /// What it is, as the subject of a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Stranger::Postgres => "a PostgreSQL server or a PgBouncer",
            Stranger::Redis => "a Redis server",
            Stranger::Http => "an HTTP server",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Stranger::Postgres => "watch it with the key `postgres` or `pgbouncer`, or correct host and port",
            Stranger::Redis => "watch it with the key `redis`, or correct host and port",
            Stranger::Http => "correct host and port",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_what_they_send_first() {
        for (sent, expected) in [
            (&b"+PONG\r\n"[..], Some(Stranger::Redis)),
            (b"-NOAUTH Authentication required.\r\n", Some(Stranger::Redis)),
            (b"HTTP/1.1 400 Bad Request\r\n", Some(Stranger::Http)),
            (b"HTTP/", Some(Stranger::Http)),
            (b"+OK POP3 ready\r\n", None),
            (b"220 mail ESMTP\r\n", None),
            (b"S", None),
            (b"", None),
        ] {
            assert_eq!(Stranger::of(sent), expected, "{}", sent.escape_ascii());
        }
    }
}
