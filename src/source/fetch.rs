//! The types of a fetch: rows or an error, and the events that a source reports meanwhile.

use std::fmt;
use std::sync::Arc;

use strum::IntoStaticStr;

use crate::collector::Place;
use crate::memory_budget::MemoryBudget;
use crate::source::remedy::Remedy;
use crate::table::Table;
use crate::truncate;

/// The result of one query: the kept rows, and how many were cut by `max_rows`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub table: Arc<Table>,
    pub cut: u64,
}

/// One collector's answers, in the order of its queries.
pub type Answers = Vec<Result<Answer, FetchError>>;

/// Why there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchError {
    pub reason: Reason,
    /// What happened, for people: in the server's words where it sent any; one line, cut to a readable length. Shared,
    /// because one error may stand for every collector of a hundred databases.
    pub message: Arc<str>,
    /// The query that failed, if it was a query.
    pub query: Option<String>,
    /// The position in a collector file, if the server reported one in its SQL.
    pub place: Option<Place>,
    pub remedy: Option<Arc<Remedy>>,
}

impl FetchError {
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        FetchError { reason, message: truncate::message(message.as_ref()), query: None, place: None, remedy: None }
    }

    /// The same with its remedy, if one is known.
    pub fn with_remedy(self, remedy: Option<Remedy>) -> Self {
        FetchError { remedy: remedy.map(Arc::new), ..self }
    }

    /// The error, and what to do about it; remedies name the `user` that logs in.
    pub fn with_advice(&self, user: &str) -> String {
        self.remedy.as_ref().map_or_else(|| self.to_string(), |remedy| format!("{self}; {}", remedy.text(user)))
    }

    /// The password cannot be read.
    pub fn password(error: String) -> Self {
        FetchError::new(Reason::Authentication, format!("the password: {error}"))
    }

    /// The rows of a target need more memory than its budget.
    pub fn too_large(budget: &MemoryBudget) -> Self {
        let most = budget.bytes() >> 20;
        let message =
            format!("all rows of the target together take more than {most} MiB: fewer `max_rows`, or more `max_bytes`");
        FetchError::new(Reason::TooLarge, message)
    }

    /// The same, as an error of this query.
    pub fn in_query(self, query: &str) -> Self {
        FetchError { query: Some(query.to_owned()), ..self }
    }
}

/// Tells an answer, which may be the error of one query, from an error of the connection.
pub fn answered<T>(result: Result<T, FetchError>) -> Result<Result<T, FetchError>, FetchError> {
    match result {
        Err(error) if error.reason.is_connection() => Err(error),
        answer => Ok(answer),
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(query) = &self.query {
            write!(f, "query {query}: ")?;
        }
        write!(f, "{} ({})", self.message, self.reason.into_str())
    }
}

impl std::error::Error for FetchError {}

/// A database of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub name: String,
    /// Why all logins to it fail (`template`, `invalid`, `not_allowed`, `privilege`, `connection_limit`, `encoding`),
    /// or `None`.
    pub closed: Option<String>,
}

/// The reports of a fetch in progress.
pub enum Event {
    /// The source has answered a query.
    Answered,
    /// The databases of the server.
    Databases(Vec<Database>),
    /// The next slow collector has waited for others, and its fetch starts now.
    TurnBegan,
    /// All answers of the fetched collector with this index.
    Collected(usize, Answers),
}

/// Receives the events of a fetch.
pub type EventSink<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// The reasons; each is a word, which is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Reason {
    // The query was not sent, or an object that it reads does not exist: it is skipped.
    Role,
    Version,
    Extension,
    Undefined,
    Privilege,
    Setting,
    Unsupported,
    Closed,
    // The query was sent, and failed.
    Timeout,
    LockTimeout,
    Query,
    Columns,
    TooLarge,
    // The connection failed: the circuit breaker counts these.
    Unreachable,
    Tls,
    Authentication,
    ConnectionsExhausted,
    Starting,
    Refused,
    LoginPending,
    SessionsNotEnding,
    Lost,
}

impl Reason {
    /// The query is skipped, which is not a failure: there is nothing to return.
    pub fn is_skip(self) -> bool {
        self <= Reason::Closed
    }

    /// The connection failed, not the query.
    pub fn is_connection(self) -> bool {
        self >= Reason::Unreachable
    }
}

/// The state of a source, beside its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceStatus {
    /// As of its last answer; `None` before the first.
    pub replica: Option<bool>,
    /// We are behind a transaction pooler; each query brings its own settings.
    pub pooled: Option<bool>,
    pub major: Option<u32>,
    /// Our role is a member of pg_monitor.
    pub monitor: Option<bool>,
    /// Our role is a superuser.
    pub superuser: Option<bool>,
    /// Sessions that are open, being opened, or abandoned but not yet ended by the server.
    pub sessions: usize,
    pub login_pending: bool,
}
