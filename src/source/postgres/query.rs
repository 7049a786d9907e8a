//! One question and its rows: read into a table, up to its limits, or the reason why there are none.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use tokio_postgres::{Column, Error, RowStream};

use crate::{
    collector::Variant,
    memory_budget::MemoryBudget,
    source::{
        charset::Charset,
        fetch::{Answer, FetchError, Reason},
        postgres::{
            decode::{Decoder, decoders, push_row},
            error,
        },
    },
    table::{ColumnNames, Table},
};

/// What PostgreSQL has in any query.
const MOST_COLUMNS: usize = 1664;

/// One SQL text, its limits, and what its rows are for.
#[derive(Clone, Copy)]
pub struct SqlQuery<'a> {
    /// Under which its statement is kept.
    pub name: &'a str,
    pub sql: &'a str,
    pub limit: Duration,
    pub max_rows: usize,
    /// The columns that must be there.
    pub columns: &'a [&'a str],
    /// Those of them that are native buckets.
    pub native: &'a [&'a str],
    /// Read the others too.
    pub whole: bool,
    /// What its texts are.
    pub charset: Charset,
    /// Where its rows have their memory.
    pub room: &'a MemoryBudget,
}

/// How a result is read: the columns that are needed, their places and decoders.
#[derive(Clone)]
pub struct RowReader {
    columns: Arc<ColumnNames>,
    decoders: Arc<[(usize, Decoder)]>,
}

impl SqlQuery<'_> {
    /// How these columns are read.
    ///
    /// # Errors
    /// A column that a metric needs is missing, or of a type that must be cast.
    pub fn reading(&self, columns: &[Column]) -> Result<RowReader, QueryError> {
        let needed = |name: &str| self.whole || self.columns.contains(&name);
        let names = || columns.iter().map(Column::name);
        let failed = |message: String| QueryError::Ours(FetchError::new(Reason::Columns, message));
        if columns.len() > MOST_COLUMNS {
            return Err(failed(format!("the SQL returns {} columns: not a PostgreSQL server?", columns.len())));
        }
        if let Some(missing) = self.columns.iter().find(|column| !names().any(|name| name == **column)) {
            let returned = names().collect::<Vec<_>>().join(", ");
            return Err(failed(format!("the SQL returns no column \"{missing}\"; it returns {returned}")));
        }
        let mut decoders = decoders(columns, self.charset, needed).map_err(QueryError::Ours)?;
        for (at, decoder) in &mut decoders {
            if self.native.contains(&columns[*at].name()) {
                *decoder = decoder.of_native();
            }
        }
        let columns = ColumnNames::from_iter(names().filter(|name| needed(name))).into();
        Ok(RowReader { columns, decoders: decoders.into() })
    }

    /// Reads the rows, the first `max_rows` of them into a table; the rest is counted. Without a `reading` it is
    /// made from the first row; a result that has none then has no columns either.
    pub async fn read(self, rows: RowStream, mut reading: Option<RowReader>) -> Result<Answer, QueryError> {
        let mut rows = pin!(rows);
        let empty = |reading: &RowReader| Table::with_columns(reading.columns.clone()).with_budget(self.room);
        let mut table = reading.as_ref().map(empty);
        let mut cut = 0;
        while let Some(row) = rows.try_next().await? {
            let reading = match &mut reading {
                Some(reading) => reading,
                None => reading.insert(self.reading(row.columns())?),
            };
            let table = table.get_or_insert_with(|| empty(reading));
            if table.rows() >= self.max_rows {
                cut += 1;
                continue;
            }
            push_row(table, &row, &reading.decoders).map_err(QueryError::Ours)?;
            if !table.reserve() {
                return Err(QueryError::Ours(FetchError::too_large(self.room)));
            }
        }
        Ok(Answer { table: table.unwrap_or_default().into(), cut })
    }
}

/// Why a query gave no rows: the server's or the connection's error, or ours over what came.
pub enum QueryError {
    Server(Error),
    Ours(FetchError),
}

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        QueryError::Server(error)
    }
}

impl QueryError {
    /// The error for people and for the label, with the place the server points to, or else that of the query's SQL.
    pub fn into_fetch_error(self, sent: &str, variant: Option<&Variant>) -> FetchError {
        let (error, pointed) = match self {
            QueryError::Ours(error) => (error, None),
            QueryError::Server(error) => {
                (error::of_query(&error), variant.and_then(|v| error::place(&error, sent, &v.text, &v.place)))
            }
        };
        let place = pointed.or_else(|| variant.filter(|_| !error.reason.is_connection()).map(|v| v.place.clone()));
        FetchError { place, ..error }
    }
}
