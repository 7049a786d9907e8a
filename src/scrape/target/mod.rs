//! One target: its source, its slots, its breaker; and a visit, which is what a scrape makes of them.
//!
//! A visit outlives the scrape that began it. At most one goes on at a time; a scrape that finds one under way
//! takes what it brings, and one that comes right after takes it too.

mod databases;
mod refresh;
mod report;
mod share;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    circuit_breaker::CircuitBreaker,
    collector::{Collector, Scope, catalogue::Catalogue},
    exposition::TargetLabels,
    log_limit::LogLimit,
    memory_budget::MemoryBudget,
    probe::Probe,
    scrape::{
        slot::Slot,
        target::{databases::Databases, share::LeftOut},
    },
    settings,
    settings::{Threshold, probe::ProbeSettings},
    source::{
        Source,
        fetch::{Answers, FetchError, Reason, SourceStatus},
        net::login_guard::LoginInfo,
        sections::{SectionSource, SourceProblem},
    },
};
pub use crate::{
    probe::debug_round::DebugRefusal,
    scrape::target::{
        refresh::Freshness,
        report::{CollectorReports, ShownCollector, TargetStatus},
    },
};

/// A target that answered this long ago in the visit still under way is up: the server ends each quick statement
/// after a second, so what takes longer may hang.
const JUST_NOW: Duration = Duration::from_secs(2);

/// A result no older than this is good for the next scrape too: a pair of scrapers, a page loaded again, a hundred at once.
pub const YOUNG: Duration = Duration::from_millis(250);

/// One watched thing.
pub struct Target {
    pub settings: settings::TargetSettings,
    /// Of all its samples: `target="orders"`, `cluster="eu"`.
    pub labels: TargetLabels,
    source: Arc<Source>,
    /// What the source reads, if that is a probe.
    probe: Option<Arc<Probe>>,
    slots: Vec<Arc<Slot>>,
    databases: Databases,
    /// One visit at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<TargetState>,
    told: LogLimit,
}

#[derive(Default)]
struct TargetState {
    breaker: CircuitBreaker,
    answered: Option<Answered>,
    /// When the visit under way began.
    visit: Option<Instant>,
    /// How the last visit ended; not known before the first, nor after a reload.
    ended: Option<LastRefresh>,
    /// Why the target is down; `None` while it is not.
    error: Option<FetchError>,
    /// That it is down is in the log.
    is_told: bool,
    left_out: LeftOut,
    /// At the end of the last visit.
    status: SourceStatus,
    /// What was said of logins: each kind once, in whatever words.
    told: HashSet<&'static str>,
}

/// How a visit ended.
#[derive(Clone, Copy)]
enum LastRefresh {
    /// What it brought is true of the server.
    Well,
    /// The target is down, by a visit that began then.
    Down(Instant),
}

#[derive(Clone, Copy)]
struct Answered {
    at: Instant,
    time: SystemTime,
}

impl Target {
    /// A target. Of one that it follows at the same server it takes over the sessions, and what collectors that are
    /// still the same have found.
    pub fn new(settings: settings::TargetSettings, catalogue: &Catalogue, before: Option<&Target>) -> Self {
        let same =
            |before: &&Target| (&before.settings.endpoint, before.settings.most) == (&settings.endpoint, settings.most);
        let before = before.filter(same);
        let mut probe = before.and_then(|before| before.probe.clone());
        let new = || {
            let start = |settings: &ProbeSettings| -> Box<dyn SectionSource> {
                Box::new(probe.insert(Probe::start(settings.clone(), None).into()).clone())
            };
            Source::new(&settings.endpoint, MemoryBudget::of(settings.most.rows()), start).into()
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

    /// A target whose source is given: it is asked the collectors that it answers.
    pub fn with_source<'a>(
        settings: settings::TargetSettings,
        source: Arc<Source>,
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
            probe: None,
            turn: Arc::default(),
            state: Mutex::default(),
            told: LogLimit::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The label by which alerts and boards take targets together, if it has one.
    pub fn cluster(&self) -> Option<&str> {
        let label = self.settings.labels.iter().find(|(name, _)| name == "cluster");
        label.map(|(_, cluster)| cluster.as_str()).filter(|cluster| !cluster.is_empty())
    }

    /// For people: the product, its version, and what else counts.
    pub fn description(&self) -> String {
        self.source.description()
    }

    /// What its rows report as not known.
    pub fn problems(&self) -> Vec<SourceProblem> {
        self.source.problems()
    }

    /// The probe, if it is one.
    pub fn probe(&self) -> Option<&Arc<Probe>> {
        self.probe.as_ref()
    }

    /// Databases that are not visited because we cannot log in to them, each with the reason, a word.
    pub fn closed_databases(&self) -> Vec<(String, String)> {
        self.databases.closed()
    }

    /// How the last sessions were let in, each way once.
    pub fn logins(&self) -> BTreeSet<LoginInfo> {
        self.source.logins()
    }

    pub fn thresholds(&self) -> &[Threshold] {
        &self.settings.thresholds
    }

    /// Those of the whole server and those of its databases.
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
                // What is wrong with the target as a whole is said once, of the target.
                _ if error.query.is_some() || database.is_some() => {
                    if let Some(held) = self.told.say(error.reason.word(), now) {
                        warn!(target, collector, database, "{error}{held}");
                    }
                }
                _ => (),
            }
        }
    }

    /// The next scrape sees for itself, however young the results are.
    pub fn forget_young(&self) {
        self.state.lock().ended = None;
    }

    /// Says how much was held back that no line has followed.
    fn tell_overdue(&self) {
        for (reason, held) in self.told.overdue(Instant::now()) {
            warn!(target = self.name(), "{held} more like it ({reason}); `pgvigil check --connect` says which");
        }
    }

    fn answered(&self) {
        self.state.lock().answered = Some(Answered { at: Instant::now(), time: SystemTime::now() });
    }

    /// Since the scrape began; or just now, in the visit that the scrape found under way.
    fn has_answered_since(&self, scrape: Instant) -> bool {
        let state = self.state.lock();
        let Some(Answered { at, .. }) = state.answered else { return false };
        let joined = || state.visit.is_some_and(|began| at >= began) && at.elapsed() <= JUST_NOW;
        at >= scrape || joined()
    }

    fn succeeded(&self) {
        let mut state = self.state.lock();
        state.breaker.succeeded();
        if let Some(error) = state.error.take()
            && std::mem::take(&mut state.is_told)
        {
            info!(target = self.name(), "up again; it was down: {error}");
        }
    }

    /// A visit failed. If nothing was answered since it began, the target is down: what it said before is true no
    /// more.
    fn failed(&self, error: &FetchError, began: Instant) {
        let (answered, now) = (self.has_answered_since(began), Instant::now());
        if !answered {
            self.all_slots().iter().for_each(|slot| slot.fail(error, now));
        }
        let mut state = self.state.lock();
        state.ended = (!answered).then_some(LastRefresh::Down(began));
        if state.breaker.failed()
            && let Some(held) = self.told.say("circuit open", now)
        {
            warn!(
                target = self.name(),
                "circuit open after repeated failures: scrapes wait only for a moment now{held}"
            );
        }
        if answered {
            if let Some(held) = self.told.say(error.reason.word(), now) {
                warn!(target = self.name(), "visit cut short: {error}{held}");
            }
            return;
        }
        if state.error.as_ref().is_none_or(|before| before.reason != error.reason)
            && let Some(held) = self.told.say(error.reason.word(), now)
        {
            state.is_told = true;
            warn!(target = self.name(), "down: {error}{held}");
        }
        state.error = Some(error.clone());
    }

    /// Says, once, what people should know of how it lets us in.
    fn tell_of_logins(&self) {
        for login in self.source.logins() {
            for (kind, warning) in login.warnings() {
                if self.state.lock().told.insert(kind) {
                    warn!(target = self.name(), "{warning}");
                }
            }
        }
    }

    /// What a slow collector found on a primary says nothing of a replica.
    fn note_role(&self) {
        let status = self.source.status();
        let (before, replica) = (self.state.lock().status, status.replica);
        self.state.lock().status = status;
        if status.pooled == Some(true)
            && before.pooled != Some(true)
            && self.told.say("pooled", Instant::now()).is_some()
        {
            info!(target = self.name(), "a pooler is in between: each query brings its own settings (pooled mode)");
        }
        let before = before.replica;
        if before.is_some() && before != replica {
            if let Some(held) = self.told.say("role changed", Instant::now()) {
                info!(target = self.name(), replica, "the server's role changed{held}");
            }
            let (slots, now) = (self.all_slots(), Instant::now());
            slots.iter().filter(|slot| !slot.collector.is_quick()).for_each(|slot| slot.drop_results(now));
        }
    }
}
