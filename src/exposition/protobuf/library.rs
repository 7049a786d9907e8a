//! Encoding by the library: a family's name, help, type and values. Labels are written elsewhere.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet, prometheus_protobuf,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::collector::metric::{MetricDef, MetricKind};
use crate::exposition::protobuf::native::spans_and_deltas;
use crate::exposition::protobuf::wire;
use crate::map::Sample;
use crate::table::native::NativeBuckets;

/// A sample as protobuf has it.
#[derive(Debug)]
pub enum SampleValue {
    Number(f64),
    /// A histogram that a message can hold.
    Histogram {
        sum: f64,
        count: u64,
        /// Bounds, and the values between each and the one before.
        buckets: Vec<(f64, u64)>,
        native: Option<NativeBuckets>,
    },
}

impl SampleValue {
    /// `None` for a histogram that no message can hold: without a sum, or with counts that fall or are not whole.
    pub fn new(sample: &Sample) -> Option<Self> {
        match sample {
            Sample::Value(number) => Some(SampleValue::Number(number.as_f64())),
            Sample::Histogram { buckets, sum, count, native } => {
                let mut before = 0;
                let mut parts = Vec::with_capacity(buckets.len());
                for (bound, cumulative) in buckets {
                    let cumulative = cumulative.as_count()?;
                    parts.push((*bound, cumulative.checked_sub(before)?));
                    before = cumulative;
                }
                let (sum, count, native) = ((*sum)?.as_f64(), count.as_count()?, native.clone());
                Some(SampleValue::Histogram { sum, count, buckets: parts, native })
            }
        }
    }
}

/// A part of a family.
#[derive(Debug)]
struct FamilyPart {
    def: MetricDef,
    values: Vec<SampleValue>,
}

/// The message `MetricFamily` of these values, in their order, without labels.
pub fn encode(def: MetricDef, values: Vec<SampleValue>) -> Vec<u8> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(FamilyPart { def, values }));
    // Writing to memory does not fail.
    let delimited = prometheus_protobuf::encode_to_vec(&registry).unwrap_or_default();
    let mut message = &delimited[..];
    _ = wire::read_varint(&mut message);
    message.to_vec()
}

impl Collector for FamilyPart {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.def.kind {
            // A counter's name would be made to end in _total.
            MetricKind::Counter => MetricType::Unknown,
            MetricKind::Gauge | MetricKind::Info => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let mut metrics = encoder.encode_descriptor(&self.def.name, &self.def.help, None, kind)?;
        self.values.iter().try_for_each(|value| match value {
            SampleValue::Number(number) if self.def.kind == MetricKind::Counter => {
                metrics.encode_counter::<NoLabelSet, _, f64>(number, None)
            }
            SampleValue::Number(number) => metrics.encode_gauge(number),
            SampleValue::Histogram { sum, count, buckets, native: None } => {
                metrics.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
            SampleValue::Histogram { sum, count, buckets, native: Some(native) } => {
                let (spans, deltas) = spans_and_deltas(&native.buckets);
                let native = NativeHistogram {
                    schema: native.schema,
                    zero_threshold: 0.0,
                    zero_count: native.zero_count,
                    negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
                    positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
                    created: None,
                };
                metrics.encode_histogram_with_native::<NoLabelSet>(*sum, *count, buckets, None, native)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Number;

    fn histogram(
        buckets: &[(f64, Number)],
        sum: Option<Number>,
        count: Number,
        native: Option<NativeBuckets>,
    ) -> Sample {
        Sample::Histogram { buckets: buckets.to_vec(), sum, count, native }
    }

    #[test]
    fn a_histogram_has_its_native_buckets_beside_the_classic_ones() {
        let bounds = [(0.5, Number::Int(3)), (1.0, Number::Float(3.0)), (f64::INFINITY, Number::Int(9))];
        for (buckets, spans, deltas) in
            [(vec![(-2, 4), (-1, 1), (3, 4)], vec![(-2, 2), (3, 1)], vec![4, -3, 3]), (vec![], vec![(0, 0)], vec![])]
        {
            let native = NativeBuckets { schema: 3, zero_count: 2, buckets };
            let sample = histogram(&bounds, Some(Number::Float(0.25)), Number::Int(9), Some(native));
            let value = SampleValue::new(&sample).expect("a histogram that can be held");
            let (name, help, kind) = ("h".into(), "H.".into(), MetricKind::Histogram);
            let def = MetricDef { name, kind, help, ecosystem: false };
            let mut registry = Registry::default();
            registry.register_collector(Box::new(FamilyPart { def, values: vec![value] }));
            let families = prometheus_protobuf::encode(&registry).expect("memory takes all");
            let found = families[0].metric[0].histogram.as_ref().expect("a histogram");
            let classic: Vec<_> = found.bucket.iter().map(|b| (b.upper_bound, b.cumulative_count)).collect();
            assert_eq!(classic, [(0.5, 3), (1.0, 3), (f64::INFINITY, 9)]);
            assert_eq!((found.sample_count, found.sample_sum), (9, 0.25));
            assert_eq!((found.schema, found.zero_threshold, found.zero_count), (3, 0.0, 2));
            assert_eq!(found.positive_span.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>(), spans);
            assert_eq!((found.positive_delta.clone(), found.negative_span.len()), (deltas, 0));
        }
    }

    #[test]
    fn histograms_that_no_message_can_hold() {
        let (one, two, inf) = (Number::Int(1), Number::Int(2), f64::INFINITY);
        for (buckets, sum, count) in [
            ([(1.0, one), (inf, two)], None, two),
            ([(1.0, two), (inf, one)], Some(one), two),
            ([(1.0, Number::Float(0.5)), (inf, two)], Some(one), two),
            ([(1.0, Number::Int(-1)), (inf, two)], Some(one), two),
            ([(1.0, one), (inf, Number::Float(1e300))], Some(one), two),
            ([(1.0, one), (inf, two)], Some(one), Number::Float(inf)),
            ([(1.0, one), (inf, two)], Some(one), Number::Float(18_446_744_073_709_551_616.0)),
        ] {
            assert!(
                SampleValue::new(&histogram(&buckets, sum, count, None)).is_none(),
                "{buckets:?} {sum:?} {count:?}"
            );
        }
        let large = [(1.0, Number::Int(i64::MAX)), (inf, Number::Float(1e19))];
        assert!(SampleValue::new(&histogram(&large, Some(one), Number::Float(-0.0), None)).is_some());
    }
}
