//! Checks the framing of PostgreSQL's protocol (a type byte, a length that counts itself, a body) before the driver
//! sees the bytes.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io;

use crate::settings::connection::login::LoginMethod;
use crate::source::net::login_guard::LoginGuard;
use crate::source::net::socket::protocol_error;
use crate::source::net::stranger::Stranger;
use crate::source::net::stream::type_oids;

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

/// How many different parameters a server may report during a session, because the driver keeps each of them. It
/// reports some 20, and those that its extensions add.
const MOST_PARAMETERS: usize = 100;

/// The type and the length of a message.
const HEAD: usize = 5;

/// The position in the stream, and what has been counted so far.
#[derive(Default)]
pub struct PostgresFraming {
    /// Bytes still to come of a message that has been checked.
    passing: usize,
    /// Bytes of messages that nobody asked for.
    unasked: usize,
    /// The names of the parameters that have been reported, as hashes.
    parameters: HashSet<u64>,
    /// Judges the messages about the login, until the server is ready for queries.
    guard: Option<LoginGuard>,
    /// The method of a login that has succeeded, until it is taken.
    login: Option<LoginMethod>,
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
    /// those that follow. A row passes as its bytes come, any other message when it is complete.
    ///
    /// # Errors
    /// `InvalidData`: too much, or not the protocol. `PermissionDenied`: the server must not get what it asks for.
    pub fn check(&mut self, mut bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let step = self.passing.min(bytes.len());
            self.passing -= step;
            bytes = &mut bytes[step..];
            let Some((head, rest)) = bytes.split_first_chunk_mut() else { return Ok(bytes.len()) };
            let (kind, length) = (head[0], body_length(*head)?);
            if kind != b'D' && rest.len() < length {
                return Ok(bytes.len());
            }
            self.count_unasked(kind, length)?;
            let present = length.min(rest.len());
            self.check_body(kind, &mut rest[..present])?;
            self.passing = HEAD + length;
        }
    }

    /// NoticeResponse, ParameterStatus and NotificationResponse count, and during the login every message. Each
    /// ReadyForQuery, one for each question, takes a little off again: in pooled mode PostgreSQL 18 reports
    /// `search_path` twice with every query.
    fn count_unasked(&mut self, kind: u8, length: usize) -> io::Result<()> {
        if kind == b'Z' {
            self.unasked = self.unasked.saturating_sub(FORGIVEN);
        } else if matches!(kind, b'N' | b'S' | b'A') || self.guard.is_some() {
            self.unasked += UNASKED_OVERHEAD + length;
        }
        if self.unasked > UNASKED_LIMIT {
            return Err(protocol_error("notices and parameters without end"));
        }
        Ok(())
    }

    fn check_body(&mut self, kind: u8, body: &mut [u8]) -> io::Result<()> {
        match (kind, &mut self.guard) {
            (b'R', Some(guard)) => {
                let code = body.first_chunk();
                let code = code.ok_or_else(|| protocol_error("a message about the login without its code"))?;
                self.login = guard.check(u32::from_be_bytes(*code))?;
            }
            (b'Z', _) => self.guard = None,
            (b'S', _) => {
                let name = body.split(|byte| *byte == 0).next();
                self.parameters.insert(self.parameters.hasher().hash_one(name));
                if self.parameters.len() > MOST_PARAMETERS {
                    return Err(protocol_error(format!("more than {MOST_PARAMETERS} parameters")));
                }
            }
            (b'T', _) => type_oids::replace_in_columns(body),
            (b't', _) => type_oids::replace_in_parameters(body),
            _ => {}
        }
        Ok(())
    }
}

fn body_length(head: [u8; HEAD]) -> io::Result<usize> {
    if let Some(stranger) = Stranger::of(&head) {
        return Err(protocol_error(format!("{} answers there, not a PostgreSQL server", stranger.name())));
    }
    let [kind, length @ ..] = head;
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

    /// Checks bytes that come in these chunks; returns those that passed.
    fn check<'a>(framing: &mut PostgresFraming, chunks: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
        let (mut passed, mut held) = (Vec::new(), Vec::new());
        for chunk in chunks {
            held.extend_from_slice(chunk);
            let incomplete = framing.check(&mut held)?;
            let rest = held.split_off(held.len() - incomplete);
            passed.append(&mut held);
            held = rest;
        }
        Ok(passed)
    }

    /// A message of this kind.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    #[test]
    fn messages_are_measured_however_they_are_cut() {
        let measure = |bytes: &[u8], step| check(&mut PostgresFraming::default(), bytes.chunks(step));
        for step in [1, 3, 4, 100] {
            assert!(measure(b"Z\0\0\0\x05IC\0\0\0\x04", step).is_ok());
            assert!(measure(b"D\0\x40\0\0", step).is_ok() && measure(b"T\0\x01\0\0", step).is_ok());
            let http = measure(b"HTTP/1.1 400 Bad Request", step).unwrap_err().to_string();
            assert!(http.contains("an HTTP server answers there"), "{http}");
            for bad in [
                &b"D\x7f\xff\xff\xff"[..],
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
    fn rows_pass_as_they_come_and_other_messages_whole() {
        let mut framing = PostgresFraming::default();
        let mut passed = |bytes: &[u8]| check(&mut framing, [bytes]).expect("a good message").len();
        assert_eq!((passed(b"D\0\0\0\x0eabc"), passed(b"defghi"), passed(b"jZ\0\0\0\x05")), (8, 6, 1));
        assert_eq!(check(&mut PostgresFraming::default(), [&b"E\0\0\0\x08ab"[..], b"cdZ"]).expect("one").len(), 9);
    }

    #[test]
    fn types_that_are_not_built_in_are_replaced_however_the_bytes_are_cut() {
        let column = |name: &str, oid: u32| [name.as_bytes(), &[0; 7], &oid.to_be_bytes(), &[0xff; 8]].concat();
        let columns = |first, second| [&[0, 2][..], &column("a", first), &column("", second)].concat();
        let parameters = |first: u32, second: u32| [&[0, 2][..], &first.to_be_bytes(), &second.to_be_bytes()].concat();
        let (text, enumeration) = (25, 3500);
        for (kind, body, expected) in [
            (b'T', columns(text, 70_000), columns(text, enumeration)),
            (b't', parameters(16_384, text), parameters(enumeration, text)),
            (b'D', columns(70_000, 70_000), columns(70_000, 70_000)),
        ] {
            let sent = message(kind, &body);
            for step in 1..=sent.len() {
                let passed = check(&mut PostgresFraming::default(), sent.chunks(step)).expect("a good message");
                assert_eq!(passed, message(kind, &expected), "{kind} by {step}");
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

    #[test]
    fn parameters_may_change_and_not_become_more_and_more() {
        for step in [1, 3, 100] {
            let mut framing = PostgresFraming::default();
            let mut report =
                |kind, text: &str| check(&mut framing, message(kind, text.as_bytes()).chunks(step)).is_ok();
            assert!((0..1000).all(|nth| report(b'S', &format!("search_path\0{nth}\0"))));
            assert!((0..1000).all(|nth| report(b'N', &format!("{nth}\0"))));
            assert!((1..MOST_PARAMETERS).all(|nth| report(b'S', &format!("p{nth}\0x\0"))));
            assert!(!report(b'S', "one_more\0\0"), "by {step}");
        }
    }
}
