//! Apportionment by the largest remainder: turns expected fractions of calls into whole calls per bucket. Pure.

/// Distributes `more` whole calls over the counts. Each count comes as near to its expectation as it can without falling: first it gets
/// the whole calls that it lacks, then the largest remainders get one more each. A call that was given too early is not taken back; the
/// expectation catches up with it.
///
/// Rounding the sums of expectations up to each bound, as classic buckets do, is not enough here: the difference of two such sums,
/// a single bucket, falls by one now and then, and Prometheus takes that for a reset of all of them.
pub fn apportion(counts: &mut [u64], expected: &[f64], more: u64) {
    let missing: Vec<f64> = expected.iter().zip(&*counts).map(|(expected, count)| expected - *count as f64).collect();
    let mut given: Vec<u64> = missing.iter().map(|missing| missing.floor() as u64).collect();
    let mut order: Vec<usize> = (0..given.len()).collect();
    let remainder = |at: usize| missing[at] - given[at] as f64;
    order.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)));
    adjust(&mut given, &order, more);
    counts.iter_mut().zip(given).for_each(|(count, given)| *count = count.saturating_add(given));
}

/// Corrects the sum of the calls given: adds one to each in this order, or takes one from the other end. More than one
/// at a time only where numbers are so large that their last digits are lost.
fn adjust(given: &mut [u64], order: &[usize], sum: u64) {
    let mut left = i128::from(sum) - given.iter().map(|given| i128::from(*given)).sum::<i128>();
    while left > 0 {
        let each = (left / order.len() as i128).max(1);
        for at in order {
            let add = each.min(left);
            given[*at] = given[*at].saturating_add(add as u64);
            left -= add;
        }
    }
    while left < 0 {
        let each = (-left / order.len() as i128).max(1);
        for at in order.iter().rev() {
            let take = each.min(-left).min(i128::from(given[*at]));
            given[*at] -= take as u64;
            left += take;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_become_whole_calls_in_turn() {
        let (mut counts, mut expected) = ([0; 4], [0.0; 4]);
        for turn in 1..=12 {
            expected.iter_mut().zip([0.5, 0.25, 0.25, 1.0]).for_each(|(expected, part)| *expected += part);
            let before = counts;
            apportion(&mut counts, &expected, 2);
            assert!(counts.iter().zip(before).all(|(now, before)| *now >= before), "{before:?} {counts:?}");
            assert_eq!(counts.iter().sum::<u64>(), 2 * turn);
        }
        assert_eq!(counts, [6, 3, 3, 12]);
    }

    proptest! {
        /// Any number of readings, each with calls in any bucket: no fraction may be lost.
        #[test]
        fn none_falls_all_are_there_and_each_is_near(readings in vec((vec(0.0..1.0_f64, 12), 0_u64..40), 1..200)) {
            let (mut counts, mut expected, mut total) = (vec![0; 12], vec![0.0; 12], 0);
            for (weights, calls) in readings {
                let sum: f64 = weights.iter().sum::<f64>().max(1e-9);
                expected.iter_mut().zip(&weights).for_each(|(e, weight)| *e += calls as f64 * weight / sum);
                let before = counts.clone();
                total += calls;
                apportion(&mut counts, &expected, calls);
                prop_assert!(counts.iter().zip(&before).all(|(now, before)| now >= before), "{:?} {:?}", before, counts);
                prop_assert_eq!(counts.iter().sum::<u64>(), total);
                let off = counts.iter().zip(&expected).map(|(c, e)| (*c as f64 - e).abs()).fold(0.0, f64::max);
                prop_assert!(off < 2.0, "{:?} for {:?}", counts, expected);
            }
        }

        #[test]
        fn whatever_is_expected_the_sum_is_right(expected in vec(any::<f64>(), 1..20), more in any::<u64>()) {
            let mut counts = vec![0; expected.len()];
            apportion(&mut counts, &expected, more);
            prop_assert_eq!(counts.iter().map(|count| u128::from(*count)).sum::<u128>(), u128::from(more));
        }
    }
}
