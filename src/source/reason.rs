//! Why there are no rows, in words that are also the values of a label.

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
    Unsupported,
    Closed,
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
    SessionsNotEnding,
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
            Reason::Unsupported => "unsupported",
            Reason::Closed => "closed",
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
            Reason::SessionsNotEnding => "sessions_not_ending",
            Reason::Lost => "lost",
        }
    }

    /// The query is skipped, not failed: nothing is wrong with the answer, there is none to be had.
    pub fn is_skip(self) -> bool {
        self <= Reason::Closed
    }

    /// The connection failed, and not the query.
    pub fn is_connection(self) -> bool {
        self >= Reason::Unreachable
    }
}
