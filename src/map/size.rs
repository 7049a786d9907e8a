//! The size of a table on a page in the text formats: an upper bound, which is quick, and the exact size where that
//! bound is too large. Native buckets, which only protobuf has, are added with the most that they can take there. Pure.

use crate::collector::Query;
use crate::map::mapped::{Family, Mapped, Sample};
use crate::table::{Cell, Number};

/// The size of a page or a part of it. The heads of metrics are not counted, because tables share them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub bytes: usize,
    pub samples: usize,
}

/// The bytes of a line behind the name and around the labels: the longest suffix, braces, a space, the longest number,
/// the line's end.
const AROUND: usize = "_bucket".len() + "{} \n".len() + NUMBER;

/// The longest number.
const NUMBER: usize = 24;

/// A bucket's bound, which stands among the labels.
const BOUND: usize = ",le=\"\"".len() + NUMBER;

/// Around a label: the quotes, the equals sign, a comma.
const QUOTES: usize = "=\"\",".len();

/// A native bucket in protobuf, with a span of its own.
const NATIVE_BUCKET: usize = 22;

/// Lines of a histogram that have no row: the last bucket, the sum, the count.
const BESIDE: usize = 3;

impl Mapped {
    /// At most this much, with so many bytes of target labels on each line. The time it takes does not grow with the
    /// rows.
    pub fn size_at_most(&self, query: &Query, target_labels: usize) -> Size {
        let mut size = Size::default();
        for family in self.families(query) {
            let lines_of_a_row = if family.is_histogram() { 1 + BESIDE } else { 1 };
            let lines = lines_of_a_row * self.series[family.series].rows.len();
            let names: usize = family.label_names.iter().map(|name| name.len() + QUOTES + NUMBER).sum();
            let line = family.def.name.len() + target_labels + names + AROUND + BOUND;
            // Each text of the table at most once for each of a row's lines, with each of its bytes escaped.
            size.bytes += lines * line + 2 * self.table.bytes_of_text() * lines_of_a_row;
            if family.is_histogram() {
                size.bytes += self.table.native_buckets() * NATIVE_BUCKET;
            }
            size.samples += lines;
        }
        size
    }

    /// Exactly this much, but for numbers in labels and bounds.
    pub fn size(&self, query: &Query, target_labels: usize) -> Size {
        let (mut size, mut scratch) = (Size::default(), Vec::new());
        let mut labels: Vec<Option<Vec<usize>>> = vec![None; self.series.len()];
        for family in self.families(query).map(Family::with_native) {
            let labels = labels[family.series].get_or_insert_with(|| label_sizes(&family));
            for (at, labels) in family.rows().zip(labels.iter()) {
                let Some(sample) = family.sample(at) else { continue };
                // The row's first label brings the comma behind the target's.
                let line = family.def.name.len() + "{} \n".len() + target_labels + labels;
                match sample {
                    Sample::Value(value) => size.add(line + length(value, &mut scratch)),
                    Sample::Histogram { buckets, sum, count, native } => {
                        for (_, value) in buckets {
                            size.add(line + "_bucket".len() + BOUND + length(value, &mut scratch));
                        }
                        if let Some(sum) = sum {
                            size.add(line + "_sum".len() + length(sum, &mut scratch));
                        }
                        size.add(line + "_count".len() + length(count, &mut scratch));
                        size.bytes += native.map_or(0, |native| native.buckets.len() * NATIVE_BUCKET);
                    }
                }
            }
        }
        size
    }
}

impl Size {
    fn add(&mut self, line: usize) {
        self.bytes += line;
        self.samples += 1;
    }
}

fn length(number: Number, scratch: &mut Vec<u8>) -> usize {
    scratch.clear();
    number.push_to(scratch);
    scratch.len()
}

/// The bytes of each row's own labels.
fn label_sizes(family: &Family<'_>) -> Vec<usize> {
    let mut sizes = Vec::new();
    for (_, row) in family.rows() {
        let labels = family.label_names.iter().zip(family.labels(row));
        sizes.push(labels.map(|(name, cell)| name.len() + QUOTES + value_size(cell)).sum());
    }
    sizes
}

fn value_size(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Absent | Cell::Buckets(_) => 0,
        Cell::Text(text) => text.len() + text.bytes().filter(|byte| matches!(byte, b'\\' | b'"' | b'\n')).count(),
        Cell::Int(_) | Cell::Float(_) => NUMBER,
    }
}
