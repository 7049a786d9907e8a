//! Settings of a PostgreSQL server from a connection string and the keys beside it, checked.

use std::path::PathBuf;

use crate::declare;
use crate::schema::reader::Schema;
use crate::schema::values::map;
use crate::secret::Secret;
use crate::settings::connection::dsn::{Dsn, text};
use crate::settings::connection::keys;
use crate::settings::connection::keys::{KeyPlaces, PostgresServerKeys, keep, port_value, value};
use crate::settings::connection::login::{ChannelBinding, LoginMethods};
use crate::settings::connection::model::{Address, DatabasePatterns, PostgresSettings};
use crate::settings::connection::problem::ConnectionProblem;
use crate::settings::connection::tls::tls;

declare! {
    pub struct PostgresKeys: "`postgres`" {
        ..server: PostgresServerKeys,
        /// 5432 if left out.
        port: Option<Secret> = port_value(),
        /// The database to log in to; the user's name if left out.
        dbname: Option<Secret> = value(),
        /// Which databases collectors of `scope: database` visit; all if left out.
        databases: DatabasePatterns = map().or(DatabasePatterns::default()),
    }
}

declare! {
    pub struct PgBouncerKeys: "`pgbouncer`" {
        ..server: PostgresServerKeys,
        /// 6432 if left out.
        port: Option<Secret> = port_value(),
    }
}

/// The database that a PgBouncer's console answers as.
const CONSOLE: &str = "pgbouncer";

/// The schema of `postgres:`; its keys override its `url`.
pub fn postgres() -> Schema<PostgresSettings> {
    map().then(|keys: PostgresKeys, map, reader| {
        let dsn = keys.server.dsn(keys.port, keys.dbname, reader)?;
        let settings = KeyPlaces::of(map).meaning(resolve(&dsn), reader)?;
        Some(PostgresSettings { databases: keys.databases, ..settings })
    })
}

/// The schema of `pgbouncer:`; the same, but the database is always the console and the port PgBouncer's.
pub fn pgbouncer() -> Schema<PostgresSettings> {
    map().then(|keys: PgBouncerKeys, map, reader| {
        let dsn = keys.server.dsn(keys.port, None, reader)?;
        KeyPlaces::of(map).meaning(resolve_console(dsn), reader)
    })
}

/// What a connection string means, with libpq's defaults, except that a user is required.
///
/// # Errors
/// All problems.
pub fn resolve(dsn: &Dsn) -> Result<PostgresSettings, Vec<ConnectionProblem>> {
    let mut problems = Vec::new();
    let address = keep(address(dsn), &mut problems);
    let user = keep(text(&dsn.user).ok_or(ConnectionProblem::User), &mut problems);
    let tls = keep(tls(dsn), &mut problems);
    let methods = keep(text(&dsn.require_auth).map_or(Ok(LoginMethods::default()), LoginMethods::parse), &mut problems);
    let binding = keep(binding(dsn), &mut problems);
    match (address, user, tls, methods, binding) {
        (Some(address), Some(user), Some(tls), Some(methods), Some(binding)) => Ok(PostgresSettings {
            address,
            user: user.to_owned(),
            password: dsn.password.clone(),
            database: text(&dsn.dbname).unwrap_or(user).to_owned(),
            tls,
            methods,
            binding,
            databases: DatabasePatterns::default(),
        }),
        _ => Err(problems),
    }
}

/// The same for a PgBouncer's console.
///
/// # Errors
/// All problems.
pub fn resolve_console(mut dsn: Dsn) -> Result<PostgresSettings, Vec<ConnectionProblem>> {
    if dsn.port.is_none() {
        dsn.set("port", "6432");
    }
    dsn.set("dbname", CONSOLE);
    resolve(&dsn)
}

fn address(dsn: &Dsn) -> Result<Address, ConnectionProblem> {
    let (host, port) = (text(&dsn.host).unwrap_or("localhost"), text(&dsn.port).unwrap_or("5432"));
    if host.contains(',') || port.contains(',') {
        return Err(ConnectionProblem::SeveralHosts);
    }
    let port = keys::port(port)?;
    if host.starts_with('/') {
        return Ok(Address::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}"))));
    }
    if !keys::is_host(host) {
        return Err(ConnectionProblem::Host);
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}

fn binding(dsn: &Dsn) -> Result<ChannelBinding, ConnectionProblem> {
    let Some(word) = text(&dsn.channel_binding) else { return Ok(ChannelBinding::default()) };
    let binding = word.parse().map_err(|_| ConnectionProblem::ChannelBinding)?;
    if binding == ChannelBinding::Require && text(&dsn.sslmode) == Some("disable") {
        return Err(ConnectionProblem::BindingWithoutTls);
    }
    Ok(binding)
}
