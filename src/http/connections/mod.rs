//! Who is connected, and what each connection waits for. One that keeps us waiting is cut when its time is up, or, where places run out, when
//! of all that wait it has used up most of its time. Then each peer has a share of the places, and who has more loses one first.
//!
//! A client that closes its side may still wait for its answer, or have gone; which of them cannot be seen. It gets its answer, but of
//! such clients only few are waited for at a time, the newest: what is made for the others ends. So it is with those who send more behind a
//! request: that they close their side is not seen.

mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout, timeout_at},
};

use crate::http::{
    connections::state::{ConnectionState, EvictionRank, Waiting},
    listen::Peer,
};

/// Connections at a time. More wait in the kernel's queue.
const MOST: usize = 3072;

/// How long one who was asked to go may take, before another is asked too.
const GO_LIMIT: Duration = Duration::from_millis(100);

/// Clients that have closed their side and may still wait for an answer.
const MOST_LEFT: usize = 16;

/// The places for connections.
pub struct Connections {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
    next: AtomicU64,
}

#[derive(Default)]
struct Taken {
    /// In the order of their coming.
    places: BTreeMap<u64, (Peer, watch::Sender<ConnectionState>)>,
    /// How many each has.
    peers: HashMap<Peer, usize>,
    /// Whose clients have closed their side, in that order.
    left: VecDeque<u64>,
}

impl Taken {
    fn add(&mut self, number: u64, peer: Peer, state: watch::Sender<ConnectionState>) {
        *self.peers.entry(peer).or_default() += 1;
        self.places.insert(number, (peer, state));
    }

    fn remove(&mut self, number: u64) {
        self.left.retain(|left| *left != number);
        let Some((peer, _)) = self.places.remove(&number) else { return };
        if let Some(count) = self.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
    }

    /// Who can be spared most.
    fn most_dispensable(&self, now: Instant) -> Option<&watch::Sender<ConnectionState>> {
        let share = self.places.len() / self.peers.len().max(1);
        let crowds = |peer: &Peer| self.peers.get(peer).is_some_and(|count| *count > share);
        let spared = self.places.values().filter_map(|(peer, state)| {
            let dispensable = state.borrow().dispensable(crowds(peer), now)?;
            Some((dispensable, state))
        });
        let order = |one: &EvictionRank, other: &EvictionRank| {
            (one.0, one.1).cmp(&(other.0, other.1)).then(one.2.total_cmp(&other.2))
        };
        spared.max_by(|(one, _), (other, _)| order(one, other)).map(|(_, state)| state)
    }

    /// Another client has closed its side; the oldest of too many is not waited for.
    fn left(&mut self, number: u64) {
        self.left.push_back(number);
        while self.left.len() > MOST_LEFT {
            let oldest = self.left.pop_front();
            if let Some((_, state)) = oldest.and_then(|oldest| self.places.get(&oldest)) {
                give(state);
            }
        }
    }
}

fn give(state: &watch::Sender<ConnectionState>) {
    state.send_modify(|state| state.waits = Waiting::Given);
}

impl Connections {
    /// Half of the files that may be open are for the servers.
    pub fn new(files: usize) -> Arc<Connections> {
        let free = Arc::new(Semaphore::new(MOST.min(files / 2)));
        Arc::new(Connections { free, taken: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// A free place, or that of another.
    pub async fn free(self: &Arc<Connections>) -> Free {
        loop {
            let free = self.free.clone();
            if free.available_permits() == 0 {
                self.ask_one_to_go();
            }
            if let Ok(Ok(permit)) = timeout(GO_LIMIT, free.acquire_owned()).await {
                return Free { places: self.clone(), permit };
            }
        }
    }

    fn ask_one_to_go(&self) {
        if let Some(state) = self.taken.lock().most_dispensable(Instant::now()) {
            give(state);
        }
    }
}

/// A place that nobody has yet.
pub struct Free {
    places: Arc<Connections>,
    permit: OwnedSemaphorePermit,
}

impl Free {
    /// Gives it to this peer.
    pub fn take(self, peer: Peer) -> ConnectionPermit {
        let number = self.places.next.fetch_add(1, Ordering::Relaxed);
        let state = watch::Sender::new(ConnectionState::new());
        self.places.taken.lock().add(number, peer, state.clone());
        ConnectionPermit { places: self.places, number, state, _permit: self.permit }
    }
}

/// The place of a connection.
pub struct ConnectionPermit {
    places: Arc<Connections>,
    number: u64,
    state: watch::Sender<ConnectionState>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    /// Before anything is said, hands are to be shaken.
    pub fn shakes(&self) {
        self.turn(|waits| waits == Waiting::First, Waiting::Handshake);
    }

    /// Hands are shaken.
    pub fn shaken(&self) {
        self.turn(|waits| waits == Waiting::Handshake, Waiting::First);
    }

    /// The client has sent something.
    pub fn heard(&self) {
        self.turn(|waits| matches!(waits, Waiting::First | Waiting::Next), Waiting::Head);
    }

    /// A request's head is there.
    pub fn asked(&self) {
        self.turn(|waits| waits != Waiting::Given, Waiting::Answer);
        self.state.send_modify(|state| state.owed = true);
    }

    /// Its answer is ready to be taken.
    pub fn answered(&self) {
        self.turn(|waits| waits == Waiting::Answer, Waiting::Next);
    }

    /// Its answer is sent, as far as it ever will be.
    pub fn sent(&self) {
        self.state.send_modify(|state| state.owed = false);
    }

    /// The client has an answer to come, or in part.
    pub fn is_owed(&self) -> bool {
        let state = self.state.borrow();
        // hyper drops the body when it has the last of it, which may not be taken yet.
        state.owed || state.blocked
    }

    /// The client has closed its side before its answer was sent, or would not be seen to.
    pub fn left(&self) {
        let first = self.state.send_if_modified(|state| !std::mem::replace(&mut state.left, true));
        if first {
            self.places.taken.lock().left(self.number);
        }
    }

    fn turn(&self, from: impl Fn(Waiting) -> bool, to: Waiting) {
        self.state.send_if_modified(|state| {
            let turns = from(state.waits);
            if turns {
                *state = ConnectionState { waits: to, since: Instant::now(), ..*state };
            }
            turns
        });
    }

    /// The client takes what it is sent, or not.
    pub fn blocked(&self, blocked: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.blocked, blocked) != blocked);
    }

    /// Ends when the client's time is up; why.
    pub async fn overdue(&self) -> &'static str {
        let mut states = self.state.subscribe();
        loop {
            let state = *states.borrow_and_update();
            match state.limit() {
                None => _ = states.changed().await,
                Some((limit, why)) => {
                    if timeout_at(state.since + limit, states.changed()).await.is_err() {
                        return why;
                    }
                }
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.places.taken.lock().remove(self.number);
    }
}
