//! How to reach a Redis server: what its URL and the keys say together, checked as strictly as a connection string.

use std::net::Ipv6Addr;

use crate::{
    declare,
    schema::{
        form::Form,
        reader::{Placed, Schema, map},
        words,
    },
    secret::Secret,
    settings::{
        connection::{
            dsn::{ConnectionProblem, Dsn},
            postgres::{SecretKeys, keep, or_variable, parameter, port, resolved, tls},
            url::{UrlParts, decoded},
        },
        interpolate::secret,
        server::{Address, RedisSettings, TlsSettings},
    },
};

declare! {
    pub struct RedisKeys: "`redis`" {
        /// redis://, rediss:// (with TLS) or unix://; the keys beside it override what it says.
        url: Option<Placed<Secret>> = secret().placed().optional().strict(),
        /// A name, an address, or the absolute path of the socket; localhost if left out.
        host: Option<Secret> = parameter(secret()),
        /// 6379 if left out.
        port: Option<Secret> = port(),
        /// The user of its access control list; `default` if left out.
        user: Option<Secret> = parameter(secret()),
        /// The number of a database; 0 if left out.
        db: Option<Secret> = parameter(secret()).shown_as(or_variable(Form::Whole(0, MOST_DB))),
        /// As in libpq; if left out, `verify-full` with rediss:// or a certificate, else `disable`.
        sslmode: Option<Secret> = parameter(secret())
            .shown_as(or_variable(Form::Word(vec!["disable", "require", "verify-ca", "verify-full"]))),
        ..secrets: SecretKeys,
    }
}

/// The highest number of a database.
const MOST_DB: u64 = u32::MAX as u64;

/// What may follow the `?` of a URL.
pub const PARAMETERS: [&str; 7] = ["db", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The schema of `redis:`; its keys override what its `url` says.
pub fn redis() -> Schema<RedisSettings> {
    map().then(|keys: RedisKeys, map, reader| {
        let mut dsn = match keys.secrets.url_file.as_ref().or(keys.url.as_ref()) {
            Some(url) => {
                let refused = |wrong| format!("the URL is refused: {wrong}");
                parse(url.value.expose()).map_err(|wrong| reader.problems.add(&url.place, refused(wrong))).ok()?
            }
            None => Dsn::default(),
        };
        keys.secrets.add_to(&mut dsn);
        for (key, value) in [
            ("host", keys.host),
            ("port", keys.port),
            ("user", keys.user),
            ("dbname", keys.db),
            ("sslmode", keys.sslmode),
        ] {
            value.into_iter().for_each(|value| dsn.set_secret(key, value));
        }
        resolved(resolve(&dsn), map, reader)
    })
}

/// Reads `redis://[user[:password]@]host[:port][/db]`, `rediss://` (with TLS, verified) or `unix:///path?db=0`.
///
/// # Errors
/// The first thing that is wrong; it never holds what was written.
pub fn parse(text: &str) -> Result<Dsn, ConnectionProblem> {
    let text = text.trim();
    if text.contains('\0') {
        return Err(ConnectionProblem::Nul);
    }
    let mut dsn = Dsn::default();
    let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
    let found = schemes.iter().find_map(|scheme| Some((*scheme, text.strip_prefix(scheme)?)));
    let (scheme, rest) = found.ok_or(ConnectionProblem::RedisScheme)?;
    let pieces = UrlParts::of(rest)?;
    pieces.set_login(&mut dsn)?;
    match scheme {
        "redis://" | "rediss://" if pieces.path.contains('/') => return Err(ConnectionProblem::Special),
        "redis://" | "rediss://" => {
            pieces.set_host(&mut dsn)?;
            dsn.set("dbname", decoded(pieces.path)?);
        }
        _ if !pieces.host.is_empty() || pieces.path.is_empty() => return Err(ConnectionProblem::Socket),
        _ => dsn.set("host", decoded(&format!("/{}", pieces.path))?),
    }
    if scheme == "rediss://" {
        dsn.set("sslmode", "verify-full".to_owned());
    }
    let mut seen = Vec::new();
    for (key, value) in pieces.parameters()? {
        parameter(&mut dsn, &key, value, &mut seen)?;
    }
    Ok(dsn)
}

fn parameter(dsn: &mut Dsn, key: &str, value: String, seen: &mut Vec<&'static str>) -> Result<(), ConnectionProblem> {
    let key = match (PARAMETERS.into_iter().find(|known| *known == key), words::nearest(key, PARAMETERS)) {
        (Some(key), _) => key,
        (None, near) => return Err(near.map_or(ConnectionProblem::UnknownToRedis, ConnectionProblem::Misspelt)),
    };
    if seen.contains(&key) {
        return Err(ConnectionProblem::Twice(key));
    }
    seen.push(key);
    dsn.set(if key == "db" { "dbname" } else { key }, value);
    Ok(())
}

/// What a URL means. Nobody need be named, and the password may go without a user.
///
/// # Errors
/// Everything that is wrong.
pub fn resolve(dsn: &Dsn) -> Result<RedisSettings, Vec<ConnectionProblem>> {
    let mut wrongs = Vec::new();
    let address = keep(address(dsn), &mut wrongs);
    let database = keep(dsn.get("dbname").unwrap_or("0").parse().map_err(|_| ConnectionProblem::Db), &mut wrongs);
    let tls = keep(direct_tls(dsn), &mut wrongs);
    match (address, database, tls) {
        (Some(address), Some(database), Some(tls)) => Ok(RedisSettings {
            address,
            user: dsn.get("user").map(str::to_owned),
            password: dsn.secret("password").cloned(),
            database,
            tls,
        }),
        _ => Err(wrongs),
    }
}

fn address(dsn: &Dsn) -> Result<Address, ConnectionProblem> {
    let host = dsn.get("host").unwrap_or("localhost");
    if host.contains(',') {
        return Err(ConnectionProblem::SeveralHosts);
    }
    if host.starts_with('/') {
        return Ok(Address::Unix(host.into()));
    }
    let port =
        dsn.get("port").unwrap_or("6379").parse().ok().filter(|port| *port > 0).ok_or(ConnectionProblem::Port)?;
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    match is_name || host.parse::<Ipv6Addr>().is_ok() {
        true => Ok(Address::Tcp { host: host.to_owned(), port }),
        false => Err(ConnectionProblem::RedisHost),
    }
}

/// Without `sslmode`: verified where anything is said of certificates, else none.
fn direct_tls(dsn: &Dsn) -> Result<TlsSettings, ConnectionProblem> {
    let mut dsn = dsn.clone();
    let is_asked = ["sslrootcert", "sslcert", "sslkey"].iter().any(|key| dsn.get(key).is_some());
    match dsn.get("sslmode") {
        Some("prefer") => return Err(ConnectionProblem::Prefer),
        Some(_) => (),
        None => dsn.set("sslmode", if is_asked { "verify-full" } else { "disable" }.to_owned()),
    }
    tls(&dsn)
}
