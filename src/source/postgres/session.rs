//! One session on a PostgreSQL server, and how it asks: prepared and pipelined, or, behind a transaction pooler,
//! unnamed and each query in a transaction of its own.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    TryStreamExt,
    future::{join, join_all, join3},
};
use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Column, Error, NoTls, RowStream, Statement, types::Type};
use tracing::debug;

use super::{
    decode::{decoders, push_row},
    error,
    facts::Facts,
    login::{ANY_BYTES, Open, SESSION_SETTINGS, read_facts},
};
use crate::{
    config::{
        collector::{Collector, Query, Variant},
        settings,
    },
    source::{Answer, Answers, FetchError, Reason, dial},
    table::Table,
};

/// A known absence is believed this long, and so is what the server said of itself.
const RECHECK: Duration = Duration::from_secs(300);

/// The most memory the rows of one query may take.
const TABLE_LIMIT: usize = 16 << 20;

/// A session: it ends when dropped.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
    settings: Arc<settings::Postgres>,
    pub facts: Facts,
    /// By the SQL as sent.
    statements: Mutex<HashMap<String, Statement>>,
    absent: Mutex<HashMap<String, (FetchError, Instant)>>,
    /// The session's `statement_timeout`, in milliseconds.
    statement_timeout: AtomicU64,
    _open: Open,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    pub fn new(
        client: Client,
        connection: JoinHandle<()>,
        settings: Arc<settings::Postgres>,
        facts: Facts,
        open: Open,
    ) -> Self {
        Session {
            client,
            connection,
            settings,
            facts,
            statements: Mutex::default(),
            absent: Mutex::default(),
            statement_timeout: AtomicU64::new(1000),
            _open: open,
        }
    }

    /// Nothing more can be asked on this session.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks the server again what it is, if that was long ago; what was absent then is tried again.
    pub async fn refresh(&mut self) -> Result<(), FetchError> {
        if self.facts.read_at.elapsed() >= RECHECK {
            self.facts = read_facts(&self.client, &self.settings.database).await?;
            self.absent.lock().clear();
        }
        Ok(())
    }

    /// Whether the server is a replica now.
    pub async fn is_replica(&self) -> Result<bool, FetchError> {
        const SQL: &str = "SELECT pg_catalog.pg_is_in_recovery() AS replica";
        let answer = self.send(SQL, Duration::from_secs(1), 1).await;
        let answer = answer.map_err(|failure| failure.into_fetch_error(SQL, None))?;
        Ok(answer.table.cell(0, 0) == crate::table::Cell::Int(1))
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
        if let Some((error, _)) = self.absent.lock().get(&*sql).filter(|(_, at)| at.elapsed() < RECHECK) {
            return Err(error.clone());
        }
        let answer = self.send(&sql, limit, collector.max_rows).await;
        let answer = answer.map_err(|failure| failure.into_fetch_error(&sql, Some(variant)));
        let answer = answer.and_then(|answer| has_columns(answer, query, variant));
        if let Err(error) = &answer {
            // A plan can be outlived by the table it was made for: the next time it is prepared anew.
            self.statements.lock().remove(&*sql);
            if error.reason.is_skip() {
                self.absent.lock().insert(sql.into_owned(), (error.clone(), Instant::now()));
            }
        }
        answer
    }

    async fn send(&self, sql: &str, limit: Duration, max_rows: usize) -> Result<Answer, Failure> {
        match self.facts.pooled {
            false => self.send_prepared(sql, limit, max_rows).await,
            true => self.send_pooled(sql, limit, max_rows).await,
        }
    }

    async fn send_prepared(&self, sql: &str, limit: Duration, max_rows: usize) -> Result<Answer, Failure> {
        let millis = limit.as_millis() as u64;
        let set_limit = async {
            match self.statement_timeout.swap(millis, Ordering::Relaxed) == millis {
                true => Ok(()),
                false => self.client.batch_execute(&format!("SET statement_timeout = {millis}")).await,
            }
        };
        let rows = async {
            let known = self.statements.lock().get(sql).cloned();
            let statement = match known {
                Some(statement) => statement,
                None => {
                    let statement = self.client.prepare(sql).await?;
                    self.statements.lock().insert(sql.to_owned(), statement.clone());
                    statement
                }
            };
            let parameters: [i32; 0] = [];
            let rows = self.client.query_raw(&statement, parameters).await?;
            read(rows, Some(statement.columns()), max_rows).await
        };
        let (set, rows) = join(set_limit, rows).await;
        set?;
        rows
    }

    /// The three parts leave in one go and in this order, so a transaction pooler keeps them on one server.
    async fn send_pooled(&self, sql: &str, limit: Duration, max_rows: usize) -> Result<Answer, Failure> {
        let begin = begin_sql(limit, self.facts.any_bytes);
        let rows = async {
            let parameters: [(i32, Type); 0] = [];
            read(self.client.query_typed_raw(sql, parameters).await?, None, max_rows).await
        };
        let (begun, rows, ended) =
            join3(self.client.batch_execute(&begin), rows, self.client.batch_execute("COMMIT")).await;
        begun?;
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    /// Asks the server to stop whatever this session runs. Tried once, for a second.
    pub async fn cancel(&self) {
        let token = self.client.cancel_token();
        let cancelled = timeout(Duration::from_secs(1), async {
            let stream = dial::postgres(&self.settings.address, &self.settings.tls).await?;
            token.cancel_query_raw(stream, NoTls).await.map_err(|error| error::of_query(&error))
        });
        if let Ok(Err(error)) = cancelled.await {
            debug!("cancel: {error}");
        }
    }
}

/// Every setting a session has, for one transaction.
fn begin_sql(limit: Duration, any_bytes: bool) -> String {
    let mut sql = String::from("BEGIN READ ONLY");
    for (name, value) in SESSION_SETTINGS {
        match name {
            "default_transaction_read_only" => (),
            // A list: quoted, it would be one name.
            "search_path" => sql.push_str(&format!("; SET LOCAL search_path = {value}")),
            "statement_timeout" => sql.push_str(&format!("; SET LOCAL statement_timeout = {}", limit.as_millis())),
            _ => sql.push_str(&format!("; SET LOCAL {name} = '{value}'")),
        }
    }
    if any_bytes {
        sql.push_str(&format!("; SET LOCAL {ANY_BYTES}"));
    }
    sql
}

/// Why a query gave no rows: the server's or the connection's error, or ours over what came.
enum Failure {
    Server(Error),
    Ours(FetchError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Server(error)
    }
}

impl Failure {
    fn into_fetch_error(self, sent: &str, variant: Option<&Variant>) -> FetchError {
        match self {
            Failure::Ours(error) => error,
            Failure::Server(error) => {
                let place = variant.and_then(|v| error::place(&error, sent, &v.text, &v.place));
                FetchError { place, ..error::of_query(&error) }
            }
        }
    }
}

/// Reads the rows, the first `max_rows` of them into a table; the rest is counted.
async fn read(rows: RowStream, columns: Option<&[Column]>, max_rows: usize) -> Result<Answer, Failure> {
    let mut rows = pin!(rows);
    let start = |columns: &[Column]| {
        let table = Table::new(columns.iter().map(|column| column.name()));
        decoders(columns).map(|decoders| (table, decoders)).map_err(Failure::Ours)
    };
    let mut reading = columns.map(start).transpose()?;
    let mut cut = 0;
    while let Some(row) = rows.try_next().await? {
        let (table, decoders) = match &mut reading {
            Some(reading) => reading,
            None => reading.insert(start(row.columns())?),
        };
        if table.rows() >= max_rows {
            cut += 1;
            continue;
        }
        push_row(table, &row, decoders);
        if table.bytes() > TABLE_LIMIT {
            let message = format!("the rows of one query take more than {} MiB", TABLE_LIMIT >> 20);
            return Err(Failure::Ours(FetchError::new(Reason::TooLarge, message)));
        }
    }
    Ok(Answer { table: reading.map(|(table, _)| table).unwrap_or_default(), cut })
}

/// The collector's columns must be there; a result without rows may come without columns.
fn has_columns(answer: Answer, query: &Query, variant: &Variant) -> Result<Answer, FetchError> {
    let have = answer.table.columns();
    match query.columns().find(|column| !have.is_empty() && !have.iter().any(|name| name == column)) {
        None => Ok(answer),
        Some(missing) => {
            let message = format!("the SQL returns no column \"{missing}\"; it returns {}", have.join(", "));
            Err(FetchError { place: Some(variant.place.clone()), ..FetchError::new(Reason::Columns, message) })
        }
    }
}
