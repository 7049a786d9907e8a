//! A table: named columns and rows of cells. Every source returns tables, and every collector reads them.
//!
//! Cells are stored flat, row after row, and all text in one buffer, so a table of 100,000 cells is a handful of
//! allocations and not 100,000. So are the names of its columns: several sources give one row of many.

mod convert;
pub mod native;
mod number;

use std::borrow::Cow;
use std::sync::Arc;

use crate::memory_budget::{MemoryBudget, Reservation};
pub use crate::table::number::Number;
use crate::truncate;

/// One cell, as read from a [`Table`]. `Absent` is an unknown value (SQL's NULL): it never becomes a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Absent,
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Indexes and counts of a histogram's native buckets, as [`crate::table::native::NativeBuckets`] has them.
    Buckets(&'a [(i32, u64)]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StoredCell {
    Absent,
    Int(i64),
    Float(f64),
    Text { start: u32, end: u32 },
    Buckets { start: u32, end: u32 },
}

/// Bytes that a column's name is expected to take.
const BYTES_OF_A_NAME: usize = 16;

/// Bytes that a cell's text is expected to take; a table of one row seldom needs more.
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
    cells: Vec<StoredCell>,
    text: String,
    buckets: Vec<(i32, u64)>,
    /// A text may have been cut, here or in a table that it was taken from.
    has_cut: bool,
    reservation: Reservation,
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
        Table { columns, cells, text, buckets: Vec::new(), has_cut: false, reservation: Reservation::default() }
    }

    /// The same table, whose memory counts against a budget.
    pub fn with_budget(self, budget: &MemoryBudget) -> Self {
        Table { reservation: budget.reservation(), ..self }
    }

    /// Reserves the memory that it takes now; false if the budget does not have it.
    pub fn reserve(&mut self) -> bool {
        self.reservation.resize(self.bytes())
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
    /// A long text is cut ([`truncate::label`]). Text past 4 GiB in one table becomes absent; sources limit their
    /// tables far below ([`Table::bytes`]).
    pub fn push(&mut self, cell: Cell<'_>) {
        let stored = match cell {
            Cell::Absent => StoredCell::Absent,
            Cell::Int(value) => StoredCell::Int(value),
            Cell::Float(value) => StoredCell::Float(value),
            Cell::Text(text) => {
                let text = &*truncate::label(text);
                self.has_cut |= truncate::is_cut(text);
                let range = range(self.text.len(), text.len());
                range.map_or(StoredCell::Absent, |(start, end)| {
                    self.text.push_str(text);
                    StoredCell::Text { start, end }
                })
            }
            Cell::Buckets(buckets) => {
                let range = range(self.buckets.len(), buckets.len());
                range.map_or(StoredCell::Absent, |(start, end)| {
                    self.buckets.extend_from_slice(buckets);
                    StoredCell::Buckets { start, end }
                })
            }
        };
        self.cells.push(stored);
    }

    /// Appends one row.
    pub fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        for cell in cells {
            self.push(cell);
        }
    }

    /// The number of whole rows.
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// The cell at this row and column; `Absent` outside the table. Inlined, because comparing rows is half of the cost
    /// of mapping.
    #[inline(always)]
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match self.cells.get(row * self.columns.len() + column) {
            None | Some(StoredCell::Absent) => Cell::Absent,
            Some(StoredCell::Int(value)) => Cell::Int(*value),
            Some(StoredCell::Float(value)) => Cell::Float(*value),
            Some(StoredCell::Text { start, end }) => Cell::Text(&self.text[*start as usize..*end as usize]),
            Some(StoredCell::Buckets { start, end }) => Cell::Buckets(&self.buckets[*start as usize..*end as usize]),
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
        self.cells.len() * size_of::<StoredCell>() + self.text.len() + self.buckets.len() * size_of::<(i32, u64)>()
    }
}

/// The range of the next part of a buffer; `None` past 4 GiB.
fn range(start: usize, length: usize) -> Option<(u32, u32)> {
    Some((u32::try_from(start).ok()?, u32::try_from(start + length).ok()?))
}

impl<'a> Cell<'a> {
    /// The text in this cell, if it holds one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A label's value as it is written, and so as it is compared: the number 1 and the text "1" are the same.
    pub fn written(self) -> Cow<'a, [u8]> {
        let number = match self {
            Cell::Text(text) => return text.as_bytes().into(),
            Cell::Absent | Cell::Buckets(_) => return [].as_slice().into(),
            Cell::Int(value) => Number::Int(value),
            Cell::Float(value) => Number::Float(value),
        };
        let mut text = Vec::new();
        number.push_to(&mut text);
        text.into()
    }

    /// The number in this cell. Text that reads as a decimal number is one, NaN is not:
    /// `Ok(None)` for an absent cell, `Err(())` for one that is not a number.
    #[allow(clippy::result_unit_err)]
    pub fn number(self) -> Result<Option<Number>, ()> {
        match self {
            Cell::Absent => Ok(None),
            Cell::Int(value) => Ok(Some(Number::Int(value))),
            Cell::Float(value) if value.is_nan() => Err(()),
            Cell::Buckets(_) => Err(()),
            Cell::Float(value) => Ok(Some(Number::Float(value))),
            Cell::Text(text) => {
                let number = text.parse().map(Number::Int).or_else(|_| text.parse().map(Number::Float));
                number.ok().filter(|number| !number.as_f64().is_nan()).map(Some).ok_or(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_were_pushed() {
        let mut table = Table::new(["a", "b"]);
        table.push_row([Cell::Int(1), Cell::Text("x")]);
        table.push_row([Cell::Absent, Cell::Text("é")]);
        table.push_row([Cell::Buckets(&[(1, 2)]), Cell::Buckets(&[])]);
        assert_eq!((table.rows(), table.column("b")), (3, Some(1)));
        assert_eq!([0, 1].map(|at| table.cell(2, at)), [Cell::Buckets(&[(1, 2)]), Cell::Buckets(&[])]);
        assert_eq!([(1, 1), (9, 9)].map(|(row, column)| table.cell(row, column)), [Cell::Text("é"), Cell::Absent]);
    }

    #[test]
    fn its_parts_are_counted() {
        let cut = "é".repeat(truncate::LONGEST);
        let mut table = Table::new(["a", "b"]);
        assert_eq!((table.rows(), table.bytes(), table.has_cut()), (0, 0, false));
        table.push_row([Cell::Text("one"), Cell::Buckets(&[(1, 1), (2, 2), (3, 3)])]);
        table.push(Cell::Text("two"));
        assert_eq!((table.rows(), table.bytes_of_text(), table.native_buckets(), table.has_cut()), (1, 6, 3, false));
        assert_eq!(table.bytes(), 3 * size_of::<StoredCell>() + 6 + 3 * size_of::<(i32, u64)>());
        table.push(Cell::Text(&cut));
        table.push_row([Cell::Int(3), Cell::Text("x")]);
        assert_eq!((table.rows(), table.has_cut(), table.cell(2, 0)), (3, true, Cell::Int(3)));
        table.truncate(1);
        assert_eq!((table.rows(), table.has_cut(), table.cell(1, 0)), (1, true, Cell::Absent));
        table.truncate(7);
        assert_eq!((table.rows(), Table::default().rows()), (1, 0));
        assert_eq!(range(u32::MAX as usize - 1, 1), Some((u32::MAX - 1, u32::MAX)));
        assert_eq!(range(u32::MAX as usize, 1), None);
    }

    #[test]
    fn columns_are_compared_by_name() {
        let table = Table::new(["a", "bc"]);
        assert_eq!(table.columns().collect::<Vec<_>>(), ["a", "bc"]);
        assert_eq!(["a", "bc", "b", ""].map(|name| table.column(name)), [Some(0), Some(1), None, None]);
        for (columns, is_same) in [(vec!["a", "bc"], true), (vec!["ab", "c"], false), (vec!["a"], false)] {
            assert_eq!(table.has_columns_of(&Table::new(&columns)), is_same, "{columns:?}");
        }
        assert!(table.has_columns_of(&Table::with_columns(table.columns.clone())));
    }

    #[test]
    fn its_memory_counts_against_a_budget() {
        let row = size_of::<StoredCell>();
        let budget = MemoryBudget::of(3 * row);
        let (mut one, mut other) = (Table::new(["a"]).with_budget(&budget), Table::new(["a"]).with_budget(&budget));
        one.push_row([Cell::Int(1)]);
        other.push_row([Cell::Int(1)]);
        other.push_row([Cell::Int(2)]);
        assert!(one.reserve() && other.reserve());
        other.push_row([Cell::Int(3)]);
        assert!(!other.reserve());
        drop(one);
        assert!(other.reserve());
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
            (Cell::Text("-inf"), Ok(Some(Number::Float(f64::NEG_INFINITY)))),
            (Cell::Buckets(&[]), Err(())),
            (Cell::Text("many"), Err(())),
        ] {
            assert_eq!(cell.number(), number, "{cell:?}");
        }
    }
}
