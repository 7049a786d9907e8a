//! A Table: named columns and rows of cells. It is what every source returns and every collector reads.
//!
//! Cells are stored flat, row after row, and all text in one buffer, so a table of 100,000 cells is a handful of
//! allocations and not 100,000. So are the names of its columns: several sources give one row of many.

mod convert;
pub mod native;
mod number;

use std::sync::Arc;

pub use crate::table::number::Number;
use crate::{
    memory_budget::{MemoryBudget, Reservation},
    truncate,
};

/// One cell, as read from a [`Table`]. `Absent` is what is not known (SQL's NULL): it never becomes a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Absent,
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Of a histogram: indexes and counts of its native buckets, as [`crate::table::native::NativeBuckets`] has them.
    Buckets(&'a [(i32, u64)]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StoredRows {
    Absent,
    Int(i64),
    Float(f64),
    Text { start: u32, end: u32 },
    Buckets { start: u32, end: u32 },
}

/// What a column's name is expected to take.
const BYTES_OF_A_NAME: usize = 16;

/// What a cell's text is expected to take; a table of one row seldom needs more.
const TEXT_OF_A_CELL: usize = 8;

/// The names of columns, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnNames {
    text: String,
    ends: Vec<usize>,
}

/// Named columns, rows of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Arc<ColumnNames>,
    cells: Vec<StoredRows>,
    text: String,
    buckets: Vec<(i32, u64)>,
    /// A text may have been cut, here or in a table that it was taken from.
    has_cut: bool,
    place: Reservation,
}

impl ColumnNames {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }
}

impl<S: AsRef<str>> FromIterator<S> for ColumnNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let names = names.into_iter();
        let expected = names.size_hint().0;
        let text = String::with_capacity(expected * BYTES_OF_A_NAME);
        let mut all = ColumnNames { text, ends: Vec::with_capacity(expected) };
        for name in names {
            all.text.push_str(name.as_ref());
            all.ends.push(all.text.len());
        }
        all
    }
}

impl Table {
    /// An empty table with these columns.
    pub fn new<S: AsRef<str>>(columns: impl IntoIterator<Item = S>) -> Self {
        Table::with_columns(ColumnNames::from_iter(columns).into())
    }

    /// An empty table with columns that others share.
    pub fn with_columns(columns: Arc<ColumnNames>) -> Self {
        let (cells, text) = (Vec::with_capacity(columns.len()), String::with_capacity(columns.len() * TEXT_OF_A_CELL));
        Table { columns, cells, text, buckets: Vec::new(), has_cut: false, place: Reservation::default() }
    }

    /// The same, in memory that others share.
    pub fn in_room(self, room: &MemoryBudget) -> Self {
        Table { place: room.place(), ..self }
    }

    /// Takes what it needs of its room; false if there is not so much left.
    pub fn fits(&mut self) -> bool {
        self.place.take(self.bytes())
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.columns.len()).map(|at| self.columns.get(at))
    }

    /// The place of the column with this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns().position(|other| other == name)
    }

    /// Whether the other table's columns are the same, in the same order.
    pub fn has_columns_of(&self, other: &Table) -> bool {
        Arc::ptr_eq(&self.columns, &other.columns) || self.columns == other.columns
    }

    /// Appends a cell: the next of the row being filled, or the first of a new row.
    ///
    /// A text longer than anybody reads is cut ([`truncate::label`]). Text past 4 GiB in one table becomes absent; sources bound their tables far below ([`Table::bytes`]).
    pub fn push(&mut self, cell: Cell<'_>) {
        let stored = match cell {
            Cell::Absent => StoredRows::Absent,
            Cell::Int(value) => StoredRows::Int(value),
            Cell::Float(value) => StoredRows::Float(value),
            Cell::Text(text) => {
                let text = &*truncate::label(text);
                self.has_cut |= truncate::is_cut(text);
                let place = place(self.text.len(), text.len());
                place.map_or(StoredRows::Absent, |(start, end)| {
                    self.text.push_str(text);
                    StoredRows::Text { start, end }
                })
            }
            Cell::Buckets(buckets) => {
                let place = place(self.buckets.len(), buckets.len());
                place.map_or(StoredRows::Absent, |(start, end)| {
                    self.buckets.extend_from_slice(buckets);
                    StoredRows::Buckets { start, end }
                })
            }
        };
        self.cells.push(stored);
    }

    /// Appends one row.
    pub fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        cells.into_iter().for_each(|cell| self.push(cell));
    }

    /// How many whole rows there are.
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// The cell at this row and column; `Absent` outside the table. Inlined, because comparing rows is half of what mapping costs.
    #[inline(always)]
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match self.cells.get(row * self.columns.len() + column) {
            None | Some(StoredRows::Absent) => Cell::Absent,
            Some(StoredRows::Int(value)) => Cell::Int(*value),
            Some(StoredRows::Float(value)) => Cell::Float(*value),
            Some(StoredRows::Text { start, end }) => Cell::Text(&self.text[*start as usize..*end as usize]),
            Some(StoredRows::Buckets { start, end }) => Cell::Buckets(&self.buckets[*start as usize..*end as usize]),
        }
    }

    /// Keeps the first rows only.
    pub fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows.saturating_mul(self.columns.len()));
    }

    /// Whether texts in it may have been cut; [`truncate::is_cut`] says which.
    pub fn has_cut(&self) -> bool {
        self.has_cut
    }

    /// Bytes of all its text.
    pub fn bytes_of_text(&self) -> usize {
        self.text.len()
    }

    /// Native buckets in all its cells.
    pub fn native_buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Bytes that the cells and their text take in memory.
    pub fn bytes(&self) -> usize {
        self.cells.len() * size_of::<StoredRows>() + self.text.len() + self.buckets.len() * size_of::<(i32, u64)>()
    }
}

/// Where the next of a buffer begins and ends, if that can be said.
fn place(start: usize, length: usize) -> Option<(u32, u32)> {
    Some((u32::try_from(start).ok()?, u32::try_from(start + length).ok()?))
}

impl Cell<'_> {
    /// The number in this cell. Text that reads as a decimal number counts, NaN does not:
    /// `Ok(None)` for an absent cell, `Err(())` for what is there but is no number.
    #[allow(clippy::result_unit_err)]
    pub fn number(self) -> Result<Option<Number>, ()> {
        match self {
            Cell::Absent => Ok(None),
            Cell::Int(value) => Ok(Some(Number::Int(value))),
            Cell::Float(value) if value.is_nan() => Err(()),
            Cell::Buckets(_) => Err(()),
            Cell::Float(value) => Ok(Some(Number::Float(value))),
            Cell::Text(text) => match text.parse() {
                Ok(value) => Ok(Some(Number::Int(value))),
                Err(_) => {
                    text.parse().ok().filter(|value: &f64| !value.is_nan()).map(Number::Float).map(Some).ok_or(())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_pushed() {
        let mut table = Table::new(["a", "b"]);
        table.push_row([Cell::Int(1), Cell::Text("x")]);
        table.push_row([Cell::Absent, Cell::Text("é")]);
        table.push_row([Cell::Buckets(&[(1, 2)]), Cell::Buckets(&[])]);
        assert_eq!((table.rows(), table.column("b")), (3, Some(1)));
        assert_eq!([0, 1].map(|at| table.cell(2, at)), [Cell::Buckets(&[(1, 2)]), Cell::Buckets(&[])]);
        assert_eq!([(1, 1), (9, 9)].map(|(row, column)| table.cell(row, column)), [Cell::Text("é"), Cell::Absent]);
    }

    #[test]
    fn numbers() {
        for (cell, number) in [
            (Cell::Absent, Ok(None)),
            (Cell::Int(i64::MAX), Ok(Some(Number::Int(i64::MAX)))),
            (Cell::Float(0.5), Ok(Some(Number::Float(0.5)))),
            (Cell::Float(f64::NAN), Err(())),
            (Cell::Text("12"), Ok(Some(Number::Int(12)))),
            (Cell::Text("1.5"), Ok(Some(Number::Float(1.5)))),
            (Cell::Text("nan"), Err(())),
            (Cell::Text("many"), Err(())),
        ] {
            assert_eq!(cell.number(), number, "{cell:?}");
        }
    }
}
