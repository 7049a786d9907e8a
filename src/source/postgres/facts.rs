//! What a server is, and which SQL of a collector fits it.

use std::{borrow::Cow, pin::pin};

use futures_util::{
    TryStreamExt,
    future::{join, join3},
};
use tokio::time::Instant;
use tokio_postgres::{Client, Row, types::Type};

use super::error;

use crate::{
    config::collector::{Collector, EXTENSION_SCHEMA, Extension, OWN_FUNCTIONS, Query, Role, Rows, Variant},
    source::{FetchError, Reason},
};

/// What every session asks for itself, in the words in which the server says it back.
pub const SESSION_SETTINGS: [(&str, &str); 8] = [
    // Without pg_temp named last, temporary tables, which a pooler's other clients may leave, would come first.
    ("search_path", "pg_catalog,pg_temp"),
    ("default_transaction_read_only", "on"),
    ("lock_timeout", "100ms"),
    ("statement_timeout", "1s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("jit", "off"),
    // The workers of parallel queries are the applications'. What limits their number is a setting whose value is exported.
    ("parallel_setup_cost", "1e+09"),
    // pg_stat_statements spills 7 MB to disk at 20,000 entries with less.
    ("work_mem", "32MB"),
];

/// Nobody but a startup packet of ours sets this, and no pooler keeps it for its clients: where it holds, the server's session is ours alone.
const OURS: (&str, &str) = ("pgvigil.session", "ours");

/// What travels in the startup packet: the mark, and the first of the settings. `lock_timeout` is for the login itself, which reads catalogues. The
/// other settings are set once the session is known to be ours: those of the startup packet hide what the server has, and the collector
/// `settings` tells what the server has.
pub const STARTUP_SETTINGS: [(&str, &str); 4] = [OURS, SESSION_SETTINGS[0], SESSION_SETTINGS[1], SESSION_SETTINGS[2]];

/// What a session asks for besides in a database without an encoding: its bytes as they are, which the decoder escapes.
pub const ANY_BYTES: &str = "client_encoding = 'SQL_ASCII'";

/// A database with a larger `pg_class`, in bytes, has some 10,000 tables, indexes and TOAST tables or more: 30 MB in the caches of a session that looks
/// at them all, which only its end gives back. A login, 5 ms of the server's, is little then.
const LARGE: u64 = 2 << 20;

/// More extensions than any database has.
pub const MOST_FACTS: usize = 1000;

/// Every name is qualified: before the settings are known to have taken, `search_path` is not trusted.
/// Our own functions count as an extension, but only in the schema of a superuser or of a role that administers ours: in any other they
/// could be its owner's, and would run as our role. Who administers our role can be it anyway (and a superuser administers all).
pub const EXTENSIONS: &str = "SELECT e.extname::pg_catalog.text, e.extversion, pg_catalog.quote_ident(n.nspname::pg_catalog.text) \
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace \
    WHERE e.extname OPERATOR(pg_catalog.<>) 'pgvigil' \
    UNION ALL \
   SELECT 'pgvigil', '1', 'pgvigil' \
     FROM pg_catalog.pg_namespace n \
    WHERE n.nspname OPERATOR(pg_catalog.=) 'pgvigil' \
      AND pg_catalog.pg_has_role(n.nspowner, current_user, 'MEMBER WITH ADMIN OPTION')";

/// What a server is, as it said when last asked.
#[derive(Clone, Debug)]
pub struct Facts {
    pub major: u32,
    pub replica: bool,
    /// Our session settings did not take: a transaction pooler stands between.
    pub pooled: bool,
    /// Our role is a member of pg_monitor.
    pub monitor: bool,
    /// The database's encoding is SQL_ASCII: a name may hold any bytes, and the server would refuse to call them UTF-8.
    pub any_bytes: bool,
    /// Where we are logged in, and where the extensions are.
    pub database: String,
    /// There are so many relations that a session which looked at them is not kept; false where that could not be read.
    pub is_large: bool,
    /// Or why they could not be read: their catalogue may be locked.
    pub extensions: Result<Vec<Installed>, FetchError>,
    pub read_at: Instant,
}

/// An installed extension; `schema` is quoted.
#[derive(Clone, Debug)]
pub struct Installed {
    pub name: String,
    pub version: String,
    pub schema: String,
}

impl Facts {
    /// The SQL for this server, or why there is none.
    pub fn applicable<'a>(
        &self,
        collector: &Collector,
        query: &'a Query,
    ) -> Result<(&'a Variant, Cow<'a, str>), FetchError> {
        match (collector.role, self.replica) {
            (Role::Primary, true) => return Err(skip(Reason::Role, "asked on a primary only; this is a replica")),
            (Role::Replica, false) => return Err(skip(Reason::Role, "asked on a replica only; this is a primary")),
            _ => (),
        }
        let variant = query.variant(self.major).ok_or_else(|| self.no_variant(query))?;
        let Some(wanted) = &query.requires else { return Ok((variant, Cow::Borrowed(&variant.text))) };
        let installed = self.installed(wanted)?;
        Ok((variant, Cow::Owned(variant.text.replace(EXTENSION_SCHEMA, &installed.schema))))
    }

    fn no_variant(&self, query: &Query) -> FetchError {
        let Rows::Sql(variants) = &query.rows else { return skip(Reason::Version, "has no SQL") };
        let fits = match variants.iter().filter(|variant| variant.since > self.major).map(|v| v.since).min() {
            Some(since) => format!("needs PostgreSQL {since} or later"),
            None => "is for an older PostgreSQL".to_owned(),
        };
        skip(Reason::Version, format!("{fits}; this is {}", self.major))
    }

    fn installed(&self, wanted: &Extension) -> Result<&Installed, FetchError> {
        let (name, database) = (&wanted.name, &self.database);
        let extensions = self.extensions.as_ref().map_err(Clone::clone)?;
        let Some(installed) = extensions.iter().find(|extension| extension.name == *name) else {
            if name == OWN_FUNCTIONS {
                let remedy = format!("run the SQL of `pgvigil export grants` in database {database}");
                return Err(skip(Reason::Extension, format!("the functions of pgvigil are not installed; {remedy}")));
            }
            let remedy = format!("run CREATE EXTENSION {name}; in database {database}");
            return Err(skip(Reason::Extension, format!("extension {name} is not installed; {remedy}")));
        };
        let have: Vec<u32> = installed.version.split('.').map_while(|part| part.parse().ok()).collect();
        if have < wanted.version {
            let remedy = format!("run ALTER EXTENSION {name} UPDATE; in database {database}");
            let has = &installed.version;
            return Err(skip(Reason::Extension, format!("extension {name} is too old ({has}); {remedy}")));
        }
        Ok(installed)
    }
}

/// Learns in one round trip what a new session's server is, setting first what the startup packet did not. Behind a transaction pooler nothing
/// is set: the session may be another client's next.
pub async fn settle(client: &Client, database: &str) -> Result<Facts, FetchError> {
    let sql = settle_sql();
    let (settled, facts) = join(ask(client, &sql), read_facts(client, database)).await;
    match settled {
        Err(error) if error.reason.is_connection() => Err(error),
        // What could not be set is seen by the read-back: then each query brings it.
        _ => facts,
    }
}

/// Asks what the server is and whether our settings took, in one round trip.
pub async fn read_facts(client: &Client, database: &str) -> Result<Facts, FetchError> {
    let (server, extensions, is_large) =
        join3(ask(client, &server_sql()), ask(client, EXTENSIONS), settle_size(client)).await;
    let (server, extensions) = (server?, extensions.and_then(installed_of));
    if let Err(error) = &extensions
        && error.reason.is_connection()
    {
        return Err(error.clone());
    }
    let row = server.first().ok_or_else(|| FetchError::new(Reason::Refused, "the server says nothing of itself"))?;
    let version: u32 = text(row, 0).parse().unwrap_or_default();
    Ok(Facts {
        major: version / 10_000,
        replica: row.try_get(1).unwrap_or_default(),
        monitor: row.try_get(2).unwrap_or_default(),
        any_bytes: text(row, 3) == "SQL_ASCII",
        pooled: SESSION_SETTINGS.iter().enumerate().any(|(index, (_, value))| text(row, index + 4) != *value),
        database: database.to_owned(),
        is_large,
        extensions,
        read_at: Instant::now(),
    })
}

/// Says whether the database is large. On sessions of ours it also chooses what the server does, from 15 on, with the statistics of a table or index that
/// a query looks at: nothing here needs them to be of one moment, but a copy, 280 bytes that are kept until the transaction ends, is cheaper to read
/// again. In a large database, where they would be 17 MB for 60,000, there are none.
async fn settle_size(client: &Client) -> bool {
    let (name, value) = OURS;
    let sql = format!(
        "SELECT size.large, CASE WHEN pg_catalog.current_setting('{name}', true) OPERATOR(pg_catalog.=) '{value}' \
            AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 \
           THEN pg_catalog.set_config('stats_fetch_consistency', CASE WHEN size.large THEN 'none' ELSE 'cache' END, false) END \
           FROM (SELECT pg_catalog.pg_relation_size('pg_catalog.pg_class') OPERATOR(pg_catalog.>) {LARGE} AS large) size"
    );
    ask(client, &sql).await.is_ok_and(|rows| rows.first().is_some_and(|row| row.try_get(0).unwrap_or_default()))
}

fn installed_of(rows: Vec<Row>) -> Result<Vec<Installed>, FetchError> {
    let installed = |row| Installed { name: text(row, 0), version: text(row, 1), schema: text(row, 2) };
    Ok(rows.iter().map(installed).collect())
}

fn text(row: &Row, index: usize) -> String {
    row.try_get::<_, &str>(index).unwrap_or_default().to_owned()
}

fn server_sql() -> String {
    let settings = SESSION_SETTINGS.map(|(name, _)| format!("pg_catalog.current_setting('{name}')"));
    format!(
        "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(), \
         pg_catalog.pg_has_role('pg_monitor', 'USAGE'), pg_catalog.current_setting('server_encoding'), {}",
        settings.join(", ")
    )
}

fn settle_sql() -> String {
    let late = SESSION_SETTINGS.iter().filter(|setting| !STARTUP_SETTINGS.contains(setting));
    let set = late.map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', false)"));
    let (name, value) = OURS;
    let (set, ours) = (set.collect::<Vec<_>>().join(", "), format!("pg_catalog.current_setting('{name}', true)"));
    format!("SELECT {set} WHERE {ours} OPERATOR(pg_catalog.=) '{value}'")
}

/// Unnamed and in one message, so it goes through any pooler.
async fn ask(client: &Client, sql: &str) -> Result<Vec<Row>, FetchError> {
    let parameters: [(i32, Type); 0] = [];
    let rows = client.query_typed_raw(sql, parameters).await.map_err(|error| error::of_query(&error))?;
    let (mut rows, mut read) = (pin!(rows), Vec::new());
    while let Some(row) = rows.try_next().await.map_err(|error| error::of_query(&error))? {
        if read.len() == MOST_FACTS {
            return Err(FetchError::new(Reason::Refused, "rows without end: not a PostgreSQL server?"));
        }
        read.push(row);
    }
    Ok(read)
}

fn skip(reason: Reason, message: impl Into<String>) -> FetchError {
    FetchError::new(reason, message)
}
