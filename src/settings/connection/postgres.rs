//! How to reach a PostgreSQL server: what the connection string and the keys say together, checked.

use std::{net::Ipv6Addr, path::PathBuf};

use crate::{
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, KeySpec, Shape, key},
        words,
        yaml::Node,
    },
    settings::{
        Address, DatabasePatterns, PostgresSettings, Roots, TlsMode, TlsSettings,
        connection::{
            dsn::{ConnectionProblem, Dsn, KEYS},
            login::{BINDING_WORDS, BINDINGS, ChannelBinding, LoginMethods},
        },
        given::{given, hidden, text},
        interpolate::Env,
    },
};

pub(crate) const URL: KeySpec =
    key("url", Is::Text, "A URL or `keyword=value` pairs; the keys beside it override what it says.");
pub(crate) const URL_FILE: KeySpec = key("url_file", Is::Text, "A file that holds the URL; instead of `url`.");
pub(crate) const HOST: KeySpec =
    key("host", Is::Text, "A name, an address, or the absolute path of the socket's folder; localhost if left out.");
pub(crate) const PORT: Is = Is::Either(&[Is::Whole(1, 65535), Is::Form(VARIABLE)]);
pub(crate) const USER: KeySpec = key("user", Is::Text, "The role to log in as; there is no default.");
pub(crate) const PASSWORD: KeySpec = key("password", Is::Text, "Its password; better `${NAME}` or `password_file`.");
pub(crate) const PASSWORD_FILE: KeySpec = key(
    "password_file",
    Is::Text,
    "A file that holds the password, read at each login; one newline at its end is cut off.",
);
pub(crate) const SSLMODE: KeySpec =
    key("sslmode", Is::Either(&[Is::Word(&MODE_WORDS), Is::Form(VARIABLE)]), "As in libpq; `prefer` if left out.");
pub(crate) const SSLROOTCERT: KeySpec =
    key("sslrootcert", Is::Text, "A PEM file, or `system` (if left out): whose certificates are believed.");
pub(crate) const SSLCERT: KeySpec = key("sslcert", Is::Text, "A client's certificate, PEM; needs `sslkey`.");
pub(crate) const REQUIRE_AUTH: KeySpec = key(
    "require_auth",
    Is::Text,
    "As in libpq: which ways to log in the server may ask for, such as `scram-sha-256`, or `!md5`. If left out, all, but a password in clear only \
     where the server is verified or local.",
);
pub(crate) const CHANNEL_BINDING: KeySpec = key(
    "channel_binding",
    Is::Either(&[Is::Word(&BINDING_WORDS), Is::Form(VARIABLE)]),
    "As in libpq: whether a login with SCRAM is bound to the server's certificate; `prefer` if left out.",
);
pub(crate) const SSLKEY: KeySpec = key("sslkey", Is::Text, "The client's key, PEM; needs `sslcert`.");

/// What `postgres` holds.
pub const POSTGRES: Shape = Shape {
    what: "`postgres`",
    needs: &[],
    may: &[
        URL,
        URL_FILE,
        HOST,
        key("port", PORT, "5432 if left out."),
        USER,
        PASSWORD,
        PASSWORD_FILE,
        key("dbname", Is::Text, "The database to log in to; the user's name if left out."),
        SSLMODE,
        SSLROOTCERT,
        SSLCERT,
        SSLKEY,
        REQUIRE_AUTH,
        CHANNEL_BINDING,
        key(
            "databases",
            Is::Map(&DATABASES),
            "Which databases collectors of `scope: database` visit; all if left out.",
        ),
    ],
    quiet: true,
};

/// What `pgbouncer` holds.
pub const PGBOUNCER: Shape = Shape {
    what: "`pgbouncer`",
    needs: &[],
    may: &[
        URL,
        URL_FILE,
        HOST,
        key("port", PORT, "6432 if left out."),
        USER,
        PASSWORD,
        PASSWORD_FILE,
        SSLMODE,
        SSLROOTCERT,
        SSLCERT,
        SSLKEY,
        REQUIRE_AUTH,
        CHANNEL_BINDING,
    ],
    quiet: true,
};

const DATABASES: Shape = Shape {
    what: "`databases`",
    needs: &[],
    may: &[
        key(
            "include",
            Is::List(0, &Is::Text),
            "Only those that match one of these; `*` and `?` stand for any characters.",
        ),
        key("exclude", Is::List(0, &Is::Text), "None of those that match one of these."),
    ],
    quiet: true,
};

/// The database that a PgBouncer's console answers as.
const CONSOLE: &str = "pgbouncer";

const MODE_WORDS: [&str; MODES.len()] = words::of(&MODES);

/// The form of a text with a `${NAME}` in it, which may become anything; and an empty one counts as none.
pub(crate) const VARIABLE: &str = r"^$|\$\{";

const MODES: [(&str, TlsMode); 5] = [
    ("disable", TlsMode::Disable),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

/// Reads `postgres:`; its keys override what its `url` says.
pub fn postgres(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<PostgresSettings> {
    let mut fields = Fields::open(node, &POSTGRES, problems)?;
    let dsn = dsn(&mut fields, env);
    let databases = databases(&mut fields);
    Some(PostgresSettings { databases, ..meant(&mut fields, &dsn?)? })
}

/// Reads `pgbouncer:`; the same, but the database is always the console and the port PgBouncer's.
pub fn pgbouncer(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<PostgresSettings> {
    let mut fields = Fields::open(node, &PGBOUNCER, problems)?;
    let dsn = dsn(&mut fields, env)?;
    resolve_console(dsn).map_err(|wrongs| wrongs.into_iter().for_each(|wrong| tell(&mut fields, wrong))).ok()
}

/// What this connection string means, or `None`: what is wrong with it has been told.
pub fn meant(fields: &mut Fields<'_, '_>, dsn: &Dsn) -> Option<PostgresSettings> {
    resolve(dsn).map_err(|wrongs| wrongs.into_iter().for_each(|wrong| tell(fields, wrong))).ok()
}

/// What `url` and the keys say together; `None`: what is wrong with it has been told.
pub fn dsn(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<Dsn> {
    let mut dsn = connection_string(fields, env)?;
    let mut complete = true;
    for key in KEYS {
        let value = match key {
            "password" => given(fields, "password", "password_file", env),
            _ => hidden(text(fields, key, env)),
        };
        match value {
            Ok(Some((from, value))) if value.expose().contains('\0') => {
                fields.tell(from, ConnectionProblem::Nul.to_string())
            }
            Ok(Some((_, value))) => dsn.set_secret(key, value),
            Ok(None) => {}
            Err(()) => complete = false,
        }
    }
    complete.then_some(dsn)
}

/// Which databases are visited; all if nothing is said.
fn databases(fields: &mut Fields<'_, '_>) -> DatabasePatterns {
    let mut chosen = DatabasePatterns::default();
    let Some(node) = fields.node("databases") else { return chosen };
    let Some(mut fields) = Fields::open(node, &DATABASES, fields.problems) else { return chosen };
    let mut patterns = |key| fields.texts(key).into_iter().map(|(pattern, _)| pattern).collect();
    if node.get("include").is_some() {
        chosen.include = patterns("include");
    }
    chosen.exclude = patterns("exclude");
    chosen
}

/// What `url` or `url_file` says, if there is one; `None`: what is wrong with it has been told.
fn connection_string(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<Dsn> {
    let Some((key, url)) = given(fields, "url", "url_file", env).ok()? else { return Some(Dsn::default()) };
    let refused = |wrong| fields.tell(key, format!("the connection string is refused: {wrong}"));
    Dsn::parse(url.expose()).map_err(refused).ok()
}

/// Tells it at the key it is about, or else at the connection string.
pub(crate) fn tell(fields: &mut Fields<'_, '_>, wrong: ConnectionProblem) {
    let from = wrong.key().into_iter().chain(["url", "url_file"]).find(|key| fields.has(key));
    let place = from.map_or(fields.here(), |key| fields.place(key));
    fields.problems.add(&place, wrong.to_string());
}

/// What a connection string means, with libpq's defaults; but there is no default user.
///
/// # Errors
/// Everything that is wrong.
pub fn resolve(dsn: &Dsn) -> Result<PostgresSettings, Vec<ConnectionProblem>> {
    let mut wrongs = Vec::new();
    let address = keep(address(dsn), &mut wrongs);
    let user = keep(dsn.get("user").ok_or(ConnectionProblem::User), &mut wrongs);
    let tls = keep(tls(dsn), &mut wrongs);
    let methods = keep(dsn.get("require_auth").map_or(Ok(LoginMethods::default()), LoginMethods::parse), &mut wrongs);
    let binding = keep(binding(dsn), &mut wrongs);
    match (address, user, tls, methods, binding) {
        (Some(address), Some(user), Some(tls), Some(methods), Some(binding)) => Ok(PostgresSettings {
            address,
            user: user.to_owned(),
            password: dsn.secret("password").cloned(),
            database: dsn.get("dbname").unwrap_or(user).to_owned(),
            tls,
            methods,
            binding,
            databases: DatabasePatterns::default(),
        }),
        _ => Err(wrongs),
    }
}

/// The same for a PgBouncer's console.
///
/// # Errors
/// Everything that is wrong.
pub fn resolve_console(mut dsn: Dsn) -> Result<PostgresSettings, Vec<ConnectionProblem>> {
    if dsn.get("port").is_none() {
        dsn.set("port", "6432".to_owned());
    }
    dsn.set("dbname", CONSOLE.to_owned());
    resolve(&dsn)
}

pub(crate) fn keep<T>(result: Result<T, ConnectionProblem>, wrongs: &mut Vec<ConnectionProblem>) -> Option<T> {
    result.map_err(|wrong| wrongs.push(wrong)).ok()
}

fn address(dsn: &Dsn) -> Result<Address, ConnectionProblem> {
    let host = dsn.get("host").unwrap_or("localhost");
    let port = dsn.get("port").unwrap_or("5432");
    if host.contains(',') || port.contains(',') {
        return Err(ConnectionProblem::SeveralHosts);
    }
    let port = port.parse().ok().filter(|port| *port > 0).ok_or(ConnectionProblem::Port)?;
    if host.starts_with('/') {
        return Ok(Address::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}"))));
    }
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    match is_name || host.parse::<Ipv6Addr>().is_ok() {
        true => Ok(Address::Tcp { host: host.to_owned(), port }),
        false => Err(ConnectionProblem::Host),
    }
}

fn binding(dsn: &Dsn) -> Result<ChannelBinding, ConnectionProblem> {
    let Some(word) = dsn.get("channel_binding") else { return Ok(ChannelBinding::default()) };
    let binding = BINDINGS.iter().find(|(known, _)| *known == word).ok_or(ConnectionProblem::ChannelBinding)?.1;
    match binding == ChannelBinding::Require && dsn.get("sslmode") == Some("disable") {
        true => Err(ConnectionProblem::BindingWithoutTls),
        false => Ok(binding),
    }
}

/// As libpq does: without `sslmode`, `prefer`, but with `sslrootcert=system` `verify-full`; and `require` beside a
/// file of authorities verifies against it. `verify-ca` with the system's authorities is refused: anyone can get
/// a certificate from these, for a host of their own.
pub(crate) fn tls(dsn: &Dsn) -> Result<TlsSettings, ConnectionProblem> {
    let roots = match dsn.get("sslrootcert") {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(path.into()),
    };
    let system = dsn.get("sslrootcert") == Some("system");
    let mode = match dsn.get("sslmode") {
        None if system => TlsMode::VerifyFull,
        None => TlsMode::Prefer,
        Some(word) => MODES.iter().find(|(known, _)| *known == word).ok_or(ConnectionProblem::SslMode)?.1,
    };
    let mode = match mode {
        TlsMode::VerifyCa if roots == Roots::System => return Err(ConnectionProblem::AnyHost),
        TlsMode::VerifyCa | TlsMode::VerifyFull => mode,
        _ if system => return Err(ConnectionProblem::WeakSystemRoots),
        TlsMode::Require if matches!(roots, Roots::File(_)) => TlsMode::VerifyCa,
        _ => mode,
    };
    let client = match (dsn.get("sslcert"), dsn.get("sslkey")) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (Some(_), None) => return Err(ConnectionProblem::NoKey),
        (None, Some(_)) => return Err(ConnectionProblem::NoCert),
        (None, None) => None,
    };
    Ok(TlsSettings { mode, roots, client })
}
