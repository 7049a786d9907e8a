//! How to reach a PostgreSQL server: what the connection string and the keys say together, checked.

use std::{net::Ipv6Addr, path::PathBuf};

use crate::{
    declare,
    schema::{
        form::Form,
        reader::{Placed, Reader, Schema, map},
        yaml::Node,
    },
    secret::Secret,
    settings::{
        connection::{
            dsn::{ConnectionProblem, Dsn},
            login::{BINDINGS, ChannelBinding, LoginMethods},
        },
        interpolate::{secret, secret_in_file},
        server::{Address, DatabasePatterns, PostgresSettings, Roots, TlsMode, TlsSettings},
    },
};

declare! {
    /// The keys of every server that speaks PostgreSQL's protocol, but those whose default differs.
    pub struct ServerKeys: "a server" {
        /// A URL or `keyword=value` pairs; the keys beside it override what it says.
        url: Option<Placed<Secret>> = secret().placed().optional().strict(),
        /// A name, an address, or the absolute path of the socket's folder; localhost if left out.
        host: Option<Secret> = parameter(secret()),
        /// The role to log in as; there is no default.
        user: Option<Secret> = parameter(secret()),
        /// As in libpq; `prefer` if left out.
        sslmode: Option<Secret> = parameter(secret()).shown_as(or_variable(Form::words(&MODES))),
        /// As in libpq: which ways to log in the server may ask for, such as `scram-sha-256`, or `!md5`. If left out, all, but a password
        /// in clear only where the server is verified or local.
        require_auth: Option<Secret> = parameter(secret()),
        /// As in libpq: whether a login with SCRAM is bound to the server's certificate; `prefer` if left out.
        channel_binding: Option<Secret> = parameter(secret()).shown_as(or_variable(Form::words(&BINDINGS))),
        ..secrets: SecretKeys,
    }
}

declare! {
    /// The keys of every server that has a password and TLS.
    pub struct SecretKeys: "a server" {
        /// A file that holds the URL; instead of `url`.
        url_file: Option<Placed<Secret>> = secret_in_file().placed().instead_of("url").optional().strict(),
        /// Its password; better `${NAME}` or `password_file`.
        password: Option<Secret> = parameter(secret()),
        /// A file that holds the password, read at each login; one newline at its end is cut off.
        password_file: Option<Secret> = parameter(secret_in_file().instead_of("password")),
        /// A PEM file, or `system` (if left out): whose certificates are believed.
        sslrootcert: Option<Secret> = parameter(secret()),
        /// A client's certificate, PEM; needs `sslkey`.
        sslcert: Option<Secret> = parameter(secret()),
        /// The client's key, PEM; needs `sslcert`.
        sslkey: Option<Secret> = parameter(secret()),
    }
}

declare! {
    pub struct PostgresKeys: "`postgres`" {
        /// 5432 if left out.
        port: Option<Secret> = port(),
        /// The database to log in to; the user's name if left out.
        dbname: Option<Secret> = parameter(secret()),
        /// Which databases collectors of `scope: database` visit; all if left out.
        databases: DatabasePatterns = map().or(DatabasePatterns::default()),
        ..server: ServerKeys,
    }
}

declare! {
    pub struct PgBouncerKeys: "`pgbouncer`" {
        /// 6432 if left out.
        port: Option<Secret> = port(),
        ..server: ServerKeys,
    }
}

/// A value that a connection string may give too.
pub fn parameter(value: Schema<Secret>) -> Schema<Option<Secret>> {
    value.then(|value, node, reader| {
        if value.expose().contains('\0') {
            reader.problems.add(&node.place, ConnectionProblem::Nul.to_string());
            return None;
        }
        Some(value)
    })
    .optional()
    .strict()
}

/// A port.
pub fn port() -> Schema<Option<Secret>> {
    parameter(secret()).shown_as(or_variable(Form::Whole(1, 65535)))
}

/// A value, or a text with a `${NAME}` in it, which may become anything; and an empty one counts as none.
pub fn or_variable(form: Form) -> Form {
    Form::Either(vec![form, Form::Pattern(r"^$|\$\{")])
}

/// The database that a PgBouncer's console answers as.
const CONSOLE: &str = "pgbouncer";

const MODES: [(&str, TlsMode); 5] = [
    ("disable", TlsMode::Disable),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

/// The schema of `postgres:`; its keys override what its `url` says.
pub fn postgres() -> Schema<PostgresSettings> {
    map().then(|keys: PostgresKeys, map, reader| {
        let dsn = keys.server.dsn(keys.port, keys.dbname, reader)?;
        Some(PostgresSettings { databases: keys.databases, ..resolved(resolve(&dsn), map, reader)? })
    })
}

/// The schema of `pgbouncer:`; the same, but the database is always the console and the port PgBouncer's.
pub fn pgbouncer() -> Schema<PostgresSettings> {
    map().then(|keys: PgBouncerKeys, map, reader| {
        let dsn = keys.server.dsn(keys.port, None, reader)?;
        resolved(resolve_console(dsn), map, reader)
    })
}

impl ServerKeys {
    /// What `url` and the keys say together.
    pub fn dsn(self, port: Option<Secret>, dbname: Option<Secret>, reader: &mut Reader<'_>) -> Option<Dsn> {
        let mut dsn = match self.secrets.url_file.as_ref().or(self.url.as_ref()) {
            Some(url) => {
                let refused = |wrong| format!("the connection string is refused: {wrong}");
                Dsn::parse(url.value.expose()).map_err(|wrong| reader.problems.add(&url.place, refused(wrong))).ok()?
            }
            None => Dsn::default(),
        };
        self.secrets.add_to(&mut dsn);
        for (key, value) in [
            ("host", self.host),
            ("port", port),
            ("user", self.user),
            ("dbname", dbname),
            ("sslmode", self.sslmode),
            ("require_auth", self.require_auth),
            ("channel_binding", self.channel_binding),
        ] {
            value.into_iter().for_each(|value| dsn.set_secret(key, value));
        }
        Some(dsn)
    }
}

impl SecretKeys {
    /// Puts all but the URL into a connection string.
    pub fn add_to(self, dsn: &mut Dsn) {
        for (key, value) in [
            ("password", self.password_file.or(self.password)),
            ("sslrootcert", self.sslrootcert),
            ("sslcert", self.sslcert),
            ("sslkey", self.sslkey),
        ] {
            value.into_iter().for_each(|value| dsn.set_secret(key, value));
        }
    }
}

/// What a connection string means; what is wrong with it is reported at the key it is about, or else at the connection string.
pub fn resolved<T>(resolved: Result<T, Vec<ConnectionProblem>>, map: &Node, reader: &mut Reader<'_>) -> Option<T> {
    let wrongs = resolved.map_err(|wrongs| {
        for wrong in wrongs {
            let key = wrong.key().into_iter().chain(["url", "url_file"]).find(|key| map.has(key));
            reader.refuse(map, key.unwrap_or_default(), wrong.to_string());
        }
    });
    wrongs.ok()
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
