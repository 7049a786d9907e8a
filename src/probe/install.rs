//! The tables that the probe's own queries read: made and removed by `pgvigil probe`.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    probe::{
        attempt::{AttemptError, FailureReason, Phase, Trace},
        check,
        connect::Connector,
    },
    settings::connection::model::PostgresSettings,
};

/// The SQL that makes them.
pub const SCHEMA: &str = include_str!("schema.sql");

/// After that, in a transaction of its own: in the same one the server would count the rows as changed since.
const ANALYZE: &str = "ANALYZE pgvigil_probe.customer, pgvigil_probe.product, pgvigil_probe.purchase, pgvigil_probe.line, \
                       pgvigil_probe.token;";

/// What making them may take: a busy server is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes the tables, if they are not there, and lets this role read them.
///
/// # Errors
/// What went wrong; the tables are not there then, or not analyzed.
pub async fn install(server: &PostgresSettings, reader: &str) -> Result<(), AttemptError> {
    let reader = format!("\"{}\"", reader.replace('"', "\"\""));
    let grants = format!(
        "GRANT USAGE ON SCHEMA pgvigil_probe TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA pgvigil_probe TO {reader}; \
         GRANT UPDATE (token) ON pgvigil_probe.token TO {reader};"
    );
    run(server, &format!("{SCHEMA}\n{grants}")).await?;
    run(server, ANALYZE).await
}

/// Removes the tables; that they are not there is no error.
///
/// # Errors
/// What went wrong; nothing was done then.
pub async fn uninstall(server: &PostgresSettings) -> Result<(), AttemptError> {
    run(server, "DROP SCHEMA IF EXISTS pgvigil_probe CASCADE;").await
}

async fn run(server: &PostgresSettings, sql: &str) -> Result<(), AttemptError> {
    let until = Instant::now() + LIMIT;
    let connection = Connector::new(server.clone(), false).connect(until, &mut Trace::default()).await?;
    // One message is one transaction. The role may be one that only reads unless it is told.
    let sql = format!(
        "BEGIN READ WRITE; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = '60s'; {sql} COMMIT;"
    );
    let done = tokio::time::timeout_at(until, connection.client.batch_execute(&sql)).await;
    done.map_err(|_| AttemptError::new(FailureReason::Timeout, Phase::Query, "no answer within a minute"))?
        .map_err(|error| check::failed(&error))
}
