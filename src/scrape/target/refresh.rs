//! A visit: what a scrape makes of a target. It outlives its scrape; slow fetches and databases outlive the visit.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::{
    circuit_breaker::PATIENCE_WHEN_OPEN,
    collector::Collector,
    scrape::{
        slot::Slot,
        target::{LastRefresh, Target},
    },
    source::fetch::{Database, Event, FetchError},
};

/// A visit's own deadline, whatever its scrape's: the quick lane is cancelled at it.
const VISIT_LIMIT: Duration = Duration::from_secs(10);

/// A scrape, to one target: since when what the target says counts as said to it.
pub struct Freshness {
    began: Instant,
    /// How old results may be that were there before.
    young: Duration,
    /// It was satisfied by such results.
    shares: AtomicBool,
}

impl Freshness {
    /// A scrape that began then, and takes results that are `young`, if all that it wants is.
    pub fn new(began: Instant, young: Duration) -> Self {
        Freshness { began, young, shares: AtomicBool::new(false) }
    }

    /// What was answered from then on is shown to it.
    pub fn since(&self) -> Instant {
        match self.shares.load(Ordering::Relaxed) {
            true => self.earliest(),
            false => self.began,
        }
    }

    fn earliest(&self) -> Instant {
        self.began.checked_sub(self.young).unwrap_or(self.began)
    }
}

/// What a scrape wants of a target.
struct RefreshPlan {
    quick: Vec<Arc<Slot>>,
    slow: Vec<Arc<Slot>>,
    in_databases: Vec<Arc<Collector>>,
}

impl RefreshPlan {
    fn new(target: &Target, wanted: &dyn Fn(&Collector) -> bool) -> Self {
        let slots = target.slots.iter().filter(|slot| wanted(&slot.collector)).cloned();
        let (quick, slow) = slots.partition(|slot| slot.collector.is_quick());
        let in_databases = target.databases.collectors.iter().filter(|collector| wanted(collector)).cloned().collect();
        RefreshPlan { quick, slow, in_databases }
    }

    /// Of what is asked on each scrape, what was not asked since then.
    fn due_since(&self, then: Instant) -> Vec<Arc<Slot>> {
        self.quick.iter().filter(|slot| slot.is_due_since(then)).cloned().collect()
    }
}

impl Target {
    /// Visits for a scrape, which waits to its deadline and no longer. Dropped, it does not begin a visit any more; one that it has
    /// begun comes to its end, so that no session is left in the middle of a question.
    pub async fn visit(
        self: &Arc<Self>,
        wanted: &(dyn Fn(&Collector) -> bool + Sync),
        asks: &Freshness,
        deadline: Instant,
    ) {
        let all = async {
            self.visit_in_turn(RefreshPlan::new(self, wanted), asks).await;
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

    async fn visit_in_turn(self: &Arc<Self>, plan: RefreshPlan, asks: &Freshness) {
        let turn = self.turn.clone().lock_owned().await;
        if self.is_told(&plan, asks) {
            self.start_slow(&plan.slow);
            return self.start_databases(&plan.in_databases);
        }
        if self.is_down_since(asks.began) {
            return;
        }
        let (target, due) = (self.clone(), plan.due_since(asks.began));
        let visit = tokio::spawn(async move {
            target.run_visit(&due, &plan).await;
            drop(turn);
        });
        _ = visit.await;
    }

    /// All that the scrape wants was told since it began, or is young.
    fn is_told(&self, plan: &RefreshPlan, asks: &Freshness) -> bool {
        let since = |then| plan.due_since(then).is_empty() && self.has_answered_since(then);
        if since(asks.began) {
            return true;
        }
        let went_well = matches!(self.state.lock().ended, Some(LastRefresh::Well));
        let shares = went_well && since(asks.earliest());
        asks.shares.store(shares, Ordering::Relaxed);
        shares
    }

    /// A visit that began after the scrape found it down: those who waited for their turn meanwhile need not find out one after
    /// the other.
    fn is_down_since(&self, scrape: Instant) -> bool {
        matches!(self.state.lock().ended, Some(LastRefresh::Down(began)) if began >= scrape)
    }

    async fn run_visit(self: &Arc<Self>, due: &[Arc<Slot>], plan: &RefreshPlan) {
        let began = Instant::now();
        self.state.lock().visit = Some(began);
        let result = self.connect_and_ask(due, plan).await;
        match &result {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(error, began),
        }
        self.note_role();
        self.tell_of_logins();
        self.tell_overdue();
        if result.is_ok() {
            self.start_databases(&plan.in_databases);
        }
        let mut state = self.state.lock();
        state.visit = None;
        if result.is_ok() {
            state.ended = Some(LastRefresh::Well);
        }
    }

    async fn connect_and_ask(self: &Arc<Self>, quick: &[Arc<Slot>], plan: &RefreshPlan) -> Result<(), FetchError> {
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
            Event::TurnBegan => (),
        };
        // Also when none of them is wanted: those that are gone must not be shown.
        let discover = !self.databases.collectors.is_empty() || self.slots.iter().any(|slot| slot.tells_of_databases());
        self.source.fetch_quick(&due, discover, began + VISIT_LIMIT, &report).await
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
                _ = target.source.fetch_slow(&slot.collector, &target.storing(std::slice::from_ref(&slot), "")).await;
                drop(fetch);
            });
        }
    }

    /// Stores what slow collectors bring. They began when it was their turn, not when they fell due.
    fn storing<'a>(&'a self, slots: &'a [Arc<Slot>], database: &'a str) -> impl Fn(Event) + 'a {
        let began = Mutex::new(Instant::now());
        move |event| match event {
            Event::TurnBegan => *began.lock() = Instant::now(),
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
            let Ok(place) = self.databases.places.clone().try_acquire_owned() else { break };
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
                database.visited(&target.source.fetch_database(&database.name, &collectors, &report).await);
                drop((fetches, place));
            });
        }
    }
}

/// The collector with its share of the rows: `max_rows` is for the whole target.
fn shared_out(collector: &Arc<Collector>, databases: usize) -> Arc<Collector> {
    let max_rows = collector.max_rows.div_ceil(databases.max(1));
    Arc::new(Collector { max_rows, ..Collector::clone(collector) })
}
