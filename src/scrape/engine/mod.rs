//! Targets x collectors: a scrape visits the targets together and gathers what they show into a page.

#[cfg(test)]
mod tests;

use std::{cell::LazyCell, collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

pub use crate::scrape::target::YOUNG;
use crate::{
    collector::{Collector, Rows, SourceKind, catalogue::Catalogue, sections::row::SectionTables},
    exposition::{Block, TargetLabels},
    map,
    scrape::{
        self_metrics,
        self_metrics::Process,
        target::{Freshness, ShownCollector, Target, TargetStatus},
    },
    settings,
    settings::Settings,
};

/// What a scrape asks for: targets and collectors by name, all where none is named.
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

/// All that one configuration means. A reload makes a new one.
pub struct Engine {
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub targets: Vec<Arc<Target>>,
    pub process: Arc<Process>,
}

impl Engine {
    /// An engine for these settings. What did not change since `before` is kept with its sessions and results; but whoever asks for a
    /// reload wants the next scrape to see for itself.
    pub fn new(settings: Settings, catalogue: Catalogue, process: Arc<Process>, before: Option<&Engine>) -> Self {
        let same_collectors = before.is_some_and(|before| before.catalogue == catalogue);
        let make = |wanted: &settings::TargetSettings| {
            let named = |target: &&Arc<Target>| target.settings.name == wanted.name;
            match before.and_then(|before| before.targets.iter().find(named)) {
                Some(kept) if same_collectors && kept.settings == *wanted => {
                    kept.forget_young();
                    kept.clone()
                }
                followed => Arc::new(Target::new(wanted.clone(), &catalogue, followed.map(Arc::as_ref))),
            }
        };
        let targets = settings.targets.iter().map(make).collect();
        Engine { settings, catalogue, targets, process }
    }

    /// # Errors
    /// Names what is selected and does not exist, and what there is.
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

    /// Visits what is selected, to the deadline or until `hurry` at most, and returns what there is to show.
    pub async fn scrape(
        &self,
        selection: &Selection,
        deadline: Instant,
        hurry: impl Future<Output = ()>,
    ) -> Vec<Block> {
        let scrape = self.begin(selection, Instant::now());
        scrape.visit(deadline, hurry, &|| ()).await;
        self.show(&scrape)
    }

    /// A scrape that began then. Results that are [`YOUNG`] are good for it.
    pub fn begin(&self, selection: &Selection, began: Instant) -> Scrape {
        let targets = self.targets.iter().filter(|target| selection.has_target(target));
        let targets = targets.map(|target| (target.clone(), Freshness::new(began, YOUNG))).collect();
        Scrape { selection: selection.clone(), began, targets }
    }

    /// What there is to show to a scrape.
    pub fn show(&self, scrape: &Scrape) -> Vec<Block> {
        let Scrape { selection, began, targets } = scrape;
        let wanted = |collector: &Collector| selection.has_collector(collector);
        let mut shown: Vec<_> = targets.iter().map(|(target, asks)| target.show(&wanted, asks.since())).collect();
        // A target may still hold the collectors of the configuration before: the same ones, found by their names.
        shown.iter_mut().for_each(|shown| shown.sort_by(|a, b| a.collector.name.cmp(&b.collector.name)));
        let mut blocks = Vec::new();
        let own = LazyCell::new(|| self.own_tables(targets));
        for collector in self.catalogue.collectors.iter().filter(|collector| wanted(collector)) {
            let mut shown: Vec<_> = shown.iter_mut().map(|shown| of_collector(shown, &collector.name)).collect();
            for query in 0..collector.queries.len() {
                match collector.source {
                    SourceKind::Own => blocks.extend(own_blocks(&own, collector, query)),
                    _ => shown.iter_mut().for_each(|shown| blocks.extend(take(shown, collector, query))),
                }
            }
        }
        self.process.scraped(began.elapsed());
        blocks
    }

    /// Asks every target whether it answers now, and nothing else.
    pub async fn ping(&self, deadline: Instant) -> Vec<(&str, TargetStatus)> {
        let asks = Freshness::new(Instant::now(), Duration::ZERO);
        join_all(self.targets.iter().map(|target| target.visit(&|_| false, &asks, deadline))).await;
        self.targets.iter().map(|target| (target.name(), target.report(asks.since()))).collect()
    }

    /// The program's own state, of each target under its labels and of the whole.
    fn own_tables(&self, targets: &[(Arc<Target>, Freshness)]) -> Vec<(TargetLabels, SectionTables)> {
        let of_target = |(target, asks): &(Arc<Target>, Freshness)| {
            (target.labels.clone(), self_metrics::target_tables(target, asks.since()))
        };
        let whole = (TargetLabels::default(), self.process.tables());
        targets.iter().map(of_target).chain([whole]).collect()
    }
}

/// A scrape: what it asks for, and what became of that at each target.
pub struct Scrape {
    selection: Selection,
    began: Instant,
    targets: Vec<(Arc<Target>, Freshness)>,
}

impl Scrape {
    /// How many targets it is about.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Visits all targets together, to the deadline or until `hurry` at most. Whenever the visit of one is over, that is `visited`.
    pub async fn visit(&self, deadline: Instant, hurry: impl Future<Output = ()>, visited: &(dyn Fn() + Sync)) {
        let wanted = |collector: &Collector| self.selection.has_collector(collector);
        let wanted = &wanted;
        let visits = self.targets.iter().map(|(target, asks)| async move {
            target.visit(wanted, asks, deadline).await;
            visited();
        });
        let visits = join_all(visits);
        tokio::select! {
            _ = visits => (),
            () = hurry => (),
        }
    }
}

/// What a target shows of one collector, once or for each database; `shown` is sorted by the collectors' names.
fn of_collector<'a>(shown: &'a mut [ShownCollector], name: &str) -> &'a mut [ShownCollector] {
    let first = shown.partition_point(|shown| *shown.collector.name < *name);
    let behind = shown.partition_point(|shown| *shown.collector.name <= *name);
    &mut shown[first..behind]
}

/// What it shows of one query: a table, or one for each database.
fn take(shown: &mut [ShownCollector], collector: &Arc<Collector>, query: usize) -> impl Iterator<Item = Block> {
    shown.iter_mut().filter_map(move |shown| {
        let mapped = shown.tables.get_mut(query)?.take()?;
        Some(Block { collector: collector.clone(), query, labels: shown.labels.clone(), mapped })
    })
}

/// What the program's own state shows of one query.
fn own_blocks(
    own: &[(TargetLabels, SectionTables)],
    collector: &Arc<Collector>,
    query: usize,
) -> impl Iterator<Item = Block> {
    own.iter().filter_map(move |(labels, tables)| {
        let of = &collector.queries[query];
        let Rows::Section(section) = &of.rows else { return None };
        let mapped = map::map(of, tables.by_name.get(section.as_str())?.clone()).into();
        Some(Block { collector: collector.clone(), query, labels: labels.clone(), mapped })
    })
}
