//! A histogram of durations: whole numbers in buckets, nothing estimated.

use std::{sync::Arc, time::Duration};

/// The bounds that every histogram has, in microseconds: 50 microseconds to 10 seconds, in steps of about 1, 2, 5.
const STEPS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Upper bounds, rising.
pub type Bounds = Arc<[Duration]>;

/// The bounds of all histograms of a probe; each objective is one of them, so that what met it can be counted.
pub fn bounds(objectives: impl IntoIterator<Item = Duration>) -> Bounds {
    let mut bounds: Vec<_> = STEPS.into_iter().map(Duration::from_micros).chain(objectives).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.into()
}

/// How many durations fell into which bucket.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Bounds,
    /// By bound; the last is what is above all of them.
    counts: Vec<u64>,
    sum: Duration,
    longest: Duration,
}

impl Histogram {
    pub fn new(bounds: Bounds) -> Self {
        Histogram { counts: vec![0; bounds.len() + 1], bounds, sum: Duration::ZERO, longest: Duration::ZERO }
    }

    pub fn observe(&mut self, took: Duration) {
        self.counts[self.bounds.partition_point(|bound| *bound < took)] += 1;
        self.sum += took;
        self.longest = self.longest.max(took);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest of all.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Each bound (`None`: above all), and how many were at most that.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// How many were at most this, which is one of the bounds.
    pub fn within(&self, bound: Duration) -> u64 {
        self.buckets().take_while(|(at, _)| at.is_some_and(|at| at <= bound)).last().map_or(0, |(_, count)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_bucket_of_its_bound() {
        let odd = Duration::from_millis(30);
        let mut histogram = Histogram::new(bounds([odd, Duration::from_millis(10)]));
        for micros in [0, 50, 51, 30_000, 30_001, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let at = |micros| histogram.within(Duration::from_micros(micros));
        assert_eq!([at(50), at(100), at(20_000), at(30_000), at(50_000), at(10_000_000)], [2, 3, 3, 4, 5, 6]);
        assert_eq!((histogram.count(), histogram.buckets().last()), (7, Some((None, 7))));
        assert_eq!(histogram.buckets().count(), STEPS.len() + 2);
        assert_eq!(histogram.longest(), Duration::from_micros(10_000_001));
    }
}
