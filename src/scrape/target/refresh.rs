//! A refresh fetches a target's results for a scrape. One at a time runs on a target, in its own task.
//!
//! ```text
//!   a scrape comes
//!        |
//!        v       all that it wants is fresh, or a refresh found the target down meanwhile
//!     waiting ----------------------------------------------------------------------------> joined
//!        |
//!        | its turn, and something is due
//!        v       all quick collectors have ended
//!     started --------------------------------------> ended
//!        |                                              ^
//!        | the scrape's deadline, or nobody waits       | 10 s after it started, at the latest
//!        v                                              |
//!     outliving its scrape -----------------------------+
//! ```
//!
//! - A joined scrape shows results that others fetched. A result is fresh if it came after the scrape began, while it
//!   waited for its turn, or up to 250 ms before, if the last refresh succeeded.
//! - A refresh that has started is never dropped, so that no session is left in the middle of a query. Results after
//!   its scrape's deadline stay in the slots for the next scrape.
//! - It connects, starts the slow fetches that are due, and fetches the quick collectors. Slow fetches, and those in
//!   databases, are tasks of their own and may outlive it. The scrape waits for those whose slots have nothing to show.
//! - While the circuit breaker is open it waits only briefly for the login. The login itself stays pending, and the
//!   next refresh waits for the same one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::collector::Collector;
use crate::scrape::slot::Slot;
use crate::scrape::target::{LastRefresh, Target};
use crate::source::fetch::{Database, Event, FetchError};

/// The maximum age of a result that the next scrape may share: two scrapers, a page loaded again, a hundred requests
/// at once.
pub const MAX_SHARED_AGE: Duration = Duration::from_millis(250);

/// A refresh's own deadline, independent of its scrape's: the quick lane is cancelled at it.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);

/// How long it waits for the login while the circuit breaker is open.
const PATIENCE_WHEN_OPEN: Duration = Duration::from_millis(900);

/// Decides which results of one target are fresh enough for one scrape.
pub struct Freshness {
    began: Instant,
    /// The maximum age of a shared result.
    max_age: Duration,
    /// The scrape shows results from before it began.
    is_shared: AtomicBool,
}

impl Freshness {
    /// For a scrape that began then. It shares results of at most `max_age`, if all that it wants are that fresh.
    pub fn new(began: Instant, max_age: Duration) -> Self {
        Freshness { began, max_age, is_shared: AtomicBool::new(false) }
    }

    /// The scrape shows results from this time on.
    pub fn since(&self) -> Instant {
        if self.is_shared.load(Ordering::Relaxed) { self.earliest() } else { self.began }
    }

    fn earliest(&self) -> Instant {
        self.began.checked_sub(self.max_age).unwrap_or(self.began)
    }
}

/// The slots of a target that a scrape wants.
struct RefreshPlan {
    quick: Vec<Arc<Slot>>,
    slow: Vec<Arc<Slot>>,
    per_database: Vec<Arc<Collector>>,
}

impl RefreshPlan {
    fn new(target: &Target, wanted: &dyn Fn(&Collector) -> bool) -> Self {
        let slots = target.slots.iter().filter(|slot| wanted(&slot.collector)).cloned();
        let (quick, slow) = slots.partition(|slot| slot.collector.is_quick());
        let per_database = target.databases.collectors.iter().filter(|collector| wanted(collector)).cloned().collect();
        RefreshPlan { quick, slow, per_database }
    }

    /// The quick slots that were not fetched since then.
    fn due_since(&self, then: Instant) -> Vec<Arc<Slot>> {
        self.quick.iter().filter(|slot| slot.is_due_since(then)).cloned().collect()
    }
}

impl Target {
    /// Refreshes the results that a scrape wants; the scrape waits until its deadline at most.
    pub async fn refresh(
        self: &Arc<Self>,
        wanted: &(dyn Fn(&Collector) -> bool + Sync),
        freshness: &Freshness,
        deadline: Instant,
    ) {
        let complete = async {
            self.refresh_in_turn(RefreshPlan::new(self, wanted), freshness).await;
            for slot in self.slow_slots(wanted) {
                slot.wait_for_fetch().await;
            }
        };
        if timeout_at(deadline, complete).await.is_err() {
            self.count_timeouts(wanted);
        }
    }

    /// Counts missed results: once for each collector, in any number of databases.
    fn count_timeouts(&self, wanted: &(dyn Fn(&Collector) -> bool + Sync)) {
        let (now, mut counted) = (Instant::now(), HashSet::new());
        for slot in self.slow_slots(wanted).into_iter().filter(|slot| slot.is_awaited(now)) {
            if counted.insert(slot.collector.name.clone()) {
                slot.count_timeout();
            }
        }
    }

    /// The slow slots of the whole server and of its databases.
    fn slow_slots(&self, wanted: &(dyn Fn(&Collector) -> bool + Sync)) -> Vec<Arc<Slot>> {
        self.all_slots().into_iter().filter(|slot| !slot.collector.is_quick() && wanted(&slot.collector)).collect()
    }

    async fn refresh_in_turn(self: &Arc<Self>, plan: RefreshPlan, freshness: &Freshness) {
        let turn = self.refreshing.clone().lock_owned().await;
        if self.is_fresh(&plan, freshness) {
            self.start_slow(&plan.slow);
            return self.start_databases(&plan.per_database);
        }
        if self.is_down_since(freshness.began) {
            return;
        }
        let target = self.clone();
        let due = plan.due_since(freshness.began);
        let refresh = tokio::spawn(async move {
            target.run_refresh(&due, &plan).await;
            drop(turn);
        });
        _ = refresh.await;
    }

    /// All results that the scrape wants came since it began, or shortly before.
    fn is_fresh(&self, plan: &RefreshPlan, freshness: &Freshness) -> bool {
        let came_since = |then| plan.due_since(then).is_empty() && self.has_answered_since(then);
        if came_since(freshness.began) {
            return true;
        }
        let has_succeeded = matches!(self.state.lock().last_refresh, Some(LastRefresh::Succeeded));
        let is_shared = has_succeeded && came_since(freshness.earliest());
        freshness.is_shared.store(is_shared, Ordering::Relaxed);
        is_shared
    }

    /// A refresh that began after the scrape found the target down: scrapes that waited for their turn meanwhile need
    /// not find out one after the other.
    fn is_down_since(&self, scrape: Instant) -> bool {
        matches!(self.state.lock().last_refresh, Some(LastRefresh::Down(began)) if began >= scrape)
    }

    async fn run_refresh(self: &Arc<Self>, due: &[Arc<Slot>], plan: &RefreshPlan) {
        let began = Instant::now();
        self.state.lock().refresh_began = Some(began);
        let result = self.connect_and_fetch(due, plan).await;
        match &result {
            Ok(()) => self.mark_up(),
            Err(error) => self.note_failure(error, began),
        }
        self.note_status();
        self.log_login_warnings();
        self.log_held_back();
        if result.is_ok() {
            self.start_databases(&plan.per_database);
        }
        let mut state = self.state.lock();
        state.refresh_began = None;
        if result.is_ok() {
            state.last_refresh = Some(LastRefresh::Succeeded);
        }
    }

    async fn connect_and_fetch(self: &Arc<Self>, quick: &[Arc<Slot>], plan: &RefreshPlan) -> Result<(), FetchError> {
        let began = Instant::now();
        let patience = if self.state.lock().breaker.is_open() { PATIENCE_WHEN_OPEN } else { REFRESH_LIMIT };
        if self.source.connect(began + patience).await? {
            self.note_answer();
            self.mark_up();
            self.all_slots().iter().for_each(|slot| slot.retry_skipped());
        }
        self.start_slow(&plan.slow);
        let asked = Instant::now();
        let due: Vec<_> = quick.iter().map(|slot| slot.collector.clone()).collect();
        let sink = |event| match event {
            Event::Answered => self.note_answer(),
            Event::Databases(existing) => self.note_databases(&existing),
            Event::Collected(index, answers) => self.store(&quick[index], "", answers, asked),
            Event::TurnBegan => (),
        };
        // Also when the scrape wants none of them: dropped databases must not be shown.
        let discover = !self.databases.collectors.is_empty() || self.slots.iter().any(|slot| slot.is_per_database());
        self.source.fetch_quick(&due, discover, began + REFRESH_LIMIT, &sink).await
    }

    /// Forgets results about dropped databases.
    fn note_databases(&self, existing: &[Database]) {
        self.databases.replace(existing);
        let names: HashSet<&str> = existing.iter().map(|database| database.name.as_str()).collect();
        self.slots.iter().for_each(|slot| slot.retain_databases(&names));
    }

    fn start_slow(self: &Arc<Self>, slots: &[Arc<Slot>]) {
        for slot in slots {
            let Some(fetch) = slot.try_start(Instant::now()) else { continue };
            let (target, slot) = (self.clone(), slot.clone());
            tokio::spawn(async move {
                let sink = target.storing(std::slice::from_ref(&slot), "");
                // The slot has the error already, if there was one.
                _ = target.source.fetch_slow(&slot.collector, &sink).await;
                drop(fetch);
            });
        }
    }

    /// Stores the answers of slow collectors. Their fetch began when it was their turn, not when they fell due.
    fn storing<'a>(&'a self, slots: &'a [Arc<Slot>], database: &'a str) -> impl Fn(Event) + 'a {
        let began = Mutex::new(Instant::now());
        move |event| match event {
            Event::TurnBegan => *began.lock() = Instant::now(),
            Event::Collected(index, answers) => self.store(&slots[index], database, answers, *began.lock()),
            Event::Answered | Event::Databases(_) => (),
        }
    }

    /// Starts a fetch in each database with a due collector.
    fn start_databases(self: &Arc<Self>, wanted: &[Arc<Collector>]) {
        let is_wanted = |slot: &Slot| wanted.iter().any(|collector| Arc::ptr_eq(collector, &slot.collector));
        let databases = self.databases.all();
        let count = databases.len();
        for database in databases.into_iter().filter(|database| !database.is_refusing()) {
            let Ok(place) = self.databases.places.clone().try_acquire_owned() else { break };
            let slots = database.slots.iter().filter(|slot| is_wanted(slot));
            let started = slots.filter_map(|slot| Some((slot.clone(), slot.try_start(Instant::now())?)));
            let (slots, fetches): (Vec<_>, Vec<_>) = started.unzip();
            if slots.is_empty() {
                continue;
            }
            let target = self.clone();
            tokio::spawn(async move {
                let sink = target.storing(&slots, &database.name);
                let due: Vec<_> = slots.iter().map(|slot| slot.collector.clone()).collect();
                let result = target.source.fetch_database(&database.name, count, &due, &sink).await;
                // The slots have the errors already.
                database.note_result(&result);
                drop((fetches, place));
            });
        }
    }
}
