//! Settings of a Redis server from its URL and the keys beside it, checked as strictly as a connection string.

use crate::declare;
use crate::schema::form::Form;
use crate::schema::reader::{Placed, Schema};
use crate::schema::values::map;
use crate::secret::Secret;
use crate::settings::connection::dsn::{Dsn, Parameters, text};
use crate::settings::connection::keys;
use crate::settings::connection::keys::{KeyPlaces, ServerKeys, keep, port_value, value, value_of};
use crate::settings::connection::model::{Address, RedisSettings, TlsSettings};
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::connection::tls::tls;
use crate::settings::connection::url::{UrlParts, decoded};
use crate::settings::interpolate::secret;

declare! {
    pub struct RedisKeys: "`redis`" {
        /// redis://, rediss:// (with TLS) or unix://; the keys beside it override what it says.
        url: Option<Placed<Secret>> = secret().placed().optional().strict(),
        /// A name, an address, or the absolute path of the socket; localhost if left out.
        host: Option<Secret> = value(),
        /// 6379 if left out.
        port: Option<Secret> = port_value(),
        /// The user of its access control list; `default` if left out.
        user: Option<Secret> = value(),
        /// The number of a database; 0 if left out.
        db: Option<Secret> = value_of(Form::Whole(0, u32::MAX.into())),
        /// As in libpq; if left out, `verify-full` with rediss:// or a certificate, else `disable`.
        sslmode: Option<Secret> = value_of(Form::Word(vec!["disable", "require", "verify-ca", "verify-full"])),
        ..server: ServerKeys,
    }
}

/// What may follow the `?` of a URL.
const PARAMETERS: [&str; 7] = ["db", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The schema of `redis:`; its keys override its `url`.
pub fn redis() -> Schema<RedisSettings> {
    map().then(|keys: RedisKeys, map, reader| {
        let RedisKeys { url, host, port, user, db, sslmode, server } = keys;
        let keys = Dsn { host, port, user, dbname: db, sslmode, ..Dsn::default() };
        let dsn = server.dsn(url, "URL", parse, keys, reader)?;
        KeyPlaces::of(map).meaning(resolve(&dsn), reader)
    })
}

/// Reads `redis://[user[:password]@]host[:port][/db]`, `rediss://` (with TLS, verified) or `unix:///path?db=0`.
///
/// # Errors
/// The first problem; it never holds a part of the URL.
pub fn parse(text: &str) -> Result<Dsn, ConnectionProblem> {
    let text = text.trim();
    if text.contains('\0') {
        return Err(ConnectionProblem::Nul);
    }
    let mut dsn = Dsn::default();
    let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
    let found = schemes.iter().find_map(|scheme| Some((*scheme, text.strip_prefix(scheme)?)));
    let (scheme, rest) = found.ok_or(ConnectionProblem::RedisScheme)?;
    let parts = UrlParts::of(rest)?;
    dsn.set_login_and_host(&parts)?;
    match scheme {
        "redis://" | "rediss://" if parts.path.contains('/') => return Err(ConnectionProblem::Special),
        "redis://" | "rediss://" => dsn.set("db", decoded(parts.path)?),
        _ if !parts.host.is_empty() || parts.path.is_empty() => return Err(ConnectionProblem::Socket),
        _ => dsn.set("host", decoded(&format!("/{}", parts.path))?),
    }
    if scheme == "rediss://" {
        dsn.set("sslmode", "verify-full");
    }
    let mut parameters = Parameters::new(&PARAMETERS, &[]);
    for (key, value) in parts.parameters()? {
        parameters.take(&mut dsn, &key, value)?;
    }
    Ok(dsn)
}

/// What a URL means. A user is not required, not even with a password.
///
/// # Errors
/// All problems.
pub fn resolve(dsn: &Dsn) -> Result<RedisSettings, Vec<ConnectionProblem>> {
    let mut problems = Vec::new();
    let address = keep(address(dsn), &mut problems);
    let database = keep(text(&dsn.dbname).unwrap_or("0").parse().map_err(|_| ConnectionProblem::Db), &mut problems);
    let tls = keep(direct_tls(dsn), &mut problems);
    match (address, database, tls) {
        (Some(address), Some(database), Some(tls)) => Ok(RedisSettings {
            address,
            user: text(&dsn.user).map(str::to_owned),
            password: dsn.password.clone(),
            database,
            tls,
        }),
        _ => Err(problems),
    }
}

fn address(dsn: &Dsn) -> Result<Address, ConnectionProblem> {
    let host = text(&dsn.host).unwrap_or("localhost");
    if host.contains(',') {
        return Err(ConnectionProblem::SeveralHosts);
    }
    if host.starts_with('/') {
        return Ok(Address::Unix(host.into()));
    }
    let port = keys::port(text(&dsn.port).unwrap_or("6379"))?;
    if !keys::is_host(host) {
        return Err(ConnectionProblem::RedisHost);
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}

/// Without `sslmode`, TLS is verified if a parameter about certificates is given, else off.
fn direct_tls(dsn: &Dsn) -> Result<TlsSettings, ConnectionProblem> {
    let mut dsn = dsn.clone();
    match text(&dsn.sslmode) {
        Some("prefer") => return Err(ConnectionProblem::Prefer),
        Some(_) => {}
        None if dsn.sslrootcert.is_some() || dsn.sslcert.is_some() || dsn.sslkey.is_some() => {
            dsn.set("sslmode", "verify-full")
        }
        None => dsn.set("sslmode", "disable"),
    }
    tls(&dsn)
}
