//! PostgreSQL's errors as reasons: by SQLSTATE, so that code can branch and people can read.

use std::io;

use tokio_postgres::{
    Error,
    error::{DbError, ErrorPosition, Severity, SqlState},
};

use crate::{
    collector::{EXTENSION_SCHEMA, Place},
    source::{
        fetch::{FetchError, Reason},
        net::login_guard::LoginRefused,
        postgres::remedy,
    },
};

/// What an error of a query means.
pub fn of_query(error: &Error) -> FetchError {
    match error.as_db_error() {
        // A pooler in statement mode: however often it is asked, nothing of what we send will do.
        Some(db) if db.message().contains("statement pooling mode") => from_server(Reason::Refused, db),
        Some(db) if is_end_of_session(db) => from_server(Reason::Lost, db),
        // A statement that was prepared before the table it reads was changed.
        Some(db) if db.routine() == Some("RevalidateCachedQuery") => from_server(Reason::Query, db),
        Some(db) => from_server(query_reason(db), db),
        None => FetchError::new(Reason::Lost, format!("connection lost: {}", causes(error))),
    }
}

/// What an error of a login to another database than the target's own means: that login works, so an error of this database alone
/// is how it is set up, and not a failure.
pub fn of_visit(error: &Error) -> FetchError {
    match error.as_db_error().filter(|db| is_settled(db)) {
        Some(db) => {
            let message = format!("cannot log in to the database: {}", text(db));
            FetchError::new(Reason::Closed, message).with_remedy(remedy::find(db.code().code(), db.message()))
        }
        None => of_login(error),
    }
}

/// No line of pg_hba.conf for it, or one that rejects; CONNECT revoked; no connections allowed, or as many as it may have; dropped, or half so; what
/// its login trigger raises; unknown to the pooler. A wrong password, a role that may log in nowhere, or a server that is full or starting, is not the
/// database's doing.
fn is_settled(db: &DbError) -> bool {
    let code = db.code().code();
    match db.routine() {
        Some("InitializeSessionUserId") => false,
        Some("CheckMyDatabase") => true,
        // A pooler says what the server said, without its code.
        _ if code == "08P01" => !OF_ALL.iter().any(|words| db.message().contains(words)),
        _ => ["25", "28000", "3D", "42", "55000", "P0"].iter().any(|settled| code.starts_with(settled)),
    }
}

/// What a pooler says that is not of one database: its own troubles, and its server's.
const OF_ALL: [&str; 12] = [
    "authentication failed",
    "no more connections",
    "too many clients",
    "connection slots",
    "role",
    "timeout",
    "timed out",
    "crash",
    "connect failed",
    "login has been failing",
    "starting up",
    "shutting down",
];

/// What an error of a login means.
pub fn of_login(error: &Error) -> FetchError {
    let Some(db) = error.as_db_error() else {
        return of_failed_login(error);
    };
    let reason = match db.code() {
        code if code.code().starts_with("28") => Reason::Authentication,
        // PgBouncer says 08P01 for most of what it refuses.
        _ if db.message().contains("authentication failed") => Reason::Authentication,
        _ if db.message().starts_with("no more connections allowed") => Reason::ConnectionsExhausted,
        &SqlState::TOO_MANY_CONNECTIONS => Reason::ConnectionsExhausted,
        &SqlState::CANNOT_CONNECT_NOW => Reason::Starting,
        // Somebody ended this one session; another may be let in.
        &SqlState::ADMIN_SHUTDOWN => Reason::Lost,
        _ => Reason::Refused,
    };
    from_server(reason, db)
}

/// A login that failed without a word from the server: by what we have to log in with, or by the connection.
fn of_failed_login(error: &Error) -> FetchError {
    if let Some(refused) = refused(error) {
        return FetchError::new(Reason::Authentication, refused.to_string());
    }
    let cause = causes(error);
    let what = error.to_string();
    match what.starts_with("invalid configuration") || what.starts_with("authentication error") {
        true if cause.contains("password missing") => {
            FetchError::new(Reason::Authentication, "the server asks for a password and none is set: add `password`")
        }
        true if cause.contains("did not use channel binding") => FetchError::new(
            Reason::Authentication,
            "channel_binding=require, and the server did not offer it: it binds SCRAM-SHA-256 over TLS only, with a certificate that is not signed with Ed25519",
        ),
        true => FetchError::new(Reason::Authentication, format!("login failed: {cause}")),
        false => FetchError::new(Reason::Lost, format!("login failed: {cause}")),
    }
}

/// What the server asked for, and our side refused.
fn refused(error: &Error) -> Option<&LoginRefused> {
    use std::error::Error as _;
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// The pooler in front refuses our startup options.
pub fn is_refused_option(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| db.message().contains("unsupported startup parameter"))
}

fn is_end_of_session(db: &DbError) -> bool {
    matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || db.code().code().starts_with("08")
}

fn query_reason(db: &DbError) -> Reason {
    match db.code().code() {
        // The server itself cannot say a text of another database in this one's encoding.
        "22P05" | "22021" => Reason::Unsupported,
        "42883" if db.message().starts_with("default conversion function") => Reason::Unsupported,
        "57014" => Reason::Timeout,
        "55P03" => Reason::LockTimeout,
        "42501" => Reason::Privilege,
        // A table, column, function, schema or object that is not there.
        "42P01" | "42703" | "42883" | "3F000" | "42704" => Reason::Undefined,
        // "pg_stat_statements must be loaded via shared_preload_libraries"
        "55000" => Reason::Setting,
        // A service that has taken the function away.
        "0A000" => Reason::Unsupported,
        _ => Reason::Query,
    }
}

fn from_server(reason: Reason, db: &DbError) -> FetchError {
    FetchError::new(reason, text(db)).with_remedy(remedy::find(db.code().code(), db.message()))
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

/// Where in the collector's file the server's complaint points: `sent` is the SQL after substitution, `written` the
/// text in the file, which begins at `start`.
pub fn place(error: &Error, sent: &str, written: &str, start: &Place) -> Option<Place> {
    let Some(ErrorPosition::Original(position)) = error.as_db_error()?.position() else { return None };
    let index = (*position as usize).checked_sub(1)?;
    Some(start.within(written, written_index(sent, written, index)))
}

/// The character of `written` that is the character `index` of `sent`: the two are alike but for substitutions.
fn written_index(sent: &str, written: &str, index: usize) -> usize {
    let mark = EXTENSION_SCHEMA.chars().count();
    let pieces: Vec<usize> = written.split(EXTENSION_SCHEMA).map(|piece| piece.chars().count()).collect();
    let substituted = sent.chars().count().saturating_sub(pieces.iter().sum());
    let schema = substituted.checked_div(pieces.len() - 1).unwrap_or(0);
    let (mut in_sent, mut in_written) = (0, 0);
    for piece in pieces {
        if index < in_sent + piece {
            return in_written + index - in_sent;
        }
        (in_sent, in_written) = (in_sent + piece + schema, in_written + piece + mark);
        if index < in_sent {
            return in_written - mark;
        }
    }
    in_written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_substitution() {
        let written = "SELECT a, b\nFROM @extschema@.x JOIN @extschema@.y";
        for schema in ["s", "public", "\"a very long schema name\""] {
            let sent = written.replace(EXTENSION_SCHEMA, schema);
            for word in ["SELECT", "b", "FROM", "x", "JOIN"] {
                let index = |text: &str| text.find(word).unwrap();
                let (there, here) = (index(&sent), index(written));
                // Of the letters that the schema may hold too, the place is not asked.
                if !schema.contains(word) && !EXTENSION_SCHEMA.contains(word) {
                    assert_eq!(written_index(&sent, written, there), here, "{word} with {schema}");
                }
            }
        }
    }
}
