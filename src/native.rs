//! Native buckets: those of an exponential histogram, as numbers and as a text in a table. Pure.
//!
//! A series' buckets are one cell, not rows of their own: they are some dozens, and only one of the formats can show them.

/// Names the zero bucket in a text.
const ZERO: &str = "zero";

/// What a bucket is expected to take in a text.
const BYTES_OF_A_BUCKET: usize = 8;

/// A histogram's native buckets. Bucket `i` counts the values above `2^((i-1) * 2^-schema)`, up to `2^(i * 2^-schema)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    pub schema: i32,
    /// Values up to this count as zero.
    pub zero_threshold: f64,
    pub zero_count: u64,
    /// Index and count of those that are not empty, rising by index.
    pub buckets: Vec<(i32, u64)>,
}

/// Writes native buckets as [`Native::parse`] reads them; empty ones may be among them.
pub fn write(zero_count: u64, buckets: impl ExactSizeIterator<Item = (i32, u64)>) -> String {
    let (mut out, mut digits) = (String::with_capacity(buckets.len() * BYTES_OF_A_BUCKET), itoa::Buffer::new());
    if zero_count > 0 {
        [ZERO, ":", digits.format(zero_count)].into_iter().for_each(|part| out.push_str(part));
    }
    for (index, count) in buckets.filter(|(_, count)| *count > 0) {
        out.push_str(if out.is_empty() { "" } else { " " });
        out.push_str(digits.format(index));
        out.push(':');
        out.push_str(digits.format(count));
    }
    out
}

impl Native {
    /// Reads `index:count` of buckets, rising by index and separated by single spaces: `-58:3 -57:12`. `zero:7` in front of them is
    /// the number of values that are 0. An empty text is a histogram of nothing; `None`: it is something else.
    pub fn parse(schema: i32, text: &str) -> Option<Native> {
        let mut native = Native { schema, zero_threshold: 0.0, zero_count: 0, buckets: Vec::new() };
        if text.is_empty() {
            return Some(native);
        }
        for (nth, bucket) in text.split(' ').enumerate() {
            let (index, count) = bucket.split_once(':')?;
            let count = count.parse().ok()?;
            match index {
                ZERO if nth == 0 => native.zero_count = count,
                _ => native.push(index.parse().ok()?, count)?,
            }
        }
        Some(native)
    }

    fn push(&mut self, index: i32, count: u64) -> Option<()> {
        let rises = self.buckets.last().is_none_or(|(before, _)| *before < index);
        rises.then(|| self.buckets.push((index, count)))
    }

    /// How many values there are in all its buckets; `None` above 2^64.
    pub fn count(&self) -> Option<u64> {
        self.buckets.iter().try_fold(self.zero_count, |sum, (_, count)| sum.checked_add(*count))
    }
}

/// Quantiles as Prometheus computes them, of whatever a histogram says.
#[cfg(test)]
pub mod quantile {
    use super::Native;

    /// `histogram_quantile` of native buckets, since Prometheus 3: values are taken to be spread evenly on a logarithmic scale.
    pub fn of_native(native: &Native, q: f64) -> f64 {
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

    /// How far off a quantile is, as a share of the true one.
    pub fn off(found: f64, truth: f64) -> f64 {
        (found / truth - 1.0).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (zero, buckets, text) in [
            (0, vec![], ""),
            (7, vec![], "zero:7"),
            (0, vec![(-58, 3), (-57, 0), (2, u64::MAX)], "-58:3 2:18446744073709551615"),
            (1, vec![(0, 1)], "zero:1 0:1"),
        ] {
            assert_eq!(write(zero, buckets.iter().copied()), text);
            let read = Native::parse(3, text).expect("native buckets");
            let filled = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(read, Native { schema: 3, zero_threshold: 0.0, zero_count: zero, buckets: filled });
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in
            [" ", "1", "1:", ":1", "1:-1", "1:1.5", "1:1  2:1", "1:1 ", "2:1 1:1", "1:1 1:1", "1:1 zero:1", "x:1"]
        {
            assert_eq!(Native::parse(3, text), None, "{text:?}");
        }
        assert_eq!(Native::parse(3, "1:18446744073709551615 2:1").and_then(|native| native.count()), None);
    }
}
