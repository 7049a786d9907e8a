//! Rows with the same labels: which of them make the series. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::map::layout::LabelColumns;
use crate::table::{Cell, Table};

/// The rows of a series or more, and those that were left out because an earlier row has their labels.
pub struct DistinctRows {
    pub rows: Vec<u32>,
    pub repeated: Vec<u32>,
}

/// A row, and what distinguishes it: the first row with the same labels, and the bound of its bucket.
struct Candidate {
    first: u32,
    bound: f64,
    row: u32,
}

impl Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        self.first.cmp(&other.first).then(self.bound.total_cmp(&other.bound))
    }
}

/// The first row for each choice of labels, among the rows with a value. The rows of a histogram come series by series,
/// with rising bounds.
pub fn distinct_rows(table: &Table, labels: &LabelColumns, has_value: impl Fn(usize) -> bool) -> DistinctRows {
    let rows: Vec<u32> = (0..table.rows()).filter(|row| has_value(*row)).map(|row| row as u32).collect();
    // Many tables have one row, which needs no comparing.
    if rows.len() < 2 {
        return DistinctRows { rows, repeated: Vec::new() };
    }
    let mut candidates = Vec::with_capacity(rows.len());
    for (first, row) in firsts(table, &labels.columns, &rows, &RandomState::new()).into_iter().zip(rows) {
        // A bound that is not a number comes last: it does not make a bucket.
        let bound = labels.le.and_then(|le| upper_bound(table.cell(row as usize, le))).unwrap_or(f64::NAN);
        candidates.push(Candidate { first, bound, row });
    }
    candidates.sort_by(Candidate::cmp);
    let mut repeated = Vec::new();
    candidates.dedup_by(|later, kept| {
        let is_repeated = later.cmp(kept).is_eq();
        if is_repeated {
            repeated.push(later.row);
        }
        is_repeated
    });
    // Collected into memory of their own: the candidates take four times as much, and the rows are kept.
    DistinctRows { rows: candidates.iter().map(|candidate| candidate.row).collect(), repeated }
}

/// For each of these rows, the first that has the same labels. Rows are compared by hashes, so that none needs a key in
/// memory.
fn firsts(table: &Table, labels: &[usize], rows: &[u32], hashing: &impl BuildHasher) -> Vec<u32> {
    let mut seen = HashMap::with_capacity(rows.len());
    let mut firsts = Vec::with_capacity(rows.len());
    for row in rows {
        let mut hasher = hashing.build_hasher();
        for column in labels {
            table.cell(*row as usize, *column).written().hash(&mut hasher);
        }
        let mut key = hasher.finish();
        let first = loop {
            match seen.entry(key) {
                Entry::Vacant(free) => break *free.insert(*row),
                Entry::Occupied(other) if same_labels(table, labels, *other.get(), *row) => break *other.get(),
                // Other labels with the same hash.
                Entry::Occupied(_) => key = key.wrapping_add(1),
            }
        };
        firsts.push(first);
    }
    firsts
}

/// Whether two rows have the same labels.
pub fn same_labels(table: &Table, labels: &[usize], a: u32, b: u32) -> bool {
    let is_same = |column: &usize| match [a, b].map(|row| table.cell(row as usize, *column)) {
        [Cell::Text(a), Cell::Text(b)] => a == b,
        [a, b] => a.written() == b.written(),
    };
    a == b || labels.iter().all(is_same)
}

/// A bucket's bound. The negative zero becomes the positive one.
pub fn upper_bound(cell: Cell<'_>) -> Option<f64> {
    cell.number().ok().flatten().map(|number| number.as_f64() + 0.0)
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasherDefault;

    use super::*;

    /// Its hash is the same for everything.
    #[derive(Default)]
    struct Blind;

    impl Hasher for Blind {
        fn finish(&self) -> u64 {
            u64::MAX
        }

        fn write(&mut self, _: &[u8]) {}
    }

    #[test]
    fn labels_with_the_same_hash_are_told_apart() {
        let mut table = Table::new(["a", "b"]);
        let labels = [["x", "y"], ["xy", ""], ["x", "y"], ["", "xy"], ["xy", ""], ["1", ""]];
        labels.iter().for_each(|row| table.push_row(row.map(Cell::Text)));
        table.push_row([Cell::Int(1), Cell::Absent]);
        let rows: Vec<u32> = (0..table.rows() as u32).collect();
        for found in [
            firsts(&table, &[0, 1], &rows, &BuildHasherDefault::<Blind>::default()),
            firsts(&table, &[0, 1], &rows, &RandomState::new()),
        ] {
            assert_eq!(found, [0, 1, 0, 3, 1, 5, 5]);
        }
    }
}
