//! What a connection waits for, for how long it may, and how readily its place is given to another.

use std::time::Duration;

use tokio::time::Instant;

/// Until hands are shaken, where that is TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Until a new connection has said something.
const SILENT_LIMIT: Duration = Duration::from_secs(5);

/// From the first byte of a request to the end of its head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Until an answer must have been taken, however slowly: until then its connection holds it.
const TAKE_LIMIT: Duration = Duration::from_secs(60);

/// Until the next request. Prometheus lets go of a connection after 5 minutes; who closes first should be the one who asks.
const IDLE_LIMIT: Duration = Duration::from_secs(360);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waiting {
    /// The client's part of a handshake.
    Handshake,
    /// The client's first word.
    First,
    /// The rest of a request's head.
    Head,
    /// Us.
    Answer,
    /// The client's next request.
    Next,
    /// Nothing: another needs its place.
    Given,
}

/// How a connection stands.
#[derive(Clone, Copy)]
pub struct ConnectionState {
    pub waits: Waiting,
    pub since: Instant,
    /// The client does not take what it was sent.
    pub blocked: bool,
    /// The client has an answer to come, or in part.
    pub owed: bool,
    /// The client has closed its side.
    pub left: bool,
}

impl ConnectionState {
    /// Of a connection that is new.
    pub fn new() -> Self {
        ConnectionState { waits: Waiting::First, since: Instant::now(), blocked: false, owed: false, left: false }
    }

    /// For how long it may wait, and what is said then. We are waited for without end.
    pub fn limit(&self) -> Option<(Duration, &'static str)> {
        match self.waits {
            Waiting::Handshake => Some((HANDSHAKE_LIMIT, "hands were not shaken")),
            Waiting::First => Some((SILENT_LIMIT, "nothing was said")),
            Waiting::Head => Some((HEAD_LIMIT, "a request's head did not come to its end")),
            Waiting::Answer => None,
            Waiting::Next if self.blocked => Some((TAKE_LIMIT, "an answer was not taken")),
            Waiting::Next => Some((IDLE_LIMIT, "nothing more was asked")),
            Waiting::Given => Some((Duration::ZERO, "its place was needed")),
        }
    }

    /// How readily its place is given to another; the highest goes first. `None`: it stays.
    pub fn dispensable(&self, crowds: bool, now: Instant) -> Option<EvictionRank> {
        let waited = now.saturating_duration_since(self.since).as_secs_f64();
        let used = match self.limit() {
            // Who was asked to go already is not asked again.
            _ if self.waits == Waiting::Given => return None,
            _ if self.left => f64::INFINITY,
            Some((limit, _)) => waited / limit.as_secs_f64(),
            None if crowds => return Some((crowds, false, waited)),
            None => return None,
        };
        Some((crowds, true, used))
    }
}

/// Its peer has more than its share; it keeps us waiting; how much of its time it has used up, or how long it has waited for us.
pub type EvictionRank = (bool, bool, f64);
