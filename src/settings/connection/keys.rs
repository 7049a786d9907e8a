//! The keys that say how to reach a server, whatever it is: read together with the URL beside them.

use std::net::Ipv6Addr;

use crate::{
    schema::{
        fields::Fields,
        shape::{Is, KeySpec, key},
    },
    settings::{
        connection::{dsn::Dsn, login::BINDING_WORDS, problem::ConnectionProblem, tls::MODE_WORDS},
        given::{given, hidden, text},
        interpolate::Env,
    },
};

pub const URL: KeySpec =
    key("url", Is::Text, "A URL or `keyword=value` pairs; the keys beside it override what it says.");
pub const URL_FILE: KeySpec = key("url_file", Is::Text, "A file that holds the URL; instead of `url`.");
pub const HOST: KeySpec =
    key("host", Is::Text, "A name, an address, or the absolute path of the socket's folder; localhost if left out.");
pub const PORT: Is = Is::Either(&[Is::Whole(1, 65535), Is::Form(VARIABLE)]);
pub const USER: KeySpec = key("user", Is::Text, "The role to log in as; there is no default.");
pub const PASSWORD: KeySpec = key("password", Is::Text, "Its password; better `${NAME}` or `password_file`.");
pub const PASSWORD_FILE: KeySpec = key(
    "password_file",
    Is::Text,
    "A file that holds the password, read at each login; one newline at its end is cut off.",
);
pub const SSLMODE: KeySpec =
    key("sslmode", Is::Either(&[Is::Word(&MODE_WORDS), Is::Form(VARIABLE)]), "As in libpq; `prefer` if left out.");
pub const SSLROOTCERT: KeySpec =
    key("sslrootcert", Is::Text, "A PEM file, or `system` (if left out): whose certificates are believed.");
pub const SSLCERT: KeySpec = key("sslcert", Is::Text, "A client's certificate, PEM; needs `sslkey`.");
pub const REQUIRE_AUTH: KeySpec = key(
    "require_auth",
    Is::Text,
    "As in libpq: which ways to log in the server may ask for, such as `scram-sha-256`, or `!md5`. If left out, all, but a password in clear only \
     where the server is verified or local.",
);
pub const CHANNEL_BINDING: KeySpec = key(
    "channel_binding",
    Is::Either(&[Is::Word(&BINDING_WORDS), Is::Form(VARIABLE)]),
    "As in libpq: whether a login with SCRAM is bound to the server's certificate; `prefer` if left out.",
);
pub const SSLKEY: KeySpec = key("sslkey", Is::Text, "The client's key, PEM; needs `sslcert`.");

/// The form of a text with a `${NAME}` in it, which may become anything; and an empty one counts as none.
pub const VARIABLE: &str = r"^$|\$\{";

/// How a kind of server is written: its keys beside the URL, and the URL itself.
pub struct Notation {
    pub keys: &'static [&'static str],
    /// What `url` holds, for messages.
    pub url: &'static str,
    pub parse: fn(&str) -> Result<Dsn, ConnectionProblem>,
}

/// What `url` (or `url_file`) and the keys say together, the keys first; `None`: the problems have been reported.
pub fn dsn(fields: &mut Fields<'_, '_>, env: &Env<'_>, notation: &Notation) -> Option<Dsn> {
    let mut dsn = Dsn::default();
    if let Some((key, url)) = given(fields, "url", "url_file", env).ok()? {
        match (notation.parse)(url.expose()) {
            Ok(parsed) => dsn = parsed,
            Err(problem) => {
                fields.tell(key, format!("the {} is refused: {problem}", notation.url));
                return None;
            }
        }
    }
    let mut complete = true;
    for &key in notation.keys {
        let value = match key {
            "password" => given(fields, "password", "password_file", env),
            _ => hidden(text(fields, key, env)),
        };
        match value {
            Ok(Some((from, value))) if value.expose().contains('\0') => {
                fields.tell(from, ConnectionProblem::Nul.to_string())
            }
            Ok(Some((_, value))) => dsn.set(key, value),
            Ok(None) => {}
            Err(()) => complete = false,
        }
    }
    complete.then_some(dsn)
}

/// What the keys mean, or `None`: each problem has been reported at the key it is about, or else at the connection string.
pub fn meaning<T>(fields: &mut Fields<'_, '_>, resolved: Result<T, Vec<ConnectionProblem>>) -> Option<T> {
    let problems = match resolved {
        Ok(meaning) => return Some(meaning),
        Err(problems) => problems,
    };
    for problem in problems {
        let key = problem.key().into_iter().chain(["url", "url_file"]).find(|key| fields.has(key));
        let place = key.map_or(fields.here(), |key| fields.place(key));
        fields.problems.add(&place, problem.to_string());
    }
    None
}

/// Keeps what is right, and collects what is wrong.
pub fn keep<T>(result: Result<T, ConnectionProblem>, problems: &mut Vec<ConnectionProblem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// A port from 1 to 65535.
pub fn port(text: &str) -> Result<u16, ConnectionProblem> {
    text.parse().ok().filter(|port| *port > 0).ok_or(ConnectionProblem::Port)
}

/// The name of a host, or an address without brackets.
pub fn is_host(text: &str) -> bool {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    is_name || text.parse::<Ipv6Addr>().is_ok()
}
