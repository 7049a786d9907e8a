//! A target's part of a page, and its status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::collector::Collector;
use crate::exposition::Block;
use crate::scrape::slot::{CollectorStatus, Slot};
use crate::scrape::target::databases::DatabaseSlots;
use crate::scrape::target::{Target, share};
use crate::source::fetch::{FetchError, Reason, SourceStatus};

/// The status of a target on a page.
pub struct TargetStatus {
    pub up: bool,
    pub last_answer: Option<SystemTime>,
    pub error: Option<FetchError>,
    pub status: SourceStatus,
    /// 0 closed, 1 half-open (a login is under way), 2 open.
    pub circuit: i64,
    pub trips: u64,
    /// Collectors that lost samples on the last page that had them.
    pub left_out: Vec<String>,
}

/// The status of one collector in one database, or in the whole server.
pub struct CollectorReport {
    pub collector: String,
    pub databases: Vec<DatabaseReport>,
}

pub struct DatabaseReport {
    /// `None` for the whole server.
    pub database: Option<String>,
    pub status: CollectorStatus,
}

impl Target {
    /// The target's part of a page whose scrape began at `scrape`, in the order of the catalogue. Without an answer
    /// since then it is down, and a target that is down shows only its status and what is remembered.
    pub fn show(&self, wanted: &dyn Fn(&Collector) -> bool, scrape: Instant) -> Vec<Block> {
        let (is_up, now) = (self.has_answered_since(scrape), Instant::now());
        let databases = self.databases.all();
        let of_databases = databases.iter().flat_map(|d| d.slots.iter().map(|slot| (slot, &d.labels)));
        let slots = self.slots.iter().map(|slot| (slot, &self.labels)).chain(of_databases);
        let is_shown = |slot: &Slot| wanted(&slot.collector) && (is_up || slot.collector.remember);
        let slots: Vec<_> = slots.filter(|(slot, _)| is_shown(slot)).collect();
        let mut blocks = Vec::new();
        for (slot, labels) in &slots {
            blocks.extend(slot.show(labels, scrape, now));
        }
        let left_out = share::fit(&mut blocks, self.settings.most);
        self.note_left_out(left_out, slots.iter().map(|(slot, _)| slot.collector.name.as_str()), now);
        blocks
    }

    /// Counts the samples dropped from a page that shows these collectors, and logs when that begins and ends.
    fn note_left_out<'a>(&self, left_out: BTreeMap<String, u64>, shown: impl Iterator<Item = &'a str>, now: Instant) {
        let samples: u64 = left_out.values().sum();
        let collectors = left_out.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let has_changed = self.state.lock().left_out.note(left_out, shown);
        if !has_changed {
            return;
        }
        let Some(held) = self.log_limit.say("left out", now) else { return };
        if samples == 0 {
            info!(target = self.name(), "all samples fit on a page again{held}");
        } else {
            let limits = self.settings.most;
            warn!(
                target = self.name(),
                "{samples} samples of {collectors} are left out: more than max_bytes ({}) or max_samples ({}){held}",
                limits.bytes,
                limits.samples
            );
        }
    }

    /// By collector, the number of samples dropped from pages; and whether the last page with it lost some.
    pub fn left_out(&self) -> BTreeMap<String, (u64, bool)> {
        let left_out = &self.state.lock().left_out;
        left_out.counts.iter().map(|(name, samples)| (name.clone(), (*samples, left_out.now.contains(name)))).collect()
    }

    /// The status of each collector over all databases; a collector without any database has none.
    pub fn collectors(&self) -> impl Iterator<Item = (String, CollectorStatus)> {
        self.collectors_by_database().into_iter().filter_map(|report| {
            let statuses = report.databases.into_iter().map(|report| report.status);
            Some((report.collector, statuses.reduce(CollectorStatus::merge)?))
        })
    }

    /// The status of each collector, database by database.
    pub fn collectors_by_database(&self) -> Vec<CollectorReport> {
        let (now, databases) = (Instant::now(), self.databases.all());
        let mut reports = Vec::new();
        for slot in &self.slots {
            let whole = DatabaseReport { database: None, status: slot.status(now) };
            reports.push(CollectorReport { collector: slot.collector.name.clone(), databases: vec![whole] });
        }
        for (index, collector) in self.databases.collectors.iter().enumerate() {
            let report = |database: &Arc<DatabaseSlots>| DatabaseReport {
                database: Some(database.name.clone()),
                status: database.slots[index].status(now),
            };
            let databases = databases.iter().map(report).collect();
            reports.push(CollectorReport { collector: collector.name.clone(), databases });
        }
        reports
    }

    /// The status of the target itself, for a scrape that began at `scrape`.
    pub fn status(&self, scrape: Instant) -> TargetStatus {
        let mut status = self.status_if(self.has_answered_since(scrape));
        if !status.up && status.error.is_none() {
            status.error = Some(unanswered(status.status));
        }
        status
    }

    /// The status at the end of the last refresh.
    pub fn last_status(&self) -> TargetStatus {
        let status = self.status_if(false);
        TargetStatus { up: status.last_answer.is_some() && status.error.is_none(), ..status }
    }

    fn status_if(&self, up: bool) -> TargetStatus {
        let status = self.source.status();
        let state = self.state.lock();
        TargetStatus {
            up,
            last_answer: state.last_answer.map(|answer| answer.time),
            error: state.error.clone(),
            status,
            circuit: state.breaker.state(status.login_pending),
            trips: state.breaker.trips(),
            left_out: state.left_out.now.iter().cloned().collect(),
        }
    }
}

/// Why a target is down whose refresh outlives the scrape's deadline.
fn unanswered(status: SourceStatus) -> FetchError {
    if status.login_pending {
        FetchError::new(Reason::LoginPending, "the login is not answered yet")
    } else {
        FetchError::new(Reason::Timeout, "no answer before the deadline of the scrape")
    }
}
