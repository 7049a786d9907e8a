//! The buckets of a native histogram in protobuf: spans of neighbours, and the differences between counts.

/// Buckets that follow each other: the gap to the end of the span before (for the first: its index), and their number.
pub type Span = (i32, u32);

/// From buckets with rising indexes. Without buckets there is one empty span, which tells Prometheus that the histogram
/// is a native one.
pub fn spans_and_deltas(buckets: &[(i32, u64)]) -> (Vec<Span>, Vec<i64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut deltas = Vec::with_capacity(buckets.len());
    // The index behind the last bucket, and the last count.
    let (mut next, mut before) = (0_i32, 0_u64);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some((_, length)) if *index == next => *length += 1,
            _ => spans.push((index.saturating_sub(next), 1)),
        }
        deltas.push(count.wrapping_sub(before).cast_signed());
        (next, before) = (index.saturating_add(1), *count);
    }
    if spans.is_empty() {
        spans.push((0, 0));
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    /// As Prometheus reads them.
    fn decode(spans: &[Span], deltas: &[i64]) -> Vec<(i32, u64)> {
        let (mut next, mut count, mut deltas) = (0_i32, 0_i64, deltas.iter());
        let mut buckets = Vec::new();
        for (gap, length) in spans {
            next += gap;
            for _ in 0..*length {
                count += deltas.next().expect("a difference for each bucket");
                buckets.push((next, count.cast_unsigned()));
                next += 1;
            }
        }
        assert_eq!(deltas.next(), None, "a bucket for each difference");
        buckets
    }

    #[test]
    fn neighbours_are_one_span() {
        type Case<'a> = (&'a [(i32, u64)], &'a [Span], &'a [i64]);
        let cases: [Case<'_>; 7] = [
            (&[], &[(0, 0)], &[]),
            (&[(0, 5)], &[(0, 1)], &[5]),
            (&[(-3, 5)], &[(-3, 1)], &[5]),
            (&[(7, 2), (8, 1), (9, 4)], &[(7, 3)], &[2, -1, 3]),
            (&[(1, 2), (3, 2)], &[(1, 1), (1, 1)], &[2, 0]),
            (&[(-9, 1), (-8, 0), (4, 7), (5, 7)], &[(-9, 2), (11, 2)], &[1, -1, 7, 0]),
            (&[(-1, 1), (0, 2), (1, 3)], &[(-1, 3)], &[1, 1, 1]),
        ];
        for (buckets, spans, deltas) in cases {
            assert_eq!(spans_and_deltas(buckets), (spans.to_vec(), deltas.to_vec()), "{buckets:?}");
            assert_eq!(decode(spans, deltas), buckets);
        }
    }

    proptest! {
        #[test]
        fn all_is_read_as_it_was(buckets in btree_map(-5000..5000_i32, 0..1_u64 << 62, 0..60)) {
            let buckets: Vec<_> = BTreeMap::into_iter(buckets).collect();
            let (spans, deltas) = spans_and_deltas(&buckets);
            prop_assert_eq!(decode(&spans, &deltas), buckets);
            prop_assert!(spans.iter().skip(1).all(|(gap, length)| *gap > 0 && *length > 0), "{:?}", spans);
        }
    }
}
