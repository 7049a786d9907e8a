//! One query, and its rows: read into a table, up to its limits.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{TryStreamExt, future::join3};
use tokio_postgres::{Client, Column, RowStream};

use crate::{
    memory_budget::MemoryBudget,
    source::{
        charset::Charset,
        fetch::{Answer, FetchError, Reason},
        postgres::{
            decode::{Decoder, decoders, push_row},
            error::PostgresError,
        },
    },
    table::{ColumnNames, Table},
};

/// PostgreSQL's own limit for a query.
const MAX_COLUMNS: usize = 1664;

/// One SQL text, its limits, and the columns that are read.
#[derive(Clone, Copy)]
pub struct SqlQuery<'a> {
    /// The key of its prepared statement.
    pub name: &'a str,
    pub sql: &'a str,
    pub limit: Duration,
    pub max_rows: usize,
    /// The columns that must be there.
    pub columns: &'a [&'a str],
    /// Columns among them that are native buckets.
    pub native: &'a [&'a str],
    /// Read the other columns too.
    pub all_columns: bool,
    /// The encoding of texts.
    pub charset: Charset,
    /// For the memory of its rows.
    pub memory: &'a MemoryBudget,
}

/// How a result is read: the columns that are needed, with their indexes and decoders.
#[derive(Clone)]
pub struct RowReader {
    columns: Arc<ColumnNames>,
    decoders: Arc<[(usize, Decoder)]>,
}

impl SqlQuery<'_> {
    /// A reader of rows with these columns.
    ///
    /// # Errors
    /// A column that a metric needs is missing, or of a type that must be cast.
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
        let mut decoders = decoders(columns, self.charset, is_needed)?;
        for (index, decoder) in &mut decoders {
            if self.native.contains(&columns[*index].name()) {
                *decoder = decoder.of_native();
            }
        }
        let columns = ColumnNames::from_iter(names().filter(|name| is_needed(name))).into();
        Ok(RowReader { columns, decoders: decoders.into() })
    }

    /// Reads the rows, the first `max_rows` of them into a table; the rest is counted. Without a `row_reader`, the first row makes
    /// one; a result without rows then has no columns either.
    pub async fn read(self, rows: RowStream, mut row_reader: Option<RowReader>) -> Result<Answer, PostgresError> {
        let mut rows = pin!(rows);
        let empty = |reader: &RowReader| Table::with_columns(reader.columns.clone()).in_room(self.memory);
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
            if !table.fits() {
                return Err(FetchError::too_large(self.memory).into());
            }
        }
        Ok(Answer { table: table.unwrap_or_default().into(), cut })
    }
}

/// Runs a query in a transaction with settings of its own. The three parts are sent in one go and in this order, so a transaction pooler
/// gives them the same server session.
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
