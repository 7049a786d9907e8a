//! Reads connection strings strictly: `postgresql://user@host/db` and `host=... user=...`.
//!
//! A malformed string may have its password anywhere. So every value is a [`Secret`] until it has been checked,
//! and no error holds any part of the string: [`ConnectionProblem`] has no place for it.

use crate::schema::words;
use crate::secret::Secret;
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::connection::url::{UrlParts, decoded};

/// Parameters of libpq that change nothing here.
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

const REMOVE: &str = "remove it";
const NOT_KEPT: &str = "what it asks for cannot be kept; remove it";

/// Parameters of applications' drivers and of libpq that are not used, with what to do: messages may name these, since
/// none can be a part of a password.
const FOREIGN: [(&str, &str); 33] = [
    ("ApplicationName", REMOVE),
    ("application", REMOVE),
    ("binary_parameters", REMOVE),
    ("charset", REMOVE),
    ("connection_limit", REMOVE),
    ("currentSchema", "remove it (a collector's SQL names its schemas)"),
    ("encoding", REMOVE),
    ("loggerLevel", REMOVE),
    ("max_protocol_version", REMOVE),
    ("min_protocol_version", REMOVE),
    ("passfile", "use `password_file`"),
    ("pgbouncer", "remove it (pgvigil notices a pooler by itself)"),
    ("pool_max_conns", REMOVE),
    ("pool_timeout", REMOVE),
    ("prepareThreshold", REMOVE),
    ("reWriteBatchedInserts", REMOVE),
    ("replication", REMOVE),
    ("requirepeer", NOT_KEPT),
    ("requiressl", "write `sslmode=require`"),
    ("schema", "remove it (a collector's SQL names its schemas)"),
    ("search_path", "remove it (a collector's SQL names its schemas)"),
    ("serverVersion", REMOVE),
    ("service", "write host, user and dbname"),
    ("socketTimeout", REMOVE),
    ("socket_timeout", REMOVE),
    ("ssl", "write `sslmode=require`, or better `sslmode=verify-full`"),
    ("ssl_max_protocol_version", REMOVE),
    ("ssl_min_protocol_version", REMOVE),
    ("sslaccept", "write `sslmode=require`, or better `sslmode=verify-full`"),
    ("sslcrl", NOT_KEPT),
    ("sslnegotiation", REMOVE),
    ("sslpassword", "give a key without a password in `sslkey`"),
    ("statement_cache_size", REMOVE),
];

/// Declares the parameters: a field and a key for each, both by libpq's name.
macro_rules! parameters {
    ($($(#[$about:meta])* $name:ident,)+) => {
        /// The parameters that are used; the settings have keys of the same names.
        pub const KEYS: &[&str] = &[$(stringify!($name)),+];

        /// What a connection string and the settings' keys say of a server. An empty value is the same as none.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Dsn {
            $($(#[$about])* pub $name: Option<Secret>,)+
        }

        impl Dsn {
            /// This with the parameters that `keys` give instead.
            #[must_use]
            pub fn overridden_by(mut self, keys: Dsn) -> Dsn {
                $(if let Some(value) = keys.$name {
                    self.set(stringify!($name), value);
                })+
                self
            }

            /// Where the value of a parameter is kept.
            fn value(&mut self, key: &str) -> Option<&mut Option<Secret>> {
                match key {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

parameters! {
    host,
    port,
    user,
    password,
    /// Of a Redis server, the number of the database.
    dbname,
    sslmode,
    sslrootcert,
    sslcert,
    sslkey,
    require_auth,
    channel_binding,
}

/// The text of a value.
pub fn text(value: &Option<Secret>) -> Option<&str> {
    value.as_ref().map(Secret::expose)
}

impl Dsn {
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

    /// Sets a parameter that is used; an empty value unsets it. Whether a file is empty is not known yet.
    pub fn set(&mut self, key: &str, value: impl Into<Secret>) {
        let value = value.into();
        // In a URL of Redis.
        let key = if key == "db" { "dbname" } else { key };
        if let Some(place) = self.value(key) {
            *place = (!value.expose().is_empty() || value.file().is_some()).then_some(value);
        }
    }

    /// Sets the login, the host and the port of a URL.
    pub fn set_login_and_host(&mut self, url: &UrlParts<'_>) -> Result<(), ConnectionProblem> {
        let (host, port) = url.host_and_port()?;
        for (key, text) in [("user", url.user), ("password", url.password), ("host", host), ("port", port)] {
            self.set(key, decoded(text)?);
        }
        Ok(())
    }
}

/// Checks that each parameter of a string is known, and comes once.
pub struct Parameters {
    /// Those that are used; messages list them.
    used: &'static [&'static str],
    ignored: &'static [&'static str],
    seen: Vec<&'static str>,
    /// How many came, known or not.
    taken: usize,
}

impl Parameters {
    pub fn new(used: &'static [&'static str], ignored: &'static [&'static str]) -> Self {
        Parameters { used, ignored, seen: Vec::new(), taken: 0 }
    }

    /// Takes a parameter.
    ///
    /// # Errors
    /// It is unknown, or comes a second time.
    pub fn take(&mut self, dsn: &mut Dsn, key: &str, value: String) -> Result<(), ConnectionProblem> {
        self.taken += 1;
        let mut known = self.used.iter().chain(self.ignored).copied();
        let Some(key) = known.clone().find(|known| *known == key) else {
            if let Some((foreign, advice)) = FOREIGN.iter().find(|(foreign, _)| *foreign == key) {
                return Err(ConnectionProblem::Foreign(foreign, advice));
            }
            let unknown = ConnectionProblem::Unknown { number: self.taken, known: self.used };
            return Err(words::nearest(key, &mut known).map_or(unknown, ConnectionProblem::Misspelt));
        };
        if self.seen.contains(&key) {
            return Err(ConnectionProblem::Twice(key));
        }
        self.seen.push(key);
        dsn.set(key, value);
        Ok(())
    }

    /// Takes a parameter of a PostgreSQL connection string.
    fn take_libpq(&mut self, dsn: &mut Dsn, key: &str, value: String) -> Result<(), ConnectionProblem> {
        match (key, value.as_str()) {
            ("hostaddr", _) => Err(ConnectionProblem::HostAddr),
            ("options", _) => Err(ConnectionProblem::Options),
            ("gssencmode", "require") => Err(ConnectionProblem::GssEncryption),
            ("gssencmode", _) | ("sslnegotiation", "postgres") => {
                self.taken += 1;
                Ok(())
            }
            _ => self.take(dsn, key, value),
        }
    }
}

/// What follows the scheme: `[user[:password]@][host[:port]][/dbname][?parameter=value&...]`.
fn url(rest: &str) -> Result<Dsn, ConnectionProblem> {
    let parts = UrlParts::of(rest)?;
    if parts.path.contains('/') {
        return Err(ConnectionProblem::Special);
    }
    let mut dsn = Dsn::default();
    dsn.set_login_and_host(&parts)?;
    dsn.set("dbname", decoded(parts.path)?);
    let mut parameters = Parameters::new(KEYS, &IGNORED);
    for (key, value) in parts.parameters()? {
        parameters.take_libpq(&mut dsn, &key, value)?;
    }
    Ok(dsn)
}

/// `keyword = value` pairs; a value may be quoted, and a backslash escapes the next character.
fn keywords(text: &str) -> Result<Dsn, ConnectionProblem> {
    let mut dsn = Dsn::default();
    let mut parameters = Parameters::new(KEYS, &IGNORED);
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(ConnectionProblem::Equals)?;
        let key = key.trim_end();
        if key.contains(char::is_whitespace) {
            return Err(ConnectionProblem::Equals);
        }
        let (value, after) = value(after.trim_start())?;
        parameters.take_libpq(&mut dsn, key, value)?;
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
