//! One session on a PostgreSQL server, and how it asks: prepared and pipelined, or, behind a transaction pooler,
//! unnamed and each query in a transaction of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join, join_all, join3};
use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Statement, types::Type};
use tracing::debug;

use crate::{
    collector::{Collector, Query, SourceKind},
    memory_budget::MemoryBudget,
    settings::connection::model::PostgresSettings,
    source::{
        fetch::{Answer, Answers, Database, FetchError},
        net::{dial, session_limit::SessionLimit},
        pending_login,
        postgres::{
            connect::Destination,
            error,
            query::{QueryError, RowReader, SqlQuery},
            server_info::{EXTENSIONS, InstalledExtensions, MOST_FACTS, ServerInfo, read_facts},
            session_settings,
            session_settings::{Mark, Texts},
            startup::Dialled,
        },
    },
    table::{Cell, Table},
};

/// A known absence is believed this long, and so is what the server said of itself.
const RECHECK: Duration = Duration::from_secs(300);

/// Databases beyond this many are not known of.
const MOST_DATABASES: usize = 100_000;

/// The databases, and why a login to one would be refused, where that is known. No limit holds for a superuser.
const DATABASES: &str = "SELECT datname, CASE WHEN datistemplate THEN 'template' WHEN datconnlimit = -2 THEN 'invalid' \
         WHEN NOT datallowconn THEN 'not_allowed' WHEN NOT pg_catalog.has_database_privilege(oid, 'CONNECT') THEN 'privilege' \
         WHEN datconnlimit = 0 AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN 'connection_limit' \
         ELSE '' END AS closed, pg_catalog.octet_length(datname::pg_catalog.text) AS bytes \
    FROM pg_catalog.pg_database ORDER BY 2, 1";

/// A session: it ends when dropped.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
    settings: Arc<PostgresSettings>,
    sessions: SessionLimit,
    mark: Mark,
    room: MemoryBudget,
    pub facts: ServerInfo,
    /// By the names of collector and query, as is what is absent.
    statements: Mutex<HashMap<String, PreparedStatement>>,
    absent: Mutex<HashMap<String, (FetchError, Instant)>>,
    /// The session's `statement_timeout`, in milliseconds.
    statement_timeout: AtomicU64,
}

/// A statement the server has prepared.
#[derive(Clone)]
struct PreparedStatement {
    sql: Arc<str>,
    statement: Statement,
    reading: RowReader,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl pending_login::LoginOutcome for Session {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Session {
    /// One that has logged in there.
    pub fn new(client: Client, connection: JoinHandle<()>, to: Destination, facts: ServerInfo) -> Self {
        Session {
            client,
            connection,
            settings: to.settings,
            sessions: to.sessions,
            mark: to.mark,
            room: to.room,
            facts,
            statements: Mutex::default(),
            absent: Mutex::default(),
            statement_timeout: AtomicU64::new(1000),
        }
    }

    /// Asks the server again what it is, if that was long ago; what was absent then is tried again.
    pub async fn refresh(&mut self) -> Result<(), FetchError> {
        if self.facts.read_at.elapsed() < RECHECK && self.facts.extensions.is_ok() {
            return Ok(());
        }
        match read_facts(&self.client, self.facts.major, &self.mark, &self.settings.database).await {
            Ok(facts) => {
                // The protocol is chosen at login; the slow lane has changed settings since.
                self.facts = ServerInfo { pooled: self.facts.pooled, ..facts };
                self.absent.lock().clear();
                Ok(())
            }
            Err(error) if error.reason.is_connection() => Err(error),
            // What is known of a server holds on until it can be asked again.
            Err(_) => Ok(()),
        }
    }

    /// Reads the extensions again, for those who are about to call their functions by name: whoever owns the schema may have dropped
    /// the extension meanwhile, and put functions of his own there, to run as our role.
    pub async fn refresh_extensions(&mut self, limit: Duration) -> Result<(), FetchError> {
        let question = SqlQuery { max_rows: MOST_FACTS, ..self.question("extensions", EXTENSIONS, limit) };
        let answer = self.send(question).await.map_err(|failure| failure.into_fetch_error(EXTENSIONS, None));
        if let Err(error) = &answer
            && error.reason.is_connection()
        {
            return Err(error.clone());
        }
        self.facts.extensions = answer.map(|answer| installed(&answer.table));
        Ok(())
    }

    /// Whether the server is a replica now.
    pub async fn is_replica(&self, limit: Duration) -> Result<bool, FetchError> {
        const SQL: &str = "SELECT pg_catalog.pg_is_in_recovery() AS replica";
        let answer = self.send(self.question("role", SQL, limit)).await;
        let answer = answer.map_err(|failure| failure.into_fetch_error(SQL, None))?;
        Ok(answer.table.cell(0, 0) == Cell::Int(1))
    }

    /// The databases, by name; those that let nobody in with the reason.
    pub async fn databases(&self, limit: Duration) -> Result<Vec<Database>, FetchError> {
        let question = SqlQuery { max_rows: MOST_DATABASES, ..self.question("databases", DATABASES, limit) };
        let table = self.send(question).await.map_err(|failure| failure.into_fetch_error(DATABASES, None))?.table;
        let database = |row| match (table.cell(row, 0), table.cell(row, 1)) {
            // A login names it in UTF-8: another name could only be another database's.
            (Cell::Text(name), Cell::Text("")) if table.cell(row, 2) != Cell::Int(name.len() as i64) => {
                Some(Database { name: name.to_owned(), closed: Some("encoding".to_owned()) })
            }
            (Cell::Text(name), Cell::Text(closed)) => {
                Some(Database { name: name.to_owned(), closed: (!closed.is_empty()).then(|| closed.to_owned()) })
            }
            _ => None,
        };
        Ok((0..table.rows()).filter_map(database).collect())
    }

    /// Asks all queries of one collector at once, in the order of the file.
    pub async fn collect(&self, collector: &Collector, statement_timeout: Duration) -> Answers {
        let ask = |query| async move {
            let answer = self.ask(collector, query, statement_timeout).await;
            answer.map_err(|error| error.of(&query.name))
        };
        join_all(collector.queries.iter().map(ask)).await
    }

    async fn ask(&self, collector: &Collector, query: &Query, limit: Duration) -> Result<Answer, FetchError> {
        let (variant, sql) = self.facts.applicable(collector, query)?;
        let name = format!("{}.{}", collector.name, query.name);
        if let Some((error, _)) = self.absent.lock().get(&name).filter(|(_, at)| at.elapsed() < RECHECK) {
            return Err(error.clone());
        }
        let columns = query.asked_columns(collector.source);
        // What else a reading of statements returns says which statement it is.
        let whole = collector.source == SourceKind::Statements;
        let native: Vec<_> = query.native_columns().collect();
        let (columns, native, max_rows) = (&columns[..], &native[..], collector.max_rows);
        let question = SqlQuery { max_rows, columns, native, whole, ..self.question(&name, &sql, limit) };
        let answer = self.send(question).await;
        let answer = answer.map_err(|failure| failure.into_fetch_error(&sql, Some(variant)));
        if let Err(error) = &answer {
            // A plan can be outlived by the table it was made for: the next time it is prepared anew.
            self.statements.lock().remove(&name);
            if error.reason.is_skip() {
                self.absent.lock().insert(name, (error.clone(), Instant::now()));
            }
        }
        answer
    }

    /// A question of our own, all of whose columns are read.
    fn question<'a>(&'a self, name: &'a str, sql: &'a str, limit: Duration) -> SqlQuery<'a> {
        let (charset, room) = (self.facts.charset, &self.room);
        SqlQuery { name, sql, limit, max_rows: 1, columns: &[], native: &[], whole: true, charset, room }
    }

    async fn send(&self, question: SqlQuery<'_>) -> Result<Answer, QueryError> {
        // Letters beyond ASCII in our SQL must be converted to the database's encoding; a session takes and gives bytes as they are.
        let texts = match self.facts.charset.is_utf8() || !question.sql.is_ascii() {
            true => Texts::Converted,
            false => Texts::Raw,
        };
        match self.facts.pooled || texts == Texts::Converted && !self.facts.charset.is_utf8() {
            false => self.send_prepared(question).await,
            true => self.send_in_transaction(question, texts).await,
        }
    }

    async fn send_prepared(&self, question: SqlQuery<'_>) -> Result<Answer, QueryError> {
        let millis = question.limit.as_millis() as u64;
        let set_limit = async {
            match self.statement_timeout.swap(millis, Ordering::Relaxed) == millis {
                true => Ok(()),
                false => self.client.batch_execute(&format!("SET statement_timeout = {millis}")).await,
            }
        };
        let rows = async {
            let prepared = self.prepared(question).await?;
            let parameters: [i32; 0] = [];
            question.read(self.client.query_raw(&prepared.statement, parameters).await?, Some(prepared.reading)).await
        };
        let (set, rows) = join(set_limit, rows).await;
        set?;
        rows
    }

    async fn prepared(&self, question: SqlQuery<'_>) -> Result<PreparedStatement, QueryError> {
        let known = self.statements.lock().get(question.name).filter(|known| *known.sql == *question.sql).cloned();
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let statement = self.client.prepare(question.sql).await?;
        let prepared =
            PreparedStatement { sql: question.sql.into(), reading: question.reading(statement.columns())?, statement };
        self.statements.lock().insert(question.name.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// The three parts leave in one go and in this order, so a transaction pooler keeps them on one server.
    async fn send_in_transaction(&self, question: SqlQuery<'_>, texts: Texts) -> Result<Answer, QueryError> {
        let begin = session_settings::begin(self.facts.major, question.limit, texts);
        let rows = async {
            let parameters: [(i32, Type); 0] = [];
            question.read(self.client.query_typed_raw(question.sql, parameters).await?, None).await
        };
        let (begun, rows, ended) =
            join3(self.client.batch_execute(&begin), rows, self.client.batch_execute("COMMIT")).await;
        begun?;
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    /// Asks the server to stop whatever this session runs. Tried once, for a second. Never through a pooler: its server's `statement_timeout`
    /// does that, and a cancel whose client is gone before it was passed on ends a PgBouncer ("bad client state").
    pub async fn cancel(&self) {
        if self.facts.pooled {
            return;
        }
        let token = self.client.cancel_token();
        let cancelled = timeout(Duration::from_secs(1), async {
            let stream = dial::uncounted(&self.settings, &self.sessions).await?;
            token.cancel_query_raw(stream, Dialled).await.map_err(|error| error::of_query(&error))
        });
        if let Ok(Err(error)) = cancelled.await {
            debug!("cancel: {error}");
        }
    }
}

fn installed(table: &Table) -> Vec<InstalledExtensions> {
    let text = |row, column| match table.cell(row, column) {
        Cell::Text(text) => text.to_owned(),
        _ => String::new(),
    };
    (0..table.rows()).map(|row| InstalledExtensions::new([0, 1, 2].map(|column| text(row, column)))).collect()
}
