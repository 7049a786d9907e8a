//! How often a metric changes: a rate over a shorter time falls to 0 between two readings.

use std::time::Duration;

use pgvigil::collector::catalogue::Catalogue;
use pgvigil::collector::metric::MetricKind;

/// Begins and ends the window that Grafana makes at least four steps long.
const WINDOW: &str = "}[$__rate_interval]";

/// The names of the series of slow collectors, and how often these are asked.
pub struct Pace {
    slow: Vec<(String, Duration)>,
}

impl Pace {
    pub fn of(catalogue: &Catalogue) -> Pace {
        let slow = catalogue.collectors.iter().filter(|collector| !collector.is_quick());
        let metrics = slow.flat_map(|collector| {
            let metrics = collector.queries.iter().flat_map(|query| &query.metrics);
            metrics.flat_map(|metric| samples(&metric.def.name, metric.def.kind)).map(|name| (name, collector.ttl))
        });
        Pace { slow: metrics.collect() }
    }

    /// The least step that an expression makes sense with: the longest pause between readings of what it has rates of.
    pub fn step(&self, expr: &str) -> Option<Duration> {
        let rated = expr.match_indices(WINDOW).filter_map(|(end, _)| name_before(&expr[..end]));
        rated.filter_map(|name| self.slow.iter().find(|(slow, _)| slow == name).map(|(_, ttl)| *ttl)).max()
    }
}

/// The names of its samples.
fn samples(name: &str, kind: MetricKind) -> Vec<String> {
    match kind {
        MetricKind::Histogram => ["", "_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).into(),
        _ => vec![name.to_owned()],
    }
}

/// Of a text that ends within a selector's braces, the metric's name.
fn name_before(text: &str) -> Option<&str> {
    let before = &text[..text.rfind('{')?];
    before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').next()
}
