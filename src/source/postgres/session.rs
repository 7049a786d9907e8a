//! One session on a PostgreSQL server, and the way it sends queries.
//!
//! ```text
//!   login ──► our marker is there: the server's session is ours alone ──────► prepared, pipelined
//!         └─► it is not: a transaction pooler is in between (`pooled`) ─────► unnamed, in a transaction
//!
//!   prepared, pipelined                           unnamed, in a transaction
//!     login      all settings, once                 BEGIN; SET LOCAL of all settings
//!     first      Parse, Describe                    the query, unnamed          } sent in one go
//!     each       Bind, Execute                      COMMIT
//! ```
//!
//! - *prepared*: the server plans a query once per session, and all queries of a batch leave together: one round trip. The only setting
//!   that changes is `statement_timeout`, sent when it differs from the last one. A statement that failed is forgotten, because the
//!   table that it was planned for may have changed.
//! - *in a transaction*: a transaction pooler gives each transaction whichever server session is free. Named statements and settings
//!   would be missing there, or stay for another client, so each query brings its settings and takes them along. Nothing is cancelled
//!   through a pooler.
//! - A query with letters beyond ASCII is sent in a transaction too, if the database is not in UTF-8: only it needs the
//!   server to convert.
//! - The way is chosen at login and stays. The server's role and extensions are read again after 5 minutes, and the
//!   role with each batch.
//! - A query that the server cannot answer (a missing table or privilege) is skipped for 5 minutes, so its error does
//!   not fill the server's log.
//! - A connection error ends the session: its owner drops it, which closes the connection, and runs the batch on the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{join, try_join_all, try_join3};
use parking_lot::Mutex;
use tokio::sync::SetOnce;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};
use tracing::debug;

use crate::collector::{Collector, Query, SourceKind};
use crate::memory_budget::MemoryBudget;
use crate::settings::connection::model::PostgresSettings;
use crate::source::fetch::{Answer, FetchError, answered};
use crate::source::net::dial;
use crate::source::net::session_limit::SessionLimit;
use crate::source::pending_login::LoginOutcome;
use crate::source::postgres::batch::Batch;
use crate::source::postgres::database_list;
use crate::source::postgres::error::{self, PostgresError};
use crate::source::postgres::query::{RowReader, SqlQuery, in_transaction};
use crate::source::postgres::server_info::{
    EXTENSIONS, MAX_INFO_ROWS, ServerInfo, initialize_session, installed_extensions, read_server_info,
};
use crate::source::postgres::session_settings::{self, ClientEncoding, SessionMarker};
use crate::source::postgres::startup;
use crate::source::postgres::startup::{PassThroughTls, StartedConnection};
use crate::table::Cell;

/// How long a query is skipped, and how long the server's description of itself is trusted.
const RECHECK_INTERVAL: Duration = Duration::from_secs(300);

/// The context of a session besides its connection.
#[derive(Clone)]
pub struct SessionContext {
    pub settings: Arc<PostgresSettings>,
    pub sessions: SessionLimit,
    pub marker: SessionMarker,
    /// The memory budget of its rows.
    pub memory: MemoryBudget,
}

/// A session: it ends when dropped.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
    pub context: SessionContext,
    pub server_info: ServerInfo,
    /// By the names of collector and query.
    statements: Mutex<HashMap<String, PreparedStatement>>,
    /// The queries that the server cannot answer, by the same names.
    skipped: Mutex<HashMap<String, FetchError>>,
    /// The session's `statement_timeout`, in milliseconds.
    statement_timeout: AtomicU64,
}

/// A statement that the server has prepared.
#[derive(Clone)]
struct PreparedStatement {
    sql: Arc<str>,
    statement: Statement,
    row_reader: RowReader,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl LoginOutcome for Session {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Session {
    /// Logs in: connects, starts up, applies our settings, and reads what the server is. `is_own_database`: to the
    /// target's own database, not to another one of its server.
    ///
    /// # Errors
    /// The server was not reached, refused the login, or did not report its version and role.
    pub async fn log_in(context: SessionContext, is_own_database: bool) -> Result<Self, FetchError> {
        let SessionContext { settings, sessions, marker, .. } = &context;
        let mut started = startup::open(settings, sessions, marker.startup_options()).await;
        // A transaction pooler refuses settings that it cannot keep for each client: we log in without them then.
        if let Err(PostgresError::Driver(error)) = &started
            && error::is_refused_option(error)
        {
            marker.note_refusal();
            started = startup::open(settings, sessions, None).await;
        }
        let started = started.map_err(|error| error.of_login(is_own_database))?;
        let StartedConnection { client, task, major, is_console } = started;
        if is_console {
            // The client, dropped, says goodbye.
            return Err(error::of_console());
        }
        let initialized = initialize_session(&client, major, marker).await;
        Ok(Session {
            server_info: initialized.inspect_err(|_| task.abort())?,
            client,
            connection: task,
            context,
            statements: Mutex::default(),
            skipped: Mutex::default(),
            statement_timeout: AtomicU64::new(1000),
        })
    }

    /// Asks the unanswered queries of a batch, and with them the server's role. If the role has changed, the answers
    /// under the old role are dropped, and the queries asked again.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn run(&mut self, batch: &Batch<'_>) -> Result<(), FetchError> {
        self.refresh_server_info().await?;
        if batch.calls_extensions() {
            self.refresh_extensions(batch.statement_timeout).await?;
        }
        loop {
            let (session, role): (&Session, _) = (self, SetOnce::new());
            let collect = |(index, collector)| session.collect_under_role(batch, index, collector, &role);
            let all = try_join_all(batch.unanswered().into_iter().map(collect));
            let (is_replica, ..) =
                try_join3(session.ask_role(batch, &role), session.fetch_databases(batch), all).await?;
            if is_replica == self.server_info.replica {
                return Ok(());
            }
            self.server_info.replica = is_replica;
        }
    }

    /// Returns whether the server is a replica, and tells the queries that wait for it.
    async fn ask_role(&self, batch: &Batch<'_>, role: &SetOnce<bool>) -> Result<bool, FetchError> {
        const SQL: &str = "SELECT pg_catalog.pg_is_in_recovery() AS replica";
        let answer = self.ask_ours(self.query("role", SQL, batch.statement_timeout)).await?;
        let is_replica = answer.map_or(self.server_info.replica, |answer| answer.table.cell(0, 0) == Cell::Int(1));
        batch.report_answering();
        // Only we set it, once.
        _ = role.set(is_replica);
        Ok(is_replica)
    }

    async fn fetch_databases(&self, batch: &Batch<'_>) -> Result<(), FetchError> {
        if !batch.lists_databases {
            return Ok(());
        }
        let query = self.query("databases", database_list::SQL, batch.statement_timeout);
        let query = SqlQuery { max_rows: database_list::MAX_DATABASES, ..query };
        // After an error the databases known so far stay.
        if let Ok(answer) = self.ask_ours(query).await? {
            batch.report_databases(database_list::from_table(&answer.table));
        }
        Ok(())
    }

    /// Asks all queries of a collector at once. Its answers count only if the role has not changed.
    async fn collect_under_role(
        &self,
        batch: &Batch<'_>,
        index: usize,
        collector: &Collector,
        role: &SetOnce<bool>,
    ) -> Result<(), FetchError> {
        let asked = collector.queries.iter().map(|query| async move {
            let answer = self.ask(batch, collector, query).await;
            answered(answer.map_err(|error| error.in_query(&query.name)))
        });
        let answers = try_join_all(asked).await?;
        if *role.wait().await == self.server_info.replica {
            batch.finish(index, answers);
        }
        Ok(())
    }

    /// Reads again what the server is, if the last time was long ago; skipped queries are tried again then.
    async fn refresh_server_info(&mut self) -> Result<(), FetchError> {
        let (known, context) = (&self.server_info, &self.context);
        if known.read_at.elapsed() < RECHECK_INTERVAL && known.extensions.is_ok() {
            return Ok(());
        }
        let read = read_server_info(&self.client, known.major, &context.marker).await;
        // The old information stays until the server answers again.
        if let Ok(server_info) = answered(read)? {
            self.server_info = ServerInfo { pooled: known.pooled, ..server_info };
            self.skipped.lock().clear();
        }
        Ok(())
    }

    /// Reads the extensions again before their functions are called by name: the owner of the schema may have dropped
    /// the extension meanwhile, and created functions of his own there, which would run as our role.
    async fn refresh_extensions(&mut self, limit: Duration) -> Result<(), FetchError> {
        let query = SqlQuery { max_rows: MAX_INFO_ROWS, ..self.query("extensions", EXTENSIONS, limit) };
        let answer = self.ask_ours(query).await?;
        self.server_info.extensions = answer.map(|answer| installed_extensions(&answer.table));
        Ok(())
    }

    async fn ask(&self, batch: &Batch<'_>, collector: &Collector, query: &Query) -> Result<Answer, FetchError> {
        let name = &format!("{}.{}", collector.name, query.name);
        let (variant, sql) = self.server_info.applicable(collector, query, &self.context.settings.database)?;
        if let Some(error) = self.skipped.lock().get(name) {
            return Err(error.clone());
        }
        let (columns, native): (_, Vec<_>) = (query.asked_columns(collector.source), query.native_columns().collect());
        let answer = self.send(SqlQuery {
            max_rows: batch.max_rows(collector),
            columns: &columns,
            native: &native,
            // The other columns of a reading identify the statement.
            all_columns: collector.source == SourceKind::Statements,
            ..self.query(name, &sql, batch.statement_timeout)
        });
        let answer = answer.await.map_err(|error| error.into_fetch_error(&sql, Some(variant)));
        if let Err(error) = &answer {
            // Its table may have changed since the statement was prepared.
            self.statements.lock().remove(name);
            if error.reason.is_skip() {
                self.skipped.lock().insert(name.to_owned(), error.clone());
            }
        }
        answer
    }

    /// A query of our own; one row with all its columns is read.
    fn query<'a>(&'a self, name: &'a str, sql: &'a str, limit: Duration) -> SqlQuery<'a> {
        let (charset, memory) = (self.server_info.charset, &self.context.memory);
        SqlQuery { name, sql, limit, max_rows: 1, columns: &[], native: &[], all_columns: true, charset, memory }
    }

    /// The answer, or the error, of a query of our own.
    ///
    /// # Errors
    /// The connection failed.
    async fn ask_ours(&self, query: SqlQuery<'_>) -> Result<Result<Answer, FetchError>, FetchError> {
        let sql = query.sql;
        answered(self.send(query).await.map_err(|error| error.into_fetch_error(sql, None)))
    }

    async fn send(&self, query: SqlQuery<'_>) -> Result<Answer, PostgresError> {
        let is_utf8 = self.server_info.charset.is_utf8();
        // The server must convert letters beyond ASCII to the database's encoding; the session itself does not convert.
        let encoding = if is_utf8 || !query.sql.is_ascii() { ClientEncoding::Utf8 } else { ClientEncoding::SqlAscii };
        if self.server_info.pooled || encoding == ClientEncoding::Utf8 && !is_utf8 {
            self.send_in_transaction(query, encoding).await
        } else {
            self.send_prepared(query).await
        }
    }

    async fn send_prepared(&self, query: SqlQuery<'_>) -> Result<Answer, PostgresError> {
        let rows = async {
            let prepared = self.prepare(query).await?;
            let parameters: [i32; 0] = [];
            query.read(self.client.query_raw(&prepared.statement, parameters).await?, Some(prepared.row_reader)).await
        };
        let (set, answer) = join(self.set_statement_timeout(query.limit), rows).await;
        set?;
        answer
    }

    async fn set_statement_timeout(&self, limit: Duration) -> Result<(), tokio_postgres::Error> {
        let millis = limit.as_millis() as u64;
        if self.statement_timeout.swap(millis, Ordering::Relaxed) == millis {
            return Ok(());
        }
        self.client.batch_execute(&format!("SET statement_timeout = {millis}")).await
    }

    async fn prepare(&self, query: SqlQuery<'_>) -> Result<PreparedStatement, PostgresError> {
        let known = self.statements.lock().get(query.name).filter(|known| *known.sql == *query.sql).cloned();
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let statement = self.client.prepare(query.sql).await?;
        let row_reader = query.row_reader(statement.columns())?;
        let prepared = PreparedStatement { sql: query.sql.into(), statement, row_reader };
        self.statements.lock().insert(query.name.to_owned(), prepared.clone());
        Ok(prepared)
    }

    async fn send_in_transaction(
        &self,
        query: SqlQuery<'_>,
        encoding: ClientEncoding,
    ) -> Result<Answer, PostgresError> {
        let begin = session_settings::begin_sql(self.server_info.major, query.limit, encoding);
        let rows = async {
            let parameters: [(i32, Type); 0] = [];
            query.read(self.client.query_typed_raw(query.sql, parameters).await?, None).await
        };
        in_transaction(&self.client, &begin, rows).await
    }

    /// Asks the server to cancel this session's running queries, once, for a second. Never through a pooler: its
    /// server's `statement_timeout` does that, and a cancel whose client has left before it was passed on ends a
    /// PgBouncer ("bad client state").
    pub async fn cancel(&self) {
        if self.server_info.pooled {
            return;
        }
        let token = self.client.cancel_token();
        let cancelled = timeout(Duration::from_secs(1), async {
            let stream = dial::postgres_cancel(&self.context.settings, &self.context.sessions).await?;
            token.cancel_query_raw(stream, PassThroughTls).await.map_err(|error| error::from_query(&error))
        });
        if let Ok(Err(error)) = cancelled.await {
            debug!("cancel: {error}");
        }
    }
}
