//! A target: its source, its slots, its circuit breaker, and whether it is up.
//!
//! ```text
//!             a login or a refresh succeeds         a refresh fails without any answer
//!   unknown --------------------------------> up --------------------------------------> down
//!      |                                      ^                                          |  ^
//!      |                                      +------ a login or a refresh succeeds -----+  |
//!      +--------------------- a refresh fails without any answer --------------------------+
//! ```
//!
//! - A scrape sees the target as up if it has answered since that scrape began. A scrape that joined a running refresh
//!   also accepts an answer of the last two seconds, because the server ends each quick statement after one.
//! - A refresh that fails after an answer is cut short. The target stays up, and shows what came before.
//! - Going down empties every slot: earlier results do not describe a server that cannot be asked. Collectors that
//!   remember keep their tables. A change of the server's role empties the slow slots only; the quick ones are fetched
//!   by each scrape.
//! - Every failed refresh counts for the circuit breaker, also one that was cut short. Each new login closes it.
//!
//! `refresh` fetches for a scrape, `report` makes pages and the status, `share` limits its part of a page, and
//! `databases` has the slots of collectors that are fetched in each database.

mod databases;
pub mod refresh;
pub mod report;
mod share;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::circuit_breaker::CircuitBreaker;
use crate::collector::catalogue::Catalogue;
use crate::collector::{Collector, Scope};
use crate::exposition::TargetLabels;
use crate::log_limit::LogLimit;
use crate::memory_budget::MemoryBudget;
use crate::probe::Probe;
pub use crate::probe::debug_round::DebugRefusal;
use crate::scrape::slot::Slot;
use crate::scrape::target::databases::Databases;
use crate::scrape::target::share::LeftOut;
use crate::settings;
use crate::settings::probe::ProbeSettings;
use crate::source;
use crate::source::Source;
use crate::source::fetch::{Answers, FetchError, Reason, SourceStatus};

/// A target that answered this recently in the running refresh is up: the server ends each quick statement after a
/// second, so a longer one may hang.
const JUST_NOW: Duration = Duration::from_secs(2);

/// The most missing extensions that are logged: a server that names other versions each time would fill the log.
const MAX_EXTENSIONS: usize = 20;

/// One watched server, console, repository or other thing.
pub struct Target {
    pub settings: settings::TargetSettings,
    /// The labels of all its samples: `target="orders"`, `cluster="eu"`.
    pub labels: TargetLabels,
    pub source: Arc<dyn Source>,
    /// The probe that the source reads, if it is one.
    pub probe: Option<Arc<Probe>>,
    slots: Vec<Arc<Slot>>,
    databases: Databases,
    /// Held by the running refresh.
    refreshing: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<TargetState>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct TargetState {
    breaker: CircuitBreaker,
    last_answer: Option<LastAnswer>,
    /// When the running refresh began.
    refresh_began: Option<Instant>,
    /// How the last refresh ended; unknown before the first, and after a reload.
    last_refresh: Option<LastRefresh>,
    /// Why the target is down; `None` while it is not.
    error: Option<FetchError>,
    /// The log reports that it is down.
    is_down_logged: bool,
    left_out: LeftOut,
    /// At the end of the last refresh.
    status: SourceStatus,
    /// What the log says of missing extensions: each once.
    missing_extensions: HashSet<Arc<str>>,
    /// The kinds of login warnings in the log: each is logged once.
    login_warnings: HashSet<&'static str>,
}

/// How a refresh ended.
#[derive(Clone, Copy)]
enum LastRefresh {
    Succeeded,
    /// The target is down, found by a refresh that began then.
    Down(Instant),
}

#[derive(Clone, Copy)]
struct LastAnswer {
    at: Instant,
    time: SystemTime,
}

impl Target {
    /// A target. It takes over the sessions of the one `before` it at the same server, and the slots of unchanged
    /// collectors.
    pub fn new(settings: settings::TargetSettings, catalogue: &Catalogue, before: Option<&Target>) -> Self {
        let same =
            |before: &&Target| (&before.settings.endpoint, before.settings.most) == (&settings.endpoint, settings.most);
        let before = before.filter(same);
        let mut probe = before.and_then(|before| before.probe.clone());
        let new = || {
            let start = |settings: &ProbeSettings| -> Arc<dyn Source> {
                probe.insert(Probe::start(settings.clone(), None).into()).clone()
            };
            source::of_endpoint(&settings.endpoint, MemoryBudget::of(settings.most.rows()), start)
        };
        let source = before.map_or_else(new, |before| before.source.clone());
        let mut target = Target { probe, ..Self::with_source(settings, source, catalogue.collectors.iter()) };
        for slot in &mut target.slots {
            let is_same = |kept: &&Arc<Slot>| kept.collector == slot.collector;
            if let Some(kept) = before.and_then(|before| before.slots.iter().find(is_same)) {
                *slot = kept.clone();
            }
        }
        target
    }

    /// A target with this source, and a slot for each collector that the source answers.
    pub fn with_source<'a>(
        settings: settings::TargetSettings,
        source: Arc<dyn Source>,
        collectors: impl Iterator<Item = &'a Arc<Collector>>,
    ) -> Self {
        let own = std::iter::once(("target", settings.name.as_str()));
        let labels = own.chain(settings.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let labels = TargetLabels::new(labels);
        let (whole, each): (Vec<_>, Vec<_>) =
            collectors.filter(|c| source.answers(c.source)).cloned().partition(|c| c.scope == Scope::Instance);
        Target {
            slots: whole.into_iter().map(|collector| Arc::new(Slot::new(collector))).collect(),
            databases: Databases::new(each, labels.clone(), settings.databases()),
            labels,
            settings,
            source,
            refreshing: Arc::default(),
            probe: None,
            state: Mutex::default(),
            log_limit: LogLimit::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The label by which alerts and boards group targets, if it has one.
    pub fn cluster(&self) -> Option<&str> {
        let label = self.settings.labels.iter().find(|(name, _)| name == "cluster");
        label.map(|(_, cluster)| cluster.as_str()).filter(|cluster| !cluster.is_empty())
    }

    /// The databases that refuse our login, each with the word of the reason.
    pub fn closed_databases(&self) -> Vec<(String, String)> {
        self.databases.closed()
    }

    /// The slots of the whole server and of its databases.
    fn all_slots(&self) -> Vec<Arc<Slot>> {
        let databases = self.databases.all();
        let of_databases = databases.iter().flat_map(|database| &database.slots);
        self.slots.iter().chain(of_databases).cloned().collect()
    }

    fn store(&self, slot: &Slot, database: &str, answers: Answers, began: Instant) {
        let (target, collector) = (self.name(), slot.collector.name.as_str());
        // A field without a value is left out.
        let database = (!database.is_empty()).then_some(database);
        let now = Instant::now();
        for error in slot.store(answers, began, now) {
            match error.reason {
                Reason::Role | Reason::Version => debug!(target, collector, database, "{error}"),
                // Optional: once, whatever the number of queries and databases.
                Reason::Extension if self.is_first(&error.message) => {
                    info!(target, collector, database, "{}", error.with_advice(self.settings.user()));
                }
                Reason::Extension => debug!(target, collector, database, "{error}"),
                // An error of the target as a whole is logged once, for the target.
                _ if error.query.is_some() || database.is_some() => {
                    if let Some(held) = self.log_limit.say(error.reason.into_str(), now) {
                        warn!(target, collector, database, "{error}{held}");
                    }
                }
                _ => (),
            }
        }
    }

    /// This message about an extension is the first of its kind.
    fn is_first(&self, message: &Arc<str>) -> bool {
        let missing = &mut self.state.lock().missing_extensions;
        missing.len() < MAX_EXTENSIONS && missing.insert(message.clone())
    }

    /// Makes the next scrape fetch, even if the results are fresh.
    pub fn require_refresh(&self) {
        self.state.lock().last_refresh = None;
    }

    /// Logs how many lines were held back without a later line.
    fn log_held_back(&self) {
        for (reason, held) in self.log_limit.overdue(Instant::now()) {
            warn!(target = self.name(), "{held} more like it ({reason}); `pgvigil check --connect` lists them");
        }
    }

    fn note_answer(&self) {
        self.state.lock().last_answer = Some(LastAnswer { at: Instant::now(), time: SystemTime::now() });
    }

    /// Since the scrape began; or just now, in the refresh that the scrape joined.
    fn has_answered_since(&self, scrape: Instant) -> bool {
        let state = self.state.lock();
        let Some(LastAnswer { at, .. }) = state.last_answer else { return false };
        let is_of_refresh = state.refresh_began.is_some_and(|began| at >= began);
        at >= scrape || is_of_refresh && at.elapsed() <= JUST_NOW
    }

    fn mark_up(&self) {
        let mut state = self.state.lock();
        state.breaker.record_success();
        if let Some(error) = state.error.take()
            && std::mem::take(&mut state.is_down_logged)
        {
            info!(target = self.name(), "up again; it was down: {error}");
        }
    }

    /// Records a failed refresh. Without an answer since it began the target is down, and its slots are emptied.
    fn note_failure(&self, error: &FetchError, began: Instant) {
        let (has_answered, now) = (self.has_answered_since(began), Instant::now());
        if !has_answered {
            self.all_slots().iter().for_each(|slot| slot.mark_down(error, now));
        }
        let mut state = self.state.lock();
        state.last_refresh = (!has_answered).then_some(LastRefresh::Down(began));
        if state.breaker.record_failure(now)
            && let Some(held) = self.log_limit.say("circuit open", now)
        {
            warn!(target = self.name(), "circuit open after repeated failures: scrapes wait only briefly now{held}");
        }
        if has_answered {
            if let Some(held) = self.log_limit.say(error.reason.into_str(), now) {
                warn!(target = self.name(), "refresh cut short: {error}{held}");
            }
            return;
        }
        if state.error.as_ref().is_none_or(|before| before.reason != error.reason)
            && let Some(held) = self.log_limit.say(error.reason.into_str(), now)
        {
            state.is_down_logged = true;
            let server = self.settings.address();
            warn!(target = self.name(), server, "down: {}{held}", error.with_advice(self.settings.user()));
        }
        state.error = Some(error.clone());
    }

    /// Logs warnings about the login, each once.
    fn log_login_warnings(&self) {
        for login in self.source.logins() {
            for (kind, warning) in login.warnings() {
                if self.state.lock().login_warnings.insert(kind) {
                    warn!(target = self.name(), "{warning}");
                }
            }
        }
    }

    /// Records the source's state. Slow results of a primary do not hold for a replica, nor the reverse.
    fn note_status(&self) {
        let (status, now) = (self.source.status(), Instant::now());
        let before = std::mem::replace(&mut self.state.lock().status, status);
        if status.pooled == Some(true) && before.pooled != Some(true) && self.log_limit.say("pooled", now).is_some() {
            info!(target = self.name(), "a pooler is in between: each query brings its own settings (pooled mode)");
        }
        let replica = status.replica;
        if before.replica.is_none() || before.replica == replica {
            return;
        }
        if let Some(held) = self.log_limit.say("role changed", now) {
            info!(target = self.name(), replica, "the server's role changed{held}");
        }
        for slot in self.all_slots().iter().filter(|slot| !slot.collector.is_quick()) {
            slot.drop_results(now);
        }
    }
}
