//! Reads what a server is: its version, role, encoding and extensions.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{join, join3};
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::source::charset::Charset;
use crate::source::fetch::{FetchError, Reason, answered};
use crate::source::postgres::decode::RawValue;
use crate::source::postgres::error::PostgresError;
use crate::source::postgres::query::in_transaction;
use crate::source::postgres::session_settings::{self, ClientEncoding, SessionMarker};
use crate::table::Table;

/// A database with a larger `pg_class`, in bytes, has at least some 10,000 tables, indexes and TOAST tables: a session
/// that reads them all keeps 30 MB of caches until it ends. A new login, which costs the server 5 ms, is cheaper.
const LARGE_PG_CLASS: u64 = 2 << 20;

const TIMEOUT: Duration = Duration::from_secs(1);

/// More rows than any database has extensions.
pub const MAX_INFO_ROWS: usize = 1000;
const MAX_INFO_BYTES: usize = 256 << 10;

/// Sent before our settings have taken effect, so every name is qualified.
const SERVER: &str = "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(), \
                             pg_catalog.pg_has_role('pg_monitor', 'USAGE'), pg_catalog.current_setting('server_encoding'), \
                             pg_catalog.current_setting('is_superuser')";

/// Every name is qualified, as above.
/// Our own functions count as an extension, but only in the schema of a superuser or of a role that administers ours:
/// elsewhere they could be its owner's, and would run as our role. A role that administers ours can become it anyway
/// (and a superuser administers all).
pub const EXTENSIONS: &str = "SELECT e.extname::pg_catalog.text, e.extversion, pg_catalog.quote_ident(n.nspname::pg_catalog.text) \
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace \
    WHERE e.extname OPERATOR(pg_catalog.<>) 'pgvigil' \
    UNION ALL \
   SELECT 'pgvigil', '1', 'pgvigil' \
     FROM pg_catalog.pg_namespace n \
    WHERE n.nspname OPERATOR(pg_catalog.=) 'pgvigil' \
      AND pg_catalog.pg_has_role(n.nspowner, current_user, 'MEMBER WITH ADMIN OPTION')";

/// The server as of its last answer.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    pub major: u32,
    pub replica: bool,
    /// The server's session may not be ours alone: we are behind a transaction pooler.
    pub pooled: bool,
    /// Our role is a member of pg_monitor.
    pub monitor: bool,
    /// Our role is a superuser.
    pub superuser: bool,
    /// The database's encoding. If it is not UTF-8, the server sends its bytes unchanged: names that databases share
    /// may be in another encoding.
    pub charset: Charset,
    /// It has so many relations that a session which has read them is not kept; false if that is unknown.
    pub is_large: bool,
    /// An error if they could not be read: their catalogue may be locked.
    pub extensions: Result<Vec<InstalledExtension>, FetchError>,
    pub read_at: Instant,
}

/// An installed extension; `schema` is quoted for SQL.
#[derive(Clone, Debug)]
pub struct InstalledExtension {
    pub name: String,
    pub version: String,
    pub schema: String,
}

impl InstalledExtension {
    /// From the columns of [`EXTENSIONS`].
    fn new([name, version, schema]: [String; 3]) -> Self {
        InstalledExtension { name, version, schema: in_ascii(schema) }
    }

    /// The 1 and 10 of `1.10`.
    pub fn version_numbers(&self) -> Vec<u32> {
        self.version.split('.').map_while(|part| part.parse().ok()).collect()
    }
}

/// Reads in one round trip what a new session's server is, and first applies the settings that the startup packet did
/// not. Behind a transaction pooler none are applied: another client may get the server's session next.
///
/// # Errors
/// The connection failed, or the server does not report its version and role.
pub async fn initialize_session(client: &Client, major: u32, marker: &SessionMarker) -> Result<ServerInfo, FetchError> {
    let sql = session_settings::apply_sql(major, marker);
    let (applied, info) = join(ask(client, major, &sql), read_server_info(client, major, marker)).await;
    // If they could not be applied, each query brings them, as behind a pooler.
    let are_applied = answered(applied)?.is_ok_and(|rows| !rows.is_empty());
    Ok(ServerInfo { pooled: !are_applied, ..info? })
}

/// Reads what the server is in one round trip.
pub async fn read_server_info(client: &Client, major: u32, marker: &SessionMarker) -> Result<ServerInfo, FetchError> {
    let (server, extensions, is_large) =
        join3(ask(client, major, SERVER), ask(client, major, EXTENSIONS), ask_size(client, major, marker)).await;
    let server = server?;
    let no_row = || FetchError::new(Reason::Refused, "the server did not report its version and role");
    let row = server.first().ok_or_else(no_row)?;
    let version: u32 = text(row, 0, Charset::default()).parse().unwrap_or_default();
    let charset = Charset::of(&text(row, 3, Charset::default()));
    let extensions = answered(extensions)?;
    let installed = |row: &Row| InstalledExtension::new([0, 1, 2].map(|column| text(row, column, charset)));
    Ok(ServerInfo {
        major: version / 10_000,
        replica: row.try_get(1).unwrap_or_default(),
        monitor: row.try_get(2).unwrap_or_default(),
        superuser: row.len() > 4 && text(row, 4, Charset::default()) == "on",
        charset,
        pooled: false,
        is_large,
        extensions: extensions.map(|rows| rows.iter().map(installed).collect()),
        read_at: Instant::now(),
    })
}

/// The extensions in the rows of [`EXTENSIONS`].
pub fn installed_extensions(table: &Table) -> Vec<InstalledExtension> {
    let text = |row, column| table.cell(row, column).text().unwrap_or_default().to_owned();
    (0..table.rows()).map(|row| InstalledExtension::new([0, 1, 2].map(|column| text(row, column)))).collect()
}

/// Returns whether the database is large. On sessions of ours it also chooses, from 15 on, how the server treats the
/// statistics of a table or index that a query reads. Our queries do not need statistics of one moment, but a copy (280
/// bytes, kept until the transaction ends) makes a second read cheaper. In a large database, where the copies would
/// take 17 MB for 60,000 relations, none are made.
async fn ask_size(client: &Client, major: u32, marker: &SessionMarker) -> bool {
    let is_ours = marker.sql_condition();
    let sql = format!(
        "SELECT size.large, CASE WHEN {is_ours} \
            AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 \
           THEN pg_catalog.set_config('stats_fetch_consistency', CASE WHEN size.large THEN 'none' ELSE 'cache' END, false) END \
           FROM (SELECT pg_catalog.pg_relation_size('pg_catalog.pg_class') OPERATOR(pg_catalog.>) {LARGE_PG_CLASS} AS large) size"
    );
    ask(client, major, &sql).await.is_ok_and(|rows| rows.first().is_some_and(|row| row.try_get(0).unwrap_or_default()))
}

fn text(row: &Row, index: usize, charset: Charset) -> String {
    row.try_get::<_, RawValue>(index).map_or_else(|_| String::new(), |RawValue(bytes)| charset.text(bytes).into_owned())
}

/// A quoted name in ASCII, which every encoding has.
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

/// Runs in a transaction with its own settings, so it means the same on any server and works through any pooler.
async fn ask(client: &Client, major: u32, sql: &str) -> Result<Vec<Row>, FetchError> {
    let begin = session_settings::begin_sql(major, TIMEOUT, ClientEncoding::SqlAscii);
    in_transaction(client, &begin, read(client, sql)).await.map_err(|error| error.into_fetch_error(sql, None))
}

async fn read(client: &Client, sql: &str) -> Result<Vec<Row>, PostgresError> {
    let parameters: [(i32, Type); 0] = [];
    let mut stream = pin!(client.query_typed_raw(sql, parameters).await?);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = stream.try_next().await? {
        bytes += row.raw_size_bytes();
        if rows.len() == MAX_INFO_ROWS || bytes > MAX_INFO_BYTES {
            let message = "the server sends too many rows: not a PostgreSQL server?";
            return Err(PostgresError::Fetch(FetchError::new(Reason::Refused, message)));
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::postgres::fake_server::{self, FakeReply, primary, texts};
    use crate::table::Cell;

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

    async fn server_info(
        script: impl Fn(&str) -> FakeReply + Send + Sync + 'static,
        is_new: bool,
    ) -> Result<ServerInfo, FetchError> {
        let client = fake_server::client(Arc::new(script)).await.expect("the login works");
        let marker = SessionMarker::default();
        if is_new {
            initialize_session(&client, 18, &marker).await
        } else {
            read_server_info(&client, 18, &marker).await
        }
    }

    #[tokio::test]
    async fn a_server_tells_what_it_is() {
        let found = server_info(primary, true).await.expect("it answers");
        assert_eq!((found.major, found.replica, found.pooled, found.monitor), (18, false, false, true));
        assert_eq!((found.is_large, found.charset.is_utf8()), (false, true));
        let extensions = found.extensions.expect("they were read");
        let found: Vec<_> = extensions.iter().map(|e| [&e.name, &e.version, &e.schema]).collect();
        assert_eq!(found, [["ext", "1.10", "public"]]);
        let large =
            |sql: &str| if sql.contains("pg_relation_size") { fake_server::flag("x", true) } else { primary(sql) };
        assert!(server_info(large, false).await.expect("it answers").is_large);
    }

    #[tokio::test]
    async fn a_pooler_stands_between_unless_the_settings_could_be_applied() {
        for (reply, pooled) in [
            ((|| texts(["x"], &[])) as fn() -> FakeReply, true),
            (|| texts(["x"], &[["applied"]]), false),
            (|| fake_server::error("42501", "denied"), true),
        ] {
            let script = move |sql: &str| if sql.contains("set_config('work_mem'") { reply() } else { primary(sql) };
            assert_eq!(server_info(script, true).await.expect("it answers").pooled, pooled);
        }
    }

    #[tokio::test]
    async fn errors_of_single_questions_are_told_apart() {
        for (part, reply, expected) in [
            ("pg_extension", (|| fake_server::error("55P03", "locked")) as fn() -> FakeReply, Ok(Reason::LockTimeout)),
            ("pg_extension", || FakeReply::Disconnect, Err(Reason::Lost)),
            ("pg_extension", || fake_server::error("08006", "connection failure"), Err(Reason::Lost)),
            ("pg_extension", || texts(["x", "y", "z"], &[["a", "1", "s"]; MAX_INFO_ROWS + 1]), Err(Reason::Refused)),
            ("pg_extension", || texts(["x"], &[[&"x".repeat(MAX_INFO_BYTES)]]), Err(Reason::Refused)),
            ("server_version_num'), ", || texts(["x"], &[]), Err(Reason::Refused)),
            ("set_config('work_mem'", || fake_server::error("08006", "connection failure"), Err(Reason::Lost)),
        ] {
            let script = move |sql: &str| if sql.contains(part) { reply() } else { primary(sql) };
            let found = server_info(script, true).await;
            let found = found.map(|info| info.extensions.expect_err("not read").reason).map_err(|error| error.reason);
            assert_eq!(found, expected, "{part}");
        }
        let full = |sql: &str| {
            let most = || texts(["x", "y", "z"], &[["a", "1", "s"]; MAX_INFO_ROWS]);
            if sql.contains("pg_extension") { most() } else { primary(sql) }
        };
        let found = server_info(full, false).await.expect("it answers").extensions.expect("just few enough");
        assert_eq!(found.len(), MAX_INFO_ROWS);
    }

    #[test]
    fn extensions_are_read_from_a_table() {
        let mut table = Table::new(["name", "version", "schema"]);
        table.push_row([Cell::Text("ext"), Cell::Text("1.0"), Cell::Absent]);
        let found = installed_extensions(&table);
        assert_eq!((&*found[0].name, &*found[0].version, &*found[0].schema), ("ext", "1.0", ""));
    }
}
