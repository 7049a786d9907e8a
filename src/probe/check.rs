//! What is asked on every path, and how an answer is read: as bytes, which are compared and kept as they are.

use std::{
    error::Error,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{TryStreamExt, pin_mut};
use tokio::{
    join,
    time::{Instant, timeout_at},
};
use tokio_postgres::{
    Client,
    types::{Format, FromSql, IsNull, ToSql, Type, private::BytesMut},
};

use crate::{
    probe::{
        attempt::{AttemptError, FailureReason, Phase, Trace},
        connect::late,
    },
    settings::probe::{CLASSES, ProbeSettings, WRITE},
    source::{fetch::Reason, postgres::error},
};

/// The most that an answer may take.
const ANSWER_LIMIT: usize = 1 << 20;

/// How quick writing the token should be.
const WRITE_OBJECTIVE: Duration = Duration::from_millis(100);

/// One query.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeCheck {
    /// The label `query`.
    pub name: String,
    pub sql: String,
    pub parameters: Vec<String>,
    pub objective: Duration,
    /// It reads the probe's own tables, which may not be there.
    pub needs_schema: bool,
    pub how: How,
    paths: Option<Vec<String>>,
}

/// How a query is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As it is: the probe's own, which only read.
    Plain,
    /// The user's own: in a transaction that can only read.
    ReadOnly,
    /// It writes a token, which is also its answer.
    Token,
}

/// The SQL of the classes, in their order. The tables are made by schema.sql.
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

/// The classes and the user's own.
pub fn questions(settings: &ProbeSettings) -> Vec<ProbeCheck> {
    let classes = CLASSES.iter().zip(SQL).zip(settings.objectives).enumerate();
    let classes = classes.map(|(index, (((name, _), sql), objective))| ProbeCheck {
        name: (*name).to_owned(),
        sql: sql.to_owned(),
        parameters: Vec::new(),
        objective,
        needs_schema: index > 0,
        how: How::Plain,
        paths: None,
    });
    let own = settings.queries.iter().map(|query| ProbeCheck {
        name: query.name.clone(),
        sql: query.sql.clone(),
        parameters: query.parameters.clone(),
        objective: query.objective,
        needs_schema: false,
        how: How::ReadOnly,
        paths: query.paths.as_ref().map(|paths| paths.iter().map(|path| path.value.clone()).collect()),
    });
    let write = settings.write.then(|| ProbeCheck {
        how: How::Token,
        objective: WRITE_OBJECTIVE,
        paths: Some(vec![WRITE.to_owned()]),
        ..of_token(WRITE, "")
    });
    classes.chain(own).chain(write).collect()
}

/// Reads the token.
pub fn token() -> ProbeCheck {
    of_token("token", "SELECT token FROM pgvigil_probe.token")
}

fn of_token(name: &str, sql: &str) -> ProbeCheck {
    ProbeCheck {
        name: name.to_owned(),
        sql: sql.to_owned(),
        parameters: Vec::new(),
        objective: WRITE_OBJECTIVE,
        needs_schema: true,
        how: How::Plain,
        paths: None,
    }
}

/// The token in the answer of [`token`], or of the query that writes it: one cell of 8 bytes behind its length.
pub fn token_of(answer: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(answer.get(4..12)?.try_into().ok()?))
}

impl ProbeCheck {
    /// On the path of the writes nothing else is asked.
    pub fn is_asked_on(&self, path: &str) -> bool {
        match &self.paths {
            Some(paths) => paths.iter().any(|name| name == path),
            None => path != WRITE,
        }
    }

    /// Asks it, in one round trip. After a failure of the path the connection is of no more use.
    pub async fn ask(&self, client: &Client, until: Instant, trace: &mut Trace) -> Result<Vec<u8>, AttemptError> {
        let began = Instant::now();
        let asked = async {
            match self.how {
                How::Plain => self.rows(client).await,
                How::Token => write(client).await,
                How::ReadOnly => {
                    let begin = client.batch_execute("BEGIN READ ONLY");
                    let (begun, rows, ended) = join!(begin, self.rows(client), client.batch_execute("COMMIT"));
                    let rows = rows?;
                    begun.and(ended).map_err(|error| failed(&error))?;
                    Ok(rows)
                }
            }
        };
        let answer = timeout_at(until, asked).await.unwrap_or_else(|_| Err(late(Phase::Query)))?;
        trace.ended(Phase::Query, began);
        Ok(answer)
    }

    async fn rows(&self, client: &Client) -> Result<Vec<u8>, AttemptError> {
        let parameters = self.parameters.iter().map(|text| (AsText(text), Type::UNKNOWN));
        let rows = client.query_typed_raw(&self.sql, parameters).await.map_err(|error| failed(&error))?;
        pin_mut!(rows);
        let mut answer = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(|error| failed(&error))? {
            if answer.len() + row.raw_size_bytes() > ANSWER_LIMIT {
                let message = format!("the answer has more than {} MiB", ANSWER_LIMIT >> 20);
                return Err(AttemptError::new(FailureReason::TooLarge, Phase::Query, message));
            }
            for column in 0..row.len() {
                let cell: RawCell<'_> = row.try_get(column).map_err(|error| failed(&error))?;
                let length = cell.0.map_or(u32::MAX, |bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                answer.extend(length.to_be_bytes());
                answer.extend(cell.0.unwrap_or_default());
            }
            answer.push(b'\n');
        }
        Ok(answer)
    }
}

/// Writes a token: the time in microseconds, so that it rises whoever writes.
async fn write(client: &Client) -> Result<Vec<u8>, AttemptError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let token = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let sql = format!("BEGIN READ WRITE; UPDATE pgvigil_probe.token SET token = {token}; COMMIT");
    client.batch_execute(&sql).await.map_err(|error| failed(&error))?;
    Ok([&8u32.to_be_bytes()[..], &token.to_be_bytes(), b"\n"].concat())
}

/// What an error of a query means.
pub fn failed(error: &tokio_postgres::Error) -> AttemptError {
    let told = error::from_query(error);
    let reason = match (error.code().map(|code| code.code()), told.reason) {
        (Some("57014"), _) => FailureReason::StatementTimeout,
        (Some("25006"), _) => FailureReason::ReadOnly,
        (Some("53300"), _) => FailureReason::TooManyConnections,
        (_, Reason::Lost) => FailureReason::Lost,
        (_, Reason::LockTimeout) => FailureReason::LockTimeout,
        (_, Reason::Undefined) => FailureReason::Undefined,
        _ => FailureReason::Error,
    };
    AttemptError::new(reason, Phase::Query, &*told.message)
}

/// A parameter as text; the server knows what it should be.
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

/// A cell as it came, of whatever type.
struct RawCell<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for RawCell<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(RawCell(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(RawCell(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
