//! PostgreSQL's errors as reasons: by SQLSTATE, so that code can branch and people can read.

use tokio_postgres::{
    Error,
    error::{DbError, ErrorPosition, Severity, SqlState},
};

use super::session::EXTENSION_SCHEMA;
use crate::{
    config::collector::Place,
    source::{FetchError, Reason},
};

/// What an error of a query means.
pub fn of_query(error: &Error) -> FetchError {
    match error.as_db_error() {
        Some(db) if is_end_of_session(db) => FetchError::new(Reason::Lost, text(db)),
        Some(db) => FetchError::new(query_reason(db.code()), text(db)),
        None => FetchError::new(Reason::Lost, format!("connection lost: {}", causes(error))),
    }
}

/// What an error of a login means.
pub fn of_login(error: &Error) -> FetchError {
    let Some(db) = error.as_db_error() else {
        return FetchError::new(Reason::Lost, format!("login failed: {}", causes(error)));
    };
    let reason = match db.code() {
        code if code.code().starts_with("28") => Reason::Authentication,
        // PgBouncer says 08P01 for most of what it refuses.
        _ if db.message().contains("authentication failed") => Reason::Authentication,
        &SqlState::TOO_MANY_CONNECTIONS => Reason::ConnectionsExhausted,
        &SqlState::CANNOT_CONNECT_NOW => Reason::Starting,
        _ => Reason::Refused,
    };
    FetchError::new(reason, text(db))
}

/// The pooler in front refuses our startup options.
pub fn is_refused_option(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| db.message().contains("unsupported startup parameter"))
}

fn is_end_of_session(db: &DbError) -> bool {
    matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || db.code().code().starts_with("08")
}

fn query_reason(code: &SqlState) -> Reason {
    match code.code() {
        "57014" => Reason::Timeout,
        "55P03" => Reason::LockTimeout,
        "42501" => Reason::Privilege,
        // A table, column, function, schema or object that is not there.
        "42P01" | "42703" | "42883" | "3F000" | "42704" => Reason::Undefined,
        // "pg_stat_statements must be loaded via shared_preload_libraries"
        "55000" => Reason::Setting,
        _ => Reason::Query,
    }
}

fn text(db: &DbError) -> String {
    format!("{} [{}]", db.message(), db.code().code())
}

fn causes(error: &Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// Where in the collector's file the server's complaint points: `sent` is the SQL after substitution, `written`
/// the text in the file, which begins at `start` and whose lines all begin at its column.
pub fn place(error: &Error, sent: &str, written: &str, start: &Place) -> Option<Place> {
    let Some(ErrorPosition::Original(position)) = error.as_db_error()?.position() else { return None };
    let before: Vec<char> = sent.chars().take((*position as usize).saturating_sub(1)).collect();
    let line = before.iter().filter(|c| **c == '\n').count();
    let column = before.iter().rev().take_while(|c| **c != '\n').count();
    let (written, sent) = (written.lines().nth(line)?, sent.lines().nth(line)?);
    // What follows a substitution on its line stands elsewhere in the file than in what was sent.
    let column = match written.find(EXTENSION_SCHEMA) {
        Some(at) if column > at => (column + written.chars().count()).saturating_sub(sent.chars().count()),
        _ => column,
    };
    Some(Place { file: start.file.clone(), line: start.line + line, column: start.column + column })
}
