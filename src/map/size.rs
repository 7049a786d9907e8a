//! What a table takes on a page in the text format: at most, at once; and, where that may be too much, to the byte. Native buckets, which only
//! protobuf has, come on top with the most that they can take there. Pure.

use crate::{
    collector::Query,
    map::{Family, Mapped, Sample, layout::ValueColumns},
    table::{Cell, Number},
};

/// Of a page or a part of it. What stands at the head of each metric is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub bytes: usize,
    pub samples: usize,
}

/// Behind the name and around the labels: the longest suffix, braces, a space, the longest number, the end of the line.
const AROUND: usize = "_bucket".len() + "{} \n".len() + NUMBER;

/// The longest number.
const NUMBER: usize = 24;

/// A bucket's bound, which stands among the labels.
const BOUND: usize = ",le=\"\"".len() + NUMBER;

/// Around a label: the quotes, the equals sign, a comma.
const QUOTES: usize = "=\"\",".len();

/// A native bucket in protobuf, with a span of its own.
const NATIVE_BUCKET: usize = 22;

/// Buckets of a series that have no row: the last; and its sum and count.
const BESIDE: usize = 3;

impl Mapped {
    /// No more than this, with so many bytes of labels of the target's on each line. Takes no longer where there are more rows.
    pub fn size_at_most(&self, query: &Query, of_target: usize) -> Size {
        let mut size = Size::default();
        for family in self.families(query) {
            let rows = self.series[family.series].rows.len();
            let lines = if family.is_histogram() { (1 + BESIDE) * rows } else { rows };
            let names: usize = family.label_names.iter().map(|name| name.len() + QUOTES + NUMBER).sum();
            let line = family.def.name.len() + of_target + names + AROUND + BOUND;
            // Each text of the table once for each of these lines at most, with each of its letters escaped.
            size.bytes +=
                lines * line + 2 * self.table.bytes_of_text() * if family.is_histogram() { 1 + BESIDE } else { 1 };
            if family.is_histogram() {
                size.bytes += self.table.native_buckets() * NATIVE_BUCKET;
            }
            size.samples += lines;
        }
        size
    }

    /// As much as it takes.
    pub fn size(&self, query: &Query, of_target: usize) -> Size {
        let (mut size, mut number) = (Size::default(), String::new());
        let mut labels: Vec<Option<Vec<usize>>> = vec![None; self.series.len()];
        for family in self.families(query).map(Family::with_native) {
            let labels = labels[family.series].get_or_insert_with(|| labels_of(&family));
            for ((at, row), labels) in family.rows().zip(labels.iter()) {
                let Some(sample) = family.sample((at, row)) else { continue };
                // The row's first label brings the comma behind the target's.
                let line = family.def.name.len() + "{} \n".len() + of_target + labels;
                let mut add = |around: usize, value: Number| {
                    number.clear();
                    value.push_to(&mut number);
                    size.bytes += line + around + number.len();
                    size.samples += 1;
                };
                match sample {
                    Sample::Value(value) => add(0, value),
                    Sample::Histogram { buckets, sum, count, native } => {
                        buckets.into_iter().for_each(|(_, value)| add("_bucket".len() + BOUND, value));
                        sum.into_iter().for_each(|sum| add("_sum".len(), sum));
                        add("_count".len(), count);
                        size.bytes += native.map_or(0, |native| native.buckets.len() * NATIVE_BUCKET);
                    }
                }
            }
        }
        size
    }
}

/// The bytes of each row's own labels.
fn labels_of(family: &Family<'_>) -> Vec<usize> {
    let value = |cell: Cell<'_>| match cell {
        Cell::Absent | Cell::Buckets(_) => 0,
        Cell::Text(text) => text.len() + text.bytes().filter(|byte| matches!(byte, b'\\' | b'"' | b'\n')).count(),
        Cell::Int(_) | Cell::Float(_) => NUMBER,
    };
    let label = |(name, cell): (&String, Cell<'_>)| name.len() + QUOTES + value(cell);
    family.rows().map(|(_, row)| family.label_names.iter().zip(family.labels(row)).map(label).sum()).collect()
}

impl Family<'_> {
    fn is_histogram(&self) -> bool {
        matches!(self.value, ValueColumns::Histogram { .. })
    }
}
