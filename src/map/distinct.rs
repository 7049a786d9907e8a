//! Which rows are series of their own: those whose labels no earlier row has. Pure.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use crate::{
    map::layout::LabelColumns,
    table::{Cell, Number, Table},
};

/// Of the rows that say anything, the first for each choice of labels, and those that came after. A histogram's rows come series by
/// series, each with rising bounds.
pub fn distinct_rows(table: &Table, labels: &LabelColumns, says: impl Fn(usize) -> bool) -> (Vec<u32>, Vec<u32>) {
    let candidates: Vec<u32> = (0..table.rows()).filter(|row| says(*row)).map(|row| row as u32).collect();
    // A server's own numbers are one row, which needs no comparing.
    if candidates.len() < 2 {
        return (candidates, Vec::new());
    }
    let firsts = firsts(table, &labels.columns, &candidates, &RandomState::new());
    // A bound that is none comes last: it is no bucket.
    let bound = |row: u32| labels.le.and_then(|le| upper_bound(table.cell(row as usize, le))).unwrap_or(f64::NAN);
    let mut rows: Vec<_> = firsts.into_iter().zip(candidates).map(|(first, row)| (first, bound(row), row)).collect();
    let by_series = |a: &(u32, f64, u32), b: &(u32, f64, u32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    rows.sort_by(by_series);
    let mut repeated = Vec::new();
    rows.dedup_by(|later, kept| {
        let same = by_series(later, kept).is_eq();
        repeated.extend(same.then_some(later.2));
        same
    });
    // Into memory of their own: what they were sorted in is four times as large, and this is kept.
    (rows.iter().map(|(.., row)| *row).collect(), repeated)
}

/// Of each of these rows, the first that has the same labels. They are told apart by hashes, so that no row needs a key in memory.
fn firsts(table: &Table, labels: &[usize], rows: &[u32], hashing: &impl BuildHasher) -> Vec<u32> {
    let mut seen = HashMap::with_capacity(rows.len());
    let first = |row: &u32| {
        let mut hasher = hashing.build_hasher();
        labels.iter().for_each(|column| written(table.cell(*row as usize, *column)).hash(&mut hasher));
        let mut key = hasher.finish();
        loop {
            match seen.entry(key) {
                Entry::Vacant(free) => return *free.insert(*row),
                Entry::Occupied(other) if same_labels(table, labels, *other.get(), *row) => return *other.get(),
                // Other labels with the same hash.
                Entry::Occupied(_) => key = key.wrapping_add(1),
            }
        }
    };
    rows.iter().map(first).collect()
}

/// Whether two rows have the same labels.
pub fn same_labels(table: &Table, labels: &[usize], a: u32, b: u32) -> bool {
    let cells = |column: &usize| [a, b].map(|row| table.cell(row as usize, *column));
    a == b
        || labels.iter().map(cells).all(|[a, b]| match (a, b) {
            (Cell::Text(a), Cell::Text(b)) => a == b,
            (a, b) => written(a) == written(b),
        })
}

/// A label's value as it is written and so as it is compared: the number 1 and the text "1" are the same.
fn written(cell: Cell<'_>) -> Cow<'_, str> {
    let number = |number: Number| {
        let mut text = String::new();
        number.push_to(&mut text);
        text.into()
    };
    match cell {
        Cell::Text(text) => text.into(),
        Cell::Absent | Cell::Buckets(_) => "".into(),
        Cell::Int(value) => number(Number::Int(value)),
        Cell::Float(value) => number(Number::Float(value)),
    }
}

/// A bucket's bound. The negative zero is the other one.
pub fn upper_bound(cell: Cell<'_>) -> Option<f64> {
    cell.number().ok().flatten().map(|number| number.as_f64() + 0.0)
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasherDefault;

    use super::*;

    /// Of whatever it is given it says the same.
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
