//! Limits a target's share of a page: it drops whole tables beyond the limits, the largest first, so that other targets
//! lose nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::collector::Query;
use crate::exposition::Block;
use crate::map::{Mapped, Size};
use crate::settings::RowLimits;

/// The samples that were dropped from pages.
#[derive(Default)]
pub struct LeftOut {
    /// Samples, by collector, since the start.
    pub counts: BTreeMap<String, u64>,
    /// The collectors that lost samples when they were last shown.
    pub now: BTreeSet<String>,
}

/// Drops tables beyond the limits; returns the number of dropped samples by collector.
pub fn fit(blocks: &mut Vec<Block>, limits: RowLimits) -> BTreeMap<String, u64> {
    let is_too_much = |size: Size| size.bytes > limits.bytes || size.samples > limits.samples;
    if !is_too_much(total(&sizes(blocks, Mapped::size_at_most))) {
        return BTreeMap::new();
    }
    let sizes = sizes(blocks, Mapped::size);
    // The share of its limits that a block takes. Of two equal ones, the later one goes first.
    let weight =
        |size: Size| (size.bytes as f64 / limits.bytes as f64).max(size.samples as f64 / limits.samples as f64);
    let mut by_weight: Vec<usize> = (0..blocks.len()).collect();
    by_weight.sort_by(|a, b| weight(sizes[*a]).total_cmp(&weight(sizes[*b])));
    let mut rest = total(&sizes);
    let mut left_out = BTreeMap::new();
    let mut is_left_out = vec![false; blocks.len()];
    while is_too_much(rest) {
        let Some(largest) = by_weight.pop() else { break };
        let size = sizes[largest];
        rest = Size { bytes: rest.bytes - size.bytes, samples: rest.samples - size.samples };
        *left_out.entry(blocks[largest].collector.name.clone()).or_default() += size.samples as u64;
        is_left_out[largest] = true;
    }
    let mut is_left_out = is_left_out.into_iter();
    blocks.retain(|_| is_left_out.next() == Some(false));
    left_out
}

fn sizes(blocks: &[Block], size: fn(&Mapped, &Query, usize) -> Size) -> Vec<Size> {
    let size_of = |block: &Block| size(&block.mapped, &block.collector.queries[block.query], block.labels.text().len());
    blocks.iter().map(size_of).collect()
}

fn total(sizes: &[Size]) -> Size {
    sizes.iter().fold(Size::default(), |sum, size| Size {
        bytes: sum.bytes.saturating_add(size.bytes),
        samples: sum.samples.saturating_add(size.samples),
    })
}

impl LeftOut {
    /// Records the samples dropped from a page that shows these collectors. Returns whether dropping has just begun or
    /// ended.
    pub fn note<'a>(&mut self, left_out: BTreeMap<String, u64>, shown: impl Iterator<Item = &'a str>) -> bool {
        let was_empty = self.now.is_empty();
        if was_empty && left_out.is_empty() {
            return false;
        }
        for name in shown {
            self.now.remove(name);
        }
        for (name, samples) in left_out {
            *self.counts.entry(name.clone()).or_default() += samples;
            self.now.insert(name);
        }
        was_empty != self.now.is_empty()
    }
}
