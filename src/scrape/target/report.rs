//! What a target shows on a page, and what it says of itself.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    collector::Collector,
    exposition::TargetLabels,
    map::Mapped,
    scrape::{
        slot,
        slot::Slot,
        target::{Target, share},
    },
    source::fetch::{FetchError, Reason, SourceStatus},
};

/// What a page says of a target itself.
pub struct TargetStatus {
    pub up: bool,
    pub last_answer: Option<SystemTime>,
    pub error: Option<FetchError>,
    pub status: SourceStatus,
    /// 0 closed, 1 half-open (a login is under way), 2 open.
    pub circuit: i64,
    pub trips: u64,
    /// Collectors of which something was left out of the last page that had them.
    pub left_out: Vec<String>,
}

/// One collector's tables on a page, by query, of the whole server or of one database.
pub struct ShownCollector {
    pub collector: Arc<Collector>,
    /// The target's, and the database's.
    pub labels: TargetLabels,
    pub tables: Vec<Option<Arc<Mapped>>>,
}

/// Collectors by name, each with what became of it in each database, or once in the whole server.
pub type CollectorReports = Vec<(String, Vec<(Option<String>, slot::CollectorStatus)>)>;

impl Target {
    /// What a page whose scrape began at `scrape` shows of this target. Without an answer since then it is down,
    /// and a target that is down shows nothing but that, and what is remembered of it.
    pub fn show(&self, wanted: &dyn Fn(&Collector) -> bool, scrape: Instant) -> Vec<ShownCollector> {
        let is_up = self.has_answered_since(scrape);
        let databases = self.databases.all();
        let of_databases = databases.iter().flat_map(|d| d.slots.iter().map(|slot| (slot, d.labels.clone())));
        let slots = self.slots.iter().map(|slot| (slot, self.labels.clone())).chain(of_databases);
        let now = Instant::now();
        let show = |(slot, labels): (&Arc<Slot>, _)| {
            let (collector, tables) = (slot.collector.clone(), slot.show(scrape, now));
            ShownCollector { collector, labels, tables }
        };
        let is_shown = |collector: &Collector| wanted(collector) && (is_up || collector.remember);
        let mut shown: Vec<_> = slots.filter(|(slot, _)| is_shown(&slot.collector)).map(show).collect();
        self.fit(&mut shown, now);
        shown
    }

    /// Leaves out what is more than the target may have on a page: counted, and said.
    fn fit(&self, shown: &mut [ShownCollector], now: Instant) {
        let most = self.settings.most;
        let out = share::fit(shown, most);
        let collectors: Vec<_> = out.keys().map(String::as_str).collect();
        let told = (out.values().sum::<u64>(), collectors.join(", "));
        let changed = self.state.lock().left_out.note(out, shown.iter().map(|shown| shown.collector.name.as_str()));
        if changed && let Some(held) = self.told.say("left out", now) {
            match told {
                (0, _) => info!(target = self.name(), "all of it fits on a page again{held}"),
                (samples, of) => warn!(
                    target = self.name(),
                    "{samples} samples of {of} are left out: more than max_bytes ({}) or max_samples ({}){held}",
                    most.bytes,
                    most.samples
                ),
            }
        }
    }

    /// By collector, how many samples have been left out of pages; and whether some were when it was shown last.
    pub fn left_out(&self) -> BTreeMap<String, (u64, bool)> {
        let out = &self.state.lock().left_out;
        out.counts.iter().map(|(name, samples)| (name.clone(), (*samples, out.now.contains(name)))).collect()
    }

    /// What became of each collector, in all databases together.
    pub fn collectors(&self) -> impl Iterator<Item = (&str, slot::CollectorStatus)> {
        let now = Instant::now();
        let databases = self.databases.all();
        let together = self.databases.collectors.iter().filter_map(move |collector| {
            let slots = databases.iter().flat_map(|database| &database.slots);
            let reports = slots.filter(|slot| Arc::ptr_eq(&slot.collector, collector)).map(|slot| slot.report(now));
            Some((collector.name.as_str(), reports.reduce(slot::CollectorStatus::and)?))
        });
        self.slots.iter().map(move |slot| (slot.collector.name.as_str(), slot.report(now))).chain(together)
    }

    /// What became of each collector, database by database.
    pub fn collectors_by_database(&self) -> CollectorReports {
        let now = Instant::now();
        let databases = self.databases.all();
        let of = |collector: &Arc<Collector>| {
            let slots = databases.iter().flat_map(|database| database.slots.iter().map(move |slot| (database, slot)));
            let own = slots.filter(|(_, slot)| Arc::ptr_eq(&slot.collector, collector));
            own.map(|(database, slot)| (Some(database.name.clone()), slot.report(now))).collect()
        };
        let whole = self.slots.iter().map(|slot| (slot.collector.name.clone(), vec![(None, slot.report(now))]));
        whole.chain(self.databases.collectors.iter().map(|collector| (collector.name.clone(), of(collector)))).collect()
    }

    /// What became of the target itself, to a scrape that began at `scrape`.
    pub fn report(&self, scrape: Instant) -> TargetStatus {
        let mut report = self.report_up(self.has_answered_since(scrape));
        if !report.up && report.error.is_none() {
            report.error = Some(unanswered(report.status));
        }
        report
    }

    /// What became of it when it was last visited.
    pub fn last_report(&self) -> TargetStatus {
        let state = self.state.lock();
        let up = state.answered.is_some() && state.error.is_none();
        drop(state);
        self.report_up(up)
    }

    fn report_up(&self, up: bool) -> TargetStatus {
        let status = self.source.status();
        let state = self.state.lock();
        TargetStatus {
            up,
            last_answer: state.answered.map(|answered| answered.time),
            error: state.error.clone(),
            status,
            circuit: match (state.breaker.is_open(), status.login_pending) {
                (false, _) => 0,
                (true, true) => 1,
                (true, false) => 2,
            },
            trips: state.breaker.trips(),
            left_out: state.left_out.now.iter().cloned().collect(),
        }
    }
}

/// Why a target is down whose visit goes on beyond the scrape's deadline.
fn unanswered(status: SourceStatus) -> FetchError {
    match status.login_pending {
        true => FetchError::new(Reason::LoginPending, "the login is not answered yet"),
        false => FetchError::new(Reason::Timeout, "no answer before the deadline of the scrape"),
    }
}
