//! How often a metric changes: a rate over a shorter time falls to 0 between two readings.

use std::collections::BTreeMap;
use std::time::Duration;

use pgvigil::collector::catalogue::Catalogue;

/// Begins and ends the window that Grafana makes at least four steps long.
const WINDOW: &str = "}[$__rate_interval]";

/// The ends of the names of a histogram's series. Other metrics have no series with the later ones, and nobody asks for them.
const SUFFIXES: [&str; 4] = ["", "_bucket", "_sum", "_count"];

/// The names of the series of slow collectors, and how often these are asked.
pub struct Pace(BTreeMap<String, Duration>);

impl Pace {
    pub fn of(catalogue: &Catalogue) -> Pace {
        let mut slow = BTreeMap::new();
        for collector in catalogue.collectors.iter().filter(|collector| !collector.is_quick()) {
            for metric in collector.queries.iter().flat_map(|query| &query.metrics) {
                slow.extend(SUFFIXES.map(|suffix| (format!("{}{suffix}", metric.def.name), collector.ttl)));
            }
        }
        Pace(slow)
    }

    /// The least step that an expression makes sense with: the longest pause between readings of what it has rates of.
    pub fn step(&self, expr: &str) -> Option<Duration> {
        let rated = expr.match_indices(WINDOW).filter_map(|(end, _)| name_before(&expr[..end]));
        rated.filter_map(|name| self.0.get(name).copied()).max()
    }
}

/// Of a text that ends within a selector's braces, the metric's name.
fn name_before(text: &str) -> Option<&str> {
    let before = &text[..text.rfind('{')?];
    before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').next()
}
