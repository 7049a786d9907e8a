//! Connection strings: `postgresql://user@host/db` and `host=... user=...`, read strictly.
//!
//! A malformed string may have its password anywhere. So every value is a [`Secret`] until it has been checked,
//! and no error holds any part of what was written: [`ConnectionProblem`] has no place to put it.

use thiserror::Error;

use crate::{
    schema::words,
    secret::Secret,
    settings::connection::url::{UrlParts, decoded},
};

/// The parameters that are used, by libpq's names; the settings have keys of the same names.
pub const KEYS: [&str; 11] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "require_auth",
    "channel_binding",
];

/// Parameters that change nothing here.
const IGNORED: [&str; 16] = [
    "application_name",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "sslcompression",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// What a connection string or the settings' keys say; empty is the same as not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dsn([Option<Secret>; KEYS.len()]);

/// Why a connection string, or a value in it, is refused. It never holds what was written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConnectionProblem {
    #[error("neither a URL (`postgresql://user@host/dbname`) nor `keyword=value` pairs")]
    Form,
    #[error("the URL must start with `postgresql://` or `postgres://`")]
    Scheme,
    #[error(
        "percent-encode special characters in the user and the password of a URL (`@` is %40, `/` is %2F, `?` is %3F, \
         `#` is %23), or give the password in the key `password`"
    )]
    Special,
    #[error("white space and control characters in a URL must be percent-encoded")]
    Space,
    #[error("`%` in a URL must be followed by two hexadecimal digits; a percent sign itself is %25")]
    Percent,
    #[error("the percent-encoded bytes are not UTF-8 text")]
    Utf8,
    #[error("a NUL character cannot be sent to a server: remove it")]
    Nul,
    #[error("a quote `'` is not closed; inside quotes write `\\'` for a quote")]
    Quote,
    #[error("a parameter lacks its `=`; between pairs of a keyword string, quote values that contain spaces")]
    Equals,
    #[error("the parameter `{0}` is there twice: keep one")]
    Twice(&'static str),
    #[error("an unknown parameter: did you mean `{0}`?")]
    Misspelt(&'static str),
    #[error("an unknown parameter; there are {}", words::listed(KEYS))]
    Unknown,
    #[error("several hosts: list each server as a target of its own")]
    SeveralHosts,
    #[error("`hostaddr` is not used: put the address into `host`")]
    HostAddr,
    #[error("`options` is not used, because pgvigil sets the session's settings itself: remove it")]
    Options,
    #[error(
        "`require_auth` must be a list of password, md5, gss, sspi, scram-sha-256 and none, separated by commas, each once; \
         or of what is not allowed, all with `!` before them"
    )]
    RequireAuth,
    #[error("`channel_binding` must be disable, prefer or require")]
    ChannelBinding,
    #[error("`channel_binding=require` needs TLS, which `sslmode=disable` turns off: use another `sslmode`")]
    BindingWithoutTls,
    #[error("`gssencmode=require` cannot be kept: remove it, and use `sslmode=verify-full`")]
    GssEncryption,
    #[error("`host` must be a host name, an IP address (in a URL, IPv6 in brackets) or the absolute path of a folder")]
    Host,
    #[error("`port` must be a whole number from 1 to 65535")]
    Port,
    #[error("no user is given: add `user` (there is no default)")]
    User,
    #[error("`sslmode` must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    #[error("`sslrootcert=system` is checked only with `sslmode=verify-full`: use that")]
    WeakSystemRoots,
    #[error(
        "`sslmode=verify-ca` with the system's authorities believes any public certificate, whatever its host: use \
         verify-full, or name your own authority's file in `sslrootcert`"
    )]
    AnyHost,
    #[error("the URL must start with `redis://`, `rediss://` or `unix://`")]
    RedisScheme,
    #[error("an unknown parameter; there are {}", words::listed(crate::settings::connection::redis::PARAMETERS))]
    UnknownToRedis,
    #[error(
        "`host` must be a host name, an IP address (in a URL, IPv6 in brackets) or the absolute path of the socket"
    )]
    RedisHost,
    #[error("`db` must be the number of a database: 0, 1 and so on")]
    Db,
    #[error("a `unix://` URL holds the absolute path of the socket and no host: `unix:///run/redis/redis.sock?db=0`")]
    Socket,
    #[error(
        "`sslmode=prefer` is not for Redis, whose TLS is not negotiated: use disable, require, verify-ca or verify-full"
    )]
    Prefer,
    #[error("`sslcert` needs `sslkey` beside it")]
    NoKey,
    #[error("`sslkey` needs `sslcert` beside it")]
    NoCert,
}

impl ConnectionProblem {
    /// The settings key this is about, if it is about one.
    pub fn key(self) -> Option<&'static str> {
        Some(match self {
            ConnectionProblem::Host | ConnectionProblem::RedisHost | ConnectionProblem::SeveralHosts => "host",
            ConnectionProblem::Port => "port",
            ConnectionProblem::User => "user",
            ConnectionProblem::Db => "db",
            ConnectionProblem::SslMode | ConnectionProblem::AnyHost | ConnectionProblem::Prefer => "sslmode",
            ConnectionProblem::WeakSystemRoots => "sslrootcert",
            ConnectionProblem::RequireAuth => "require_auth",
            ConnectionProblem::ChannelBinding | ConnectionProblem::BindingWithoutTls => "channel_binding",
            ConnectionProblem::NoKey => "sslcert",
            ConnectionProblem::NoCert => "sslkey",
            _ => return None,
        })
    }
}

impl Dsn {
    /// This, and what it does not say as the other does.
    #[must_use]
    pub fn or(&self, other: &Dsn) -> Dsn {
        let mut both = other.clone();
        for (mine, kept) in self.0.iter().zip(&mut both.0).filter(|(mine, _)| mine.is_some()) {
            kept.clone_from(mine);
        }
        both
    }

    /// Reads a connection string of either form.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Dsn, ConnectionProblem> {
        let text = text.trim();
        if text.contains('\0') {
            return Err(ConnectionProblem::Nul);
        }
        if let Some(rest) = text.strip_prefix("postgresql://").or(text.strip_prefix("postgres://")) {
            return url(rest);
        }
        match (text.find("://"), text.find('=')) {
            (Some(scheme), equals) if equals.is_none_or(|equals| scheme < equals) => Err(ConnectionProblem::Scheme),
            (_, None) => Err(ConnectionProblem::Form),
            _ => keywords(text),
        }
    }

    /// The value of one of [`KEYS`].
    pub fn get(&self, key: &str) -> Option<&str> {
        self.secret(key).map(Secret::expose)
    }

    /// The same as it was set: one in a file can be read again.
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        self.0[KEYS.iter().position(|known| *known == key)?].as_ref()
    }

    /// Sets one of [`KEYS`]; an empty value unsets it.
    pub fn set(&mut self, key: &str, value: String) {
        self.set_secret(key, Secret::new(value));
    }

    /// The same. What is empty in a file is not known yet.
    pub fn set_secret(&mut self, key: &str, value: Secret) {
        if let Some(place) = KEYS.iter().position(|known| *known == key) {
            self.0[place] = (!value.expose().is_empty() || value.file().is_some()).then_some(value);
        }
    }

    /// A parameter of the string, which may come once.
    fn parameter(&mut self, key: &str, value: String, seen: &mut Vec<&'static str>) -> Result<(), ConnectionProblem> {
        match (key, value.as_str()) {
            ("hostaddr", _) => return Err(ConnectionProblem::HostAddr),
            ("options", _) => return Err(ConnectionProblem::Options),
            ("gssencmode", "require") => return Err(ConnectionProblem::GssEncryption),
            ("gssencmode", _) => return Ok(()),
            _ => {}
        }
        let known = || KEYS.into_iter().chain(IGNORED);
        let key = match (known().find(|known| *known == key), words::nearest(key, known())) {
            (Some(key), _) => key,
            (None, near) => return Err(near.map_or(ConnectionProblem::Unknown, ConnectionProblem::Misspelt)),
        };
        if seen.contains(&key) {
            return Err(ConnectionProblem::Twice(key));
        }
        seen.push(key);
        self.set(key, value);
        Ok(())
    }
}

/// What follows the scheme: `[user[:password]@][host[:port]][/dbname][?parameter=value&...]`.
fn url(rest: &str) -> Result<Dsn, ConnectionProblem> {
    let pieces = UrlParts::of(rest)?;
    if pieces.path.contains('/') {
        return Err(ConnectionProblem::Special);
    }
    let mut dsn = Dsn::default();
    pieces.set_login(&mut dsn)?;
    pieces.set_host(&mut dsn)?;
    dsn.set("dbname", decoded(pieces.path)?);
    let mut seen = Vec::new();
    for (key, value) in pieces.parameters()? {
        dsn.parameter(&key, value, &mut seen)?;
    }
    Ok(dsn)
}

/// `keyword = value` pairs; a value may be quoted, and a backslash escapes the next character.
fn keywords(text: &str) -> Result<Dsn, ConnectionProblem> {
    let mut dsn = Dsn::default();
    let mut seen = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(ConnectionProblem::Equals)?;
        let key = key.trim_end();
        if key.contains(char::is_whitespace) {
            return Err(ConnectionProblem::Equals);
        }
        let (value, after) = value(after.trim_start())?;
        dsn.parameter(key, value, &mut seen)?;
        rest = after.trim_start();
    }
    Ok(dsn)
}

/// The value at the start of a text, and what follows it.
fn value(text: &str) -> Result<(String, &str), ConnectionProblem> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => {
                let after = &text[at + 1..];
                let ends = after.is_empty() || after.starts_with(char::is_whitespace);
                return if ends { Ok((value, after)) } else { Err(ConnectionProblem::Quote) };
            }
            c if !quoted && c.is_whitespace() => return Ok((value, &text[at..])),
            '\'' => return Err(ConnectionProblem::Quote),
            '\\' => value.push(characters.next().ok_or(ConnectionProblem::Quote)?.1),
            c => value.push(c),
        }
    }
    if quoted { Err(ConnectionProblem::Quote) } else { Ok((value, "")) }
}
