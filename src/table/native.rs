//! Native buckets: those of an exponential histogram. Pure.
//!
//! In a table the buckets of a series are one cell, not rows: there are some dozens, and only one of the formats can
//! show them.

/// The index of the zero bucket in a cell.
pub const ZERO: i32 = i32::MIN;

/// Its name in a text.
const ZERO_WORD: &str = "zero";

/// A histogram's native buckets. Bucket `i` counts the values above `2^((i-1) * 2^-schema)`, up to `2^(i * 2^-schema)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeBuckets {
    pub schema: i32,
    /// Values that are 0.
    pub zero_count: u64,
    /// Index and count of those that are not empty, rising by index.
    pub buckets: Vec<(i32, u64)>,
}

impl NativeBuckets {
    /// From a cell: rising indexes, and counts, some of which may be 0.
    pub fn of(schema: i32, buckets: &[(i32, u64)]) -> NativeBuckets {
        let (zero, others) = match buckets {
            [(ZERO, count), others @ ..] => (*count, others),
            others => (0, others),
        };
        let buckets = others.iter().copied().filter(|(_, count)| *count > 0).collect();
        NativeBuckets { schema, zero_count: zero, buckets }
    }

    /// As a cell: with the zero bucket in front.
    pub fn cell(&self) -> Vec<(i32, u64)> {
        let zero = (self.zero_count > 0).then_some((ZERO, self.zero_count));
        zero.into_iter().chain(self.buckets.iter().copied()).collect()
    }

    /// Reads `index:count` of buckets, rising by index and separated by single spaces: `-58:3 -57:12`. `zero:7` in
    /// front of them is the number of values that are 0. An empty text is an empty histogram; `None`: the text is
    /// something else.
    pub fn parse(schema: i32, text: &str) -> Option<NativeBuckets> {
        let mut native = NativeBuckets { schema, zero_count: 0, buckets: Vec::new() };
        if text.is_empty() {
            return Some(native);
        }
        for (nth, bucket) in text.split(' ').enumerate() {
            let (index, count) = bucket.split_once(':')?;
            let count = count.parse().ok()?;
            match index {
                ZERO_WORD if nth == 0 => native.zero_count = count,
                _ => native.push(index.parse().ok()?, count)?,
            }
        }
        Some(native)
    }

    fn push(&mut self, index: i32, count: u64) -> Option<()> {
        if index <= self.buckets.last().map_or(ZERO, |(before, _)| *before) {
            return None;
        }
        self.buckets.push((index, count));
        Some(())
    }

    /// The values in all its buckets; `None` above 2^64.
    pub fn count(&self) -> Option<u64> {
        self.buckets.iter().try_fold(self.zero_count, |sum, (_, count)| sum.checked_add(*count))
    }
}

/// Quantiles as Prometheus computes them.
#[cfg(test)]
pub mod quantile {
    use crate::table::native::NativeBuckets;

    /// `histogram_quantile` of native buckets, since Prometheus 3: values are taken to be spread evenly on a
    /// logarithmic scale.
    pub fn of_native(native: &NativeBuckets, q: f64) -> f64 {
        let total = native.count().expect("a number of values");
        let mut rank = q * total as f64 - native.zero_count as f64;
        for (index, count) in &native.buckets {
            if rank <= *count as f64 {
                let width = (-f64::from(native.schema)).exp2();
                return ((f64::from(*index) - 1.0 + rank.max(0.0) / *count as f64) * width).exp2();
            }
            rank -= *count as f64;
        }
        f64::NAN
    }

    /// The same of classic buckets: bounds with cumulative counts, the last of which is that of all values.
    pub fn of_classic(buckets: &[(f64, u64)], q: f64) -> f64 {
        let rank = q * buckets.last().map_or(0, |(_, count)| *count) as f64;
        let (mut start, mut below) = (0.0, 0.0);
        for (bound, count) in buckets {
            let count = *count as f64;
            if count >= rank {
                let is_above_all = bound.is_infinite();
                return if is_above_all { start } else { start + (bound - start) * (rank - below) / (count - below) };
            }
            (start, below) = (*bound, count);
        }
        f64::NAN
    }

    /// The error of a quantile, as a share of the true one.
    pub fn off(found: f64, truth: f64) -> f64 {
        (found / truth - 1.0).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read() {
        for (buckets, text) in [
            (vec![], ""),
            (vec![(ZERO, 7)], "zero:7"),
            (vec![(-58, 3), (-57, 0), (2, u64::MAX)], "-58:3 2:18446744073709551615"),
            (vec![(ZERO, 1), (0, 1)], "zero:1 0:1"),
        ] {
            let native = NativeBuckets::parse(3, text).expect("buckets");
            assert_eq!(native, NativeBuckets::of(3, &buckets), "{text:?}");
            assert_eq!(NativeBuckets::of(3, &native.cell()), native, "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            " ",
            "1",
            "1:",
            ":1",
            "1:-1",
            "1:1.5",
            "1:1  2:1",
            "1:1 ",
            "2:1 1:1",
            "1:1 1:1",
            "1:1 zero:1",
            "x:1",
            "-2147483648:1",
        ] {
            assert_eq!(NativeBuckets::parse(3, text), None, "{text:?}");
        }
        assert_eq!(NativeBuckets::parse(3, "1:18446744073709551615 2:1").and_then(|native| native.count()), None);
    }
}
