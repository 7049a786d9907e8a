//! One target: its source, its slots, its breaker; and a visit, which is what a scrape makes of them.
//!
//! A visit outlives the scrape that began it. At most one goes on at a time; a scrape that finds one under way
//! takes what it brings.

mod databases;
mod report;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use databases::Databases;
pub use report::{Report, Shown};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use crate::{
    breaker::{Breaker, PATIENCE_WHEN_OPEN},
    config::{
        catalogue::Catalogue,
        collector::{Collector, Scope},
        settings::{self, Threshold},
    },
    exposition,
    slot::Slot,
    source::{Answers, Event, FetchError, Reason, Source},
};

/// A visit's own deadline, whatever its scrape's: the quick lane is cancelled at it.
const VISIT_LIMIT: Duration = Duration::from_secs(10);

/// A target that answered this long ago in the visit still under way is up: the server ends each quick statement
/// after a second, so what takes longer may hang.
const JUST_NOW: Duration = Duration::from_secs(2);

/// One watched thing.
pub struct Target {
    pub settings: settings::Target,
    /// As the exposition writes them: `target="orders",cluster="eu"`.
    pub labels: Arc<str>,
    source: Source,
    slots: Vec<Arc<Slot>>,
    databases: Databases,
    /// One visit at a time.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    answered: Option<Answered>,
    /// When the visit under way began.
    visit: Option<Instant>,
    /// Why the target is down; `None` while it is not.
    error: Option<FetchError>,
    replica: Option<bool>,
}

#[derive(Clone, Copy)]
struct Answered {
    at: Instant,
    time: SystemTime,
}

/// What a scrape wants of a target.
#[derive(Clone)]
struct Plan {
    quick: Vec<Arc<Slot>>,
    slow: Vec<Arc<Slot>>,
    in_databases: Vec<Arc<Collector>>,
    scrape: Instant,
    deadline: Instant,
}

impl Plan {
    fn new(target: &Target, wanted: &dyn Fn(&Collector) -> bool, scrape: Instant, deadline: Instant) -> Self {
        let slots = target.slots.iter().filter(|slot| wanted(&slot.collector)).cloned();
        let (quick, slow) = slots.partition(|slot| slot.collector.is_quick());
        let in_databases = target.databases.collectors.iter().filter(|collector| wanted(collector)).cloned().collect();
        Plan { quick, slow, in_databases, scrape, deadline }
    }
}

impl Target {
    pub fn new(settings: settings::Target, catalogue: &Catalogue) -> Self {
        let source = Source::new(&settings.endpoint);
        Self::with_source(settings, source, catalogue.collectors.iter())
    }

    /// A target whose source is given: its kind is that of the collectors that are asked.
    pub fn with_source<'a>(
        settings: settings::Target,
        source: Source,
        collectors: impl Iterator<Item = &'a Arc<Collector>>,
    ) -> Self {
        let own = std::iter::once(("target", settings.name.as_str()));
        let labels = own.chain(settings.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let labels: Arc<str> = exposition::labels(labels).into();
        let kind = source.kind();
        let (whole, each): (Vec<_>, Vec<_>) =
            collectors.filter(|c| c.source == kind).cloned().partition(|c| c.scope == Scope::Instance);
        Target {
            slots: whole.into_iter().map(|collector| Arc::new(Slot::new(collector))).collect(),
            databases: Databases::new(each, labels.clone(), settings.databases().clone()),
            labels,
            settings,
            source,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    pub fn thresholds(&self) -> &[Threshold] {
        &self.settings.thresholds
    }

    /// Visits for a scrape, which waits to its deadline and no longer.
    pub async fn visit(
        self: &Arc<Self>,
        wanted: &(dyn Fn(&Collector) -> bool + Sync),
        scrape: Instant,
        deadline: Instant,
    ) {
        let plan = Plan::new(self, wanted, scrape, deadline);
        let visit = tokio::spawn(self.clone().run_visit(plan.clone()));
        let all = async {
            _ = visit.await;
            for slot in plan.slow {
                slot.first_result().await;
            }
            for database in self.databases.all() {
                for slot in database.slots.iter().filter(|slot| wanted(&slot.collector)) {
                    slot.first_result().await;
                }
            }
        };
        _ = timeout_at(deadline, all).await;
    }

    async fn run_visit(self: Arc<Self>, plan: Plan) {
        // Past its deadline nobody waits for it; if it went on all the same, visits of a target that hangs would
        // pile up.
        let Ok(_turn) = timeout_at(plan.deadline, self.turn.lock()).await else { return };
        let quick: Vec<_> = plan.quick.iter().filter(|slot| slot.is_due_since(plan.scrape)).cloned().collect();
        if quick.is_empty() && self.has_answered_since(plan.scrape) {
            self.start_slow(&plan.slow);
            return self.start_databases(&plan.in_databases);
        }
        let began = Instant::now();
        self.state.lock().visit = Some(began);
        let result = self.connect_and_ask(&quick, &plan).await;
        match &result {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(error, began),
        }
        self.note_role();
        if result.is_ok() {
            self.start_databases(&plan.in_databases);
        }
        self.state.lock().visit = None;
    }

    async fn connect_and_ask(self: &Arc<Self>, quick: &[Arc<Slot>], plan: &Plan) -> Result<(), FetchError> {
        let began = Instant::now();
        let patience = if self.state.lock().breaker.is_open() { PATIENCE_WHEN_OPEN } else { VISIT_LIMIT };
        if self.source.connect(began + patience).await? {
            self.answered();
            self.succeeded();
            self.all_slots().iter().for_each(|slot| slot.reconnected());
        }
        self.start_slow(&plan.slow);
        let asked = Instant::now();
        let due: Vec<_> = quick.iter().map(|slot| slot.collector.clone()).collect();
        let report = |event| match event {
            Event::Answered => self.answered(),
            Event::Databases(names) => self.databases.found(names),
            Event::Collected(index, answers) => self.store(&quick[index], "", answers, asked),
        };
        // Also when none of them is wanted: those that are gone must not be shown.
        let discover = !self.databases.collectors.is_empty();
        self.source.ask_quick(&due, discover, began + VISIT_LIMIT, &report).await
    }

    fn start_slow(self: &Arc<Self>, slots: &[Arc<Slot>]) {
        for slot in slots {
            let Some(fetch) = slot.begin(Instant::now()) else { continue };
            let (target, slot) = (self.clone(), slot.clone());
            tokio::spawn(async move {
                let began = Instant::now();
                let report = |event| {
                    if let Event::Collected(_, answers) = event {
                        target.store(&slot, "", answers, began);
                    }
                };
                // What failed is in the slot by now.
                _ = target.source.ask_slow(&slot.collector, &report).await;
                drop(fetch);
            });
        }
    }

    /// Visits each database in which something is due.
    fn start_databases(self: &Arc<Self>, wanted: &[Arc<Collector>]) {
        let is_wanted = |slot: &Slot| wanted.iter().any(|collector| Arc::ptr_eq(collector, &slot.collector));
        for database in self.databases.all() {
            let begin = |slot: &Arc<Slot>| Some((slot.clone(), slot.begin(Instant::now())?));
            let due = database.slots.iter().filter(|slot| is_wanted(slot));
            let (slots, fetches): (Vec<_>, Vec<_>) = due.filter_map(begin).unzip();
            if slots.is_empty() {
                continue;
            }
            let target = self.clone();
            tokio::spawn(async move {
                let began = Instant::now();
                let collectors: Vec<_> = slots.iter().map(|slot| slot.collector.clone()).collect();
                let report = |event| {
                    if let Event::Collected(index, answers) = event {
                        target.store(&slots[index], &database.name, answers, began);
                    }
                };
                // What failed is in the slots by now.
                _ = target.source.ask_database(&database.name, &collectors, &report).await;
                drop(fetches);
            });
        }
    }

    /// Those of the whole server and those of its databases.
    fn all_slots(&self) -> Vec<Arc<Slot>> {
        let databases = self.databases.all();
        let of_databases = databases.iter().flat_map(|database| &database.slots);
        self.slots.iter().chain(of_databases).cloned().collect()
    }

    fn store(&self, slot: &Slot, database: &str, answers: Answers, began: Instant) {
        let (target, collector) = (self.name(), slot.collector.name.as_str());
        for error in slot.store(answers, began, Instant::now()) {
            match error.reason {
                Reason::Role | Reason::Version => debug!(target, collector, database, "{error}"),
                // What is wrong with the target as a whole is said once, of the target.
                _ if error.query.is_some() || !database.is_empty() => warn!(target, collector, database, "{error}"),
                _ => (),
            }
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
        if let Some(error) = state.error.take() {
            info!(target = self.name(), "up again; it was down: {error}");
        }
    }

    /// If nothing was answered since the visit began, the target is down: what it said before is true no more.
    fn failed(&self, error: &FetchError, began: Instant) {
        if !self.has_answered_since(began) {
            let now = Instant::now();
            self.all_slots().iter().for_each(|slot| slot.fail(error, now));
        }
        let mut state = self.state.lock();
        if state.breaker.failed() {
            warn!(target = self.name(), "circuit open after repeated failures: scrapes wait only for a moment now");
        }
        if state.error.as_ref().is_none_or(|before| before.reason != error.reason) {
            warn!(target = self.name(), "down: {error}");
        }
        state.error = Some(error.clone());
    }

    /// What a slow collector found on a primary says nothing of a replica.
    fn note_role(&self) {
        let replica = self.source.status().replica;
        let before = std::mem::replace(&mut self.state.lock().replica, replica);
        if before.is_some() && before != replica {
            info!(target = self.name(), replica, "the server's role changed");
            let (slots, now) = (self.all_slots(), Instant::now());
            slots.iter().filter(|slot| !slot.collector.is_quick()).for_each(|slot| slot.drop_results(now));
        }
    }
}
