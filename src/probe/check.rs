//! The queries that run over every path. Their answers are compared and cached as bytes.

use std::error::Error;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use tokio::join;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Client;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};

use crate::probe::attempt::{AttemptError, AttemptResult, FailureReason, Phase, Trace};
use crate::settings::probe::{CLASSES, ProbeSettings, WRITE};
use crate::source::postgres::error;

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;

/// The latency objective of writing the token.
const WRITE_OBJECTIVE: Duration = Duration::from_millis(100);

/// One query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeCheck {
    /// The label `query`.
    pub name: String,
    sql: String,
    parameters: Vec<String>,
    pub objective: Duration,
    /// Returns whether it reads the probe's own tables, which may not exist.
    pub needs_schema: bool,
    pub mode: CheckMode,
    paths: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckMode {
    /// One of the probe's own queries, which only read.
    #[default]
    Plain,
    /// One of the user's queries, in a read-only transaction.
    ReadOnly,
    /// Writes a token, which is the answer.
    WriteToken,
}

/// The SQL of the classes, in their order. schema.sql creates the tables.
const SQL: [&str; CLASSES.len()] = [
    "SELECT 1",
    "SELECT id, name, price FROM pgvigil_probe.product WHERE id = 1234",
    "SELECT p.id, p.placed_at, c.name, l.product_id, l.quantity \
       FROM pgvigil_probe.purchase p \
       JOIN pgvigil_probe.line l ON l.purchase_id = p.id \
       JOIN pgvigil_probe.customer c ON c.id = p.customer_id \
      WHERE p.id = 4321 ORDER BY l.product_id",
    "SELECT count(*), sum(l.quantity), min(l.quantity), max(l.quantity) \
       FROM pgvigil_probe.line l WHERE l.purchase_id BETWEEN 2001 AND 2050",
    "SELECT c.region, d.category, sum(l.quantity * d.price) AS revenue, count(DISTINCT p.id) AS purchases, \
            rank() OVER (PARTITION BY c.region ORDER BY sum(l.quantity * d.price) DESC) AS place \
       FROM pgvigil_probe.purchase p \
       JOIN pgvigil_probe.customer c ON c.id = p.customer_id \
       JOIN pgvigil_probe.line l ON l.purchase_id = p.id \
       JOIN pgvigil_probe.product d ON d.id = l.product_id \
      WHERE p.id <= 4000 \
      GROUP BY c.region, d.category ORDER BY c.region, place, d.category",
];

/// All queries of a probe: the classes, the user's, and the one that writes the token.
pub fn checks(settings: &ProbeSettings) -> Vec<ProbeCheck> {
    let mut checks = Vec::new();
    for (index, (name, _)) in CLASSES.iter().enumerate() {
        checks.push(ProbeCheck {
            name: (*name).to_owned(),
            sql: SQL[index].to_owned(),
            objective: settings.objectives[index],
            needs_schema: index > 0,
            ..ProbeCheck::default()
        });
    }
    for query in &settings.queries {
        checks.push(ProbeCheck {
            name: query.name.clone(),
            sql: query.sql.clone(),
            parameters: query.parameters.clone(),
            objective: query.objective,
            mode: CheckMode::ReadOnly,
            paths: query.paths.as_ref().map(|paths| paths.iter().map(|path| path.value.clone()).collect()),
            ..ProbeCheck::default()
        });
    }
    if settings.write {
        checks.push(ProbeCheck {
            name: WRITE.to_owned(),
            objective: WRITE_OBJECTIVE,
            needs_schema: true,
            mode: CheckMode::WriteToken,
            paths: Some(vec![WRITE.to_owned()]),
            ..ProbeCheck::default()
        });
    }
    checks
}

/// Reads the token.
pub fn token_check() -> ProbeCheck {
    let (name, sql) = ("token".to_owned(), "SELECT token FROM pgvigil_probe.token".to_owned());
    ProbeCheck { name, sql, needs_schema: true, ..ProbeCheck::default() }
}

/// The token in an answer of [`token_check`], or of the query that writes it: one cell of 8 bytes after its length.
pub fn token_value(answer: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(answer.get(4..12)?.try_into().ok()?))
}

impl ProbeCheck {
    /// Returns whether it runs on this path. The path of the writes runs no other query.
    pub fn runs_on(&self, path: &str) -> bool {
        match &self.paths {
            Some(paths) => paths.iter().any(|name| name == path),
            None => path != WRITE,
        }
    }

    /// Runs it on a connection, in one round trip.
    pub async fn run(&self, client: &Client, until: Instant, trace: &mut Trace) -> AttemptResult {
        let began = Instant::now();
        let run = async {
            match self.mode {
                CheckMode::Plain => self.rows(client).await,
                CheckMode::WriteToken => write_token(client).await,
                CheckMode::ReadOnly => {
                    let begin = client.batch_execute("BEGIN READ ONLY");
                    let (begun, rows, ended) = join!(begin, self.rows(client), client.batch_execute("COMMIT"));
                    let rows = rows?;
                    begun.and(ended)?;
                    Ok(rows)
                }
            }
        };
        let answer = timeout_at(until, run).await.unwrap_or_else(|_| Err(AttemptError::timeout(Phase::Query)))?;
        trace.record(Phase::Query, began);
        Ok(answer.into())
    }

    async fn rows(&self, client: &Client) -> Result<Vec<u8>, AttemptError> {
        let parameters = self.parameters.iter().map(|text| (AsText(text), Type::UNKNOWN));
        let mut rows = pin!(client.query_typed_raw(&self.sql, parameters).await?);
        let mut answer = Vec::new();
        while let Some(row) = rows.try_next().await? {
            if answer.len() + row.raw_size_bytes() > ANSWER_LIMIT {
                let message = format!("the answer has more than {} MiB", ANSWER_LIMIT >> 20);
                return Err(AttemptError::new(FailureReason::TooLarge, Phase::Query, message));
            }
            for column in 0..row.len() {
                let cell: Option<RawCell<'_>> = row.try_get(column)?;
                let length = cell.as_ref().map_or(u32::MAX, |cell| u32::try_from(cell.0.len()).unwrap_or(u32::MAX));
                answer.extend(length.to_be_bytes());
                answer.extend(cell.map_or(&[][..], |cell| cell.0));
            }
            answer.push(b'\n');
        }
        Ok(answer)
    }
}

/// Writes a token: the time in microseconds, which rises even if several probes write.
async fn write_token(client: &Client) -> Result<Vec<u8>, AttemptError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let token = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let sql = format!("BEGIN READ WRITE; UPDATE pgvigil_probe.token SET token = {token}; COMMIT");
    client.batch_execute(&sql).await?;
    Ok([&8u32.to_be_bytes()[..], &token.to_be_bytes(), b"\n"].concat())
}

/// The failure for an error of a query.
impl From<tokio_postgres::Error> for AttemptError {
    fn from(error: tokio_postgres::Error) -> Self {
        let described = error::from_query(&error);
        let reason = match error.code().map(|code| code.code()) {
            Some("57014") => FailureReason::StatementTimeout,
            Some("25006") => FailureReason::ReadOnly,
            Some("53300") => FailureReason::TooManyConnections,
            _ => described.reason.into(),
        };
        AttemptError::new(reason, Phase::Query, &*described.message)
    }
}

/// A parameter as text; the server infers its type.
#[derive(Debug)]
struct AsText<'a>(&'a str);

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A cell's bytes as sent, of any type.
struct RawCell<'a>(&'a [u8]);

impl<'a> FromSql<'a> for RawCell<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(RawCell(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
