//! Who is connected, and what each connection waits for. One that keeps us waiting is cut when its time is up, or, where places run out, when
//! of all that wait it has used up most of its time.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
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

/// Connections at a time. More wait in the kernel's queue.
const MOST: usize = 4096;

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

/// How long one who was asked to go may take, before another is asked too.
const GO_LIMIT: Duration = Duration::from_millis(100);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
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

#[derive(Clone, Copy)]
struct State {
    waits: Waits,
    since: Instant,
    /// The client does not take what it was sent.
    blocked: bool,
}

impl State {
    /// For how long it may wait, and what is said then. We are waited for without end.
    fn limit(&self) -> Option<(Duration, &'static str)> {
        match self.waits {
            Waits::Handshake => Some((HANDSHAKE_LIMIT, "hands were not shaken")),
            Waits::First => Some((SILENT_LIMIT, "nothing was said")),
            Waits::Head => Some((HEAD_LIMIT, "a request's head did not come to its end")),
            Waits::Answer => None,
            Waits::Next if self.blocked => Some((TAKE_LIMIT, "an answer was not taken")),
            Waits::Next => Some((IDLE_LIMIT, "nothing more was asked")),
            Waits::Given => Some((Duration::ZERO, "its place was needed")),
        }
    }

    /// How much of its time it has used up.
    fn used(&self, now: Instant) -> Option<f64> {
        // Who was asked to go already is not asked again.
        let (limit, _) = self.limit().filter(|_| self.waits != Waits::Given)?;
        Some(now.saturating_duration_since(self.since).as_secs_f64() / limit.as_secs_f64())
    }
}

/// The places for connections.
pub struct Places {
    free: Arc<Semaphore>,
    /// In the order of their coming.
    taken: Mutex<BTreeMap<u64, watch::Sender<State>>>,
    next: AtomicU64,
}

impl Places {
    /// Half of the files that may be open are for the servers.
    pub fn new(files: usize) -> Arc<Places> {
        let free = Arc::new(Semaphore::new(MOST.min(files / 2)));
        Arc::new(Places { free, taken: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// A free place, or that of another.
    pub async fn free(self: &Arc<Places>) -> Free {
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
        let (taken, now) = (self.taken.lock(), Instant::now());
        let used = |state: &watch::Sender<State>| state.borrow().used(now);
        let waiting = taken.values().filter_map(|state| Some((used(state)?, state)));
        if let Some((_, state)) = waiting.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
            state.send_modify(|state| state.waits = Waits::Given);
        }
    }
}

/// A place that nobody has yet.
pub struct Free {
    places: Arc<Places>,
    permit: OwnedSemaphorePermit,
}

impl Free {
    pub fn take(self) -> Place {
        let number = self.places.next.fetch_add(1, Ordering::Relaxed);
        let state = watch::Sender::new(State { waits: Waits::First, since: Instant::now(), blocked: false });
        self.places.taken.lock().insert(number, state.clone());
        Place { places: self.places, number, state, _permit: self.permit }
    }
}

/// The place of a connection.
pub struct Place {
    places: Arc<Places>,
    number: u64,
    state: watch::Sender<State>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Before anything is said, hands are to be shaken.
    pub fn shakes(&self) {
        self.turn(|waits| waits == Waits::First, Waits::Handshake);
    }

    pub fn shaken(&self) {
        self.turn(|waits| waits == Waits::Handshake, Waits::First);
    }

    /// The client has sent something.
    pub fn heard(&self) {
        self.turn(|waits| matches!(waits, Waits::First | Waits::Next), Waits::Head);
    }

    /// A request's head is there.
    pub fn asked(&self) {
        self.turn(|waits| waits != Waits::Given, Waits::Answer);
    }

    /// Its answer is ready to be taken.
    pub fn answered(&self) {
        self.turn(|waits| waits == Waits::Answer, Waits::Next);
    }

    fn turn(&self, from: impl Fn(Waits) -> bool, to: Waits) {
        self.state.send_if_modified(|state| {
            let turns = from(state.waits);
            if turns {
                *state = State { waits: to, since: Instant::now(), ..*state };
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

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().remove(&self.number);
    }
}
