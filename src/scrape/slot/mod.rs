//! A slot caches one collector's tables for one target or database, knows when they are due, and counts the results of
//! each attempt. The caller passes in the time.
//!
//! A slow collector (`ttl` above 0s) is fetched in the background and shown from the cache. Its states:
//!
//! ```text
//!             answers                   3 ttl without answers
//!   empty ---------------> fresh --------------------------------> stale
//!     ^                    |   ^                                   |   |
//!     |                    |   +------------- answers -------------+   |
//!     +--------------------+-------------------------------------------+
//!       any failure but a timeout; the target is down; the server's role changed
//!
//!           a scrape finds it due               answers, or a failure
//!   idle ---------------------------> fetching -----------------------> idle
//! ```
//!
//! - Fresh tables are on every page, also while the next fetch is in flight. Stale ones are on none.
//! - A scrape waits for the fetch only while the slot is empty or stale, and has nothing to show. If its deadline comes
//!   first, that counts as a failure (`timeout`), and the fetch continues for the next scrape.
//! - It is due a `ttl` after the last attempt ended; sooner after a failure (a minute) or a skipped query (five); at once when dropped.
//! - A fetch that began before the drop still ends, but it describes the earlier server: its tables are dropped too.
//! - A collector that remembers (`remember: true`) is never stale, and only new rows replace its tables.
//!
//! A quick collector is fetched and shown by each scrape. A table that comes after its scrape's deadline is shown once,
//! by the next scrape within a minute that gets none of its own (ADR 8). A failure drops it.

mod report;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::collector::{Collector, DATABASE_LABEL, Query};
use crate::exposition::{Block, TargetLabels};
use crate::map;
use crate::map::Mapped;
pub use crate::scrape::slot::report::{Attempt, CollectorStatus, SlotCounts};
use crate::source::fetch::{Answer, Answers, FetchError, Reason};

/// A quick result too late for its scrape waits at most this long for the next one.
const LATE_RESULT: Duration = Duration::from_secs(60);

/// A slow collector that failed is due again after its `ttl`, or after this if that is shorter.
const RETRY: Duration = Duration::from_secs(60);

/// The same after a skipped query: the missing object may exist by then.
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
    /// Fetched since the slot was made or its results were dropped; otherwise it is due.
    is_fetched: bool,
    /// When the results were last dropped: a fetch that began earlier describes the earlier server.
    dropped: Option<Instant>,
    /// The last started slow fetch; its sender is dropped when it ends.
    fetch: Option<watch::Receiver<()>>,
    last_success: Option<SystemTime>,
    counts: SlotCounts,
}

struct CachedTable {
    mapped: Arc<Mapped>,
    fetched: Instant,
    is_shown: bool,
}

impl Slot {
    pub fn new(collector: Arc<Collector>) -> Self {
        Slot { collector, state: Mutex::default() }
    }

    /// A quick slot is due if it has not been fetched since this scrape began.
    pub fn is_due_since(&self, scrape: Instant) -> bool {
        let state = self.state.lock();
        !state.is_fetched || state.attempt.is_none_or(|attempt| attempt.ended < scrape)
    }

    /// Starts a slow fetch if one is due and none is in flight. Dropping the sender ends it.
    pub fn try_start(&self, now: Instant) -> Option<watch::Sender<()>> {
        let mut state = self.state.lock();
        if state.fetch_in_flight().is_some() || !self.is_due(&state, now) {
            return None;
        }
        let (sender, receiver) = watch::channel(());
        state.fetch = Some(receiver);
        Some(sender)
    }

    fn is_due(&self, state: &SlotState, now: Instant) -> bool {
        let Some(attempt) = state.attempt.filter(|_| state.is_fetched) else { return true };
        let mut interval = self.collector.ttl;
        if !attempt.success {
            interval = interval.min(RETRY);
        } else if !state.errors.is_empty() {
            interval = interval.min(RETRY_SKIPPED);
        }
        now.duration_since(attempt.ended) >= interval
    }

    /// Waits for the fetch in flight, if there is nothing to show without it.
    pub async fn wait_for_fetch(&self) {
        let awaited = self.awaited_fetch(&self.state.lock(), Instant::now());
        if let Some(mut fetch) = awaited {
            // An error means that the fetch has ended.
            _ = fetch.changed().await;
        }
    }

    /// A scrape has nothing to show before the fetch in flight ends.
    pub fn is_awaited(&self, now: Instant) -> bool {
        self.awaited_fetch(&self.state.lock(), now).is_some()
    }

    /// The fetch in flight, if nothing was fetched before it, or too long ago.
    fn awaited_fetch(&self, state: &SlotState, now: Instant) -> Option<watch::Receiver<()>> {
        let is_recent = |attempt: Attempt| now.duration_since(attempt.ended) <= self.max_age();
        let has_result = state.is_fetched && state.attempt.is_some_and(is_recent);
        state.fetch_in_flight().filter(|_| !has_result).cloned()
    }

    /// Counts a scrape whose deadline came before the result.
    pub fn count_timeout(&self) {
        self.state.lock().counts.add_failure(Reason::Timeout, 1);
    }

    /// Stores the answers of an attempt. Returns the errors that the previous attempt did not have.
    pub fn store(&self, answers: Answers, began: Instant, now: Instant) -> Vec<FetchError> {
        let mut state = self.state.lock();
        let remembers = self.collector.remember;
        let is_dropped = state.dropped.is_some_and(|dropped| began < dropped);
        let known_errors = std::mem::take(&mut state.errors);
        let mut cached = std::mem::take(&mut state.tables).into_iter();
        let mut has_answer = false;
        for (query, answer) in self.collector.queries.iter().zip(answers) {
            let before = cached.next().flatten();
            has_answer |= answer.is_ok();
            let table = match answer {
                Ok(answer) if remembers && answer.table.rows() == 0 => before,
                Ok(answer) => Some(state.map(query, answer, before, now)),
                Err(error) => {
                    let is_kept = remembers || self.outlives(error.reason);
                    state.add_error(error);
                    before.filter(|_| is_kept)
                }
            };
            state.tables.push(table.filter(|_| remembers || !is_dropped));
        }
        let success = state.errors.iter().all(|error| error.reason.is_skip());
        if success && has_answer {
            state.last_success = Some(SystemTime::now());
        }
        state.is_fetched = !is_dropped;
        state.attempt = Some(Attempt { ended: now, took: now.duration_since(began), success });
        state.errors.iter().filter(|error| !known_errors.contains(error)).cloned().collect()
    }

    /// Returns whether the last table stays after this failure: a timeout does not contradict it.
    fn outlives(&self, reason: Reason) -> bool {
        !self.collector.is_quick() && matches!(reason, Reason::Timeout | Reason::LockTimeout)
    }

    /// Each row belongs to a database, and databases may be dropped while their rows are cached.
    pub fn is_per_database(&self) -> bool {
        !self.collector.is_quick() && self.collector.queries.iter().any(|query| query.has_label(DATABASE_LABEL))
    }

    /// Keeps the rows about these databases, or about none.
    pub fn retain_databases(&self, names: &HashSet<&str>) {
        if !self.is_per_database() {
            return;
        }
        let exists = |name: &str| name.is_empty() || names.contains(name);
        for table in self.state.lock().tables.iter_mut().flatten() {
            if let Some(mapped) = table.mapped.only(DATABASE_LABEL, &exists) {
                table.mapped = Arc::new(mapped);
            }
        }
    }

    /// Drops the tables and makes the slot due at once: the server has changed.
    pub fn drop_results(&self, now: Instant) {
        let mut state = self.state.lock();
        if !self.collector.remember {
            state.tables.clear();
        }
        state.is_fetched = false;
        state.dropped = Some(now);
    }

    /// A skipped query may work on a new connection: a slow collector with one is due at once.
    pub fn retry_skipped(&self) {
        let mut state = self.state.lock();
        if state.errors.iter().any(|error| error.reason.is_skip()) {
            state.is_fetched = false;
        }
    }

    /// Drops the tables because the target is down.
    pub fn mark_down(&self, error: &FetchError, now: Instant) {
        self.drop_results(now);
        let mut state = self.state.lock();
        state.errors = vec![error.clone()];
        state.attempt = Some(Attempt { ended: now, took: Duration::ZERO, success: false });
    }

    /// Its blocks on a page whose scrape began at `scrape`, by query, with these labels.
    pub fn show(&self, labels: &TargetLabels, scrape: Instant, now: Instant) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (query, table) in self.state.lock().tables.iter_mut().enumerate() {
            let Some(table) = table else { continue };
            if self.is_visible(table, scrape, now) {
                let (collector, labels, mapped) = (self.collector.clone(), labels.clone(), table.mapped.clone());
                blocks.push(Block { collector, query, labels, mapped });
            }
            table.is_shown = true;
        }
        blocks
    }

    fn is_visible(&self, table: &CachedTable, scrape: Instant, now: Instant) -> bool {
        if table.fetched >= scrape {
            true
        } else if self.collector.is_quick() {
            !table.is_shown && now.duration_since(table.fetched) <= LATE_RESULT
        } else {
            self.is_fresh(table, now)
        }
    }

    fn is_fresh(&self, table: &CachedTable, now: Instant) -> bool {
        self.collector.remember || now.duration_since(table.fetched) <= self.max_age()
    }

    /// How long a slow result may stand in for the next one.
    fn max_age(&self) -> Duration {
        3 * self.collector.ttl
    }

    /// The status of the last attempt, and the counts.
    pub fn status(&self, now: Instant) -> CollectorStatus {
        let state = self.state.lock();
        let is_kept = |table: &&CachedTable| self.collector.is_quick() || self.is_fresh(table, now);
        let tables: Vec<_> = state.tables.iter().flatten().filter(is_kept).collect();
        CollectorStatus {
            attempt: state.attempt,
            is_late: self.awaited_fetch(&state, now).is_some(),
            last_success: state.last_success,
            age: tables.iter().map(|table| now.duration_since(table.fetched)).max(),
            rows: tables.iter().map(|table| table.mapped.rows()).sum(),
            errors: state.errors.clone(),
            counts: state.counts.clone(),
        }
    }
}

impl SlotState {
    fn fetch_in_flight(&self) -> Option<&watch::Receiver<()>> {
        self.fetch.as_ref().filter(|fetch| fetch.has_changed().is_ok())
    }

    /// Maps an answer, and counts what is dropped from it.
    fn map(&mut self, query: &Query, answer: Answer, before: Option<CachedTable>, now: Instant) -> CachedTable {
        let mapped = map::map_next(query, answer.table, before.as_ref().map(|before| &*before.mapped));
        self.counts.cut += answer.cut;
        self.counts.duplicates += mapped.duplicates;
        self.counts.invalid += mapped.invalid;
        self.counts.texts += mapped.cut;
        CachedTable { mapped: Arc::new(mapped), fetched: now, is_shown: false }
    }

    fn add_error(&mut self, error: FetchError) {
        if !error.reason.is_skip() {
            self.counts.add_failure(error.reason, 1);
        }
        self.errors.push(error);
    }
}
