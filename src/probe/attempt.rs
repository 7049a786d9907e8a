//! One attempt to use a path: how long its phases took, and why it failed if it did.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{source::net::dial::DialSteps, truncate};

/// A part of an attempt that is timed by itself; in the order of their coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Resolve,
    Connect,
    Tls,
    Authentication,
    /// A connection was waited for at the client's pool.
    Acquire,
    Query,
    /// All of an attempt whose answer was in the cache.
    Hit,
    /// All of one whose answer had to be loaded.
    Miss,
    /// All of it, from when it should have begun.
    Total,
}

impl Phase {
    /// The word for it, as a label's value.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Authentication => "authentication",
            Phase::Acquire => "acquire",
            Phase::Query => "query",
            Phase::Hit => "hit",
            Phase::Miss => "miss",
            Phase::Total => "total",
        }
    }

    /// A connection has these, whatever is asked over it.
    pub fn is_of_connection(self) -> bool {
        self <= Phase::Acquire
    }
}

/// Why an attempt failed; each a word that is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    // The path failed: its breaker counts these.
    Resolve,
    Refused,
    Timeout,
    Tls,
    Authentication,
    TooManyConnections,
    AcquireTimeout,
    Starting,
    Lost,
    SessionsNotEnding,
    // Not tried: the breaker is open, or the attempt before took so long that the next was due.
    CircuitOpen,
    Missed,
    // The path works, and the query failed.
    StatementTimeout,
    LockTimeout,
    ReadOnly,
    TooLarge,
    Undefined,
    Error,
}

impl FailureReason {
    /// The word for it, as a label's value.
    pub fn word(self) -> &'static str {
        match self {
            FailureReason::Resolve => "resolve",
            FailureReason::Refused => "refused",
            FailureReason::Timeout => "timeout",
            FailureReason::Tls => "tls",
            FailureReason::Authentication => "authentication",
            FailureReason::TooManyConnections => "too_many_connections",
            FailureReason::AcquireTimeout => "acquire_timeout",
            FailureReason::Starting => "starting",
            FailureReason::Lost => "lost",
            FailureReason::SessionsNotEnding => "sessions_not_ending",
            FailureReason::CircuitOpen => "circuit_open",
            FailureReason::Missed => "missed",
            FailureReason::StatementTimeout => "statement_timeout",
            FailureReason::LockTimeout => "lock_timeout",
            FailureReason::ReadOnly => "read_only",
            FailureReason::TooLarge => "too_large",
            FailureReason::Undefined => "undefined",
            FailureReason::Error => "error",
        }
    }

    /// The path failed, and not the query.
    pub fn is_of_path(self) -> bool {
        self <= FailureReason::SessionsNotEnding
    }
}

/// A failure, the phase it came in, and what happened, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptError {
    pub reason: FailureReason,
    pub phase: Phase,
    pub message: Arc<str>,
}

impl AttemptError {
    pub fn new(reason: FailureReason, phase: Phase, message: impl AsRef<str>) -> Self {
        AttemptError { reason, phase, message: truncate::message(message.as_ref()) }
    }
}

/// The phases that an attempt has been through.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub phases: Vec<(Phase, Duration)>,
    /// When the certificate ends that the server has shown.
    pub expires: Option<SystemTime>,
}

impl Trace {
    /// Notes how long a phase took that has begun then and ends now.
    pub fn ended(&mut self, phase: Phase, began: Instant) {
        self.phases.push((phase, began.elapsed()));
    }

    /// Notes what the dialler has timed.
    pub fn dialled(&mut self, steps: &DialSteps) {
        let timed = [(Phase::Resolve, steps.resolve), (Phase::Connect, steps.connect), (Phase::Tls, steps.tls)];
        self.phases.extend(timed.into_iter().filter_map(|(phase, took)| Some((phase, took?))));
        self.expires = steps.expires.or(self.expires);
    }
}
