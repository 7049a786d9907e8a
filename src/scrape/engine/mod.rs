//! The engine runs scrapes: it refreshes the targets together, and gathers their results for a page.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::info;

use crate::collector::catalogue::Catalogue;
use crate::collector::sections::row::SectionTables;
use crate::collector::{Collector, Rows, SourceKind};
use crate::exposition::{Block, TargetLabels};
use crate::map;
use crate::scrape::self_metrics;
use crate::scrape::self_metrics::Process;
use crate::scrape::target::Target;
use crate::scrape::target::refresh::{Freshness, MAX_SHARED_AGE};
use crate::scrape::target::report::TargetStatus;
use crate::settings::Settings;

/// The targets and collectors that a scrape wants, by name; all if none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    pub targets: BTreeSet<String>,
    pub collectors: BTreeSet<String>,
}

impl Selection {
    pub fn has_target(&self, target: &Target) -> bool {
        self.targets.is_empty() || self.targets.contains(target.name())
    }

    fn has_collector(&self, collector: &Collector) -> bool {
        self.collectors.is_empty() || self.collectors.contains(&collector.name)
    }
}

/// One configuration in force. A reload makes a new one.
pub struct Engine {
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub targets: Vec<Arc<Target>>,
    pub process: Arc<Process>,
}

impl Engine {
    /// An engine for these settings. It takes over unchanged targets from the one `before`, with their sessions and
    /// results. The next scrape refreshes anyway: a reload's caller wants to see its effect.
    pub fn new(settings: Settings, mut catalogue: Catalogue, process: Arc<Process>, before: Option<&Engine>) -> Self {
        let is_same_catalogue = before.is_some_and(|before| before.catalogue == catalogue);
        // Unchanged collectors stay the same objects: slots that are kept refer to them, and a page compares collectors
        // by identity.
        for collector in &mut catalogue.collectors {
            let kept = before.and_then(|before| before.catalogue.get(&collector.name));
            if let Some(kept) = kept.filter(|kept| *kept == collector) {
                *collector = kept.clone();
            }
        }
        let mut targets = Vec::new();
        for wanted in &settings.targets {
            let before = before.and_then(|before| before.targets.iter().find(|t| t.settings.name == wanted.name));
            match before {
                Some(kept) if is_same_catalogue && kept.settings == *wanted => {
                    kept.require_refresh();
                    targets.push(kept.clone());
                }
                _ => targets.push(Arc::new(Target::new(wanted.clone(), &catalogue, before.map(Arc::as_ref)))),
            }
        }
        Engine { settings, catalogue, targets, process }
    }

    /// # Errors
    /// A selected name does not exist; the message lists those that do.
    pub fn check(&self, selection: &Selection) -> Result<(), String> {
        let targets: Vec<_> = self.targets.iter().map(|target| target.name()).collect();
        let collectors: Vec<_> = self.catalogue.collectors.iter().map(|collector| collector.name.as_str()).collect();
        for (kind, wanted, known) in
            [("target", &selection.targets, targets), ("collector", &selection.collectors, collectors)]
        {
            if let Some(name) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(format!("no {kind} {name:?}; there are {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// Refreshes the selection, until the deadline at most, and returns the results.
    pub async fn scrape(&self, selection: &Selection, deadline: Instant) -> Vec<Block> {
        let scrape = self.begin(selection, Instant::now());
        scrape.refresh(deadline, &|| ()).await;
        self.show(&scrape)
    }

    /// A scrape that began then.
    pub fn begin(&self, selection: &Selection, began: Instant) -> Scrape {
        let targets = self.targets.iter().filter(|target| selection.has_target(target));
        let targets = targets.map(|target| (target.clone(), Freshness::new(began, MAX_SHARED_AGE))).collect();
        Scrape { selection: selection.clone(), began, targets }
    }

    /// The results for a scrape, in the order of the catalogue.
    pub fn show(&self, scrape: &Scrape) -> Vec<Block> {
        let wanted = |collector: &Collector| scrape.selection.has_collector(collector);
        let mut blocks = Vec::new();
        for (target, freshness) in &scrape.targets {
            blocks.extend(target.show(&wanted, freshness.since()));
        }
        let own = self.catalogue.collectors.iter().filter(|collector| collector.source == SourceKind::SelfMetrics);
        let own: Vec<_> = own.filter(|collector| wanted(collector)).collect();
        if !own.is_empty() {
            for (target, freshness) in &scrape.targets {
                push_own(&mut blocks, &own, &target.labels, &self_metrics::target_tables(target, freshness.since()));
            }
            push_own(&mut blocks, &own, &TargetLabels::default(), &self.process.tables());
        }
        // Blocks of one query must be adjacent. The sort is stable, so that the targets keep their order.
        blocks.sort_by(|a, b| (&a.collector.name, a.query).cmp(&(&b.collector.name, b.query)));
        self.process.scraped(scrape.began.elapsed());
        blocks
    }

    /// Asks every target once, so that the log reports a wrong password before the first scrape.
    pub async fn log_first_status(&self) {
        let statuses = self.ping(Instant::now() + self.settings.scrape_timeout).await;
        let up = statuses.iter().filter(|(_, status)| status.up).count();
        info!("every target was asked once: {up} of {} up", statuses.len());
    }

    /// Asks every target whether it answers now, and nothing else.
    pub async fn ping(&self, deadline: Instant) -> Vec<(&str, TargetStatus)> {
        let freshness = Freshness::new(Instant::now(), Duration::ZERO);
        join_all(self.targets.iter().map(|target| target.refresh(&|_| false, &freshness, deadline))).await;
        self.targets.iter().map(|target| (target.name(), target.status(freshness.since()))).collect()
    }
}

/// A scrape: its selection, and the freshness that it needs at each target.
pub struct Scrape {
    selection: Selection,
    began: Instant,
    targets: Vec<(Arc<Target>, Freshness)>,
}

impl Scrape {
    /// The number of targets in it.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Refreshes all targets together, until the deadline at most. Calls `refreshed` whenever one is done.
    pub async fn refresh(&self, deadline: Instant, refreshed: &(dyn Fn() + Sync)) {
        let wanted = |collector: &Collector| self.selection.has_collector(collector);
        let wanted = &wanted;
        let refreshes = self.targets.iter().map(|(target, freshness)| async move {
            target.refresh(wanted, freshness, deadline).await;
            refreshed();
        });
        join_all(refreshes).await;
    }
}

/// Adds the blocks of collectors of exporter metrics from these tables.
fn push_own(blocks: &mut Vec<Block>, collectors: &[&Arc<Collector>], labels: &TargetLabels, tables: &SectionTables) {
    for collector in collectors {
        for (index, query) in collector.queries.iter().enumerate() {
            let Rows::Section(section) = &query.rows else { continue };
            let Some(table) = tables.by_name.get(section.as_str()) else { continue };
            let (collector, mapped) = (Arc::clone(collector), map::map(query, table.clone()).into());
            blocks.push(Block { collector, query: index, labels: labels.clone(), mapped });
        }
    }
}
