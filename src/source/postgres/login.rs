//! One login to a PostgreSQL server: dial, start up, read back what took effect and what the server is.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{TryStreamExt, future::try_join};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Config, NoTls, Row, types::Type};
use tracing::{debug, info};

use super::{
    error,
    facts::{Facts, Installed},
    session::Session,
};
use crate::{
    config::settings,
    source::{FetchError, Reason, dial},
};

/// What every session asks for itself, in the words in which the server says it back.
pub const SESSION_SETTINGS: [(&str, &str); 7] = [
    // Without pg_temp named last, temporary tables, which a pooler's other clients may leave, would come first.
    ("search_path", "pg_catalog,pg_temp"),
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "1s"),
    ("lock_timeout", "100ms"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("jit", "off"),
    // pg_stat_statements spills 7 MB to disk at 20,000 entries with less.
    ("work_mem", "32MB"),
];

/// What a session asks for besides in a database without an encoding: its bytes as they are, which the decoder escapes.
pub const ANY_BYTES: &str = "client_encoding = 'SQL_ASCII'";

/// A login that is waited for is kept this long, behind a locked catalogue or a frozen server, before another
/// one is tried: abandoned logins pile up at the server.
const LOGIN_LIMIT: Duration = Duration::from_secs(600);

/// More extensions than any database has.
const MOST_FACTS: usize = 1000;

/// Every name is qualified: before the settings are known to have taken, `search_path` is not trusted.
const EXTENSIONS: &str = "SELECT e.extname::pg_catalog.text, e.extversion, pg_catalog.quote_ident(n.nspname::pg_catalog.text) \
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace";

/// A login under way. Dropping it gives it up.
pub struct Login {
    pub task: JoinHandle<Result<Session, FetchError>>,
}

impl Login {
    /// Starts one. `open` counts the sessions of the target.
    pub fn start(settings: Arc<settings::Postgres>, open: Arc<AtomicUsize>) -> Self {
        Login {
            task: tokio::spawn(async move {
                timeout(LOGIN_LIMIT, log_in(settings, Open::count(open))).await.unwrap_or_else(|_| {
                    Err(FetchError::new(Reason::LoginPending, "login given up after 10 minutes without an answer"))
                })
            }),
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a session from the start of its login to its end.
pub struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Open(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn log_in(settings: Arc<settings::Postgres>, open: Open) -> Result<Session, FetchError> {
    let (client, connection) = match start_up(&settings, true).await? {
        Ok(connected) => connected,
        // A transaction pooler refuses what it cannot keep per server connection; it is asked without.
        Err(error) if error::is_refused_option(&error) => {
            start_up(&settings, false).await?.map_err(|error| error::of_login(&error))?
        }
        Err(error) => return Err(error::of_login(&error)),
    };
    let facts = take_in(&client, &settings.database).await.inspect_err(|_| connection.abort())?;
    if facts.pooled {
        info!("session settings did not take: a pooler is in between, so each query brings its own (pooled mode)");
    }
    Ok(Session::new(client, connection, settings, facts, open))
}

/// Learns what the server is, and adapts to it what the startup packet could not.
async fn take_in(client: &Client, database: &str) -> Result<Facts, FetchError> {
    let facts = read_facts(client, database).await?;
    if facts.any_bytes && !facts.pooled {
        client.batch_execute(&format!("SET {ANY_BYTES}")).await.map_err(|error| error::of_query(&error))?;
    }
    Ok(facts)
}

type Connected = (Client, JoinHandle<()>);

/// Dials and starts up, with or without our settings in the startup packet.
async fn start_up(
    settings: &settings::Postgres,
    with_settings: bool,
) -> Result<Result<Connected, tokio_postgres::Error>, FetchError> {
    let stream = dial::postgres(&settings.address, &settings.tls).await?;
    let mut config = Config::new();
    config.user(&settings.user).dbname(&settings.database).application_name("pgvigil");
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    if with_settings {
        config.options(SESSION_SETTINGS.map(|(name, value)| format!("-c {name}={value}")).join(" "));
    }
    Ok(config.connect_raw(stream, NoTls).await.map(|(client, connection)| {
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!("connection ended: {}", error::of_query(&error));
            }
        });
        (client, task)
    }))
}

/// Asks what the server is and whether our settings took, in one round trip.
pub async fn read_facts(client: &Client, database: &str) -> Result<Facts, FetchError> {
    let (server, extensions) = try_join(ask(client, &server_sql()), ask(client, EXTENSIONS)).await?;
    let row = server.first().ok_or_else(|| FetchError::new(Reason::Refused, "the server says nothing of itself"))?;
    let text = |row: &Row, index: usize| row.try_get::<_, &str>(index).unwrap_or_default().to_owned();
    let version: u32 = text(row, 0).parse().unwrap_or_default();
    Ok(Facts {
        major: version / 10_000,
        replica: row.try_get(1).unwrap_or_default(),
        monitor: row.try_get(2).unwrap_or_default(),
        any_bytes: text(row, 3) == "SQL_ASCII",
        pooled: SESSION_SETTINGS.iter().enumerate().any(|(index, (_, value))| text(row, index + 4) != *value),
        database: database.to_owned(),
        extensions: extensions
            .iter()
            .map(|row| Installed { name: text(row, 0), version: text(row, 1), schema: text(row, 2) })
            .collect(),
        read_at: Instant::now(),
    })
}

fn server_sql() -> String {
    let settings = SESSION_SETTINGS.map(|(name, _)| format!("pg_catalog.current_setting('{name}')"));
    format!(
        "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(), \
         pg_catalog.pg_has_role('pg_monitor', 'USAGE'), pg_catalog.current_setting('server_encoding'), {}",
        settings.join(", ")
    )
}

/// Unnamed and in one message, so it goes through any pooler.
async fn ask(client: &Client, sql: &str) -> Result<Vec<Row>, FetchError> {
    let parameters: [(i32, Type); 0] = [];
    let rows = client.query_typed_raw(sql, parameters).await.map_err(|error| error::of_query(&error))?;
    let (mut rows, mut read) = (pin!(rows), Vec::new());
    while let Some(row) = rows.try_next().await.map_err(|error| error::of_query(&error))? {
        if read.len() == MOST_FACTS {
            return Err(FetchError::new(Reason::Refused, "rows without end: not a PostgreSQL server?"));
        }
        read.push(row);
    }
    Ok(read)
}
