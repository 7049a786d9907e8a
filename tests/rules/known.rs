//! What the catalogue knows of the samples and labels that an expression speaks of.

use std::collections::BTreeSet;

use pgvigil::collector::{Metric, Query, Scope, ValueSource, catalogue::Catalogue, metric::MetricKind};
use promql_parser::label::Matchers;

use super::used::Used;

/// Labels that the scraper or a target's settings give to any series.
const OF_ANY_SERIES: [&str; 4] = ["job", "instance", "target", "cluster"];

/// What an expression speaks of that no collector declares. Of `others`, which are not ours, and with the labels
/// `other_labels`, it may speak.
pub fn strange(catalogue: &Catalogue, used: &Used, others: &[&str], other_labels: &[&str]) -> Vec<String> {
    let mut labels: BTreeSet<String> = OF_ANY_SERIES.iter().chain(other_labels).map(|l| (*l).to_owned()).collect();
    let mut strange = Vec::new();
    for selector in &used.selectors {
        let metric = selector.name.clone().unwrap_or_default();
        if others.contains(&metric.as_str()) {
            continue;
        }
        let Some(own) = labels_of(catalogue, &metric) else {
            strange.push(format!("no collector declares {metric}"));
            continue;
        };
        let wrong = matched(&selector.matchers).into_iter().filter(|label| !own.contains(label));
        strange.extend(wrong.map(|label| format!("{metric} has no label {label}")));
        labels.extend(own);
    }
    let wrong = used.labels.iter().filter(|label| !labels.contains(*label));
    strange.extend(wrong.map(|label| format!("none of its metrics has the label {label}")));
    strange
}

/// The labels of a sample name, those of the target among them; `None`: no metric gives it.
pub fn labels_of(catalogue: &Catalogue, sample: &str) -> Option<BTreeSet<String>> {
    let queries =
        catalogue.collectors.iter().flat_map(|collector| collector.queries.iter().map(move |q| (collector, q)));
    for (collector, query) in queries {
        if let Some(mut labels) = of_query(query, sample) {
            labels.extend((collector.scope == Scope::Database).then(|| "datname".to_owned()));
            labels.extend(OF_ANY_SERIES.map(str::to_owned));
            return Some(labels);
        }
    }
    None
}

fn of_query(query: &Query, sample: &str) -> Option<BTreeSet<String>> {
    let metric = query.metrics.iter().find(|metric| is_of(metric, sample))?;
    let le = (metric.def.kind == MetricKind::Histogram).then(|| "le".to_owned());
    Some(query.labels_of(metric).iter().cloned().chain(le).collect())
}

/// Whether a sample name is one of a metric's. A native histogram has that of the metric itself.
pub fn is_of(metric: &Metric, sample: &str) -> bool {
    let Some(end) = sample.strip_prefix(metric.def.name.as_str()) else { return false };
    match &metric.value {
        ValueSource::Histogram { native, .. } => {
            ["_bucket", "_sum", "_count"].contains(&end) || native.is_some() && end.is_empty()
        }
        _ => end.is_empty(),
    }
}

fn matched(matchers: &Matchers) -> Vec<String> {
    matchers.matchers.iter().map(|matcher| matcher.name.clone()).filter(|name| name != "__name__").collect()
}
