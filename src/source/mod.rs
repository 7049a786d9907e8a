//! Sources: what fetches a Table, and why a fetch can fail.

pub mod dial;
pub mod postgres;
pub mod tls;

use std::fmt;

use crate::{config::collector::Place, table::Table};

/// What one query gave: the rows that were kept, and how many were cut by `max_rows`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub table: Table,
    pub cut: u64,
}

/// One collector's answers, in the order of its queries.
pub type Answers = Vec<Result<Answer, FetchError>>;

/// Why there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchError {
    pub reason: Reason,
    /// For people: what happened, in the server's words where it has any.
    pub message: String,
    /// Where in a collector file, if the server pointed into its SQL.
    pub place: Option<Place>,
}

/// The reasons, each a word that is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    // Not asked, or not there to be asked: the query is skipped.
    Role,
    Version,
    Extension,
    Undefined,
    Privilege,
    Setting,
    // Asked, and failed.
    Timeout,
    LockTimeout,
    Query,
    Columns,
    TooLarge,
    // The connection failed: the breaker counts these.
    Unreachable,
    Tls,
    Authentication,
    ConnectionsExhausted,
    Starting,
    Refused,
    LoginPending,
    Lost,
}

impl Reason {
    /// The word for it, as a label's value.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Role => "role",
            Reason::Version => "version",
            Reason::Extension => "extension",
            Reason::Undefined => "undefined",
            Reason::Privilege => "privilege",
            Reason::Setting => "setting",
            Reason::Timeout => "timeout",
            Reason::LockTimeout => "lock_timeout",
            Reason::Query => "query",
            Reason::Columns => "columns",
            Reason::TooLarge => "too_large",
            Reason::Unreachable => "unreachable",
            Reason::Tls => "tls",
            Reason::Authentication => "authentication",
            Reason::ConnectionsExhausted => "connections_exhausted",
            Reason::Starting => "starting",
            Reason::Refused => "refused",
            Reason::LoginPending => "login_pending",
            Reason::Lost => "lost",
        }
    }

    /// The query is skipped, not failed: nothing is wrong with the answer, there is none to be had.
    pub fn is_skip(self) -> bool {
        self <= Reason::Setting
    }

    /// The connection failed, and not the query.
    pub fn is_connection(self) -> bool {
        self >= Reason::Unreachable
    }
}

impl FetchError {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        FetchError { reason, message: message.into(), place: None }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
        }
        write!(f, "{} ({})", self.message, self.reason.word())
    }
}

impl std::error::Error for FetchError {}
