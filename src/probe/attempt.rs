//! One attempt to run a check over a path: how long its phases took, and why it failed if it did.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::probe::label::label_enum;
use crate::source::net::dial::DialSteps;
use crate::truncate;

/// An answer, as bytes: they are compared and cached, never read.
pub type AnswerBytes = Arc<[u8]>;

label_enum! {
    /// A part of an attempt that is timed by itself; in the order in which they come.
    pub enum Phase {
        Resolve = "resolve",
        Connect = "connect",
        Tls = "tls",
        Authentication = "authentication",
        /// Waiting for a connection of the client's pool.
        Acquire = "acquire",
        Query = "query",
        /// The whole of an attempt whose answer was in the cache.
        Hit = "hit",
        /// The whole of an attempt whose answer had to be loaded.
        Miss = "miss",
        /// The whole of an attempt, from its scheduled time.
        Total = "total",
    }
}

impl Phase {
    /// Whether it is the same for every query, because it is a phase of the connection.
    pub fn is_of_connection(self) -> bool {
        self <= Phase::Acquire
    }
}

label_enum! {
    /// Why an attempt failed.
    pub enum FailureReason {
        // The path failed: its circuit breaker counts these.
        Resolve = "resolve",
        Refused = "refused",
        Timeout = "timeout",
        Tls = "tls",
        Authentication = "authentication",
        TooManyConnections = "too_many_connections",
        AcquireTimeout = "acquire_timeout",
        Starting = "starting",
        Lost = "lost",
        SessionsNotEnding = "sessions_not_ending",
        // Not tried: the circuit breaker is open, or the attempt before took so long that the next one is due.
        CircuitOpen = "circuit_open",
        Missed = "missed",
        // The path works, and the query failed.
        StatementTimeout = "statement_timeout",
        LockTimeout = "lock_timeout",
        ReadOnly = "read_only",
        TooLarge = "too_large",
        Undefined = "undefined",
        Error = "error",
    }
}

impl FailureReason {
    /// Whether the path failed, not the query.
    pub fn is_of_path(self) -> bool {
        self <= FailureReason::SessionsNotEnding
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
        AttemptError::new(FailureReason::Timeout, phase, format!("no answer in time ({})", phase.word()))
    }

    /// Whether something may still be under way on the connection, which cannot be used again.
    pub fn breaks_connection(&self) -> bool {
        self.reason.is_of_path() || self.reason == FailureReason::TooLarge
    }
}

/// What an attempt gives.
pub type AttemptResult = Result<AnswerBytes, AttemptError>;

/// The phases of an attempt, as far as it got.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub phases: Vec<(Phase, Duration)>,
    /// When the certificate expires that the server presented.
    pub certificate_expiry: Option<SystemTime>,
}

impl Trace {
    /// Records a phase that ends now.
    pub fn record(&mut self, phase: Phase, began: Instant) {
        self.phases.push((phase, began.elapsed()));
    }

    /// Records the phases that the dialler timed.
    pub fn record_dial(&mut self, steps: &DialSteps) {
        for (phase, took) in [(Phase::Resolve, steps.resolve), (Phase::Connect, steps.connect), (Phase::Tls, steps.tls)]
        {
            self.phases.extend(took.map(|took| (phase, took)));
        }
        self.certificate_expiry = steps.expires.or(self.certificate_expiry);
    }
}

/// An attempt that was made.
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
    /// Why it failed, if it did.
    pub fn reason(&self) -> Option<FailureReason> {
        self.failure.as_ref().map(|failure| failure.reason)
    }
}
