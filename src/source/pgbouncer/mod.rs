//! The admin console of a PgBouncer as a source: `SHOW` commands over the simple protocol, the only one that it speaks.
//! An extended query, even an empty one, ends the session.

pub mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryRow};

use crate::collector::SourceKind;
use crate::settings::connection::model::PostgresSettings;
use crate::source::fetch::{FetchError, Reason};
use crate::source::kept_session::SectionServer;
use crate::source::net::session_limit::SessionLimit;
use crate::source::pending_login::LoginOutcome;
use crate::source::postgres::error::PostgresError;
use crate::source::postgres::startup::StartedConnection;
use crate::source::postgres::{error, startup};
use crate::source::remedy::Remedy;
use crate::source::sections::Tables;
use crate::table::{Cell, Table};

/// The most memory that all tables of one fetch may take: ten thousand pools take a third of it.
const TABLES_LIMIT: usize = 8 << 20;

/// How long an abandoned session may take to close.
const GOODBYE: Duration = Duration::from_secs(1);

/// A console: its login, and the known facts about it.
pub struct Console {
    settings: PostgresSettings,
    known: Mutex<ConsoleInfo>,
}

#[derive(Default)]
struct ConsoleInfo {
    /// The program's name and version.
    version: Option<String>,
    /// Commands that it refuses: it would log a warning each time one is sent. Those that its version does not have are
    /// not sent again until the version changes, the others not on the same session.
    refused: BTreeMap<String, FetchError>,
}

/// A session. Dropped, it is closed.
pub struct ConsoleSession {
    client: Client,
    connection: JoinHandle<()>,
}

impl Console {
    pub fn new(settings: PostgresSettings) -> Self {
        Console { settings, known: Mutex::default() }
    }
}

impl SectionServer for Console {
    const KIND: SourceKind = SourceKind::PgBouncer;
    type Session = ConsoleSession;

    fn description(&self) -> String {
        self.known.lock().version.clone().unwrap_or_else(|| "PgBouncer".to_owned())
    }

    async fn log_in(&self, sessions: &SessionLimit) -> Result<ConsoleSession, FetchError> {
        let started = startup::open(&self.settings, sessions, None).await;
        let StartedConnection { client, task, .. } = started.map_err(of_login)?;
        let session = ConsoleSession { client, connection: task };
        let version = read_version(&session.client).await?;
        let mut known = self.known.lock();
        let is_same = version.is_some() && version == known.version;
        known.refused.retain(|_, error| is_same && error.reason == Reason::Version);
        known.version = version;
        Ok(session)
    }

    async fn fetch(&self, session: &mut ConsoleSession, sections: &[&str]) -> Result<Tables, FetchError> {
        let mut commands: BTreeSet<&str> = sections.iter().flat_map(shown::commands).copied().collect();
        commands.retain(|command| !self.known.lock().refused.contains_key(*command));
        let taken = AtomicUsize::new(0);
        // All are sent before the first is answered.
        let asked = commands.into_iter().map(|command| show(&session.client, command, &taken));
        let mut shown: shown::ConsoleTables = try_join_all(asked).await?.into_iter().collect();
        let errors = shown.iter().filter_map(|(command, table)| Some((command.clone(), table.as_ref().err()?.clone())));
        let refused = &mut self.known.lock().refused;
        refused.extend(errors.filter(|(_, error)| error.reason.is_skip()));
        shown.extend(refused.iter().map(|(command, error)| (command.clone(), Err(error.clone()))));
        Ok(sections.iter().filter_map(|name| Some(((*name).to_owned(), shown::section(name, &shown)?))).collect())
    }
}

impl LoginOutcome for ConsoleSession {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for ConsoleSession {
    fn drop(&mut self) {
        // Once the client is dropped, the connection sends Terminate, unless an answer is outstanding.
        match Handle::try_current() {
            Ok(runtime) => {
                let connection = self.connection.abort_handle();
                runtime.spawn(async move {
                    sleep(GOODBYE).await;
                    connection.abort();
                });
            }
            Err(_) => self.connection.abort(),
        }
    }
}

/// Reads the program's name and version; `None` if it does not report them.
async fn read_version(client: &Client) -> Result<Option<String>, FetchError> {
    let (_, version) = show(client, "version", &AtomicUsize::new(0)).await?;
    // A PostgreSQL server shows settings, and has none of this name.
    if version.as_ref().is_err_and(|error| error.message.starts_with("unrecognized configuration parameter")) {
        return Err(is_postgres());
    }
    Ok(version.ok().and_then(|table| table.cell(0, 0).text().map(str::to_owned)))
}

/// Runs one command. A command that the console does not have is not an error of the session.
async fn show(
    client: &Client,
    command: &str,
    taken: &AtomicUsize,
) -> Result<(String, Result<Arc<Table>, FetchError>), FetchError> {
    match read(client, command, taken).await {
        Err(error) if error.reason.is_connection() || error.reason == Reason::TooLarge => Err(error),
        read => Ok((command.to_owned(), read.map(Arc::new))),
    }
}

async fn read(client: &Client, command: &str, taken: &AtomicUsize) -> Result<Table, FetchError> {
    let failed = |error| of_query(&error, command);
    let mut messages = client.simple_query_raw(&format!("SHOW {command}")).await.map_err(failed)?.boxed();
    let mut table = Table::default();
    while let Some(message) = messages.try_next().await.map_err(failed)? {
        let before = table.bytes();
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let read = columns.iter().take(shown::width(command));
                table = Table::new(read.map(|column| shown::column(command, column.name())));
            }
            SimpleQueryMessage::Row(row) => push(&mut table, &row),
            _ => (),
        }
        let more = table.bytes().saturating_sub(before);
        if taken.fetch_add(more, Ordering::Relaxed) + more > TABLES_LIMIT {
            let message = format!("its tables take more than {} MiB with SHOW {command}", TABLES_LIMIT >> 20);
            return Err(FetchError::new(Reason::TooLarge, message));
        }
    }
    Ok(table)
}

/// A row with a text that is not UTF-8, for example the name of a database that a client invented, has no values: each
/// counts as invalid.
fn push(table: &mut Table, row: &SimpleQueryRow) {
    let (before, width) = (table.rows(), table.columns().len());
    for column in 0..width {
        let Ok(text) = row.try_get(column) else {
            table.truncate(before);
            return table.push_row((0..width).map(|_| Cell::Float(f64::NAN)));
        };
        table.push(text.map_or(Cell::Absent, Cell::Text));
    }
}

/// The meaning of an error of a login to a console.
fn of_login(error: PostgresError) -> FetchError {
    let error = match error {
        // A PgBouncer always has the database of its console.
        PostgresError::Driver(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => return is_postgres(),
        error => error.of_login(true),
    };
    match error.remedy.as_deref() {
        Some(Remedy::Password) => error.with_remedy(Some(Remedy::UserFile)),
        _ => error,
    }
}

fn is_postgres() -> FetchError {
    let advice = "watch it with the key `postgres`, or correct host and port (a PgBouncer usually listens on 6432)";
    let error = FetchError::new(Reason::Refused, "this is a PostgreSQL server, not a PgBouncer");
    error.with_remedy(Some(Remedy::Advice(advice.into())))
}

/// The console refuses everything with the code 08P01, which elsewhere means that the session ends.
fn of_query(error: &Error, command: &str) -> FetchError {
    let Some(db) = error.as_db_error() else { return error::from_query(error) };
    let reason = match db.message() {
        _ if db.severity() == "FATAL" => Reason::Lost,
        message if message.starts_with("invalid command") => {
            return FetchError::new(Reason::Version, format!("this version of PgBouncer has no SHOW {command}"));
        }
        message if message.contains("admin access needed") => Reason::Privilege,
        _ => Reason::Query,
    };
    FetchError::new(reason, format!("{} [{}]", db.message(), db.code().code()))
}
