//! A Slot: one collector of one target. It keeps the last tables and their age, knows when to ask again, and says
//! what became of each attempt. The clock comes in from outside.
//!
//! Quick slots are asked on each scrape and show what that scrape got; what arrives after its scrape is shown once,
//! by the next. Slow slots show what is at most three `ttl` old; where nothing is that fresh, a scrape waits for the fetch it begins.

mod report;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

pub use crate::scrape::slot::report::{Attempt, CollectorStatus, SlotCounts};
use crate::{
    collector::{Collector, Query},
    map,
    map::Mapped,
    source::fetch::{Answers, FetchError, Reason},
};

/// A quick result that came too late for its scrape waits at most this long for the next one.
const LATE_RESULT: Duration = Duration::from_secs(60);

/// The label that names a database.
const DATABASE_LABEL: &str = "datname";

/// A slow collector that failed is asked again after its `ttl`, or after this if that is shorter.
const RETRY: Duration = Duration::from_secs(60);

/// The same for one that had to skip a query: what was missing may be there by now.
const RETRY_SKIPPED: Duration = Duration::from_secs(300);

/// One collector of one target.
pub struct Slot {
    pub collector: Arc<Collector>,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    /// By query: the last table, if it may still be shown.
    tables: Vec<Option<CachedTable>>,
    /// By query: why there is no table.
    errors: Vec<FetchError>,
    attempt: Option<Attempt>,
    /// Asked since it was made or its results were dropped.
    asked: bool,
    /// When the results were dropped last: what was asked before belongs to them.
    dropped: Option<Instant>,
    /// A slow fetch under way; the sender is dropped at its end.
    in_flight: Option<watch::Receiver<()>>,
    last_success: Option<SystemTime>,
    counts: SlotCounts,
}

struct CachedTable {
    mapped: Arc<Mapped>,
    at: Instant,
    shown: bool,
}

impl Slot {
    pub fn new(collector: Arc<Collector>) -> Self {
        Slot { collector, state: Mutex::default() }
    }

    /// A quick slot is due if it has not been asked since this scrape began; that the server could not be reached
    /// is no answer.
    pub fn is_due_since(&self, scrape: Instant) -> bool {
        let state = self.state.lock();
        !state.asked || state.attempt.is_none_or(|attempt| attempt.ended < scrape)
    }

    /// Begins a slow fetch if one is due and none is under way. Dropping the sender ends it.
    pub fn begin(&self, now: Instant) -> Option<watch::Sender<()>> {
        let mut state = self.state.lock();
        let pace = match state.attempt {
            Some(attempt) if !attempt.success => RETRY,
            _ if !state.errors.is_empty() => RETRY_SKIPPED,
            _ => Duration::MAX,
        };
        let rested = |attempt: Attempt| now.duration_since(attempt.ended) >= self.collector.ttl.min(pace);
        let due = !state.asked || state.attempt.is_none_or(rested);
        let idle = state.in_flight.as_ref().is_none_or(|fetch| fetch.has_changed().is_err());
        (due && idle).then(|| {
            let (sender, receiver) = watch::channel(());
            state.in_flight = Some(receiver);
            sender
        })
    }

    /// Waits for the fetch under way if there is nothing to show without it: nothing was asked yet, or what was is too old.
    pub async fn awaited_result(&self) {
        let awaited = self.state.lock().awaited(&self.collector, Instant::now());
        if let Some(mut fetch) = awaited {
            // An error is the end of the fetch.
            _ = fetch.changed().await;
        }
    }

    /// The result that a scrape waits for is not there yet.
    pub fn is_awaited(&self, now: Instant) -> bool {
        self.state.lock().awaited(&self.collector, now).is_some()
    }

    /// Counts a scrape whose deadline came before the result.
    pub fn note_late(&self) {
        *self.state.lock().counts.failures.entry(Reason::Timeout).or_default() += 1;
    }

    /// Takes in what an attempt gave. Returns the errors that the attempt before did not have.
    pub fn store(&self, answers: Answers, began: Instant, now: Instant) -> Vec<FetchError> {
        let mut state = self.state.lock();
        let dropped = state.dropped.is_some_and(|at| began < at);
        let known = std::mem::take(&mut state.errors);
        let mut before = std::mem::take(&mut state.tables).into_iter();
        let mut asked = false;
        for (query, answer) in self.collector.queries.iter().zip(answers) {
            let before = before.next().flatten();
            let kept = match answer {
                Ok(answer) if self.collector.remember && answer.table.rows() == 0 => {
                    asked = true;
                    before
                }
                Ok(answer) => {
                    asked = true;
                    let mapped = map::map_next(query, answer.table, before.as_ref().map(|kept| &*kept.mapped));
                    state.counts.cut += answer.cut;
                    state.counts.duplicates += mapped.duplicates;
                    state.counts.invalid += mapped.invalid;
                    state.counts.texts += mapped.cut;
                    Some(CachedTable { mapped: Arc::new(mapped), at: now, shown: false })
                }
                Err(error) => {
                    asked |= !error.reason.is_skip();
                    let outlives = matches!(error.reason, Reason::Timeout | Reason::LockTimeout);
                    state.count_failure(error);
                    before.filter(|_| self.collector.remember || outlives && !self.collector.is_quick())
                }
            };
            state.tables.push(kept.filter(|_| !dropped || self.collector.remember));
        }
        let success = !state.errors.iter().any(|error| !error.reason.is_skip());
        if success && asked {
            state.last_success = Some(SystemTime::now());
        }
        state.asked = !dropped;
        state.attempt = Some(Attempt { ended: now, took: now.duration_since(began), success });
        state.errors.iter().filter(|error| !known.contains(error)).cloned().collect()
    }

    /// What it keeps may be about databases that go meanwhile.
    pub fn tells_of_databases(&self) -> bool {
        let of_databases = |query: &Query| query.labels.iter().any(|label| label == DATABASE_LABEL);
        !self.collector.is_quick() && self.collector.queries.iter().any(of_databases)
    }

    /// Of what is said of databases, keeps what is about these or about none.
    pub fn keep_databases(&self, names: &HashSet<&str>) {
        if self.tells_of_databases() {
            let is_there = |name: &str| name.is_empty() || names.contains(name);
            for kept in self.state.lock().tables.iter_mut().flatten() {
                if let Some(mapped) = kept.mapped.only(DATABASE_LABEL, &is_there) {
                    kept.mapped = Arc::new(mapped);
                }
            }
        }
    }

    /// Forgets the tables, to be asked for again at once: the server is not what it was.
    pub fn drop_results(&self, now: Instant) {
        let mut state = self.state.lock();
        if !self.collector.remember {
            state.tables.clear();
        }
        state.asked = false;
        state.dropped = Some(now);
    }

    /// What was skipped may be possible on a new connection: a slow collector is asked again at once.
    pub fn reconnected(&self) {
        let mut state = self.state.lock();
        if state.errors.iter().any(|error| error.reason.is_skip()) {
            state.asked = false;
        }
    }

    /// Forgets the tables because the server cannot be asked.
    pub fn fail(&self, error: &FetchError, now: Instant) {
        self.drop_results(now);
        let mut state = self.state.lock();
        state.errors = vec![error.clone()];
        state.attempt = Some(Attempt { ended: now, took: Duration::ZERO, success: false });
    }

    /// The tables to show on a page whose scrape began at `scrape`, by query.
    pub fn show(&self, scrape: Instant, now: Instant) -> Vec<Option<Arc<Mapped>>> {
        let quick = self.collector.is_quick();
        let show = |kept: &mut CachedTable| {
            let late = kept.at < scrape;
            let fits = match quick {
                true => !late || !kept.shown && now.duration_since(kept.at) <= LATE_RESULT,
                false => !late || self.is_fresh(kept, now),
            };
            kept.shown = true;
            fits.then(|| kept.mapped.clone())
        };
        let mut state = self.state.lock();
        state.tables.iter_mut().map(|kept| kept.as_mut().and_then(show)).collect()
    }

    /// A slow result may stand for three `ttl`, or for ever.
    fn is_fresh(&self, kept: &CachedTable, now: Instant) -> bool {
        self.collector.remember || now.duration_since(kept.at) <= 3 * self.collector.ttl
    }

    /// What became of the last attempt, and what has been counted.
    pub fn report(&self, now: Instant) -> CollectorStatus {
        let state = self.state.lock();
        let kept =
            || state.tables.iter().flatten().filter(|kept| self.collector.is_quick() || self.is_fresh(kept, now));
        CollectorStatus {
            attempt: state.attempt,
            is_late: state.awaited(&self.collector, now).is_some(),
            last_success: state.last_success,
            age: kept().map(|kept| now.duration_since(kept.at)).max(),
            rows: kept().map(|kept| kept.mapped.rows()).sum(),
            errors: state.errors.clone(),
            counts: state.counts.clone(),
        }
    }
}

impl SlotState {
    /// The fetch under way, if there is nothing to show before it ends.
    fn awaited(&self, collector: &Collector, now: Instant) -> Option<watch::Receiver<()>> {
        let is_outdated = |attempt: Attempt| now.duration_since(attempt.ended) > 3 * collector.ttl;
        let is_awaited = !self.asked || self.attempt.is_none_or(is_outdated);
        self.in_flight.clone().filter(|fetch| is_awaited && fetch.has_changed().is_ok())
    }

    fn count_failure(&mut self, error: FetchError) {
        if !error.reason.is_skip() {
            *self.counts.failures.entry(error.reason).or_default() += 1;
        }
        self.errors.push(error);
    }
}
