//! Prometheus' protobuf format: messages `MetricFamily`, each behind its length.
//!
//! The library encodes what a family is and its values, and knows no labels: it would allocate and copy each label of each sample twice, and labels
//! are most of a page. As in the text formats a row's labels are written once, and joined with the values of all metrics made from that row.

mod library;
mod native;
mod wire;

use crate::{
    collector::{Query, metric::MetricKind},
    exposition::{
        Block, PAGE, by_query,
        protobuf::library::{Head, SampleValue},
        text::push_bound,
    },
    map::{Family, Sample},
    table::Cell,
};

/// Fields of `MetricFamily`.
const TYPE: u8 = 3;
const METRIC: u8 = 4;

/// Values that are encoded together: the library takes half a KiB for each.
const TOGETHER: usize = 256;

/// What a row's own labels are expected to take.
const LABELS_OF_A_ROW: usize = 48;

/// Writes a page. Blocks of the same query must stand together.
pub fn render(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGE);
    by_query(blocks).for_each(|(query, blocks)| write_query(&mut out, query, blocks));
    out
}

/// A block's families, and what has been written of its rows' labels so far.
struct ProtobufBlock<'a> {
    families: Vec<Family<'a>>,
    labels: Vec<Option<RowLabels>>,
    of_target: Vec<u8>,
}

/// The labels of each row of one series, back to back.
struct RowLabels {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

fn write_query(out: &mut Vec<u8>, query: &Query, blocks: &[Block]) {
    let mut prepared: Vec<ProtobufBlock<'_>> = blocks.iter().map(|block| ProtobufBlock::new(query, block)).collect();
    for (index, metric) in query.metrics.iter().enumerate() {
        prepared.iter_mut().for_each(|block| block.write_labels(index));
        let samples = prepared.iter().flat_map(|block| block.samples(index));
        let (head, mut loose) = (Head::of(&metric.def), Vec::new());
        let whole = samples.filter_map(|(labels, sample)| match SampleValue::new(&sample) {
            Some(value) => Some((labels, value)),
            None => {
                loose.push((labels, sample));
                None
            }
        });
        write_family(out, &head, whole);
        write_loose(out, &head, &loose);
    }
}

impl<'a> ProtobufBlock<'a> {
    fn new(query: &'a Query, block: &'a Block) -> Self {
        let mut of_target = Vec::new();
        block.labels.pairs().for_each(|(name, value)| wire::push_label(&mut of_target, name, Cell::Text(value)));
        ProtobufBlock {
            families: block.mapped.families(query).map(Family::with_native).collect(),
            labels: Vec::new(),
            of_target,
        }
    }

    /// Those of a family's rows, if another has not brought them.
    fn write_labels(&mut self, family: usize) {
        let Some(family) = self.families.get(family) else { return };
        if self.labels.len() <= family.series {
            self.labels.resize_with(family.series + 1, || None);
        }
        self.labels[family.series].get_or_insert_with(|| RowLabels::write(family, &self.of_target));
    }

    /// A family's samples, each behind its labels, which have been written.
    fn samples(&self, family: usize) -> impl Iterator<Item = (&[u8], Sample)> {
        let family = self.families.get(family);
        let labels = family.and_then(|family| self.labels.get(family.series)?.as_ref());
        family.zip(labels).into_iter().flat_map(|(family, labels)| {
            let rows = family.rows().enumerate();
            rows.filter_map(|(row, at)| Some((labels.of(row), family.sample(at)?)))
        })
    }
}

impl RowLabels {
    fn write(family: &Family<'_>, of_target: &[u8]) -> Self {
        let most = family.rows().size_hint().1.unwrap_or_default();
        let bytes = Vec::with_capacity(most * (of_target.len() + LABELS_OF_A_ROW));
        let mut labels = RowLabels { bytes, ends: Vec::with_capacity(most) };
        for (_, row) in family.rows() {
            labels.bytes.extend_from_slice(of_target);
            for (name, cell) in family.label_names.iter().zip(family.labels(row)) {
                wire::push_label(&mut labels.bytes, name, cell);
            }
            labels.ends.push(labels.bytes.len());
        }
        labels
    }

    fn of(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }
}

/// One message, if there are samples. Large ones are encoded part by part, and so is never more in memory than the page and a part.
fn write_family<L: AsRef<[u8]>>(out: &mut Vec<u8>, head: &Head, mut samples: impl Iterator<Item = (L, SampleValue)>) {
    let start = out.len();
    loop {
        let (labels, values): (Vec<L>, Vec<SampleValue>) = samples.by_ref().take(TOGETHER).unzip();
        if values.is_empty() {
            break;
        }
        let (is_first, mut labels) = (out.len() == start, labels.iter());
        for field in wire::fields(&library::encode(head.clone(), values)) {
            match field.number {
                METRIC => {
                    let labels = labels.next().map(AsRef::as_ref).unwrap_or_default();
                    wire::push_length(out, METRIC, labels.len() + field.content.len());
                    out.extend_from_slice(labels);
                    out.extend_from_slice(field.content);
                }
                // The type of a message that does not tell it.
                TYPE if head.kind == MetricKind::Counter => (),
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

/// Histograms that no message can hold, as the series that Prometheus makes of them: each of the three is a family of counters.
fn write_loose(out: &mut Vec<u8>, head: &Head, loose: &[(&[u8], Sample)]) {
    let (mut buckets, mut sums, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (labels, sample) in loose {
        let Sample::Histogram { buckets: bounds, sum, count, .. } = sample else { continue };
        buckets.extend(bounds.iter().map(|(le, count)| (with_bound(labels, *le), *count)));
        sums.extend(sum.map(|sum| (labels.to_vec(), sum)));
        counts.push((labels.to_vec(), *count));
    }
    for (suffix, samples) in [("_bucket", buckets), ("_sum", sums), ("_count", counts)] {
        let head = Head { name: format!("{}{suffix}", head.name), kind: MetricKind::Counter, ..head.clone() };
        write_family(
            out,
            &head,
            samples.into_iter().map(|(labels, number)| (labels, SampleValue::Number(number.as_f64()))),
        );
    }
}

fn with_bound(labels: &[u8], le: f64) -> Vec<u8> {
    let (mut labels, mut text) = (labels.to_vec(), String::new());
    push_bound(&mut text, le);
    wire::push_label(&mut labels, "le", Cell::Text(&text));
    labels
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use prometheus_client::{
        collector::Collector,
        encoding::{DescriptorEncoder, prometheus_protobuf},
        metrics::MetricType,
        registry::Registry,
    };

    use super::*;

    /// What the library is given when it writes the labels too.
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
            let head = Head { name: "pg_size_bytes".into(), help: "A \"size\".".into(), kind: MetricKind::Gauge };
            let mut out = Vec::new();
            write_family(&mut out, &head, joined);
            let mut registry = Registry::default();
            registry.register_collector(Box::new(whole.clone()));
            assert!(out == prometheus_protobuf::encode_to_vec(&registry).expect("memory takes all"), "{samples}");
        }
    }
}
