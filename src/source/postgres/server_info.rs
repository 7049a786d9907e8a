//! What a server is, and which SQL of a collector fits it.

use std::{borrow::Cow, pin::pin, time::Duration};

use futures_util::{
    TryStreamExt,
    future::{join, join3},
};
use tokio::time::Instant;
use tokio_postgres::{Client, Row, types::Type};

use crate::{
    collector::{Collector, EXTENSION_SCHEMA, Extension, OWN_FUNCTIONS, Query, Role, Rows, Variant},
    source::{
        charset::Charset,
        fetch::{FetchError, Reason},
        postgres::{
            decode::RawValue,
            error, session_settings,
            session_settings::{Mark, Texts},
        },
    },
};

/// A database with a larger `pg_class`, in bytes, has some 10,000 tables, indexes and TOAST tables or more: 30 MB in the caches of a session that looks
/// at them all, which only its end gives back. A login, 5 ms of the server's, is little then.
const LARGE: u64 = 2 << 20;

/// What a server is must be said within this time.
const LIMIT: Duration = Duration::from_secs(1);

/// More extensions than any database has.
pub const MOST_FACTS: usize = 1000;

/// What those take, and more.
const FACTS_LIMIT: usize = 256 << 10;

/// Asked along with the first words on a session, so every name is qualified.
const SERVER: &str = "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(), \
                             pg_catalog.pg_has_role('pg_monitor', 'USAGE'), pg_catalog.current_setting('server_encoding')";

/// Every name is qualified, as above.
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
pub struct ServerInfo {
    pub major: u32,
    pub replica: bool,
    /// The session is not known to be ours alone: a pooler stands between.
    pub pooled: bool,
    /// Our role is a member of pg_monitor.
    pub monitor: bool,
    /// The database's encoding. Other than UTF-8, the server says its bytes as they are: names that databases share may be in another.
    pub charset: Charset,
    /// Where we are logged in, and where the extensions are.
    pub database: String,
    /// There are so many relations that a session which looked at them is not kept; false where that could not be read.
    pub is_large: bool,
    /// Or why they could not be read: their catalogue may be locked.
    pub extensions: Result<Vec<InstalledExtensions>, FetchError>,
    pub read_at: Instant,
}

/// An installed extension; `schema` is as SQL writes it.
#[derive(Clone, Debug)]
pub struct InstalledExtensions {
    name: String,
    version: String,
    schema: String,
}

impl InstalledExtensions {
    /// From the columns of [`EXTENSIONS`].
    pub fn new([name, version, schema]: [String; 3]) -> Self {
        InstalledExtensions { name, version, schema: in_ascii(schema) }
    }
}

impl ServerInfo {
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

    fn installed(&self, wanted: &Extension) -> Result<&InstalledExtensions, FetchError> {
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
///
/// # Errors
/// The connection failed, or the server says nothing of itself.
pub async fn settle(client: &Client, major: u32, mark: &Mark, database: &str) -> Result<ServerInfo, FetchError> {
    let sql = session_settings::settle(major, mark);
    let (settled, facts) = join(ask(client, major, &sql), read_facts(client, major, mark, database)).await;
    let pooled = match settled {
        Err(error) if error.reason.is_connection() => return Err(error),
        // Where they could not be set, each query brings them, as behind a pooler.
        settled => settled.map_or(true, |rows| rows.is_empty()),
    };
    Ok(ServerInfo { pooled, ..facts? })
}

/// Asks what the server is, in one round trip.
pub async fn read_facts(client: &Client, major: u32, mark: &Mark, database: &str) -> Result<ServerInfo, FetchError> {
    let (server, extensions, is_large) =
        join3(ask(client, major, SERVER), ask(client, major, EXTENSIONS), settle_size(client, major, mark)).await;
    let server = server?;
    let row = server.first().ok_or_else(|| FetchError::new(Reason::Refused, "the server says nothing of itself"))?;
    let word = |column| text(row, column, Charset::default());
    let version: u32 = word(0).parse().unwrap_or_default();
    let charset = Charset::of(&word(3));
    if let Err(error) = &extensions
        && error.reason.is_connection()
    {
        return Err(error.clone());
    }
    Ok(ServerInfo {
        major: version / 10_000,
        replica: row.try_get(1).unwrap_or_default(),
        monitor: row.try_get(2).unwrap_or_default(),
        charset,
        pooled: false,
        database: database.to_owned(),
        is_large,
        extensions: extensions.map(|rows| {
            let installed = |row| InstalledExtensions::new([0, 1, 2].map(|column| text(row, column, charset)));
            rows.iter().map(installed).collect()
        }),
        read_at: Instant::now(),
    })
}

/// Says whether the database is large. On sessions of ours it also chooses what the server does, from 15 on, with the statistics of a table or index that
/// a query looks at: nothing here needs them to be of one moment, but a copy, 280 bytes that are kept until the transaction ends, is cheaper to read
/// again. In a large database, where they would be 17 MB for 60,000, there are none.
async fn settle_size(client: &Client, major: u32, mark: &Mark) -> bool {
    let ours = mark.is_there();
    let sql = format!(
        "SELECT size.large, CASE WHEN {ours} \
            AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 \
           THEN pg_catalog.set_config('stats_fetch_consistency', CASE WHEN size.large THEN 'none' ELSE 'cache' END, false) END \
           FROM (SELECT pg_catalog.pg_relation_size('pg_catalog.pg_class') OPERATOR(pg_catalog.>) {LARGE} AS large) size"
    );
    ask(client, major, &sql).await.is_ok_and(|rows| rows.first().is_some_and(|row| row.try_get(0).unwrap_or_default()))
}

fn text(row: &Row, index: usize, charset: Charset) -> String {
    row.try_get::<_, RawValue>(index).map_or_else(|_| String::new(), |RawValue(bytes)| charset.text(bytes).into_owned())
}

/// A quoted name in letters that every encoding has.
fn in_ascii(quoted: String) -> String {
    if quoted.is_ascii() {
        return quoted;
    }
    let escape = |letter: char| match letter {
        '\\' => r"\\".to_owned(),
        letter if letter.is_ascii() => letter.to_string(),
        letter => format!(r"\+{:06x}", u32::from(letter)),
    };
    format!("U&{}", quoted.chars().map(escape).collect::<String>())
}

/// Unnamed, in a transaction whose settings are its own, and in one go, so it means the same on any server and goes through any pooler.
async fn ask(client: &Client, major: u32, sql: &str) -> Result<Vec<Row>, FetchError> {
    let begin = session_settings::begin(major, LIMIT, Texts::Raw);
    let (begun, rows, ended) =
        join3(client.batch_execute(&begin), read(client, sql), client.batch_execute("COMMIT")).await;
    begun.map_err(|error| error::of_query(&error))?;
    let rows = rows?;
    ended.map_err(|error| error::of_query(&error))?;
    Ok(rows)
}

async fn read(client: &Client, sql: &str) -> Result<Vec<Row>, FetchError> {
    let parameters: [(i32, Type); 0] = [];
    let rows = client.query_typed_raw(sql, parameters).await.map_err(|error| error::of_query(&error))?;
    let (mut rows, mut read, mut bytes) = (pin!(rows), Vec::new(), 0);
    while let Some(row) = rows.try_next().await.map_err(|error| error::of_query(&error))? {
        bytes += row.raw_size_bytes();
        if read.len() == MOST_FACTS || bytes > FACTS_LIMIT {
            return Err(FetchError::new(Reason::Refused, "rows without end: not a PostgreSQL server?"));
        }
        read.push(row);
    }
    Ok(read)
}

fn skip(reason: Reason, message: impl AsRef<str>) -> FetchError {
    FetchError::new(reason, message)
}

#[cfg(test)]
mod tests {
    use crate::source::postgres::server_info::in_ascii;

    #[test]
    fn names_are_written_in_letters_that_every_encoding_has() {
        for (quoted, expected) in [
            ("public", "public"),
            ("\"My Schema\"", "\"My Schema\""),
            ("\"größe\"", r#"U&"gr\+0000f6\+0000dfe""#),
            (r#""ä\""b""#, r#"U&"\+0000e4\\""b""#),
        ] {
            assert_eq!(in_ascii(quoted.to_owned()), expected);
        }
    }
}
