//! The tables that the probe's own queries read: created and dropped by `pgvigil probe`.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::probe::attempt::{AttemptError, FailureReason, Phase, Trace};
use crate::probe::connect::Connector;
use crate::settings::connection::model::PostgresSettings;
use crate::source::remedy::quoted;

/// The SQL that creates them.
pub const SCHEMA: &str = include_str!("schema.sql");

/// Runs in a transaction of its own: in the one that fills the tables, the server would count the rows as changed
/// since.
const ANALYZE: &str = "ANALYZE pgvigil_probe.customer, pgvigil_probe.product, pgvigil_probe.purchase, pgvigil_probe.line, \
                       pgvigil_probe.token;";

/// The time limit of each transaction, long enough for a busy server.
const LIMIT: Duration = Duration::from_secs(60);

/// Creates the tables, unless they exist, and lets this role read them.
///
/// # Errors
/// The server refused, or did not answer in time; then the tables do not exist, or are not analyzed.
pub async fn install(server: &PostgresSettings, reader: &str) -> Result<(), AttemptError> {
    let reader = quoted(reader);
    let grants = format!(
        "GRANT USAGE ON SCHEMA pgvigil_probe TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA pgvigil_probe TO {reader}; \
         GRANT UPDATE (token) ON pgvigil_probe.token TO {reader};"
    );
    run(server, &format!("{SCHEMA}\n{grants}")).await?;
    run(server, ANALYZE).await
}

/// Drops the tables, if they exist.
///
/// # Errors
/// The server refused, or did not answer in time; then they still exist.
pub async fn uninstall(server: &PostgresSettings) -> Result<(), AttemptError> {
    run(server, "DROP SCHEMA IF EXISTS pgvigil_probe CASCADE;").await
}

async fn run(server: &PostgresSettings, sql: &str) -> Result<(), AttemptError> {
    let until = Instant::now() + LIMIT;
    let connection = Connector::new(server.clone(), false).connect(until, &mut Trace::default()).await?;
    // One message is one transaction. The role's transactions may be read-only by default.
    let sql = format!(
        "BEGIN READ WRITE; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = '60s'; {sql} COMMIT;"
    );
    let late = |_| AttemptError::new(FailureReason::Timeout, Phase::Query, "no answer within a minute");
    Ok(timeout_at(until, connection.client.batch_execute(&sql)).await.map_err(late)??)
}
