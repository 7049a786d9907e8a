//! The labels of rows, written once for all metrics that are made from a row, because labels are most of a page.

use crate::exposition::labels::TargetLabels;
use crate::map::{Family, Sample};
use crate::table::Cell;

/// How a format writes labels.
pub struct LabelSyntax {
    /// Stands between two labels.
    pub separator: &'static [u8],
    pub push: fn(out: &mut Vec<u8>, name: &str, value: Cell<'_>),
    /// The expected size of a row's own labels.
    pub bytes_of_a_row: usize,
}

/// A block's families, and the labels of their rows as far as they have been written.
pub struct LabelledFamilies<'a> {
    families: Vec<Family<'a>>,
    target: Vec<u8>,
    /// By series.
    labels: Vec<Option<RowLabels>>,
    syntax: &'static LabelSyntax,
}

/// The labels of each row of one series, back to back.
struct RowLabels {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl LabelSyntax {
    /// Writes a label behind those since `start`.
    fn push_behind(&self, out: &mut Vec<u8>, start: usize, name: &str, value: Cell<'_>) {
        if out.len() > start {
            out.extend_from_slice(self.separator);
        }
        (self.push)(out, name, value);
    }
}

impl<'a> LabelledFamilies<'a> {
    pub fn new(families: Vec<Family<'a>>, target_labels: &TargetLabels, syntax: &'static LabelSyntax) -> Self {
        let mut target = Vec::new();
        for (name, value) in target_labels.pairs() {
            syntax.push_behind(&mut target, 0, name, Cell::Text(value));
        }
        // There are at most as many series as families.
        let labels = families.iter().map(|_| None).collect();
        LabelledFamilies { families, target, labels, syntax }
    }

    /// A family's samples with their labels, which are written now unless another family has the same rows.
    pub fn samples(&mut self, family: usize) -> impl Iterator<Item = (&[u8], Sample)> {
        let family = self.families.get(family);
        let labels = family.map(|family| {
            &*self.labels[family.series].get_or_insert_with(|| RowLabels::new(family, &self.target, self.syntax))
        });
        family.zip(labels).into_iter().flat_map(|(family, labels)| {
            let rows = family.rows().enumerate();
            rows.filter_map(|(nth, row)| Some((labels.get(nth), family.sample(row)?)))
        })
    }
}

impl RowLabels {
    fn new(family: &Family<'_>, target: &[u8], syntax: &LabelSyntax) -> Self {
        let rows = family.rows().size_hint().1.unwrap_or_default();
        let bytes = Vec::with_capacity(rows * (target.len() + syntax.bytes_of_a_row));
        let mut labels = RowLabels { bytes, ends: Vec::with_capacity(rows) };
        for (_, row) in family.rows() {
            let start = labels.bytes.len();
            labels.bytes.extend_from_slice(target);
            for (name, cell) in family.label_names.iter().zip(family.labels(row)) {
                syntax.push_behind(&mut labels.bytes, start, name, cell);
            }
            labels.ends.push(labels.bytes.len());
        }
        labels
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }
}
