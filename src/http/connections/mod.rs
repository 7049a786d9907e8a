//! Limits the number of open connections, and closes one when permits run out ([`state`] has the rules).
//!
//! A client that closes its side may still wait for its response, or may have left; the two look the same. It gets its
//! response, but only the newest few such clients are waited for: the others are evicted, and their responses are
//! dropped. The same holds for clients that send more after a request, because hyper does not read on then, and would
//! not see them close.

mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::http::connections::state::{ConnectionPhase, ConnectionState};
use crate::http::listen::Peer;

/// The maximum of connections. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 3072;

/// How long an evicted connection may take to close, before another is evicted too.
const EVICTION_TIMEOUT: Duration = Duration::from_millis(100);

/// The maximum of half-closed connections that are waited for.
const MAX_HALF_CLOSED: usize = 16;

/// All connections of the server.
pub struct Connections {
    permits: Arc<Semaphore>,
    table: Mutex<ConnectionTable>,
}

#[derive(Default)]
struct ConnectionTable {
    /// By number, which is the order in which they were accepted.
    open: BTreeMap<u64, OpenConnection>,
    count_by_peer: HashMap<Peer, usize>,
    /// In the order in which they were half-closed.
    half_closed: VecDeque<u64>,
}

struct OpenConnection {
    peer: Peer,
    state: watch::Sender<ConnectionState>,
}

impl OpenConnection {
    fn evict(&self) {
        self.state.send_modify(|state| state.phase = ConnectionPhase::Evicted);
    }
}

impl ConnectionTable {
    /// Adds an accepted connection; returns its number.
    fn add(&mut self, connection: OpenConnection) -> u64 {
        let number = self.open.last_key_value().map_or(0, |(newest, _)| newest + 1);
        *self.count_by_peer.entry(connection.peer).or_default() += 1;
        self.open.insert(number, connection);
        number
    }

    fn remove(&mut self, number: u64) {
        self.half_closed.retain(|other| *other != number);
        let Some(connection) = self.open.remove(&number) else { return };
        if let Some(count) = self.count_by_peer.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.count_by_peer.remove(&connection.peer);
            }
        }
    }

    fn evict_one(&self, now: Instant) {
        let share = self.open.len() / self.count_by_peer.len().max(1);
        let candidates = self.open.values().filter_map(|connection| {
            let is_over_share = self.count_by_peer.get(&connection.peer) > Some(&share);
            Some((connection.state.borrow().eviction_rank(is_over_share, now)?, connection))
        });
        if let Some((_, connection)) = candidates.max_by_key(|(rank, _)| *rank) {
            connection.evict();
        }
    }

    /// Adds a half-closed connection; above the maximum, the oldest is evicted.
    fn add_half_closed(&mut self, number: u64) {
        self.half_closed.push_back(number);
        while self.half_closed.len() > MAX_HALF_CLOSED {
            let oldest = self.half_closed.pop_front();
            if let Some(connection) = oldest.and_then(|oldest| self.open.get(&oldest)) {
                connection.evict();
            }
        }
    }
}

impl Connections {
    /// Half of the allowed open files are reserved for our connections to servers.
    pub fn new(max_files: usize) -> Arc<Connections> {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS.min(max_files / 2)));
        Arc::new(Connections { permits, table: Mutex::default() })
    }

    /// Waits for a permit, and evicts connections if there is none.
    pub async fn acquire(&self) -> OwnedSemaphorePermit {
        loop {
            if self.permits.available_permits() == 0 {
                self.table.lock().evict_one(Instant::now());
            }
            if let Ok(Ok(permit)) = timeout(EVICTION_TIMEOUT, self.permits.clone().acquire_owned()).await {
                return permit;
            }
        }
    }

    /// Gives a permit to an accepted connection of this peer.
    pub fn open(self: &Arc<Connections>, peer: Peer, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        let state = watch::Sender::new(ConnectionState::new());
        let number = self.table.lock().add(OpenConnection { peer, state: state.clone() });
        ConnectionPermit { connections: self.clone(), number, state, _permit: permit }
    }
}

/// The permit of a connection. Others report to it what happens on the connection, and it decides when that must end.
pub struct ConnectionPermit {
    connections: Arc<Connections>,
    number: u64,
    state: watch::Sender<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    pub fn handshake_started(&self) {
        self.enter(ConnectionPhase::Handshake, &[ConnectionPhase::FirstByte]);
    }

    pub fn handshake_done(&self) {
        self.enter(ConnectionPhase::FirstByte, &[ConnectionPhase::Handshake]);
    }

    pub fn bytes_received(&self) {
        self.enter(ConnectionPhase::RequestHead, &[ConnectionPhase::FirstByte, ConnectionPhase::Idle]);
    }

    /// The head of a request is complete.
    pub fn request_received(&self) {
        // From `Idle` if the request came right after another.
        self.enter(ConnectionPhase::Answering, &[ConnectionPhase::RequestHead, ConnectionPhase::Idle]);
        self.state.send_modify(|state| state.has_response_pending = true);
    }

    pub fn response_ready(&self) {
        self.enter(ConnectionPhase::Idle, &[ConnectionPhase::Answering]);
    }

    /// The response is sent, or abandoned.
    pub fn response_done(&self) {
        self.state.send_modify(|state| state.has_response_pending = false);
    }

    /// The client still has to get a response, or the rest of one.
    pub fn has_response_pending(&self) -> bool {
        let state = self.state.borrow();
        // hyper drops a body after reading its last piece, which the client may not have read yet.
        state.has_response_pending || state.is_write_blocked
    }

    /// The client has closed its side before its response was sent, or could close it unnoticed.
    pub fn half_closed(&self) {
        let is_first = self.state.send_if_modified(|state| !std::mem::replace(&mut state.is_half_closed, true));
        if is_first {
            self.connections.table.lock().add_half_closed(self.number);
        }
    }

    /// Records whether the last write was refused.
    pub fn set_write_blocked(&self, is_blocked: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.is_write_blocked, is_blocked) != is_blocked);
    }

    fn enter(&self, phase: ConnectionPhase, from: &[ConnectionPhase]) {
        self.state.send_if_modified(|state| {
            let is_left = from.contains(&state.phase);
            if is_left {
                *state = ConnectionState { phase, since: Instant::now(), ..*state };
            }
            is_left
        });
    }

    /// Waits until a phase has taken too long, or the connection is evicted; returns the reason for closing it.
    pub async fn timed_out(&self) -> &'static str {
        let mut states = self.state.subscribe();
        loop {
            let state = *states.borrow_and_update();
            match state.limit() {
                None => _ = states.changed().await,
                Some((limit, reason)) => {
                    if timeout_at(state.since + limit, states.changed()).await.is_err() {
                        return reason;
                    }
                }
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.table.lock().remove(self.number);
    }
}
