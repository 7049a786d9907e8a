//! Maps PostgreSQL's errors to reasons by SQLSTATE, so that code can branch and people can read them.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition, Severity, SqlState};

use crate::collector::{EXTENSION_SCHEMA, Place, Variant};
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::LoginRefused;
use crate::source::postgres::remedy;
use crate::source::remedy::Remedy;

/// Why a login or a query failed: an error of the driver (from the server or the connection), or one of our own.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum PostgresError {
    Driver(#[from] Error),
    Fetch(#[from] FetchError),
}

impl PostgresError {
    /// The error of a query, with the position in the collector's file that the server reports, or else that of its
    /// SQL.
    pub fn into_fetch_error(self, sent_sql: &str, variant: Option<&Variant>) -> FetchError {
        let (error, pointed) = match self {
            PostgresError::Fetch(error) => (error, None),
            PostgresError::Driver(error) => {
                let place = variant.and_then(|variant| place(&error, sent_sql, &variant.text, &variant.place));
                (from_query(&error), place)
            }
        };
        let sql = variant.filter(|_| !error.reason.is_connection()).map(|variant| variant.place.clone());
        FetchError { place: pointed.or(sql), ..error }
    }

    /// The error of a login to the target's own database, or to another one of its server.
    pub fn of_login(self, is_own_database: bool) -> FetchError {
        match self {
            PostgresError::Fetch(error) => error,
            PostgresError::Driver(error) if is_own_database => from_login(&error),
            PostgresError::Driver(error) => from_database_login(&error),
        }
    }
}

/// The meaning of an error of a query.
pub fn from_query(error: &Error) -> FetchError {
    match error.as_db_error() {
        // A pooler in statement mode never accepts our transactions.
        Some(db) if db.message().contains("statement pooling mode") => from_server(Reason::Refused, db),
        Some(db) if is_end_of_session(db) => from_server(Reason::Lost, db),
        // A prepared statement whose table was changed since.
        Some(db) if db.routine() == Some("RevalidateCachedQuery") => from_server(Reason::Query, db),
        Some(db) => from_server(query_reason(db), db),
        None => FetchError::new(Reason::Lost, format!("connection lost: {}", causes(error))),
    }
}

/// The login has led into the console of a PgBouncer, by the name of its database.
pub fn of_console() -> FetchError {
    let advice = "watch it with the key `pgbouncer`, or name a database of the server behind it in `dbname`";
    let error = FetchError::new(Reason::Refused, "this is the console of a PgBouncer, not a PostgreSQL server");
    error.with_remedy(Some(Remedy::Advice(advice.into())))
}

/// The meaning of an error of a login to a database that is not the target's own. The target's own login works, so an
/// error that concerns this database alone comes from its setup, and is not a failure.
fn from_database_login(error: &Error) -> FetchError {
    match error.as_db_error().filter(|db| is_database_setup(db)) {
        Some(db) => described(Reason::Closed, "cannot log in to the database: ", db),
        None => from_login(error),
    }
}

/// pg_hba.conf has no line for the database, or one that rejects; CONNECT is revoked; no connections are allowed, or
/// the limit is reached; it is dropped, or half dropped; its login trigger raises an error; the pooler does not know
/// it. A wrong password, a role that may not log in anywhere, and a server that is full or starting do not concern the
/// database.
fn is_database_setup(db: &DbError) -> bool {
    let code = db.code().code();
    match db.routine() {
        Some("InitializeSessionUserId") => false,
        Some("CheckMyDatabase") => true,
        // A pooler passes the server's message on without its code.
        _ if code == "08P01" => !SERVER_WIDE.iter().any(|words| db.message().contains(words)),
        _ => ["25", "28000", "3D", "42", "55000", "P0"].iter().any(|prefix| code.starts_with(prefix)),
    }
}

/// Words in a pooler's messages that concern the pooler or its server, not one database.
const SERVER_WIDE: [&str; 12] = [
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

/// The meaning of an error of a login.
pub fn from_login(error: &Error) -> FetchError {
    let Some(db) = error.as_db_error() else { return of_failed_login(error) };
    let reason = match db.code() {
        code if code.code().starts_with("28") => Reason::Authentication,
        // PgBouncer sends 08P01 with most refusals.
        _ if db.message().contains("authentication failed") => Reason::Authentication,
        _ if db.message().starts_with("no more connections allowed") => Reason::ConnectionsExhausted,
        &SqlState::TOO_MANY_CONNECTIONS => Reason::ConnectionsExhausted,
        &SqlState::CANNOT_CONNECT_NOW => Reason::Starting,
        // Only this session was ended; another login may succeed.
        &SqlState::ADMIN_SHUTDOWN => Reason::Lost,
        _ => Reason::Refused,
    };
    from_server(reason, db)
}

/// A login that failed without a message from the server: a missing setting on our side, or the connection.
fn of_failed_login(error: &Error) -> FetchError {
    if let Some(refused) = refused(error) {
        return FetchError::new(Reason::Authentication, refused.to_string());
    }
    let cause = causes(error);
    let what = error.to_string();
    if !what.starts_with("invalid configuration") && !what.starts_with("authentication error") {
        return FetchError::new(Reason::Lost, format!("login failed: {cause}"));
    }
    let message = if asks_for_password(error) {
        "the server asks for a password and none is set: add `password`".to_owned()
    } else if cause.contains("did not use channel binding") {
        "channel_binding=require, and the server did not offer it: it binds SCRAM-SHA-256 over TLS only, with a certificate that is not signed with Ed25519".to_owned()
    } else {
        format!("login failed: {cause}")
    };
    FetchError::new(Reason::Authentication, message)
}

/// The server asks for a password, and none is set.
pub fn asks_for_password(error: &Error) -> bool {
    causes(error).contains("password missing")
}

/// The server's authentication request that our side refused.
fn refused(error: &Error) -> Option<&LoginRefused> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// The pooler refuses our startup options.
pub fn is_refused_option(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| db.message().contains("unsupported startup parameter"))
}

fn is_end_of_session(db: &DbError) -> bool {
    matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || db.code().code().starts_with("08")
}

fn query_reason(db: &DbError) -> Reason {
    match db.code().code() {
        // The server cannot convert a text of another database to this database's encoding.
        "22P05" | "22021" => Reason::Unsupported,
        "42883" if db.message().starts_with("default conversion function") => Reason::Unsupported,
        "57014" => Reason::Timeout,
        "55P03" => Reason::LockTimeout,
        "42501" => Reason::Privilege,
        // A table, column, function, schema or object that does not exist.
        "42P01" | "42703" | "42883" | "3F000" | "42704" => Reason::Undefined,
        // "pg_stat_statements must be loaded via shared_preload_libraries"
        "55000" => Reason::Setting,
        // A managed service has removed the function.
        "0A000" => Reason::Unsupported,
        _ => Reason::Query,
    }
}

fn from_server(reason: Reason, db: &DbError) -> FetchError {
    described(reason, "", db)
}

fn described(reason: Reason, what: &str, db: &DbError) -> FetchError {
    let (code, message) = (db.code().code(), db.message());
    FetchError::new(reason, format!("{what}{message} [{code}]")).with_remedy(remedy::find(code, message))
}

fn causes(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The position in the collector's file that the server points to: `sent` is the SQL after substitution, `written` the
/// text in the file, which begins at `start`.
fn place(error: &Error, sent: &str, written: &str, start: &Place) -> Option<Place> {
    let Some(ErrorPosition::Original(position)) = error.as_db_error()?.position() else { return None };
    let index = (*position as usize).checked_sub(1)?;
    Some(start.within(written, written_index(sent, written, index)))
}

/// The index in `written` of the character at `index` in `sent`, which differs by substitutions only.
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
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;
    use tokio_postgres::{Config, NoTls};

    use super::*;
    use crate::source::postgres::fake_server::{self, FakeReply};

    async fn error_of(reply: impl Fn() -> FakeReply + Send + Sync + 'static) -> Error {
        fake_server::client(Arc::new(move |_| reply())).await.expect_err("the login fails")
    }

    #[tokio::test]
    async fn errors_have_the_reasons_of_what_was_tried() {
        use Reason::*;
        // Severity, code, message, routine; then the reasons for a query, a login, and a login to another database.
        let cases = [
            (("ERROR", "08P01", "not in statement pooling mode", ""), [Refused, Refused, Closed]),
            (("FATAL", "57P01", "terminating connection", ""), [Lost, Lost, Lost]),
            (("PANIC", "XX000", "panic", ""), [Lost, Refused, Refused]),
            (("ERROR", "08006", "connection failure", ""), [Lost, Refused, Refused]),
            (("ERROR", "0A000", "the plan's result type changed", "RevalidateCachedQuery"), [Query, Refused, Refused]),
            (("ERROR", "0A000", "not on this service", ""), [Unsupported, Refused, Refused]),
            (("ERROR", "22P05", "no equivalent in encoding", ""), [Unsupported, Refused, Refused]),
            (("ERROR", "22021", "invalid byte sequence", ""), [Unsupported, Refused, Refused]),
            (("ERROR", "42883", "default conversion function is missing", ""), [Unsupported, Refused, Closed]),
            (("ERROR", "42883", "function f() does not exist", ""), [Undefined, Refused, Closed]),
            (("ERROR", "42P01", "relation does not exist", ""), [Undefined, Refused, Closed]),
            (("ERROR", "57014", "canceling statement", ""), [Timeout, Refused, Refused]),
            (("ERROR", "55P03", "lock timeout", ""), [LockTimeout, Refused, Refused]),
            (("ERROR", "42501", "permission denied", ""), [Privilege, Refused, Closed]),
            (("ERROR", "55000", "must be loaded", ""), [Setting, Refused, Closed]),
            (("ERROR", "22012", "division by zero", ""), [Query, Refused, Refused]),
            (("FATAL", "28P01", "password authentication failed", ""), [Lost, Authentication, Authentication]),
            (("FATAL", "28000", "no pg_hba.conf entry", ""), [Lost, Authentication, Closed]),
            (("FATAL", "28000", "no such role", "InitializeSessionUserId"), [Lost, Authentication, Authentication]),
            (("FATAL", "08P01", "password authentication failed", ""), [Lost, Authentication, Authentication]),
            (("FATAL", "08P01", "no more connections allowed", ""), [Lost, ConnectionsExhausted, ConnectionsExhausted]),
            (("FATAL", "08P01", "no such database: x", ""), [Lost, Refused, Closed]),
            (("FATAL", "08P01", "server login has been failing", ""), [Lost, Refused, Refused]),
            (("FATAL", "53300", "too many clients", ""), [Lost, ConnectionsExhausted, ConnectionsExhausted]),
            (("FATAL", "53300", "too many for database x", "CheckMyDatabase"), [Lost, ConnectionsExhausted, Closed]),
            (("FATAL", "57P03", "starting up", ""), [Lost, Starting, Starting]),
            (("FATAL", "3D000", "database does not exist", ""), [Lost, Refused, Closed]),
            (("FATAL", "25006", "read-only transaction", ""), [Lost, Refused, Closed]),
            (("FATAL", "P0001", "raised by a trigger", ""), [Lost, Refused, Closed]),
        ];
        for ((severity, code, message, routine), reasons) in cases {
            let fields = [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message), (b'R', routine)];
            let error = error_of(move || FakeReply::Error(fields.into())).await;
            let found = [from_query(&error), from_login(&error), from_database_login(&error)];
            assert_eq!(found.each_ref().map(|error| error.reason), reasons, "{code} {message}");
            assert_eq!(*found[0].message, *format!("{message} [{code}]"));
            let closed = if reasons[2] == Closed { "cannot log in to the database: " } else { "" };
            assert_eq!(*found[2].message, *format!("{closed}{message} [{code}]"));
            assert!(!is_refused_option(&error));
        }
        let refused = error_of(|| fake_server::error("08P01", "unsupported startup parameter in options: x")).await;
        assert!(is_refused_option(&refused));
    }

    #[tokio::test]
    async fn errors_without_a_message_of_the_server() {
        let closed = error_of(|| FakeReply::Disconnect).await;
        let (query, login) = (from_query(&closed), from_login(&closed));
        assert_eq!((query.reason, &*query.message), (Reason::Lost, "connection lost: connection closed"));
        assert_eq!((login.reason, &*login.message), (Reason::Lost, "login failed: connection closed"));
        for (asked, message) in
            [(3, "the server asks for a password and none is set: add `password`"), (7, "login failed: unsupported")]
        {
            let (ours, mut theirs) = tokio::io::duplex(1000);
            theirs.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, asked]).await.unwrap();
            let error = Config::new().user("u").connect_raw(ours, NoTls).await.err().expect("the login fails");
            let login = from_login(&error);
            assert_eq!(login.reason, Reason::Authentication);
            assert!(login.message.starts_with(message), "{}", login.message);
        }
    }

    #[tokio::test]
    async fn an_error_has_the_place_that_the_server_points_to_or_that_of_the_sql() {
        let text = "SELECT a\nFROM @extschema@.x".to_owned();
        let place = Place { file: "c.yaml".into(), line: 3, column: 5 };
        let variant = Variant { since: 13, until: None, text, place: place.clone() };
        // The character before `x`, counted from 1, in the SQL that was sent.
        for (position, expected) in [("18", variant.place.within(&variant.text, 25)), ("", variant.place.clone())] {
            let fields = [(b'S', "ERROR"), (b'C', "42P01"), (b'M', "no x"), (b'P', position)];
            let fields = fields.into_iter().filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>();
            let error = error_of(move || FakeReply::Error(fields.clone())).await;
            let error = PostgresError::from(error).into_fetch_error("SELECT a\nFROM ext.x", Some(&variant));
            assert_eq!((error.reason, error.place), (Reason::Undefined, Some(expected)), "{position}");
        }
        let lost = PostgresError::from(error_of(|| FakeReply::Disconnect).await).into_fetch_error("", Some(&variant));
        assert_eq!((lost.reason, lost.place), (Reason::Lost, None));
        let ours = PostgresError::from(FetchError::new(Reason::Columns, "x")).into_fetch_error("", Some(&variant));
        assert_eq!((ours.reason, ours.place), (Reason::Columns, Some(place)));
    }

    #[test]
    fn positions_survive_substitution() {
        let written = "a @extschema@ b @extschema@ c";
        for (schema, expected) in [
            ("s1", [0, 1, 2, 2, 13, 14, 15, 16, 16, 27, 28, 29].as_slice()),
            ("\"a long schema\"", &[0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 13, 14, 15, 16]),
        ] {
            let sent = written.replace(EXTENSION_SCHEMA, schema);
            let found: Vec<_> = (0..expected.len()).map(|index| written_index(&sent, written, index)).collect();
            assert_eq!(found, expected, "{sent}");
        }
        assert_eq!(written_index("SELECT x", "SELECT x", 7), 7);
    }
}
