//! Checks the framing of PostgreSQL's protocol (a type byte, a length that counts itself, a body) before the driver
//! sees the bytes.

use std::io;

use crate::settings::connection::login::LoginMethod;
use crate::source::net::login_guard::LoginGuard;
use crate::source::net::socket::protocol_error;
use crate::source::net::stream::parameter_limit::ParameterLimit;
use crate::source::net::stream::type_oids::TypeOidRewriter;

/// The longest row a server may send: a row of a monitoring query is a thousand times shorter.
const ROW_LIMIT: u32 = 4 << 20;

/// The longest of all other messages: an error with its context, a notice, a description of rows. It has room for 800
/// columns with the longest of names, and the driver keeps it with each statement.
const MESSAGE_LIMIT: u32 = 64 << 10;

/// How many bytes a server may send unasked (notices, changed parameters) while a session lasts: the driver keeps such
/// messages, each with so many bytes beside it.
const UNASKED_LIMIT: usize = 2 << 20;
const UNASKED_OVERHEAD: usize = 64;

/// How much of that each answered question takes off again.
const FORGIVEN: usize = 512;

/// The type and the length of a message.
const HEAD: usize = 5;

/// The position in the stream, and what has been counted so far.
#[derive(Default)]
pub struct PostgresFraming {
    /// Bytes of the present message's body still to come.
    body: usize,
    /// Bytes of messages that nobody asked for.
    unasked: usize,
    /// Judges the messages about the login, until the server is ready for queries.
    guard: Option<LoginGuard>,
    /// The method of a login that has succeeded, until it is taken.
    login: Option<LoginMethod>,
    type_oids: TypeOidRewriter,
    parameters: ParameterLimit,
}

impl PostgresFraming {
    pub fn new(guard: LoginGuard) -> Self {
        PostgresFraming { guard: Some(guard), ..PostgresFraming::default() }
    }

    /// The method by which the server has just let us in.
    pub fn take_login(&mut self) -> Option<LoginMethod> {
        self.login.take()
    }

    /// Checks these bytes, which may change; returns how many at their end are incomplete: they must come again, before
    /// those that follow.
    ///
    /// # Errors
    /// `InvalidData`: too much, or not the protocol. `PermissionDenied`: the server must not get what it asks for.
    pub fn check(&mut self, mut bytes: &mut [u8]) -> io::Result<usize> {
        while !bytes.is_empty() {
            if self.body == 0 {
                let Some((head, rest)) = bytes.split_first_chunk() else { return Ok(bytes.len()) };
                if !self.begin(*head, rest)? {
                    return Ok(bytes.len());
                }
                bytes = &mut bytes[HEAD..];
                continue;
            }
            let step = self.body.min(bytes.len());
            self.parameters.pass(&bytes[..step])?;
            let incomplete = self.type_oids.pass(&mut bytes[..step]);
            // The driver refuses a message that ends within a type.
            if incomplete > 0 && self.body > step {
                self.body -= step - incomplete;
                return Ok(incomplete);
            }
            self.body -= step;
            bytes = &mut bytes[step..];
        }
        Ok(0)
    }

    /// Begins a message; false if it is about the login and its code has not come yet.
    fn begin(&mut self, head: [u8; HEAD], rest: &[u8]) -> io::Result<bool> {
        let (kind, body) = (head[0], body_length(head)?);
        if kind == b'R'
            && let Some(guard) = &mut self.guard
        {
            if body < 4 {
                return Err(protocol_error("a message about the login without its code"));
            }
            let Some(code) = rest.first_chunk() else { return Ok(false) };
            self.login = guard.check(u32::from_be_bytes(*code))?;
        }
        self.count_unasked(kind, body)?;
        if kind == b'Z' {
            self.guard = None;
        }
        self.body = body;
        self.type_oids.begin(kind);
        self.parameters.begin(kind);
        Ok(true)
    }

    /// NoticeResponse, ParameterStatus and NotificationResponse count, and during the login every message. Each
    /// ReadyForQuery, one for each question, takes a little off again: in pooled mode PostgreSQL 18 reports
    /// `search_path` twice with every query.
    fn count_unasked(&mut self, kind: u8, body: usize) -> io::Result<()> {
        if kind == b'Z' {
            self.unasked = self.unasked.saturating_sub(FORGIVEN);
        } else if matches!(kind, b'N' | b'S' | b'A') || self.guard.is_some() {
            self.unasked += UNASKED_OVERHEAD + body;
        }
        if self.unasked > UNASKED_LIMIT {
            return Err(protocol_error("notices and parameters without end"));
        }
        Ok(())
    }
}

fn body_length([kind, length @ ..]: [u8; HEAD]) -> io::Result<usize> {
    let (what, limit) = match kind {
        b'D' => ("a row", ROW_LIMIT),
        b'T' => ("a description of rows", MESSAGE_LIMIT),
        b'E' => ("an error", MESSAGE_LIMIT),
        _ => ("a message", MESSAGE_LIMIT),
    };
    let length = u32::from_be_bytes(length);
    if !(4..=limit).contains(&length) {
        let problem = format!("{what} of {length} bytes was announced, {limit} is the limit: not a PostgreSQL server?");
        return Err(protocol_error(problem));
    }
    Ok(length as usize - 4)
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;
    use crate::settings::connection::login::LoginMethods;
    use crate::source::net::login_guard::{Encryption, TransportSecurity};

    /// Checks bytes that come in these chunks.
    fn check<'a>(framing: &mut PostgresFraming, chunks: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut held = Vec::new();
        for chunk in chunks {
            held.extend_from_slice(chunk);
            let incomplete = framing.check(&mut held)?;
            held = held.split_off(held.len() - incomplete);
        }
        Ok(())
    }

    #[test]
    fn messages_are_measured_however_they_are_cut() {
        let measure = |bytes: &[u8], step| check(&mut PostgresFraming::default(), bytes.chunks(step));
        for step in [1, 3, 4, 100] {
            assert!(measure(b"Z\0\0\0\x05IC\0\0\0\x04", step).is_ok());
            assert!(measure(b"D\0\x40\0\0", step).is_ok() && measure(b"T\0\x01\0\0", step).is_ok());
            for bad in [
                &b"HTTP/1.1 400 Bad Request"[..],
                b"D\x7f\xff\xff\xff",
                b"D\0\x40\0\x01",
                b"T\0\x01\0\x01",
                b"E\0\x01\0\x01",
                b"N\0\x01\0\x01",
                b"Z\0\0\0\x05ID\0\0\0\x03",
            ] {
                let error = measure(bad, step).unwrap_err().to_string();
                assert!(error.contains("bytes was announced"), "{error}");
            }
        }
    }

    #[test]
    fn a_password_that_may_not_be_asked_for_is_refused_before_the_client_hears_of_it() {
        let security = TransportSecurity { is_local: false, encryption: Encryption::None };
        for (message, passes) in [
            (&b"R\0\0\0\x08\0\0\0\x03"[..], false),
            (b"R\0\0\0\x0c\0\0\0\x05salt", true),
            (b"R\0\0\0\x0c\0\0\0\x05saltR\0\0\0\x08\0\0\0\x03", false),
            (b"R\0\0\0\x06\0\0", false),
            (b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IR\0\0\0\x08\0\0\0\x03", true),
        ] {
            for step in [1, 3, 100] {
                let mut framing = PostgresFraming::new(LoginGuard::new(LoginMethods::default(), security));
                let checked = check(&mut framing, message.chunks(step));
                assert_eq!(checked.is_ok(), passes, "{message:?} by {step}");
            }
        }
    }

    #[test]
    fn what_nobody_asked_for_ends() {
        let mut framing = PostgresFraming::default();
        let mut send =
            |message: &'static [u8]| check(&mut framing, repeat_n(message, UNASKED_LIMIT / UNASKED_OVERHEAD));
        assert!(send(b"Z\0\0\0\x05I").is_ok() && send(b"D\0\0\0\x04").is_ok() && send(b"S\0\0\0\x04").is_ok());
        assert!(send(b"N\0\0\0\x04").is_err());
    }
}
