//! A visit: what a scrape makes of a target. It outlives its scrape; slow fetches and databases outlive the visit.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Target;
use crate::{
    breaker::PATIENCE_WHEN_OPEN,
    config::collector::Collector,
    slot::Slot,
    source::{Database, Event, FetchError},
};

/// A visit's own deadline, whatever its scrape's: the quick lane is cancelled at it.
const VISIT_LIMIT: Duration = Duration::from_secs(10);

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
            for slot in self.slow_slots(wanted) {
                slot.awaited_result().await;
            }
        };
        if timeout_at(deadline, all).await.is_err() {
            self.note_late(wanted);
        }
    }

    /// A scrape goes without what it waited for: counted once for each collector, in however many databases that is.
    fn note_late(&self, wanted: &(dyn Fn(&Collector) -> bool + Sync)) {
        let (now, mut late) = (Instant::now(), HashSet::new());
        for slot in self.slow_slots(wanted).into_iter().filter(|slot| slot.is_awaited(now)) {
            if late.insert(slot.collector.name.clone()) {
                slot.note_late();
            }
        }
    }

    /// What is not asked on each scrape, of the whole server and of its databases.
    fn slow_slots(&self, wanted: &(dyn Fn(&Collector) -> bool + Sync)) -> Vec<Arc<Slot>> {
        self.all_slots().into_iter().filter(|slot| !slot.collector.is_quick() && wanted(&slot.collector)).collect()
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
        // Apart, so that those who wait for their turn are small.
        let result = Box::pin(self.connect_and_ask(&quick, &plan)).await;
        match &result {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(error, began),
        }
        self.note_role();
        self.tell_overdue();
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
            Event::Databases(there) => self.databases_found(&there),
            Event::Collected(index, answers) => self.store(&quick[index], "", answers, asked),
            Event::Begun => (),
        };
        // Also when none of them is wanted: those that are gone must not be shown.
        let discover = !self.databases.collectors.is_empty() || self.slots.iter().any(|slot| slot.tells_of_databases());
        self.source.ask_quick(&due, discover, began + VISIT_LIMIT, &report).await
    }

    /// What a slow collector said of a database that is gone is shown no more.
    fn databases_found(&self, there: &[Database]) {
        self.databases.found(there);
        let names: HashSet<&str> = there.iter().map(|database| database.name.as_str()).collect();
        self.slots.iter().for_each(|slot| slot.keep_databases(&names));
    }

    fn start_slow(self: &Arc<Self>, slots: &[Arc<Slot>]) {
        for slot in slots {
            let Some(fetch) = slot.begin(Instant::now()) else { continue };
            let (target, slot) = (self.clone(), slot.clone());
            tokio::spawn(async move {
                // What failed is in the slot by now.
                _ = target.source.ask_slow(&slot.collector, &target.storing(std::slice::from_ref(&slot), "")).await;
                drop(fetch);
            });
        }
    }

    /// Stores what slow collectors bring. They began when it was their turn, not when they fell due.
    fn storing<'a>(&'a self, slots: &'a [Arc<Slot>], database: &'a str) -> impl Fn(Event) + 'a {
        let began = Mutex::new(Instant::now());
        move |event| match event {
            Event::Begun => *began.lock() = Instant::now(),
            Event::Collected(index, answers) => self.store(&slots[index], database, answers, *began.lock()),
            Event::Answered | Event::Databases(_) => (),
        }
    }

    /// Visits each database in which something is due.
    fn start_databases(self: &Arc<Self>, wanted: &[Arc<Collector>]) {
        let is_wanted = |slot: &Slot| wanted.iter().any(|collector| Arc::ptr_eq(collector, &slot.collector));
        let databases = self.databases.all();
        // Once for all of them: in each there are the same.
        let shares: Vec<_> = wanted.iter().map(|collector| shared_out(collector, databases.len())).collect();
        let share = |slot: &Arc<Slot>| {
            let at = wanted.iter().position(|collector| Arc::ptr_eq(collector, &slot.collector))?;
            Some(shares[at].clone())
        };
        for database in databases.into_iter().filter(|database| !database.is_refusing()) {
            let begin = |slot: &Arc<Slot>| Some((slot.clone(), slot.begin(Instant::now())?));
            let due = database.slots.iter().filter(|slot| is_wanted(slot));
            let (slots, fetches): (Vec<_>, Vec<_>) = due.filter_map(begin).unzip();
            if slots.is_empty() {
                continue;
            }
            let target = self.clone();
            let collectors: Vec<_> = slots.iter().filter_map(share).collect();
            tokio::spawn(async move {
                let report = target.storing(&slots, &database.name);
                // What failed is in the slots by now.
                database.visited(&target.source.ask_database(&database.name, &collectors, &report).await);
                drop(fetches);
            });
        }
    }
}

/// The collector with its share of the rows: `max_rows` is for the whole target.
fn shared_out(collector: &Arc<Collector>, databases: usize) -> Arc<Collector> {
    let max_rows = collector.max_rows.div_ceil(databases.max(1));
    Arc::new(Collector { max_rows, ..Collector::clone(collector) })
}
