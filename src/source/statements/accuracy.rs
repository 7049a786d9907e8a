//! Tests the accuracy of the histograms: statements with known durations against the histogram of their statistics.

use crate::source::statements::History;
use crate::source::statements::histogram::BOUNDS;
use crate::source::statements::tests::{Durations, histogram, inverse_normal, native, reading, take, unlimited};
use crate::source::statements::totals::{Extreme, StatementTotals};
use crate::table::native::quantile::{of_classic, of_native, off};

/// A distribution of durations by its quantiles; by how many buckets percentiles may be off, and by what share of the
/// calls the counts of slow ones.
struct Case {
    name: &'static str,
    quantile: fn(f64) -> f64,
    buckets: usize,
    slow: f64,
}

const CASES: [Case; 6] = [
    Case { name: "constant", quantile: |_| 0.003, buckets: 0, slow: 0.0 },
    Case { name: "uniform", quantile: |u| 0.0002 + 0.1 * u, buckets: 0, slow: 0.004 },
    Case {
        name: "bimodal",
        quantile: |u| if u < 0.97 { 0.003 + 0.001 * u } else { 0.3 + 0.01 * u },
        buckets: 0,
        slow: 0.003,
    },
    Case { name: "log-normal", quantile: |u| 0.01 * (0.8 * inverse_normal(u)).exp(), buckets: 1, slow: 0.004 },
    Case { name: "exponential", quantile: |u| -0.01 * (1.0 - u).ln(), buckets: 1, slow: 0.004 },
    Case { name: "heavy tail", quantile: |u| 0.002 / (1.0 - u).powf(1.0 / 1.5), buckets: 1, slow: 0.006 },
];

/// Calls before the first of two readings, and between the two.
const CALLS: [(usize, usize); 7] = [(0, 5000), (5000, 2500), (1000, 500), (1000, 1), (0, 1), (0, 2), (0, 3)];

/// That many durations in an order without a pattern: multiples of the golden ratio are spread evenly.
fn durations(case: &Case, calls: usize) -> Durations {
    (1..=calls).map(|n| (case.quantile)((n as f64 * 0.618_033_988_749_895).fract())).collect()
}

#[test]
fn what_is_shown_is_about_true_and_nothing_is_slower_than_the_slowest() {
    for case in &CASES {
        for (before, calls) in CALLS {
            let all = durations(case, before + calls);
            let mut history = History::default();
            let first = if before == 0 { reading(1, &[]) } else { reading(1, &[(1, &all[..before].to_vec())]) };
            take(&mut history, &first);
            let (shown, sum) = take(&mut history, &reading(1, &[(1, &all)]));
            let what = format!("{} {before}+{calls}", case.name);
            assert!((sum - all[before..].iter().sum::<f64>()).abs() < 1e-9 * all.iter().sum::<f64>(), "{what}: {sum}");
            compare(&what, case, &shown, &all, before);
        }
    }
}

fn compare(what: &str, case: &Case, shown: &[i64], all: &[f64], before: usize) {
    let between = &all[before..];
    let truth: Vec<_> =
        BOUNDS.iter().map(|bound| between.iter().filter(|took| *took <= bound).count() as i64).collect();
    let most = all.iter().copied().fold(0.0, f64::max);
    let percentile = |buckets: &[i64], share: f64| {
        buckets.iter().position(|calls| *calls as f64 >= share * between.len() as f64).unwrap_or(BOUNDS.len())
    };
    assert_eq!(shown[BOUNDS.len()], between.len() as i64, "{what}");
    for (index, bound) in BOUNDS.iter().enumerate() {
        let off = (shown[index] - truth[index]).abs();
        assert!(
            *bound < most || off == 0,
            "{what}: {} of {} up to {bound}, the slowest took {most}",
            shown[index],
            truth[index]
        );
        let may = (case.slow * between.len() as f64).max(if between.len() > 3 { 1.0 } else { 0.0 });
        assert!(*bound < 0.1 || off as f64 <= may, "{what}: {} of {} up to {bound}", shown[index], truth[index]);
    }
    for share in [0.5, 0.9, 0.95, 0.99] {
        // A percentile near a bound may be in either bucket.
        let (from, to) = (percentile(&truth, share - 0.005), percentile(&truth, share + 0.005));
        let found = percentile(shown, share);
        assert!(
            (from..=to + 2 * case.buckets).contains(&(found + case.buckets)),
            "{what} {share}: {shown:?} for {truth:?}"
        );
    }
}

/// Both kinds of buckets get the same knowledge of the shape. Native ones lose less of it.
#[test]
fn native_quantiles_are_nearer_to_the_truth_than_classic_ones() {
    let (mut all_native, mut all_classic) = (0.0, 0.0);
    for case in &CASES {
        let all = durations(case, 5000);
        let mut history = History::default();
        take(&mut history, &reading(1, &[]));
        let table = history.update(&reading(1, &[(1, &all)]), true, &unlimited()).expect("all columns are there");
        let classic: Vec<_> = BOUNDS.into_iter().chain([f64::INFINITY]).zip(histogram(&table).0).collect();
        let classic: Vec<_> = classic.into_iter().map(|(bound, count)| (bound, count.unsigned_abs())).collect();
        for q in [0.5, 0.95, 0.99] {
            let truth = (case.quantile)(q);
            let (of_native, of_classic) = (of_native(&native(&table), q), of_classic(&classic, q));
            all_native += off(of_native, truth);
            all_classic += off(of_classic, truth);
        }
    }
    assert!(all_native < all_classic, "together off by {all_native}, the classic ones by {all_classic}");
}

/// Earlier extremes are lost: a statement that is fast or slow by turns still has most calls in fast buckets.
#[test]
fn two_kinds_of_calls_are_told_apart_within_wider_limits() {
    for (least, most) in [(0.0005, 0.31), (0.00001, 0.35), (0.0005, 0.4)] {
        let mut all = vec![least, most];
        all.extend(durations(&CASES[2], 5000));
        let mut history = History::default();
        take(&mut history, &reading(1, &[(1, &all[..2].to_vec())]));
        let (shown, _) = take(&mut history, &reading(1, &[(1, &all)]));
        let up_to = |bound: f64| shown[BOUNDS.iter().position(|known| *known == bound).expect("a bound")];
        assert!(up_to(0.01) > 4500 && up_to(0.05) > 4750, "{least} {most}: {shown:?}");
        assert!((4835..4960).contains(&up_to(0.1)) && up_to(0.5) == 5000, "{least} {most}: {shown:?}");
    }
}

/// The one call that is known to be the slowest does not make others slow.
#[test]
fn one_outlier_is_one() {
    let mut history = History::default();
    let mut all = vec![0.001; 1000];
    take(&mut history, &reading(1, &[(1, &all)]));
    all.extend([0.001; 500]);
    all.push(5.5);
    let (shown, _) = take(&mut history, &reading(1, &[(1, &all)]));
    let expected: Vec<_> =
        BOUNDS.iter().map(|bound| if *bound < 0.001 { 0 } else { 500 + i64::from(*bound > 5.5) }).collect();
    assert_eq!(shown[..BOUNDS.len()], expected);
}

/// PostgreSQL 17 and later can reset minimum and maximum alone: the new ones say nothing about calls before.
#[test]
fn limits_say_what_they_were_while_it_was_called() {
    let totals =
        |calls, least, most| StatementTotals { calls, seconds: calls as f64, squared_deviations: 0.0, least, most };
    let bound = |seconds| Extreme { seconds, reached: false };
    let hit = |seconds| Extreme { seconds, reached: true };
    let (none, far) = (StatementTotals::NONE, f64::INFINITY);
    for (what, before, now, least, most) in [
        ("new", none, totals(2, 0.5, 1.5), hit(0.5), hit(1.5)),
        ("as before", totals(2, 0.5, 1.5), totals(4, 0.5, 1.5), bound(0.5), bound(1.5)),
        ("a slower one", totals(2, 0.5, 1.5), totals(4, 0.5, 2.5), bound(0.5), hit(2.5)),
        ("a faster one", totals(2, 0.5, 1.5), totals(4, 0.1, 1.5), hit(0.1), bound(1.5)),
        ("forgotten meanwhile", totals(2, 0.5, 1.5), totals(4, 0.6, 0.7), bound(0.0), bound(far)),
        ("just forgotten", totals(2, 0.5, 1.5), totals(4, far, 0.0), bound(0.0), bound(far)),
        ("forgotten before", totals(2, far, 0.0), totals(4, 0.6, 0.7), hit(0.6), hit(0.7)),
        ("all forgotten", totals(4, 0.5, 1.5), totals(2, 0.7, 1.1), hit(0.7), hit(1.1)),
    ] {
        let calls = now.since(before);
        assert_eq!((calls.least, calls.most), (least, most), "{what}");
    }
}
