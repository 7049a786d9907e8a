//! One question and its rows: read into a table, up to its limits, or the reason why there are none.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt;
use tokio_postgres::{Column, Error, RowStream};

use super::{
    decode::{Decoder, decoders, push_row},
    error,
};
use crate::{
    config::collector::Variant,
    source::{Answer, FetchError, Reason},
    table::Table,
};

/// The most memory the rows of one query may take.
const TABLE_LIMIT: usize = 16 << 20;

/// One SQL text, its limits, and what its rows are for.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub sql: &'a str,
    pub limit: Duration,
    pub max_rows: usize,
    /// Those that are needed; `None`: all.
    pub columns: Option<&'a [&'a str]>,
}

impl Question<'_> {
    /// Reads the rows, the first `max_rows` of them into a table; the rest is counted.
    pub async fn read(self, rows: RowStream, columns: Option<&[Column]>) -> Result<Answer, Failure> {
        let mut rows = pin!(rows);
        let mut reading = columns.map(|columns| self.start(columns)).transpose()?;
        let mut cut = 0;
        while let Some(row) = rows.try_next().await? {
            let (table, decoders) = match &mut reading {
                Some(reading) => reading,
                None => reading.insert(self.start(row.columns())?),
            };
            if table.rows() >= self.max_rows {
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

    fn start(&self, columns: &[Column]) -> Result<(Table, Vec<Decoder>), Failure> {
        let needed = |name: &str| self.columns.is_none_or(|columns| columns.contains(&name));
        let decoders = decoders(columns, needed).map_err(Failure::Ours)?;
        Ok((Table::new(columns.iter().map(|column| column.name())), decoders))
    }
}

/// The collector's columns must be there; a result without rows may come without columns.
pub fn has_columns(answer: Answer, columns: &[&str], variant: &Variant) -> Result<Answer, FetchError> {
    let have = answer.table.columns();
    match columns.iter().find(|column| !have.is_empty() && !have.iter().any(|name| name == **column)) {
        None => Ok(answer),
        Some(missing) => {
            let message = format!("the SQL returns no column \"{missing}\"; it returns {}", have.join(", "));
            Err(FetchError { place: Some(variant.place.clone()), ..FetchError::new(Reason::Columns, message) })
        }
    }
}

/// Why a query gave no rows: the server's or the connection's error, or ours over what came.
pub enum Failure {
    Server(Error),
    Ours(FetchError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Server(error)
    }
}

impl Failure {
    /// With the place the server points to, or else that of the query's SQL.
    /// The error for people and for the label; it points into the SQL of the variant that was sent.
    pub fn into_fetch_error(self, sent: &str, variant: Option<&Variant>) -> FetchError {
        let (error, pointed) = match self {
            Failure::Ours(error) => (error, None),
            Failure::Server(error) => {
                (error::of_query(&error), variant.and_then(|v| error::place(&error, sent, &v.text, &v.place)))
            }
        };
        let place = pointed.or_else(|| variant.filter(|_| !error.reason.is_connection()).map(|v| v.place.clone()));
        FetchError { place, ..error }
    }
}
