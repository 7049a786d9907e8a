//! Runs one query and reads its rows into a table, up to its limits.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::join3;
use tokio_postgres::{Client, Column, RowStream};

use crate::memory_budget::MemoryBudget;
use crate::source::charset::Charset;
use crate::source::fetch::{Answer, FetchError, Reason};
use crate::source::postgres::decode::{Decoder, push_row};
use crate::source::postgres::error::PostgresError;
use crate::table::{ColumnNames, Table};

/// PostgreSQL's own maximum for a query.
const MAX_COLUMNS: usize = 1664;

/// One SQL text, its limits, and the columns to read.
#[derive(Clone, Copy)]
pub struct SqlQuery<'a> {
    /// The name of its prepared statement.
    pub name: &'a str,
    pub sql: &'a str,
    pub limit: Duration,
    pub max_rows: usize,
    /// The required columns.
    pub columns: &'a [&'a str],
    /// Columns among them that are native buckets.
    pub native: &'a [&'a str],
    /// The other columns are read too.
    pub all_columns: bool,
    /// The encoding of texts.
    pub charset: Charset,
    /// The memory budget of its rows.
    pub memory: &'a MemoryBudget,
}

/// How a result is read: the needed columns, with their indexes and decoders.
#[derive(Clone)]
pub struct RowReader {
    columns: Arc<ColumnNames>,
    decoders: Arc<[(usize, Decoder)]>,
}

impl SqlQuery<'_> {
    /// A reader of rows with these columns.
    ///
    /// # Errors
    /// A column that a metric needs is missing, or its type must be cast.
    pub fn row_reader(&self, columns: &[Column]) -> Result<RowReader, FetchError> {
        let is_needed = |name: &str| self.all_columns || self.columns.contains(&name);
        let names = || columns.iter().map(Column::name);
        let failed = |message: String| FetchError::new(Reason::Columns, message);
        if columns.len() > MAX_COLUMNS {
            return Err(failed(format!("the SQL returns {} columns: not a PostgreSQL server?", columns.len())));
        }
        if let Some(missing) = self.columns.iter().find(|column| !names().any(|name| name == **column)) {
            let returned = names().collect::<Vec<_>>().join(", ");
            return Err(failed(format!("the SQL returns no column \"{missing}\"; it returns {returned}")));
        }
        let mut decoders = Vec::new();
        for (index, column) in columns.iter().enumerate().filter(|(_, column)| is_needed(column.name())) {
            let is_native = self.native.contains(&column.name());
            decoders.push((index, Decoder::of(column, self.charset, is_native)?));
        }
        let columns = ColumnNames::from_iter(names().filter(|name| is_needed(name))).into();
        Ok(RowReader { columns, decoders: decoders.into() })
    }

    /// Reads the first `max_rows` rows into a table, and counts the rest. Without a `row_reader`, the first row makes
    /// one; a result without rows then has no columns either.
    pub async fn read(self, rows: RowStream, mut row_reader: Option<RowReader>) -> Result<Answer, PostgresError> {
        let mut rows = pin!(rows);
        let empty = |reader: &RowReader| Table::with_columns(reader.columns.clone()).with_budget(self.memory);
        let mut table = row_reader.as_ref().map(empty);
        let mut cut = 0;
        while let Some(row) = rows.try_next().await? {
            let reader = match &mut row_reader {
                Some(reader) => reader,
                None => row_reader.insert(self.row_reader(row.columns())?),
            };
            let table = table.get_or_insert_with(|| empty(reader));
            if table.rows() >= self.max_rows {
                cut += 1;
                continue;
            }
            push_row(table, &row, &reader.decoders)?;
            if !table.reserve() {
                return Err(FetchError::too_large(self.memory).into());
            }
        }
        Ok(Answer { table: table.unwrap_or_default().into(), cut })
    }
}

/// Runs a query in a transaction with its own settings. The three parts are sent together and in this order, so a
/// transaction pooler gives them the same server session.
pub async fn in_transaction<T>(
    client: &Client,
    begin: &str,
    rows: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    let (begun, rows, ended) = join3(client.batch_execute(begin), rows, client.batch_execute("COMMIT")).await;
    begun?;
    let rows = rows?;
    ended?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_postgres::types::Type;

    use super::*;
    use crate::source::postgres::fake_server::{self, FakeReply, texts};
    use crate::table::Cell;

    async fn ask(
        query: SqlQuery<'_>,
        reply: impl Fn() -> FakeReply + Send + Sync + 'static,
    ) -> Result<Answer, FetchError> {
        let script = move |sql: &str| if sql == "LOGIN" { texts([], &[]) } else { reply() };
        let client = fake_server::client(Arc::new(script)).await.expect("the login works");
        let answer = async {
            let statement = client.prepare("SELECT").await?;
            let reader = query.row_reader(statement.columns())?;
            let parameters: [i32; 0] = [];
            query.read(client.query_raw(&statement, parameters).await?, Some(reader)).await
        };
        answer.await.map_err(|error| error.into_fetch_error("SELECT", None))
    }

    fn query(memory: &MemoryBudget) -> SqlQuery<'_> {
        SqlQuery {
            name: "q",
            sql: "SELECT",
            limit: Duration::from_secs(1),
            max_rows: 2,
            columns: &["b"],
            native: &[],
            all_columns: false,
            charset: Charset::default(),
            memory,
        }
    }

    #[tokio::test]
    async fn needed_columns_are_read_and_further_rows_counted() {
        let memory = MemoryBudget::of(1 << 20);
        let rows = || texts(["a", "b"], &[["1", "2"], ["3", "4"], ["5", "6"], ["7", "8"]]);
        let answer = ask(query(&memory), rows).await.expect("rows");
        assert_eq!((answer.table.columns().collect::<Vec<_>>(), answer.cut), (vec!["b"], 2));
        assert_eq!([0, 1].map(|row| answer.table.cell(row, 0)), [Cell::Text("2"), Cell::Text("4")]);
        let all = ask(SqlQuery { all_columns: true, max_rows: 4, ..query(&memory) }, rows).await.expect("rows");
        assert_eq!((all.table.columns().count(), all.table.rows(), all.cut), (2, 4, 0));
        let native = SqlQuery { native: &["b"], columns: &["a", "b"], ..query(&memory) };
        let answer = ask(native, || texts(["a", "b"], &[["1:2", "1:2"]])).await.expect("rows");
        assert_eq!([0, 1].map(|at| answer.table.cell(0, at)), [Cell::Text("1:2"), Cell::Buckets(&[(1, 2)])]);
    }

    #[tokio::test]
    async fn answers_that_cannot_be_read_fail() {
        let wide = |count: usize| FakeReply::Rows(vec![("a", Type::INT4); count - 1], vec![]);
        let long = "x".repeat(900);
        for (reply, bytes, expected) in [
            (
                Box::new(|| texts(["a", "c"], &[])) as Box<dyn Fn() -> FakeReply + Send + Sync>,
                1 << 20,
                "the SQL returns no column \"b\"; it returns a, c (columns)",
            ),
            (Box::new(move || wide(1665)), 1 << 20, "the SQL returns no column \"b\"; it returns a, a"),
            (Box::new(move || wide(1666)), 1 << 20, "the SQL returns 1665 columns: not a PostgreSQL server? (columns)"),
            (
                Box::new(|| FakeReply::Rows(vec![("b", Type::UUID)], vec![])),
                1 << 20,
                "column \"b\" has the type uuid; cast it",
            ),
            (Box::new(move || texts(["b"], &[[&long]])), 100, "all rows of the target together take more than 0 MiB"),
            (Box::new(|| fake_server::error("42P01", "no table")), 1 << 20, "no table [42P01] (undefined)"),
        ] {
            let error = ask(query(&MemoryBudget::of(bytes)), reply).await.expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn a_transaction_fails_with_its_first_error() {
        for (failing, expected) in [("", ""), ("BEGIN", "no BEGIN"), ("SELECT", "no SELECT"), ("COMMIT", "no COMMIT")] {
            let script = move |sql: &str| match sql {
                "BEGIN" | "SELECT" | "COMMIT" if sql == failing => fake_server::error("22012", expected),
                _ => texts(["b"], &[["1"]]),
            };
            let client = fake_server::client(Arc::new(script)).await.expect("the login works");
            let memory = MemoryBudget::of(1 << 20);
            let parameters: [(i32, Type); 0] = [];
            let rows = async { query(&memory).read(client.query_typed_raw("SELECT", parameters).await?, None).await };
            let answer = in_transaction(&client, "BEGIN", rows).await;
            let found =
                answer.map(|answer| answer.table.rows()).map_err(|error| error.into_fetch_error("", None).message);
            assert_eq!(found, if failing.is_empty() { Ok(1) } else { Err(format!("{expected} [22012]").into()) });
        }
    }
}
