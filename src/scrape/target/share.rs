//! What of a target fits on a page, so that it leaves the others theirs: whole tables are left out, the largest first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{map::Size, scrape::target::ShownCollector, settings::RowLimits};

/// What was left out of pages.
#[derive(Default)]
pub struct LeftOut {
    /// Samples, by collector, since the start.
    pub counts: BTreeMap<String, u64>,
    /// The collectors of which something was left out when they were last shown.
    pub now: BTreeSet<String>,
}

/// One table among those that are shown.
struct TableShare {
    shown: usize,
    query: usize,
    size: Size,
}

/// Leaves out what is too much; returns how many samples of which collectors that is.
pub fn fit(shown: &mut [ShownCollector], most: RowLimits) -> BTreeMap<String, u64> {
    let is_too_much = |size: Size| size.bytes > most.bytes || size.samples > most.samples;
    if !is_too_much(total(&parts(shown, &|part, query, labels| part.size_at_most(query, labels)))) {
        return BTreeMap::new();
    }
    let mut parts = parts(shown, &|part, query, labels| part.size(query, labels));
    let mut left = total(&parts);
    // How much of what a target may have this is; where two are as much, the later one goes first.
    let weight = |size: Size| (size.bytes as f64 / most.bytes as f64).max(size.samples as f64 / most.samples as f64);
    parts.sort_by(|a, b| weight(a.size).total_cmp(&weight(b.size)));
    let mut out = BTreeMap::new();
    while is_too_much(left) {
        let Some(TableShare { shown: at, query, size }) = parts.pop() else { break };
        shown[at].tables[query] = None;
        left = Size { bytes: left.bytes - size.bytes, samples: left.samples - size.samples };
        *out.entry(shown[at].collector.name.clone()).or_default() += size.samples as u64;
    }
    out
}

fn parts(
    shown: &[ShownCollector],
    size: &dyn Fn(&crate::map::Mapped, &crate::collector::Query, usize) -> Size,
) -> Vec<TableShare> {
    let of = |(at, shown): (usize, &ShownCollector)| {
        let tables = shown.tables.iter().zip(&shown.collector.queries).enumerate();
        let part = |(query, (table, of)): (usize, (&Option<Arc<_>>, _))| {
            Some(TableShare { shown: at, query, size: size(table.as_ref()?, of, shown.labels.text().len()) })
        };
        tables.filter_map(part).collect::<Vec<_>>()
    };
    shown.iter().enumerate().flat_map(of).collect()
}

fn total(parts: &[TableShare]) -> Size {
    parts.iter().fold(Size::default(), |sum, part| Size {
        bytes: sum.bytes.saturating_add(part.size.bytes),
        samples: sum.samples.saturating_add(part.size.samples),
    })
}

impl LeftOut {
    /// Takes in what was left out of a page on which these collectors were shown. True if nothing was left out before and now is, or
    /// the other way round.
    pub fn note<'a>(&mut self, out: BTreeMap<String, u64>, shown: impl Iterator<Item = &'a str>) -> bool {
        let before = self.now.is_empty();
        if before && out.is_empty() {
            return false;
        }
        shown.for_each(|name| _ = self.now.remove(name));
        for (name, samples) in out {
            *self.counts.entry(name.clone()).or_default() += samples;
            self.now.insert(name);
        }
        before != self.now.is_empty()
    }
}
