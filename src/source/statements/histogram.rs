//! The histogram of one database: classic buckets, native buckets, and their totals. Pure.

use crate::source::statements::apportionment;
use crate::source::statements::totals::IntervalCalls;
use crate::table::{Cell, Table};

/// Upper bounds of the classic buckets, in seconds: 1, 2, 5 of each power of ten, from the time of reading one row to
/// longer than a person waits. They include those of [`SLOW`].
pub const BOUNDS: [f64; 20] = [
    0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 20.0, 60.0,
];

/// The bounds, in seconds, above which calls are also counted as slow.
const SLOW: [f64; 6] = [0.05, 0.1, 1.0, 2.0, 5.0, 60.0];

/// Native buckets per doubling. In `collectors/statement_histogram.yaml` their schema is 1, the binary logarithm of
/// this. The shape of the distribution is not known well enough for finer ones.
const PER_DOUBLING: i32 = 2;

/// The first native bucket holds calls of at most 2^-16 s (reading one row), the last those of over 17 minutes.
const FIRST: i32 = -16 * PER_DOUBLING;
const LAST: i32 = 10 * PER_DOUBLING + 1;

/// The number of native buckets; each but the last has an upper bound among [`EDGES`].
pub const NATIVE: usize = (LAST - FIRST + 1) as usize;

/// The bounds of both kinds of buckets, rising. Where two bounds are equal, the bucket between them is empty.
pub const EDGES: [f64; BOUNDS.len() + NATIVE - 1] = {
    let mut edges = [0.0; BOUNDS.len() + NATIVE - 1];
    let (mut classic, mut index, mut at) = (0, FIRST, 0);
    while at < edges.len() {
        let native = native_bound(index);
        if classic < BOUNDS.len() && BOUNDS[classic] <= native {
            edges[at] = BOUNDS[classic];
            classic += 1;
        } else {
            edges[at] = native;
            index += 1;
        }
        at += 1;
    }
    edges
};

/// The upper bound of a native bucket, `2^(index/2)` seconds.
const fn native_bound(index: i32) -> f64 {
    let part = [1.0, std::f64::consts::SQRT_2];
    let power = f64::from_bits(((1023 + index.div_euclid(PER_DOUBLING)) as u64) << 52);
    part[index.rem_euclid(PER_DOUBLING) as usize] * power
}

/// The calls in one database since the first reading.
pub struct StatementHistogram {
    /// Calls expected above the previous edge and up to this one; the last element is above all edges. The output has
    /// whole calls, so fractions stay here until they add up to one.
    expected: [f64; EDGES.len() + 1],
    native: [u64; NATIVE],
    count: u64,
    sum: f64,
}

impl Default for StatementHistogram {
    fn default() -> Self {
        StatementHistogram { expected: [0.0; EDGES.len() + 1], native: [0; NATIVE], count: 0, sum: 0.0 }
    }
}

impl StatementHistogram {
    /// Counts the calls between two readings.
    pub fn add(&mut self, calls: IntervalCalls) {
        if calls.count > 0 {
            self.count = self.count.saturating_add(calls.count);
            self.sum += calls.seconds;
            calls.spread(&EDGES, &mut self.expected);
        }
    }

    /// Appends one row for each classic bucket. The last also has the totals and the native buckets.
    pub fn push_rows(&mut self, datname: &str, table: &mut Table) {
        let mut classic = BOUNDS.into_iter().peekable();
        let mut up_to = 0.0;
        for (edge, expected) in EDGES.into_iter().zip(self.expected) {
            up_to += expected;
            while let Some(bound) = classic.next_if(|bound| *bound <= edge) {
                let bucket = (up_to.round() as u64).min(self.count);
                let (threshold, slower) = if SLOW.contains(&bound) {
                    (Cell::Float(bound), int(self.count - bucket))
                } else {
                    (Cell::Absent, Cell::Absent)
                };
                let (le, [sum, count, native]) = (Cell::Float(bound), [Cell::Absent; 3]);
                table.push_row([Cell::Text(datname), le, int(bucket), sum, count, native, threshold, slower]);
            }
        }
        self.update_native();
        let native: Vec<_> = (FIRST..).zip(self.native).filter(|(_, count)| *count > 0).collect();
        let (le, count, sum) = (Cell::Float(f64::INFINITY), int(self.count), Cell::Float(self.sum));
        let native = Cell::Buckets(&native);
        table.push_row([Cell::Text(datname), le, count, sum, count, native, Cell::Absent, Cell::Absent]);
    }

    /// Brings the native buckets up to the number of all calls.
    fn update_native(&mut self) {
        let mut expected = [0.0; NATIVE];
        let mut bucket = 0;
        for (at, calls) in self.expected.into_iter().enumerate() {
            expected[bucket] += calls;
            if EDGES.get(at).is_some_and(|edge| *edge == native_bound(FIRST + bucket as i32)) {
                bucket += 1;
            }
        }
        let before = self.native.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        apportionment::apportion(&mut self.native, &expected, self.count.saturating_sub(before));
    }
}

fn int(count: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
