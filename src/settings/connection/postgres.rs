//! How to reach a PostgreSQL server: what the connection string and the keys say together, checked.

use std::path::PathBuf;

use crate::{
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, Shape, key},
        yaml::Node,
    },
    settings::{
        connection::{
            dsn::{Dsn, KEYS, text},
            keys::{
                self, CHANNEL_BINDING, HOST, Notation, PASSWORD, PASSWORD_FILE, PORT, REQUIRE_AUTH, SSLCERT, SSLKEY,
                SSLMODE, SSLROOTCERT, URL, URL_FILE, USER, keep,
            },
            login::{BINDINGS, ChannelBinding, LoginMethods},
            model::{Address, DatabasePatterns, PostgresSettings},
            problem::ConnectionProblem,
            tls::tls,
        },
        interpolate::Env,
    },
};

/// How a PostgreSQL server is written.
const NOTATION: Notation = Notation { keys: &KEYS, url: "connection string", parse: Dsn::parse };

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

/// Reads `postgres:`; its keys override what its `url` says.
pub fn postgres(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<PostgresSettings> {
    let mut fields = Fields::open(node, &POSTGRES, problems)?;
    let dsn = dsn(&mut fields, env);
    let databases = databases(&mut fields);
    Some(PostgresSettings { databases, ..keys::meaning(&mut fields, resolve(&dsn?))? })
}

/// Reads `pgbouncer:`; the same, but the database is always the console and the port PgBouncer's.
pub fn pgbouncer(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<PostgresSettings> {
    let mut fields = Fields::open(node, &PGBOUNCER, problems)?;
    let dsn = dsn(&mut fields, env)?;
    keys::meaning(&mut fields, resolve_console(dsn))
}

/// What the keys of a PostgreSQL server say; `None`: the problems have been reported.
pub fn dsn(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<Dsn> {
    keys::dsn(fields, env, &NOTATION)
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

/// What a connection string means, with libpq's defaults; but there is no default user.
///
/// # Errors
/// Everything that is wrong.
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
/// Everything that is wrong.
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
    let binding = BINDINGS.iter().find(|(known, _)| *known == word).ok_or(ConnectionProblem::ChannelBinding)?.1;
    if binding == ChannelBinding::Require && text(&dsn.sslmode) == Some("disable") {
        return Err(ConnectionProblem::BindingWithoutTls);
    }
    Ok(binding)
}
