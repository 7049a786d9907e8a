//! A histogram of durations, with classic and native buckets.

use std::sync::Arc;
use std::time::Duration;

use crate::table::native::ZERO;

/// The bounds of every histogram, in microseconds: 50 microseconds to 10 seconds, in steps of 1, 2 and 5.
const STEPS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Native buckets per doubling. In `collectors/probe.yaml` their schema is 3, the binary logarithm of this.
const PER_DOUBLING: f64 = 8.0;

/// Durations above this many doublings of a second (over an hour) count in the last native bucket. The first bucket is
/// that of a nanosecond, so there are 337 at most; one phase has some dozens.
const MOST_DOUBLINGS: f64 = 12.0;

/// Upper bounds, in rising order.
pub type Bounds = Arc<[Duration]>;

/// The bounds of all histograms of a probe. Each objective is one of them, so that attempts within it can be counted.
pub fn bounds(objectives: impl IntoIterator<Item = Duration>) -> Bounds {
    let mut bounds: Vec<_> = STEPS.into_iter().map(Duration::from_micros).chain(objectives).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.into()
}

#[derive(Clone, Debug)]
pub struct DurationHistogram {
    bounds: Bounds,
    /// By bound; the last counts the durations above all bounds.
    counts: Vec<u64>,
    /// By index, in rising order; only buckets that are not empty.
    pub native: Vec<(i32, u64)>,
    pub sum: Duration,
}

impl DurationHistogram {
    pub fn new(bounds: Bounds) -> Self {
        DurationHistogram { counts: vec![0; bounds.len() + 1], bounds, native: Vec::new(), sum: Duration::ZERO }
    }

    pub fn observe(&mut self, took: Duration) {
        self.counts[self.bounds.partition_point(|bound| *bound < took)] += 1;
        let index = native_index(took);
        match self.native.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => self.native[at].1 += 1,
            Err(at) => self.native.insert(at, (index, 1)),
        }
        self.sum += took;
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each bound (`None`: above all), and the number of durations up to it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// The number of durations up to this one, which must be one of the bounds.
    pub fn within(&self, bound: Duration) -> u64 {
        self.buckets().take_while(|(at, _)| at.is_some_and(|at| at <= bound)).last().map_or(0, |(_, count)| count)
    }
}

/// The native bucket of a duration.
fn native_index(took: Duration) -> i32 {
    if took.is_zero() {
        return ZERO;
    }
    (took.as_secs_f64().log2().min(MOST_DOUBLINGS) * PER_DOUBLING).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::native::NativeBuckets;
    use crate::table::native::quantile::{of_classic, of_native, off};

    #[test]
    fn a_duration_counts_once_in_the_native_bucket_whose_bounds_are_around_it() {
        let mut histogram = DurationHistogram::new(bounds([]));
        let nanos = |n: u64| (0..50).map(move |power| n << power);
        let all: Vec<_> = [1, 3, 1_000, 1_953_125].into_iter().flat_map(nanos).map(Duration::from_nanos).collect();
        for took in &all {
            let (index, seconds) = (native_index(*took), took.as_secs_f64());
            let bound = |index: i32| (f64::from(index) / PER_DOUBLING).exp2();
            let is_last = index == (MOST_DOUBLINGS * PER_DOUBLING) as i32;
            assert!(bound(index - 1) < seconds && (seconds <= bound(index) || is_last), "{index} for {took:?}");
            histogram.observe(*took);
        }
        for (bound, index) in [(500_000_000, -8), (1_000_000_000, 0), (1_000_000_001, 1), (1_953_125, -72)] {
            assert_eq!(native_index(Duration::from_nanos(bound)), index, "{bound} ns: the bound is its bucket's");
        }
        [Duration::ZERO; 2].into_iter().for_each(|took| histogram.observe(took));
        let native = NativeBuckets::of(3, &histogram.native);
        assert_eq!((native.zero_count, native.count()), (2, Some(histogram.count())));
        assert_eq!(histogram.count(), all.len() as u64 + 2);
    }

    type Quantile = fn(f64) -> f64;

    /// Typical distributions of a probe's durations, in seconds, as quantile functions.
    const SHAPES: [(&str, Quantile); 5] = [
        ("a point query", |u| 0.0009 * (1.0 - u).powf(-0.2)),
        ("between two bounds", |u| 0.011 + 0.008 * u),
        ("exponential", |u| 0.02 - 0.03 * (1.0 - u).ln()),
        ("a stall in a hundred", |u| if u < 0.985 { 0.0004 + 0.0002 * u } else { 0.13 + 0.1 * u }),
        ("above a second", |u| 1.1 + 0.6 * u * u),
    ];

    #[test]
    fn native_quantiles_are_within_a_bucket_and_nearer_to_the_truth_than_classic_ones() {
        let (mut all_native, mut all_classic) = (0.0, 0.0);
        for (what, quantile) in SHAPES {
            let mut histogram = DurationHistogram::new(bounds([]));
            let took = |n: u32| Duration::from_secs_f64(quantile((f64::from(n) + 0.5) / 20_000.0));
            (0..20_000).for_each(|n| histogram.observe(took(n)));
            let native = NativeBuckets::of(3, &histogram.native);
            let seconds = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
            let classic: Vec<_> = histogram.buckets().map(|(bound, count)| (seconds(bound), count)).collect();
            for q in [0.5, 0.95, 0.99] {
                let (of_native, of_classic) = (of_native(&native, q), of_classic(&classic, q));
                let (native, classic) = (off(of_native, quantile(q)), off(of_classic, quantile(q)));
                // A bucket is 9 % wide.
                assert!(native < 0.091, "{what} {q}: {of_native} for {}", quantile(q));
                all_native += native;
                all_classic += classic;
            }
        }
        assert!(5.0 * all_native < all_classic, "together off by {all_native}, the classic ones by {all_classic}");
    }

    #[test]
    fn a_duration_counts_in_the_bucket_of_its_bound() {
        let odd = Duration::from_millis(30);
        let mut histogram = DurationHistogram::new(bounds([odd, Duration::from_millis(10)]));
        for micros in [0, 50, 51, 30_000, 30_001, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let at = |micros| histogram.within(Duration::from_micros(micros));
        assert_eq!([at(50), at(100), at(20_000), at(30_000), at(50_000), at(10_000_000)], [2, 3, 3, 4, 5, 6]);
        assert_eq!((histogram.count(), histogram.buckets().last()), (7, Some((None, 7))));
        assert_eq!(histogram.buckets().count(), STEPS.len() + 2);
    }
}
