//! Prometheus' protobuf format: messages `MetricFamily`, each preceded by its length.
//!
//! The library encodes the heads and the values of families, without labels: it would allocate and copy each label of
//! each sample twice, and labels are most of a page. They are written once for each row, and joined with the values of
//! all metrics that are made from that row.

mod library;
mod native;
mod wire;

use crate::collector::Query;
use crate::collector::metric::{MetricDef, MetricKind};
use crate::exposition::block::{Block, by_query};
use crate::exposition::protobuf::library::SampleValue;
use crate::exposition::row_labels::{LabelSyntax, LabelledFamilies};
use crate::exposition::text::push_bound;
use crate::map::{Family, Sample};
use crate::table::Cell;

/// Fields of `MetricFamily`.
const TYPE: u8 = 3;
const METRIC: u8 = 4;

/// Bytes that a page is expected to take at least.
const PAGE: usize = 64 << 10;

/// How many values are encoded at once: the library takes half a KiB for each.
const TOGETHER: usize = 256;

const LABELS: LabelSyntax = LabelSyntax { separator: b"", push: wire::push_label, bytes_of_a_row: 48 };

/// Writes a page. Blocks of the same query must stand together.
pub fn render(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGE);
    for (query, blocks) in by_query(blocks) {
        write_query(&mut out, query, blocks);
    }
    out
}

fn write_query(out: &mut Vec<u8>, query: &Query, blocks: &[Block]) {
    let mut labelled = Vec::with_capacity(blocks.len());
    for block in blocks {
        let families = block.mapped.families(query).map(Family::with_native).collect();
        labelled.push(LabelledFamilies::new(families, &block.labels, &LABELS));
    }
    for (index, metric) in query.metrics.iter().enumerate() {
        let samples = labelled.iter_mut().flat_map(|block| block.samples(index));
        let mut loose = Vec::new();
        let encodable = samples.filter_map(|(labels, sample)| {
            let value = SampleValue::new(&sample);
            if value.is_none() {
                loose.push((labels, sample));
            }
            Some((labels, value?))
        });
        write_family(out, &metric.def, encodable);
        write_loose(out, &metric.def, &loose);
    }
}

/// Writes a family, if there are samples. A large one is encoded in parts, so that only the page and a part of it are
/// in memory.
fn write_family<L: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    def: &MetricDef,
    mut samples: impl Iterator<Item = (L, SampleValue)>,
) {
    let start = out.len();
    loop {
        let (labels, values): (Vec<L>, Vec<SampleValue>) = samples.by_ref().take(TOGETHER).unzip();
        if values.is_empty() {
            break;
        }
        let (is_first, mut labels) = (out.len() == start, labels.iter());
        for field in wire::fields(&library::encode(def.clone(), values)) {
            match field.number {
                METRIC => {
                    let labels = labels.next().map(AsRef::as_ref).unwrap_or_default();
                    wire::push_length(out, METRIC, labels.len() + field.content.len());
                    out.extend_from_slice(labels);
                    out.extend_from_slice(field.content);
                }
                // A family without a type is a counter.
                TYPE if def.kind == MetricKind::Counter => (),
                _ if is_first => out.extend_from_slice(field.whole),
                _ => (),
            }
        }
    }
    let (length, mut front) = (out.len() - start, Vec::new());
    if length > 0 {
        wire::push_varint(&mut front, length as u64);
        out.splice(start..start, front);
    }
}

/// Writes the histograms that a protobuf histogram cannot hold as Prometheus would store them: three families of counters.
fn write_loose(out: &mut Vec<u8>, def: &MetricDef, loose: &[(&[u8], Sample)]) {
    let (mut buckets, mut sums, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (labels, sample) in loose {
        let Sample::Histogram { buckets: bounds, sum, count, .. } = sample else { continue };
        buckets.extend(bounds.iter().map(|(le, count)| (with_bound(labels, *le), *count)));
        sums.extend(sum.map(|sum| (labels.to_vec(), sum)));
        counts.push((labels.to_vec(), *count));
    }
    for (suffix, samples) in [("_bucket", buckets), ("_sum", sums), ("_count", counts)] {
        let def = MetricDef { name: format!("{}{suffix}", def.name), kind: MetricKind::Counter, ..def.clone() };
        let numbers = samples.into_iter().map(|(labels, number)| (labels, SampleValue::Number(number.as_f64())));
        write_family(out, &def, numbers);
    }
}

fn with_bound(labels: &[u8], le: f64) -> Vec<u8> {
    let (mut labels, mut text) = (labels.to_vec(), Vec::new());
    push_bound(&mut text, le);
    wire::push_label(&mut labels, "le", Cell::Text(&String::from_utf8_lossy(&text)));
    labels
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, prometheus_protobuf};
    use prometheus_client::metrics::MetricType;
    use prometheus_client::registry::Registry;

    use super::*;

    /// A family that the library encodes with its labels.
    #[derive(Clone, Debug)]
    struct Whole(Vec<(Vec<(String, String)>, f64)>);

    impl Collector for Whole {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut metrics = encoder.encode_descriptor("pg_size_bytes", "A \"size\".", None, MetricType::Gauge)?;
            self.0.iter().try_for_each(|(labels, value)| metrics.encode_family(labels)?.encode_gauge(value))
        }
    }

    #[test]
    fn joined_parts_are_what_the_library_writes_as_a_whole() {
        for samples in [1, TOGETHER, 3 * TOGETHER + 1] {
            let labels = |n: usize| [("target", "one".to_owned()), ("name", format!("é\n{}", "x".repeat(n % 300)))];
            let labels = |n| labels(n).map(|(name, value)| (name.to_owned(), value)).to_vec();
            let whole = Whole((0..samples).map(|n| (labels(n), n as f64 / 2.0)).collect());
            let joined = whole.0.iter().map(|(labels, value)| {
                let mut bytes = Vec::new();
                labels.iter().for_each(|(name, value)| wire::push_label(&mut bytes, name, Cell::Text(value)));
                (bytes, SampleValue::Number(*value))
            });
            let (name, help, kind) = ("pg_size_bytes".into(), "A \"size\".".into(), MetricKind::Gauge);
            let mut out = Vec::new();
            write_family(&mut out, &MetricDef { name, kind, help, ecosystem: false }, joined);
            let mut registry = Registry::default();
            registry.register_collector(Box::new(whole.clone()));
            assert!(out == prometheus_protobuf::encode_to_vec(&registry).expect("memory takes all"), "{samples}");
        }
    }
}
