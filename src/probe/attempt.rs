//! One attempt to run a check over a path: the durations of its phases, and its failure if there was one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strum::IntoStaticStr;
use tokio::time::Instant;

use crate::source::fetch::Reason;
use crate::source::net::dial::DialSteps;
use crate::truncate;

/// An answer, as bytes: they are compared and cached, but never interpreted.
pub type AnswerBytes = Arc<[u8]>;

/// A part of an attempt that is timed separately; in chronological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Phase {
    Resolve,
    Connect,
    Tls,
    Authentication,
    /// Waiting for a connection of the client's pool.
    Acquire,
    Query,
    /// A whole attempt whose answer was in the cache.
    Hit,
    /// A whole attempt whose answer had to be loaded.
    Miss,
    /// A whole attempt, from its scheduled time.
    Total,
}

impl Phase {
    /// Returns whether the phase belongs to the connection, and so is the same for every query.
    pub fn is_of_connection(self) -> bool {
        self <= Phase::Acquire
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum FailureReason {
    // The path failed: its circuit breaker counts these.
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
    // Not tried: the circuit breaker is open, or the previous attempt took until the next one was due.
    CircuitOpen,
    Missed,
    // The path works, but the query failed.
    StatementTimeout,
    LockTimeout,
    ReadOnly,
    TooLarge,
    Undefined,
    Error,
}

impl FailureReason {
    /// Returns whether the path failed, not the query.
    pub fn is_of_path(self) -> bool {
        self <= FailureReason::SessionsNotEnding
    }
}

impl From<Reason> for FailureReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Tls => FailureReason::Tls,
            Reason::Authentication => FailureReason::Authentication,
            Reason::ConnectionsExhausted => FailureReason::TooManyConnections,
            Reason::Starting => FailureReason::Starting,
            Reason::Lost => FailureReason::Lost,
            Reason::SessionsNotEnding => FailureReason::SessionsNotEnding,
            Reason::LockTimeout => FailureReason::LockTimeout,
            Reason::Undefined => FailureReason::Undefined,
            _ => FailureReason::Error,
        }
    }
}

/// A failure, the phase in which it happened, and a message for people.
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

    /// The deadline passed in this phase.
    pub fn timeout(phase: Phase) -> Self {
        AttemptError::new(FailureReason::Timeout, phase, format!("no answer in time ({})", phase.into_str()))
    }

    /// Returns whether the connection may still be busy, and so cannot be used again.
    pub fn breaks_connection(&self) -> bool {
        self.reason.is_of_path() || self.reason == FailureReason::TooLarge
    }
}

/// The result of an attempt.
pub type AttemptResult = Result<AnswerBytes, AttemptError>;

/// The phases of an attempt, as far as it got.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub phases: Vec<(Phase, Duration)>,
    /// The expiry of the server's certificate.
    pub certificate_expiry: Option<SystemTime>,
}

impl Trace {
    /// Records a phase that ends now.
    pub fn record(&mut self, phase: Phase, began: Instant) {
        self.phases.push((phase, began.elapsed()));
    }

    /// Records the phases timed by the dialler.
    pub fn record_dial(&mut self, steps: &DialSteps) {
        for (phase, took) in [(Phase::Resolve, steps.resolve), (Phase::Connect, steps.connect), (Phase::Tls, steps.tls)]
        {
            self.phases.extend(took.map(|took| (phase, took)));
        }
        self.certificate_expiry = steps.expires.or(self.certificate_expiry);
    }
}

/// A finished attempt.
#[derive(Clone, Debug)]
pub struct PathAttempt {
    pub at: SystemTime,
    pub query: String,
    /// From its scheduled time to its end.
    pub took: Duration,
    pub trace: Trace,
    pub failure: Option<AttemptError>,
}

impl PathAttempt {
    /// The reason of its failure, if it failed.
    pub fn reason(&self) -> Option<FailureReason> {
        self.failure.as_ref().map(|failure| failure.reason)
    }
}
