//! The phases of a connection: the time limit of each, and the order in which connections are evicted.
//!
//! ```text
//!      accepted ──> FirstByte (5 s) <──(TLS only)──> Handshake (10 s)
//!                       │
//!                       │ bytes received
//!                       v        bytes received
//!               RequestHead (30 s) <───────────── Idle (360 s; 60 s while the client does not read its response)
//!                       │                           ^
//!                       │ request received          │ response ready
//!                       └────────> Answering ───────┘
//!                                (no time limit)
//!      any phase ── evicted ──> Evicted (closes at once)
//! ```
//!
//! A limit runs from the beginning of its phase, however often bytes come: a client that sends a head byte by byte
//! gains nothing. There is no limit while the client waits for us. A response is sent during `Idle`: there it matters
//! whether the client reads it.
//!
//! Eviction chooses a connection when permits run out. Connections of peers above their share go first; then those that
//! keep us waiting, by how much of their time they have used up; a connection that waits for us goes only if its peer
//! is above its share. Time used up is relative to the limit, because 4 s of silence in a new connection mean more than
//! 100 s between two scrapes.
//!
//! Three facts change independently of the phase. `is_write_blocked`: the client does not read. `has_response_pending`:
//! a response is being made or sent. `is_half_closed`: the client has closed its side; a client that has left looks
//! like this, and also one that sent its only request and waits for the response.

use std::time::Duration;

use tokio::time::Instant;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Until the first byte of a new connection, or after a handshake.
const FIRST_BYTE_LIMIT: Duration = Duration::from_secs(5);

/// From the first byte of a request to the end of its head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Until the client must have read its response, at any speed: the connection holds it until then.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Until the next request. Prometheus closes an idle connection after 5 minutes; the client should close first.
const IDLE_LIMIT: Duration = Duration::from_secs(360);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConnectionPhase {
    Handshake,
    FirstByte,
    RequestHead,
    Answering,
    Idle,
    Evicted,
}

#[derive(Clone, Copy)]
pub struct ConnectionState {
    pub phase: ConnectionPhase,
    pub since: Instant,
    pub is_write_blocked: bool,
    pub has_response_pending: bool,
    pub is_half_closed: bool,
}

/// The connection with the highest rank is evicted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvictionRank {
    /// Its peer has more than its share.
    is_over_share: bool,
    /// We wait for the client, not the client for us.
    awaits_client: bool,
    /// Millionths of its time that it has used up, or microseconds that it has waited for us.
    waited: u64,
}

impl ConnectionState {
    /// The state of a new connection.
    pub fn new() -> Self {
        ConnectionState {
            phase: ConnectionPhase::FirstByte,
            since: Instant::now(),
            is_write_blocked: false,
            has_response_pending: false,
            is_half_closed: false,
        }
    }

    /// The time limit of the phase, and the reason for closing after it.
    pub fn limit(&self) -> Option<(Duration, &'static str)> {
        match self.phase {
            ConnectionPhase::Handshake => Some((HANDSHAKE_LIMIT, "the TLS handshake timed out")),
            ConnectionPhase::FirstByte => Some((FIRST_BYTE_LIMIT, "the client sent nothing")),
            ConnectionPhase::RequestHead => Some((HEAD_LIMIT, "the head of a request timed out")),
            ConnectionPhase::Answering => None,
            ConnectionPhase::Idle if self.is_write_blocked => {
                Some((READ_LIMIT, "the client did not read its response"))
            }
            ConnectionPhase::Idle => Some((IDLE_LIMIT, "the connection was idle")),
            ConnectionPhase::Evicted => Some((Duration::ZERO, "evicted for another connection")),
        }
    }

    /// The rank; `None` if it must not be evicted.
    pub fn eviction_rank(&self, is_over_share: bool, now: Instant) -> Option<EvictionRank> {
        let since = now.saturating_duration_since(self.since).as_secs_f64();
        let (awaits_client, waited) = match self.limit() {
            _ if self.phase == ConnectionPhase::Evicted => return None,
            _ if self.is_half_closed => (true, f64::INFINITY),
            Some((limit, _)) => (true, since / limit.as_secs_f64()),
            None if is_over_share => (false, since),
            None => return None,
        };
        Some(EvictionRank { is_over_share, awaits_client, waited: (waited * 1e6) as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Later ones are evicted first; the first three are never evicted.
    #[tokio::test(start_paused = true)]
    async fn the_order_of_eviction() {
        let order = [
            ("evicted", ConnectionPhase::Evicted, 99, false, false),
            ("evicted, of a crowd", ConnectionPhase::Evicted, 99, true, true),
            ("waits for us", ConnectionPhase::Answering, 1000, false, false),
            ("just idle", ConnectionPhase::Idle, 1, false, false),
            ("idle", ConnectionPhase::Idle, 100, false, false),
            ("has begun a head", ConnectionPhase::RequestHead, 10, false, false),
            ("shakes hands", ConnectionPhase::Handshake, 4, false, false),
            ("is silent", ConnectionPhase::FirstByte, 4, false, false),
            ("has closed its side", ConnectionPhase::Answering, 0, false, true),
            ("waits for us, of a crowd", ConnectionPhase::Answering, 1, true, false),
            ("waits longer for us, of a crowd", ConnectionPhase::Answering, 2, true, false),
            ("idle, of a crowd", ConnectionPhase::Idle, 0, true, false),
            ("silent, of a crowd", ConnectionPhase::FirstByte, 1, true, false),
            ("has closed its side, of a crowd", ConnectionPhase::Answering, 0, true, true),
        ];
        let now = Instant::now() + Duration::from_secs(2000);
        let mut before = None;
        for (nth, (name, phase, seconds, is_over_share, is_half_closed)) in order.into_iter().enumerate() {
            let since = now - Duration::from_secs(seconds);
            let state = ConnectionState { phase, since, is_half_closed, ..ConnectionState::new() };
            let rank = state.eviction_rank(is_over_share, now);
            assert_eq!(rank.is_some(), nth > 2, "{name}");
            assert!(rank > before || nth <= 2, "{name}");
            before = rank;
        }
    }
}
